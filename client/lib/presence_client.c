/* link.c receives messages, publisher.c requests snapshots, presence_tracker.c derives the
 * changes. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "lib/link.h"
#include "lib/presence_tracker.h"

#define ENDPOINT "tcp://127.0.0.1:5573"
#define CHECK_MS 2000u
#define LISTEN_MS 1000 /* a snapshot waits this long for the subscription */
#define SOON_MS 100    /* first check after a snapshot, for a late subscription */
#define GRACE_MS 500   /* for messages in transit whose numbers are known already */
#define AGAIN_MS 1000
#define BURST_MAX 1000 /* messages processed before the time is checked */
#define HEARD_MAX 1000000

struct ssecast_presence {
    struct ssecast_presence_options options;
    struct subscriber *subscriber;
    struct ssecast_publisher *publisher;
    struct presence_tracker *tracker;
    struct buf text;
    char run[64]; /* epoch and number of the last message, without snapshots */
    uint64_t n;
    bool listening;       /* snapshots may begin */
    int64_t listen_until; /* clock_ms(): give up waiting for the subscription; 0: not begun */
    bool subscribed;      /* a message came */
    bool complete;        /* nothing was missed since the last snapshot */
    bool announced;       /* SSECAST_PRESENCE_COMPLETE was reported */
    bool unreachable;     /* SSECAST_PRESENCE_UNREACHABLE was reported */
    bool settled;         /* the last snapshot is complete */
    uint64_t lacking;     /* changes that had not arrived at the last check */
    int64_t look_at;      /* clock_ms(): when to request the broker's position */
    int64_t soon_ms;
    int err; /* why the run ends */
    atomic_bool closing;
    int stop_fd; /* readable: closing */
};

/* ---- reporting ---- */

static bool closing(const struct ssecast_presence *p)
{
    return atomic_load(&p->closing);
}

static void tell_state(struct ssecast_presence *p, enum ssecast_presence_state state,
                       uint64_t missed, const char *message)
{
    if (p->options.state && !closing(p))
        p->options.state(p->options.context, state, missed, message);
}

static const char *type_name(enum ssecast_presence_type type)
{
    static const char *const names[] = {"connected", "disconnected", "session_online",
                                        "session_offline"};
    return names[type];
}

/* The connection's fields from the broker's row, or else those that the tracker has. */
static void put_who(struct buf *out, const struct tracker_change *c)
{
    if (c->whole.len > 2) {
        json_put_raw(out, NULL, (struct slice){c->whole.data + 1, c->whole.len - 2});
        return;
    }
    json_put_text(out, "connection", slice_of(c->connection));
    if (*c->session)
        json_put_text(out, "session", slice_of(c->session));
    else
        json_put_null(out, "session");
    json_begin_list(out, "channels");
    for (size_t i = 0; i < c->channel_count; i++)
        json_put_text(out, NULL, slice_of(c->channels[i]));
    json_end_list(out);
}

/* Write the JSON object of a change that was not in a message. */
static void compose(struct buf *out, const struct tracker_change *c)
{
    out->len = 0;
    json_begin_object(out, NULL);
    json_put_text(out, "type", slice_of(type_name(c->type)));
    put_who(out, c);
    json_put_int(out, "at", c->at);
    if (*c->cause)
        json_put_text(out, "cause", slice_of(c->cause));
    if (c->source != TRACKER_MESSAGE)
        json_put_flag(out, c->source == TRACKER_PRESENT ? "present" : "inferred", true);
    json_end_object(out);
}

static void tell_event(const struct ssecast_presence *p, const struct tracker_change *c, char *json)
{
    const struct ssecast_presence_event event = {
        .type = c->type,
        .session = c->session,
        .connection = c->connection,
        .channels = c->channels,
        .channel_count = c->channel_count,
        .at = c->at,
        .cause = c->cause,
        .present = c->source == TRACKER_PRESENT,
        .inferred = c->source == TRACKER_INFERRED,
        .json = json,
        .json_len = strlen(json),
    };
    p->options.event(p->options.context, &event);
}

static void on_change(void *context, const struct tracker_change *c)
{
    struct ssecast_presence *p = context;
    struct slice text = c->whole;
    if (closing(p))
        return;
    if (c->source != TRACKER_MESSAGE || !text.len) {
        compose(&p->text, c);
        text = (struct slice){p->text.data, p->text.failed ? 0 : p->text.len};
    }
    char *json = text.len ? strndup(text.data, text.len) : NULL;
    if (json)
        tell_event(p, c, json);
    else
        p->err = -ENOMEM;
    free(json);
}

/* ---- snapshots ---- */

static void look_soon(struct ssecast_presence *p)
{
    p->soon_ms = SOON_MS;
    p->look_at = clock_ms() + p->soon_ms;
    p->lacking = 0;
}

/* Check at doubling intervals, up to check_ms. */
static void look_later(struct ssecast_presence *p)
{
    p->soon_ms = p->soon_ms * 2 < p->options.check_ms ? p->soon_ms * 2 : p->options.check_ms;
    p->look_at = clock_ms() + p->soon_ms;
}

