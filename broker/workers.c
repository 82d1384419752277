/* workers.c - answers the requests of workers on the sync socket. It runs after the commit, so that
 * answers contain only events that are stored. */
#define LOG_SUBSYSTEM "broker"

#include "base/clock.h"
#include "broker_state.h"

#define ANSWERS_MAX 64 /* of an iteration */
#define ANSWER_BYTES (4u << 20)
#define ANSWER_US 10000 /* an answer that begins within this time is finished */
#define DEFERRED_BYTES (1u << 20)
/* Commands of workers that wait to be run: the most that one worker sends at once. */
#define COMMAND_BYTES (64u << 20)

/* Presence is known from the reports of workers and does not wait for a commit. */
void broker_send_change(void *context, struct slice message)
{
    struct broker *b = context;
    bus_publish(b->bus, BUS_PRESENCE, message);
    b->counters[PRESENCE_MESSAGES]++;
}

/* Publish a change of presence. Streams that ssecast ended are also kept for the status page
 * (overview.h). */
static void on_change(struct broker *b, const struct presence_change *change,
                      enum reported reported)
{
    struct connection_info info;
    presence_feed_change(&b->feed, change);
    members_change(b->members, change, reported, clock_ms());
    if (change->what != PRESENCE_DISCONNECTED || change->cause == END_CLIENT || change->silent)
        return;

    connection_describe(change->of, &info);
    overview_ended(&b->overview, b->feed.now_ms, end_cause_name(change->cause), info.session,
                   info.worker, 1);
}

void broker_take_changes(struct broker *b, enum reported reported)
{
    struct presence_change change;
    while (presence_next(b->presence, &change))
        on_change(b, &change, reported);
}

/* How far a worker at this position is behind. Events may be on the way to it. */
struct history_lag broker_lag_of(void *context, uint64_t position)
{
    const struct broker *b = context;
    return history_lag(sequence_history(b->sequence), position, clock_unix_ms());
}

static void send_answer(struct broker *b, struct slice worker)
{
    if (b->message.failed || bus_send(b->bus, BUS_SYNC, worker, (struct slice){0},
                                      (struct slice){b->message.data, b->message.len}) != 0)
        b->counters[ANSWERS_DROPPED]++; /* the worker retries */
    if (b->message.failed)
        buf_release(&b->message);
}

/* Too many commands wait. The worker passes the refusal to its publisher. */
static void refuse_command_of(struct broker *b, const struct bus_message *m)
{
    struct wire_command c;
    if (wire_get_command(m->frames[0], &c) != 0)
        return;

    command_refuse(&b->commands, CODE_BUSY,
                   "too many requests of workers are waiting; nothing was done", c.json, &b->reply);
    wire_put_reply(&b->message, &(struct wire_reply){c.request, {b->reply.data, b->reply.len}});
    send_answer(b, m->peer);
}

/* Keep a command until the next iteration. */
static size_t keep_command(struct broker *b, const struct bus_message *m, int64_t now)
{
    size_t len = m->frames[0].len;
    presence_renew(b->presence, m->peer, now);
    b->more = true;
    if (outbox_waiting(&b->worker_commands) + len > COMMAND_BYTES)
        refuse_command_of(b, m);
    else
        outbox_put(&b->worker_commands,
                   &(struct outbox_reply){.peer = m->peer, .body = m->frames[0]});
    return len;
}

static size_t answer_worker(struct broker *b, const struct bus_message *m, int64_t now)
{
    if (!(access_grant(&b->access, m)->roles & ROLE_WORKER)) {
        b->counters[SYNC_FORBIDDEN]++;
        return 0;
    }
    if (wire_type(m->frames[0]) == WIRE_COMMAND)
        return keep_command(b, m, now);

    b->sync.clock_us = clock_unix_us();
    switch (sync_handle(&b->sync, m->peer, m->frames[0], now, &b->message)) {
    case SYNC_SILENCE:
        return 0;
    case SYNC_ANSWER:
        break;
    case SYNC_REPORT:
        broker_take_changes(b, REPORTED_HERE);
        sync_reported(&b->sync, m->peer, m->frames[0], now, &b->message);
    }
    size_t len = b->message.len;
    send_answer(b, m->peer);
    return len;
}

/* The hook of sync.h. */
bool broker_send_worker(void *context, struct slice worker, struct slice message)
{
    struct broker *b = context;
    return bus_send(b->bus, BUS_SYNC, worker, (struct slice){0}, message) == 0;
}

static void answer_deferred_worker(struct broker *b, struct slice worker, struct slice message)
{
    bool (*defer)(void *, struct slice, struct slice) = b->sync.defer;
    b->sync.defer = NULL; /* now the cursor is known, or no broker knows it */
    struct bus_message m = {.peer = worker, .frames = {message}, .frame_count = 1};
    answer_worker(b, &m, clock_ms());
    b->sync.defer = defer;
}

/* The hook of sync.h: the cursor of this request may be from another broker. The request waits
 * until everything was read that the journal had when it arrived. */
bool broker_defer(void *context, struct slice worker, struct slice message)
{
    struct broker *b = context;
    if (b->deferred.len < DEFERRED_BYTES) /* else it is dropped, and the worker retries */
        outbox_put(&b->deferred, &(struct outbox_reply){.peer = worker, .body = message});
    return true;
}

/* The journal was read far enough. The rest is answered in the next iteration. */
static void answer_waiting_workers(struct broker *b)
{
    struct outbox_reply request;
    int64_t until = clock_us() + ANSWER_US;

    while (outbox_next(&b->waiting, &request)) {
        answer_deferred_worker(b, request.peer, request.body);
        if (clock_us() >= until) {
            b->more = true;
            break;
        }
    }
}

void broker_answer_deferred(struct broker *b)
{
    if (sequence_lost(b->sequence))
        return;
    if (b->waiting.len && journal_reached_end(b->journal))
        answer_waiting_workers(b);
    if (b->waiting.len || !b->deferred.len)
        return;

    struct outbox empty = b->waiting;
    b->waiting = b->deferred;
    b->deferred = empty;
    journal_request_end(b->journal, clock_ms());
}

void broker_answer_workers(struct broker *b)
{
    struct bus_message m;
    size_t bytes = 0;
    bool all_read = false;
    int64_t until = clock_us() + ANSWER_US;
    b->feed.now_ms = clock_unix_ms();

    for (int i = 0;
         i < ANSWERS_MAX && bytes < ANSWER_BYTES && !all_read && (!i || clock_us() < until); i++) {
        all_read = !bus_receive(b->bus, BUS_SYNC, &m);
        if (!all_read)
            bytes += answer_worker(b, &m, clock_ms());
    }

    presence_note_read(b->presence, clock_ms(), all_read);
    b->more = b->more || !all_read;
}

/* The hook of cluster.c. */
void broker_resync_worker(void *context, struct slice worker)
{
    struct broker *b = context;
    struct buf message = {0};
    wire_put_resync(&message);
    if (!message.failed)
        bus_send(b->bus, BUS_SYNC, worker, (struct slice){0},
                 (struct slice){message.data, message.len});
    buf_release(&message);
}
