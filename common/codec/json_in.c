#include "codec/json_in.h"

#include <jansson.h>

/* Ours is an opaque name for jansson's. */
static json_t *ours(const struct json_in *value)
{
    return (json_t *)value;
}

struct json_in *json_in_parse(struct slice text)
{
    return (struct json_in *)json_loadb(text.data ? text.data : "", text.len,
                                        JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

char *json_in_print(const struct json_in *value)
{
    return json_dumps(ours(value), JSON_COMPACT | JSON_ENCODE_ANY);
}

void json_in_free(struct json_in **root)
{
    json_decref(ours(*root));
    *root = NULL;
}

const struct json_in *json_in_member(const struct json_in *value, const char *name)
{
    return (const struct json_in *)json_object_get(ours(value), name);
}

bool json_in_is_object(const struct json_in *value)
{
    return json_is_object(ours(value));
}

bool json_in_is_list(const struct json_in *value)
{
    return json_is_array(ours(value));
}

bool json_in_is_text(const struct json_in *value)
{
    return json_is_string(ours(value));
}

bool json_in_is_number(const struct json_in *value)
{
    return json_is_number(ours(value));
}

bool json_in_is_true(const struct json_in *value)
{
    return json_is_true(ours(value));
}

bool json_in_is_false(const struct json_in *value)
{
    return json_is_false(ours(value));
}

bool json_in_is_null(const struct json_in *value)
{
    return json_is_null(ours(value));
}

size_t json_in_count(const struct json_in *list)
{
    return json_array_size(ours(list));
}

const struct json_in *json_in_item(const struct json_in *list, size_t index)
{
    return (const struct json_in *)json_array_get(ours(list), index);
}

struct slice json_in_text(const struct json_in *value)
{
    return (struct slice){json_string_value(ours(value)), json_string_length(ours(value))};
}

double json_in_number(const struct json_in *value)
{
    return json_number_value(ours(value));
}
