/* token.h - JSON Web Tokens: whose stream it is, which channels, until when; and what somebody may publish. The only user of libjwt.
 *
 * HS256, RS256 and ES256, and which of them is decided by the key: a token that names another algorithm than its key's, or none, is
 * refused. Keys come from one file (jwks.h says in which forms), which is read again when it changes.
 *
 * Nothing here says in the log, or to who asks, what a refused token held.
 *
 * Ownership: tokens_verify() allocates what a struct token points to; token_release() frees it.
 */
#ifndef SSECAST_TOKEN_H
#define SSECAST_TOKEN_H

#include "grant.h"
#include "json_in.h"
#include "option.h"
#include "params.h"

#define TOKEN_BYTES_MAX 8192u /* of a token's text; a longer one is invalid */
#define TOKEN_NAMES_MAX 1024u /* patterns in all lists of a token; one with more is invalid */

enum token_verdict {
    TOKEN_MISSING, /* the request brought none */
    TOKEN_GOOD,
    TOKEN_EXPIRED, /* its signature is good, its time is over */
    TOKEN_INVALID, /* anything else */
};

struct token {
    enum token_verdict verdict; /* the rest is set with TOKEN_GOOD only */
    struct slice sub;           /* the session; empty: it names none */
    bool has_channels;          /* false: not limited */
    struct names channels;      /* patterns */
    bool may_publish;
    struct grant publish;   /* ROLE_PUBLISHER, with its patterns and its publisher */
    int64_t expires_ms;     /* unix time, the leeway included; 0: it does not */
    struct json_in *claims; /* what the slices above point to */
    struct slice *names;    /* the lists above */
    char *publisher;        /* the identity in publish */
};

/* What a token must say. */
struct token_rules {
    const char *key_file;
    const char *issuer;                 /* NULL: any */
    const struct option_list *audience; /* one of these must be named; empty: any */
    const char *cookie;                 /* where token_in_request() looks */
    int64_t leeway_ms;                  /* clocks may differ by so much */
};

struct tokens;

/* Could the keys be read? 0, or -errno with a line in why. */
int tokens_check(const char *key_file, char *why, size_t size);

/* Read the keys. rules is copied, what it points to is not. NULL with a line in the log. */
struct tokens *tokens_new(const struct token_rules *rules);

/* Safe on NULL; sets *t to NULL. */
void tokens_free(struct tokens **t);

/* Read the key file again, changed or not (SIGHUP). When that fails the keys stay, and a line in the log says why. */
void tokens_reload(struct tokens *t);

/* The token that a request brings: `Authorization: Bearer`, else the cookie, else `?token=`. A new text, to be freed with free(); NULL:
 * none. */
char *token_in_request(const struct tokens *t, const struct params *params);

/* Judge text; NULL is no token. now_ms is unix time; the key file is looked at when that was last done more than a second ago. Returns
 * out->verdict. Release out in any case. */
enum token_verdict tokens_verify(struct tokens *t, const char *text, int64_t now_ms, struct token *out);

/* The two together. */
enum token_verdict tokens_verify_request(struct tokens *t, const struct params *params, int64_t now_ms,
                                         struct token *out);

/* The value of WWW-Authenticate with a 401, and the error code and the sentence that its body may tell. */
struct token_refusal {
    const char *challenge, *error, *message;
};

const struct token_refusal *token_refusal(enum token_verdict verdict);

void token_release(struct token *token);

#endif
