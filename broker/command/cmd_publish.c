/* publish: appends one event, or a batch of events, all or none. */
#include <errno.h>
#include <stdlib.h>

#include "base/name.h"
#include "codec/event_key.h"
#include "codec/sse.h"
#include "codec/subscription.h"
#include "command/command.h"
#include "command/targets.h"

#define RETRY_MIN 100       /* ms; less would make reconnecting browsers a load */
#define RETRY_MAX INT32_MAX /* ms; browsers keep it in 32 bits */

#define EVENT_RULE                                                                                 \
    "at most 255 bytes without NUL, CR or LF, not beginning with \"" EVENT_RESERVED "\""

#define EVENT_FIELDS                                                                               \
    "event", "data", "text", "to", "except", "id", "retry", "key", "remove", "ttl", "private", NULL

static const char *const single_fields[] = {"op", "ref", EVENT_FIELDS};
static const char *const batch_fields[] = {"op", "ref", "events", NULL};
static const char *const item_fields[] = {EVENT_FIELDS};

/* --- parsing --- */

static int read_id(const struct json_object *o, struct slice *id, struct json_fault *fault)
{
    int err = json_get_text(o, "id", id, fault);
    if (!err && id->data && !own_id_valid(*id))
        err = json_fault_at(fault, o, "id", "must be " OWN_ID_RULE);
    return err;
}

static int read_event_name(const struct json_object *o, struct slice *name,
                           struct json_fault *fault)
{
    struct slice reserved = slice_of(EVENT_RESERVED);
    int err = json_get_text(o, "event", name, fault);
    if (err)
        return err;
    bool ours = name->len >= reserved.len && memcmp(name->data, reserved.data, reserved.len) == 0;
    if (ours || !sse_valid_event(*name))
        err = json_fault_at(fault, o, "event", "must be " EVENT_RULE);
    return err;
}

/* A stream has one reconnection time for all its events, so only a caller without limits may set
 * it. */
static int read_retry(const struct command_context *c, const struct grant *grant,
                      const struct json_object *o, struct event_spec *spec,
                      struct json_fault *fault)
{
    uint64_t retry = 0, max = c->limits.retry_ms ? c->limits.retry_ms : RETRY_MAX;
    spec->has_retry = json_has(o, "retry");
    if (spec->has_retry && grant->limited)
        return json_fault(fault, CODE_FORBIDDEN,
                          "this key or token has limits and may not set `retry`");
    int err = json_get_count(o, "retry", RETRY_MIN, max, &retry, fault);
    spec->retry = (uint32_t)retry;
    return err;
}

/* The key needs a target that it belongs to. The targets are in spec. */
static int read_key(const struct json_object *o, struct event_spec *spec, struct json_fault *fault)
{
    uint64_t ttl = 0;
    int err = json_get_name(o, "key", &spec->key, fault);
    err = err ? err : json_get_flag(o, "remove", &spec->remove, fault);
    err = err ? err : json_get_count(o, "ttl", 1, EVENT_TTL_MAX, &ttl, fault);
    if (err)
        return err;

    spec->ttl_s = (uint32_t)ttl;
    if (spec->remove && !spec->key.len)
        return json_fault_at(fault, o, "remove", "needs a `key` beside it");
    if (spec->key.len && !event_key_allows(spec->has_to, spec->lists))
        return json_fault_at(fault, o, "key",
                             "needs one target: no `to` "
                             "(everyone), or one session, or one channel; and no `except`");
    return 0;
}

/* Topics of the hub's own are its alone. */
static int check_reserved(const struct json_object *o, const struct names *channels,
                          struct json_fault *fault)
{
    for (size_t i = 0; i < channels->count; i++)
        if (subscription_is_topic(channels->items[i]))
            return json_fault_at(fault, o, "to",
                                 "has a channel that begins with " HUB_RESERVED
                                 ", which is reserved");
    return 0;
}

static int read_private(const struct json_object *o, struct event_spec *spec,
                        struct json_fault *fault)
{
    int err = json_get_flag(o, "private", &spec->is_private, fault);
    if (!err && spec->is_private && !spec->has_to)
        return json_fault_at(fault, o, "private", "needs a `to` beside it");
    return err;
}

/* Read the payload. Exactly one is accepted. *field is the name of its field; NULL: the second
 * frame. */
static int read_data(const struct json_object *o, const struct slice *payload, struct slice *data,
                     const char **field, struct json_fault *fault)
{
    struct slice raw = json_raw(o, "data");
    bool has_data = raw.len, has_text = json_has(o, "text");
    int given = has_data + has_text + (payload != NULL);
    *field = has_text ? "text" : NULL;
    if (has_data)
        *field = "data";
    if (given == 0)
        return json_fault_at(
            fault, o, "data",
            "is missing, and so are `text` and a second frame; exactly one is needed");
    if (given > 1)
        return json_fault_at(
            fault, o, *field,
            "is one too many; exactly one of `data`, `text` and a second frame is accepted");
    if (has_text)
        return json_get_text(o, "text", data, fault);
    *data = has_data ? raw : *payload;
    return 0;
}

