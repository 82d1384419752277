/* A pair is a session in a channel: one that has a stream there, or is a member. It is in the heap
 * while it has to be looked at. Nothing is decided from an event of presence alone: when a pair is
 * due, presence and the state are asked. So it makes no difference in which order changes come, or
 * how often.
 *
 * Whether what was appended has become final is not asked: a pair is looked at again a moment later. */
#define LOG_SUBSYSTEM "broker"

#include "presence/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/expiry.h"
#include "base/must.h"
#include "base/table.h"
#include "codec/event_key.h"
#include "codec/subscription.h"
#include "ops/log.h"
#include "presence/describe.h"
#include "stats/counters.h"

#define AGAIN_MS 1000     /* from an append to the next look */
#define TOLD_MS 1000      /* between two numbers of members of a channel */
#define BATCH_EVENTS 500u /* of joins and leaves; the next batch has the rest */
#define SWEEP_EVENTS 1000u
#define SWEEP_PAIRS 1000u
#define CROWDED_MAX 100u /* channels whose number is published in one batch */

#define PAIR_NAME_MAX (1 + 2 * NAME_BYTES_MAX)

struct channel {
    TAILQ_ENTRY(channel) crowd;
    uint64_t sessions; /* pairs */
    bool crowded;      /* in the list: has, or had, more sessions than members */
    bool unnamed;      /* a session is no member because the state was full */
};

struct pair {
    struct expiry_item expiry; /* first; in the heap: to be looked at */
    TAILQ_ENTRY(pair) all;
    struct channel *channel;
    int64_t left_at; /* when its last stream was seen to end; clock of members.h */
};

struct members {
    struct members_config config;
    struct slice *patterns;
    char *pattern_text;
    struct table *pairs;    /* pair_name() -> struct pair */
    struct table *channels; /* name -> struct channel */
    TAILQ_HEAD(, pair) all;
    TAILQ_HEAD(, channel) crowded;
    size_t crowded_count;
    struct expiry due;
    uint64_t subscriptions; /* pairs */
    bool left_out;          /* that subscriptions are left out was logged */
    uint64_t swept;         /* position: members up to here were compared */
    bool tell;              /* the numbers of members are due */
    bool full;              /* the state has no room for another member; looked at again with each sweep */
};

/* The batch that is being made. */
struct turn {
    struct members *m;
    size_t max_bytes;
    int64_t now, now_ms;
    unsigned events;
    bool full;
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

struct members *members_new(const struct members_config *config)
{
    struct members *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;

