/* A token's header says which algorithm and which key it names. Each of our keys that is for that
 * algorithm and may be the one named is tried, in jwks.c. So the header chooses among keys, and never
 * what a key is used for. */
#include "auth/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/jwks.h"
#include "auth/jws.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/name.h"
#include "ops/log.h"

#define LOOK_MS 1000           /* between two looks at the key file */
#define FILE_MAX (1024 * 1024) /* bytes of it */
#define FAR_MS ((int64_t)1 << 53)
#define TICK_MS 2000 /* a file system's times may be as coarse as this */

/* A file of keys of one kind. */
struct key_file {
    const char *option, *path; /* path NULL: there is none */
    enum jwks_kind kind;
    struct jwks keys;
    struct stat seen;                  /* the file, as it was last read */
    unsigned char digest[JWKS_DIGEST]; /* of what it held */
    bool settled;                      /* a change after that reading shows in its times */
    bool failed;                       /* said so in the log already */
};

enum { SECRETS, PUBLIC_KEYS, FILES };

struct tokens {
    struct token_rules rules;
    struct key_file files[FILES];
    int64_t look_at; /* unix time, ms: not before that */
};

/* --- the key files --- */

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

/* Read the file's keys into *keys, and what it is into *is and digest. 0; else *why says what
 * was wrong. */
static int read_file(const struct key_file *file, struct jwks *keys, struct stat *is, unsigned char digest[JWKS_DIGEST],
                     const char **why)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer does not block */
    char *data = malloc(FILE_MAX);
    ssize_t len = fd < 0 || !data || fstat(fd, is) != 0 ? -1 : read_all(fd, data);
    int err = -EINVAL;
    if (len < 0) {
        *why = strerror(errno);
    } else {
        jwks_digest((struct slice){data, (size_t)len}, digest);
        err = jwks_read(file->kind, (struct slice){data, (size_t)len}, keys, why);
    }
    if (fd >= 0)
        close(fd);
    if (len > 0)
        explicit_bzero(data, (size_t)len);
    free(data);
    return err;
}

static void set_files(struct key_file files[FILES], const struct token_rules *rules)
{
    files[SECRETS] = (struct key_file){.option = "jwt-secret-file", .path = rules->secret_file, .kind = JWKS_SECRETS};
    files[PUBLIC_KEYS] = (struct key_file){.option = "jwt-key-file", .path = rules->key_file, .kind = JWKS_PUBLIC};
}

static int check_file(const struct key_file *file, char *why, size_t size)
{
    struct jwks keys = {0};
    struct stat is;
    unsigned char digest[JWKS_DIGEST];
    const char *fault = "";
    int err = read_file(file, &keys, &is, digest, &fault);
    if (err)
        snprintf(why, size, "--%s %s: %s", file->option, file->path, fault);
    jwks_release(&keys);
    return err;
}

int tokens_check(const struct token_rules *rules, char *why, size_t size)
{
    struct key_file files[FILES];
    int err = 0;
    set_files(files, rules);
    for (size_t i = 0; i < FILES && !err; i++)
        if (files[i].path)
            err = check_file(&files[i], why, size);
    return err;
}

static void warn_of_readers(const struct key_file *file)
{
    if (file->kind == JWKS_SECRETS && (file->seen.st_mode & S_IROTH))
        log_warn("%s %s: every user of this host can read this secret; accepted: a file without permissions for others "
                 "(chmod o= FILE)",
                 file->option, file->path);
}

