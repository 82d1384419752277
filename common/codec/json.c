/* Values are checked here and not by each command, so that error messages are the same for all. */
#include "codec/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/must.h"
#include "base/name.h"
#include "codec/json_tree.h"

#define SHOWN_MAX 40 /* bytes of a wrong value that a message repeats */
#define PATH_MAX_BYTES 160

#define ROOM_BYTES 256 /* enough for most requests, without a block */

/* Memory that lives as long as its struct json. */
struct json_block {
    SLIST_ENTRY(json_block) link;
    max_align_t bytes[];
};

struct json {
    struct json_tree tree;
    SLIST_HEAD(json_blocks, json_block) blocks;
    struct json_object root;
    size_t name_bytes; /* at most */
    size_t taken;      /* bytes of room */
    _Alignas(max_align_t) char room[ROOM_BYTES];
};

static void *allocate_block(struct json *j, size_t size)
{
    struct json_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;

    SLIST_INSERT_HEAD(&j->blocks, b, link);
    return b->bytes;
}

/* Not zeroed. */
static void *allocate(struct json *j, size_t size)
{
    MUST(j->taken <= ROOM_BYTES);
    if (size > ROOM_BYTES - j->taken)
        return allocate_block(j, size);

    void *p = j->room + j->taken;
    size_t whole =
        (size + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
    j->taken += whole; /* the room is a whole number of them */
    return p;
}

/* ---- faults ---- */

int json_fault(struct json_fault *fault, const char *code, const char *format, ...)
{
    va_list args;
    fault->code = code;
    fault->placed = false;
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
    int n = index < 0
                ? snprintf(p->text + p->len, room, "%s%s", p->len ? "." : "", name)
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

static int fault_at_path(struct json_fault *fault, const struct path *path, const char *what)
{
    json_fault(fault, "bad_request", "`%s` %s", path->text, what);
    fault->placed = true;
    return -EINVAL;
}

static int fault_in_list(struct json_fault *fault, const struct json_object *o, const char *name,
                         long index, const char *what)
{
    struct path path = {0};
    path_of(&path, o);
    path_add(&path, name, index);
    return fault_at_path(fault, &path, what);
}

int json_fault_at(struct json_fault *fault, const struct json_object *o, const char *name,
                  const char *format, ...)
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
    return path.len ? fault_at_path(fault, &path, what)
                    : json_fault(fault, "bad_request", "it %s", what);
}

/* ---- parsing ---- */

/* Cut between characters, and before a NUL. */
static size_t shown_length(struct slice text)
{
    size_t n = 0, len;
    while (n < text.len && text.data[n] &&
           (len = utf8_sequence((struct slice){text.data + n, text.len - n})) &&
           n + len <= SHOWN_MAX)
        n += len;
    return n;
}

/* The field that came twice, in backquotes, cut if it is long. */
static void show_field(struct slice field, char out[SHOWN_MAX + 8])
{
    size_t n = shown_length(field);
    out[0] = '\0';
    if (field.len)
        snprintf(out, SHOWN_MAX + 8, ": `%.*s%s`", (int)n, field.data, n < field.len ? "..." : "");
}

static int not_json(struct json_fault *fault, const struct json_tree *tree)
{
    size_t line = 1, column = 0;
    char field[SHOWN_MAX + 8];

    show_field(tree->field, field);
    for (size_t i = 0; i < tree->at; i++) {
        bool breaks = tree->text.data[i] == '\n';
        line += breaks;
        column = breaks ? 0 : column + 1;
    }
    return json_fault(fault, "bad_json", "not valid JSON at byte %zu (line %zu, column %zu): %s%s",
                      tree->at, line, column, tree->what, field);
}

static int read_tree(struct slice text, const struct json_limits *limits, struct json_tree *out,
                     struct json_fault *fault)
{
    struct json_bounds bounds = {.levels = limits->depth, .values = limits->values};
    switch (json_tree_read(text, &bounds, out)) {
    case JSON_GOOD:
        return 0;
    case JSON_BAD:
        return not_json(fault, out);
    case JSON_TOO_DEEP:
        return json_fault(fault, "bad_json",
                          "nested too deeply; accepted: a depth of at most %zu levels%s",
                          limits->depth ? limits->depth : JSON_LEVELS_MAX,
                          limits->depth ? " (--max-json-depth)" : "");
    case JSON_TOO_MANY:
        return json_fault(fault, "too_large",
                          "the request has too many values; accepted: at most %zu, "
                          "without those in `data` and `ref` (from --max-batch and --max-targets)",
                          limits->values);
    case JSON_NO_MEMORY:
        break;
    }
    return out_of_memory(fault);
}

/* The first byte of a value tells its kind; that of a value which is handed on is not looked at. */
static char first_byte(const struct json *j, const struct json_node *value)
{
    return value->raw ? '\0' : j->tree.text.data[value->at];
}

static const char *kind_of(char first)
{
    switch (first) {
    case '{':
        return "an object";
    case '[':
        return "a list";
    case '"':
        return "a string";
    case 'n':
        return "null";
    case 't':
    case 'f':
        return "true or false";
    default:
        return "a number";
    }
}

static int parse_request(struct json *j, struct slice text, const struct json_limits *limits,
                         struct json_fault *fault)
{
    if (read_tree(text, limits, &j->tree, fault) != 0)
        return -EINVAL;

    j->root = (struct json_object){.json = j, .value = j->tree.nodes, .index = -1};
    char first = first_byte(j, j->root.value);
    return first == '{' ? 0
                        : json_fault(fault, "bad_request", "a request is one JSON object, not %s",
                                     kind_of(first));
}

struct json *json_parse_within(struct slice text, const struct json_limits *limits,
                               struct json_fault *fault)
{
    struct json *j = malloc(sizeof *j);
    if (!j) {
        out_of_memory(fault);
        return NULL;
    }

    SLIST_INIT(&j->blocks);
    j->taken = 0;
    j->name_bytes = limits->name_bytes ? limits->name_bytes : NAME_BYTES_MAX;
    if (parse_request(j, text, limits, fault) != 0)
        json_free(&j);
    return j;
}

struct slice json_ref(struct slice text)
{
    struct json_tree tree;
    struct slice ref = {NULL, 0};
    if (json_tree_read(text, &(struct json_bounds){0}, &tree) == JSON_GOOD) {
        const struct json_node *value = json_tree_find(&tree, tree.nodes, "ref");
        ref = value ? json_tree_source(&tree, value) : ref;
    }
    json_tree_release(&tree);
    return ref;
}

struct json *json_parse(struct slice text, struct json_fault *fault)
{
    return json_parse_within(text, &(struct json_limits){0}, fault);
}

void json_free(struct json **j)
{
    if (!*j)
        return;
    json_tree_release(&(*j)->tree);
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

static const struct json_node *find(const struct json_object *o, const char *name)
{
    return o->value ? json_tree_find(&o->json->tree, o->value, name) : NULL;
}

bool json_has(const struct json_object *o, const char *name)
{
    return find(o, name) != NULL;
}

static struct slice source_of(const struct json *j, const struct json_node *value)
{
    return json_tree_source(&j->tree, value);
}

struct slice json_raw(const struct json_object *o, const char *name)
{
    const struct json_node *value = find(o, name);
    return value ? source_of(o->json, value) : (struct slice){NULL, 0};
}

/* ---- what was wrong ---- */

static int not_what(struct json_fault *fault, const struct json_object *o, const char *name,
                    long index, const struct json_node *value, const char *wanted)
{
    char what[sizeof fault->message], first = first_byte(o->json, value);
    struct slice source = source_of(o->json, value);
    size_t shown = shown_length(source);
    if (first == '{' || first == '[')
        snprintf(what, sizeof what, "must be %s, not %s", wanted, kind_of(first));
    else
        snprintf(what, sizeof what, "must be %s, not %.*s%s", wanted, (int)shown, source.data,
                 shown < source.len ? "..." : "");
    return fault_in_list(fault, o, name, index, what);
}

static int not_field(struct json_fault *fault, const struct json_object *o, const char *name,
                     const struct json_node *value, const char *wanted)
{
    return not_what(fault, o, name, -1, value, wanted);
}

/* ---- fields ---- */

static bool among(const char *const *accepted, const struct json_tree *tree,
                  const struct json_node *field)
{
    for (; *accepted; accepted++)
        if (json_tree_key_is(tree, field, *accepted))
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

static int unknown_field(struct json_fault *fault, const struct json_object *o, struct slice name,
                         const char *const *accepted)
{
    char known[sizeof fault->message];
    char cut[SHOWN_MAX + 4];
    size_t n = shown_length(name);
    snprintf(cut, sizeof cut, "%.*s%s", (int)n, name.data, n < name.len ? "..." : "");
    json_join(accepted, known, sizeof known);
    return json_fault_at(fault, o, cut, "is not a field here; accepted: %s", known);
}

int json_check_fields(const struct json_object *o, const char *const *accepted,
                      struct json_fault *fault)
{
    const struct json_tree *tree = &o->json->tree;
    const struct json_node *field = json_tree_first(o->value);
    for (uint32_t i = 0; i < o->value->count; i++, field = json_tree_next(tree, field))
        if (!among(accepted, tree, field))
            return unknown_field(fault, o, json_tree_key(tree, &field->key), accepted);
    return 0;
}

/* ---- getters ---- */

/* A text, decoded if it has escapes. False when out of memory. */
static bool text_of(struct json *j, const struct json_node *value, struct slice *out)
{
    struct slice source = source_of(j, value);
    struct slice inside = {source.data + 1, source.len - 2};
    if (!memchr(inside.data, '\\', inside.len)) {
        *out = inside;
        return true;
    }

    char *decoded = allocate(j, inside.len);
    if (decoded)
        *out = (struct slice){decoded, json_tree_decode(inside, decoded)};
    return decoded != NULL;
}

int json_get_text(const struct json_object *o, const char *name, struct slice *out,
                  struct json_fault *fault)
{
    const struct json_node *value = find(o, name);
    if (!value)
        return 0;
    if (first_byte(o->json, value) != '"')
        return not_field(fault, o, name, value, "a string");
    return text_of(o->json, value, out) ? 0 : out_of_memory(fault);
}

/* -EBADMSG: the value is not a name. */
static int name_of(struct json *j, const struct json_node *value, struct slice *out)
{
    struct slice name;
    if (first_byte(j, value) != '"')
        return -EBADMSG;
    if (!text_of(j, value, &name))
        return -ENOMEM;
    if (name.len > j->name_bytes || !name_valid(name))
        return -EBADMSG;

    *out = name;
    return 0;
}

/* NAME_RULE, with the limit in force. */
#define NAME_WANTED 100

static const char *name_wanted(const struct json *j, char out[NAME_WANTED])
{
    snprintf(out, NAME_WANTED, "a string of 1 to %zu bytes of UTF-8 without control characters",
             j->name_bytes);
    return out;
}

static int get_name(const struct json_object *o, const char *name, long index,
                    const struct json_node *value, struct slice *out, struct json_fault *fault)
{
    char wanted[NAME_WANTED];
    int err = name_of(o->json, value, out);
    if (err == -ENOMEM)
        return out_of_memory(fault);
    return err ? not_what(fault, o, name, index, value, name_wanted(o->json, wanted)) : 0;
}

int json_get_name(const struct json_object *o, const char *name, struct slice *out,
                  struct json_fault *fault)
{
    const struct json_node *value = find(o, name);
    return value ? get_name(o, name, -1, value, out, fault) : 0;
}

static int fill_names(const struct json_object *o, const char *name, const struct json_node *list,
                      struct slice *items, struct json_fault *fault)
{
    const struct json_node *value = json_tree_first(list);
    for (uint32_t i = 0; i < list->count; i++, value = json_tree_next(&o->json->tree, value))
        if (get_name(o, name, i, value, &items[i], fault) != 0)
            return -EINVAL;
    return 0;
}

/* A field that must be a list of at most max items. */
static int check_list(const struct json_object *o, const char *name, const struct json_node *value,
                      const char *of, size_t max, struct json_fault *fault)
{
    char wanted[48];
    if (first_byte(o->json, value) != '[') {
        snprintf(wanted, sizeof wanted, "a list of %s", of);
        return not_field(fault, o, name, value, wanted);
    }
    if (value->count > max)
        return json_fault_at(fault, o, name, "must be a list of at most %zu %s, not %u", max, of,
                             value->count);
    return 0;
}

int json_get_names(const struct json_object *o, const char *name, struct names *out,
                   struct json_fault *fault)
{
    const struct json_node *list = find(o, name);
    if (!list)
        return 0;
    if (check_list(o, name, list, "names", EVENT_LIST_MAX, fault))
        return -EINVAL;
    struct slice *items = allocate(o->json, list->count * sizeof *items);
    if (!items)
        return out_of_memory(fault);
    if (fill_names(o, name, list, items, fault))
        return -EINVAL;
    *out = (struct names){items, list->count};
    return 0;
}

/* Read a whole number of up to INT64_MAX. False for other numbers, and for other values. */
static bool whole_number(struct slice source, uint64_t *out)
{
    bool negative = source.data[0] == '-';
    uint64_t number = 0;
    for (size_t i = negative; i < source.len; i++) {
        unsigned digit = (unsigned char)source.data[i] - '0';
        if (digit > 9 || number > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return !negative || number == 0;
}

int json_get_count(const struct json_object *o, const char *name, uint64_t min, uint64_t max,
                   uint64_t *out, struct json_fault *fault)
{
    char wanted[80];
    uint64_t number;
    const struct json_node *value = find(o, name);
    if (!value)
        return 0;
    if (value->raw || !whole_number(source_of(o->json, value), &number) || number < min ||
        number > max) {
        snprintf(wanted, sizeof wanted, "a whole number from %llu to %llu", (unsigned long long)min,
                 (unsigned long long)max);
        return not_field(fault, o, name, value, wanted);
    }
    *out = number;
    return 0;
}

int json_get_flag(const struct json_object *o, const char *name, bool *out,
                  struct json_fault *fault)
{
    const struct json_node *value = find(o, name);
    if (!value)
        return 0;
    char first = first_byte(o->json, value);
    if (first != 't' && first != 'f')
        return not_field(fault, o, name, value, "true or false");
    *out = first == 't';
    return 0;
}

int json_get_object(const struct json_object *o, const char *name, struct json_object *out,
                    struct json_fault *fault)
{
    const struct json_node *value = find(o, name);
    *out = (struct json_object){
        .json = o->json, .value = value, .parent = o, .name = name, .index = -1};
    if (!value || first_byte(o->json, value) == '{')
        return 0;
    return not_field(fault, o, name, value, "an object");
}

static int fill_objects(const struct json_object *o, const char *name, const struct json_node *list,
                        struct json_object *items, struct json_fault *fault)
{
    const struct json_node *value = json_tree_first(list);
    for (uint32_t i = 0; i < list->count; i++, value = json_tree_next(&o->json->tree, value)) {
        items[i] = (struct json_object){
            .json = o->json, .value = value, .parent = o, .name = name, .index = (long)i};
        if (first_byte(o->json, value) != '{')
            return not_what(fault, o, name, (long)i, value, "an object");
    }
    return 0;
}

size_t json_list_length(const struct json_object *o, const char *name)
{
    const struct json_node *list = find(o, name);
    return list && first_byte(o->json, list) == '[' ? list->count : 0;
}

int json_get_objects(const struct json_object *o, const char *name, size_t max,
                     const struct json_object **out, size_t *count, struct json_fault *fault)
{
    const struct json_node *list = find(o, name);
    if (!list)
        return 0;
    if (check_list(o, name, list, "objects", max, fault))
        return -EINVAL;
    struct json_object *items = allocate(o->json, list->count * sizeof *items);
    if (!items)
        return out_of_memory(fault);
    if (fill_objects(o, name, list, items, fault))
        return -EINVAL;
    *out = items;
    *count = list->count;
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