    MUST(config->grace_ms >= 0 && config->lease_ms >= 0);
    m->config = *config;
    TAILQ_INIT(&m->all);
    TAILQ_INIT(&m->crowded);
    m->pairs = table_new(sizeof(struct pair));
    m->channels = table_new(sizeof(struct channel));
    if (!m->pairs || !m->channels || copy_patterns(m, config->channels) != 0)
        members_free(&m);
    return m;
}

void members_free(struct members **m)
{
    if (!*m)
        return;

    table_free(&(*m)->pairs);
    table_free(&(*m)->channels);
    expiry_release(&(*m)->due);
    free((*m)->patterns);
    free((*m)->pattern_text);
    free(*m);
    *m = NULL;
}

/* --- pairs --- */

bool members_has(const struct members *m, struct slice channel)
{
    if (!m || subscription_is_topic(channel))
        return false;

    struct names patterns = {m->patterns, m->config.channels->count};
    return patterns_match(&patterns, channel);
}

/* Is this pair, or may it become, one that is reported? */
static bool is_wanted(const struct members *m, struct slice channel)
{
    return subscription_is_topic(channel) ? m->config.max_subscriptions > 0 : members_has(m, channel);
}

/* The length keeps channel and session apart. */
static struct slice pair_name(struct slice channel, struct slice session, char out[PAIR_NAME_MAX])
{
    MUST(channel.len <= NAME_BYTES_MAX && session.len <= NAME_BYTES_MAX);
    out[0] = (char)channel.len;
    char *end = put_slice(put_slice(out + 1, channel), session);
    return (struct slice){out, (size_t)(end - out)};
}

static struct slice channel_of(const struct pair *p)
{
    return table_name(p->channel);
}

static struct slice session_of(const struct pair *p)
{
    struct slice name = table_name(p);
    size_t before = 1 + channel_of(p).len;
    return (struct slice){name.data + before, name.len - before};
}

static struct pair *find_pair(const struct members *m, struct slice channel, struct slice session)
{
    char name[PAIR_NAME_MAX];
    return table_find(m->pairs, pair_name(channel, session, name));
}

static void note_crowded(struct members *m, struct channel *c)
{
    if (c->crowded)
        return;

    c->crowded = true;
    m->crowded_count++;
    TAILQ_INSERT_TAIL(&m->crowded, c, crowd);
}

/* Forget a channel of which nothing is left. */
static void drop_channel(struct members *m, struct channel *c)
{
    if (!c->sessions && !c->crowded)
        table_remove(m->channels, c);
}

static void drop_pair(struct members *m, struct pair *p)
{
    struct channel *c = p->channel;
    MUST(c->sessions > 0);

    expiry_remove(&m->due, &p->expiry);
    TAILQ_REMOVE(&m->all, p, all);
    MUST(!subscription_is_topic(table_name(c)) || m->subscriptions > 0);
    m->subscriptions -= subscription_is_topic(table_name(c));
    table_remove(m->pairs, p);
    c->sessions--;
    drop_channel(m, c);
}

static struct pair *add_pair(struct members *m, struct slice channel, struct slice session)
{
    char name[PAIR_NAME_MAX];
    struct channel *c = table_insert(m->channels, channel);
    struct pair *p = c ? table_insert(m->pairs, pair_name(channel, session, name)) : NULL;
    if (!p) {
        if (c)
            drop_channel(m, c);
        return NULL;
    }

    p->channel = c;
    m->subscriptions += subscription_is_topic(channel);
    TAILQ_INSERT_TAIL(&m->all, p, all);
    if (++c->sessions > m->config.max && !subscription_is_topic(channel))
        note_crowded(m, c);
    return p;
}

/* How long p's session may be without a stream. */
static int64_t grace_of(const struct members *m, const struct pair *p)
{
    return subscription_is_topic(channel_of(p)) ? 0 : m->config.grace_ms;
}

/* The connection that makes p a member; NULL: it has no stream left. */
static const struct connection *find_here(const struct members *m, const struct pair *p)
{
    struct slice channel = channel_of(p), session = session_of(p);
    if (subscription_is_topic(channel))
        return presence_find(m->config.presence, session);
    return presence_find_in(m->config.presence, session, channel);
}

/* Look at p at this time, or earlier if that was said before. Without memory a sweep finds it. */
static void look_at(struct members *m, struct pair *p, int64_t at)
{
    if (p->expiry.place && p->expiry.at <= at)
        return;

    expiry_remove(&m->due, &p->expiry);
    expiry_add(&m->due, &p->expiry, at);
}

/* Are there sessions that are no members, and will be none soon? */
static bool has_many(const struct members *m, const struct channel *c)
{
    return c->sessions > m->config.max || c->unnamed;
}

uint64_t members_count(const struct members *m, struct slice channel, bool *many)
{
    const struct channel *c = table_find(m->channels, channel);
    *many = c && has_many(m, c);
    return c ? c->sessions : 0;
}

int64_t members_due(const struct members *m)
{
    const struct expiry_item *first = expiry_first(&m->due);
    if (m->tell)
        return INT64_MIN;
    return first ? first->at : INT64_MAX;
}

/* --- what presence says --- */

static void change_in(struct members *m, const struct presence_change *change, struct slice channel,
                      struct slice session, bool foreign, int64_t now)
{
    bool came = change->what == PRESENCE_CONNECTED;
    struct pair *p = find_pair(m, channel, session);
    if (!p && came)
        p = add_pair(m, channel, session);
    if (!p)
        return;

