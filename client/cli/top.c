#include "cli/top.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "base/digits.h"
#include "base/name.h"
#include "cli/show.h"

#define SMOOTH 5u /* seconds of a rate: workers report once a second, not in step */
#define BARS 8
#define SECONDS_MAX 300u
#define LIMIT_BAR 20u
#define NARROW 64u /* columns below which the less important ones of tables are left out */

enum style { PLAIN, BOLD, ALARM };

/* The lines being written. */
struct top_page {
    FILE *out;
    size_t columns, left; /* left: lines; SIZE_MAX: no end */
    bool styled;
};

static size_t between(size_t n, size_t low, size_t high)
{
    if (n < low)
        return low;
    return n > high ? high : n;
}

/* --- lines --- */

/* The bytes of text that fit into this number of columns. */
static size_t fit(const char *text, size_t columns, size_t *taken)
{
    size_t len = 0;
    struct slice rest = slice_of(text);
    *taken = 0;
    while (rest.len) {
        size_t n = utf8_sequence(rest);
        size_t wide = n ? utf8_columns(rest.data, n) : 1;
        n = n ? n : 1;
        if (*taken + wide > columns)
            break;
        len += n;
        *taken += wide;
        rest = (struct slice){rest.data + n, rest.len - n};
    }
    return len;
}

/* Write bytes of text, with a '?' for each control character. */
static void put_plain(FILE *out, struct slice text)
{
    while (text.len) {
        size_t n = utf8_sequence(text);
        bool harmless = n && utf8_harmless(text.data, n);
        n = n ? n : 1;
        fwrite(harmless ? text.data : "?", 1, harmless ? n : 1, out);
        text = (struct slice){text.data + n, text.len - n};
    }
}

static void put_line(struct top_page *p, enum style style, const char *text)
{
    static const char *const begin[] = {"", "\x1b[1m", "\x1b[7m"};
    size_t columns, len = fit(text, p->columns, &columns);
    if (!p->left)
        return;
    p->left -= p->left != SIZE_MAX;
    /* The cursor still stands on the last character: clearing the rest would remove it. */
    bool full = columns == p->columns;
    while (!full && len && text[len - 1] == ' ')
        len--;
    if (p->styled)
        fputs(begin[style], p->out);
    put_plain(p->out, (struct slice){text, len});
    if (p->styled)
        fprintf(p->out, "%s%s%s", style ? "\x1b[0m" : "", full ? "" : "\x1b[K",
                p->left ? "\r\n" : "");
    else
        fputc('\n', p->out);
}

