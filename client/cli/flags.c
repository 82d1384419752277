#include "cli/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "ops/option_args.h"
#include "ops/option_help.h"
#include "ops/option_number.h"

#define HELP_COLUMN 34

struct flag_reading {
    const struct flags *flags;
    char **argv;
    int argc, at;
    char *values;
    char *problem;
    size_t size;
};

static bool is_flag(const char *arg)
{
    bool number = arg[0] == '-' && (arg[1] == '.' || (arg[1] >= '0' && arg[1] <= '9'));
    return arg[0] == '-' && arg[1] != 0 && !number;
}

static int flags_add(struct flag_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    items[list->count++] = item;
    list->items = items;
    return 0;
}

static int set_number(struct flag_reading *r, const struct option_row *row,
                      struct flag_count *count, const char *value)
{
    char accepted[128];
    uint64_t unit = row->type == OPTION_SECONDS ? 1000 : 1, number = 0;
    if (!option_parse_number(row, value, &number) || number % unit) {
        option_describe_number(row, accepted, sizeof accepted);
        snprintf(r->problem, r->size, "--%s must be %s, not '%s'", row->name, accepted, value);
        return -EINVAL;
    }
    *count = (struct flag_count){true, number / unit};
    return 0;
}

static int flags_set(struct flag_reading *r, const struct option_row *row, const char *value)
{
    void *field = r->values + row->offset;
    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)field = value;
        return 0;
    case OPTION_LINES:
        return flags_add(field, value);
    default:
        MUST(row->type == OPTION_COUNT || row->type == OPTION_SECONDS);
        return set_number(r, row, field, value);
    }
}

/* "--name", "--name=value", "-H" or "-Hvalue". */
static bool match(const struct flags *flags, const char *arg, struct option_arg *out)
{
    if (arg[1] == '-' || !flags->letter || arg[1] != flags->letter)
        return option_match(flags->rows, flags->count, arg, out);

    out->row = option_find(flags->rows, flags->count, slice_of(flags->lettered));
    out->value = arg[2] != '\0' ? arg + 2 : NULL;
    MUST(out->row);
    return true;
}

static int take_flag(struct flag_reading *r)
{
    struct option_arg a;
    const char *arg = r->argv[r->at];
    if (!match(r->flags, arg, &a)) {
        snprintf(r->problem, r->size, "unknown flag %s", arg);
        return -EINVAL;
    }
    if (a.row->type == OPTION_FLAG && a.value) {
        snprintf(r->problem, r->size, "--%s takes no value", a.row->name);
        return -EINVAL;
    }
    if (!option_take_value(&a, r->argc, r->argv, &r->at)) {
        snprintf(r->problem, r->size, "--%s needs a value: %s", a.row->name, a.row->arg);
        return -EINVAL;
    }
    r->at++;
    return flags_set(r, a.row, a.value);
}

int flags_parse(const struct flags *flags, int argc, char **argv, void *values, char *problem,
                size_t size)
{
    struct flag_reading r = {flags, argv, argc, 0, values, problem, size};
    int kept = 0;
    bool ended = false;
    while (r.at < argc) {
        if (!ended && !strcmp(argv[r.at], "--")) {
            ended = true;
            r.at++;
        } else if (ended || !is_flag(argv[r.at])) {
            argv[kept++] = argv[r.at++];
        } else {
            int err = take_flag(&r);
            if (err)
                return err;
        }
    }
    return kept;
}

void flags_release(const struct flags *flags, void *values)
{
    for (size_t i = 0; i < flags->count; i++) {
        if (flags->rows[i].type != OPTION_LINES)
            continue;
        struct flag_list *list = (void *)((char *)values + flags->rows[i].offset);
        free(list->items);
        *list = (struct flag_list){0};
    }
}

static void help_row(const struct option_row *row, char letter, FILE *out)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s", row->help,
             row->type == OPTION_LINES ? " (repeatable)" : "");
    option_help_line(out, HELP_COLUMN, row, letter, text);
}

static bool has_letter(const struct flags *flags, const struct option_row *row)
{
    return flags->letter && strcmp(row->name, flags->lettered) == 0;
}

void flags_help(const struct flags *flags, FILE *out)
{
    static const struct option_row shared[] = {
        {.name = "json", .help = "print the reply as JSON", .type = OPTION_FLAG},
        {.name = "help", .help = "show this help and exit", .type = OPTION_FLAG},
    };
    for (size_t i = 0; i < flags->count; i++)
        help_row(&flags->rows[i], has_letter(flags, &flags->rows[i]) ? flags->letter : 0, out);
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        help_row(&shared[i], 0, out);
}