    int64_t at = foreign ? now + MEMBERS_FOREIGN_MS : now;
    if (!came)
        p->left_at = at;
    look_at(m, p, came ? at : at + grace_of(m, p));
}

/* A new one is left out when there are too many. */
static void change_subscription(struct members *m, const struct presence_change *change, struct slice topic,
                                bool foreign, int64_t now)
{
    if (m->subscriptions < m->config.max_subscriptions || find_pair(m, topic, change->connection)) {
        change_in(m, change, topic, change->connection, foreign, now);
        return;
    }
    if (!m->left_out && m->config.max_subscriptions)
        log_warn("more than %llu subscriptions of the Mercure protocol: further ones are not told (max-subscriptions)",
                 (unsigned long long)m->config.max_subscriptions);
    m->left_out = true;
}

static void change_subscriptions(struct members *m, const struct presence_change *change,
                                 const struct connection_info *info, bool foreign, int64_t now)
{
    char topic[NAME_BYTES_MAX];
    struct slice packed = info->subscriptions, name;
    struct subscription s = {0};
    while (subscription_next(&packed, &s)) {
        name = subscription_topic(&s, topic);
        if (name.len)
            change_subscription(m, change, name, foreign, now);
    }
}

void members_change(struct members *m, const struct presence_change *change, bool foreign, int64_t now)
{
    struct connection_info info;
    bool stream = change->what == PRESENCE_CONNECTED || change->what == PRESENCE_DISCONNECTED;
    if (!stream)
        return;

    connection_describe(change->of, &info);
    for (size_t i = 0; info.session.len && i < info.channel_count; i++) {
        struct slice channel = connection_channel(change->of, i);
        if (channel.len && members_has(m, channel))
            change_in(m, change, channel, info.session, foreign, now);
    }
    change_subscriptions(m, change, &info, foreign, now);
}

/* --- appending --- */

static const struct state *state_of(const struct members *m)
{
    return sequence_state(m->config.sequence);
}

/* Append an event of the channel to the batch. False when that is not possible now. */
static bool append(struct turn *t, struct slice channel, const char *name, struct slice session, struct slice data,
                   bool remove)
{
    char key[EVENT_KEY_MAX];
    struct sequence *s = t->m->config.sequence;
    struct sequenced done;
    uint64_t before = sequence_head(s);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE,
        .time_ms = t->now_ms,
        .event = slice_of(name),
        .data = data,
        .key = event_member_key(session, key),
        .remove = remove,
        .is_private = subscription_is_topic(channel),
        .has_to = true,
        .lists = {[TO_CHANNELS] = {&channel, 1}},
    };

    int err = sequence_append(s, &spec, &done);
    t->m->full = t->m->full || err == -EDQUOT;
    if (err)
        return false;
    t->events++;
    t->full = t->events >= BATCH_EVENTS || sequence_batch_bytes(s) > t->max_bytes;
    if (sequence_batch_bytes(s) > t->max_bytes && t->events > 1) {
        sequence_rollback(s, before);
        return false;
    }
    return true;
}

/* The data of a join is kept for the leave: it is that of the state's event. */
static void put_join(struct buf *out, struct slice session, const struct connection *c)
{
    json_begin_object(out, NULL);
    json_put_text(out, "session", session);
    describe_meta(out, c);
    json_end_object(out);
}

struct slice members_data(const struct event *join)
{
    static const char field[] = "\ndata: ";
    const char *at = memmem(join->text.data, join->text.len, field, sizeof field - 1);
    const char *end = join->text.data + join->text.len;
    if (!at)
        return (struct slice){0};

    at += sizeof field - 1;
    const char *line = memchr(at, '\n', (size_t)(end - at));
    return (struct slice){at, (size_t)((line ? line : end) - at)};
}

/* The number of sessions is published instead, until a sweep finds room. */
static void leave_unnamed(struct members *m, struct channel *c)
{
    c->unnamed = true;
    note_crowded(m, c);
}

