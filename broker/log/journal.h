/* journal.h - a log of turns that several brokers append to: one stream on NATS JetStream, and what to do when it is not as it was.
 *
 * All brokers read the one stream from its begin to its end and go on reading. A turn (turn.h) is offered with the place of the last
 * message its broker has taken in, and the engine takes it only when nothing came after that. So who offers was up to date when the turn was
 * stored, and all brokers hold the same order. Who was overtaken takes in what the others appended and offers anew.
 *
 * What the stream says decides, never a missing acknowledgement: a turn that was given up may still come back, and then it is taken in like
 * anybody's. A stream that was deleted, cut or put back to an older state is noticed (by its sequence, and because each turn names its
 * forerunner) and said.
 *
 * It does not look into events. Nothing in it waits but journal_open() and journal_free(), and a connection that has to be made anew because the
 * server had refused us.
 *
 * Ownership: what journal_next() gives is valid until its next call.
 */
#ifndef SSECAST_JOURNAL_H
#define SSECAST_JOURNAL_H

#include "codec/wire.h"
#include "log/nats_link.h"
#include "log/store.h"
#include "log/turn.h"
#include "model/history.h"

struct journal;

/* Strings must stay valid. */
struct journal_config {
    struct nats_link_config link;
    const char *stream;
    uint64_t replicas;
    struct history_limits limits; /* the stream is made to hold at least as much */
    uint64_t broker;              /* our run: the names of our turns begin with it */
};

/* NULL when where names servers ("nats://HOST:PORT,..."), else what is accepted. */
const char *journal_check(const char *where);

/* NULL when name can be a stream's, else what is accepted. */
const char *journal_check_stream(const char *name);

/* Connect. As nats_link_open(). */
int journal_open(const struct journal_config *config, struct journal **out, char why[NATS_LINK_WHY_MAX]);

/* Safe on NULL. */
void journal_free(struct journal **j);

/* The descriptor that becomes readable when journal_next() may have something; another after each JOURNAL_AWAY. */
int journal_fd(const struct journal *j);

enum journal_news {
    JOURNAL_NOTHING,   /* for now */
    JOURNAL_TURN,      /* somebody's turn, the next one; a turn of ours that was under way is not stored */
    JOURNAL_STORED,    /* the turn that was under way is */
    JOURNAL_OVERTAKEN, /* it is not, and never will be: something else stands in its place */
    JOURNAL_REFUSED,   /* likewise: the engine will not have it; journal_why() */
    JOURNAL_LOST, /* the stream is not the one we read, or lost its end; it is read anew. A turn that was under way is not stored */
};

struct journal_turn {
    struct turn turn;
    bool linked; /* it follows what was taken in last; else something between may be missing */
};

/* now: clock_ms(). */
enum journal_news journal_next(struct journal *j, int64_t now, struct journal_turn *out);

/* Ask again what was not answered. Call it some ten times a second while something is under way or not journal_ready(), else each second. */
void journal_tick(struct journal *j, int64_t now);

/* Everything in the stream was taken in, the stream's leader has the last turn of it too, and it is being read. */
bool journal_ready(const struct journal *j);

/* Ask the engine where the stream ends; one question at a time. */
void journal_ask_end(struct journal *j, int64_t now);

/* Everything up to where the stream ended when that was asked last was taken in. */
bool journal_came_to_end(const struct journal *j);

/* Bytes that a message may have, head included. */
size_t journal_room(const struct journal *j);

/* Offer a turn, when none is under way: message holds the entries after TURN_HEAD_LEN bytes for the head, t what is to be in the head except names
 * and place. The message is taken over, and *message zeroed. */
void journal_offer(struct journal *j, struct buf *message, struct turn *t, int64_t now);

/* Wait no longer for the turn under way. True when it was never sent, so that it is certainly not stored. Else nobody knows: should it be
 * stored, it comes as a JOURNAL_TURN. */
bool journal_give_up(struct journal *j);

/* When the stream's last message was stored (unix ms); 0: there was none. */
int64_t journal_last_ms(const struct journal *j);

/* One line for people: why there is no progress. */
const char *journal_why(const struct journal *j);

/* It makes no sense to go on trying; journal_why(). */
bool journal_hopeless(const struct journal *j);

struct store_stats journal_stats(const struct journal *j);

#endif
