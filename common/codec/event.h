/* event.h - one event of the sequence: its targets and its encoded text.
 *
 * The broker encodes an event once; it is immutable from then on. The feed, replays and stores
 * carry its entry (the bytes below). Streams are sent its text. An event does not know where it was
 * delivered. Whom it concerns is in audience.h, records are in event_record.h, targets of keys in
 * event_key.h.
 *
 * Ownership: reference counted, for one thread. event_new(), event_parse() and event_text() return
 * one reference; event_ref() adds one, event_unref() drops one.
 *
 * The entry, little-endian (format version: see wire.h):
 *     0  u32 size of the whole entry      24  u32 seconds: the block of a shutdown, the ttl of a
 *     4  u8  kind                              message (0: none)
 *     5  u8  flags: 1 has a `to`,         28  u32 text length
 *            2 the id: line is the seq,   32  u16 count of names, one for each list (6)
 *            4 removes its key,           44  u16 publisher length
 *            8 private
 *     6  u16 id length                    46  u16 key length
 *     8  u64 seq                          48  id, publisher, key, then the names (u16 length +
 *    16  u64 time, unix ms                    bytes, list by list), then the text (bans: for each
 *                                          u16 length + session, u64 until; state: entries)
 *
 * An event with an own id names its publisher, because own ids are unique for each publisher. Its
 * id: line shows the own id. When another event showed the same id before, the line shows the seq
 * instead.
 *
 * An event with a key replaces the earlier one with the same key and the same target (state.h). Its
 * target is everyone, one session or one channel, and it has no `except`. Whether it is private is
 * a part of its target: see struct event_place.
 */
#ifndef SSECAST_EVENT_H
#define SSECAST_EVENT_H

#include <stdint.h>

#include "base/name.h"

enum event_kind {
    EVENT_MESSAGE = 1,  /* a publisher's event */
    EVENT_SHUTDOWN = 2, /* ends the streams it concerns */
    EVENT_TEXT = 3,     /* text for one stream (a heartbeat, a response head); never travels */
    EVENT_BANS = 4,     /* bans in place of text, see event_record.h; never delivered */
    /* Entries of events with a key in place of text, see event_record.h; never delivered. */
    EVENT_STATE = 5,
};

enum event_list {
    TO_SESSIONS,
    TO_CHANNELS,
    TO_CONNECTIONS,
    EXCEPT_SESSIONS,
    EXCEPT_CHANNELS,
    EXCEPT_CONNECTIONS,
    EVENT_LISTS
};

#define EVENT_PUBLISHER_MAX 259u           /* bytes of a publisher's identity: "key:" and a name */
#define EVENT_LIST_MAX 65535u              /* names in one list */
#define EVENT_ENTRY_MIN 48u                /* bytes */
#define EVENT_KEY_MAX (1 + NAME_BYTES_MAX) /* bytes: a name, or the result of event_member_key() */
#define EVENT_TTL_MAX 2592000u             /* seconds: 30 days */
#define EVENT_RESERVED "ssecast."          /* event names with this prefix are reserved */

struct names {
    const struct slice *items;
    size_t count;
};

/* The content of a new event. It is copied; the caller has checked names and ids. */
struct event_spec {
    enum event_kind kind;
    uint64_t seq;
    int64_t time_ms;    /* unix time */
    struct slice id;    /* the publisher's own id; empty: the seq is used */
    struct slice event; /* the event: line; empty: none */
    /* The data: lines; for EVENT_BANS what event_put_ban() wrote, for EVENT_STATE entries, and
     * nothing else is looked at. */
    struct slice data;
    struct slice publisher; /* identity; kept only beside an own id */
    struct slice key;       /* EVENT_MESSAGE: replaces the last event with this key; empty: none */
    struct names lists[EVENT_LISTS];
    uint32_t retry;   /* ms */
    uint32_t block_s; /* EVENT_SHUTDOWN: how long its sessions are refused, seconds */
    uint32_t ttl_s;   /* EVENT_MESSAGE: how long it may be delivered, seconds; 0: without end */
    bool remove;      /* the key is forgotten */
    /* Its publisher has limits: for the room of its key or bans, and not a part of the event. */
    bool limited;
    bool is_private; /* only streams whose token grants it receive it; it has a `to` */
    bool seq_as_id;  /* the id: line shows the seq although there is an own id */
    bool has_retry;
    bool has_to; /* false: for everyone but the except lists */
};

struct event {
    uint64_t seq;
    int64_t time_ms;
    uint32_t refs;
    uint32_t block_s; /* EVENT_SHUTDOWN, else 0 */
    uint32_t ttl_s;   /* EVENT_MESSAGE, else 0 */
    uint32_t further; /* EVENT_TEXT: the number of events it holds beside the first */
    enum event_kind kind;
    bool has_to;
    bool seq_as_id;  /* the id: line shows the seq although there is an own id */
    bool remove;     /* its key is forgotten */
    bool is_private; /* its channels reach only streams whose token grants one of them */
    bool superseded; /* a later event has its key and target (kept by state.h, not encoded) */
    uint16_t counts[EVENT_LISTS];
    uint32_t offsets[EVENT_LISTS]; /* of each list's first name, in the entry */
    uint32_t *index;               /* of the names in long lists, in the same allocation, or NULL */
    uint32_t index_slots;
    struct slice id;        /* empty when the publisher gave none */
    struct slice publisher; /* identity of the id's owner; empty: publishers without a key */
    struct slice key;       /* empty: none */
    struct slice text;      /* the encoded SSE block */
    struct slice entry;     /* empty for EVENT_TEXT */
    char bytes[];
};

/* Build and encode an event. A shutdown never has an id: line. NULL when out of memory, or when
 * the entry would exceed 4 GiB or a list EVENT_LIST_MAX. */
struct event *event_new(const struct event_spec *spec);

/* Parse the entry at the start of bytes; *used is its size. NULL with *used 0 when bytes does
 * not begin with a complete valid entry, or when out of memory. */
struct event *event_parse(struct slice bytes, size_t *used);

/* An EVENT_TEXT with a copy of text. NULL when out of memory. */
struct event *event_text(struct slice text);

/* An EVENT_TEXT of len bytes, which the caller writes to its `bytes` before sharing it. NULL
 * when out of memory. */
struct event *event_text_room(size_t len);

struct event *event_ref(struct event *e);

/* Drop a reference and set *e to NULL. Safe on NULL. */
void event_unref(struct event **e);

/* True when the id: line shows the event's own id, so that clients have it as a cursor. */
bool event_shows_id(const struct event *e);

/* The unix time in ms from which the event is not sent; INT64_MAX: always. */
int64_t event_expires_ms(const struct event *e);

/* The text of e without its id: line, as an EVENT_TEXT. NULL when out of memory. */
struct event *event_without_id(const struct event *e);

/* The text of e with another id: line, as an EVENT_TEXT with e's seq and time.
 * NULL when out of memory. */
struct event *event_with_id(const struct event *e, struct slice id);

/* Walk the names of one list: set *cursor to 0, then call until false. */
bool event_next_name(const struct event *e, enum event_list list, size_t *cursor,
                     struct slice *name);

#endif
