/* There is no recursion, because the sender chooses the depth. Keys are in a hash table, because
 * duplicate fields are refused (in `data` too) and comparing all pairs would take quadratic
 * time. */
#include "codec/json_reduce.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/must.h"
#include "codec/json_lex.h"
#include "codec/surrogate.h"

#define FEW_KEYS 8u /* up to this number, each is compared with each */

/* Where the values of `data` and `ref` may stand. */
#define LEVEL_REQUEST 1u /* the request's own fields */
#define LEVEL_EVENTS 2u  /* the list `events` */
#define LEVEL_EVENT 3u   /* the fields of one of its objects */

/* A key's place: in the text, or (with escapes) decoded in the scan's own bytes. */
struct json_key {
    uint32_t at;
    uint32_t len : 31;
    uint32_t decoded : 1;
};

struct level {
    uint32_t first_key; /* the level's keys begin there */
    bool object;
};

struct reduction {
    const char *start;
    struct json_lexer lex;
    struct json_bounds bounds;
    struct level *levels; /* room for JSON_LEVELS_MAX + 1; [1] is the outermost */
    size_t depth;
    struct json_key *keys; /* of all open objects */
    size_t key_count, key_cap;
    struct buf decoded;
    size_t values;
    bool in_events;    /* within the list `events` */
    size_t raw_depth;  /* of the object whose `data` or `ref` is being read; 0: none is */
    const char *raw;   /* where that value begins; NULL: not yet */
    bool raw_is_ref;   /* it is the request's `ref` */
    const char *taken; /* up to here the text was copied or left out */
    struct json_reduced *out;
};

static enum json_verdict bad_at(struct reduction *s, const char *p, const char *what)
{
    s->out->at = (size_t)(p - s->start) + (p < s->lex.end);
    s->out->what = p < s->lex.end && !*p ? "a NUL byte" : what;
    return JSON_BAD;
}

static enum json_verdict bad(struct reduction *s, const char *what)
{
    return bad_at(s, s->lex.p, s->lex.p < s->lex.end ? what : "it ends too early");
}

/* The lexer found something wrong. */
static enum json_verdict lexed_badly(struct reduction *s)
{
    return bad(s, s->lex.what);
}

/* The next byte is the opening quote. */
static enum json_verdict skip_string(struct reduction *s, struct slice *inside, bool *escaped)
{
    bool in_data = s->raw && !s->raw_is_ref;
    return json_lex_string(&s->lex, in_data, inside, escaped) ? JSON_GOOD : lexed_badly(s);
}

/* --- keys --- */

static char *put_utf8(char *to, int32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

/* Write what the valid escape at *p (behind its backslash) stands for. */
static char *put_escape(char *to, const char **p, const char *end)
{
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *at = strchr(names, **p);
    size_t len = 0;
    char c = *(*p)++;
    if (c == 'u') {
        to = put_utf8(to, surrogate_read(*p, end, &len));
        *p += len;
        return to;
    }
    *to++ = at ? meant[at - names] : c;
    return to;
}

/* Decode a key with escapes. The decoded text is never longer. */
static bool decode(struct reduction *s, struct slice raw, struct json_key *out)
{
    size_t at = s->decoded.len;
    char *bytes = buf_extend(&s->decoded, raw.len), *to = bytes;
    if (!bytes)
        return false;

    for (const char *p = raw.data, *end = p + raw.len; p < end;)
        if (*p == '\\') {
            p++;
            to = put_escape(to, &p, end);
        } else {
            *to++ = *p++;
        }

    size_t len = (size_t)(to - bytes);
    MUST(len <= raw.len);
    *out = (struct json_key){.at = (uint32_t)at, .len = (uint32_t)len & INT32_MAX, .decoded = 1};
    s->decoded.len = at + len;
    return true;
}

static struct slice key_text(const struct reduction *s, const struct json_key *k)
{
    return (struct slice){(k->decoded ? s->decoded.data : s->start) + k->at, k->len};
}

static bool add_key(struct reduction *s, struct slice raw, bool escaped)
{
    struct json_key *keys = array_reserve(s->keys, &s->key_cap, s->key_count + 1, sizeof *keys);
    if (!keys)
        return false;
    s->keys = keys;
    struct json_key *k = &keys[s->key_count];
    if (!escaped)
        *k = (struct json_key){.at = (uint32_t)(raw.data - s->start), .len = (uint32_t)raw.len & INT32_MAX};
    else if (!decode(s, raw, k))
        return false;
    s->key_count++;
    return true;
}

static enum json_verdict compare_few(const struct reduction *s, const struct json_key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(key_text(s, &keys[i]), key_text(s, &keys[j])))
                return JSON_BAD;
    return JSON_GOOD;
}

