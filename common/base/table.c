/* Why a wrapper: uthash is macros over the caller's struct; here it is named in one place and
 * stays there. */
#include "base/table.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"

/* Names come from outside: uthash's own hash has no key, and names that collide under it can be
 * computed. */
#define HASH_FUNCTION(name, len, hash) ((hash) = (unsigned)hash_keyed((struct slice){(name), (len)}))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* The name follows the value. The handle knows both its place and its length. Values are made of
 * integers and pointers. */
struct entry {
    UT_hash_handle hh;
    _Alignas(int64_t) _Alignas(void *) char value[];
};

_Static_assert(sizeof(struct entry) <= sizeof(UT_hash_handle) + 4, "an entry adds nothing to the handle but padding");

struct table {
    size_t value_size;
    struct entry *head;
};

static struct entry *entry_of(const void *value)
{
    return (struct entry *)((char *)value - offsetof(struct entry, value));
}

struct table *table_new(size_t value_size)
{
    struct table *t = calloc(1, sizeof *t);
    if (t)
        t->value_size = value_size;
    return t;
}

void table_free(struct table **t)
{
    if (!*t)
        return;
    struct entry *e, *next;
    HASH_ITER (hh, (*t)->head, e, next) {
        HASH_DEL((*t)->head, e); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash's lists
        free(e);
    }
    free(*t);
    *t = NULL;
}

void *table_find(const struct table *t, struct slice name)
{
    struct entry *e;
    HASH_FIND(hh, t->head, name.len ? name.data : "", name.len, e);
    return e ? e->value : NULL;
}

void *table_insert(struct table *t, struct slice name)
{
    void *found = table_find(t, name);
    if (found)
        return found;
    MUST(name.len <= UINT_MAX);
    struct entry *e = calloc(1, sizeof *e + t->value_size + name.len);
    if (!e)
        return NULL;

    char *copy = e->value + t->value_size;
    if (name.len)
        memcpy(copy, name.data, name.len);
    HASH_ADD_KEYPTR(hh, t->head, copy, (unsigned)name.len, e);
    if (!e->hh.tbl) { /* uthash's sign that it found no memory */
        free(e);
        return NULL;
    }
    return e->value;
}

void table_remove(struct table *t, void *value)
{
    struct entry *e = entry_of(value);
    HASH_DEL(t->head, e);
    free(e);
}

struct slice table_name(const void *value)
{
    const struct entry *e = entry_of(value);
    return (struct slice){e->hh.key, e->hh.keylen};
}

void *table_next(const struct table *t, const void *value)
{
    struct entry *e = value ? entry_of(value)->hh.next : t->head;
    return e ? e->value : NULL;
}

size_t table_count(const struct table *t)
{
    return HASH_COUNT(t->head);
}

size_t table_longest_chain(const struct table *t)
{
    size_t longest = 0;

    for (unsigned i = 0; t->head && i < t->head->hh.tbl->num_buckets; i++)
        if (t->head->hh.tbl->buckets[i].count > longest)
            longest = t->head->hh.tbl->buckets[i].count;
    return longest;
}
