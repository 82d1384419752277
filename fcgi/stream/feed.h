/* feed.h - the sequence as upstream tells it, for all streams: events, breaks, bans.
 *
 * It does not send anything by itself: stream.c delivers with streams_settle(), resume.c brings
 * streams up to date, current.c keeps the state.
 */
#ifndef SSECAST_FEED_H
#define SSECAST_FEED_H

#include "stream/stream.h"

/* The first contact with a broker: the sequence is at position. Streams that waited begin. */
void feed_joined(struct streams *set, uint64_t position);

/* The next event of the sequence. */
void feed_event(struct streams *set, struct event *e);

/* The sequence moved to position without events. */
void feed_advanced(struct streams *set, uint64_t position);

/* Events up to position are no longer available; oldest is the first that is. */
void feed_broken(struct streams *set, uint64_t position, uint64_t oldest);

/* A ban in force: session is banned until until_ms (unix time). */
void feed_banned(struct streams *set, struct slice session, int64_t until_ms);

/* The list of bans is complete, as of position, but for bans of records up to since. */
void feed_all_banned(struct streams *set, uint64_t position, uint64_t since);

/* A page of past shutdowns, from the time in which streams waited for the sequence. */
void feed_shutdowns(struct streams *set, const struct wire_page *page);

#endif
