/* An object from outside is copied member by member, as text: numbers keep their digits. The
 * broker refuses a member that is there twice, also when its name is written with escapes. So a
 * payload cannot replace the members that are written here. */
#include "frame/mapping.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json_out.h"
#include "base/name.h"
#include "codec/event.h"
#include "codec/json_scan.h"
#include "codec/json_tree.h"

static const char *const payload_names[] = {
    [PAYLOAD_TEXT] = "text",       [PAYLOAD_JSON] = "json",       [PAYLOAD_BASE64] = "base64",
    [PAYLOAD_WRAPPED] = "wrapped", [PAYLOAD_MESSAGE] = "message",
};

#define PAYLOADS (sizeof payload_names / sizeof payload_names[0])

int mapping_payload_of(const char *name)
{
    for (size_t i = 0; i < PAYLOADS; i++)
        if (strcmp(payload_names[i], name) == 0)
            return (int)i;
    return -1;
}

const char *mapping_check(const char *value)
{
    const char *name = strstr(value, MAPPING_NAME);
    if (*value && !name_valid(slice_of(value)))
        return NAME_RULE;
    return name && strstr(name + 1, MAPPING_NAME) ? "a text with at most one " MAPPING_NAME : NULL;
}

const char *mapping_check_event(const char *value)
{
    if (strncmp(value, EVENT_RESERVED, strlen(EVENT_RESERVED)) == 0)
        return "a text that does not begin with \"" EVENT_RESERVED "\", which is reserved";
    return mapping_check(value);
}

static int refuse(char why[MAPPING_WHY], const char *text)
{
    snprintf(why, MAPPING_WHY, "%s", text);
    return -EINVAL;
}

/* Put the pattern into out, with name for MAPPING_NAME, and no NUL behind it. */
static void fill(const char *pattern, struct slice name, struct buf *out)
{
    const char *place = strstr(pattern, MAPPING_NAME);
    out->len = 0;
    buf_put(out, pattern, place ? (size_t)(place - pattern) : strlen(pattern));
    if (place) {
        buf_put_slice(out, name);
        buf_put_slice(out, slice_of(place + strlen(MAPPING_NAME)));
    }
}

/* ---- the members that a pattern makes ---- */

static int put_channel(struct buf *out, const char *pattern, struct slice source,
                       char why[MAPPING_WHY])
{
    struct buf channel = {0};
    if (!*pattern)
        return 0;

    fill(pattern, source, &channel);
    bool valid = name_valid(buf_slice(&channel));
    if (valid) {
        json_begin_object(out, "to");
        json_begin_list(out, "channels");
        json_put_text(out, NULL, buf_slice(&channel));
        json_end_list(out);
        json_end_object(out);
    }
    out->failed = out->failed || channel.failed;
    buf_release(&channel);
    return valid ? 0 : refuse(why, "the channel's name is not " NAME_RULE);
}

static int put_event(struct buf *out, const char *pattern, struct slice source,
                     char why[MAPPING_WHY])
{
    struct buf event = {0};
    fill(pattern, source, &event);
    bool valid = event.len == 0 || name_valid(buf_slice(&event));
    if (valid && event.len)
        json_put_text(out, "event", buf_slice(&event));
    out->failed = out->failed || event.failed;
    buf_release(&event);
    return valid ? 0 : refuse(why, "the event's name is not " NAME_RULE);
}

/* ---- payloads ---- */

static void put_base64(struct buf *out, struct slice bytes)
{
    char *text = malloc(BASE64_LEN(bytes.len) + 1);
    if (text)
        base64_encode(BASE64_PLAIN, bytes, text);
    json_put_text(out, "text", slice_of(text));
    out->failed = out->failed || !text;
    free(text);
}

/* Whether text is JSON that the broker reads; data: as the value of `data`. */
static int check_json(struct slice text, bool data, char why[MAPPING_WHY])
{
    /* The request has levels too. */
    const struct json_bounds bounds = {.levels = JSON_LEVELS_MAX - 8, .data = data};
    struct json_tree tree;
    enum json_verdict verdict = json_tree_read(text, &bounds, &tree);
    json_tree_release(&tree);
    switch (verdict) {
    case JSON_GOOD:
        return 0;
    case JSON_NO_MEMORY:
        return -ENOMEM;
    case JSON_BAD:
        snprintf(why, MAPPING_WHY, "not JSON: %s at byte %zu", tree.what, tree.at);
        return -EINVAL;
    default:
        return refuse(why, "JSON is nested too deeply");
    }
}

static int put_wrapped(struct buf *out, const char *field, const struct mapping_source *s,
                       char why[MAPPING_WHY])
{
    if (!utf8_valid(s->payload) || !utf8_valid(s->name))
        return refuse(why, "the payload is not UTF-8");

    json_begin_object(out, "data");
    json_put_text(out, field, s->name);
    json_put_text(out, "payload", s->payload);
    json_end_object(out);
    return 0;
}

static int put_payload(struct buf *out, const struct mapping *m, const struct mapping_source *s,
                       char why[MAPPING_WHY])
{
    int err = 0;
    if (s->remove && m->payload != PAYLOAD_WRAPPED) {
        json_put_null(out, "data");
        return 0;
    }

    switch (m->payload) {
    case PAYLOAD_JSON:
        err = check_json(s->payload, true, why);
        if (!err)
            json_put_raw(out, "data", s->payload);
        return err;
    case PAYLOAD_BASE64:
        put_base64(out, s->payload);
        return 0;
    case PAYLOAD_WRAPPED:
        return put_wrapped(out, m->name_field, s, why);
    default:
        if (!utf8_valid(s->payload))
            return refuse(why, "the payload is not UTF-8");
        json_put_text(out, "text", s->payload);
        return 0;
    }
}

