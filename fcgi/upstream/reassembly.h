/* reassembly.h - the sequence without gaps, from the batches of the feed and the pages of a repair.
 *
 * Feed and sync are two sockets with no order between them. So there is one rule: an event is
 * passed on when its seq follows the position. Newer events are held and missing ones are fetched,
 * until the first held event follows the last fetched one.
 *
 * What has arrived is put in; reassembly_next() takes out what follows from it. It sends nothing:
 * that events are missing is one of the things that reassembly_next() returns. Pure.
 *
 * Ownership: the bytes of a batch or page stay the caller's, valid until reassembly_next() returns
 * REASSEMBLY_NOTHING. A returned event is valid until the next call.
 */
#ifndef SSECAST_REASSEMBLY_H
#define SSECAST_REASSEMBLY_H

#include "codec/wire.h"
#include "model/deque.h"

#define REASSEMBLY_HELD_MAX (64u << 20) /* bytes of held events; beyond, they are fetched again */

enum reassembly_source { SOURCE_NONE, SOURCE_BATCH, SOURCE_PAGE };

/* Zeroed is empty, and its position is not known. */
struct reassembly {
    bool joined;       /* position is known */
    uint64_t position; /* of the last event that was passed on */
    struct deque held; /* events beyond the position, in order */
    size_t held_bytes;
    bool missing; /* events after the position are missing */
    bool broken;  /* the sequence was broken at the position */
    uint64_t oldest;
    enum reassembly_source source;
    struct slice entries;  /* that are left of the batch or page */
    uint64_t upto, head;   /* of the page */
    struct event *current; /* that was returned last */
};

enum reassembly_news {
    REASSEMBLY_NOTHING,  /* everything that was put in is dealt with */
    REASSEMBLY_EVENT,    /* the next event */
    REASSEMBLY_ADVANCED, /* the sequence moved to the position without events */
    REASSEMBLY_BROKEN,   /* events up to the position are gone; the first that is not: oldest */
    REASSEMBLY_MISSING,  /* events after the position are missing: fetch them */
    REASSEMBLY_INVALID,  /* the batch or page ends in invalid bytes, which are ignored */
};

void reassembly_release(struct reassembly *r);

/* A broker is at head. True when this is the first contact: the sequence begins there. Else events
 * are missing when the position is another. */
bool reassembly_join(struct reassembly *r, uint64_t head);

/* A batch of the feed; prev: the seq before its first one. Nothing else is being read. */
void reassembly_batch(struct reassembly *r, uint64_t prev, struct slice entries);

/* The broker has announced that it is at head. */
void reassembly_announced(struct reassembly *r, uint64_t head);

/* The page that was asked for after REASSEMBLY_MISSING. Nothing else is being read. */
void reassembly_page(struct reassembly *r, const struct wire_page *page);

/* What follows from what was put in. *event is set with REASSEMBLY_EVENT. */
enum reassembly_news reassembly_next(struct reassembly *r, struct event **event);

/* The broker's head is another one: reassembly_next() will say REASSEMBLY_MISSING. */
bool reassembly_is_behind(const struct reassembly *r);

/* A batch or page is being read. */
bool reassembly_is_reading(const struct reassembly *r);

/* The broker is lost: drop the held events. Nothing is being read. */
void reassembly_lose(struct reassembly *r);

#endif
