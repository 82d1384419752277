/* What services ask, and workers on behalf of others: run, stored, put on the feed, answered, in this order. Without a journal that is one pass
 * (broker_serve()); with one, joint.c decides when each step is due. */
#define LOG_SUBSYSTEM "broker"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "ops/log.h"
#include "parts.h"

/* --- commands --- */

/* Without memory for its reply a request is not answered; the publisher asks again, and its id keeps that from doubling. */
static void put_reply(struct broker *b, struct outbox_reply *reply)
{
    reply->body = (struct slice){b->reply.data, b->reply.len};
    if (b->reply.failed || outbox_put(&b->outbox, reply) != 0) {
        b->counters[REPLIES_DROPPED]++;
        buf_release(&b->reply);
    }
}

/* Answer the request in frames to the peer that reply names. False when it is held. */
static bool run_command(struct broker *b, const struct grant *grant, const struct slice *frames, size_t frame_count,
                        struct outbox_reply *reply)
{
    b->commands.now_ms =
        clock_unix_ms(); /* not before the request came: workers compare it with when streams were opened */
    struct command_outcome outcome = command_run(&b->commands, grant, frames, frame_count, &b->reply);
    if (outcome.held)
        return false;
    reply->provisional = outcome.provisional;
    reply->ref = outcome.ref;
    put_reply(b, reply);
    return true;
}

static void refuse_command(struct broker *b, const char *code, const char *message, struct slice frame,
                           struct outbox_reply *reply)
{
    reply->ref = command_refuse(&b->commands, code, message, frame, &b->reply).ref;
    put_reply(b, reply);
}

static void refuse_surplus(struct broker *b, struct slice frame, struct outbox_reply *reply)
{
    b->counters[IN_FLIGHT_EXCEEDED]++;
    refuse_command(b, CODE_TOO_LARGE, "too many requests are unanswered (--max-in-flight)", frame, reply);
}

