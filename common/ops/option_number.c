#include "ops/option_number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {NULL, 0},
};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};
/* The bare number comes first. */
static const struct unit second_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct unit milli_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static const struct unit *units_of(enum option_type type)
{
    switch (type) {
    case OPTION_SIZE:
        return size_units;
    case OPTION_SECONDS:
        return second_units;
    case OPTION_MILLIS:
        return milli_units;
    default:
        return count_units;
    }
}

bool option_is_number(enum option_type type)
{
    return type != OPTION_TEXT && type != OPTION_LIST && type != OPTION_LINES &&
           type != OPTION_FLAG;
}

static bool scale(uint64_t number, const struct unit *units, const char *suffix, uint64_t *out)
{
    for (; units->name; units++)
        if (strcasecmp(suffix, units->name) == 0)
            return !__builtin_mul_overflow(number, units->factor, out);
    return false;
}

bool option_parse_number(const struct option_row *row, const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)*text)) /* no sign, no space */
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, row->type == OPTION_MODE ? 8 : 10);
    if (errno != 0 || end == text || !scale(number, units_of(row->type), end, out))
        return false;
    uint64_t max = row->type == OPTION_MODE ? 0777 : row->max;
    return *out >= row->min && (max == 0 || *out <= max);
}

/* As one would write it: the largest unit that leaves no rest. */
static const char *format_number(enum option_type type, uint64_t value, char out[32])
{
    bool time = type == OPTION_SECONDS || type == OPTION_MILLIS;
    const struct unit *best = units_of(type) + (time ? 1 : 0);
    for (const struct unit *u = best; u->name; u++)
        if (value != 0 && value % u->factor == 0)
            best = u;
    snprintf(out, 32, "%llu%s", (unsigned long long)(value / best->factor), best->name);
    return out;
}

void option_describe_number(const struct option_row *row, char *out, size_t size)
{
    char low[32], high[32];
    const char *what = "a whole number";
    if (row->type == OPTION_SIZE)
        what = "a number of bytes such as 4096, 64K, 256M or 1G";
    else if (row->type == OPTION_SECONDS)
        what = "a duration such as 15 (seconds), 500ms, 15s, 5m, 24h or 7d";
    else if (row->type == OPTION_MILLIS)
        what = "a duration such as 1500 (milliseconds), 500ms, 15s, 5m, 24h or 7d";
    else if (row->type == OPTION_MODE)
        what = "file permissions in octal, such as 0660";
    size_t n = (size_t)snprintf(out, size, "%s", what);
    if (row->type == OPTION_MODE)
        return;
    format_number(row->type, row->min, low);
    format_number(row->type, row->max, high);
    if (row->max != 0 && row->min != 0)
        snprintf(out + n, size - n, ", from %s to %s", low, high);
    else if (row->max != 0)
        snprintf(out + n, size - n, ", at most %s", high);
    else if (row->min != 0)
        snprintf(out + n, size - n, ", at least %s", low);
}
