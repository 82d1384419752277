#include "log/jetstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "codec/json.h"

#define NS_PER_MS 1000000u
#define INACTIVE_MS 5000u

static void put_name(struct buf *out, const char *name, const char *value)
{
    json_put_text(out, name, slice_of(value));
}

void jetstream_put_stream(struct buf *out, const struct jetstream_stream *s)
{
    json_begin_object(out, NULL);
    put_name(out, "name", s->name);
    json_begin_list(out, "subjects");
    put_name(out, NULL, s->name);
    json_end_list(out);
    put_name(out, "retention", "limits");
    put_name(out, "discard", "old");
    put_name(out, "storage", "file");
    json_put_count(out, "num_replicas", s->replicas);
    json_put_int(out, "max_consumers", -1);
    json_put_int(out, "max_msg_size", -1);
    json_put_count(out, "max_msgs", s->max_messages);
    json_put_count(out, "max_bytes", s->max_bytes);
    json_put_count(out, "max_age", s->max_age_ms * NS_PER_MS);
    json_end_object(out);
}

void jetstream_put_consumer(struct buf *out, const char *stream, const char *deliver,
                            uint64_t start, uint64_t heartbeat_ms)
{
    json_begin_object(out, NULL);
    put_name(out, "stream_name", stream);
    json_begin_object(out, "config");
    put_name(out, "deliver_subject", deliver);
    put_name(out, "deliver_policy", "by_start_sequence");
    json_put_count(out, "opt_start_seq", start);
    put_name(out, "ack_policy", "none");
    put_name(out, "replay_policy", "instant");
    json_put_int(out, "max_deliver", 1);
    json_put_flag(out, "flow_control", true);
    json_put_count(out, "idle_heartbeat", heartbeat_ms * NS_PER_MS);
    json_put_count(out, "inactive_threshold", (uint64_t)INACTIVE_MS * NS_PER_MS);
    json_put_count(out, "num_replicas", 1);
    json_put_flag(out, "mem_storage", true);
    json_end_object(out);
    json_end_object(out);
}

void jetstream_put_get(struct buf *out, uint64_t sequence)
{
    json_begin_object(out, NULL);
    json_put_count(out, "seq", sequence);
    json_end_object(out);
}

/* --- replies --- */

static void copy_text(const struct json_object *o, const char *name, char *out, size_t size)
{
    struct json_fault ignored;
    struct slice text = {0};
    if (json_get_text(o, name, &text, &ignored) == 0 && text.len)
        snprintf(out, size, "%.*s", (int)text.len, text.data);
}

/* A number; unchanged when it is missing or negative: -1 means "no limit". */
static void copy_count(const struct json_object *o, const char *name, uint64_t *out)
{
    struct json_fault ignored;
    json_get_count(o, name, 0, INT64_MAX, out, &ignored);
}

static bool find_object(const struct json_object *o, const char *name, struct json_object *out)
{
    struct json_fault ignored;
    return json_get_object(o, name, out, &ignored) == 0 && out->value;
}

/* The data of the message is base64. Invalid text leaves it empty. */
static void copy_begin(const struct json_object *message, struct jetstream_reply *r)
{
    struct json_fault ignored;
    struct slice text = {0};
    char bytes[JETSTREAM_BEGIN_LEN + 2]; /* whole groups of three */
    if (json_get_text(message, "data", &text, &ignored) != 0 || !text.len)
        return;

    if (text.len > BASE64_LEN(JETSTREAM_BEGIN_LEN))
        text.len = BASE64_LEN(JETSTREAM_BEGIN_LEN);
    size_t len = base64_decode(BASE64_PLAIN, text, bytes, sizeof bytes);
    r->begin_len = len < JETSTREAM_BEGIN_LEN ? len : JETSTREAM_BEGIN_LEN;
    memcpy(r->begin, bytes, r->begin_len);
}

/* A server without a cluster names itself as the leader, or sends no `cluster`. */
static bool has_no_leader(const struct json_object *o)
{
    struct json_fault ignored;
    struct json_object cluster;
    struct slice leader = {0};
    return find_object(o, "cluster", &cluster) &&
           (json_get_text(&cluster, "leader", &leader, &ignored) != 0 || !leader.len);
}

static void read_reply(const struct json_object *o, struct jetstream_reply *r)
{
    struct json_object part;
    copy_count(o, "seq", &r->sequence);
    copy_text(o, "created", r->created, sizeof r->created);
    if (find_object(o, "error", &part)) {
        r->code = 500;
        copy_count(&part, "code", &r->code);
        copy_count(&part, "err_code", &r->error);
        copy_text(&part, "description", r->why, sizeof r->why);
    }
    if (find_object(o, "state", &part)) {
        copy_count(&part, "first_seq", &r->first);
        copy_count(&part, "last_seq", &r->last);
        copy_count(&part, "messages", &r->messages);
        if (has_no_leader(o)) {
            r->code = JETSTREAM_UNAVAILABLE;
            snprintf(r->why, sizeof r->why, "it has no leader");
        }
    }
    if (find_object(o, "config", &part)) {
        copy_count(&part, "num_replicas", &r->replicas);
        copy_count(&part, "max_msgs", &r->max_messages);
        copy_count(&part, "max_bytes", &r->max_bytes);
        copy_count(&part, "max_age", &r->max_age_ms);
        r->max_age_ms /= NS_PER_MS;
    }
    if (find_object(o, "message", &part))
        copy_begin(&part, r);
}

int jetstream_get_reply(struct slice text, struct jetstream_reply *r)
{
    struct json_fault ignored;
    *r = (struct jetstream_reply){0};
    struct json *json = json_parse(text, &ignored);
    if (!json)
        return -EPROTO;
    read_reply(json_root(json), r);
    json_free(&json);
    return 0;
}

/* --- deliveries --- */

#define ACK_PREFIX "$JS.ACK."
#define ACK_TOKENS_MAX 16

/* `$JS.ACK.STREAM.CONSUMER.TRIES.SEQUENCE.COUNT.NANOSECONDS.PENDING`; servers with domains add two
 * words after `$JS.ACK`, and may add more at the end. */
bool jetstream_get_delivery(const char *subject, struct jetstream_delivery *d)
{
    const char *tokens[ACK_TOKENS_MAX];
    size_t count = 0;
    if (!subject || strncmp(subject, ACK_PREFIX, strlen(ACK_PREFIX)) != 0)
        return false;
    for (const char *at = subject; at && count < ACK_TOKENS_MAX;
         at = strchr(at, '.'), at = at ? at + 1 : NULL)
        tokens[count++] = at;
    if (count != 9 && count < 11)
        return false;
    const char **numbers = tokens + (count == 9 ? 5 : 7);
    d->sequence = strtoull(numbers[0], NULL, 10);
    d->count = strtoull(numbers[1], NULL, 10);
    d->unix_ms = (int64_t)(strtoull(numbers[2], NULL, 10) / NS_PER_MS);
    return d->sequence > 0 && d->count > 0;
}