static void unreachable(struct ssecast_presence *p, int err)
{
    char message[256];
    const char *problem = ssecast_publisher_problem(p->publisher);
    if (!p->unreachable) {
        snprintf(message, sizeof message, "the broker does not answer (%s); retrying",
                 *problem ? problem : strerror(-err));
        tell_state(p, SSECAST_PRESENCE_UNREACHABLE, 0, message);
    }
    p->unreachable = true;
    p->look_at = clock_ms() + AGAIN_MS;
}

/* Request `presence`. 0 and *reply, or -errno. A permanent error is in p->err too. */
static int presence_client_ask(struct ssecast_presence *p, const char *after, unsigned limit,
                               struct ssecast_reply **reply)
{
    struct buf request = {0};
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of("presence"));
    json_put_text(&request, "after", slice_of(after));
    json_put_count(&request, "limit", limit);
    json_end_object(&request);
    char *text = request.failed ? NULL : strndup(request.data, request.len);
    buf_release(&request);
    int err = text ? ssecast_query(p->publisher, text, reply) : -ENOMEM;
    free(text);
    if (err == -EREMOTEIO) {
        tell_state(p, SSECAST_PRESENCE_UNREACHABLE, 0, ssecast_reply_message(*reply));
        ssecast_reply_free(reply);
        p->err = err;
    }
    if (!err)
        p->unreachable = false;
    return err;
}

struct page_rows {
    struct presence_tracker *tracker;
    int err;
};

static void on_row(void *context, const struct presence_message *row)
{
    struct page_rows *rows = context;
    if (!rows->err)
        rows->err = tracker_row(rows->tracker, row);
}

/* One page into the tracker. 0, or -errno. */
static int take_page(struct ssecast_presence *p, bool *more)
{
    struct ssecast_reply *reply;
    struct presence_page page;
    struct page_rows rows = {p->tracker, 0};
    int err = presence_client_ask(p, tracker_after(p->tracker), 1000, &reply);
    if (err)
        return err;
    err = presence_page_read(reply, &page, on_row, &rows);
    if (!err)
        err = rows.err;
    if (!err)
        err = tracker_page(p->tracker, &page);
    *more = page.more;
    p->settled = page.settled;
    ssecast_reply_free(&reply);
    return err;
}

/* ---- what was missed ---- */

static void missed(struct ssecast_presence *p, enum tracker_verdict verdict, uint64_t count)
{
    char message[128];
    if (verdict == TRACKER_CURRENT)
        return;
    p->complete = false;
    p->look_at = clock_ms();
    if (verdict == TRACKER_RESTARTED) {
        tell_state(p, SSECAST_PRESENCE_RESTARTED, 0, "the broker was restarted");
        return;
    }
    if (!p->settled && !p->options.no_snapshot)
        return; /* a new broker sends no messages for connections that it takes over */
    if (!p->subscribed)
        return; /* they may be older than the subscription */
    snprintf(message, sizeof message, "%" PRIu64 " changes were missed", count);
    tell_state(p, SSECAST_PRESENCE_MISSED, count, message);
}

/* Check for changes without a message. Messages in transit get GRACE_MS. */
static void look(struct ssecast_presence *p)
{
    struct ssecast_reply *reply;
    struct presence_page at;
    uint64_t lacking = 0;
    int err = presence_client_ask(p, "", 0, &reply);
    if (err) {
        unreachable(p, err);
        return;
    }
    err = presence_page_read(reply, &at, on_row, NULL);
    enum tracker_verdict verdict = err ? TRACKER_CURRENT : tracker_look(p->tracker, &at, &lacking);
    bool again = !err && at.settled && tracker_incomplete(p->tracker);
    bool settled = !err && at.settled;
    ssecast_reply_free(&reply);
    look_later(p);
    if (verdict == TRACKER_MISSED && !p->lacking)
        p->look_at = clock_ms() + GRACE_MS;
    else if (verdict != TRACKER_CURRENT)
        missed(p, verdict, lacking);
    else if (again)
        p->complete = false; /* a settled snapshot shows which connections ended */
    p->lacking = lacking;
    p->settled = p->settled || settled;
}

/* ---- messages ---- */

/* Without snapshots: report the message, and count missing ones. */
static void pass_on(struct ssecast_presence *p, const struct presence_message *n)
{
    const struct tracker_change change = {
        .type = n->type,
        .connection = n->connection,
        .session = n->session,
        .cause = n->cause,
        .channels = n->channels,
        .channel_count = n->channel_count,
        .at = n->at,
        .whole = n->whole,
    };
    bool first = !*p->run, same = strncmp(p->run, n->run, sizeof p->run - 1) == 0;
    if (!first && !same)
        missed(p, TRACKER_RESTARTED, 0);
    else if (!first && n->n > p->n + 1)
        missed(p, TRACKER_MISSED, n->n - p->n - 1);
    snprintf(p->run, sizeof p->run, "%s", n->run);
    p->n = n->n;
    on_change(p, &change);
}

