/* welcome.h - the bans and the state of a welcome, most of which come in pieces before it.
 *
 * They apply with the welcome, which shows that no piece is missing and at which position they
 * stand. welcome_next() then takes them out, one by one. Pure.
 *
 * Ownership: it copies pieces. What welcome_next() returns is valid until the next call.
 */
#ifndef SSECAST_WELCOME_H
#define SSECAST_WELCOME_H

#include "codec/wire.h"

enum welcome_step { WELCOME_IDLE, WELCOME_PIECES, WELCOME_OWN, WELCOME_CLEAR, WELCOME_ENTRIES };

/* Zeroed is empty. */
struct welcome {
    uint64_t run, count; /* of the pieces that have come */
    struct buf bans, entries;
    enum welcome_step step; /* of taking them out */
    struct slice rest;      /* of the step */
    struct slice own;       /* bans in the welcome itself, the caller's bytes */
    uint64_t position, since;
    struct event *current; /* that was returned last */
};

enum welcome_news {
    WELCOME_NOTHING,
    WELCOME_BAN,         /* a session is banned until until_ms (unix time) */
    WELCOME_ALL_BANS,    /* the list is complete at position, but for bans of records up to since */
    WELCOME_STATE_CLEAR, /* the state follows: that of an earlier welcome no longer counts */
    WELCOME_STATE,       /* the newest event of a key, in order of seq */
    WELCOME_ALL_STATE,   /* the state is complete at position */
};

struct welcome_item {
    struct slice session;
    int64_t until_ms;
    uint64_t position, since;
    struct event *event;
};

/* Drop everything. */
void welcome_release(struct welcome *w);

/* A piece. Only pieces of one epoch that come in order, from 1, count. */
void welcome_add_bans(struct welcome *w, const struct wire_bans *m);
void welcome_add_state(struct welcome *w, const struct wire_state *m);

/* Have all pieces of this welcome come? */
bool welcome_is_complete(const struct welcome *w, const struct wire_welcome *m);

/* The welcome has come, and it is complete: take bans and state out now. m's bytes stay valid until
 * welcome_next() returns WELCOME_NOTHING. Nothing else is being taken out. */
void welcome_begin(struct welcome *w, const struct wire_welcome *m);

/* The bans, then WELCOME_ALL_BANS, WELCOME_STATE_CLEAR, the state, WELCOME_ALL_STATE. Afterwards it
 * is empty. */
enum welcome_news welcome_next(struct welcome *w, struct welcome_item *out);

#endif
