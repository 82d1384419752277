/* members.h - presence in a channel: the arrival and departure of sessions as events of the
 * channel.
 *
 * Which sessions are members is what the current state (state.h) says: `ssecast.join` is an event
 * with the key of the session, and `ssecast.leave` removes the key. So the members survive what the
 * log survives, and all brokers of a cluster agree on them. This module compares presence with the
 * state, and appends what is different. It decides while a batch is made, so a batch that another
 * broker has overtaken is decided again.
 *
 * A session departs when its last stream in the channel ended and a grace time is over. Members of
 * which presence knows nothing (after a start) get a worker's lease in addition. Beyond a bound, a
 * channel has no further members. Then its number of sessions is published (member_counts.h).
 *
 * The subscriptions of a hub's streams are kept in the same way (hub_subscriptions.h).
 *
 * It does not know sockets or clocks: the time (ms of a monotonic clock) is passed in.
 *
 * Ownership: members_new() copies the patterns. Everything else is the caller's.
 */
#ifndef SSECAST_MEMBERS_H
#define SSECAST_MEMBERS_H

#include "codec/grant.h"
#include "log/sequence.h"
#include "ops/option.h"
#include "presence/member_batch.h"
#include "presence/member_counts.h"
#include "presence/presence.h"

#define MEMBERS_JOIN EVENT_RESERVED "join"
#define MEMBERS_LEAVE EVENT_RESERVED "leave"

struct members;

struct members_config {
    const struct option_list *channels; /* patterns */
    int64_t grace_ms;                   /* from the end of a session's last stream to its leaving */
    int64_t lease_ms;                   /* from a start until every worker has reported */
    uint64_t max;                       /* members of a channel */
    uint64_t max_subscriptions;         /* of the hub's streams, of all */
    const struct presence *presence;
    struct sequence *sequence;
    uint64_t *counters; /* BROKER_COUNTERS of them */
};

/* NULL when out of memory. */
struct members *members_new(const struct members_config *config);
void members_free(struct members **m);

/* True when the channel has members. Safe on NULL. */
bool members_has(const struct members *m, struct slice channel);

/* The broker whose worker reported a connection. */
enum reported { REPORTED_HERE, REPORTED_ELSEWHERE };

/* A change of presence. Another broker that reported it will append the event. This one does so
 * only when the event is still missing after MEMBERS_FOREIGN_MS. */
#define MEMBERS_FOREIGN_MS 2000
void members_change(struct members *m, const struct presence_change *change, enum reported reported,
                    int64_t now);

/* Append what is due to the batch, at most max_bytes of it. now_ms is unix time. */
void members_append(struct members *m, size_t max_bytes, int64_t now, int64_t now_ms);

/* When something is due, INT64_MAX: nothing is. */
int64_t members_due(const struct members *m);

/* Compare some members with presence and some of presence with the members, and let the numbers of
 * members be told. Call it each second, between batches. */
void members_sweep(struct members *m, int64_t now);

/* The number of sessions in the channel, members or not.
 * *many: they are more than it has members. */
uint64_t members_count(const struct members *m, struct slice channel, bool *many);

#endif