static void on_presence_message(void *context, const struct presence_message *n)
{
    struct ssecast_presence *p = context;
    uint64_t count;
    if (p->options.no_snapshot) {
        pass_on(p, n);
    } else {
        enum tracker_verdict verdict = tracker_message(p->tracker, n, &count);
        missed(p, verdict, count);
    }
    p->subscribed = true;
}

static void hear(struct ssecast_presence *p, int max)
{
    struct slice text;
    bool stop = false;
    for (int i = 0; i < max && !stop; i++) {
        stop = closing(p) || p->err || (!p->complete && !p->options.no_snapshot) ||
               subscriber_receive(p->subscriber, &text) <= 0;
        if (!stop && presence_message_read(text, on_presence_message, p) == -ENOMEM)
            p->err = -ENOMEM;
    }
}

/* Take a complete snapshot. 0; -errno: retry at look_at. */
static int take_snapshot(struct ssecast_presence *p)
{
    bool more = true;
    int err = 0;
    tracker_begin(p->tracker);
    while (more && !err && !closing(p))
        err = take_page(p, &more);
    if (err == -ENOMEM)
        p->err = err;
    if (err == -ESTALE)
        p->look_at = clock_ms();
    else if (err)
        unreachable(p, err);
    if (err || closing(p))
        return err;

    p->complete = true;
    hear(p, HEARD_MAX); /* the causes of ends since the snapshot */
    if (!p->complete)
        return 0;
    tracker_end(p->tracker, clock_unix_ms());
    look_soon(p);
    if (!p->announced)
        tell_state(p, SSECAST_PRESENCE_COMPLETE, 0, "all existing connections are reported");
    p->announced = true;
    return 0;
}

/* ---- running ---- */

static void wait_for_more(struct ssecast_presence *p)
{
    int64_t left = p->look_at - clock_ms();
    if (p->options.no_snapshot || left > (int64_t)p->options.check_ms)
        left = p->options.check_ms;
    if (left > 0)
        subscriber_wait(p->subscriber, p->stop_fd, left);
}

/* Messages between a snapshot and the subscription would be missed. Without the presence endpoint
 * snapshots alone find the changes. */
static void wait_to_listen(struct ssecast_presence *p)
{
    int64_t now = clock_ms();
    if (!p->listen_until)
        p->listen_until = now + LISTEN_MS;

    bool connected = subscriber_wait_connected(p->subscriber, p->stop_fd, p->listen_until - now);
    p->listening = connected || clock_ms() >= p->listen_until;
}

/* While incomplete, messages stay in the socket: they are applied after the snapshot. */
static void wait_to_ask(struct ssecast_presence *p)
{
    int64_t left = p->look_at - clock_ms();
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};
    if (left > 0)
        poll(&stop, 1, (int)left);
}

static void turn(struct ssecast_presence *p)
{
    if (p->options.no_snapshot || p->complete) {
        hear(p, BURST_MAX);
        if (p->complete && clock_ms() >= p->look_at)
            look(p);
        if (p->options.no_snapshot || p->complete)
            wait_for_more(p);
    } else if (!p->listening) {
        wait_to_listen(p);
    } else {
        wait_to_ask(p);
        if (!closing(p))
            take_snapshot(p);
    }
}

int ssecast_presence_run(struct ssecast_presence *p)
{
    eventfd_t count;
    p->err = 0;
    while (!closing(p) && !p->err)
        turn(p);
    if (atomic_exchange(&p->closing, false))
        eventfd_read(p->stop_fd, &count);
    return p->err;
}

void ssecast_presence_close(struct ssecast_presence *p)
{
    int saved = errno;
    atomic_store(&p->closing, true);
    eventfd_write(p->stop_fd, 1);
    errno = saved;
}

/* ---- life ---- */

static int prepare(struct ssecast_presence *p, const struct ssecast_presence_options *o)
{
    p->options = *o;
    p->options.check_ms = o->check_ms ? o->check_ms : CHECK_MS;
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->tracker = tracker_new(on_change, p);
    if (p->stop_fd < 0 || !p->tracker)
        return p->stop_fd < 0 ? -EMFILE : -ENOMEM;
    int err =
        subscriber_new(&p->subscriber, o->endpoint ? o->endpoint : ENDPOINT, &o->commands.curve);
    return err || o->no_snapshot ? err : ssecast_publisher_new(&p->publisher, &o->commands);
}

int ssecast_presence_new(struct ssecast_presence **presence,
                         const struct ssecast_presence_options *options)
{
    *presence = NULL;
    if (!options->event)
        return -EINVAL;
    struct ssecast_presence *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->stop_fd = -1;
    atomic_init(&p->closing, false);
    int err = prepare(p, options);
    if (err)
        ssecast_presence_free(&p);
    *presence = p;
    return err;
}

void ssecast_presence_free(struct ssecast_presence **presence)
{
    struct ssecast_presence *p = *presence;
    if (!p)
        return;
    ssecast_publisher_free(&p->publisher);
    subscriber_free(&p->subscriber);
    tracker_free(&p->tracker);
    buf_release(&p->text);
    if (p->stop_fd >= 0)
        close(p->stop_fd);
    free(p);
    *presence = NULL;
}
