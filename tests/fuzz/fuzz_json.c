/* Three readers of JSON that must agree: jansson, the broker's json.c with json_tree.c, and the
 * library's json_text.c (which says whether a text is one value).
 *
 * Input: one text. */
#include <jansson.h>

#include "base/name.h"
#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/json_tree.h"
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
    char *softened = surrogate_softened(text); /* halves of pairs are JSON, but not for jansson */
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
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* A field's source text is what the field is. */
static void has_its_source(const struct json_object *o, const char *key, const json_t *value,
                           struct slice text)
{
    struct slice raw = json_raw(o, key);
    must(json_has(o, key) && raw.len && within(raw, text) && json_text_valid(raw));
    json_t *again = json_loadb(raw.data, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    must(again && json_equal(again, value));
    json_decref(again);
}

static bool is_text(const json_t *value, struct slice text)
{
    return json_is_string(value) &&
           slice_equal(text, (struct slice){json_string_value(value), json_string_length(value)});
}

/* raw: it is handed on, and no getter reads it. */
static void scalars_agree(const struct json_object *o, const char *key, const json_t *value,
                          bool raw)
{
    struct json_fault fault = {0};
    struct slice out = {0};
    uint64_t number = 0;
    bool flag = false;

    must((json_get_text(o, key, &out, &fault) == 0) == (!raw && json_is_string(value)));
    must(!out.data || is_text(value, out));
    must((json_get_count(o, key, 0, INT64_MAX, &number, &fault) == 0) ==
         (!raw && json_is_integer(value) && json_integer_value(value) >= 0));
    must(number == 0 || number == (uint64_t)json_integer_value(value));
    must((json_get_flag(o, key, &flag, &fault) == 0) == (!raw && json_is_boolean(value)));
    must(!flag || json_is_true(value));
    must(json_get_name(o, key, &out, &fault) != 0 ||
         (out.len >= 1 && out.len <= NAME_BYTES_MAX && is_text(value, out)));
    must(strlen(fault.message) < sizeof fault.message);
}

static void names_agree(const struct json_object *o, const char *key, const json_t *value, bool raw)
{
    struct json_fault fault = {0};
    struct names names = {0};
    must(json_list_length(o, key) == (raw ? 0 : json_array_size(value)));
    if (json_get_names(o, key, &names, &fault) != 0)
        return;
    must(!raw && json_is_array(value) && names.count == json_array_size(value) &&
         names.count <= EVENT_LIST_MAX);
    for (size_t i = 0; i < names.count; i++)
        must(is_text(json_array_get(value, i), names.items[i]));
}

#define OBJECTS_MAX 5 /* within each other */

/* level: of the fields of o; events: its values are in the list `events` of the request. */
static void fields_agree(const struct json_object *o, const json_t *object, size_t level,
                         bool events, struct slice text)
{
    struct json_fault fault = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        struct json_object inner;
        const struct json_object *list = NULL;
        size_t count = 0;
        bool raw = (strcmp(key, "data") == 0 && (level == 1 || (level == 3 && events))) ||
                   (strcmp(key, "ref") == 0 && level == 1);
        bool in_events = level == 1 ? strcmp(key, "events") == 0 : events;
        has_its_source(o, key, value, text);
        scalars_agree(o, key, value, raw);
        names_agree(o, key, value, raw);
        must((json_get_object(o, key, &inner, &fault) == 0) == (!raw && json_is_object(value)));
        if (!raw && json_is_object(value) && level < OBJECTS_MAX)
            fields_agree(&inner, value, level + 1, in_events, text);
        if (json_get_objects(o, key, 100, &list, &count, &fault) != 0)
            continue;
        must(!raw && json_is_array(value) && count == json_array_size(value));
        for (size_t i = 0; i < count && level < OBJECTS_MAX; i++)
            fields_agree(&list[i], json_array_get(value, i), level + 2, in_events, text);
    }
}

/* Where jansson can hold the text, both have the same fields. */
static void fields_are_found(const struct json_object *o, struct slice text)
{
    json_t *tree = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    if (tree)
        fields_agree(o, tree, 1, false, text);
    json_decref(tree);
}

static void broker_reads(struct slice text, bool valid)
{
    struct json_fault fault = {0};
    struct json *j = json_parse(text, &fault);
    must(!j || valid || is_deep(text));
    must(j || fault.code);
    must(within(json_ref(text), text) &&
         (!j || slice_equal(json_ref(text), json_raw(json_root(j), "ref"))));
    if (j)
        fields_are_found(json_root(j), text);
    json_free(&j);
}

/* A node and its values stand in the text and in the array one behind the other.
 * Returns the next node. */
static const struct json_node *node_is_sound(const struct json_tree *tree,
                                             const struct json_node *node, size_t depth)
{
    struct slice source = json_tree_source(tree, node);
    const struct json_node *value = json_tree_first(node), *behind = json_tree_next(tree, node);
    const char *upto = source.data;
    must(within(source, tree->text) && source.len && behind > node &&
         behind <= tree->nodes + tree->count);
    must(node->count == 0 || (!node->raw && (*source.data == '{' || *source.data == '[')));
    for (uint32_t i = 0; i < node->count && depth < 100; i++) {
        struct slice inner = json_tree_source(tree, value);
        must(within(inner, source) && inner.data > upto);
        upto = inner.data + inner.len;
        value = node_is_sound(tree, value, depth + 1);
    }
    must(depth >= 100 || value == behind);
    return behind;
}

/* A text has a tree exactly when it is JSON, but for a field that stands there twice, and for
 * halves of surrogate pairs outside `data`. */
static void has_a_tree(struct slice text, bool valid, bool data)
{
    struct json_tree tree;
    enum json_verdict verdict = json_tree_read(text, &(struct json_bounds){.data = data}, &tree);
    must(verdict != JSON_GOOD || valid || is_deep(text));
    must(verdict == JSON_GOOD || !valid || is_deep(text) || strstr(tree.what, "duplicate") ||
         (!data && strstr(tree.what, "\\u escape")));
    if (verdict == JSON_GOOD)
        must(node_is_sound(&tree, tree.nodes, 0) == tree.nodes + tree.count &&
             (!data || tree.count == 1));
    else
        must(!tree.count && tree.at <= text.len);
    json_tree_release(&tree);
}

/* --- walking what may be no JSON at all --- */

static void walk(struct slice text)
{
    struct slice rest = json_inside(text), key, value;
    size_t steps = 0;
    while (json_next_field(&rest, &key, &value))
        must(within(key, text) && within(value, text) && steps++ <= text.len);
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
    must(n->channel_count <= PRESENCE_CHANNELS_MAX && n->connection && n->session && n->cause &&
         n->run);
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
    has_a_tree(text, valid, false);
    has_a_tree(text, valid, true);
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
