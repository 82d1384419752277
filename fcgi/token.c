/* libjwt takes a token apart, and its header says which algorithm and which key it names. Each of our keys that is for that algorithm and may be the
 * one named is tried, in jwks.c. So the header chooses among keys, and never what a key is used for. */
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "jwks.h"
#include "log.h"
#include "name.h"

#define LOOK_MS 1000           /* between two looks at the key file */
#define FILE_MAX (1024 * 1024) /* bytes of it */
#define FAR_MS ((int64_t)1 << 53)

struct tokens {
    struct token_rules rules;
    struct jwks keys;
    struct stat seen; /* the key file, as it was last read */
    int64_t look_at;  /* unix time, ms: not before that */
    bool failed;      /* said so in the log already */
    bool warned;
};

/* --- the key file --- */

/* All of fd, into a buffer of FILE_MAX bytes. The bytes, or -1 with errno. */
static ssize_t read_all(int fd, char *data)
{
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < FILE_MAX) {
        n = read(fd, data + len, FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (len == FILE_MAX)
        errno = EFBIG;
    return n < 0 || len == FILE_MAX ? -1 : (ssize_t)len;
}

/* Read the file's keys into *keys, and what it is into *is. 0; else *why says what was wrong. */
static int read_file(const char *path, struct jwks *keys, struct stat *is, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* nobody waits for the other end of a pipe */
    char *data = malloc(FILE_MAX);
    ssize_t len = fd < 0 || !data || fstat(fd, is) != 0 ? -1 : read_all(fd, data);
    int err = -EINVAL;
    if (len < 0)
        *why = strerror(errno);
    else
        err = jwks_read((struct slice){data, (size_t)len}, keys, why);
    if (fd >= 0)
        close(fd);
    if (len > 0)
        explicit_bzero(data, (size_t)len);
    free(data);
    return err;
}

int tokens_check(const char *key_file, char *why, size_t size)
{
    struct jwks keys = {0};
    struct stat is;
    const char *fault = "";
    int err = read_file(key_file, &keys, &is, &fault);
    if (err)
        snprintf(why, size, "--jwt-key-file %s: %s", key_file, fault);
    jwks_release(&keys);
    return err;
}

static void warn_of_readers(struct tokens *t)
{
    bool secret = false;
    for (size_t i = 0; i < t->keys.count; i++)
        secret = secret || t->keys.keys[i].use == JWK_HS256;
    if (secret && (t->seen.st_mode & S_IROTH) && !t->warned)
        log_warn("jwt-key-file %s: every user of this machine can read this secret: chmod o= it", t->rules.key_file);
    t->warned = true;
}

/* Read the file; keep the keys that are there when that fails. False with a line in the log (once, until it is well again). */
static bool load(struct tokens *t)
{
    struct jwks keys;
    struct stat is = {0};
    const char *why = "";
    int err = read_file(t->rules.key_file, &keys, &is, &why);
    t->seen = is;
    if (err) {
        if (!t->failed)
            log_error("jwt-key-file %s: %s%s", t->rules.key_file, why,
                      t->keys.count ? "; the keys from before stay" : "");
        t->failed = true;
        return false;
    }
    if (t->keys.count)
        log_info("jwt-key-file %s: read again, keys: %zu", t->rules.key_file, keys.count);
    jwks_release(&t->keys);
    t->keys = keys;
    t->failed = false;
    warn_of_readers(t);
    return true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void look(struct tokens *t, int64_t now_ms)
{
    struct stat is = {0};
    if (now_ms < t->look_at && t->look_at - now_ms <= LOOK_MS)
        return; /* the second part: the clock was set back */
    t->look_at = now_ms + LOOK_MS;
    if (stat(t->rules.key_file, &is) != 0 || !same_file(&is, &t->seen))
        load(t);
}

struct tokens *tokens_new(const struct token_rules *rules)
{
    struct tokens *t = calloc(1, sizeof *t);
    if (!t) {
        log_error("out of memory");
        return NULL;
    }
    t->rules = *rules;
    if (!load(t))
        tokens_free(&t);
    return t;
}

void tokens_free(struct tokens **t)
{
    if (!*t)
        return;
    jwks_release(&(*t)->keys);
    free(*t);
    *t = NULL;
}

void tokens_reload(struct tokens *t)
{
    t->failed = false;
    load(t);
}

/* --- the signature --- */

static const char *const algorithms[] = {[JWK_HS256] = "HS256", [JWK_RS256] = "RS256", [JWK_ES256] = "ES256"};

/* May this key have signed a token with such a header? */
static bool may_fit(const struct jwk *key, const char *algorithm, const char *kid)
{
    return strcmp(algorithms[key->use], algorithm) == 0 && (!key->kid || !kid || strcmp(key->kid, kid) == 0);
}

/* Does the header ask for something that we would have to know (RFC 7515, 4.1.11)? */
static bool is_critical(jwt_t *jwt)
{
    char *json = jwt_get_headers_json(jwt, "crit");
    free(json);
    return json != NULL;
}

static bool is_signed(const struct tokens *t, jwt_t *jwt, struct slice text, struct slice signature)
{
    const char *algorithm = jwt_get_header(jwt, "alg"), *kid = jwt_get_header(jwt, "kid");
    for (size_t i = 0; algorithm && i < t->keys.count; i++)
        if (may_fit(&t->keys.keys[i], algorithm, kid) && jwk_signed(&t->keys.keys[i], text, signature))
            return true;
    return false;
}

/* Split header.claims.signature before the signature. False when it has not these three parts, or one is empty: libjwt would write a byte
 * into a block of none. */
static bool split(const char *token, struct slice *text, struct slice *signature)
{
    const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    if (!second || strchr(second + 1, '.') || strlen(token) > TOKEN_BYTES_MAX)
        return false;
    if (first == token || second == first + 1 || !second[1])
        return false;
    *text = (struct slice){token, (size_t)(second - token)};
    *signature = slice_of(second + 1);
    return true;
}

/* The claims of a token that one of our keys signed; NULL: it is none of those. */
static struct json_in *signed_claims(const struct tokens *t, const char *token)
{
    struct slice text, signature;
    jwt_t *jwt = NULL;
    if (!split(token, &text, &signature) || jwt_decode(&jwt, token, NULL, 0) != 0) /* no key: it checks nothing */
        return NULL;
    bool good = !is_critical(jwt) && is_signed(t, jwt, text, signature);
    char *json = good ? jwt_get_grants_json(jwt, NULL) : NULL;
    struct json_in *claims = json ? json_in_parse(slice_of(json)) : NULL;
    free(json);
    jwt_free(jwt);
    return claims;
}

/* --- the claims --- */

/* A time in seconds, as milliseconds. False when it is there and no number. */
static bool get_time(const struct json_in *claims, const char *name, int64_t *ms)
{
    const struct json_in *value = json_in_member(claims, name);
    double at = json_in_number(value) * 1000;
    if (value)
        *ms = at >= (double)FAR_MS ? FAR_MS : at <= 1 ? 1 : (int64_t)at;
    return !value || json_in_is_number(value);
}

static bool listed(const struct option_list *list, const struct json_in *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (json_in_is_text(value) && slice_equal(slice_of(list->items[i]), json_in_text(value)))
            return true;
    return false;
}

static bool audience_fits(const struct option_list *wanted, const struct json_in *audience)
{
    bool fits = !wanted || !wanted->count || listed(wanted, audience);
    for (size_t i = 0; !fits && i < json_in_count(audience); i++)
        fits = listed(wanted, json_in_item(audience, i));
    return fits;
}

static bool issuer_fits(const char *wanted, const struct json_in *issuer)
{
    return !wanted || (json_in_is_text(issuer) && slice_equal(slice_of(wanted), json_in_text(issuer)));
}

/* A list of patterns; *at is where the next one is kept. False when it is none. */
static bool get_patterns(const struct json_in *list, struct names *out, struct slice **at)
{
    *out = (struct names){*at, json_in_count(list)};
    for (size_t i = 0; i < out->count; i++) {
        struct slice pattern = json_in_text(json_in_item(list, i));
        if (!pattern_valid(pattern))
            return false;
        *(*at)++ = pattern;
    }
    return !list || json_in_is_list(list);
}

/* --- who publishes --- */

#define IDENTITY_DIGITS 32u /* of the hash: 128 bits */

static int compare_names(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Add patterns in one order, whatever order the token has them in, each once, and an empty part behind the last: no pattern is empty. False when
 * out of memory. */
static bool add_patterns(struct hash_parts *hash, const struct names *patterns)
{
    struct slice *sorted = calloc(patterns->count + 1, sizeof *sorted);
    if (!sorted)
        return false;

    for (size_t i = 0; i < patterns->count; i++)
        sorted[i] = patterns->items[i];
    qsort(sorted, patterns->count, sizeof *sorted, compare_names);

    for (size_t i = 0; i < patterns->count; i++)
        if (i == 0 || !slice_equal(sorted[i], sorted[i - 1]))
            hash_parts_add(hash, sorted[i]);
    hash_parts_add(hash, (struct slice){0});
    free(sorted);
    return true;
}

static bool add_grant(struct hash_parts *hash, const struct grant *grant)
{
    hash_parts_add(hash, slice_of(grant->limited ? "limited" : "everyone"));
    return add_patterns(hash, &grant->sessions) && add_patterns(hash, &grant->channels);
}

/* The identity of the token's bearer (grant.h): a token that replaces this one has the same. It is made of issuer and subject, or, without
 * a subject, of issuer and what may be published. False when out of memory. */
static bool get_publisher(struct token *out)
{
    char hex[HASH_PARTS_HEX];
    struct hash_parts hash;
    const struct json_in *issuer = json_in_member(out->claims, "iss");

    hash_parts_begin(&hash);
    hash_parts_add(&hash, slice_of(json_in_is_text(issuer) ? "issuer" : "no issuer"));
    hash_parts_add(&hash, json_in_text(issuer));
    hash_parts_add(&hash, slice_of(out->sub.len ? "sub" : "publish"));
    if (out->sub.len)
        hash_parts_add(&hash, out->sub);
    else if (!add_grant(&hash, &out->publish))
        return false;
    hash_parts_end(&hash, hex);

    int len = asprintf(&out->publisher, PUBLISHER_TOKEN "%.*s", (int)IDENTITY_DIGITS, hex);
    if (len < 0)
        out->publisher = NULL;
    else
        out->publish.publisher = (struct slice){out->publisher, (size_t)len};
    return out->publisher != NULL;
}

/* publish: true, or an object that limits it. */
static bool get_publish(const struct json_in *publish, struct token *out, struct slice **at)
{
    out->may_publish = json_in_is_true(publish) || json_in_is_object(publish);
    if (out->may_publish)
        out->publish = (struct grant){.roles = ROLE_PUBLISHER, .limited = json_in_is_object(publish)};
    return !json_in_is_object(publish) ||
           (get_patterns(json_in_member(publish, "sessions"), &out->publish.sessions, at) &&
            get_patterns(json_in_member(publish, "channels"), &out->publish.channels, at));
}

/* What the token gives. False when a claim of ours is not what it must be. */
static bool get_rights(struct token *out)
{
    const struct json_in *sub = json_in_member(out->claims, "sub"), *channels = json_in_member(out->claims, "channels");
    const struct json_in *publish = json_in_member(out->claims, "publish");
    size_t count = json_in_count(channels) + json_in_count(json_in_member(publish, "sessions")) +
                   json_in_count(json_in_member(publish, "channels"));
    if (count > TOKEN_NAMES_MAX)
        return false;
    struct slice *at = out->names = calloc(count + 1, sizeof *out->names);
    out->sub = json_in_text(sub);
    out->has_channels = channels != NULL;
    return at && (!sub || name_valid(out->sub)) && get_patterns(channels, &out->channels, &at) &&
           get_publish(publish, out, &at) && (!out->may_publish || get_publisher(out));
}

/* NULL, or what is wrong with the token: for the log at most. */
static const char *judge(const struct token_rules *rules, int64_t now_ms, struct token *out)
{
    int64_t not_before = 0;
    if (!get_time(out->claims, "exp", &out->expires_ms) || !get_time(out->claims, "nbf", &not_before))
        return "exp or nbf is no number";
    if (not_before > now_ms + rules->leeway_ms)
        return "nbf is in the future";
    if (!issuer_fits(rules->issuer, json_in_member(out->claims, "iss")))
        return "iss is another";
    if (!audience_fits(rules->audience, json_in_member(out->claims, "aud")))
        return "aud is another";
    return get_rights(out) ? NULL : "sub, channels or publish is not what it must be";
}

static enum token_verdict verdict(struct tokens *t, const char *text, int64_t now_ms, struct token *out)
{
    look(t, now_ms);
    out->claims = signed_claims(t, text);
    const char *fault = out->claims ? judge(&t->rules, now_ms, out) : "none of the keys has signed it";
    if (fault) {
        log_debug("a token was refused: %s", fault);
        return TOKEN_INVALID;
    }
    if (out->expires_ms)
        out->expires_ms += t->rules.leeway_ms;
    return out->expires_ms && out->expires_ms <= now_ms ? TOKEN_EXPIRED : TOKEN_GOOD;
}

enum token_verdict tokens_verify(struct tokens *t, const char *text, int64_t now_ms, struct token *out)
{
    *out = (struct token){0};
    enum token_verdict v = text ? verdict(t, text, now_ms, out) : TOKEN_MISSING;
    if (v != TOKEN_GOOD)
        token_release(out);
    return out->verdict = v;
}

void token_release(struct token *token)
{
    json_in_free(&token->claims);
    free(token->names);
    free(token->publisher);
    *token = (struct token){0};
}

/* --- requests --- */

/* What stands behind "Bearer " (in any case). */
static char *bearer(const struct params *params)
{
    static const char scheme[] = "Bearer ";
    const char *value = params_get(params, "HTTP_AUTHORIZATION");
    if (!value || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    value += sizeof scheme - 1;
    return strdup(value + strspn(value, " "));
}

/* value, or NULL (freed) when it is empty. */
static char *unless_empty(char *value)
{
    if (value && *value)
        return value;
    free(value);
    return NULL;
}

char *token_in_request(const struct tokens *t, const struct params *params)
{
    char *text = unless_empty(bearer(params));
    if (!text && t->rules.cookie)
        text = unless_empty(params_cookie(params, t->rules.cookie));
    return text ? text : unless_empty(params_query(params, "token"));
}

enum token_verdict tokens_verify_request(struct tokens *t, const struct params *params, int64_t now_ms,
                                         struct token *out)
{
    char *text = token_in_request(t, params);
    enum token_verdict v = tokens_verify(t, text, now_ms, out);
    free(text);
    return v;
}

const struct token_refusal *token_refusal(enum token_verdict verdict)
{
    static const struct token_refusal missing = {
        "Bearer", "missing_token", "this needs a token: in Authorization: Bearer, a cookie, or the parameter `token`"};
    static const struct token_refusal expired = {"Bearer error=\"invalid_token\", error_description=\"expired\"",
                                                 "token_expired", "the token has expired"};
    static const struct token_refusal invalid = {"Bearer error=\"invalid_token\"", "invalid_token",
                                                 "the token is not accepted"};
    return verdict == TOKEN_MISSING ? &missing : verdict == TOKEN_EXPIRED ? &expired : &invalid;
}
