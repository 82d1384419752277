#include "command/event_json.h"

#include <errno.h>
#include <stdio.h>

#include "codec/event_key.h"
#include "codec/event_record.h"
#include "codec/sse.h"
#include "command/targets.h"

/* The reply that a decoded block is written to. */
struct writing {
    struct buf *reply;
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

/* Not a possible data line. */
static bool has_event_line(struct slice text)
{
    return memmem(text.data, text.len, "\nevent:", 7) ||
           (text.len > 6 && memcmp(text.data, "event:", 6) == 0);
}

/* Decode the text of the event. 0 or -ENOMEM. */
static int put_text(struct buf *reply, struct slice text)
{
    struct writing w = {reply, has_event_line(text)};
    struct sse_decoder *d = sse_decoder_new(
        &(struct sse_handler){.event = put_block, .retry = put_retry, .context = &w});
    int err = d ? sse_decoder_feed(d, text.data, text.len) : -ENOMEM;
    sse_decoder_free(&d);
    return err;
}

/* The number of bans in an EVENT_BANS, which has no text. */
static void put_bans(struct buf *out, const struct event *e)
{
    char data[32];
    struct slice session;
    int64_t until_ms;
    uint64_t count = 0;

    for (size_t cursor = 0; event_next_ban(e, &cursor, &session, &until_ms);)
        count++;
    snprintf(data, sizeof data, "{\"bans\":%llu}", (unsigned long long)count);
    json_put_text(out, "event", slice_of(EVENT_RESERVED "bans"));
    json_put_text(out, "data", slice_of(data));
}

/* The number of keys in an EVENT_STATE, likewise. */
static void put_state(struct buf *out, const struct event *e)
{
    char data[32];
    uint64_t count = 0;
    size_t cursor = 0;

    for (struct event *one; (one = event_next_entry(e, &cursor)); event_unref(&one))
        count++;
    snprintf(data, sizeof data, "{\"keys\":%llu}", (unsigned long long)count);
    json_put_text(out, "event", slice_of(EVENT_RESERVED "state"));
    json_put_text(out, "data", slice_of(data));
}

int event_json_put(struct buf *out, const struct event *e, const struct grant *grant)
{
    json_begin_object(out, NULL);
    json_put_count(out, "seq", e->seq);
    if (e->id.len)
        json_put_text(out, "id", e->id);

    int err = 0;
    if (e->kind == EVENT_BANS)
        put_bans(out, e);
    else if (e->kind == EVENT_STATE)
        put_state(out, e);
    else
        err = put_text(out, e->text);
    if (e->has_to)
        targets_put(out, "to", e, TO_SESSIONS, grant);
    if (e->counts[EXCEPT_SESSIONS] + e->counts[EXCEPT_CHANNELS] + e->counts[EXCEPT_CONNECTIONS])
        targets_put(out, "except", e, EXCEPT_SESSIONS, grant);

    struct slice session;
    if (e->key.len && !event_is_member_key(e->key, &session))
        json_put_text(out, "key", e->key);
    if (e->remove)
        json_put_flag(out, "remove", true);
    if (e->is_private)
        json_put_flag(out, "private", true);
    if (e->ttl_s)
        json_put_count(out, "ttl", e->ttl_s);

    json_put_int(out, "at", e->time_ms);
    json_end_object(out);
    return err;
}
