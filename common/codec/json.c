/* Values are checked here and not by each command, so that error messages are the same for all. */
#include "codec/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/name.h"
#include "codec/json_lex.h"
#include "codec/json_reduce.h"
#include "codec/json_scan.h"

#define SHOWN_MAX 40 /* bytes of a wrong value that a message repeats */
#define PATH_MAX_BYTES 160

/* Memory that lives as long as its struct json. */
struct json_block {
    SLIST_ENTRY(json_block) link;
    max_align_t bytes[];
};

struct json {
    json_t *tree;
    SLIST_HEAD(json_blocks, json_block) blocks;
    struct json_object root;
    size_t name_bytes; /* at most */
};

static void *allocate(struct json *j, size_t size)
{
    struct json_block *b = calloc(1, sizeof *b + size);
    if (!b)
        return NULL;

    SLIST_INSERT_HEAD(&j->blocks, b, link);
    return b->bytes;
}

/* ---- faults ---- */

int json_fault(struct json_fault *fault, const char *code, const char *format, ...)
{
    va_list args;
    fault->code = code;
    va_start(args, format);
    vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    return -EINVAL;
}

static int out_of_memory(struct json_fault *fault)
{
    return json_fault(fault, "bad_request", "the broker is out of memory");
}

struct path {
    char text[PATH_MAX_BYTES];
    size_t len;
};

