/* shutdown: appends a record that ends the streams of sessions, channels and connections, and bans
 * the sessions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "command/command.h"
#include "command/targets.h"

#define BAN_DEFAULT 60u
#define BAN_MAX (366u * 24 * 60 * 60) /* seconds: about a year */

static const char *const fields[] = {"op",          "ref",    "sessions", "channels",
                                     "connections", "reason", "block",    NULL};

/* {"reason":...} as streams receive it. The caller frees it. */
static char *reason_data(const struct json_object *o)
{
    struct slice reason = json_has(o, "reason") ? json_raw(o, "reason") : slice_of("null");
    char *data;
    return asprintf(&data, "{\"reason\":%.*s}", (int)reason.len, reason.data) < 0 ? NULL : data;
}

static int read_request(const struct command_context *c, const struct grant *grant,
                        const struct json_object *o, struct event_spec *spec,
                        struct json_fault *fault)
{
    struct slice reason = {0};
    uint64_t block = BAN_DEFAULT;
    if (!json_has(o, "sessions") && !json_has(o, "channels") && !json_has(o, "connections"))
        return json_fault(
            fault, CODE_BAD_REQUEST,
            "shutdown needs at least one of `sessions`, `channels` and `connections`");
    if (targets_read(o, &spec->lists[TO_SESSIONS], fault) != 0 ||
        json_get_text(o, "reason", &reason, fault) != 0 ||
        json_get_count(o, "block", 0, BAN_MAX, &block, fault) != 0)
        return -EINVAL;
    if (json_raw(o, "reason").len > c->max_event_bytes)
        return json_fault(fault, CODE_TOO_LARGE,
                          "`reason` has %zu bytes; accepted: at most %llu (--max-event-bytes)",
                          reason.len, (unsigned long long)c->max_event_bytes);
    spec->block_s = (uint32_t)block;
    int err = targets_check_count(c->limits.targets, o, spec->lists, fault);
    return err ? err : targets_check(grant, true, &spec->lists[TO_SESSIONS], fault);
}

#define LIMITED_PART ", of which keys with limits may fill three quarters"

static int append_fault(const struct command_context *c, int err, bool limited,
                        struct json_fault *fault)
{
    const char *part = limited ? LIMITED_PART : "";
    if (err == -E2BIG)
        return json_fault(fault, CODE_TOO_LARGE,
                          "more sessions would be banned than may be at once; "
                          "accepted: at most %llu (--max-bans)%s",
                          (unsigned long long)c->limits.bans, part);
    if (err == -EFBIG)
        return json_fault(
            fault, CODE_TOO_LARGE,
            "the names of all banned sessions would take more than an eighth of the history "
            "(--history-bytes is %llu, --history-events %llu)%s",
            (unsigned long long)c->history_bytes, (unsigned long long)c->history_events, part);
    return json_fault(fault, CODE_STORE_FAILED,
                      "the shutdown could not be stored; --history-bytes is %llu",
                      (unsigned long long)c->history_bytes);
}

static int append(const struct command_context *c, struct event_spec *spec, char *data,
                  struct json_fault *fault)
{
    struct sequenced done;
    if (!data)
        return json_fault(fault, CODE_STORE_FAILED,
                          "the shutdown could not be stored: out of memory");

    spec->data = slice_of(data);
    int err = sequence_append(c->sequence, spec, &done);
    if (err)
        return append_fault(c, err, spec->limited, fault);

    c->counters[SHUTDOWNS]++;
    return 0;
}

static int shutdown_run(const struct command_context *c, const struct command_request *r,
                        struct buf *reply, struct json_fault *fault)
{
    struct event_spec spec = {.kind = EVENT_SHUTDOWN,
                              .time_ms = c->now_ms,
                              .event = slice_of(EVENT_RESERVED "shutdown"),
                              .limited = r->grant->limited,
                              .has_to = true};
    if (read_request(c, r->grant, r->object, &spec, fault) != 0)
        return -EINVAL;
    if (targets_count(&spec.lists[TO_SESSIONS])) {
        char *data = reason_data(r->object);
        int err = append(c, &spec, data, fault);
        free(data);
        if (err)
            return err;
    }
    json_put_count(reply, "closed", presence_match(c->presence, true, spec.lists));
    return 0;
}

const struct command cmd_shutdown = {.op = "shutdown",
                                     .keeps_limits = true,
                                     .of_all = true,
                                     .fields = fields,
                                     .appends = true,
                                     .tells_sequence = true,
                                     .run = shutdown_run};
