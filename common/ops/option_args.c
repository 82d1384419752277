#include "ops/option_args.h"

const struct option_row *option_find(const struct option_row *rows, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(slice_of(rows[i].name), name))
            return &rows[i];
    return NULL;
}

bool option_match(const struct option_row *rows, size_t count, const char *arg,
                  struct option_arg *out)
{
    *out = (struct option_arg){0};
    if (strncmp(arg, "--", 2) != 0)
        return false;

    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    out->row = option_find(rows, count, (struct slice){name, len});
    out->value = name[len] == '=' ? name + len + 1 : NULL;
    return out->row != NULL;
}

bool option_take_value(struct option_arg *a, int argc, char **argv, int *i)
{
    if (a->value || a->row->type == OPTION_FLAG)
        return true;
    if (*i + 1 >= argc)
        return false;

    a->value = argv[++*i];
    return true;
}
