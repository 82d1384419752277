#include "ops/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/digits.h"
#include "base/json_out.h"
#include "base/name.h"

#define TEXT_MAX 1024  /* bytes of a message or a value, before escapes */
#define TEXT_SHORT 256 /* of a message that did not fit with its escapes */

const char *const log_level_names[LOG_LEVELS] = {"error", "warn", "info", "debug"};

static const char *const marks[LOG_LEVELS] = {"error: ", "warning: ", "", "debug: "};
static const char *const priorities[LOG_LEVELS] = {"<3>", "<4>", "<6>", "<7>"}; /* sd-daemon(3) */

struct line_text {
    char *data;
    size_t len, room;
};

/* Add text as a whole, or nothing. */
static bool log_line_put(struct line_text *l, const char *text, size_t len)
{
    if (len > l->room - l->len)
        return false;
    memcpy(l->data + l->len, text, len);
    l->len += len;
    return true;
}

static void put_string(struct line_text *l, const char *text)
{
    log_line_put(l, text, strlen(text));
}

static void put_number(struct line_text *l, uint64_t number)
{
    char digits[24] = "";
    log_line_put(l, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number));
}

/* One character: as it is, or its bytes as escapes. Returns how many bytes of text it has. */
static size_t put_character(struct line_text *l, struct slice text, bool quoted)
{
    size_t len = utf8_sequence(text), used = len ? len : 1;
    if (quoted && (text.data[0] == '"' || text.data[0] == '\\'))
        log_line_put(l, "\\", 1);
    if (len && utf8_harmless(text.data, len)) {
        log_line_put(l, text.data, len);
        return used;
    }
    for (size_t i = 0; i < used; i++) {
        char escape[8] = "";
        log_line_put(
            l, escape,
            (size_t)snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)text.data[i]));
    }
    return used;
}

static void put_text(struct line_text *l, struct slice text, bool quoted)
{
    size_t end = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    for (size_t at = 0; at < end;)
        at += put_character(l, (struct slice){text.data + at, end - at}, quoted);
}

/* "2026-11-21T10:46:50.123Z" */
static const char *time_text(int64_t at_ms, char out[40])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm t = {0};
    gmtime_r(&seconds, &t);
    size_t len = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + len, 40 - len, ".%03dZ", (int)(at_ms % 1000));
    return out;
}

/* --- text --- */

static bool bare(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr("-_.:/@*+,", c) != NULL);
        if (!fine)
            return false;
    }
    return text.len > 0;
}

static void put_field(struct line_text *l, const struct log_field *f)
{
    size_t before = l->len;
    log_line_put(l, " ", 1);
    put_string(l, f->name);
    log_line_put(l, "=", 1);
    bool quotes = !f->is_count && !bare(f->text);
    log_line_put(l, "\"", quotes);
    if (f->is_count)
        put_number(l, f->count);
    else
        put_text(l, f->text, true);
    if (!log_line_put(l, "\"", quotes))
        l->len = before;
}

static void put_head(struct line_text *l, const struct log_record *r, bool journal)
{
    char text[40];
    if (!journal) {
        put_string(l, time_text(r->at_ms, text));
        log_line_put(l, " ", 1);
        put_string(l, r->program);
        log_line_put(l, ": ", 2);
        put_string(l, marks[r->level]);
    }
    log_line_put(l, r->subsystem.data, r->subsystem.len);
    log_line_put(l, ": ", 2);
}

static void put_line(struct line_text *l, const struct log_record *r, bool journal)
{
    char text[40];
    put_head(l, r, journal);
    put_text(l, slice_of(r->message), false);
    if (r->repeated) {
        put_string(l, " (");
        put_string(l, digits_grouped(r->repeated, text));
        put_string(l, " times more)");
    }
    for (size_t i = 0; i < r->field_count; i++)
        put_field(l, &r->fields[i]);
}

/* --- JSON --- */

static struct slice shortened(struct slice text, size_t max)
{
    return (struct slice){text.data, text.len < max ? text.len : max};
}

static void write_object(struct buf *out, const struct log_record *r, size_t fields,
                         size_t text_max)
{
    char text[40];
    out->len = 0;
    json_begin_object(out, NULL);
    json_put_text(out, "time", slice_of(time_text(r->at_ms, text)));
    json_put_text(out, "level", slice_of(log_level_names[r->level]));
    json_put_text(out, "program", slice_of(r->program));
    json_put_text(out, "subsystem", r->subsystem);
    json_put_text(out, "message", shortened(slice_of(r->message), text_max));
    if (r->repeated)
        json_put_count(out, "repeated", r->repeated);
    for (size_t i = 0; i < fields; i++)
        if (r->fields[i].is_count)
            json_put_count(out, r->fields[i].name, r->fields[i].count);
        else
            json_put_text(out, r->fields[i].name, shortened(r->fields[i].text, text_max));
    json_end_object(out);
}

/* Adds as many fields as there is room for. False when out of memory. */
static bool put_object(struct line_text *l, const struct log_record *r)
{
    struct buf out = {0};
    bool fits = false;
    for (size_t left = r->field_count + 2; left > 0 && !fits && !out.failed; left--) {
        write_object(&out, r, left > 1 ? left - 2 : 0, left > 1 ? TEXT_MAX : TEXT_SHORT);
        fits = !out.failed && log_line_put(l, out.data, out.len);
    }
    buf_release(&out);
    return fits;
}

size_t log_line(char *out, const struct log_record *r, enum log_format format)
{
    struct line_text l = {out, 0, LOG_LINE_MAX - 1};
    bool journal = format == LOG_FORMAT_JOURNAL || format == LOG_FORMAT_JOURNAL_JSON;
    bool json = format == LOG_FORMAT_JSON || format == LOG_FORMAT_JOURNAL_JSON;
    if (journal)
        put_string(&l, priorities[r->level]);
    if (!json || !put_object(&l, r))
        put_line(&l, r, journal);
    out[l.len++] = '\n';
    return l.len;
}