/* The patterns in raw, the names of one grant. NULL when out of memory. */
static struct slice *read_patterns(struct slice raw, struct names *out)
{
    struct slice rest = raw, name;
    size_t count = 0;
    while (wire_next_name(&rest, &name))
        count++;
    struct slice *items = calloc(count + 1, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        wire_next_name(&raw, &items[i]);
    *out = (struct names){items, items ? count : 0};
    return items;
}

/* Only the broker knows who has a key, so a worker names those with tokens. When it names nobody it asks for itself. */
static bool take_publisher(struct slice publisher, struct grant *grant)
{
    struct slice token = slice_of(PUBLISHER_TOKEN);
    if (publisher.len && (publisher.len < token.len || memcmp(publisher.data, token.data, token.len) != 0))
        return false;
    grant->publisher = publisher.len ? publisher : slice_of(PUBLISHER_WORKER);
    return true;
}

/* A command that a worker gave. False when it is held. */
static bool run_asked(struct broker *b, struct slice worker, struct slice message)
{
    struct wire_command m;
    bool done = true;
    if (wire_get_command(message, &m) != 0)
        return true;
    if (!take_publisher(m.grant.publisher, &m.grant)) {
        struct outbox_reply refusal = {.peer = worker, .to_worker = true, .request = m.request};
        refuse_command(b, CODE_FORBIDDEN, "a worker may not publish for the bearer of a key", m.json, &refusal);
        return true;
    }
    struct slice *sessions = read_patterns(m.raw_sessions, &m.grant.sessions);
    struct slice *channels = read_patterns(m.raw_channels, &m.grant.channels);
    struct outbox_reply reply = {.peer = worker, .to_worker = true, .request = m.request};
    if (sessions && channels)
        done = run_command(b, &m.grant, &m.json, 1, &reply);
    free(sessions);
    free(channels);
    return done;
}

/* Run one request of a service. *bytes: of the request. False when there is none. */
static bool take_command(struct broker *b, size_t *bytes)
{
    struct bus_message m;
    if (!bus_receive(b->bus, BUS_COMMANDS, &m))
        return false;

    struct outbox_reply reply = {.peer = m.peer, .envelope = m.envelope};
    *bytes = m.frames[0].len + m.frames[1].len;
    if (b->in_flight && !in_flight_take(b->in_flight, m.peer))
        refuse_surplus(b, m.frames[0], &reply);
    else
        run_command(b, access_grant(&b->access, &m), m.frames, m.frame_count, &reply);
    return true;
}

/* The same for what a worker asked for while workers were answered: now, so that what it appends is stored with this turn. */
static bool take_asked(struct broker *b, size_t *bytes)
{
    struct outbox_reply asked;
    if (!outbox_next(&b->asked, &asked))
        return false;

    *bytes = asked.body.len;
    run_asked(b, asked.peer, asked.body);
    return true;
}

static void take_commands(struct broker *b)
{
    struct shares shares;
    enum source from;
    int64_t now = clock_us();
    if (b->in_flight)
        in_flight_begin(b->in_flight);

    for (shares_begin(&shares); shares_next(&shares, &from);) {
        size_t bytes = 0, replies = b->outbox.len;
        bool taken = from == FROM_SERVICES ? take_command(b, &bytes) : take_asked(b, &bytes);
        if (!taken) {
            shares_empty(&shares, from);
            continue;
        }
        int64_t before = now;
        now = clock_us();
        shares_use(&shares, from, bytes + b->outbox.len - replies, now - before);
    }
    b->more = b->more || shares_more(&shares);
}

/* --- what the turn appended --- */

static void publish_batches(struct broker *b)
{
    while (sequence_next_batch(b->sequence, &b->message)) {
        if (b->message.failed) {
            buf_release(&b->message);
            continue;
        }
        bus_publish(b->bus, BUS_FEED, (struct slice){b->message.data, b->message.len});
        b->counters[FEED_MESSAGES]++;
        b->counters[FEED_BYTES] += b->message.len;
    }
}

static int send_reply(struct broker *b, const struct outbox_reply *r)
{
    if (!r->to_worker)
        return bus_send(b->bus, BUS_COMMANDS, r->peer, r->envelope, r->body);
    wire_put_reply(&b->message, &(struct wire_reply){r->request, r->body});
    if (!b->message.failed)
        return bus_send(b->bus, BUS_SYNC, r->peer, (struct slice){0}, (struct slice){b->message.data, b->message.len});
    buf_release(&b->message);
    return -ENOMEM;
}

/* failed: why nothing was stored; NULL: it was. */
static void send_replies(struct broker *b, const char *failed, bool unknown)
{
    struct outbox_reply r;
    while (outbox_next(&b->outbox, &r)) {
        if (failed && r.provisional) {
            command_store_failed(&b->commands, failed, unknown, r.ref, &b->reply);
            r.body = (struct slice){b->reply.data, b->reply.len};
        }
        if (send_reply(b, &r) != 0)
            b->counters[REPLIES_DROPPED]++;
    }
}

/* Store what the turn appended. The number of events or -errno. */
static int commit(struct broker *b, const uint64_t before[BROKER_COUNTERS])
{
    int stored = sequence_commit(b->sequence);
    if (stored > 0)
        b->counters[EVENTS] += (uint64_t)stored;
    if (stored < 0) {
        b->counters[PUBLISHES] = before[PUBLISHES];
        b->counters[DUPLICATES] = before[DUPLICATES];
        b->counters[SHUTDOWNS] = before[SHUTDOWNS];
    }
    if (stored < 0 && !b->failing)
        log_error("events cannot be stored: %s; publishers are told so until they can be again", strerror(-stored));
    if (stored > 0 && b->failing)
        log_info("events can be stored again");
    b->failing = stored < 0 || (b->failing && stored == 0);
    return stored;
}

/* What arrived, until it is stored, on the feed and answered. */
void broker_serve(struct broker *b)
{
    uint64_t before[BROKER_COUNTERS];
    char why[100];
    memcpy(before, b->counters, sizeof before);
    take_commands(b);
    int stored = commit(b, before);
    publish_batches(b);
    snprintf(why, sizeof why, "nothing was stored: %s", stored < 0 ? strerror(-stored) : "");
    send_replies(b, stored < 0 ? why : NULL, false);
}

/* --- with a journal --- */

static bool take_request(void *context, enum source from, struct request *out, bool holding)
{
    struct broker *b = context;
    struct outbox_reply asked;
    struct bus_message m;
    if (from == FROM_WORKERS) {
        if (!outbox_next(&b->asked, &asked))
            return false;
        *out = (struct request){.peer = asked.peer, .to_worker = true, .frames = {asked.body}, .frame_count = 1};
        return true;
    }
    if (!bus_receive(b->bus, BUS_COMMANDS, &m))
        return false;
    *out = (struct request){.peer = m.peer,
                            .envelope = m.envelope,
                            .user = m.user,
                            .surplus = b->in_flight && !holding && !in_flight_take(b->in_flight, m.peer),
                            .frames = {m.frames[0], m.frames[1]},
                            .frame_count = m.frame_count};
    return true;
}

static bool run_request(void *context, const struct request *r, bool holding)
{
    struct broker *b = context;
    b->commands.holding = holding;
    if (r->to_worker)
        return run_asked(b, r->peer, r->frames[0]);
    struct outbox_reply reply = {.peer = r->peer, .envelope = r->envelope};
    if (!r->surplus)
        return run_command(b, access_grant(&b->access, &(struct bus_message){.peer = r->peer, .user = r->user}),
                           r->frames, r->frame_count, &reply);
    refuse_surplus(b, r->frames[0], &reply);
    return true;
}

static void refuse_request(void *context, const struct request *r, const char *code, const char *message)
{
    struct broker *b = context;
    struct wire_command m = {0};
    struct outbox_reply reply = {.peer = r->peer, .envelope = r->envelope, .to_worker = r->to_worker};
    if (r->to_worker && wire_get_command(r->frames[0], &m) != 0)
        return;
    reply.request = m.request;
    refuse_command(b, code, message, r->to_worker ? m.json : r->frames[0], &reply);
}

static void publish_final(void *context)
{
    publish_batches(context);
}

static void reply_final(void *context, const char *failed, bool unknown)
{
    struct broker *b = context;
    send_replies(b, failed, unknown);
    if (b->in_flight)
        in_flight_begin(b->in_flight); /* what is kept for the next turn is not counted */
}

const struct joint_hooks broker_joint_hooks = {take_request, run_request, refuse_request, publish_final, reply_final};
