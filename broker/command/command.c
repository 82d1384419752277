#include "command/command.h"

#include <errno.h>
#include <stdio.h>

#include "base/must.h"
#include "presence/listing.h"

#define NAMES_ROOM (1u << 20)

static const struct command *const commands[] = {
    &cmd_publish, &cmd_shutdown, &cmd_online,  &cmd_sessions, &cmd_connections, &cmd_presence,
    &cmd_history, &cmd_workers,  &cmd_metrics, &cmd_stats,    &cmd_status,      &cmd_log,
    &cmd_ping,    &cmd_bans,     &cmd_unban,   &cmd_state,    &cmd_members,     &cmd_subscriptions,
};

#define COMMANDS (sizeof commands / sizeof *commands)

static const struct {
    const char *code;
    enum broker_counter counter;
} codes[] = {
    {CODE_BAD_JSON, ERRORS_BAD_JSON},     {CODE_BAD_REQUEST, ERRORS_BAD_REQUEST},
    {CODE_UNKNOWN_OP, ERRORS_UNKNOWN_OP}, {CODE_TOO_LARGE, ERRORS_TOO_LARGE},
    {CODE_FORBIDDEN, ERRORS_FORBIDDEN},   {CODE_STORE_FAILED, ERRORS_STORE_FAILED},
    {CODE_STATE_FULL, ERRORS_STATE_FULL}, {CODE_BUSY, ERRORS_BUSY},
    {CODE_NOT_FOUND, ERRORS_NOT_FOUND},
};

static void count_fault(const struct command_context *c, const char *code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].code, code) == 0)
            c->counters[codes[i].counter]++;
}

size_t command_request_max(uint64_t max_event_bytes)
{
    return (size_t)max_event_bytes * 6 + NAMES_ROOM;
}

#define EVENT_VALUES 16u /* the fields of an event, its lists of targets, and a name in each */

size_t command_values_max(uint64_t max_batch, uint64_t max_targets)
{
    return (size_t)(EVENT_VALUES * max_batch + 2 * max_targets);
}

/* "publish, shutdown, ..." */
static const char *all_ops(char *out, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < COMMANDS && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", commands[i]->op);
    return out;
}

static bool may_give(const struct grant *grant, const struct command *command)
{
    return (command->roles | ROLE_OPERATOR) & grant->roles;
}

/* Before parsing: refuse a peer whose grant allows no command at all. */
static int check_grant(const struct grant *grant, struct json_fault *fault)
{
    bool any = false;
    if (!grant->roles)
        return json_fault(fault, CODE_FORBIDDEN,
                          "this key is not among those that the broker knows");

    for (size_t i = 0; i < COMMANDS && !any; i++)
        any = may_give(grant, commands[i]);
    if (!any)
        return json_fault(fault, CODE_FORBIDDEN, "this key may give no command");

    if (grant_is_empty(grant))
        return json_fault(fault, CODE_FORBIDDEN,
                          "this key or token is limited to no session and no channel");
    return 0;
}

/* The only command of this grant; then `op` may be missing. NULL when there are several. */
static const struct command *only_command(const struct grant *grant)
{
    const struct command *only = NULL;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (may_give(grant, commands[i]) && only)
            return NULL;
        only = may_give(grant, commands[i]) ? commands[i] : only;
    }
    return only;
}

