/* presence_tracker.h - who is connected, as one who watches knows it: messages in order, snapshots where some are missing.
 *
 * The rule by which pages of a snapshot and messages fit together is in docs/protocol.md, 1.5. Each change is told once, whatever came
 * twice, late or not at all; sessions are counted here. Pure: it neither asks nor waits.
 */
#ifndef SSECAST_PRESENCE_TRACKER_H
#define SSECAST_PRESENCE_TRACKER_H

#include "lib/presence_message.h"

struct presence_tracker;

/* How a change was learned. */
enum tracker_source {
    TRACKER_MESSAGE,
    TRACKER_PRESENT,  /* it was so when we began to watch */
    TRACKER_INFERRED, /* from a later snapshot: the message was missed */
};

struct tracker_change {
    enum ssecast_presence_type type;
    enum tracker_source source;
    const char *connection, *session, *cause; /* cause "": unknown, or none */
    const char *const *channels;
    size_t channel_count;
    int64_t at;
    struct slice whole; /* what the broker said; empty when it said nothing of the kind */
};

/* What became of a message, or of a look at where the broker stands. */
enum tracker_verdict {
    TRACKER_CURRENT,
    TRACKER_MISSED,    /* messages are missing: a snapshot is needed */
    TRACKER_RESTARTED, /* another run of the broker: the same */
};

/* tell is called for each change, valid during the call. NULL when out of memory. */
struct presence_tracker *tracker_new(void (*tell)(void *context, const struct tracker_change *change), void *context);
void tracker_free(struct presence_tracker **r);

/* A snapshot: begin, each row, then the page it stood on, ..., then messages that have come meanwhile, then the end. 0, or -ENOMEM; tracker_page(): also -ESTALE when it is of
 * another run than the pages before. Then begin again. now: unix ms. */
void tracker_begin(struct presence_tracker *r);
int tracker_row(struct presence_tracker *r, const struct presence_message *row);
int tracker_page(struct presence_tracker *r, const struct presence_page *page);
void tracker_end(struct presence_tracker *r, int64_t now);

/* The snapshot is of a broker so fresh that some who are connected may not be in it: they are kept until one is taken that knows. */
bool tracker_incomplete(const struct presence_tracker *r);

/* The id behind which the next page begins; "" for the first. */
const char *tracker_after(const struct presence_tracker *r);

/* A message. Only after a snapshot's pages; *missed: how many are missing. */
enum tracker_verdict tracker_message(struct presence_tracker *r, const struct presence_message *m, uint64_t *missed);

/* The broker stands at n: *missed messages of it did not come (yet). */
enum tracker_verdict tracker_look(const struct presence_tracker *r, const struct presence_page *at, uint64_t *missed);

#endif
