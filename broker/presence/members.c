/* A pair is in the heap while it has to be looked at. Nothing is decided from an event of presence
 * alone: when a pair is due, presence and the state are asked. So it makes no difference in which
 * order changes come, or how often.
 *
 * Whether what was appended has become final is not asked: a pair is looked at again a moment
 * later. */
#include "presence/members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/event_key.h"
#include "codec/subscription.h"
#include "presence/describe.h"
#include "presence/hub_subscriptions.h"
#include "presence/pairs.h"
#include "stats/counters.h"

#define AGAIN_MS 1000 /* from an append to the next look */
#define SWEEP_EVENTS 1000u
#define SWEEP_PAIRS 1000u

struct members {
    struct members_config config;
    struct slice *patterns;
    char *pattern_text;
    struct pairs pairs;
    struct member_counts counts;
    uint64_t swept; /* position: members up to here were compared */
    bool full;      /* the state has no room for another member; looked at again with each sweep */
};

/* --- life --- */

static int copy_patterns(struct members *m, const struct option_list *list)
{
    size_t bytes = 1;
    for (size_t i = 0; i < list->count; i++)
        bytes += strlen(list->items[i]);

    char *at = m->pattern_text = malloc(bytes);
    m->patterns = calloc(list->count + 1, sizeof *m->patterns);
    if (!at || !m->patterns)
        return -ENOMEM;

    for (size_t i = 0; i < list->count; i++) {
        m->patterns[i] = (struct slice){at, strlen(list->items[i])};
        at = put_slice(at, slice_of(list->items[i]));
    }
    return 0;
}

static bool matches_pattern(const struct members *m, struct slice channel)
{
    struct names patterns = {m->patterns, m->config.channels->count};
    return patterns_match(&patterns, channel);
}

/* Options do not change, so a channel keeps its rules. */
static struct channel_rules rules_of(const void *context, struct slice channel)
{
    const struct members *m = context;

    if (subscription_is_topic(channel))
        return (struct channel_rules){.kind = CHANNEL_OF_SUBSCRIPTION,
                                      .wanted = m->config.max_subscriptions > 0};
    return (struct channel_rules){.kind = CHANNEL_OF_SESSIONS,
                                  .wanted = matches_pattern(m, channel),
                                  .grace_ms = m->config.grace_ms};
}

struct members *members_new(const struct members_config *config)
{
    struct members *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;

    MUST(config->grace_ms >= 0 && config->lease_ms >= 0);
    m->config = *config;
    member_counts_init(&m->counts, config->max);
    int err = pairs_init(&m->pairs, rules_of, m);
    if (err || copy_patterns(m, config->channels) != 0)
        members_free(&m);
    return m;
}

void members_free(struct members **m)
{
    if (!*m)
        return;

    pairs_release(&(*m)->pairs);
    free((*m)->patterns);
    free((*m)->pattern_text);
    free(*m);
    *m = NULL;
}

/* --- what is known of a pair --- */

bool members_has(const struct members *m, struct slice channel)
{
    return m && !subscription_is_topic(channel) && matches_pattern(m, channel);
}

static bool is_subscription(const struct pair *p)
{
    return p->channel->rules.kind == CHANNEL_OF_SUBSCRIPTION;
}

/* Until when p may be a member without a stream. */
static int64_t stays_until(const struct pair *p)
{
    return p->left_at + p->channel->rules.grace_ms;
}

static const struct state *members_state(const struct members *m)
{
    return sequence_state(m->config.sequence);
}

static const struct event *find_member(const struct members *m, const struct pair *p)
{
    return state_member(members_state(m), pair_channel(p), pair_member(p));
}

/* The connection that makes p a member; NULL: it has no stream left. */
static const struct connection *find_here(const struct members *m, const struct pair *p)
{
    if (is_subscription(p))
        return presence_find(m->config.presence, pair_member(p));
    return presence_find_in(m->config.presence, pair_member(p), pair_channel(p));
}

/* Subscriptions have a bound of their own, max-subscriptions. */
static bool pair_has_room(const struct members *m, const struct pair *p)
{
    return is_subscription(p) || state_members(members_state(m), pair_channel(p)) < m->config.max;
}

static struct pair *add_pair(struct members *m, struct slice channel, struct slice member)
{
    struct pair *p = pairs_add(&m->pairs, channel, member);
    if (p)
        member_counts_added(&m->counts, p->channel);
    return p;
}

