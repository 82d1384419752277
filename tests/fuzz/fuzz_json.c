/* Three readers of JSON that must agree: jansson, the broker's json.c with json_scan.c (which finds spans in the text), and the library's
 * json_text.c (which says whether a text is one value).
 *
 * Input: one text. */
#include <jansson.h>

#include "base/name.h"
#include "codec/json.h"
#include "codec/json_reduce.h"
#include "codec/json_scan.h"
#include "codec/surrogate.h"
#include "fuzz.h"
#include "lib/json_text.h"
#include "lib/presence_message.h"
#include "lib/reply_json.h"

/* What jansson cannot hold although it is JSON, or does not try. */
static bool is_beyond_jansson(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           code == json_error_stack_overflow;
}

static bool is_deep(struct slice text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++)
        depth += text.data[i] == '[' || text.data[i] == '{';
    return depth >= JSON_TEXT_DEPTH;
}

static void agrees_with_jansson(struct slice text, bool valid)
{
    json_error_t error;
    char *softened = surrogate_softened(text); /* halves of pairs are JSON, and jansson refuses them */
    json_t *tree = json_loadb(softened, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    bool nul = text.len && memchr(text.data, 0, text.len); /* passed over behind a number */
    must(!tree || valid || nul || is_deep(text));
    must(tree || !valid || is_beyond_jansson(&error));
    json_decref(tree);
    free(softened);
}

/* --- the broker's --- */

static bool within(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* A field's source text is what the field is. The values of `data` and `ref` are not built, nor is `data` in `events`. */
static void has_its_source(const struct json_object *o, const char *key, const json_t *value, struct slice text)
{
    json_error_t error;
    struct slice raw = json_raw(o, key);
    must(raw.len && within(raw, text));
    if (strcmp(key, "data") == 0 || strcmp(key, "ref") == 0) {
        must(json_is_integer(value) && json_text_valid(raw));
        return;
    }
    if (strcmp(key, "events") == 0)
        return;
    json_t *again = json_loadb(raw.data, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    must(again ? json_equal(again, (json_t *)value) : is_beyond_jansson(&error));
    json_decref(again);
}

static void is_asked(const struct json_object *o, const char *key, struct slice text)
{
    struct json_fault fault = {0};
    struct slice out;
    struct names names;
    uint64_t number = 0;
    bool flag;
    struct json_object inner;
    const struct json_object *list;
    size_t count = 0;
    int good = 0;
    good += json_get_text(o, key, &out, &fault) == 0;
    good += json_get_count(o, key, 0, INT64_MAX, &number, &fault) == 0;
    good += json_get_flag(o, key, &flag, &fault) == 0;
    must(good <= 1 && number <= INT64_MAX);
    if (json_get_names(o, key, &names, &fault) == 0)
        must(names.count <= EVENT_LIST_MAX);
    if (json_get_object(o, key, &inner, &fault) == 0 && inner.value)
        must(within(inner.text, text) && inner.text.data[0] == '{' && inner.text.data[inner.text.len - 1] == '}');
    if (json_get_objects(o, key, 100, &list, &count, &fault) == 0)
        for (size_t i = 0; i < count; i++)
            must(within(list[i].text, text) && list[i].text.data[0] == '{');
    must(json_get_name(o, key, &out, &fault) != 0 || (out.len >= 1 && out.len <= NAME_BYTES_MAX));
    must(strlen(fault.message) < sizeof fault.message);
}

static void fields_are_found(const struct json_object *o, struct slice text)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o->value, key, value)
    {
        has_its_source(o, key, value, text);
        is_asked(o, key, text);
    }
}

/* In a softened text (json_scan.h) numbers are not what they were. */
static bool is_softened(struct slice text)
{
    json_t *tree = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    json_decref(tree);
    return !tree;
}

static void broker_reads(struct slice text, bool valid)
{
    struct json_fault fault = {0};
    struct json *j = json_parse(text, &fault);
    must(!j || valid || is_deep(text));
    must(j || fault.code);
    must(within(json_ref(text), text) && (!j || slice_equal(json_ref(text), json_raw(json_root(j), "ref"))));
    if (j && !is_softened(text))
        fields_are_found(json_root(j), text);
    json_free(&j);
}

/* What the pass before jansson leaves is JSON exactly when the text was, but for a field that stands there twice, and for halves of
 * surrogate pairs outside `data`. */
static void reduces(struct slice text, bool valid)
{
    struct json_reduced reduced;
    enum json_verdict verdict = json_reduce(text, &(struct json_bounds){0}, &reduced);
    must(verdict != JSON_GOOD || valid || is_deep(text));
    must(verdict == JSON_GOOD || !valid || is_deep(text) || strstr(reduced.what, "duplicate") ||
         strstr(reduced.what, "\\u escape"));
    if (verdict == JSON_GOOD)
        must(!reduced.text || (reduced.len <= text.len &&
                               (json_text_valid((struct slice){reduced.text, reduced.len}) || is_deep(text))));
    else
        must(!reduced.text && reduced.at <= text.len);
    free(reduced.text);
}

/* --- walking what may be no JSON at all --- */

static void walk(struct slice text)
{
    struct slice rest = json_inside(text), key, value;
    size_t steps = 0;
    while (json_next_field(&rest, &key, &value))
        must(within(key, text) && within(value, text) && steps++ <= text.len);
    rest = json_inside(text);
    while (json_next_item(&rest, &value))
        must(within(value, text) && within(rest, text) && steps++ <= 2 * text.len);
}

static void soften(struct slice text, bool valid)
{
    char *copy = exact_copy(text);
    json_soften(copy, text.len);
    must(json_text_valid((struct slice){copy, text.len}) == valid);
    free(copy);
}

/* --- the library's --- */

static void library_reads(struct slice text)
{
    struct ssecast_reply *reply;
    uint64_t ref, seqs[4];
    int64_t number;
    size_t len;
    if (reply_parse(text, &reply, &ref) != 0) {
        must(!reply);
        return;
    }
    const char *json = ssecast_reply_json(reply, &len);
    must(len <= text.len && strlen(ssecast_reply_code(reply)) <= text.len);
    must(ref || (len == text.len && memcmp(json, text.data, len) == 0));
    ssecast_reply_seqs(reply, seqs, 4);
    ssecast_reply_number(reply, "online", &number);
    ssecast_reply_message(reply);
    ssecast_reply_free(&reply);
}

static void see(void *context, const struct presence_message *n)
{
    must(n->channel_count <= PRESENCE_CHANNELS_MAX && n->connection && n->session && n->cause && n->run);
    (*(size_t *)context)++;
}

static void watcher_reads(struct slice text)
{
    struct ssecast_reply *reply;
    struct presence_page page;
    uint64_t ref;
    size_t seen = 0;
    must(presence_message_read(text, see, &seen) == 0 ? seen == 1 : seen == 0);
    if (reply_parse(text, &reply, &ref) == 0)
        presence_page_read(reply, &page, see, &seen);
    ssecast_reply_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    bool empty, repeatable;
    text.data = exact_copy(text);
    bool valid = json_text_valid(text);
    must(!valid || utf8_valid(text));
    agrees_with_jansson(text, valid);
    broker_reads(text, valid);
    reduces(text, valid);
    walk(text);
    soften(text, valid);
    library_reads(text);
    watcher_reads(text);
    reply_readable(text);
    if (valid) /* its caller has asked */
        reply_is_request(text, &empty, &repeatable);
    free((char *)text.data);
    return 0;
}
