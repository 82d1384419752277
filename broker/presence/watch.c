#include "presence/watch.h"

#include <inttypes.h>
#include <stdio.h>

const char *watch_run(const struct watch *w, char out[WATCH_RUN_LEN])
{
    snprintf(out, WATCH_RUN_LEN, "%016" PRIx64, w->run);
    return out;
}

static void write_message(struct watch *w, const struct presence_change *change)
{
    static const char *const types[] = {
        [PRESENCE_CONNECTED] = "connected",
        [PRESENCE_DISCONNECTED] = "disconnected",
        [PRESENCE_SESSION_ONLINE] = "session_online",
        [PRESENCE_SESSION_OFFLINE] = "session_offline",
    };
    struct buf *out = &w->message;
    char run[WATCH_RUN_LEN];
    out->len = 0;
    json_begin_object(out, NULL);
    json_put_text(out, "run", slice_of(watch_run(w, run)));
    json_put_count(out, "n", w->n);
    json_put_text(out, "type", slice_of(types[change->what]));
    if (change->what == PRESENCE_CONNECTED || change->what == PRESENCE_DISCONNECTED)
        describe_who(out, change->connection, change->of, NULL);
    else
        describe_name(out, change->connection, change->of); /* the message before this one had its channels */
    json_put_int(out, "at", w->now_ms);
    if (change->what == PRESENCE_DISCONNECTED || change->what == PRESENCE_SESSION_OFFLINE)
        json_put_text(out, "cause", slice_of(end_cause_name(change->cause)));
    if (change->what == PRESENCE_CONNECTED)
        describe_origin(out, change->of);
    json_end_object(out);
}

void watch_change(void *context, const struct presence_change *change)
{
    struct watch *w = context;
    w->n++;
    if (change->silent)
        return;
    write_message(w, change);
    if (w->message.failed)
        buf_release(&w->message); /* its number is missing then, and whoever watches looks again */
    else
        w->send(w->context, (struct slice){w->message.data, w->message.len});
}

void watch_release(struct watch *w)
{
    buf_release(&w->message);
}