static void put_formatted(struct top_page *p, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_formatted(struct top_page *p, enum style style, const char *format, ...)
{
    char text[4 * TOP_COLUMNS_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_line(p, style, text);
}

/* --- words --- */

/* A short text of a number, in one of a few buffers that are used in turn: enough for one line. */
static char *next_text(void)
{
    static char texts[16][DIGITS_GROUPED_MAX];
    static unsigned next;
    return texts[next++ % 16];
}

/* "1,234" */
static const char *number(uint64_t n)
{
    return digits_grouped(n, next_text());
}

static const char *bytes(uint64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)n;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    char *out = next_text();
    snprintf(out, 32, "%.*f %s", unit && value < 100 ? 1 : 0, value, units[unit]);
    return out;
}

static const char *duration(uint64_t ms)
{
    return show_duration(ms, next_text());
}

static const char *duration_ms(uint64_t ms)
{
    char *out = next_text();
    snprintf(out, 32, "%" PRIu64 " ms", ms);
    return out;
}

static const char *clock_text(uint64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    char *out = next_text();
    struct tm local;
    if (!localtime_r(&seconds, &local) || !strftime(out, 32, "%T", &local))
        snprintf(out, 32, "?");
    return out;
}

static const char *cause_text(struct slice cause)
{
    static const char *const texts[][2] = {
        {"slow", "reader too slow"},  {"drain", "worker stopped"},    {"shutdown", "shut down"},
        {"expired", "token expired"}, {"worker_lost", "worker lost"}, {"gap", "sent a gap"},
        {"replaced", "replaced"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (slice_equal(cause, slice_of(texts[i][0])))
            return texts[i][1];
    return "ended";
}

/* --- numbers over time --- */

struct curve {
    size_t count;
    uint64_t values[SECONDS_MAX];
    uint64_t most;
};

/* Each the mean of the last few, when smooth. */
static void read_curve(const struct tree *list, bool smooth, struct curve *out)
{
    size_t length = tree_length(list);
    out->count = length < SECONDS_MAX ? length : SECONDS_MAX;
    out->most = 0;
    for (size_t i = 0; i < out->count; i++) {
        uint64_t sum = 0;
        size_t span = smooth ? SMOOTH : 1;
        size_t from = i + 1 > span ? i + 1 - span : 0;
        for (size_t k = from; k <= i; k++)
            sum += tree_number_at(list, length - out->count + k);
        out->values[i] = (sum + (i - from) / 2) / (i - from + 1);
        if (out->values[i] > out->most)
            out->most = out->values[i];
    }
}

static uint64_t now_of(const struct curve *c)
{
    return c->count ? c->values[c->count - 1] : 0;
}

/* The last seconds as bars, one column each, the newest at the right. */
static void put_curve(struct top_page *p, const char *name, const struct curve *c)
{
    static const char *const bars[BARS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    char text[4 * TOP_COLUMNS_MAX];
    size_t at = (size_t)snprintf(text, sizeof text, "%-12s %10s ", name, number(now_of(c)));
    size_t room = p->columns > at ? p->columns - at : 0, shown = c->count < room ? c->count : room;
    at += (size_t)snprintf(text + at, sizeof text - at, "%*s", (int)(room - shown), "");
    for (size_t i = c->count - shown; i < c->count; i++) {
        uint64_t height = c->most ? (c->values[i] * BARS + c->most - 1) / c->most : 0;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s", bars[height]);
    }
    put_line(p, PLAIN, text);
}

/* --- parts --- */

static void put_header(struct top_page *p, const struct top_frame *f)
{
    const struct tree *s = f->status;
    struct slice version = tree_text(s, "version");
    if (s)
        put_formatted(p, BOLD, "ssecast %.*s   up %s   %s   %s", (int)version.len, version.data,
                      duration(tree_number(s, "uptime_ms")), clock_text(tree_number(s, "now")),
                      f->endpoint);
    else
        put_formatted(p, BOLD, "ssecast   %s", f->endpoint);
    if (!s && !f->trouble)
        put_line(p, PLAIN, "waiting for the broker's answer");
    if (f->trouble)
        put_formatted(p, ALARM, "%s%s", f->trouble, s ? "; these numbers are old" : "");
}

/* The value to "95 % written within ". */
static const char *latency_text(bool measured, uint64_t ms)
{
    if (!measured)
        return "";
    return ms ? duration_ms(ms) : "more than 5 s";
}

static void put_totals(struct top_page *p, const struct tree *s)
{
    struct curve events, deliveries, connections;
    const struct tree *over_time = tree_at(s, "over_time");
    read_curve(tree_at(over_time, "connections"), false, &connections);
    read_curve(tree_at(over_time, "events"), true, &events);
    read_curve(tree_at(over_time, "deliveries"), true, &deliveries);
    uint64_t latency = tree_number(tree_at(s, "latency"), "p95_ms");
    bool measured = tree_flag(tree_at(s, "latency"), "measured");
    put_formatted(p, PLAIN, "workers %s  sessions %s  channels %s%s%s",
                  number(tree_number(s, "workers_count")), number(tree_number(s, "sessions")),
                  number(tree_number(s, "channels")), measured ? "  95 % written within " : "",
                  latency_text(measured, latency));
    put_line(p, PLAIN, "");
    put_curve(p, "connections", &connections);
    put_curve(p, "events/s", &events);
    put_curve(p, "deliveries/s", &deliveries);
    put_line(p, PLAIN, "");
}

static void put_limit(struct top_page *p, const char *name, uint64_t value, uint64_t limit,
                      const char *text, const char *limit_text)
{
    char bar[LIMIT_BAR + 1];
    size_t width = p->columns >= NARROW ? LIMIT_BAR : LIMIT_BAR / 4;
    uint64_t shown = value < limit ? value : limit;
    size_t full = limit ? (size_t)(shown * width / limit) : 0;
    for (size_t i = 0; i < width; i++)
        bar[i] = i < full ? '#' : '.';
    bar[width] = '\0';
    put_formatted(p, PLAIN, "%-8s %s %s of %s", name, bar, text, limit_text);
}

static void put_kept(struct top_page *p, const struct tree *s)
{
    const struct tree *h = tree_at(s, "history"), *store = tree_at(s, "store");
    uint64_t events = tree_number(h, "events"), held = tree_number(h, "bytes"),
             age = tree_number(h, "age_ms");
    uint64_t events_max = tree_number(h, "events_max"), held_max = tree_number(h, "bytes_max");
    uint64_t age_max = tree_number(h, "age_max_ms"), commits = tree_number(store, "commits");
    struct slice kind = tree_text(store, "kind");
    bool failing = tree_flag(store, "failing");
    put_limit(p, "events", events, events_max, number(events), number(events_max));
    put_limit(p, "memory", held, held_max, bytes(held), bytes(held_max));
    put_limit(p, "oldest", age, age_max, duration(age), duration(age_max));
    if (slice_equal(kind, slice_of("memory")))
        put_line(p, PLAIN, "store    memory");
    else
        put_formatted(
            p, failing ? ALARM : PLAIN, "store    %.*s, %s, %s on the disk, a commit takes %.2f ms",
            (int)kind.len, kind.data, failing ? "WRITE FAILED: events are refused" : "fine",
            bytes(tree_number(store, "file_bytes")),
            commits ? (double)tree_number(store, "commit_us") / (double)commits / 1000 : 0.0);
}

/* A stream may have no session. */
static struct slice name_or_dash(struct slice name)
{
    return name.len ? name : slice_of("-");
}

/* Write text to out: made harmless, cut or padded to this number of columns. */
static const char *padded(struct slice text, size_t columns, char *out, size_t size)
{
    char *shown = NULL;
    size_t len = 0, taken = 0;
    FILE *memory = open_memstream(&shown, &len);
    if (memory) {
        show_text(memory, text);
        fclose(memory);
    }
    size_t bytes_taken = shown ? fit(shown, columns, &taken) : 0;
    snprintf(out, size, "%.*s%*s", (int)bytes_taken, shown ? shown : "", (int)(columns - taken),
             "");
    free(shown);
    return out;
}

/* The first broker of a cluster that is missing, and how many. */
static void put_missing(struct top_page *p, const struct tree *s)
{
    const struct tree *missing = tree_at(s, "missing");
    size_t count = tree_length(missing);
    char name[4 * TOP_COLUMNS_MAX];
    if (count)
        put_formatted(p, ALARM, "%zu broker%s missing, streams there are unknown: %s", count,
                      count == 1 ? "" : "s",
                      padded(tree_text_at(missing, 0), 50, name, sizeof name));
}

/* The number of lines for a list, when this number of others follows it. */
static size_t share(const struct top_page *p, size_t wanted, size_t others)
{
    if (p->left == SIZE_MAX)
        return wanted;
    size_t room = p->left / (others + 1), heading = 2;
    room = room > heading ? room - heading : 0;
    return wanted < room ? wanted : room;
}

static void put_worker(struct top_page *p, const struct tree *w, size_t name, bool wide)
{
    char text[4 * TOP_COLUMNS_MAX], more[64] = "";
    if (wide)
        snprintf(more, sizeof more, "%6s %9s", number(tree_number(w, "slow_readers")),
                 show_silence(tree_number(w, "silent_ms"), next_text()));
    put_formatted(p, PLAIN, "%s %8s %7s %9s%s",
                  padded(tree_text(w, "worker"), name, text, sizeof text),
                  number(tree_number(w, "connections")), number(tree_number(w, "lag_events")),
                  bytes(tree_number(w, "queued_bytes")), more);
}

static void put_workers(struct top_page *p, const struct tree *s)
{
    const struct tree *list = tree_at(s, "workers");
    bool wide = p->columns >= NARROW;
    size_t count = tree_length(list), shown = share(p, count, 2), others = wide ? 43 : 27;
    size_t name = between(p->columns > others ? p->columns - others : 0, 6, 48);
    char heading[4 * TOP_COLUMNS_MAX];
    put_line(p, PLAIN, "");
    put_formatted(p, BOLD, "%s %8s %7s %9s%s",
                  padded(slice_of("WORKER"), name, heading, sizeof heading), "STREAMS", "LAG",
                  "QUEUED", wide ? "  SLOW     HEARD" : "");
    for (size_t i = 0; i < shown; i++)
        put_worker(p, tree_item(list, i), name, wide);
    if (!count)
        put_line(p, ALARM, "none: no streams are possible");
}

static void put_sessions(struct top_page *p, const struct tree *s)
{
    const struct tree *list = tree_at(s, "sessions_top");
    size_t shown = share(p, tree_length(list), 1), name = p->columns > 42 ? 32 : p->columns - 10;
    char text[4 * TOP_COLUMNS_MAX];
    if (!shown)
        return;
    put_line(p, PLAIN, "");
    put_formatted(p, BOLD, "%s %9s", padded(slice_of("SESSION"), name, text, sizeof text),
                  "STREAMS");
    for (size_t i = 0; i < shown; i++)
        put_formatted(p, PLAIN, "%s %9s",
                      padded(tree_text(tree_item(list, i), "session"), name, text, sizeof text),
                      number(tree_number(tree_item(list, i), "connections")));
}

static void put_ends(struct top_page *p, const struct tree *s)
{
    const struct tree *list = tree_at(s, "ends");
    size_t shown = share(p, tree_length(list), 0);
    char session[512], worker[512];
    if (!shown)
        return;
    put_line(p, PLAIN, "");
    put_line(p, BOLD, "ENDED     WHY             STREAMS  SESSION              WORKER");
    for (size_t i = 0; i < shown; i++) {
        const struct tree *e = tree_item(list, i);
        put_formatted(p, PLAIN, "%-9s %-15s %7s  %s %s", clock_text(tree_number(e, "at")),
                      cause_text(tree_text(e, "cause")), number(tree_number(e, "count")),
                      padded(name_or_dash(tree_text(e, "session")), 20, session, sizeof session),
                      padded(tree_text(e, "worker"), 60, worker, sizeof worker));
    }
}

void top_write(const struct top_frame *frame, FILE *out)
{
    struct top_page p = {.out = out,
                         .columns = between(frame->size.columns, TOP_COLUMNS_MIN, TOP_COLUMNS_MAX),
                         .left = frame->size.lines ? frame->size.lines : SIZE_MAX,
                         .styled = frame->styled};
    put_header(&p, frame);
    if (frame->status) {
        put_missing(&p, frame->status);
        put_totals(&p, frame->status);
        put_kept(&p, frame->status);
        put_workers(&p, frame->status);
        put_sessions(&p, frame->status);
        put_ends(&p, frame->status);
    }
    if (p.styled && p.left)
        fputs("\x1b[J", out);
}
