/* Buckets are ranges of hashes: the first bits of a hash are its bucket. The entries of a bucket
 * are in the order of their hashes. So all entries are, whatever the number of buckets, and a walk
 * goes on where it was when that number has changed in between. */
#include "base/table.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"

#define BUCKET_BITS_MIN 3u
#define BUCKET_BITS_MAX 28u
#define FULL 2u        /* with more entries than this for each bucket, the buckets are doubled */
#define SPARSE 8u      /* with more buckets than this to an entry, they are halved */
#define WORDS_BITS 10u /* of a value's size, in words */

/* The name follows the value. */
struct entry {
    struct entry *next; /* in the bucket */
    uint32_t hash;
    uint32_t name_len : 32 - WORDS_BITS;
    uint32_t words : WORDS_BITS; /* of the value */
    _Alignas(int64_t) _Alignas(void *) char value[];
};

#define WORD sizeof(int64_t)
#define VALUE_MAX ((((size_t)1 << WORDS_BITS) - 1) * WORD)

_Static_assert(TABLE_NAME_MAX < (uint64_t)1 << (32 - WORDS_BITS),
               "an entry says how long its name is");
_Static_assert(sizeof(struct entry) <= 16, "there is one for each stream's session");

struct table {
    size_t value_words;
    size_t count;
    unsigned bits;          /* 2^bits buckets, unless there are none yet */
    struct entry **buckets; /* NULL until the first entry */
    size_t first;           /* those below this one are empty */
};

static struct entry *entry_of(const void *value)
{
    return (struct entry *)((char *)value - offsetof(struct entry, value));
}

static char *name_of(const struct entry *e)
{
    return (char *)e->value + e->words * WORD;
}

static size_t bucket_count(const struct table *t)
{
    return t->buckets ? (size_t)1 << t->bits : 0;
}

static size_t bucket_of(const struct table *t, uint32_t hash)
{
    return hash >> (32 - t->bits);
}

struct table *table_new(size_t value_size)
{
    MUST(value_size <= VALUE_MAX);
    struct table *t = calloc(1, sizeof *t);
    if (t)
        t->value_words = (value_size + WORD - 1) / WORD;
    return t;
}

static void free_chain(struct entry *e)
{
    while (e) {
        struct entry *next = e->next;
        free(e);
        e = next;
    }
}

void table_free(struct table **t)
{
    if (!*t)
        return;
    for (size_t i = 0; i < bucket_count(*t); i++)
        free_chain((*t)->buckets[i]);
    free((*t)->buckets);
    free(*t);
    *t = NULL;
}

/* --- buckets --- */

/* Put the entries into 2^bits buckets. They are moved in their order. Without memory nothing
 * changes: the chains become longer. */
static void table_resize(struct table *t, unsigned bits)
{
    struct entry **buckets = calloc((size_t)1 << bits, sizeof(struct entry *)), **end = NULL;
    size_t last = SIZE_MAX;
    if (!buckets)
        return;

    for (size_t i = 0; i < bucket_count(t); i++)
        for (struct entry *e = t->buckets[i]; e; e = e->next) {
            size_t bucket = e->hash >> (32 - bits);
            if (bucket != last && end)
                *end = NULL;
            if (bucket != last)
                end = &buckets[bucket];
            *end = e;
            end = &e->next;
            last = bucket;
        }
    free(t->buckets);
    t->buckets = buckets;
    t->bits = bits;
    t->first = 0;
}

/* Where the entry of this name is linked, or else where it would be. */
static struct entry **table_place(const struct table *t, struct slice name, uint32_t hash)
{
    struct entry **at = &t->buckets[bucket_of(t, hash)];
    while (*at && (*at)->hash < hash)
        at = &(*at)->next;
    while (*at && (*at)->hash == hash &&
           !slice_equal((struct slice){name_of(*at), (*at)->name_len}, name))
        at = &(*at)->next;
    return at;
}