static int check_size(const struct command_context *c, const struct json_object *o,
                      const char *field, struct slice data, struct json_fault *fault)
{
    unsigned long long max = c->max_event_bytes;
    if (data.len <= max)
        return 0;
    if (field)
        json_fault_at(fault, o, field, "has %zu bytes; accepted: at most %llu (--max-event-bytes)",
                      data.len, max);
    else
        json_fault(fault, CODE_TOO_LARGE,
                   "the second frame has %zu bytes; accepted: at most %llu (--max-event-bytes)",
                   data.len, max);
    fault->code = CODE_TOO_LARGE;
    return -EINVAL;
}

static int read_event(const struct command_context *c, const struct grant *grant,
                      const struct json_object *o, const struct slice *payload,
                      struct event_spec *spec, struct json_fault *fault)
{
    const char *field = NULL;
    bool has_except;
    *spec = (struct event_spec){.kind = EVENT_MESSAGE,
                                .time_ms = c->now_ms,
                                .publisher = grant->publisher,
                                .limited = grant->limited};
    int err = read_data(o, payload, &spec->data, &field, fault);
    err = err ? err : check_size(c, o, field, spec->data, fault);
    err = err ? err : read_event_name(o, &spec->event, fault);
    err = err ? err : read_id(o, &spec->id, fault);
    err = err ? err : read_retry(c, grant, o, spec, fault);
    err = err ? err : targets_read_in(o, "to", &spec->lists[TO_SESSIONS], &spec->has_to, fault);
    err =
        err ? err : targets_read_in(o, "except", &spec->lists[EXCEPT_SESSIONS], &has_except, fault);
    err = err ? err : targets_check_count(c->limits.targets, o, spec->lists, fault);
    err = err ? err : check_reserved(o, &spec->lists[TO_CHANNELS], fault);
    err = err ? err : read_key(o, spec, fault);
    err = err ? err : read_private(o, spec, fault);
    err = err ? err : targets_check(grant, spec->has_to, &spec->lists[TO_SESSIONS], fault);
    return err ? err : targets_check_except(grant, &spec->lists[EXCEPT_SESSIONS], fault);
}

/* --- appending --- */

static int state_fault(const struct command_context *c, const struct event_spec *spec,
                       struct json_fault *fault)
{
    const struct state *state = sequence_state(c->sequence);
    struct state_limits kept = state_limits_of_limited(&c->limits.state);
    if (spec->limited)
        return json_fault(
            fault, CODE_STATE_FULL,
            "the state has no room for this key: "
            "a key or token with limits may set it while the state has at most "
            "%llu keys and %llu bytes, three quarters of --state-events and --state-bytes (in "
            "a cluster also of the share of --history-bytes); remove keys, or give them a `ttl`",
            (unsigned long long)kept.events, (unsigned long long)kept.bytes);

    return json_fault(
        fault, CODE_STATE_FULL,
        "the state has no room for this key: it has %llu keys of %llu (--state-events) "
        "and %llu bytes of %llu (--state-bytes); in a cluster all keys have "
        "at most an eighth of --history-bytes, which is %llu; remove keys, or give them a `ttl`",
        (unsigned long long)state_count(state), (unsigned long long)c->limits.state.events,
        (unsigned long long)state_bytes(state), (unsigned long long)c->limits.state.bytes,
        (unsigned long long)c->history_bytes);
}

static int store_fault(const struct command_context *c, int err, const struct event_spec *spec,
                       struct json_fault *fault)
{
    if (err == -EDQUOT)
        return state_fault(c, spec, fault);
    if (err == -ENOSPC)
        return json_fault(fault, CODE_STORE_FAILED,
                          "an event is too large to be retained; --history-bytes is %llu",
                          (unsigned long long)c->history_bytes);
    return json_fault(fault, CODE_STORE_FAILED, "the event could not be stored: out of memory");
}

/* Append all or none. *at: the event that the fault is about. */
static int append_all(const struct command_context *c, struct event_spec *specs, size_t count,
                      struct sequenced *out, size_t *at, struct json_fault *fault)
{
    uint64_t before = sequence_head(c->sequence);
    for (size_t i = 0; i < count; i++) {
        int err = sequence_append(c->sequence, &specs[i], &out[i]);
        if (!err)
            continue;
        *at = i;
        store_fault(c, err, &specs[i], fault); /* before the rollback: it tells the room used */
        sequence_rollback(c->sequence, before);
        return -EINVAL;
    }
    c->counters[PUBLISHES]++;
    for (size_t i = 0; i < count; i++)
        c->counters[DUPLICATES] += out[i].duplicate;
    return 0;
}

