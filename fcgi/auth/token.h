/* token.h - JSON Web Tokens: the session and the channels of a stream, their end, and the right to
 * publish.
 *
 * It puts the parts together: token_source.h finds a token in a request, key_files.h has the keys,
 * signature.h says whether one has signed it, claims.h and mercure_rights.h read what it grants.
 * What a client is sent then is in token_refusal.h.
 *
 * The reason of a refusal is logged at level debug. Of the token, only the algorithm and the kid
 * are in that line. The client gets no reason.
 *
 * Ownership: tokens_verify() allocates what a struct token points to; token_release() frees it.
 */
#ifndef SSECAST_TOKEN_H
#define SSECAST_TOKEN_H

#include "auth/mercure_rights.h"
#include "codec/grant.h"
#include "codec/json_in.h"
#include "http/params.h"
#include "ops/option.h"

#define TOKEN_NAMES_MAX 1024u /* patterns in all lists of a token; one with more is invalid */
#define TOKEN_COOKIES_MAX 4u  /* cookies of one request that are looked at */
#define TOKEN_FAULT_MAX 256u

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
    struct grant publish;          /* ROLE_PUBLISHER, with its patterns and its publisher */
    int64_t expires_ms;            /* unix time, the leeway included; 0: it does not */
    struct json_in *claims;        /* what the slices above point to */
    struct slice *names;           /* the lists above */
    char *publisher;               /* the identity in publish */
    bool access;                   /* an access token (typ at+jwt), for the hub only */
    bool from_cookie;              /* tokens_verify_mercure(): a browser sent it by itself */
    struct mercure_rights mercure; /* tokens_verify_mercure(): what it grants at the hub */
    char fault[TOKEN_FAULT_MAX];   /* EXPIRED, INVALID: why, for the log */
};

/* What a token must say. */
struct token_rules {
    const char *secret_file;            /* jwt-secret-file; NULL: none */
    const char *key_file;               /* jwt-key-file, public keys; NULL: none */
    const char *issuer;                 /* NULL: any */
    const struct option_list *audience; /* one of these must be named; empty: any */
    const char *cookie;                 /* token_source.h: where a stream's token may be */
    int64_t leeway_ms;                  /* clocks may differ by so much */
};

struct tokens;

/* Could the keys be read? 0, or -errno with a line in why. */
int tokens_check(const struct token_rules *rules, char *why, size_t size);

/* Log what tokens_new() warns of. */
void tokens_warn(const struct token_rules *rules);

/* Read the keys, of one file at least. rules is copied, what it points to is not. NULL with a
 * line in the log. */
struct tokens *tokens_new(const struct token_rules *rules);

/* Safe on NULL; sets *t to NULL. */
void tokens_free(struct tokens **t);

/* Read the files again, changed or not (SIGHUP). When that fails their keys stay, and a line in
 * the log says why. */
void tokens_reload(struct tokens *t);

/* Does the request bring one? */
bool token_is_brought(const struct tokens *t, const struct params *params);

/* Judge text; NULL is no token. now_ms is unix time; the files are looked at when that was last
 * done more than a second ago. Returns out->verdict. Release out in any case. */
enum token_verdict tokens_verify(struct tokens *t, const char *text, int64_t now_ms,
                                 struct token *out);

/* The two together. Of several cookies the first that is good counts; a refusal is logged
 * (debug), with the client's address. */
enum token_verdict tokens_verify_request(struct tokens *t, const struct params *params,
                                         int64_t now_ms, struct token *out);

/* The same for the hub, which looks in other places: `Authorization: Bearer`, else the query's
 * `authorization`, else the cookies `mercureAuthorization` and `__Secure-mercure_access_token`.
 * Access tokens are judged here only, and never from the query. */
enum token_verdict tokens_verify_mercure(struct tokens *t, const struct params *params,
                                         int64_t now_ms, struct token *out);

/* Does the request bring a token for the hub? */
bool token_is_brought_to_mercure(const struct params *params);

void token_release(struct token *token);

#endif