/* Was the file at rest long enough before it was read, so that a later change has other times? */
static bool is_settled(const struct stat *is)
{
    int64_t changed_ms = (int64_t)is->st_ctim.tv_sec * 1000 + is->st_ctim.tv_nsec / 1000000;
    return changed_ms + TICK_MS < clock_unix_ms();
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Keep the keys from before. Said in the log once, until the file is well again. */
static void keep_old(struct key_file *file, const char *why)
{
    if (!file->failed)
        log_error("%s %s: %s%s", file->option, file->path, why, file->keys.count ? "; keeping the previous keys" : "");
    file->failed = true;
}

/* Read the file. asked: an operator asked for it, so success is logged too. False with a line in
 * the log; the keys that were there stay. */
static bool load(struct key_file *file, bool asked)
{
    struct jwks keys = {0};
    struct stat is = {0};
    unsigned char digest[JWKS_DIGEST] = {0};
    const char *why = "";
    bool first = !file->keys.count;

    int err = read_file(file, &keys, &is, digest, &why);
    bool touched = !same_file(&is, &file->seen), changed = memcmp(digest, file->digest, JWKS_DIGEST) != 0;
    file->seen = is;
    file->settled = is_settled(&is);
    memcpy(file->digest, digest, JWKS_DIGEST);
    if (err) {
        keep_old(file, why);
        return false;
    }

    if (!first && (asked || changed || file->failed))
        log_info("%s %s: reloaded, %zu key%s", file->option, file->path, keys.count, keys.count == 1 ? "" : "s");
    jwks_release(&file->keys);
    file->keys = keys;
    file->failed = false;
    if (asked || touched || changed)
        warn_of_readers(file);
    return true;
}

/* A file that was replaced by one of the same size within a tick of the clock looks the same: it
 * is read until that is over. */
static void look(struct tokens *t, int64_t now_ms)
{
    if (now_ms < t->look_at && t->look_at - now_ms <= LOOK_MS)
        return; /* the second part: the clock was set back */
    t->look_at = now_ms + LOOK_MS;

    for (size_t i = 0; i < FILES; i++) {
        struct key_file *file = &t->files[i];
        struct stat is = {0};
        if (!file->path)
            continue;
        if (stat(file->path, &is) != 0 || !same_file(&is, &file->seen) || !file->settled)
            load(file, false);
    }
}

struct tokens *tokens_new(const struct token_rules *rules)
{
    struct tokens *t = calloc(1, sizeof *t);
    if (!t) {
        log_error("cannot start: out of memory");
        return NULL;
    }

    MUST(rules->secret_file || rules->key_file);
    t->rules = *rules;
    set_files(t->files, rules);
    for (size_t i = 0; t && i < FILES; i++)
        if (t->files[i].path && !load(&t->files[i], true))
            tokens_free(&t);
    return t;
}

void tokens_free(struct tokens **t)
{
    if (!*t)
        return;
    for (size_t i = 0; i < FILES; i++)
        jwks_release(&(*t)->files[i].keys);
    free(*t);
    *t = NULL;
}

void tokens_reload(struct tokens *t)
{
    for (size_t i = 0; i < FILES; i++) {
        t->files[i].failed = false;
        if (t->files[i].path)
            load(&t->files[i], true);
    }
}

/* --- the signature --- */

static const char *const algorithms[] = {[JWK_HS256] = "HS256", [JWK_RS256] = "RS256", [JWK_ES256] = "ES256"};

/* May this key have signed a token with such a header? */
static bool may_fit(const struct jwk *key, const struct jws *token)
{
    return strcmp(algorithms[key->use], token->algorithm) == 0 &&
           (!key->kid || !*token->kid || strcmp(key->kid, token->kid) == 0);
}

/* Why a token is refused, for the log. The algorithm and the key's name are its header's, and
 * nothing else of the token is logged. */
static void set_fault(struct token *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_fault(struct token *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->fault, sizeof out->fault, format, args);
    va_end(args);
}

/* What the keys of one file know of a token. */
enum signature { ALGORITHM_UNKNOWN, KEY_UNKNOWN, SIGNATURE_WRONG, SIGNATURE_GOOD };

static enum signature try_keys(const struct jwks *keys, const struct jws *token)
{
    enum signature found = ALGORITHM_UNKNOWN;
    for (size_t i = 0; i < keys->count; i++) {
        const struct jwk *key = &keys->keys[i];
        if (found == ALGORITHM_UNKNOWN && strcmp(algorithms[key->use], token->algorithm) == 0)
            found = KEY_UNKNOWN;
        if (!may_fit(key, token))
            continue;
        if (jwk_signed(key, token->signed_text, token->signature))
            return SIGNATURE_GOOD;
        found = SIGNATURE_WRONG;
    }
    return found;
}

static bool is_signed(const struct tokens *t, const struct jws *token, struct token *out)
{
    enum signature best = ALGORITHM_UNKNOWN;
    for (size_t i = 0; i < FILES && best != SIGNATURE_GOOD; i++) {
        enum signature found = try_keys(&t->files[i].keys, token);
        if (found > best)
            best = found;
    }
    switch (best) {
    case ALGORITHM_UNKNOWN:
        set_fault(out, "no key is for its algorithm %.16s", *token->algorithm ? token->algorithm : "(none)");
        break;
    case KEY_UNKNOWN:
        set_fault(out, "no key has its kid %.64s", token->kid);
        break;
    case SIGNATURE_WRONG:
        set_fault(out, "its %s signature is not that of a key", token->algorithm);
        break;
    case SIGNATURE_GOOD:
        break;
    }
    return best == SIGNATURE_GOOD;
}

/* The claims of a token that one of our keys signed; NULL with the fault. Access tokens are for the
 * hub only, which takes both. */
static struct json_in *signed_claims(const struct tokens *t, const char *text, bool mercure, struct token *out)
{
    struct jws jws;
    const char *fault = jws_read(text, &jws);
    if (!fault && jws.access && !mercure)
        fault = "it is an access token (typ at+jwt), which is for the hub only";
    if (fault) {
        set_fault(out, "%s", fault);
        return NULL;
    }
    if (!is_signed(t, &jws, out))
        return NULL;

    struct json_in *claims = jws_claims(&jws);
    if (!claims)
        set_fault(out, "its claims cannot be read");
    out->access = jws.access;
    return claims;
}

/* --- the claims --- */

/* Later than this a time is none in seconds, but one in milliseconds, with which a stream would
 * never end. */
#define SECONDS_MAX 1e11 /* the year 5138 */

static bool is_late(const struct json_in *claims, const char *name)
{
    return json_in_number(json_in_member(claims, name)) > SECONDS_MAX;
}

/* A time in seconds, as milliseconds. False when it is there and no number. */
static bool get_time(const struct json_in *claims, const char *name, int64_t *ms)
{
    const struct json_in *value = json_in_member(claims, name);
    double at = json_in_number(value) * 1000;
    if (value && at >= (double)FAR_MS)
        *ms = FAR_MS;
    else if (value)
        *ms = at <= 1 ? 1 : (int64_t)at;
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

/* Add patterns in one order, whatever order the token has them in, each once, and an empty part
 * behind the last: no pattern is empty. False when out of memory. */
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

/* The identity of the token's bearer (grant.h): a token that replaces this one has the same. It
 * is made of issuer and subject, or, without a subject, of issuer and what may be published.
 * False when out of memory. */
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

/* publish: true, false, or an object that limits it. False when it is anything else. */
static bool get_publish(const struct json_in *publish, struct token *out, struct slice **at)
{
    bool limited = json_in_is_object(publish);
    if (publish && !limited && !json_in_is_true(publish) && !json_in_is_false(publish))
        return false;

    out->may_publish = limited || json_in_is_true(publish);
    if (out->may_publish)
        out->publish = (struct grant){.roles = ROLE_PUBLISHER, .limited = limited};
    return !limited || (get_patterns(json_in_member(publish, "sessions"), &out->publish.sessions, at) &&
                        get_patterns(json_in_member(publish, "channels"), &out->publish.channels, at));
}

/* --- rights at the hub --- */

#define MERCURE_CLAIM "mercure"
#define MERCURE_CLAIM_LONG "https://mercure.rocks/"
#define MERCURE_DETAIL "https://mercure.rocks/authorization-detail"

static bool check_selector(struct token *out, const struct selector *s, const char why[PATTERN_WHY_MAX])
{
    if (s->kind != SELECTOR_INVALID)
        return true;

    set_fault(out, "a selector is not valid: %s", *why ? why : "out of memory");
    return false;
}

/* A list of selectors of dialect 0.x. *at is where the next one is kept. False when it is none. */
static bool get_topics(const struct json_in *list, struct token *token, struct selectors *out, struct selector **at)
{
    char why[PATTERN_WHY_MAX];
    *out = (struct selectors){*at, json_in_count(list)};
    for (size_t i = 0; i < out->count; i++) {
        const struct json_in *item = json_in_item(list, i);
        if (!json_in_is_text(item))
            return false;
        **at = selector_of_topic(json_in_text(item), why);
        if (!check_selector(token, (*at)++, why))
            return false;
    }
    return !list || json_in_is_list(list);
}

/* Room for selectors, of which none is there yet. NULL when out of memory. */
static struct selector *new_items(struct token *out, size_t count)
{
    out->mercure.items = calloc(count + 1, sizeof *out->mercure.items);
    out->mercure.room = out->mercure.items ? count : 0;
    return out->mercure.items;
}

static bool get_mercure_claim(struct token *out)
{
    const struct json_in *claim = json_in_member(out->claims, MERCURE_CLAIM);
    if (!claim)
        claim = json_in_member(out->claims, MERCURE_CLAIM_LONG);
    const struct json_in *publish = json_in_member(claim, "publish"), *subscribe = json_in_member(claim, "subscribe");
    size_t count = json_in_count(publish) + json_in_count(subscribe);
    if ((claim && !json_in_is_object(claim)) || count > TOKEN_NAMES_MAX)
        return false;

    struct selector *at = new_items(out, count);
    return at && get_topics(publish, out, &out->mercure.publish, &at) &&
           get_topics(subscribe, out, &out->mercure.subscribe, &at);
}

static bool lists_action(const struct json_in *actions, const char *action)
{
    for (size_t i = 0; i < json_in_count(actions); i++)
        if (slice_equal(json_in_text(json_in_item(actions, i)), slice_of(action)))
            return true;
    return false;
}

/* Is this a list of actions that are known? */
static bool actions_valid(const struct json_in *actions)
{
    for (size_t i = 0; i < json_in_count(actions); i++) {
        struct slice action = json_in_text(json_in_item(actions, i));
        if (!slice_equal(action, slice_of("publish")) && !slice_equal(action, slice_of("subscribe")))
            return false;
    }
    return json_in_is_list(actions) && json_in_count(actions);
}

/* A member by its name in one draft of the protocol, or in another. */
static const struct json_in *either_member(const struct json_in *object, const char *name, const char *other)
{
    const struct json_in *member = json_in_member(object, name);
    return member ? member : json_in_member(object, other);
}

/* One topic of a detail. False when it is not what it must be. */
static bool get_match(const struct json_in *topic, struct slice hub, struct token *token, struct selector *out)
{
    const struct json_in *type = either_member(topic, "match_type", "matchType");
    struct slice match = json_in_text(json_in_member(topic, "match")), name = json_in_text(type);
    bool exact = !type || slice_equal(name, slice_of("exact")) || slice_equal(name, slice_of("Exact"));
    bool pattern = slice_equal(name, slice_of("urlpattern")) || slice_equal(name, slice_of("URLPattern"));
    char why[PATTERN_WHY_MAX] = "";

    if (!match.len || (!exact && !pattern))
        return false;
    *out = pattern ? selector_of_url_pattern(match, hub, why) : selector_of_match(match);
    return check_selector(token, out, why);
}

static bool is_ours(const struct json_in *detail)
{
    return slice_equal(json_in_text(json_in_member(detail, "type")), slice_of(MERCURE_DETAIL));
}

/* Add the topics of all details for this action. False when one detail is not what it must be. */
static bool get_details(const struct json_in *details, const char *action, struct slice hub, struct token *token,
                        struct selectors *out, struct selector **at)
{
    *out = (struct selectors){*at, 0};
    for (size_t i = 0; i < json_in_count(details); i++) {
        const struct json_in *detail = json_in_item(details, i), *topics = json_in_member(detail, "topics");
        const struct json_in *actions = json_in_member(detail, "actions");
        if (!json_in_is_object(detail) || !json_in_is_text(json_in_member(detail, "type")))
            return false;
        if (!is_ours(detail))
            continue;
        if (!actions_valid(actions) || !json_in_is_list(topics))
            return false;
        for (size_t k = 0; k < json_in_count(topics); k++) {
            struct selector found;
            if (!get_match(json_in_item(topics, k), hub, token, &found))
                return false;
            if (lists_action(actions, action))
                (*at)[out->count++] = found;
            else
                selector_release(&found);
        }
    }
    *at += out->count;
    return true;
}

static bool get_authorization_details(struct token *out, struct slice hub)
{
    const struct json_in *details = json_in_member(out->claims, "authorization_details");
    size_t count = 0;
    for (size_t i = 0; i < json_in_count(details); i++)
        count += json_in_count(json_in_member(json_in_item(details, i), "topics"));
    if ((details && !json_in_is_list(details)) || count > TOKEN_NAMES_MAX)
        return false;

    struct selector *at = new_items(out, 2 * count);
    return at && get_details(details, "publish", hub, out, &out->mercure.publish, &at) &&
           get_details(details, "subscribe", hub, out, &out->mercure.subscribe, &at);
}

static bool detail_matches(const struct json_in *detail, struct slice hub, struct slice matcher)
{
    struct token none = {0};
    const struct json_in *topics = json_in_member(detail, "topics");
    bool found = false;
    for (size_t i = 0; !found && i < json_in_count(topics); i++) {
        struct selector selector = {.kind = SELECTOR_INVALID};
        struct topic topic;
        topic_begin(&topic, matcher);
        if (!get_match(json_in_item(topics, i), hub, &none, &selector))
            continue;
        found = slice_equal(selector.text, matcher) || selector_matches(&selector, &topic);
        selector_release(&selector);
    }
    return found;
}

/* The matcher counts as a topic. The first detail that matches says it. */
char *token_payload(const struct token *token, struct slice hub, struct slice matcher)
{
    const struct json_in *payload = NULL, *details = json_in_member(token->claims, "authorization_details");
    if (!token->access) {
        const struct json_in *claim = either_member(token->claims, MERCURE_CLAIM, MERCURE_CLAIM_LONG);
        payload = json_in_member(claim, "payload");
        return payload ? json_in_print(payload) : NULL;
    }

    for (size_t i = 0; i < json_in_count(details); i++) {
        const struct json_in *detail = json_in_item(details, i);
        if (!is_ours(detail) || !lists_action(json_in_member(detail, "actions"), "subscribe") ||
            !detail_matches(detail, hub, matcher))
            continue;
        payload = json_in_member(detail, "payload");
        break;
    }
    return payload ? json_in_print(payload) : NULL;
}

/* Who publishes, when no claim of ours says so. */
static bool get_mercure_publisher(struct token *out)
{
    const struct selectors *publish = &out->mercure.publish;
    if (out->publisher || !publish->count)
        return true;

    struct slice *names = calloc(publish->count, sizeof *names);
    for (size_t i = 0; names && i < publish->count; i++)
        names[i] = publish->items[i].text;

    out->publish = (struct grant){.limited = true, .channels = {names, names ? publish->count : 0}};
    bool good = names && get_publisher(out);
    out->publish.channels = (struct names){0};
    free(names);
    return good;
}

/* NULL, or what is wrong with the rights at the hub. */
static const char *get_mercure(struct token *out, struct slice hub)
{
    const struct json_in *claims = out->claims, *audience = json_in_member(claims, "aud");
    if (out->access) {
        bool complete = json_in_member(claims, "exp") && json_in_is_text(json_in_member(claims, "iss")) &&
                        (json_in_is_text(audience) || json_in_count(audience));
        if (!complete)
            return "an access token has exp, iss and aud";
        if (!get_authorization_details(out, hub))
            return "authorization_details is not what it must be";
    } else if (!get_mercure_claim(out)) {
        return "the claim mercure is not what it must be";
    }
    return get_mercure_publisher(out) ? NULL : "out of memory";
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
        return "exp or nbf is not a number";
    if (is_late(out->claims, "exp") || is_late(out->claims, "nbf"))
        return "exp or nbf is beyond the year 5138, so it is in milliseconds; accepted: seconds";
    if (not_before > now_ms + rules->leeway_ms)
        return "nbf is in the future";
    if (!issuer_fits(rules->issuer, json_in_member(out->claims, "iss")))
        return "iss differs from jwt-issuer";
    if (!audience_fits(rules->audience, json_in_member(out->claims, "aud")))
        return "aud is not in jwt-audience";
    return get_rights(out) ? NULL : "sub, channels or publish is not what it must be";
}

/* hub: what its host is, when the token is for the hub; else NULL. */
static enum token_verdict verdict(struct tokens *t, const char *text, int64_t now_ms, const struct slice *hub,
                                  struct token *out)
{
    look(t, now_ms);
    out->claims = signed_claims(t, text, hub != NULL, out);
    if (!out->claims)
        return TOKEN_INVALID;

    const char *fault = judge(&t->rules, now_ms, out);
    if (!fault && hub)
        fault = get_mercure(out, *hub);
    if (fault && !*out->fault)
        set_fault(out, "%s", fault);
    if (fault)
        return TOKEN_INVALID;

    if (out->expires_ms)
        out->expires_ms += t->rules.leeway_ms;
    if (!out->expires_ms || out->expires_ms > now_ms)
        return TOKEN_GOOD;
    set_fault(out, "it has expired");
    return TOKEN_EXPIRED;
}

static enum token_verdict verify(struct tokens *t, const char *text, int64_t now_ms, const struct slice *hub,
                                 struct token *out)
{
    *out = (struct token){0};
    enum token_verdict v = text ? verdict(t, text, now_ms, hub, out) : TOKEN_MISSING;
    if (v != TOKEN_GOOD) {
        char fault[TOKEN_FAULT_MAX];
        memcpy(fault, out->fault, sizeof fault);
        token_release(out);
        memcpy(out->fault, fault, sizeof fault);
    }
    MUST(v == TOKEN_GOOD || (!out->claims && !out->may_publish && !out->sub.len));
    return out->verdict = v;
}

enum token_verdict tokens_verify(struct tokens *t, const char *text, int64_t now_ms, struct token *out)
{
    return verify(t, text, now_ms, NULL, out);
}

void token_release(struct token *token)
{
    for (size_t i = 0; i < token->mercure.room; i++)
        selector_release(&token->mercure.items[i]);
    free(token->mercure.items);
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

char *token_in_request(const struct tokens *t, const struct params *params, size_t index)
{
    char *text = unless_empty(bearer(params));
    if (!text && t->rules.cookie && (text = unless_empty(params_cookie(params, t->rules.cookie, index))))
        return text;
    if (!text)
        text = unless_empty(params_query(params, "token"));
    if (index == 0)
        return text;
    free(text);
    return NULL;
}

bool token_is_brought(const struct tokens *t, const struct params *params)
{
    char *text = token_in_request(t, params, 0);
    bool brought = text != NULL;
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    return brought;
}

static void tell_refusal(const struct token *token, const struct params *params)
{
    const char *client = params_get(params, "REMOTE_ADDR"), *port = params_get(params, "REMOTE_PORT");
    if (token->verdict != TOKEN_GOOD && token->verdict != TOKEN_MISSING)
        log_event(LOG_DEBUG, "token refused", log_name("reason", token->fault),
                  log_name("client", client ? client : "unknown"), log_name("port", port ? port : "unknown"));
}

/* Browsers send several cookies of one name, of several paths or domains: a stale one does
 * not make a request with a good one fail. */
enum token_verdict tokens_verify_request(struct tokens *t, const struct params *params, int64_t now_ms,
                                         struct token *out)
{
    enum token_verdict first = TOKEN_MISSING;
    for (size_t i = 0; i < TOKEN_COOKIES_MAX; i++) {
        char *text = token_in_request(t, params, i);
        if (i && !text)
            break;
        enum token_verdict v = tokens_verify(t, text, now_ms, out);
        free(text);
        tell_refusal(out, params);
        if (v == TOKEN_GOOD || v == TOKEN_MISSING)
            return v;
        if (first != TOKEN_EXPIRED)
            first = v;
    }
    return out->verdict = first;
}

/* --- requests to the hub --- */

/* Where the hub looks, the first that there is. */
enum mercure_place { PLACE_HEADER, PLACE_QUERY, PLACE_COOKIE, PLACE_ACCESS_COOKIE, PLACES };

static char *in_place(const struct params *params, enum mercure_place place, size_t index)
{
    char *text = NULL;
    switch (place) {
    case PLACE_HEADER:
        text = index == 0 ? bearer(params) : NULL;
        break;
    case PLACE_QUERY:
        text = index == 0 ? params_query(params, "authorization") : NULL;
        break;
    case PLACE_COOKIE:
        text = params_cookie(params, "mercureAuthorization", index);
        break;
    case PLACE_ACCESS_COOKIE:
        text = params_cookie(params, "__Secure-mercure_access_token", index);
        break;
    case PLACES:
        break;
    }
    return unless_empty(text);
}

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

bool token_is_brought_to_mercure(const struct params *params)
{
    bool brought = false;
    for (enum mercure_place place = PLACE_HEADER; !brought && place < PLACES; place++) {
        char *text = in_place(params, place, 0);
        brought = text != NULL;
        wipe(text);
    }
    return brought;
}

/* A token in a URL ends up in logs: dialect 1.0 forbids it. */
static void refuse_place(struct token *out, enum mercure_place place)
{
    if (out->verdict != TOKEN_GOOD || place != PLACE_QUERY || !out->access)
        return;

    token_release(out);
    out->verdict = TOKEN_INVALID;
    set_fault(out, "an access token came in the query");
}

enum token_verdict tokens_verify_mercure(struct tokens *t, const struct params *params, int64_t now_ms,
                                         struct token *out)
{
    enum token_verdict first = TOKEN_MISSING;
    struct slice hub = slice_of(params_get(params, "HTTP_HOST"));
    *out = (struct token){0};

    for (enum mercure_place place = PLACE_HEADER; place < PLACES; place++) {
        char *text;
        for (size_t i = 0; i < TOKEN_COOKIES_MAX && (text = in_place(params, place, i)); i++) {
            verify(t, text, now_ms, &hub, out);
            wipe(text);
            refuse_place(out, place);
            tell_refusal(out, params);
            out->from_cookie = place >= PLACE_COOKIE;
            if (out->verdict == TOKEN_GOOD)
                return TOKEN_GOOD;
            if (first != TOKEN_EXPIRED)
                first = out->verdict;
        }
        if (first != TOKEN_MISSING && place < PLACE_COOKIE)
            break; /* an explicit token counts, whatever cookies there are */
    }
    return out->verdict = first;
}

const struct token_refusal *token_refusal(enum token_verdict verdict)
{
    static const struct token_refusal missing = {
        "Bearer", "missing_token", "token required: in Authorization: Bearer, a cookie, or the parameter `token`"};
    static const struct token_refusal expired = {"Bearer error=\"invalid_token\", error_description=\"expired\"",
                                                 "token_expired", "the token has expired"};
    static const struct token_refusal invalid = {"Bearer error=\"invalid_token\"", "invalid_token",
                                                 "the token is not accepted"};

    if (verdict == TOKEN_MISSING)
        return &missing;
    return verdict == TOKEN_EXPIRED ? &expired : &invalid;
}
