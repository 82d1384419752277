#include "lib/request_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/name.h"
#include "lib/json_text.h"
#include "lib/reply_json.h"

int request_ids_begin(struct request_ids *ids)
{
    unsigned char bytes[12];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return -EIO;
    ids->prefix[0] = 'a'; /* an id of digits alone would be a seq */
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ids->prefix + 1 + 2 * i, 3, "%02x", bytes[i]);
    ids->enabled = true;
    return 0;
}

/* ---- pieces ---- */

static int put_text(struct buf *out, const char *name, const char *text)
{
    struct slice bytes = slice_of(text);
    if (!utf8_valid(bytes))
        return -EILSEQ;
    json_put_text(out, name, bytes);
    return 0;
}

static int put_names(struct buf *out, const char *name, const struct ssecast_names *list)
{
    int err = 0;
    if (list->count == 0)
        return 0;
    json_begin_list(out, name);
    for (size_t i = 0; i < list->count && !err; i++)
        err = list->names[i] ? put_text(out, NULL, list->names[i]) : -EINVAL;
    json_end_list(out);
    return err;
}

static int put_target_fields(struct buf *out, const struct ssecast_target *target)
{
    int err = put_names(out, "sessions", &target->sessions);
    if (!err)
        err = put_names(out, "channels", &target->channels);
    return err ? err : put_names(out, "connections", &target->connections);
}

static int put_target(struct buf *out, const char *name, const struct ssecast_target *target)
{
    if (!target)
        return 0;
    json_begin_object(out, name);
    int err = put_target_fields(out, target);
    json_end_object(out);
    return err;
}

static int end_request(struct buf *out, uint64_t ref)
{
    json_put_count(out, "ref", ref);
    json_end_object(out);
    return out->failed ? -ENOMEM : 0;
}

/* ---- events ---- */

static int put_payload(struct buf *out, const struct ssecast_event *e)
{
    if ((e->json != NULL) + (e->text != NULL) + (e->bytes != NULL) > 1)
        return -EINVAL;
    if (e->bytes)
        return 0;
    if (e->text)
        return put_text(out, "text", e->text);
    struct slice json = slice_of(e->json ? e->json : "null");
    if (!json_text_valid(json))
        return -EINVAL;
    json_put_raw(out, "data", json);
    return 0;
}

static int put_id(struct buf *out, const struct ssecast_event *e, struct request_ids *ids)
{
    char text[sizeof ids->prefix + 24];
    if (e->id)
        return put_text(out, "id", e->id);
    if (!ids->enabled)
        return 0;
    snprintf(text, sizeof text, "%s-%llu", ids->prefix, (unsigned long long)++ids->count);
    json_put_text(out, "id", slice_of(text));
    return 0;
}

static int put_key(struct buf *out, const struct ssecast_event *e)
{
    int err = e->key ? put_text(out, "key", e->key) : 0;

    if (e->remove)
        json_put_flag(out, "remove", true);
    if (e->ttl_s)
        json_put_count(out, "ttl", e->ttl_s);
    return err;
}

/* The fields that an event has in a request of its own and in a batch. */
static int put_event(struct buf *out, const struct ssecast_event *e, struct request_ids *ids)
{
    int err = e->event && *e->event ? put_text(out, "event", e->event) : 0;
    if (!err)
        err = put_payload(out, e);
    if (!err)
        err = put_target(out, "to", e->to);
    if (!err)
        err = put_target(out, "except", e->except);
    if (!err)
        err = put_id(out, e, ids);
    if (!err)
        err = put_key(out, e);
    if (e->is_private)
        json_put_flag(out, "private", true);
    if (e->has_retry)
        json_put_count(out, "retry", e->retry_ms);
    return err;
}

int request_publish(struct buf *out, const struct ssecast_event *event, struct request_ids *ids,
                    uint64_t ref, bool *repeatable)
{
    json_begin_object(out, NULL);
    json_put_text(out, "op", slice_of("publish"));
    int err = put_event(out, event, ids);
    *repeatable = event->id || ids->enabled;
    return err ? err : end_request(out, ref);
}

int request_batch(struct buf *out, const struct ssecast_event *events, size_t count,
                  struct request_ids *ids, uint64_t ref, bool *repeatable)
{
    int err = count == 0 || count > REQUEST_EVENTS_MAX ? -EINVAL : 0;
    *repeatable = true;
    json_begin_object(out, NULL);
    json_put_text(out, "op", slice_of("publish"));
    json_begin_list(out, "events");
    for (size_t i = 0; i < count && !err; i++) {
        json_begin_object(out, NULL);
        err = events[i].bytes ? -EINVAL : put_event(out, &events[i], ids);
        json_end_object(out);
        *repeatable = *repeatable && (events[i].id || ids->enabled);
    }
    json_end_list(out);
    return err ? err : end_request(out, ref);
}

/* ---- the rest ---- */

int request_shutdown(struct buf *out, const struct ssecast_shutdown *shutdown, uint64_t ref)
{
    json_begin_object(out, NULL);
    json_put_text(out, "op", slice_of("shutdown"));
    int err = put_target_fields(out, &shutdown->whose);
    if (!err && shutdown->reason)
        err = put_text(out, "reason", shutdown->reason);
    if (shutdown->has_block)
        json_put_count(out, "block", shutdown->block_s);
    return err ? err : end_request(out, ref);
}

int request_query(struct buf *out, const char *json, uint64_t ref, bool *repeatable)
{
    struct slice text = slice_of(json);
    bool empty;
    if (!json_text_valid(text) || !reply_is_request(text, &empty, repeatable))
        return -EINVAL;
    while (text.data[text.len - 1] != '}')
        text.len--;
    if (empty)
        json_begin_object(out, NULL);
    else
        json_put_raw(out, NULL, (struct slice){text.data, text.len - 1});
    return end_request(out, ref);
}
