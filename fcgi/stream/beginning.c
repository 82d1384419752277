#include "stream/beginning.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* --- numbers --- */

/* A number of 1 to max_digits digits and nothing else. */
static bool read_number(const char *text, size_t max_digits, uint64_t *out)
{
    size_t len = strspn(text, "0123456789");
    if (!len || len > max_digits || text[len])
        return false;

    *out = strtoull(text, NULL, 10);
    return true;
}

/* --- RFC 3339 --- */

/* Exactly count digits at *at, which moves on; -1: there are fewer. */
static int take_digits(const char **at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (*(*at)++ - '0');
    }
    return value;
}

static bool take_one(const char **at, const char *accepted)
{
    if (!**at || !strchr(accepted, **at))
        return false;
    (*at)++;
    return true;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t day_number(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t shifted = (month + 9) % 12; /* March is 0 */
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

static bool take_date(const char **at, int64_t *days)
{
    int year = take_digits(at, 4);
    bool ok = year >= 0 && take_one(at, "-");
    int month = ok ? take_digits(at, 2) : -1;
    ok = month >= 1 && month <= 12 && take_one(at, "-");
    int day = ok ? take_digits(at, 2) : -1;
    if (day < 1 || day > days_of(year, month))
        return false;

    *days = day_number(year, month, day);
    return true;
}

/* Hours and minutes. */
static bool take_minutes(const char **at, int *minutes)
{
    int hour = take_digits(at, 2);
    bool ok = hour >= 0 && hour <= 23 && take_one(at, ":");
    int minute = ok ? take_digits(at, 2) : -1;
    *minutes = hour * 60 + minute;
    return minute >= 0 && minute <= 59;
}

/* The digits of a fraction of a second; what is finer than ms is dropped. */
static bool take_fraction(const char **at, int *ms)
{
    int unit = 100;
    *ms = 0;
    if (!take_one(at, "."))
        return true;
    if (!isdigit((unsigned char)**at))
        return false;

    for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
        *ms += (**at - '0') * unit;
    return true;
}

/* Z, or the distance to UTC. A `+` that the page did not encode has arrived as a blank. */
static bool take_offset(const char **at, int *minutes)
{
    *minutes = 0;
    if (take_one(at, "Zz"))
        return true;

    bool west = **at == '-';
    if (!take_one(at, "+- ") || !take_minutes(at, minutes))
        return false;
    if (west)
        *minutes = -*minutes;
    return true;
}

/* A leap second stands for the second after it, as in unix time. It is the last one of a day in
 * UTC. */
static bool seconds_fit(int second, int utc_minutes)
{
    if (second < 60)
        return second >= 0;
    return second == 60 && ((utc_minutes % 1440) + 1440) % 1440 == 1439;
}

static bool read_date_time(const char *text, uint64_t *out)
{
    const char *at = text;
    int64_t days;
    int minutes, offset, ms;

    if (!take_date(&at, &days) || !take_one(&at, "Tt") || !take_minutes(&at, &minutes) ||
        !take_one(&at, ":"))
        return false;
    int second = take_digits(&at, 2);
    if (second < 0 || !take_fraction(&at, &ms) || !take_offset(&at, &offset) || *at)
        return false;
    if (!seconds_fit(second, minutes - offset))
        return false;

    int64_t time = ((days * 1440 + minutes - offset) * 60 + second) * 1000 + ms;
    *out = time > 0 ? (uint64_t)time : 0;
    return true;
}

/* --- parameters --- */

static bool read_earliest(const char *text, uint64_t *value)
{
    *value = 0;
    return strcmp(text, "earliest") == 0;
}

static bool read_last(const char *text, uint64_t *value)
{
    return read_number(text, 4, value) && *value >= 1 && *value <= START_LAST_MAX;
}

static bool read_since(const char *text, uint64_t *value)
{
    if (read_number(text, 16, value))
        return *value <= START_SINCE_MAX;
    return read_date_time(text, value);
}

static const struct start_row {
    const char *name;
    enum start_kind kind;
    bool (*read)(const char *text, uint64_t *value);
    const char *accepted;
} start_rows[] = {
    {"from", START_EARLIEST, read_earliest, "earliest"},
    {"last", START_LAST, read_last, "1 to 1000"},
    {"since", START_SINCE, read_since, "unix time in ms, or RFC 3339 (2026-11-21T10:15:02Z)"},
};

static enum start_verdict read_row(const struct start_row *row, const char *text, struct start *out,
                                   char why[START_WHY_MAX])
{
    if (out->kind != START_AFTER) {
        snprintf(why, START_WHY_MAX,
                 "%s beside another start; accepted: one of from, last and since", row->name);
        return START_BAD;
    }
    if (!row->read(text, &out->value)) {
        snprintf(why, START_WHY_MAX, "%s=%.40s; accepted: %s", row->name, text, row->accepted);
        return START_BAD;
    }

    out->kind = row->kind;
    return START_READ;
}

enum start_verdict start_read(const struct params *params, struct start *out,
                              char why[START_WHY_MAX])
{
    enum start_verdict verdict = START_READ;
    *out = (struct start){0};

    for (size_t i = 0; verdict == START_READ && i < sizeof start_rows / sizeof start_rows[0]; i++) {
        const struct start_row *row = &start_rows[i];
        char *text = params_query(params, row->name);

        if (text && params_query_repeated(params, row->name)) {
            snprintf(why, START_WHY_MAX, "the query names %s twice; accepted: once", row->name);
            verdict = START_REPEATED;
        } else if (text) {
            verdict = read_row(row, text, out, why);
        }
        free(text);
    }
    return verdict;
}