static void path_add(struct path *p, const char *name, long index)
{
    size_t room = sizeof p->text - p->len;
    int n = index < 0 ? snprintf(p->text + p->len, room, "%s%s", p->len ? "." : "", name)
                      : snprintf(p->text + p->len, room, "%s%s[%ld]", p->len ? "." : "", name, index);
    p->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* No deeper than events[1].to: getters reach few levels. */
static void path_of(struct path *p, const struct json_object *o)
{
    if (!o->parent)
        return;
    path_of(p, o->parent);
    path_add(p, o->name, o->index);
}

static int fault_in_list(struct json_fault *fault, const struct json_object *o, const char *name, long index,
                         const char *what)
{
    struct path path = {0};
    path_of(&path, o);
    path_add(&path, name, index);
    return json_fault(fault, "bad_request", "`%s` %s", path.text, what);
}

int json_fault_at(struct json_fault *fault, const struct json_object *o, const char *name, const char *format, ...)
{
    char what[sizeof fault->message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fault_in_list(fault, o, name, -1, what);
}

int json_fault_of(struct json_fault *fault, const struct json_object *o, const char *format, ...)
{
    char what[sizeof fault->message];
    struct path path = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    path_of(&path, o);
    return path.len ? json_fault(fault, "bad_request", "`%s` %s", path.text, what)
                    : json_fault(fault, "bad_request", "it %s", what);
}

/* ---- parsing ---- */

static json_t *json_load(struct slice text, json_error_t *error)
{
    return json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, error);
}

/* Errors of jansson for valid JSON that it cannot represent. */
static bool can_soften(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

static json_t *load_softened(struct slice text, json_error_t *error)
{
    char *copy = malloc(text.len);
    if (!copy)
        return NULL;
    memcpy(copy, text.data, text.len);
    json_soften(copy, text.len);
    json_t *tree = json_load((struct slice){copy, text.len}, error);
    free(copy);
    return tree;
}

/* Build the tree of the reduced text. It is valid JSON, but may exceed what jansson can
 * represent. */
static json_t *load_reduced(struct slice text, const struct json_reduced *reduced, struct json_fault *fault)
{
    json_error_t error;
    struct slice left = reduced->text ? (struct slice){reduced->text, reduced->len} : text;
    json_t *tree = json_load(left, &error);
    if (!tree && can_soften(&error))
        tree = load_softened(left, &error);
    if (!tree)
        json_fault(fault, "bad_json", "not valid JSON: %s", error.text);
    return tree;
}

static int not_json(struct json_fault *fault, struct slice text, const struct json_reduced *reduced)
{
    size_t line = 1, column = 0;
    for (size_t i = 0; i < reduced->at; i++) {
        bool breaks = text.data[i] == '\n';
        line += breaks;
        column = breaks ? 0 : column + 1;
    }
    return json_fault(fault, "bad_json", "not valid JSON at byte %zu (line %zu, column %zu): %s", reduced->at, line,
                      column, reduced->what);
}

static int reduce(struct slice text, const struct json_limits *limits, struct json_reduced *out,
                  struct json_fault *fault)
{
    struct json_bounds bounds = {.levels = limits->depth, .values = limits->values};
    switch (json_reduce(text, &bounds, out)) {
    case JSON_GOOD:
        return 0;
    case JSON_BAD:
        return not_json(fault, text, out);
    case JSON_TOO_DEEP:
        return json_fault(fault, "bad_json", "nested too deeply; accepted: a depth of at most %zu levels%s",
                          limits->depth ? limits->depth : JSON_LEVELS_MAX, limits->depth ? " (--max-json-depth)" : "");
    case JSON_TOO_MANY:
        return json_fault(fault, "too_large",
                          "the request has too many values; accepted: at most %zu, without those in `data` and `ref` "
                          "(from --max-batch and --max-targets)",
                          limits->values);
    case JSON_NO_MEMORY:
        break;
    }
    return out_of_memory(fault);
}

/* The text is valid, so only white space can be around the value. */
static struct slice trimmed(struct slice text)
{
    while (text.len > 0 && json_is_space(text.data[text.len - 1]))
        text.len--;
    for (; text.len > 0 && json_is_space(*text.data); text.len--)
        text.data++;
    return text;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "a number";
    }
}

static int keep_tree(struct json *j, json_t *tree, struct slice text, struct json_fault *fault)
{
    j->tree = tree;
    j->root = (struct json_object){.json = j, .value = tree, .text = trimmed(text), .index = -1};
    if (!json_is_object(tree))
        return json_fault(fault, "bad_request", "a request is one JSON object, not %s", kind_of(tree));
    return 0;
}

struct json *json_parse_within(struct slice text, const struct json_limits *limits, struct json_fault *fault)
{
    struct json_reduced reduced;
    if (reduce(text, limits, &reduced, fault) != 0)
        return NULL;

    json_t *tree = load_reduced(text, &reduced, fault);
    free(reduced.text);
    if (!tree)
        return NULL;

    struct json *j = calloc(1, sizeof *j);
    if (!j) {
        json_decref(tree);
        out_of_memory(fault);
        return NULL;
    }
    j->name_bytes = limits->name_bytes ? limits->name_bytes : NAME_BYTES_MAX;
    if (keep_tree(j, tree, text, fault))
        json_free(&j);
    return j;
}

struct slice json_ref(struct slice text)
{
    struct json_reduced reduced;
    json_reduce(text, &(struct json_bounds){0}, &reduced);
    free(reduced.text);
    return reduced.ref;
}

struct json *json_parse(struct slice text, struct json_fault *fault)
{
    return json_parse_within(text, &(struct json_limits){0}, fault);
}

void json_free(struct json **j)
{
    if (!*j)
        return;
    json_decref((*j)->tree);
    struct json_block *b;
    while ((b = SLIST_FIRST(&(*j)->blocks))) {
        SLIST_REMOVE_HEAD(&(*j)->blocks, link);
        free(b);
    }
    free(*j);
    *j = NULL;
}

const struct json_object *json_root(const struct json *j)
{
    return &j->root;
}

/* ---- finding ---- */

static json_t *find(const struct json_object *o, const char *name)
{
    return json_object_get((const json_t *)o->value, name);
}

bool json_has(const struct json_object *o, const char *name)
{
    return find(o, name) != NULL;
}

static bool decoded_key_is(struct slice key, const char *name)
{
    json_t *decoded = json_loadb(key.data, key.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = decoded && json_string_length(decoded) == strlen(name) && !strcmp(json_string_value(decoded), name);
    json_decref(decoded);
    return same;
}

static bool key_is(struct slice key, const char *name)
{
    if (memchr(key.data, '\\', key.len))
        return decoded_key_is(key, name);
    return slice_equal(json_inside(key), slice_of(name));
}

struct slice json_raw(const struct json_object *o, const char *name)
{
    struct slice rest = json_inside(o->text), key, value;
    if (!json_has(o, name))
        return (struct slice){NULL, 0};
    while (json_next_field(&rest, &key, &value))
        if (key_is(key, name))
            return value;
    return (struct slice){NULL, 0};
}

/* ---- what was wrong ---- */

/* Cut between characters. */
static size_t shown_length(struct slice text)
{
    size_t n = 0, len;
    while (n < text.len && (len = utf8_sequence((struct slice){text.data + n, text.len - n})) && n + len <= SHOWN_MAX)
        n += len;
    return n;
}

static int not_what(struct json_fault *fault, const struct json_object *o, const char *name, long index,
                    const json_t *value, struct slice source, const char *wanted)
{
    char what[sizeof fault->message];
    size_t shown = shown_length(source);
    if (json_is_object(value) || json_is_array(value))
        snprintf(what, sizeof what, "must be %s, not %s", wanted, kind_of(value));
    else
        snprintf(what, sizeof what, "must be %s, not %.*s%s", wanted, (int)shown, source.data,
                 shown < source.len ? "..." : "");
    return fault_in_list(fault, o, name, index, what);
}

static int not_field(struct json_fault *fault, const struct json_object *o, const char *name, const json_t *value,
                     const char *wanted)
{
    return not_what(fault, o, name, -1, value, json_raw(o, name), wanted);
}

static struct slice nth_source(const struct json_object *o, const char *name, size_t index)
{
    struct slice rest = json_inside(json_raw(o, name)), item = {NULL, 0};
    for (size_t i = 0; i <= index; i++)
        if (!json_next_item(&rest, &item))
            return (struct slice){NULL, 0};
    return item;
}

static int not_item(struct json_fault *fault, const struct json_object *o, const char *name, size_t index,
                    const json_t *value, const char *wanted)
{
    return not_what(fault, o, name, (long)index, value, nth_source(o, name, index), wanted);
}

/* ---- fields ---- */

static bool among(const char *const *accepted, const char *name)
{
    for (; *accepted; accepted++)
        if (!strcmp(*accepted, name))
            return true;
    return false;
}

static void json_join(const char *const *names, char *out, size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; names[i] && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i ? ", " : "", names[i]);
}

static int unknown_field(struct json_fault *fault, const struct json_object *o, const char *name,
                         const char *const *accepted)
{
    char known[sizeof fault->message];
    struct slice shown = slice_of(name);
    char cut[SHOWN_MAX + 4];
    size_t n = shown_length(shown);
    snprintf(cut, sizeof cut, "%.*s%s", (int)n, name, n < shown.len ? "..." : "");
    json_join(accepted, known, sizeof known);
    return json_fault_at(fault, o, cut, "is not a field here; accepted: %s", known);
}

int json_check_fields(const struct json_object *o, const char *const *accepted, struct json_fault *fault)
{
    for (void *i = json_object_iter(o->value); i; i = json_object_iter_next(o->value, i))
        if (!among(accepted, json_object_iter_key(i)))
            return unknown_field(fault, o, json_object_iter_key(i), accepted);
    return 0;
}

/* ---- getters ---- */

static struct slice string_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

int json_get_text(const struct json_object *o, const char *name, struct slice *out, struct json_fault *fault)
{
    const json_t *value = find(o, name);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return not_field(fault, o, name, value, "a string");
    *out = string_of(value);
    return 0;
}

static bool is_name(const struct json *j, const json_t *value)
{
    return json_is_string(value) && name_valid(string_of(value)) && json_string_length(value) <= j->name_bytes;
}

/* NAME_RULE, with the limit in force. */
#define NAME_WANTED 100

static const char *name_wanted(const struct json *j, char out[NAME_WANTED])
{
    snprintf(out, NAME_WANTED, "a string of 1 to %zu bytes of UTF-8 without control characters", j->name_bytes);
    return out;
}

int json_get_name(const struct json_object *o, const char *name, struct slice *out, struct json_fault *fault)
{
    char wanted[NAME_WANTED];
    const json_t *value = find(o, name);
    if (!value)
        return 0;
    if (!is_name(o->json, value))
        return not_field(fault, o, name, value, name_wanted(o->json, wanted));
    *out = string_of(value);
    return 0;
}

static int fill_names(const struct json_object *o, const char *name, const json_t *list, struct slice *items,
                      struct json_fault *fault)
{
    char wanted[NAME_WANTED];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!is_name(o->json, value))
            return not_item(fault, o, name, i, value, name_wanted(o->json, wanted));
        items[i] = string_of(value);
    }
    return 0;
}