/* The document of the subscription of c that p is. */
static void put_subscription(struct buf *out, const struct pair *p, const struct connection *c)
{
    char topic[NAME_BYTES_MAX];
    struct connection_info info;
    struct subscription s = {0};
    connection_describe(c, &info);
    while (!out->len && subscription_next(&info.subscriptions, &s))
        if (slice_equal(subscription_topic(&s, topic), channel_of(p)))
            subscription_put(out, &s);
}

/* Dialect 1.0 has a name for the event, 0.x has none. */
static void tell_subscription(struct turn *t, struct pair *p, struct slice document, bool ends)
{
    const char *name = subscription_is_old(document) ? "" : "mercure";
    if (document.len)
        append(t, channel_of(p), name, session_of(p), document, ends);
    look_at(t->m, p, t->now + AGAIN_MS);
}

static void begin_subscription(struct turn *t, struct pair *p, const struct connection *c)
{
    struct buf out = {0};
    put_subscription(&out, p, c);
    tell_subscription(t, p, out.failed ? (struct slice){0} : buf_slice(&out), false);
    buf_release(&out);
}

static void end_subscription(struct turn *t, struct pair *p, const struct event *begun)
{
    struct buf out = {0};
    subscription_put_ended(&out, members_data(begun));
    tell_subscription(t, p, out.failed ? (struct slice){0} : buf_slice(&out), true);
    buf_release(&out);
}

static void join(struct turn *t, struct pair *p, const struct connection *c)
{
    if (subscription_is_topic(channel_of(p))) {
        begin_subscription(t, p, c);
        return;
    }

    struct buf data = {0};
    put_join(&data, session_of(p), c);

    struct slice text = {data.data, data.len};
    if (!data.failed && append(t, channel_of(p), MEMBERS_JOIN, session_of(p), text, false))
        t->m->config.counters[MEMBER_JOINS]++;
    buf_release(&data);
    if (t->m->full)
        leave_unnamed(t->m, p->channel);
    else
        look_at(t->m, p, t->now + AGAIN_MS);
}

static void leave(struct turn *t, struct pair *p, const struct event *joined)
{
    if (subscription_is_topic(channel_of(p))) {
        end_subscription(t, p, joined);
        return;
    }

    char *data = strndup(members_data(joined).data, members_data(joined).len);
    struct slice text = slice_of(data ? data : "{}");

    if (data && append(t, channel_of(p), MEMBERS_LEAVE, session_of(p), text, true))
        t->m->config.counters[MEMBER_LEAVES]++;
    free(data);
    look_at(t->m, p, t->now + AGAIN_MS);
}

/* Compare presence and the state, and append what is different. */
/* Subscriptions have a bound of their own, max-subscriptions. */
static bool has_room(const struct members *m, struct slice channel)
{
    return subscription_is_topic(channel) || state_members(state_of(m), channel) < m->config.max;
}

/* While the state is full, a subscription waits for the next sweep. */
static void admit(struct turn *t, struct pair *p, const struct connection *here)
{
    if (!t->m->full && has_room(t->m, channel_of(p)))
        join(t, p, here);
    else if (t->m->full && !subscription_is_topic(channel_of(p)))
        leave_unnamed(t->m, p->channel);
}

static void look(struct turn *t, struct pair *p)
{
    struct members *m = t->m;
    struct slice channel = channel_of(p), session = session_of(p);
    const struct connection *here = find_here(m, p);
    const struct event *member = state_member(state_of(m), channel, session);
    bool wanted = is_wanted(m, channel);
    bool stays = wanted && (here || t->now < p->left_at + grace_of(m, p));

    if (!stays && member)
        leave(t, p, member);
    else if (!stays)
        drop_pair(m, p);
    else if (!here)
        look_at(m, p, p->left_at + grace_of(m, p));
    else if (!member && !connection_has_ended(here))
        admit(t, p, here);
}

/* --- the number of members --- */

/* True when the event says this number. */
static bool says(const struct event *e, struct slice data)
{
    return slice_equal(members_data(e), data);
}

/* Say how many sessions the channel has, if that is news. False when there is nothing more to say
 * about the channel. */
