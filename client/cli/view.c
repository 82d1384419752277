#include "cli/view.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "cli/show.h"
#include "codec/surrogate.h"

#define HEADINGS_MAX 16

/* ---- values ---- */

static int add_time(struct grid *g, const json_t *value)
{
    char text[32];
    time_t seconds = (time_t)(json_integer_value(value) / 1000);
    struct tm local;
    if (!localtime_r(&seconds, &local) || !strftime(text, sizeof text, "%F %T", &local))
        return grid_add(g, slice_of("?"));
    return grid_add(g, slice_of(text));
}

static int add_duration(struct grid *g, int64_t ms)
{
    char text[SHOW_DURATION];
    return grid_add(g, slice_of(show_duration(ms > 0 ? (uint64_t)ms : 0, text)));
}

static int add_silence(struct grid *g, int64_t ms)
{
    char text[SHOW_DURATION];
    return grid_add(g, slice_of(show_silence(ms > 0 ? (uint64_t)ms : 0, text)));
}

/* The clock of the broker may differ from ours, so a difference may be negative. */
static int64_t ms_between(int64_t from, int64_t to)
{
    int64_t difference;
    return __builtin_sub_overflow(to, from, &difference) ? 0 : difference;
}

static int64_t ms_left(const json_t *row, json_int_t seconds, int64_t now_ms)
{
    int64_t ms, end;
    json_int_t at = json_integer_value(json_object_get(row, "at"));
    bool fits =
        !__builtin_mul_overflow(seconds, 1000, &ms) && !__builtin_add_overflow(at, ms, &end);
    return fits ? ms_between(now_ms, end) : 0;
}

static bool all_strings(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return json_is_array(list);
}

/* "a,b": short and without quotes. */
static int add_names(struct grid *g, const json_t *list)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(list); i++)
        fprintf(out, "%s%s", i ? "," : "", json_string_value(json_array_get(list, i)));
    int err = fclose(out) ? -ENOMEM : grid_add(g, (struct slice){text, len});
    free(text);
    return err;
}

static int add_dumped(struct grid *g, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    int err = text ? grid_add(g, slice_of(text)) : -ENOMEM;
    free(text);
    return err;
}

static int add_value(struct grid *g, const json_t *value)
{
    if (json_is_string(value))
        return grid_add(g, (struct slice){json_string_value(value), json_string_length(value)});
    if (json_is_array(value) && json_array_size(value) == 0)
        return grid_add(g, slice_of("-"));
    return all_strings(value) ? add_names(g, value) : add_dumped(g, value);
}

/* ---- tables ---- */

static int add_number(struct grid *g, const struct column *column, const json_t *row,
                      const json_t *value, int64_t now_ms)
{
    switch (column->form) {
    case FORM_VALUE:
        return add_value(g, value);
    case FORM_TIME:
        return add_time(g, value);
    case FORM_AGE:
        return add_duration(g, ms_between(json_integer_value(value), now_ms));
    case FORM_LEFT:
        return add_duration(g, ms_left(row, json_integer_value(value), now_ms));
    case FORM_HEARD:
        return add_silence(g, json_integer_value(value));
    }
    MUST(!"a column has a form");
    return -EINVAL;
}

static int add_cell(struct grid *g, const struct column *column, const json_t *row, int64_t now_ms)
{
    const json_t *value = json_object_get(row, column->field);
    if (!value || json_is_null(value))
        return grid_add(g, slice_of(column->missing ? column->missing : "-"));
    return json_is_integer(value) ? add_number(g, column, row, value, now_ms) : add_value(g, value);
}

static int add_rows(struct grid *g, const struct view *view, const json_t *list, int64_t now_ms)
{
    int err = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t c = 0; c < view->count && !err; c++)
            err = add_cell(g, &view->columns[c], json_array_get(list, i), now_ms);
    return err;
}

static int show_list(const json_t *tree, const struct view *view, int64_t now_ms, FILE *out)
{
    const char *headings[HEADINGS_MAX + 1] = {NULL};
    MUST(view->count <= HEADINGS_MAX);
    for (size_t c = 0; c < view->count; c++)
        headings[c] = view->columns[c].heading;
    struct grid *g = grid_new(headings, 0);
    int err = g ? add_rows(g, view, json_object_get(tree, view->list), now_ms) : -ENOMEM;
    if (!err)
        grid_show(g, out);
    grid_free(&g);
    return err;
}

