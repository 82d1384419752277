/* event_record.h - the records in the log: bans, and entries of events with a key. Brokers and
 * workers read them, and no stream is sent one.
 *
 * When a record is written is decided elsewhere (due.h). A record is made by event_new().
 *
 * Ownership: event_next_entry() returns a reference of the caller.
 */
#ifndef SSECAST_EVENT_RECORD_H
#define SSECAST_EVENT_RECORD_H

#include "codec/event.h"

/* One ban of an EVENT_BANS: session is refused until until_ms (unix time); 0 lifts its ban. The
 * encoded size in bytes, and encoding it to out. */
size_t event_ban_size(struct slice session);
void event_put_ban(char *out, struct slice session, int64_t until_ms);

/* Walk the bans of an EVENT_BANS: set *cursor to 0, then call until false. Other events have
 * none. */
bool event_next_ban(const struct event *e, size_t *cursor, struct slice *session,
                    int64_t *until_ms);

/* Walk the events of an EVENT_STATE: set *cursor to 0, then call until NULL. Each is a reference of
 * the caller. They have a key, are earlier than e and do not remove their key. NULL with *cursor
 * below the length of the text: out of memory. Other events have none. */
struct event *event_next_entry(const struct event *e, size_t *cursor);

/* A record in the log, which brokers and workers read and no stream is sent. */
static inline bool event_is_record(const struct event *e)
{
    return e->kind == EVENT_BANS || e->kind == EVENT_STATE;
}

/* True when the text of a record holds nothing but bans or entries, and it has no targets. */
bool event_record_is_whole(const struct event *e);

#endif
