/* presence_tracker.h - tracks connections from presence messages, and from snapshots where messages
 * are missing.
 *
 * docs/protocol.md, 1.5, defines how pages of a snapshot and messages are merged. Each change is
 * reported once, although messages may be repeated, late or lost. The tracker counts the
 * connections of sessions. Pure: no I/O and no clock.
 */
#ifndef SSECAST_PRESENCE_TRACKER_H
#define SSECAST_PRESENCE_TRACKER_H

#include "lib/presence_message.h"

struct presence_tracker;

/* The source of a change. */
enum tracker_source {
    TRACKER_MESSAGE,
    TRACKER_PRESENT,  /* the first snapshot */
    TRACKER_INFERRED, /* a later snapshot: the message was missed */
};

struct tracker_change {
    enum ssecast_presence_type type;
    enum tracker_source source;
    const char *connection, *session, *cause; /* cause "": unknown, or none */
    const char *const *channels;
    size_t channel_count;
    int64_t at;
    struct slice whole; /* the broker's JSON object; empty when the change was not in a message */
};

/* The result of a message, or of a check of the broker's position. */
enum tracker_verdict {
    TRACKER_CURRENT,
    TRACKER_MISSED,    /* messages are missing: a snapshot is needed */
    TRACKER_RESTARTED, /* another epoch of the broker: a snapshot is needed */
};

/* tell is called for each change, which is valid during the call. NULL when out of memory. */
struct presence_tracker *
tracker_new(void (*tell)(void *context, const struct tracker_change *change), void *context);
void tracker_free(struct presence_tracker **r);

/* A snapshot: begin; for each page its rows and then the page; then the messages received
 * meanwhile; then the end. now: unix ms. 0 or -ENOMEM. tracker_page() returns -ESTALE when the
 * page is of another epoch than the pages before: begin again. */
void tracker_begin(struct presence_tracker *r);
int tracker_row(struct presence_tracker *r, const struct presence_message *row);
int tracker_page(struct presence_tracker *r, const struct presence_page *page);
void tracker_end(struct presence_tracker *r, int64_t now);

/* True when the snapshot may be incomplete, because the broker has just started. Connections
 * missing in it are kept until a settled snapshot. */
bool tracker_incomplete(const struct presence_tracker *r);

/* The connection id after which the next page begins; "" for the first page. */
const char *tracker_after(const struct presence_tracker *r);

/* Apply a message, only after the pages of a snapshot. *missed: the number of missing messages. */
enum tracker_verdict tracker_message(struct presence_tracker *r, const struct presence_message *m,
                                     uint64_t *missed);

/* Compare with the broker's position. *missed: the number of messages that have not arrived. */
enum tracker_verdict tracker_look(const struct presence_tracker *r, const struct presence_page *at,
                                  uint64_t *missed);

#endif
