/* There is no recursion, because the sender chooses the depth. Keys are in a hash table, because
 * duplicate fields are refused (in `data` too) and comparing all pairs would take quadratic
 * time. */
#include "codec/json_tree.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/must.h"
#include "codec/json_lex.h"
#include "codec/surrogate.h"

#define FEW_KEYS 8u    /* up to this number, each is compared with each */
#define FIRST_KEYS 32u /* need no memory of their own */

/* Where the values of `data` and `ref` may stand. */
#define LEVEL_REQUEST 1u /* the request's own fields */
#define LEVEL_EVENTS 2u  /* the list `events` */
#define LEVEL_EVENT 3u   /* the fields of one of its objects */

struct level {
    uint32_t first_key : 31; /* the level's keys begin there */
    uint32_t object : 1;
    uint32_t node; /* its own, or the one that it is handed on with */
};

struct reading {
    struct json_lexer lex;
    struct json_bounds bounds;
    struct level *levels; /* room for JSON_LEVELS_MAX + 1; [1] is the outermost */
    size_t depth;
    struct json_key *keys;       /* of all open objects */
    struct json_key *first_keys; /* room for FIRST_KEYS */
    size_t key_count, key_cap;
    size_t values;
    uint32_t node;    /* of the last value */
    bool in_events;   /* within the list `events` */
    bool raw;         /* a value is being read that is handed on */
    bool raw_is_ref;  /* it is the request's `ref` */
    size_t raw_depth; /* of what holds that value */
    struct json_tree *out;
};

/* As array_reserve(), for an array that begins in memory which cannot be freed. */
static void *reserve(void *items, const void *first, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap || items != first)
        return array_reserve(items, cap, count, size);

    size_t more = *cap;
    void *moved = array_reserve(NULL, &more, 2 * count, size);
    if (!moved)
        return NULL;
    memcpy(moved, first, *cap * size);
    *cap = more;
    return moved;
}

static enum json_verdict bad_at(struct reading *s, const char *p, const char *what)
{
    s->out->at = (size_t)(p - s->out->text.data) + (p < s->lex.end);
    s->out->what = p < s->lex.end && !*p ? "a NUL byte" : what;
    return JSON_BAD;
}

static enum json_verdict bad(struct reading *s, const char *what)
{
    return bad_at(s, s->lex.p, s->lex.p < s->lex.end ? what : "it ends too early");
}

/* The lexer found something wrong. */
static enum json_verdict lexed_badly(struct reading *s)
{
    return bad(s, s->lex.what);
}

/* The next byte is the opening quote. */
static enum json_verdict skip_string(struct reading *s, struct slice *inside, bool *escaped)
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

size_t json_tree_decode(struct slice inside, char *out)
{
    char *to = out;
    for (const char *p = inside.data, *end = p + inside.len; p < end;)
        if (*p == '\\') {
            p++;
            to = put_escape(to, &p, end);
        } else {
            *to++ = *p++;
        }

    size_t len = (size_t)(to - out);
    MUST(len <= inside.len);
    return len;
}

/* Decode a key with escapes. */
static bool decode_key(struct buf *decoded, struct slice inside, struct json_key *out)
{
    size_t at = decoded->len;
    char *bytes = buf_extend(decoded, inside.len);
    if (!bytes)
        return false;

    size_t len = json_tree_decode(inside, bytes);
    *out = (struct json_key){.at = (uint32_t)at, .len = (uint32_t)len & INT32_MAX, .decoded = 1};
    decoded->len = at + len;
    return true;
}

static struct slice key_text(const struct reading *s, const struct json_key *k)
{
    return json_tree_key(s->out, k);
}

static bool add_key(struct reading *s, struct slice inside, bool escaped)
{
    struct json_key *keys =
        reserve(s->keys, s->first_keys, &s->key_cap, s->key_count + 1, sizeof *keys);
    if (!keys)
        return false;
    s->keys = keys;

    struct json_key *k = &keys[s->key_count];
    uint32_t at = (uint32_t)(inside.data - s->out->text.data);
    *k = (struct json_key){.at = at, .len = (uint32_t)inside.len & INT32_MAX};
    if (escaped && !decode_key(&s->out->decoded, inside, k))
        return false;
    s->key_count++;
    return true;
}

