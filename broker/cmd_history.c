/* history: the retained events after a seq, as they are delivered; all, or those that concern a session, channel or
 * connection. */
#include <errno.h>

#include "command.h"
#include "sse.h"
#include "targets.h"

#define REPLY_BYTES ((size_t)4 << 20) /* of entries: then there is more */

static const char *const fields[] = {"op", "ref", "since", "session", "channel", "connection", "limit", NULL};

struct filter {
    uint64_t since, limit;
    struct slice channel;
    struct audience who;
    bool any; /* of the three is given */
};

static int read_filter(const struct json_object *o, struct filter *f, struct json_fault *fault)
{
    *f = (struct filter){.limit = COMMAND_LIST_DEFAULT};
    if (json_get_count(o, "since", 0, INT64_MAX, &f->since, fault) != 0 ||
        json_get_count(o, "limit", 1, COMMAND_LIST_MAX, &f->limit, fault) != 0 ||
        json_get_name(o, "session", &f->who.session, fault) != 0 ||
        json_get_name(o, "channel", &f->channel, fault) != 0 ||
        json_get_name(o, "connection", &f->who.connection, fault) != 0)
        return -EINVAL;
    f->who.channels = (struct names){&f->channel, f->channel.len > 0};
    f->any = f->who.session.len || f->who.connection.len || f->channel.len;
    return 0;
}

/* The reply that a decoded block is written to. */
struct writing {
    struct json_out *reply;
    bool named; /* the block has an event: line */
};

static void put_block(void *context, const struct sse_event *event)
{
    const struct writing *w = context;
    if (w->named)
        json_put_text(w->reply, "event", event->type);
    json_put_text(w->reply, "data", event->data);
}

static void put_retry(void *context, uint64_t ms)
{
    const struct writing *w = context;
    json_put_count(w->reply, "retry", ms);
}

/* No data line can look like this one. */
static bool has_event_line(struct slice text)
{
    return memmem(text.data, text.len, "\nevent:", 7) || (text.len > 6 && memcmp(text.data, "event:", 6) == 0);
}

/* Write what the event's text says. -ENOMEM when there is no memory for it. */
static int put_text(struct json_out *reply, struct slice text)
{
    struct writing w = {reply, has_event_line(text)};
    struct sse_decoder *d =
        sse_decoder_new(&(struct sse_handler){.event = put_block, .retry = put_retry, .context = &w});
    int err = d ? sse_decoder_feed(d, text.data, text.len) : -ENOMEM;
    sse_decoder_free(&d);
    return err;
}

static int put_event(struct json_out *reply, const struct event *e, const struct grant *grant)
{
    json_begin_object(reply, NULL);
    json_put_count(reply, "seq", e->seq);
    if (e->id.len)
        json_put_text(reply, "id", e->id);
    int err = put_text(reply, e->text);
    if (e->has_to)
        targets_put(reply, "to", e, TO_SESSIONS, grant);
    if (e->counts[EXCEPT_SESSIONS] + e->counts[EXCEPT_CHANNELS] + e->counts[EXCEPT_CONNECTIONS])
        targets_put(reply, "except", e, EXCEPT_SESSIONS, grant);
    json_put_int(reply, "at", e->time_ms);
    json_end_object(reply);
    return err;
}

static int run(const struct command_context *c, const struct command_request *r, struct json_out *reply,
               struct json_fault *fault)
{
    struct event *events[COMMAND_LIST_MAX];
    const struct history *h = sequence_history(c->sequence);
    struct filter f;
    uint64_t upto;
    int err = 0;
    if (read_filter(r->object, &f, fault) != 0 || targets_check_names(r->grant, f.who.session, f.channel, fault) != 0)
        return -EINVAL;
    if (r->grant->limited && f.who.connection.len)
        return json_fault(fault, CODE_FORBIDDEN, "this key or token may not ask about connections");
    size_t count = history_read(h, f.any ? &f.who : NULL, f.since, events, (size_t)f.limit, REPLY_BYTES, &upto);
    json_begin_list(reply, "events");
    for (size_t i = 0; i < count && !err; i++)
        err = put_event(reply, events[i], r->grant);
    json_end_list(reply);
    json_put_flag(reply, "more", upto < history_head(h));
    return err ? json_fault(fault, CODE_STORE_FAILED, "the history could not be read: out of memory") : 0;
}

const struct command cmd_history = {
    .op = "history", .keeps_limits = true, .fields = fields, .tells_sequence = true, .run = run};
