/* history: lists the retained events after a seq, all or those for a session, channel or
 * connection. */
#include <errno.h>

#include "codec/audience.h"
#include "command/command.h"
#include "command/event_json.h"
#include "command/targets.h"

#define REPLY_BYTES ((size_t)4 << 20) /* of entries in a page */

static const char *const fields[] = {"op",      "ref",        "since", "session",
                                     "channel", "connection", "limit", NULL};

struct filter {
    uint64_t since, limit;
    struct slice channel;
    struct audience who;
    bool any; /* one of the three is set */
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

static int history_run(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    struct event *events[COMMAND_LIST_MAX];
    const struct history *h = sequence_history(c->sequence);
    struct filter f;
    uint64_t upto;
    int err = 0;
    if (read_filter(r->object, &f, fault) != 0 ||
        targets_check_names(r->grant, f.who.session, f.channel, fault) != 0)
        return -EINVAL;
    if (r->grant->limited && f.who.connection.len)
        return json_fault(fault, CODE_FORBIDDEN, "this key or token may not ask about connections");
    struct history_filter filter = {
        .who = f.any ? &f.who : NULL, .now_ms = c->now_ms, .look_max = SIZE_MAX};
    size_t count = history_read(h, &filter, f.since, events, (size_t)f.limit, REPLY_BYTES, &upto);
    json_begin_list(reply, "events");
    for (size_t i = 0; i < count && !err; i++)
        err = event_json_put(reply, events[i], r->grant);
    json_end_list(reply);
    json_put_flag(reply, "more", upto < history_head(h));
    return err ? json_fault(fault, CODE_STORE_FAILED,
                            "the history could not be read: out of memory")
               : 0;
}

const struct command cmd_history = {.op = "history",
                                    .keeps_limits = true,
                                    .fields = fields,
                                    .tells_sequence = true,
                                    .run = history_run};