uint64_t members_count(const struct members *m, struct slice channel, bool *many)
{
    const struct channel *c = pairs_channel(&m->pairs, channel);
    *many = c && member_counts_many(c, members_state(m));
    return c ? member_counts_number(c, members_state(m)) : 0;
}

int64_t members_due(const struct members *m)
{
    return m->counts.due ? INT64_MIN : pairs_due(&m->pairs);
}

/* --- what presence says --- */

/* A change of presence, and who appends the event. */
struct member_change {
    bool came;
    enum reported reported;
    int64_t now;
};

static void change_pair(struct members *m, const struct member_change *change, struct slice channel,
                        struct slice member)
{
    struct pair *p = pairs_find(&m->pairs, channel, member);
    if (!p && change->came)
        p = add_pair(m, channel, member);
    if (!p)
        return;

    int64_t at = change->now + (change->reported == REPORTED_ELSEWHERE ? MEMBERS_FOREIGN_MS : 0);
    if (!change->came)
        p->left_at = at;
    pairs_look_at(&m->pairs, p, change->came ? at : stays_until(p));
}

/* A new one is left out when there are too many. */
static void change_subscription(struct members *m, const struct member_change *change,
                                struct slice topic, struct slice connection)
{
    uint64_t count = m->pairs.counts[CHANNEL_OF_SUBSCRIPTION], max = m->config.max_subscriptions;
    if (count < max || pairs_find(&m->pairs, topic, connection) ||
        hub_subscriptions_admit(max, count))
        change_pair(m, change, topic, connection);
}

static void change_subscriptions(struct members *m, const struct member_change *change,
                                 struct slice packed, struct slice connection)
{
    struct hub_walk walk = {.packed = packed};
    for (struct slice topic; (topic = hub_walk_next(&walk)).len;)
        change_subscription(m, change, topic, connection);
}

void members_change(struct members *m, const struct presence_change *change, enum reported reported,
                    int64_t now)
{
    struct connection_info info;
    struct member_change c = {
        .came = change->what == PRESENCE_CONNECTED, .reported = reported, .now = now};
    if (!c.came && change->what != PRESENCE_DISCONNECTED)
        return;

    connection_describe(change->of, &info);
    for (size_t i = 0; info.session.len && i < info.channel_count; i++) {
        struct slice channel = connection_channel(change->of, i);
        if (channel.len && members_has(m, channel))
            change_pair(m, &c, channel, info.session);
    }
    change_subscriptions(m, &c, info.subscriptions, change->connection);
}

/* --- appending --- */

/* The data of a join is kept for the leave: it is that of the state's event. */
static void put_join(struct buf *out, struct slice session, const struct connection *c)
{
    json_begin_object(out, NULL);
    json_put_text(out, "session", session);
    describe_meta(out, c);
    json_end_object(out);
}

static void join_session(struct members *m, struct member_batch *t, struct pair *p,
                         const struct connection *c)
{
    struct buf data = {0};
    put_join(&data, pair_member(p), c);

    struct member_event e = {
        .name = MEMBERS_JOIN, .session = pair_member(p), .data = buf_slice(&data)};
    if (!data.failed && member_batch_append(t, p->channel, &e))
        m->config.counters[MEMBER_JOINS]++;
    buf_release(&data);

    if (t->state_full)
        member_counts_note(&m->counts, p->channel);
    else
        pairs_look_at(&m->pairs, p, t->now + AGAIN_MS);
}

static void join_pair(struct members *m, struct member_batch *t, struct pair *p,
                      const struct connection *c)
{
    if (!is_subscription(p)) {
        join_session(m, t, p, c);
        return;
    }

    hub_subscription_begin(t, p, c);
    pairs_look_at(&m->pairs, p, t->now + AGAIN_MS);
}

static void leave_session(struct members *m, struct member_batch *t, struct pair *p,
                          const struct event *joined)
{
    char *data = strndup(member_event_data(joined).data, member_event_data(joined).len);
    struct member_event e = {.name = MEMBERS_LEAVE,
                             .session = pair_member(p),
                             .data = slice_of(data ? data : "{}"),
                             .remove = true};

    if (data && member_batch_append(t, p->channel, &e))
        m->config.counters[MEMBER_LEAVES]++;
    free(data);
}