/* A field that must be a list of at most max items. */
static int check_list(const struct json_object *o, const char *name, const json_t *value, const char *of, size_t max,
                      struct json_fault *fault)
{
    char wanted[48];
    snprintf(wanted, sizeof wanted, "a list of %s", of);
    if (!json_is_array(value))
        return not_field(fault, o, name, value, wanted);
    if (json_array_size(value) > max)
        return json_fault_at(fault, o, name, "must be a list of at most %zu %s, not %zu", max, of,
                             json_array_size(value));
    return 0;
}

int json_get_names(const struct json_object *o, const char *name, struct names *out, struct json_fault *fault)
{
    const json_t *list = find(o, name);
    if (!list)
        return 0;
    if (check_list(o, name, list, "names", EVENT_LIST_MAX, fault))
        return -EINVAL;
    struct slice *items = allocate(o->json, json_array_size(list) * sizeof *items);
    if (!items)
        return out_of_memory(fault);
    if (fill_names(o, name, list, items, fault))
        return -EINVAL;
    *out = (struct names){items, json_array_size(list)};
    return 0;
}

int json_get_count(const struct json_object *o, const char *name, uint64_t min, uint64_t max, uint64_t *out,
                   struct json_fault *fault)
{
    char wanted[80];
    const json_t *value = find(o, name);
    if (!value)
        return 0;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        snprintf(wanted, sizeof wanted, "a whole number from %llu to %llu", (unsigned long long)min,
                 (unsigned long long)max);
        return not_field(fault, o, name, value, wanted);
    }
    *out = (uint64_t)number;
    return 0;
}

