#include "presence/presence_feed.h"

#include <inttypes.h>
#include <stdio.h>

const char *presence_feed_epoch(const struct presence_feed *w, char out[PRESENCE_EPOCH_LEN])
{
    snprintf(out, PRESENCE_EPOCH_LEN, "%016" PRIx64, w->epoch);
    return out;
}

static void write_message(struct presence_feed *w, const struct presence_change *change)
{
    static const char *const types[] = {
        [PRESENCE_CONNECTED] = "connected",
        [PRESENCE_DISCONNECTED] = "disconnected",
        [PRESENCE_SESSION_ONLINE] = "session_online",
        [PRESENCE_SESSION_OFFLINE] = "session_offline",
    };
    struct buf *out = &w->message;
    char epoch[PRESENCE_EPOCH_LEN];
    out->len = 0;
    json_begin_object(out, NULL);
    json_put_text(out, "run", slice_of(presence_feed_epoch(w, epoch)));
    json_put_count(out, "n", w->n);
    json_put_text(out, "type", slice_of(types[change->what]));
    if (change->what == PRESENCE_CONNECTED || change->what == PRESENCE_DISCONNECTED)
        describe_who(out, change->connection, change->of, NULL);
    else
        describe_name(out, change->connection, change->of); /* the last message has its channels */
    json_put_int(out, "at", w->now_ms);
    if (change->what == PRESENCE_DISCONNECTED || change->what == PRESENCE_SESSION_OFFLINE)
        json_put_text(out, "cause", slice_of(end_cause_name(change->cause)));
    if (change->what == PRESENCE_CONNECTED)
        describe_origin(out, change->of);
    json_end_object(out);
}

void presence_feed_change(struct presence_feed *w, const struct presence_change *change)
{
    w->n++;
    if (change->silent)
        return;
    write_message(w, change);
    if (w->message.failed)
        buf_release(&w->message); /* its number is missing, so subscribers take a snapshot */
    else
        w->send(w->context, (struct slice){w->message.data, w->message.len});
}

void presence_feed_release(struct presence_feed *w)
{
    buf_release(&w->message);
}
