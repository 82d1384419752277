/* What the worker asks the broker: HELLO, and requests until they are answered. */
#include "base/clock.h"
#include "base/must.h"
#include "upstream/internal.h"

#define PAGE_BYTES (64u << 10)
#define REPAIR_BYTES (1u << 20)

/* Requests follow the answer to HELLO. Otherwise one could reach a restarted broker of which the
 * worker does not know yet: its outcome would be unknown, although nothing was lost. */
static bool may_ask(const struct upstream *u)
{
    return u->welcomed && !u->hello_first_us && !u->hello_unsent;
}

/* The time for which shutdowns are needed began at a moment. Its age grows while the request waits
 * for a broker, and when it is sent again. */
static void renew_age(struct upstream_request *q, int64_t now)
{
    struct wire_shutdowns m;
    MUST(wire_get_shutdowns(buf_slice(&q->message), &m) == 0 && now >= q->dated);
    m.age_ms += (uint64_t)(now - q->dated);
    q->dated = now;
    wire_put_shutdowns(&q->message, &m);
}

/* It is sent again later with the same number, and the first reply counts, unless it is sent only
 * once. False: there is no connection, so it keeps waiting. */
static bool request_send(struct upstream *u, struct upstream_request *q)
{
    if (q->purpose == FOR_SHUTDOWNS)
        renew_age(q, loop_now(u->loop));
    if (socket_send(u->sync, buf_slice(&q->message)) != 0) {
        upstream_lose_connection(u);
        return false;
    }
    outstanding_sent(&u->requests, q, loop_now(u->loop));
    return true;
}

void upstream_send_waiting(struct upstream *u)
{
    struct upstream_request *q;
    while (may_ask(u) && (q = outstanding_next(&u->requests)))
        if (!request_send(u, q))
            return;
}

void upstream_send_again(struct upstream *u)
{
    struct upstream_request *q;
    while (may_ask(u) && (q = outstanding_overdue(&u->requests, loop_now(u->loop))))
        if (!request_send(u, q))
            return;
}

static struct upstream_request *enqueue(struct upstream *u, struct upstream_request *q)
{
    q = outstanding_add(&u->requests, q);
    upstream_send_waiting(u);
    return q;
}

static struct upstream_request *ask_replay(struct upstream *u, enum request_purpose purpose,
                                           void *asker, const struct wire_replay *what,
                                           uint32_t max_bytes)
{
    struct upstream_request *q = outstanding_new(&u->requests, purpose, asker);
    struct wire_replay replay = *what;
    if (!q)
        return NULL;
    replay.request = q->number;
    replay.max_bytes = max_bytes;
    wire_put_replay(&q->message, &replay);
    return enqueue(u, q);
}

struct upstream_request *upstream_replay(struct upstream *u, void *asker,
                                         const struct wire_replay *what)
{
    return ask_replay(u, FOR_REPLAY, asker, what, PAGE_BYTES);
}

struct upstream_request *upstream_shutdowns(struct upstream *u, uint64_t after, uint64_t age_ms)
{
    struct upstream_request *q = outstanding_new(&u->requests, FOR_SHUTDOWNS, NULL);
    if (!q)
        return NULL;
    q->dated = loop_now(u->loop);
    wire_put_shutdowns(&q->message, &(struct wire_shutdowns){
                                        .request = q->number, .after = after, .age_ms = age_ms});
    return enqueue(u, q);
}

struct upstream_request *upstream_command(struct upstream *u, void *asker,
                                          const struct grant *grant, struct slice json, bool again)
{
    struct upstream_request *q = outstanding_new(&u->requests, FOR_COMMAND, asker);
    if (!q)
        return NULL;
    q->once = !again;
    wire_put_command(&q->message,
                     &(struct wire_command){.request = q->number, .grant = *grant, .json = json});
    return enqueue(u, q);
}

bool upstream_was_sent(const struct upstream_request *q)
{
    return q->asked != 0;
}

/* Its place among those in flight is free for one that waits. */
void upstream_forget(struct upstream *u, struct upstream_request **q)
{
    if (!*q)
        return;
    outstanding_drop(*q);
    *q = NULL;
    upstream_send_waiting(u);
}

/* Fetch what follows the position. Without memory the next announcement of the head tries again. */
void upstream_repair(struct upstream *u)
{
    if (!u->requests.repair)
        ask_replay(u, FOR_REPAIR, NULL,
                   &(struct wire_replay){.everything = true, .after = u->sequence.position},
                   REPAIR_BYTES);
    upstream_send_waiting(u);
}

/* --- hello --- */

uint64_t upstream_pieces(const struct upstream *u)
{
    bool come = loop_now(u->loop) - u->piece_at < u->config.pace.move;
    return come ? u->welcome.count : 0;
}

static void say_hello(struct upstream *u, uint64_t pieces)
{
    struct buf b = {0};
    wire_put_hello(&b, &(struct wire_hello){.worker = slice_of(u->config.name),
                                            .position = u->sequence.position,
                                            .labels = u->config.labels,
                                            .pieces = pieces});
    u->hello_unsent = b.failed || socket_send(u->sync, buf_slice(&b)) != 0;
    buf_release(&b);
    u->hello_at = loop_now(u->loop);
    if (!u->hello_first_us)
        u->hello_first_us = clock_us();
}

void upstream_say_hello(struct upstream *u)
{
    say_hello(u, 0);
}

void upstream_repeat_hello(struct upstream *u)
{
    say_hello(u, upstream_pieces(u));
}

/* The broker behind the next connection may be another one. */
void upstream_lose_connection(struct upstream *u)
{
    u->hello_unsent = true;
}

/* The connected broker is lost, or has restarted. */
void upstream_lose_broker(struct upstream *u)
{
    u->welcomed = u->fed = false;
    reassembly_lose(&u->sequence);
    outstanding_lose(&u->requests);
}