static int add_fields(struct grid *g, json_t *object)
{
    const char *name;
    json_t *value;
    int err = 0;
    json_object_foreach(object, name, value)
    {
        if (err || !strcmp(name, "ok"))
            continue;
        err = grid_add(g, slice_of(name));
        if (!err)
            err = add_value(g, value);
    }
    return err;
}

static int show_fields(json_t *tree, FILE *out)
{
    struct grid *g = grid_new(NULL, 2);
    int err = g ? add_fields(g, tree) : -ENOMEM;
    if (!err)
        grid_show(g, out);
    grid_free(&g);
    return err;
}

static int show_verbatim(const json_t *text, FILE *out)
{
    if (!json_is_string(text))
        return -EBADMSG;
    fwrite(json_string_value(text), 1, json_string_length(text), out);
    return 0;
}

static int show_tree(json_t *tree, const struct view *view, int64_t now_ms, FILE *out)
{
    if (!json_is_object(tree))
        return -EBADMSG;
    if (view->text)
        return show_verbatim(json_object_get(tree, view->text), out);
    return view->list ? show_list(tree, view, now_ms, out) : show_fields(tree, out);
}

int view_show(const struct view *view, struct slice reply, int64_t now_ms, FILE *out, bool *more)
{
    json_t *tree = json_loadb(reply.data, reply.len, JSON_ALLOW_NUL, NULL);
    int err = show_tree(tree, view, now_ms, out);
    *more = json_is_true(json_object_get(tree, "more"));
    json_decref(tree);
    return err;
}

/* ---- looking into a reply ---- */

/* A struct tree is jansson's value by another name. */
static const json_t *value_of(const struct tree *t)
{
    return (const json_t *)t;
}

struct tree *tree_parse(struct slice reply)
{
    json_t *value = json_loadb(reply.data, reply.len, JSON_ALLOW_NUL, NULL);
    if (json_is_object(value))
        return (struct tree *)value;
    json_decref(value);
    return NULL;
}

void tree_free(struct tree **t)
{
    json_decref((json_t *)*t);
    *t = NULL;
}

const struct tree *tree_at(const struct tree *t, const char *name)
{
    return (const struct tree *)json_object_get(value_of(t), name);
}

size_t tree_length(const struct tree *list)
{
    return json_array_size(value_of(list));
}

const struct tree *tree_item(const struct tree *list, size_t i)
{
    return (const struct tree *)json_array_get(value_of(list), i);
}

static uint64_t number_of(const json_t *value)
{
    json_int_t number = json_integer_value(value);
    return number > 0 ? (uint64_t)number : 0;
}

uint64_t tree_number(const struct tree *t, const char *name)
{
    return number_of(json_object_get(value_of(t), name));
}

uint64_t tree_number_at(const struct tree *list, size_t i)
{
    return number_of(json_array_get(value_of(list), i));
}

bool tree_flag(const struct tree *t, const char *name)
{
    return json_is_true(json_object_get(value_of(t), name));
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

struct slice tree_text(const struct tree *t, const char *name)
{
    return text_of(json_object_get(value_of(t), name));
}

struct slice tree_text_at(const struct tree *list, size_t i)
{
    return text_of(json_array_get(value_of(list), i));
}

bool is_json(struct slice text, char *problem, size_t size)
{
    json_error_t error;
    char *softened = surrogate_softened(text);
    if (!softened) {
        snprintf(problem, size, "out of memory");
        return false;
    }

    json_t *value = json_loadb(softened, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    free(softened);
    /* The broker looks at the rest. */
    bool valid = value || json_error_code(&error) == json_error_numeric_overflow ||
                 json_error_code(&error) == json_error_null_byte_in_key;
    if (!valid)
        snprintf(problem, size, "line %d, column %d: %s", error.line, error.column, error.text);
    json_decref(value);
    return valid;
}
