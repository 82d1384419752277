#include "cli/flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ops/option_number.h"

#define NAMES_WIDTH 30

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

static const struct flag_row *find_long(const struct flags *flags, const char *name, size_t len)
{
    for (size_t i = 0; i < flags->count; i++)
        if (strlen(flags->rows[i].name) == len && !memcmp(flags->rows[i].name, name, len))
            return &flags->rows[i];
    return NULL;
}

static const struct flag_row *find_letter(const struct flags *flags, char letter)
{
    for (size_t i = 0; i < flags->count; i++)
        if (letter && flags->rows[i].letter == letter)
            return &flags->rows[i];
    return NULL;
}

/* The row of "--name", "--name=value", "-H" or "-Hvalue"; *value is what is attached, or NULL. */
static const struct flag_row *find(const struct flags *flags, const char *arg, const char **value)
{
    *value = NULL;
    if (arg[1] != '-') {
        *value = arg[2] ? arg + 2 : NULL;
        return find_letter(flags, arg[1]);
    }
    const char *equals = strchr(arg, '=');
    *value = equals ? equals + 1 : NULL;
    return find_long(flags, arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
}

static int add(struct flag_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    items[list->count++] = item;
    list->items = items;
    return 0;
}

static int set_count(struct flag_reading *r, const struct flag_row *row, struct flag_count *count, const char *value)
{
    char *end = NULL;
    errno = 0;
    count->value = strtoull(value, &end, 10);
    count->given = true;
    if (*value < '0' || *value > '9' || *end || errno || count->value > row->max) {
        snprintf(r->problem, r->size, "--%s must be a whole number from 0 to %" PRIu64 ", not '%s'", row->name,
                 row->max, value);
        return -EINVAL;
    }
    return 0;
}

/* As an option's duration, in whole seconds. */
static int set_time(struct flag_reading *r, const struct flag_row *row, struct flag_count *count, const char *value)
{
    const struct option_row duration = {.type = OPTION_SECONDS, .min = 1000, .max = row->max * 1000};
    char accepted[128];
    uint64_t ms = 0;

    if (!option_parse_number(&duration, value, &ms) || ms % 1000) {
        option_describe_number(&duration, accepted, sizeof accepted);
        snprintf(r->problem, r->size, "--%s must be %s, not '%s'", row->name, accepted, value);
        return -EINVAL;
    }
    *count = (struct flag_count){true, ms / 1000};
    return 0;
}

static int set(struct flag_reading *r, const struct flag_row *row, const char *value)
{
    void *field = r->values + row->offset;
    switch (row->type) {
    case FLAG_SWITCH:
        *(bool *)field = true;
        return 0;
    case FLAG_TEXT:
        *(const char **)field = value;
        return 0;
    case FLAG_LIST:
        return add(field, value);
    case FLAG_COUNT:
        return set_count(r, row, field, value);
    case FLAG_TIME:
        return set_time(r, row, field, value);
    }
    return -EINVAL;
}

static int take_flag(struct flag_reading *r)
{
    const char *arg = r->argv[r->at++], *value;
    const struct flag_row *row = find(r->flags, arg, &value);
    if (!row) {
        snprintf(r->problem, r->size, "unknown flag %s", arg);
        return -EINVAL;
    }
    if (row->type == FLAG_SWITCH && value) {
        snprintf(r->problem, r->size, "--%s takes no value", row->name);
        return -EINVAL;
    }
    if (row->type != FLAG_SWITCH && !value && r->at == r->argc) {
        snprintf(r->problem, r->size, "--%s needs a value: %s", row->name, row->arg);
        return -EINVAL;
    }
    if (row->type != FLAG_SWITCH && !value)
        value = r->argv[r->at++];
    return set(r, row, value);
}

int flags_parse(const struct flags *flags, int argc, char **argv, void *values, char *problem, size_t size)
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
        if (flags->rows[i].type != FLAG_LIST)
            continue;
        struct flag_list *list = (void *)((char *)values + flags->rows[i].offset);
        free(list->items);
        *list = (struct flag_list){0};
    }
}

static void help_row(const struct flag_row *row, FILE *out)
{
    char names[64], letter[8] = "";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(names, sizeof names, "%s--%s%s%s", letter, row->name, row->arg ? " " : "", row->arg ? row->arg : "");
    fprintf(out, "  %-*s  %s%s\n", NAMES_WIDTH, names, row->help, row->type == FLAG_LIST ? " (repeatable)" : "");
}

void flags_help(const struct flags *flags, FILE *out)
{
    for (size_t i = 0; i < flags->count; i++)
        help_row(&flags->rows[i], out);
}
