/* registry.h - which connections an event concerns: all of them, by session, by channel, by
 * connection id, by patterns that match a channel.
 *
 * A pattern makes a connection no member of a channel: it is neither in a channel's count, nor
 * meant by an `except`.
 *
 * It routes and keeps no order, no queue and no descriptor. A connection is any struct that embeds
 * a registry_entry.
 *
 * Ownership: entries belong to their connections; the registry owns names, ids and its tables.
 */
#ifndef SSECAST_REGISTRY_H
#define SSECAST_REGISTRY_H

#include <sys/queue.h>

#include "auth/selector.h"
#include "base/group.h"
#include "codec/event.h"

struct registry;

/* Of an entry in channels that it does not name. */
struct registry_wide {
    bool every_channel;                 /* it is in every channel, beside those that it names */
    TAILQ_ENTRY(registry_entry) beside; /* every_channel: the others */
    uint32_t pattern_count;             /* it is in each channel that one of its patterns matches */
    uint32_t pattern_weight;            /* of all of them */
    struct membership patterns[];
};

struct registry_entry {
    void *owner;           /* the connection */
    uint64_t generation;   /* counts the entries; tells later users of this slot apart */
    uint64_t mark;         /* the last walk that met it */
    uint32_t slot;         /* place in the table of all */
    uint16_t member_count; /* the session first (of no group: there is none), then the channels */
    uint16_t meta_len;
    struct registry_wide *wide;  /* NULL: it is in the channels that it names alone */
    struct membership members[]; /* behind them: meta_len bytes that are kept for the connection */
};

#define REGISTRY_ID_MAX 64     /* bytes of a connection id, NUL included */
#define REGISTRY_PREFIX_MAX 37 /* of which begin every id */

/* prefix begins every connection id and makes it unique among workers and boots (at most
 * REGISTRY_PREFIX_MAX bytes). NULL when out of memory. */
struct registry *registry_new(const char *prefix);

/* The registry must be empty of connections. */
void registry_free(struct registry **r);

/* A new entry for owner, with a copy of meta (packed values, meta.h); it takes part at once. An
 * empty session: the connection has none, and is in no session's list. NULL when out of memory. */
struct registry_entry *registry_add(struct registry *r, void *owner, struct slice session,
                                    struct names channels, struct slice meta);

/* From now on the entry is in every channel. 0 or -ENOMEM (the entry is to be removed). */
int registry_add_to_all(struct registry *r, struct registry_entry *entry);

/* From now on the entry is in every channel that one of these patterns matches. Entries with the
 * same pattern share it. Once at most, and before registry_add_to_all(). 0 or -ENOMEM (the entry is
 * to be removed). */
int registry_add_patterns(struct registry *r, struct registry_entry *entry,
                          const struct selectors *patterns);

/* The weight of the patterns of all entries, each counted once; and how much these would add. */
size_t registry_pattern_weight(const struct registry *r);
size_t registry_new_pattern_weight(const struct registry *r, const struct selectors *patterns);

/* Is the entry in every channel? */
bool registry_in_all(const struct registry_entry *entry);

/* The entry's patterns: index is below their count. */
uint32_t registry_patterns_of(const struct registry_entry *entry);
uint32_t registry_pattern_weight_of(const struct registry_entry *entry);
struct pattern *registry_pattern(const struct registry_entry *entry, size_t index);

/* Does one of the entry's patterns match a channel of e's `to`? */
bool registry_patterns_match(const struct registry_entry *entry, const struct event *e);

/* Take the entry out and free it; sets *entry to NULL. */
void registry_remove(struct registry *r, struct registry_entry **entry);

/* Connections in all, and those of one session. */
size_t registry_count(const struct registry *r);
size_t registry_session_count(const struct registry *r, struct slice session);

/* The owner of the session's oldest connection, or NULL. */
void *registry_session_oldest(const struct registry *r, struct slice session);

/* Write the connection's id and its NUL to out. Returns out. */
const char *registry_id(const struct registry *r, const struct registry_entry *entry,
                        char out[REGISTRY_ID_MAX]);

struct slice registry_session(const struct registry_entry *entry); /* empty: it has none */
struct slice registry_meta(const struct registry_entry *entry);

/* The owner of the connection in this slot, if it is the one of this generation; else NULL. */
void *registry_find(const struct registry *r, uint32_t slot, uint64_t generation);

/* The generation of the entry that was added last; 0: there was none. Generations only grow. */
uint64_t registry_generation(const struct registry *r);

/* Fill out with the channels' names. There must be room for all that the entry was added with. */
struct names registry_channels(const struct registry_entry *entry, struct slice *out, size_t room);

/* Call meet for the owner of each connection that e concerns, once each. meet may remove that
 * connection and no other. */
void registry_route(struct registry *r, const struct event *e,
                    void (*meet)(void *owner, void *context), void *context);

/* Call meet for every connection's owner; the same holds. */
void registry_each(struct registry *r, void (*meet)(void *owner, void *context), void *context);

/* The same in pieces: from the place *cursor on (0: the first), until meet returns false, which
 * removes nothing. True when there are more: *cursor is the next place. Connections that are
 * added meanwhile may be met or not. */
bool registry_each_from(struct registry *r, size_t *cursor,
                        bool (*meet)(void *owner, void *context), void *context);

#endif