static bool tell(struct turn *t, struct channel *c)
{
    char data[40];
    struct slice channel = table_name(c), none = {0};
    const struct event *said = state_member(state_of(t->m), channel, none);
    c->unnamed = c->unnamed && c->sessions > state_members(state_of(t->m), channel);
    bool many = has_many(t->m, c);
    int len = snprintf(data, sizeof data, "{\"count\":%llu}", (unsigned long long)c->sessions);
    struct slice text = {data, (size_t)len};
    if (!many && !said)
        return false;

    bool early = said && t->now_ms >= said->time_ms && t->now_ms - said->time_ms < TOLD_MS;
    if (!early && (!many || !said || !says(said, text)))
        append(t, channel, MEMBERS_COUNT, none, text, !many);
    return true;
}

static void tell_all(struct turn *t)
{
    struct members *m = t->m;
    size_t left = m->crowded_count < CROWDED_MAX ? m->crowded_count : CROWDED_MAX;

    for (; left && !t->full; left--) {
        struct channel *c = TAILQ_FIRST(&m->crowded);
        TAILQ_REMOVE(&m->crowded, c, crowd);
        if (tell(t, c)) {
            TAILQ_INSERT_TAIL(&m->crowded, c, crowd);
            continue;
        }
        c->crowded = false;
        m->crowded_count--;
        drop_channel(m, c);
    }
    m->tell = false;
}

/* --- */

void members_append(struct members *m, size_t max_bytes, int64_t now, int64_t now_ms)
{
    struct turn t = {.m = m, .max_bytes = max_bytes, .now = now, .now_ms = now_ms};
    struct pair *p;

    while (!t.full && (p = (struct pair *)expiry_first(&m->due)) && p->expiry.at <= now) {
        expiry_remove(&m->due, &p->expiry);
        look(&t, p);
    }
    if (m->tell && !t.full)
        tell_all(&t);
}

/* A member is in the state. Is it known here? */
static void sweep_member(struct members *m, const struct event *e, int64_t now)
{
    struct slice channel, session;
    if (!event_is_member_key(e->key, &session) || event_key_target(e, &channel) != TARGET_CHANNEL)
        return;

    if (!session.len) {
        struct channel *c = table_insert(m->channels, channel);
        if (c)
            note_crowded(m, c);
        return;
    }

    struct pair *p = find_pair(m, channel, session);
    if (!p && (p = add_pair(m, channel, session))) {
        p->left_at = now + m->config.lease_ms;
        look_at(m, p, is_wanted(m, channel) ? p->left_at + grace_of(m, p) : now);
    }
}

static void sweep_state(struct members *m, int64_t now)
{
    struct event *events[SWEEP_EVENTS];
    struct history_filter filter = {0};
    size_t count = state_read(state_of(m), &filter, m->swept, UINT64_MAX, events, SWEEP_EVENTS, SIZE_MAX);

    for (size_t i = 0; i < count; i++)
        sweep_member(m, events[i], now);
    m->swept = count == SWEEP_EVENTS ? events[count - 1]->seq : 0;
}

/* Does p have to be looked at, although nothing has changed here? Another broker may have been
 * wrong, a log may have been lost, or there is room for a member by now. */
static bool is_odd(const struct members *m, const struct pair *p)
{
    struct slice channel = channel_of(p), session = session_of(p);
    bool member = state_member(state_of(m), channel, session);
    const struct connection *here = find_here(m, p);
    if (!here)
        return member;

    return !member && has_room(m, channel) && !connection_has_ended(here);
}

static void sweep_pairs(struct members *m, int64_t now)
{
    size_t count = table_count(m->pairs);
    for (size_t left = count < SWEEP_PAIRS ? count : SWEEP_PAIRS; left; left--) {
        struct pair *p = TAILQ_FIRST(&m->all);
        TAILQ_REMOVE(&m->all, p, all);
        TAILQ_INSERT_TAIL(&m->all, p, all);
        if (!p->expiry.place && is_odd(m, p))
            look_at(m, p, now);
    }
}

void members_sweep(struct members *m, int64_t now)
{
    m->full = false;
    sweep_state(m, now);
    sweep_pairs(m, now);
    m->tell = m->crowded_count > 0;
}