/* places: a hash table with open addressing, of 1 + index. */
static bool put_in_table(const struct reduction *s, const struct json_key *keys, size_t i, uint32_t *places,
                         size_t mask)
{
    struct slice text = key_text(s, &keys[i]);
    size_t at = (size_t)hash_keyed(text) & mask;
    for (; places[at]; at = (at + 1) & mask)
        if (slice_equal(text, key_text(s, &keys[places[at] - 1])))
            return false;
    places[at] = (uint32_t)i + 1;
    return true;
}

static enum json_verdict compare_many(const struct reduction *s, const struct json_key *keys, size_t count)
{
    size_t size = 2 * FEW_KEYS;
    while (size < 2 * count)
        size *= 2;
    uint32_t *places = calloc(size, sizeof *places);
    enum json_verdict verdict = places ? JSON_GOOD : JSON_NO_MEMORY;
    for (size_t i = 0; i < count && verdict == JSON_GOOD; i++)
        if (!put_in_table(s, keys, i, places, size - 1))
            verdict = JSON_BAD;
    free(places);
    return verdict;
}

/* An object ends: its keys differ, and are forgotten. */
static enum json_verdict close_keys(struct reduction *s)
{
    size_t first = s->levels[s->depth].first_key;
    MUST(first <= s->key_count);
    size_t count = s->key_count - first;
    s->key_count = first;
    if (count < 2)
        return JSON_GOOD;

    const struct json_key *keys = s->keys + first;
    enum json_verdict verdict = count <= FEW_KEYS ? compare_few(s, keys, count) : compare_many(s, keys, count);
    return verdict == JSON_BAD ? bad_at(s, s->lex.p, "duplicate field in this object") : verdict;
}

/* --- what is taken out --- */

/* The first copy makes room for all that can follow. */
static bool copy_until(struct reduction *s, const char *end)
{
    size_t len = (size_t)(end - s->taken);
    if (!s->out->text)
        s->out->text = malloc((size_t)(s->lex.end - s->start) + 1);
    if (!s->out->text)
        return false;
    memcpy(s->out->text + s->out->len, s->taken, len);
    s->out->len += len;
    s->taken = end;
    return true;
}

/* A key was read, its value comes next. */
static void note_key(struct reduction *s, struct slice name)
{
    if (s->raw_depth)
        return;
    bool outermost = s->depth == LEVEL_REQUEST, event = s->depth == LEVEL_EVENT && s->in_events;
    bool is_ref = outermost && slice_equal(name, slice_of("ref"));
    if (outermost)
        s->in_events = slice_equal(name, slice_of("events"));
    if (!is_ref && !((outermost || event) && slice_equal(name, slice_of("data"))))
        return;
    s->raw_depth = s->depth;
    s->raw = NULL;
    s->raw_is_ref = is_ref;
}

static enum json_verdict begin_value(struct reduction *s)
{
    if (!s->raw_depth) {
        s->values++;
        return s->bounds.values && s->values > s->bounds.values ? JSON_TOO_MANY : JSON_GOOD;
    }
    if (s->raw)
        return JSON_GOOD;
    s->raw = s->lex.p;
    return copy_until(s, s->lex.p) ? JSON_GOOD : JSON_NO_MEMORY;
}

/* A value ends at s->lex.p. */
static void end_value(struct reduction *s)
{
    if (!s->raw_depth || s->depth != s->raw_depth)
        return;
    MUST(s->raw && s->taken == s->raw);
    if (s->raw_is_ref)
        s->out->ref = (struct slice){s->raw, (size_t)(s->lex.p - s->raw)};
    s->out->text[s->out->len++] = '0';
    s->taken = s->lex.p;
    s->raw_depth = 0;
    s->raw = NULL;
}

/* --- values --- */

static enum json_verdict open_level(struct reduction *s, bool object)
{
    if (s->depth == s->bounds.levels)
        return JSON_TOO_DEEP;
    MUST(s->depth < JSON_LEVELS_MAX);
    s->levels[++s->depth] = (struct level){.first_key = (uint32_t)s->key_count, .object = object};
    s->lex.p++;
    return JSON_GOOD;
}