static uint32_t table_hash(struct slice name)
{
    return (uint32_t)hash_keyed(name);
}

static struct entry *table_look(const struct table *t, struct slice name, uint32_t hash)
{
    struct entry *e = t->buckets ? *table_place(t, name, hash) : NULL;
    return e && e->hash == hash ? e : NULL;
}

void *table_find(const struct table *t, struct slice name)
{
    struct entry *e = t->count ? table_look(t, name, table_hash(name)) : NULL;
    return e ? e->value : NULL;
}

static struct entry *new_entry(const struct table *t, struct slice name, uint32_t hash)
{
    struct entry *e =
        name.len > TABLE_NAME_MAX ? NULL : calloc(1, sizeof *e + t->value_words * WORD + name.len);
    if (!e)
        return NULL;

    e->hash = hash;
    e->name_len = (uint32_t)name.len & TABLE_NAME_MAX;
    e->words = (uint32_t)t->value_words & ((1u << WORDS_BITS) - 1);
    if (name.len)
        memcpy(name_of(e), name.data, name.len);
    return e;
}

/* Make sure that there are buckets, and enough of them. False: there are none. */
static bool grow(struct table *t)
{
    if (!t->buckets)
        table_resize(t, BUCKET_BITS_MIN);
    else if (t->count >= bucket_count(t) * FULL && t->bits < BUCKET_BITS_MAX)
        table_resize(t, t->bits + 1);
    return t->buckets;
}

static void link_entry(struct table *t, struct entry *e)
{
    size_t bucket = bucket_of(t, e->hash);
    struct entry **at = table_place(t, (struct slice){name_of(e), e->name_len}, e->hash);

    MUST(!*at || (*at)->hash > e->hash);
    e->next = *at;
    *at = e;
    t->count++;
    if (bucket < t->first)
        t->first = bucket;
}

void *table_insert(struct table *t, struct slice name)
{
    uint32_t hash = table_hash(name);
    struct entry *e = table_look(t, name, hash);
    if (e)
        return e->value;

    e = grow(t) ? new_entry(t, name, hash) : NULL;
    if (!e)
        return NULL;
    link_entry(t, e);
    return e->value;
}

void table_remove(struct table *t, void *value)
{
    struct entry *e = entry_of(value), **at = &t->buckets[bucket_of(t, e->hash)];
    while (*at != e) {
        MUST(*at && (*at)->hash <= e->hash);
        at = &(*at)->next;
    }

    *at = e->next;
    MUST(t->count);
    t->count--;
    free(e);
    while (t->first < bucket_count(t) && !t->buckets[t->first])
        t->first++;
    if (t->count < bucket_count(t) / SPARSE && t->bits > BUCKET_BITS_MIN)
        table_resize(t, t->bits - 1);
}

struct slice table_name(const void *value)
{
    const struct entry *e = entry_of(value);
    return (struct slice){name_of(e), e->name_len};
}

/* --- walking --- */

static struct entry *first_from(const struct table *t, size_t bucket)
{
    while (bucket < bucket_count(t) && !t->buckets[bucket])
        bucket++;
    return bucket < bucket_count(t) ? t->buckets[bucket] : NULL;
}

void *table_next(const struct table *t, const void *value)
{
    const struct entry *before = value ? entry_of(value) : NULL;
    struct entry *e = before ? before->next : first_from(t, t->first);
    if (before && !e)
        e = first_from(t, bucket_of(t, before->hash) + 1);
    return e ? e->value : NULL;
}

size_t table_count(const struct table *t)
{
    return t->count;
}

size_t table_longest_chain(const struct table *t)
{
    size_t longest = 0;

    for (size_t i = 0; i < bucket_count(t); i++) {
        size_t length = 0;
        for (const struct entry *e = t->buckets[i]; e; e = e->next)
            length++;
        if (length > longest)
            longest = length;
    }
    return longest;
}
