/* roster.h - who is connected, as one who watches knows it: messages in order, snapshots where some are missing.
 *
 * The rule by which pages of a snapshot and messages fit together is in docs/protocol.md, 1.5. Each change is told once, whatever came
 * twice, late or not at all; sessions are counted here. Pure: it neither asks nor waits.
 */
#ifndef SSECAST_ROSTER_H
#define SSECAST_ROSTER_H

#include "lib/notice.h"

struct roster;

/* How a change was learned. */
enum roster_source {
    ROSTER_MESSAGE,
    ROSTER_PRESENT,  /* it was so when we began to watch */
    ROSTER_INFERRED, /* from a later snapshot: the message was missed */
};

struct roster_change {
    enum ssecast_presence_type type;
    enum roster_source source;
    const char *connection, *session, *cause; /* cause "": unknown, or none */
    const char *const *channels;
    size_t channel_count;
    int64_t at;
    struct slice whole; /* what the broker said; empty when it said nothing of the kind */
};

/* What became of a message, or of a look at where the broker stands. */
enum roster_verdict {
    ROSTER_TAKEN,
    ROSTER_MISSED,    /* messages are missing: a snapshot is needed */
    ROSTER_RESTARTED, /* another run of the broker: the same */
};

/* tell is called for each change, valid during the call. NULL when out of memory. */
struct roster *roster_new(void (*tell)(void *context, const struct roster_change *change), void *context);
void roster_free(struct roster **r);

/* A snapshot: begin, each row, then the page it stood on, ..., then messages that have come meanwhile, then the end. 0, or -ENOMEM; roster_page(): also -ESTALE when it is of
 * another run than the pages before. Then begin again. now: unix ms. */
void roster_begin(struct roster *r);
int roster_row(struct roster *r, const struct notice *row);
int roster_page(struct roster *r, const struct notice_page *page);
void roster_end(struct roster *r, int64_t now);

/* The snapshot is of a broker so fresh that some who are connected may not be in it: they are kept until one is taken that knows. */
bool roster_doubts(const struct roster *r);

/* The id behind which the next page begins; "" for the first. */
const char *roster_after(const struct roster *r);

/* A message. Only after a snapshot's pages; *missed: how many are missing. */
enum roster_verdict roster_message(struct roster *r, const struct notice *m, uint64_t *missed);

/* The broker stands at n: *missed messages of it did not come (yet). */
enum roster_verdict roster_look(const struct roster *r, const struct notice_page *at, uint64_t *missed);

#endif