/* A key and its colon. */
static enum json_verdict read_key(struct reduction *s)
{
    struct slice raw = {0};
    bool escaped = false;
    json_lex_space(&s->lex);
    if (s->lex.p == s->lex.end || *s->lex.p != '"')
        return bad(s, "a field's name is expected");
    enum json_verdict verdict = skip_string(s, &raw, &escaped);
    if (verdict != JSON_GOOD)
        return verdict;
    if (!add_key(s, raw, escaped))
        return JSON_NO_MEMORY;
    note_key(s, key_text(s, &s->keys[s->key_count - 1]));
    json_lex_space(&s->lex);
    return json_lex_take(&s->lex, ':') ? JSON_GOOD : bad(s, "`:` is expected");
}

/* What follows an opening bracket, up to the first value. *empty: there is none. */
static enum json_verdict first_item(struct reduction *s, bool *empty)
{
    bool object = s->levels[s->depth].object;
    json_lex_space(&s->lex);
    *empty = s->lex.p < s->lex.end && *s->lex.p == (object ? '}' : ']');
    return object && !*empty ? read_key(s) : JSON_GOOD;
}

static enum json_verdict close_level(struct reduction *s)
{
    enum json_verdict verdict = s->levels[s->depth].object ? close_keys(s) : JSON_GOOD;
    s->lex.p++;
    s->depth--;
    return verdict;
}

/* Values have ended: close what is closed, up to the comma before the next value. *more: there
 * is a next value. */
static enum json_verdict after_value(struct reduction *s, bool *more)
{
    enum json_verdict verdict = JSON_GOOD;
    for (end_value(s); s->depth && verdict == JSON_GOOD; end_value(s)) {
        bool object = s->levels[s->depth].object;
        json_lex_space(&s->lex);
        if (json_lex_take(&s->lex, ',')) {
            *more = true;
            return object ? read_key(s) : JSON_GOOD;
        }
        if (s->lex.p == s->lex.end || *s->lex.p != (object ? '}' : ']'))
            return bad(s, object ? "`,` or `}` is expected" : "`,` or `]` is expected");
        verdict = close_level(s);
    }
    *more = false;
    return verdict;
}

/* One value, or the beginning of one with values in it. *open: a value in it comes next. */
static enum json_verdict read_value(struct reduction *s, bool *open)
{
    struct slice inside;
    bool escaped, empty;
    *open = false;
    json_lex_space(&s->lex);
    if (s->lex.p == s->lex.end)
        return bad(s, "");
    enum json_verdict verdict = begin_value(s);
    if (verdict != JSON_GOOD)
        return verdict;
    if (*s->lex.p == '"')
        return skip_string(s, &inside, &escaped);
    if (*s->lex.p != '{' && *s->lex.p != '[')
        return json_lex_scalar(&s->lex) ? JSON_GOOD : lexed_badly(s);
    verdict = open_level(s, *s->lex.p == '{');
    verdict = verdict == JSON_GOOD ? first_item(s, &empty) : verdict;
    if (verdict != JSON_GOOD)
        return verdict;
    *open = !empty;
    return empty ? close_level(s) : JSON_GOOD;
}

static enum json_verdict read_all(struct reduction *s)
{
    enum json_verdict verdict = JSON_GOOD;
    bool more = true, open;
    while (more) {
        verdict = read_value(s, &open);
        if (verdict == JSON_GOOD && !open)
            verdict = after_value(s, &more);
        if (verdict != JSON_GOOD)
            return verdict;
    }
    json_lex_space(&s->lex);
    return s->lex.p == s->lex.end ? JSON_GOOD : bad(s, "the end is expected");
}

enum json_verdict json_reduce(struct slice text, const struct json_bounds *bounds, struct json_reduced *out)
{
    struct level levels[JSON_LEVELS_MAX + 1];
    struct reduction s = {.start = text.data,
                          .lex = {.p = text.data, .end = text.data + text.len},
                          .levels = levels,
                          .taken = text.data,
                          .out = out};
    *out = (struct json_reduced){0};
    s.bounds = *bounds;
    if (!bounds->levels || bounds->levels > JSON_LEVELS_MAX)
        s.bounds.levels = JSON_LEVELS_MAX;
    if (text.len > INT32_MAX) /* places are 31 bits */
        return JSON_TOO_MANY;
    enum json_verdict verdict = read_all(&s);
    if (verdict == JSON_GOOD && out->text)
        copy_until(&s, s.lex.end);
    free(s.keys);
    buf_release(&s.decoded);
    if (verdict != JSON_GOOD) {
        free(out->text);
        out->text = NULL;
        out->ref = (struct slice){0};
    }
    return verdict;
}
