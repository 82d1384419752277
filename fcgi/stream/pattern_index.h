/* pattern_index.h - finds the patterns that match a topic, without trying the others.
 *
 * Patterns are in hash tables by the literal text that they begin with. A topic is looked up by
 * each of its beginnings that is as long as some pattern's. So the cost depends on how many such
 * lengths there are (255 at most), and on the patterns that begin as the topic does.
 *
 * Ownership: an entry is embedded in its owner, and keeps no reference of its pattern.
 */
#ifndef SSECAST_PATTERN_INDEX_H
#define SSECAST_PATTERN_INDEX_H

#include <sys/queue.h>

#include "auth/pattern.h"

struct pattern_index;

/* One pattern. */
struct indexed_pattern {
    const struct pattern *pattern; /* NULL: it is in no index */
    struct indexed_place {
        struct indexed_pattern *entry;
        struct index_bucket *bucket; /* NULL: the pattern matches nothing in this form */
        LIST_ENTRY(indexed_place) link;
    } places[TOPIC_FORMS];
};

/* NULL when out of memory. */
struct pattern_index *pattern_index_new(void);

/* It must be empty. Safe on NULL; sets *p to NULL. */
void pattern_index_free(struct pattern_index **p);

/* entry is zeroed. 0 or -ENOMEM (it stays as it is). */
int pattern_index_add(struct pattern_index *p, struct indexed_pattern *entry,
                      const struct pattern *pattern);

/* Safe when it is in no index. */
void pattern_index_remove(struct pattern_index *p, struct indexed_pattern *entry);

size_t pattern_index_count(const struct pattern_index *p);

/* Call found for each pattern that matches. It neither adds nor removes any. */
void pattern_index_match(struct pattern_index *p, struct topic *topic,
                         void (*found)(struct indexed_pattern *entry, void *context),
                         void *context);

#endif