static void leave_pair(struct members *m, struct member_batch *t, struct pair *p,
                       const struct event *joined)
{
    if (is_subscription(p))
        hub_subscription_end(t, p, joined);
    else
        leave_session(m, t, p, joined);
    pair_set_left(p, !find_member(m, p));
    pairs_look_at(&m->pairs, p, t->now + AGAIN_MS);
}

/* Without room, a subscription waits for the next sweep. A session counts without a name. */
static void admit_pair(struct members *m, struct member_batch *t, struct pair *p,
                       const struct connection *here)
{
    if (!t->state_full && pair_has_room(m, p))
        join_pair(m, t, p, here);
    else if (!is_subscription(p))
        member_counts_note(&m->counts, p->channel);
}

/* A session that had left is back. */
static void return_pair(struct members *m, struct pair *p)
{
    if (!p->left)
        return;

    pair_set_left(p, false);
    member_counts_added(&m->counts, p->channel);
}

/* Compare presence and the state, and append what is different. */
static void compare_pair(struct members *m, struct member_batch *t, struct pair *p)
{
    const struct connection *here = find_here(m, p);
    const struct event *member = find_member(m, p);
    bool stays = p->channel->rules.wanted && (here || t->now < stays_until(p));

    if (stays)
        return_pair(m, p);
    if (!stays && member)
        leave_pair(m, t, p, member);
    else if (!stays)
        pairs_drop(&m->pairs, p);
    else if (!here)
        pairs_look_at(&m->pairs, p, stays_until(p));
    else if (!member && !connection_has_ended(here))
        admit_pair(m, t, p, here);
}

void members_append(struct members *m, size_t max_bytes, int64_t now, int64_t now_ms)
{
    struct member_batch t = {.sequence = m->config.sequence,
                             .max_bytes = max_bytes,
                             .now = now,
                             .now_ms = now_ms,
                             .state_full = m->full};
    struct pair *p;

    while (!t.full && (p = pairs_next_due(&m->pairs, now)))
        compare_pair(m, &t, p);
    if (m->counts.due && !t.full)
        member_counts_append(&m->counts, &t, &m->pairs);
    m->full = t.state_full;
}

/* --- sweeping --- */

/* A member is in the state. Is it known here? */
static void sweep_member(struct members *m, const struct event *e, int64_t now)
{
    struct slice channel, session;
    if (!event_is_member_key(e->key, &session) || event_key_target(e, &channel) != TARGET_CHANNEL)
        return;

    if (!session.len) {
        struct channel *c = pairs_add_channel(&m->pairs, channel);
        if (c)
            member_counts_note(&m->counts, c);
        return;
    }

    struct pair *p = pairs_find(&m->pairs, channel, session);
    if (!p && (p = add_pair(m, channel, session))) {
        p->left_at = now + m->config.lease_ms;
        pairs_look_at(&m->pairs, p, p->channel->rules.wanted ? stays_until(p) : now);
    }
}

static void sweep_state(struct members *m, int64_t now)
{
    struct event *events[SWEEP_EVENTS];
    struct history_filter filter = {0};
    size_t count =
        state_read(members_state(m), &filter, m->swept, UINT64_MAX, events, SWEEP_EVENTS, SIZE_MAX);

    for (size_t i = 0; i < count; i++)
        sweep_member(m, events[i], now);
    m->swept = count == SWEEP_EVENTS ? events[count - 1]->seq : 0;
}

/* Does p have to be looked at, although nothing has changed here? Another broker may have been
 * wrong, a log may have been lost, or there is room for a member by now. */
static bool is_odd(const struct members *m, const struct pair *p)
{
    bool member = find_member(m, p);
    const struct connection *here = find_here(m, p);
    if (!here)
        return member;

    return !member && pair_has_room(m, p) && !connection_has_ended(here);
}

static void sweep_pairs(struct members *m, int64_t now)
{
    size_t count = table_count(m->pairs.pairs);
    for (size_t left = count < SWEEP_PAIRS ? count : SWEEP_PAIRS; left; left--) {
        struct pair *p = pairs_turn(&m->pairs);
        if (!p->expiry.place && is_odd(m, p))
            pairs_look_at(&m->pairs, p, now);
    }
}

void members_sweep(struct members *m, int64_t now)
{
    m->full = false;
    sweep_state(m, now);
    sweep_pairs(m, now);
    member_counts_sweep(&m->counts);
}
