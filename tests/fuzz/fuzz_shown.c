/* What others wrote and people or programs read: lines of the log, metrics, a terminal. Whatever a
 * name or a value holds, it stays within its line, its quotes and its text.
 *
 * Input: texts separated by PART; each is shown in every way. */
#include "base/name.h"
#include "cli/show.h"
#include "fuzz.h"
#include "lib/json_text.h"
#include "ops/log_line.h"
#include "ops/metrics.h"

/* Nothing that a terminal obeys, and UTF-8 throughout. */
static void is_harmless(struct slice text)
{
    must(utf8_valid(text));
    for (size_t i = 0; i < text.len; i++)
        must((unsigned char)text.data[i] >= 0x20 && text.data[i] != 0x7f);
}

/* --- the log --- */

static void line(const struct log_record *r, enum log_format format)
{
    static char out[LOG_LINE_MAX];
    size_t len = log_line(out, r, format);
    must(len > 1 && len <= LOG_LINE_MAX && out[len - 1] == '\n');
    struct slice shown = {out, len - 1};
    is_harmless(shown);
    if (format == LOG_FORMAT_JOURNAL_JSON)
        shown = (struct slice){out + 3, len - 4};
    if (format == LOG_FORMAT_JSON || format == LOG_FORMAT_JOURNAL_JSON)
        must(shown.data[0] == '{' && json_text_valid(shown));
}

static void log_it(struct slice text)
{
    char message[LOG_REPEATED_MAX];
    snprintf(message, sizeof message, "%.*s", text.len < 150 ? (int)text.len : 150, text.data);
    struct log_field fields[] = {log_text("name", text), log_count("count", text.len),
                                 log_text("again", text)};
    struct log_record r = {.at_ms = 1763710000123,
                           .level = LOG_WARN,
                           .program = "prog",
                           .subsystem = {"part", 4},
                           .message = message,
                           .fields = fields,
                           .field_count = 3,
                           .repeated = text.len % 3};
    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JOURNAL_JSON; format++)
        line(&r, (enum log_format)format);
}

/* --- metrics --- */

/* NAME{LABELS} VALUE, and in the labels nothing ends its quotes but a quote. */
static void is_a_sample(struct slice shown)
{
    const char *open = memchr(shown.data, '"', shown.len), *end = shown.data + shown.len;
    must(open && shown.len > 8 && memcmp(shown.data, "ssecast_", 8) == 0);
    const char *close = memchr(open + 1, '"', (size_t)(end - open - 1));
    must(close && (close[1] == '}' || close[1] == ','));
    must(end[-1] >= '0' && end[-1] <= '9');
}

static void measure(struct slice name)
{
    static const uint64_t counters[WORKER_COUNTERS], gauges[WORKER_GAUGES];
    struct metrics_worker worker = {
        .name = name, .counters = counters, .gauges = gauges, .heard = true};
    struct metrics m = {0};
    must(metrics_begin(&m) == 0);
    metrics_workers(&m, &worker, 1);
    struct slice rest = metrics_end(&m), shown;
    must(rest.len && rest.data[rest.len - 1] == '\n');
    is_harmless((struct slice){rest.data, 0});
    while (next_part(&rest, '\n', &shown)) {
        is_harmless(shown);
        if (shown.len && shown.data[0] != '#')
            is_a_sample(shown);
    }
    metrics_release(&m);
}

/* --- a terminal --- */

static void show(struct slice text)
{
    char *out = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&out, &len);
    must(file);
    size_t columns = show_text(file, text);
    must(fclose(file) == 0 && columns == show_text(NULL, text));
    is_harmless((struct slice){out, len});
    must(columns <= len);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, part;
    while (next_part(&rest, PART, &part)) {
        part.data = exact_copy(part);
        log_it(part);
        measure(part.len <= 255 ? part : (struct slice){part.data, 255});
        show(part);
        free((char *)part.data);
    }
    return 0;
}
