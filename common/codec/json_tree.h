/* json_tree.h - reads the text of a request once: whether it is JSON, and where its values are.
 *
 * The pass accepts JSON (RFC 8259) and nothing else; halves of surrogate pairs (surrogate.h) in
 * `data` only. It writes one flat array of nodes in the order of the text: an object or list, then
 * the values in it. The values of `data` and `ref` are handed on as they were sent. They have a
 * node each, and nothing that is nested in them has one. The time is linear in the text; the memory
 * is 24 bytes for each node and 8 bytes for each field of an open object.
 *
 * It does not know the commands. Handed on are `data` and `ref` of the request itself, and `data`
 * of the objects in `events`.
 *
 * Ownership: json_tree_release() frees what a tree owns. The text must live as long as the tree. A
 * tree must not be copied: it may point into itself.
 */
#ifndef SSECAST_JSON_TREE_H
#define SSECAST_JSON_TREE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define JSON_LEVELS_MAX 2000u /* objects and lists within each other; jansson reads a few more */
#define JSON_FEW_NODES 16u    /* need no memory of their own */

struct json_bounds {
    size_t levels; /* at most JSON_LEVELS_MAX; 0: that many */
    size_t values; /* without those in `data` and `ref`; 0: no bound */
    bool data;     /* the text is a value for `data` */
};

enum json_verdict {
    JSON_GOOD,
    JSON_BAD,      /* not JSON, or a field twice in one object */
    JSON_TOO_DEEP, /* more than `levels` */
    JSON_TOO_MANY, /* more than `values` */
    JSON_NO_MEMORY,
};

/* A field's name: in the text between its quotes, or (with escapes) decoded. */
struct json_key {
    uint32_t at;
    uint32_t len : 31;
    uint32_t decoded : 1;
};

struct json_node {
    struct json_key key; /* zero for what is no field */
    uint32_t at, len;    /* the value's place in the text */
    uint32_t count : 31; /* the values directly in it */
    uint32_t raw : 1;    /* handed on as it was sent */
    uint32_t next;       /* the node behind this one and all in it */
};

_Static_assert(sizeof(struct json_node) == 24, "the memory that a request may cost depends on it");

struct json_tree {
    struct slice text;
    struct json_node *nodes; /* [0] is the whole value; few, or malloc()ed */
    size_t count, cap;
    struct buf decoded; /* the keys with escapes */
    size_t at;          /* JSON_BAD: bytes read, the wrong one included */
    const char *what;   /* JSON_BAD: what is wrong, for people */
    struct slice field; /* JSON_BAD: the field that came twice, if it has no escapes; else empty */
    struct json_node few[JSON_FEW_NODES];
};

/* Read one text. The caller releases the tree; unless JSON_GOOD it has no nodes. */
enum json_verdict json_tree_read(struct slice text, const struct json_bounds *bounds,
                                 struct json_tree *out);

void json_tree_release(struct json_tree *tree);

/* The value as it was sent, without the white space around it. */
static inline struct slice json_tree_source(const struct json_tree *tree,
                                            const struct json_node *node)
{
    return (struct slice){tree->text.data + node->at, node->len};
}

/* The first value in an object or list, and the one behind a value in it.
 * Only count of them exist. */
static inline const struct json_node *json_tree_first(const struct json_node *node)
{
    return node + 1;
}

static inline const struct json_node *json_tree_next(const struct json_tree *tree,
                                                     const struct json_node *node)
{
    return tree->nodes + node->next;
}

static inline struct slice json_tree_key(const struct json_tree *tree, const struct json_key *key)
{
    return (struct slice){(key->decoded ? tree->decoded.data : tree->text.data) + key->at,
                          key->len};
}

/* Whether a field has this name. Most comparisons end at the first byte. */
static inline bool json_tree_key_is(const struct json_tree *tree, const struct json_node *field,
                                    const char *name)
{
    struct slice key = json_tree_key(tree, &field->key);
    return *name == (key.len ? *key.data : 0) && slice_equal(key, slice_of(name));
}

/* The field of an object; NULL: none. Every other value has no fields. */
const struct json_node *json_tree_find(const struct json_tree *tree, const struct json_node *object,
                                       const char *name);

/* Decode the valid inside of a string to out, which has room for as many bytes. Returns how many
 * were written. */
size_t json_tree_decode(struct slice inside, char *out);

#endif
