/* due.h - when what a log holds must be written to it again.
 *
 * A log evicts its oldest records. What a record says may hold for longer: a ban, the event of a
 * key. The log is divided into four quarters of its capacity. Each item has the quarter of its last
 * record, and the items are in a list in the order of their records. So the owner of the items
 * finds the old ones at the front, and writes them again before the log evicts them.
 *
 * An item is distrusted when a record may have been missed that says otherwise. It is not written
 * again until a record has it, and it is stale after a whole log without one.
 *
 * It does not know what an item is, logs, or clocks. Nothing here allocates.
 *
 * Ownership: items are embedded in their owner's structs, zeroed at first, and dropped before they
 * are freed.
 */
#ifndef SSECAST_DUE_H
#define SSECAST_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define DUE_LOG_QUARTERS 4 /* of a log */
#define DUE_QUARTERS 2     /* an item whose record is this old is written again */

struct due_item {
    TAILQ_ENTRY(due_item) link;
    uint64_t seq;    /* of the last record that has it */
    int64_t quarter; /* in which that was appended */
    bool listed;
    bool distrusted;
};

TAILQ_HEAD(due_items, due_item);

struct due {
    struct due_items items;
    int64_t quarter; /* the one that is being filled; it only grows */
    bool some_distrusted;
};

/* The owner of item, which is the member of a struct type. */
#define DUE_OWNER(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

void due_init(struct due *d);

/* The record seq has the item. It is the newest record:
 * the item moves to the end, and is trusted. */
void due_note(struct due *d, struct due_item *item, uint64_t seq);

/* Nothing when it is not listed. */
void due_drop(struct due *d, struct due_item *item);

/* A quarter of the log's capacity was appended. */
void due_next_quarter(struct due *d);

/* The item behind this one in the order of the records, NULL: the first; NULL at the end. */
struct due_item *due_next(const struct due *d, const struct due_item *item);
struct due_item *due_last(const struct due *d);

/* The age of the item's record in quarters. 0: it is in the one that is being filled. */
int64_t due_age(const struct due *d, const struct due_item *item);

/* Write the item again as soon as possible, before all others. */
void due_hurry(struct due *d, struct due_item *item);

/* The log may lack the records after position (0: any record): hurry with their items. */
void due_doubt(struct due *d, uint64_t position);

/* Distrust all items. Their age is 0 again. */
void due_distrust(struct due *d);

/* The first item behind this one (NULL: of all) that was distrusted a whole log ago. Drop it when
 * the next one is found. NULL: there is none. */
struct due_item *due_next_stale(struct due *d, const struct due_item *item);

/* --- taking back, the last due_note() first --- */

struct due_place {
    struct due_item *before; /* NULL: the first */
    uint64_t seq;
    int64_t quarter;
    bool distrusted;
};

/* The place of a listed item. */
struct due_place due_place(const struct due_item *item);

/* Put a listed item back where it was. */
void due_put_back(struct due *d, struct due_item *item, const struct due_place *place);

#endif