static int publish_one(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    struct event_spec spec;
    struct sequenced done;
    size_t at;
    if (json_check_fields(r->object, single_fields, fault) != 0 ||
        read_event(c, r->grant, r->object, r->payload, &spec, fault) != 0 ||
        append_all(c, &spec, 1, &done, &at, fault) != 0)
        return -EINVAL;
    json_put_count(reply, "seq", done.seq);
    if (done.duplicate)
        json_put_flag(reply, "duplicate", true);
    json_put_count(reply, "online",
                   done.duplicate ? 0 : presence_match(c->presence, spec.has_to, spec.lists));
    if (!done.duplicate && spec.seq_as_id)
        json_put_flag(reply, "seq_as_id", true);
    return 0;
}

/* --- batches --- */

static void put_batch(struct buf *reply, const struct sequenced *done, size_t count)
{
    bool duplicates = false;
    json_begin_list(reply, "seqs");
    for (size_t i = 0; i < count; i++) {
        json_put_count(reply, NULL, done[i].seq);
        duplicates = duplicates || done[i].duplicate;
    }
    json_end_list(reply);
    if (!duplicates)
        return;
    json_begin_list(reply, "duplicates");
    for (size_t i = 0; i < count; i++)
        if (done[i].duplicate)
            json_put_count(reply, NULL, i);
    json_end_list(reply);
}

/* *at: the event that the fault is about. */
static int read_events(const struct command_context *c, const struct grant *grant,
                       const struct json_object *items, size_t count, struct event_spec *specs,
                       size_t *at, struct json_fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        *at = i;
        if (json_check_fields(&items[i], item_fields, fault) != 0 ||
            read_event(c, grant, &items[i], NULL, &specs[i], fault) != 0)
            return -EINVAL;
    }
    return 0;
}

/* Faults that are not about a field (a grant, no room) do not say which event they are about. */
static void name_event(size_t at, struct json_fault *fault)
{
    char what[sizeof fault->message];
    if (fault->placed)
        return;

    memcpy(what, fault->message, sizeof what);
    json_fault(fault, fault->code, "`events[%zu]`: %s", at, what);
}

static int run_batch(const struct command_context *c, const struct grant *grant,
                     const struct json_object *items, size_t count, struct buf *reply,
                     struct json_fault *fault)
{
    struct event_spec *specs = calloc(count, sizeof *specs);
    struct sequenced *done = calloc(count, sizeof *done);
    size_t at = 0;
    if (!specs || !done) {
        free(specs);
        free(done);
        return store_fault(c, -ENOMEM, NULL, fault);
    }

    int err = read_events(c, grant, items, count, specs, &at, fault);
    if (!err)
        err = append_all(c, specs, count, done, &at, fault);
    if (err)
        name_event(at, fault);
    else
        put_batch(reply, done, count);
    free(specs);
    free(done);
    return err;
}

static int batch_too_large(const struct command_context *c, const struct json_object *o,
                           struct json_fault *fault)
{
    json_fault_at(fault, o, "events", "has %zu events; accepted: at most %llu (--max-batch)",
                  json_list_length(o, "events"), (unsigned long long)c->limits.batch);
    fault->code = CODE_TOO_LARGE;
    return -EINVAL;
}

static int publish_batch(const struct command_context *c, const struct command_request *r,
                         struct buf *reply, struct json_fault *fault)
{
    const struct json_object *items = NULL;
    size_t count = 0;
    if (r->payload)
        return json_fault(fault, CODE_BAD_REQUEST, "a batch takes no second frame");
    if (c->limits.batch && json_list_length(r->object, "events") > c->limits.batch)
        return batch_too_large(c, r->object, fault);
    if (json_check_fields(r->object, batch_fields, fault) != 0 ||
        json_get_objects(r->object, "events", SIZE_MAX, &items, &count, fault) != 0)
        return -EINVAL;
    if (count == 0)
        return json_fault_at(fault, r->object, "events",
                             "is empty; a batch has at least one event");
    return run_batch(c, r->grant, items, count, reply, fault);
}

static int publish_run(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    return json_has(r->object, "events") ? publish_batch(c, r, reply, fault)
                                         : publish_one(c, r, reply, fault);
}

const struct command cmd_publish = {.op = "publish",
                                    .keeps_limits = true,
                                    .roles = ROLE_PUBLISHER | ROLE_EVENTS,
                                    .takes_payload = true,
                                    .appends = true,
                                    .tells_sequence = true,
                                    .run = publish_run};
