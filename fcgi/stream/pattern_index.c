#include "stream/pattern_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/table.h"

#define LENGTHS (NAME_BYTES_MAX + 1)

/* The patterns with one beginning. */
struct index_bucket {
    LIST_HEAD(index_places, indexed_place) places;
};

/* The patterns for topics in one form. */
struct form_index {
    struct table *buckets;     /* beginning -> struct index_bucket */
    uint32_t lengths[LENGTHS]; /* how many buckets have a beginning of this length */
    uint64_t used[LENGTHS / 64];
};

_Static_assert(LENGTHS % 64 == 0, "a bit for each length");

struct pattern_index {
    struct form_index forms[TOPIC_FORMS];
    size_t count;
};

struct pattern_index *pattern_index_new(void)
{
    struct pattern_index *p = calloc(1, sizeof *p);
    for (size_t i = 0; p && i < TOPIC_FORMS; i++)
        if (!(p->forms[i].buckets = table_new(sizeof(struct index_bucket))))
            pattern_index_free(&p);
    return p;
}

void pattern_index_free(struct pattern_index **p)
{
    if (!*p)
        return;
    MUST((*p)->count == 0);
    for (size_t i = 0; i < TOPIC_FORMS; i++)
        table_free(&(*p)->forms[i].buckets);
    free(*p);
    *p = NULL;
}

size_t pattern_index_count(const struct pattern_index *p)
{
    return p->count;
}

/* --- buckets --- */

static void count_length(struct form_index *index, size_t length, bool more)
{
    uint64_t bit = UINT64_C(1) << (length % 64);
    MUST(length < LENGTHS && (more || index->lengths[length] > 0));
    index->lengths[length] += more ? 1 : UINT32_MAX;
    if (index->lengths[length])
        index->used[length / 64] |= bit;
    else
        index->used[length / 64] &= ~bit;
}

static int pattern_index_join(struct form_index *index, struct slice prefix,
                              struct indexed_place *place)
{
    struct index_bucket *bucket = table_find(index->buckets, prefix);
    if (!bucket) {
        if (!(bucket = table_insert(index->buckets, prefix)))
            return -ENOMEM;
        LIST_INIT(&bucket->places);
        count_length(index, prefix.len, true);
    }

    place->bucket = bucket;
    LIST_INSERT_HEAD(&bucket->places, place, link);
    return 0;
}

static void pattern_index_leave(struct form_index *index, struct indexed_place *place)
{
    struct index_bucket *bucket = place->bucket;
    if (!bucket)
        return;

    place->bucket = NULL;
    LIST_REMOVE(place, link);
    if (!LIST_EMPTY(&bucket->places))
        return;
    count_length(index, table_name(bucket).len, false);
    table_remove(index->buckets, bucket);
}

static void leave_all(struct pattern_index *p, struct indexed_pattern *entry)
{
    for (size_t i = 0; i < TOPIC_FORMS; i++)
        pattern_index_leave(&p->forms[i], &entry->places[i]);
}

/* What begins with more than a topic has matches none. */
int pattern_index_add(struct pattern_index *p, struct indexed_pattern *entry,
                      const struct pattern *pattern)
{
    struct slice prefix;
    MUST(!entry->pattern);

    for (size_t i = 0; i < TOPIC_FORMS; i++) {
        entry->places[i].entry = entry;
        if (!pattern_prefix(pattern, (enum topic_form)i, &prefix) || prefix.len > NAME_BYTES_MAX)
            continue;
        if (pattern_index_join(&p->forms[i], prefix, &entry->places[i]) != 0) {
            leave_all(p, entry);
            return -ENOMEM;
        }
    }

    entry->pattern = pattern;
    p->count++;
    return 0;
}

void pattern_index_remove(struct pattern_index *p, struct indexed_pattern *entry)
{
    if (!entry->pattern)
        return;

    MUST(p->count > 0);
    leave_all(p, entry);
    entry->pattern = NULL;
    p->count--;
}

/* --- matching --- */

struct search {
    struct topic *topic;
    void (*found)(struct indexed_pattern *entry, void *context);
    void *context;
};

static void try_bucket(const struct index_bucket *bucket, const struct search *s)
{
    struct indexed_place *place;
    LIST_FOREACH(place, &bucket->places, link)
    if (pattern_matches_topic(place->entry->pattern, s->topic))
        s->found(place->entry, s->context);
}

static void search_form(const struct form_index *index, struct slice text, const struct search *s)
{
    for (size_t i = 0; i < LENGTHS / 64; i++)
        for (uint64_t left = index->used[i]; left; left &= left - 1) {
            size_t length = i * 64 + (size_t)__builtin_ctzll(left);
            const struct index_bucket *bucket = NULL;
            if (length > text.len)
                return;
            if ((bucket = table_find(index->buckets, (struct slice){text.data, length})))
                try_bucket(bucket, s);
        }
}

/* A topic is a URL or a path, and never both: a pattern is found once. */
void pattern_index_match(struct pattern_index *p, struct topic *topic,
                         void (*found)(struct indexed_pattern *entry, void *context), void *context)
{
    struct search s = {topic, found, context};
    for (size_t i = 0; p->count && i < TOPIC_FORMS; i++) {
        struct slice text;
        if (table_count(p->forms[i].buckets) && topic_form(topic, (enum topic_form)i, &text))
            search_form(&p->forms[i], text, &s);
    }
}
