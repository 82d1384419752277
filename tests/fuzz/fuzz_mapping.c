/* What another system sent, as the fields of a publish. A result is one JSON object without
 * `channel` and `session`; it has the source's payload and no more names than the mapping says.
 * What is refused has a reason.
 *
 * Input: a first byte (payload kind, keyed, remove, row), then the source's name, PART, the
 * payload. */
#include <errno.h>
#include <jansson.h>

#include "base/base64.h"
#include "codec/json_tree.h"
#include "frame/mapping.h"
#include "fuzz.h"

static json_t *object_of(struct slice text, size_t flags)
{
    json_t *object = json_loadb(text.data, text.len, flags | JSON_ALLOW_NUL, NULL);
    must(json_is_object(object));
    return object;
}

static bool text_is(const json_t *value, struct slice text)
{
    return json_is_string(value) &&
           slice_equal((struct slice){json_string_value(value), json_string_length(value)}, text);
}

static void check_plain(struct slice result, enum mapping_payload kind,
                        const struct mapping_source *s)
{
    json_t *object = object_of(result, JSON_REJECT_DUPLICATES); /* also one in a payload */
    const json_t *channels = json_object_get(json_object_get(object, "to"), "channels");
    must(json_array_size(channels) == 1 && text_is(json_array_get(channels, 0), s->name));
    must(text_is(json_object_get(object, "id"), slice_of(s->id)));
    must(!s->keyed == !json_object_get(object, "key") &&
         s->remove == json_is_true(json_object_get(object, "remove")));

    if (!s->remove && kind == PAYLOAD_TEXT)
        must(text_is(json_object_get(object, "text"), s->payload));
    if (kind == PAYLOAD_WRAPPED)
        must(text_is(json_object_get(json_object_get(object, "data"), "payload"), s->payload));
    if (!s->remove && kind == PAYLOAD_BASE64 && s->payload.len) {
        const json_t *text = json_object_get(object, "text");
        char *bytes = malloc(s->payload.len);
        struct slice encoded = {json_string_value(text), json_string_length(text)};
        must(bytes &&
             base64_decode(BASE64_PLAIN, encoded, bytes, s->payload.len) == s->payload.len);
        must(memcmp(bytes, s->payload.data, s->payload.len) == 0);
        free(bytes);
    }
    json_decref(object);
}

/* The payload was an object: its members are copied, whatever they are. One that is written with
 * escapes may be there twice then: the broker refuses that. */
static void check_copied(struct slice result)
{
    static const struct json_bounds bounds = {.levels = JSON_LEVELS_MAX};
    struct json_tree tree;
    enum json_verdict verdict = json_tree_read(result, &bounds, &tree);
    must(verdict == JSON_GOOD || (verdict == JSON_BAD && strstr(tree.what, "duplicate") &&
                                  memchr(result.data, '\\', result.len)));
    json_tree_release(&tree);

    json_t *object = json_loadb(result.data, result.len, JSON_ALLOW_NUL, NULL);
    if (object)
        must(json_object_get(object, "id") &&
             (json_object_get(object, "data") || json_object_get(object, "text")));
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, name = {0};
    struct buf out = {0};
    char why[MAPPING_WHY] = "";
    uint8_t how = next_byte(&rest);
    if (!next_part(&rest, PART, &name) || !rest.data)
        return 0;

    enum mapping_payload kind = how % (PAYLOAD_MESSAGE + 1);
    char *payload = exact_copy(rest);
    const struct mapping m = {
        .channel = "%s", .event = "e", .payload = kind, .name_field = "topic"};
    struct mapping_source s = {
        .name = name, .payload = {payload, rest.len}, .id = "i", .keyed = how & 0x20};
    s.remove = s.keyed && how & 0x40;

    bool row = how & 0x80, copied = row || (kind == PAYLOAD_MESSAGE && !s.remove);
    int err = row ? mapping_row(s.payload, "i", &out, why) : mapping_event(&m, &s, &out, why);
    must(err == 0 || (err == -EINVAL && *why));
    if (!err && copied)
        check_copied(buf_slice(&out));
    else if (!err && kind != PAYLOAD_JSON)
        check_plain(buf_slice(&out), kind, &s);

    buf_release(&out);
    free(payload);
    return 0;
}