/* ---- objects ---- */

/* What the object has. */
struct seen {
    bool event, id, key, payload, to;
    struct slice channel, session; /* JSON texts; empty: none */
};

static bool is_field(struct slice key)
{
    static const char *const fields[] = {"\"event\"",  "\"data\"",   "\"text\"", "\"to\"",
                                         "\"except\"", "\"retry\"",  "\"key\"",  "\"remove\"",
                                         "\"ttl\"",    "\"private\""};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (slice_equal(key, slice_of(fields[i])))
            return true;
    return false;
}

static bool is(struct slice key, const char *name)
{
    return slice_equal(key, slice_of(name));
}

static void mapping_note(struct seen *seen, struct slice key)
{
    seen->event = seen->event || is(key, "\"event\"");
    seen->id = seen->id || is(key, "\"id\"");
    seen->key = seen->key || is(key, "\"key\"");
    seen->payload = seen->payload || is(key, "\"data\"") || is(key, "\"text\"");
    seen->to = seen->to || is(key, "\"to\"");
}

static void put_member(struct buf *out, struct slice key, struct slice value)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_put(out, ",", 1);
    buf_put_slice(out, key);
    buf_put(out, ":", 1);
    buf_put_slice(out, value);
}

/* Copy the members. row: only fields of a publish that are not null. */
static void copy_members(struct slice object, bool row, struct seen *seen, struct buf *out)
{
    struct slice rest = json_inside(object), key, value;
    while (json_next_field(&rest, &key, &value)) {
        if (row && is(value, "null"))
            continue;

        if (is(key, "\"channel\"")) {
            seen->channel = value;
        } else if (is(key, "\"session\"")) {
            seen->session = value;
        } else if (!row || is_field(key)) {
            mapping_note(seen, key);
            put_member(out, key, value);
        }
    }
}

static void put_list(struct buf *out, const char *name, struct slice text)
{
    if (!text.len)
        return;
    json_begin_list(out, name);
    json_put_raw(out, NULL, text);
    json_end_list(out);
}

/* `channel` and `session` are short for a `to` of one name. */
static int put_target(struct buf *out, struct seen *seen, char why[MAPPING_WHY])
{
    if (!seen->channel.len && !seen->session.len)
        return 0;
    if (seen->to)
        return refuse(why, "`channel` and `session` cannot be combined with `to`");

    json_begin_object(out, "to");
    put_list(out, "sessions", seen->session);
    put_list(out, "channels", seen->channel);
    json_end_object(out);
    seen->to = true;
    return 0;
}

/* Copy an object's members, and add what it lacks. */
static int put_object(struct slice object, bool row, const char *id, struct seen *seen,
                      struct buf *out, char why[MAPPING_WHY])
{
    int err = check_json(object, false, why);
    if (err)
        return err;
    while (object.len && strchr(" \t\r\n", *object.data))
        object = (struct slice){object.data + 1, object.len - 1};
    if (*object.data != '{')
        return refuse(why, "not a JSON object");

    copy_members(object, row, seen, out);
    if (!seen->id && id)
        json_put_text(out, "id", slice_of(id));
    if (!seen->payload)
        json_put_null(out, "data");
    return put_target(out, seen, why);
}

static int put_message(struct buf *out, const struct mapping *m, const struct mapping_source *s,
                       char why[MAPPING_WHY])
{
    struct seen seen = {0};
    int err = put_object(s->payload, false, s->id, &seen, out, why);
    if (!err && !seen.event)
        err = put_event(out, m->event, s->name, why);
    if (!err && !seen.to)
        err = put_channel(out, m->channel, s->name, why);
    if (!err && s->keyed && !seen.key)
        json_put_text(out, "key", s->name);
    return err;
}

static int put_plain(struct buf *out, const struct mapping *m, const struct mapping_source *s,
                     char why[MAPPING_WHY])
{
    int err = put_event(out, m->event, s->name, why);
    if (!err)
        err = put_payload(out, m, s, why);
    if (!err)
        err = put_channel(out, m->channel, s->name, why);
    if (!err && s->keyed && !name_valid(s->name))
        return refuse(why, "the key is not " NAME_RULE);

    if (s->id)
        json_put_text(out, "id", slice_of(s->id));
    if (s->keyed)
        json_put_text(out, "key", s->name);
    if (s->keyed && s->remove)
        json_put_flag(out, "remove", true);
    return err;
}

static int mapping_finish(struct buf *out, int err)
{
    json_end_object(out);
    if (err)
        return err;
    return out->failed ? -ENOMEM : 0;
}

int mapping_event(const struct mapping *m, const struct mapping_source *s, struct buf *out,
                  char why[MAPPING_WHY])
{
    MUST(!s->remove || s->keyed);
    MUST(m->payload != PAYLOAD_WRAPPED || m->name_field);

    out->len = 0;
    json_begin_object(out, NULL);
    bool object = m->payload == PAYLOAD_MESSAGE && !s->remove;
    int err = object ? put_message(out, m, s, why) : put_plain(out, m, s, why);
    return mapping_finish(out, err);
}

int mapping_row(struct slice object, const char *id, struct buf *out, char why[MAPPING_WHY])
{
    struct seen seen = {0};
    out->len = 0;
    json_begin_object(out, NULL);
    int err = put_object(object, true, id, &seen, out, why);
    return mapping_finish(out, err);
}