int json_get_flag(const struct json_object *o, const char *name, bool *out, struct json_fault *fault)
{
    const json_t *value = find(o, name);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return not_field(fault, o, name, value, "true or false");
    *out = json_is_true(value);
    return 0;
}

int json_get_object(const struct json_object *o, const char *name, struct json_object *out, struct json_fault *fault)
{
    json_t *value = find(o, name);
    *out = (struct json_object){.json = o->json, .value = value, .parent = o, .name = name, .index = -1};
    if (!value)
        return 0;
    out->text = json_raw(o, name);
    return json_is_object(value) ? 0 : not_field(fault, o, name, value, "an object");
}

static int fill_objects(const struct json_object *o, const char *name, const json_t *list, struct json_object *items,
                        struct json_fault *fault)
{
    struct slice rest = json_inside(json_raw(o, name));
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *value = json_array_get(list, i);
        items[i] = (struct json_object){.json = o->json, .value = value, .parent = o, .name = name, .index = (long)i};
        json_next_item(&rest, &items[i].text);
        if (!json_is_object(value))
            return not_item(fault, o, name, i, value, "an object");
    }
    return 0;
}

size_t json_list_length(const struct json_object *o, const char *name)
{
    return json_array_size(find(o, name));
}

int json_get_objects(const struct json_object *o, const char *name, size_t max, const struct json_object **out,
                     size_t *count, struct json_fault *fault)
{
    const json_t *list = find(o, name);
    if (!list)
        return 0;
    if (check_list(o, name, list, "objects", max, fault))
        return -EINVAL;
    struct json_object *items = allocate(o->json, json_array_size(list) * sizeof *items);
    if (!items)
        return out_of_memory(fault);
    if (fill_objects(o, name, list, items, fault))
        return -EINVAL;
    *out = items;
    *count = json_array_size(list);
    return 0;
}

/* ---- replies ---- */

void json_reply_begin(struct buf *out)
{
    json_begin_object(out, NULL);
    json_put_flag(out, "ok", true);
}

void json_reply_end(struct buf *out, struct slice ref)
{
    if (ref.len > 0)
        json_put_raw(out, "ref", ref);
    json_end_object(out);
}

void json_reply_fault(struct buf *out, const struct json_fault *fault, struct slice ref)
{
    out->len = 0;
    json_begin_object(out, NULL);
    json_put_flag(out, "ok", false);
    json_put_text(out, "error", slice_of(fault->code));
    json_put_text(out, "message", slice_of(fault->message));
    if (fault->unknown)
        json_put_flag(out, "unknown", true);
    json_reply_end(out, ref);
}
