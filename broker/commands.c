/* The requests of services, and of workers on behalf of HTTP publishers: take, run, publish, reply.
 * commit.c calls these in order. */
#define LOG_SUBSYSTEM "broker"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker_state.h"
#include "ops/log.h"

/* --- commands --- */

/* Without memory for its reply a request is not answered. The publisher retries, and the id
 * prevents a duplicate. */
static void put_reply(struct broker *b, struct outbox_reply *reply)
{
    reply->body = (struct slice){b->reply.data, b->reply.len};
    if (b->reply.failed || outbox_put(&b->outbox, reply) != 0) {
        b->counters[REPLIES_DROPPED]++;
        buf_release(&b->reply);
    }
}

/* Run the request in frames; the reply goes to the peer that `reply` names. False when the request
 * is held. */
static bool run_command(struct broker *b, const struct grant *grant, const struct slice *frames,
                        size_t frame_count, struct outbox_reply *reply)
{
    /* Not before the request arrived: workers compare it with the time a stream was opened. */
    b->commands.now_ms = clock_unix_ms();
    struct command_outcome outcome =
        command_run(&b->commands, grant, frames, frame_count, &b->reply);
    if (outcome.held)
        return false;

    reply->provisional = outcome.provisional;
    reply->ref = outcome.ref;
    put_reply(b, reply);
    return true;
}

static void refuse_command(struct broker *b, const char *code, const char *message,
                           struct slice frame, struct outbox_reply *reply)
{
    reply->ref = command_refuse(&b->commands, code, message, frame, &b->reply).ref;
    put_reply(b, reply);
}

static void refuse_surplus(struct broker *b, struct slice frame, struct outbox_reply *reply)
{
    b->counters[IN_FLIGHT_EXCEEDED]++;
    refuse_command(b, CODE_TOO_LARGE, "too many requests are unanswered (--max-in-flight)", frame,
                   reply);
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

/* Only the broker knows who has a key, so a worker may name the bearer of a token only. Without a
 * name it asks for itself. */
static bool take_publisher(struct slice publisher, struct grant *grant)
{
    struct slice token = slice_of(PUBLISHER_TOKEN);
    if (publisher.len &&
        (publisher.len < token.len || memcmp(publisher.data, token.data, token.len) != 0))
        return false;
    grant->publisher = publisher.len ? publisher : slice_of(PUBLISHER_WORKER);
    return true;
}

/* A command from a worker. False when it is held. */
static bool run_for_worker(struct broker *b, struct slice worker, struct slice message)
{
    struct wire_command m;
    bool done = true;
    if (wire_get_command(message, &m) != 0)
        return true;

    if (!take_publisher(m.grant.publisher, &m.grant)) {
        struct outbox_reply refusal = {.peer = worker, .to_worker = true, .request = m.request};
        refuse_command(b, CODE_FORBIDDEN, "a worker may not publish for the bearer of a key",
                       m.json, &refusal);
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

static bool take_from_service(struct broker *b, struct pending_request *out, enum appends appends)
{
    struct bus_message m;
    if (!bus_receive(b->bus, BUS_COMMANDS, &m))
        return false;

    *out = (struct pending_request){.peer = m.peer,
                                    .envelope = m.envelope,
                                    .user = m.user,
                                    .surplus = b->in_flight && appends == APPENDS_RUN &&
                                               !in_flight_admit(b->in_flight, m.peer),
                                    .frames = {m.frames[0], m.frames[1]},
                                    .frame_count = m.frame_count};
    return true;
}

/* Workers' commands were kept by the last iteration, when workers were answered (workers.c). */
static bool take_from_worker(struct broker *b, struct pending_request *out)
{
    struct outbox_reply asked;
    if (!outbox_next(&b->worker_commands, &asked))
        return false;

    *out = (struct pending_request){
        .peer = asked.peer, .to_worker = true, .frames = {asked.body}, .frame_count = 1};
    return true;
}

bool commands_take(struct broker *b, enum source from, struct pending_request *out,
                   enum appends appends)
{
    return from == FROM_WORKERS ? take_from_worker(b, out) : take_from_service(b, out, appends);
}

bool commands_run(struct broker *b, const struct pending_request *r, enum appends appends)
{
    b->commands.holding = appends == APPENDS_HELD;
    if (r->to_worker)
        return run_for_worker(b, r->peer, r->frames[0]);

    struct outbox_reply reply = {.peer = r->peer, .envelope = r->envelope};
    if (!r->surplus)
        return run_command(
            b, access_grant(&b->access, &(struct bus_message){.peer = r->peer, .user = r->user}),
            r->frames, r->frame_count, &reply);

    refuse_surplus(b, r->frames[0], &reply);
    return true;
}

void commands_refuse(struct broker *b, const struct pending_request *r, const char *code,
                     const char *message)
{
    struct wire_command m = {0};
    struct outbox_reply reply = {
        .peer = r->peer, .envelope = r->envelope, .to_worker = r->to_worker};
    if (r->to_worker && wire_get_command(r->frames[0], &m) != 0)
        return;

    reply.request = m.request;
    refuse_command(b, code, message, r->to_worker ? m.json : r->frames[0], &reply);
}

/* --- when the batch is decided --- */

void commands_publish(struct broker *b)
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
        return bus_send(b->bus, BUS_SYNC, r->peer, (struct slice){0},
                        (struct slice){b->message.data, b->message.len});
    buf_release(&b->message);
    return -ENOMEM;
}

void commands_reply(struct broker *b, const struct store_failure *failure)
{
    struct outbox_reply r;
    while (outbox_next(&b->outbox, &r)) {
        if (failure && r.provisional) {
            command_store_failed(&b->commands, failure, r.ref, &b->reply);
            r.body = (struct slice){b->reply.data, b->reply.len};
        }
        if (send_reply(b, &r) != 0)
            b->counters[REPLIES_DROPPED]++;
    }

    if (b->in_flight)
        in_flight_reset(b->in_flight); /* requests that wait for the next batch are not counted */
}