static const struct command *find_command(const struct json_object *o, const struct grant *grant,
                                          struct json_fault *fault)
{
    struct slice op = {0};
    char ops[300];
    if (json_get_text(o, "op", &op, fault) != 0)
        return NULL;
    if (!op.data) {
        const struct command *only = only_command(grant);
        if (!only)
            json_fault_at(fault, o, "op", "is missing; accepted: %s", all_ops(ops, sizeof ops));
        return only;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (slice_equal(op, slice_of(commands[i]->op)))
            return commands[i];
    int shown = op.len < 64 ? (int)op.len : 64;
    json_fault(fault, CODE_UNKNOWN_OP, "`op` \"%.*s\" is unknown; accepted: %s", shown, op.data,
               all_ops(ops, sizeof ops));
    return NULL;
}

/* List the brokers whose workers and counters may be missing in the reply. */
static void put_missing(const struct cluster *cluster, struct buf *reply)
{
    struct slice name;
    const void *at = cluster_next_missing(cluster, NULL, &name);
    if (!at)
        return;
    json_begin_list(reply, "missing");
    for (; at; at = cluster_next_missing(cluster, at, &name))
        json_put_text(reply, NULL, name);
    json_end_list(reply);
}

static int dispatch(const struct command_context *c, const struct command_request *r,
                    struct buf *reply, struct command_outcome *outcome, struct json_fault *fault)
{
    const struct command *command = find_command(r->object, r->grant, fault);
    if (!command)
        return -1;
    if (!may_give(r->grant, command))
        return json_fault(fault, CODE_FORBIDDEN,
                          "%s is not among the commands that this key or token may give",
                          command->op);
    if (r->grant->limited && !command->keeps_limits)
        return json_fault(fault, CODE_FORBIDDEN,
                          "%s is about everyone, and this key or token has limits", command->op);
    if (r->payload && !command->takes_payload)
        return json_fault(fault, CODE_BAD_REQUEST, "%s takes no second frame", command->op);
    if (command->fields && json_check_fields(r->object, command->fields, fault) != 0)
        return -1;
    outcome->held = c->holding && command->appends;
    if (outcome->held)
        return 0;
    json_reply_begin(reply);
    outcome->provisional = command->tells_sequence;
    int err = command->run(c, r, reply, fault);
    if (!err && command->of_all)
        put_missing(c->cluster, reply);
    return err;
}

static int check_frames(const struct command_context *c, const struct slice *frames,
                        size_t frame_count, struct json_fault *fault)
{
    size_t max = command_request_max(c->max_event_bytes);
    if (frame_count > 2)
        return json_fault(fault, CODE_BAD_REQUEST,
                          "a request has one frame, or two with a payload, not %zu", frame_count);
    if (frames[0].len > max)
        return json_fault(fault, CODE_TOO_LARGE, "the request has %zu bytes; accepted: at most %zu",
                          frames[0].len, max);
    return 0;
}

/* Keep the ref of the request for the reply. */
static int take_ref(struct slice ref, struct command_outcome *outcome, struct json_fault *fault)
{
    if (ref.len > COMMAND_REF_MAX)
        return json_fault(fault, CODE_BAD_REQUEST, "`ref` has %zu bytes; accepted: at most %u",
                          ref.len, COMMAND_REF_MAX);
    outcome->ref = ref;
    return 0;
}

struct command_outcome command_run(const struct command_context *c, const struct grant *grant,
                                   const struct slice *frames, size_t frame_count,
                                   struct buf *reply)
{
    struct json_fault fault = {0};
    struct command_outcome outcome = {0};
    reply->len = 0;
    c->counters[REQUESTS]++;
    int err = check_grant(grant, &fault);
    err = err ? err : check_frames(c, frames, frame_count, &fault);
    struct json *json = err ? NULL : json_parse_within(frames[0], &c->limits.json, &fault);
    if (json) {
        struct command_request request = {json_root(json), frame_count > 1 ? &frames[1] : NULL,
                                          grant};
        err = take_ref(json_raw(request.object, "ref"), &outcome, &fault);
        err = err ? err : dispatch(c, &request, reply, &outcome, &fault);
    }
    if (outcome.held) {
        c->counters[REQUESTS]--;
    } else if (json && !err) {
        json_reply_end(reply, outcome.ref);
    } else {
        outcome.provisional = false;
        json_reply_fault(reply, &fault, outcome.ref);
        count_fault(c, fault.code);
    }
    json_free(&json);
    return outcome;
}

struct command_outcome command_refuse(const struct command_context *c, const char *code,
                                      const char *message, struct slice frame, struct buf *reply)
{
    struct json_fault fault = {0}, ignored;
    struct command_outcome outcome = {0};
    if (frame.len <= command_request_max(c->max_event_bytes))
        take_ref(json_ref(frame), &outcome, &ignored);
    c->counters[REQUESTS]++;
    json_fault(&fault, code, "%s", message);
    json_reply_fault(reply, &fault, outcome.ref);
    count_fault(c, code);
    return outcome;
}

void command_store_failed(const struct command_context *c, const struct store_failure *failure,
                          struct slice ref, struct buf *reply)
{
    struct json_fault fault = {.unknown = failure->outcome == UNKNOWN_WHETHER_STORED};
    MUST(ref.len <= COMMAND_REF_MAX);
    reply->len = 0;
    json_fault(&fault, CODE_STORE_FAILED, "%s", failure->message);
    json_reply_fault(reply, &fault, ref);
    count_fault(c, fault.code);
}

int command_read_page(const struct command_request *r, struct listing *list,
                      struct json_fault *fault)
{
    uint64_t limit = COMMAND_LIST_DEFAULT;
    if (json_get_text(r->object, "after", &list->after, fault) != 0 ||
        json_get_count(r->object, "limit", 1, COMMAND_LIST_MAX, &limit, fault) != 0)
        return -EINVAL;

    MUST(limit >= 1 && limit <= COMMAND_LIST_MAX);
    list->max = (size_t)limit;
    return 0;
}

int command_read_sessions_page(const struct command_request *r, struct slice *prefix,
                               struct listing *list, struct json_fault *fault)
{
    if (json_get_text(r->object, "prefix", prefix, fault) != 0)
        return -EINVAL;
    if (r->grant->limited)
        list->patterns = &r->grant->sessions;
    return command_read_page(r, list, fault);
}