/* JSON_BAD: *twice is the key that comes for the second time. */
static enum json_verdict compare_few(const struct reading *s, const struct json_key *keys,
                                     size_t count, const struct json_key **twice)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(key_text(s, &keys[i]), key_text(s, &keys[j]))) {
                *twice = &keys[i];
                return JSON_BAD;
            }
    return JSON_GOOD;
}

/* places: a hash table with open addressing, of 1 + index. */
static bool put_in_table(const struct reading *s, const struct json_key *keys, size_t i,
                         uint32_t *places, size_t mask)
{
    struct slice text = key_text(s, &keys[i]);
    size_t at = (size_t)hash_keyed(text) & mask;
    for (; places[at]; at = (at + 1) & mask)
        if (slice_equal(text, key_text(s, &keys[places[at] - 1])))
            return false;
    places[at] = (uint32_t)i + 1;
    return true;
}

static enum json_verdict compare_many(const struct reading *s, const struct json_key *keys,
                                      size_t count, const struct json_key **twice)
{
    size_t size = 2 * FEW_KEYS;
    while (size < 2 * count)
        size *= 2;
    uint32_t *places = calloc(size, sizeof *places);
    enum json_verdict verdict = places ? JSON_GOOD : JSON_NO_MEMORY;
    for (size_t i = 0; i < count && verdict == JSON_GOOD; i++)
        if (!put_in_table(s, keys, i, places, size - 1)) {
            *twice = &keys[i];
            verdict = JSON_BAD;
        }
    free(places);
    return verdict;
}

/* An object ends: its keys differ, and are forgotten. */
static enum json_verdict close_keys(struct reading *s)
{
    size_t first = s->levels[s->depth].first_key;
    MUST(first <= s->key_count);
    size_t count = s->key_count - first;
    s->key_count = first;
    if (count < 2)
        return JSON_GOOD;

    const struct json_key *keys = s->keys + first, *twice = NULL;
    enum json_verdict verdict = count <= FEW_KEYS ? compare_few(s, keys, count, &twice)
                                                  : compare_many(s, keys, count, &twice);
    if (verdict != JSON_BAD)
        return verdict;

    MUST(twice);
    if (!twice->decoded)
        s->out->field = key_text(s, twice); /* within the text, which outlives the tree */
    return bad_at(s, s->lex.p, "duplicate field in this object");
}

/* --- nodes --- */

/* A key was read, its value comes next. */
static void note_key(struct reading *s, struct slice name)
{
    if (s->raw)
        return;
    bool outermost = s->depth == LEVEL_REQUEST, event = s->depth == LEVEL_EVENT && s->in_events;
    if (!outermost && !event)
        return;

    if (outermost)
        s->in_events = slice_equal(name, slice_of("events"));
    s->raw_is_ref = outermost && slice_equal(name, slice_of("ref"));
    s->raw = s->raw_is_ref || slice_equal(name, slice_of("data"));
    s->raw_depth = s->depth;
}

static bool add_node(struct reading *s)
{
    struct json_tree *t = s->out;
    struct json_node *nodes = reserve(t->nodes, t->few, &t->cap, t->count + 1, sizeof *nodes);
    if (!nodes)
        return false;

    t->nodes = nodes;
    struct json_node *node = &nodes[t->count];
    *node = (struct json_node){.at = (uint32_t)(s->lex.p - t->text.data), .raw = s->raw};
    if (s->levels[s->depth].object)
        node->key = s->keys[s->key_count - 1];
    s->node = (uint32_t)t->count++;
    return true;
}

/* A value begins at s->lex.p. */
static enum json_verdict begin_value(struct reading *s)
{
    if (s->raw && s->depth > s->raw_depth)
        return JSON_GOOD;
    if (!s->raw && ++s->values > s->bounds.values && s->bounds.values)
        return JSON_TOO_MANY;
    return add_node(s) ? JSON_GOOD : JSON_NO_MEMORY;
}

/* A value ends at s->lex.p. */
static void end_value(struct reading *s)
{
    struct json_tree *t = s->out;
    if (s->raw && s->depth > s->raw_depth)
        return;

    MUST(s->node < t->count);
    struct json_node *node = &t->nodes[s->node];
    node->len = (uint32_t)(s->lex.p - t->text.data) - node->at;
    node->next = (uint32_t)t->count;
    if (s->depth)
        t->nodes[s->levels[s->depth].node].count++;
    s->raw = false;
}

/* --- values --- */

static enum json_verdict open_level(struct reading *s, bool object)
{
    if (s->depth == s->bounds.levels)
        return JSON_TOO_DEEP;
    MUST(s->depth < JSON_LEVELS_MAX);
    s->levels[++s->depth] = (struct level){
        .first_key = (uint32_t)s->key_count & INT32_MAX, .object = object, .node = s->node};
    s->lex.p++;
    return JSON_GOOD;
}

/* A key and its colon. */
static enum json_verdict read_key(struct reading *s)
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
static enum json_verdict first_item(struct reading *s, bool *empty)
{
    bool object = s->levels[s->depth].object;
    json_lex_space(&s->lex);
    *empty = s->lex.p < s->lex.end && *s->lex.p == (object ? '}' : ']');
    return object && !*empty ? read_key(s) : JSON_GOOD;
}

static enum json_verdict close_level(struct reading *s)
{
    enum json_verdict verdict = s->levels[s->depth].object ? close_keys(s) : JSON_GOOD;
    s->lex.p++;
    s->node = s->levels[s->depth--].node;
    return verdict;
}

/* Values have ended: close what is closed, up to the comma before the next value. *more: there
 * is a next value. */
static enum json_verdict after_value(struct reading *s, bool *more)
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
static enum json_verdict read_value(struct reading *s, bool *open)
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

static enum json_verdict read_all(struct reading *s)
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

enum json_verdict json_tree_read(struct slice text, const struct json_bounds *bounds,
                                 struct json_tree *out)
{
    struct level levels[JSON_LEVELS_MAX + 1];
    struct json_key first_keys[FIRST_KEYS];
    struct reading s = {.lex = {.p = text.data, .end = text.data + text.len},
                        .bounds = *bounds,
                        .levels = levels,
                        .keys = first_keys,
                        .first_keys = first_keys,
                        .key_cap = FIRST_KEYS,
                        .raw = bounds->data,
                        .out = out};
    levels[0] = (struct level){0};
    if (!bounds->levels || bounds->levels > JSON_LEVELS_MAX)
        s.bounds.levels = JSON_LEVELS_MAX;
    out->text = text;
    out->nodes = out->few;
    out->count = 0;
    out->cap = JSON_FEW_NODES;
    out->decoded = (struct buf){0};
    out->at = 0;
    out->what = NULL;
    out->field = (struct slice){0};
    if (text.len > INT32_MAX) /* places are 31 bits */
        return JSON_TOO_MANY;

    enum json_verdict verdict = read_all(&s);
    if (s.keys != first_keys)
        free(s.keys);
    if (verdict != JSON_GOOD)
        json_tree_release(out);
    return verdict;
}

void json_tree_release(struct json_tree *tree)
{
    if (tree->nodes != tree->few)
        free(tree->nodes);
    buf_release(&tree->decoded);
    tree->nodes = tree->few;
    tree->count = 0;
}

/* --- walking --- */

const struct json_node *json_tree_find(const struct json_tree *tree, const struct json_node *object,
                                       const char *name)
{
    const struct json_node *node = json_tree_first(object);
    if (tree->text.data[object->at] != '{')
        return NULL;

    for (uint32_t i = 0; i < object->count; i++, node = json_tree_next(tree, node))
        if (json_tree_key_is(tree, node, name))
            return node;
    return NULL;
}
