#include "cli/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/name.h"

#define COLUMNS_MAX 16u
#define GAP 2          /* columns between two cells */
#define SILENT_MS 3000 /* of a worker, which reports once a second */

static size_t show_escape(FILE *out, unsigned char c)
{
    char escape[8];
    int n = c == '\n'   ? snprintf(escape, sizeof escape, "\\n")
            : c == '\t' ? snprintf(escape, sizeof escape, "\\t")
                        : snprintf(escape, sizeof escape, "\\x%02x", c);
    if (out)
        fputs(escape, out);
    return (size_t)n;
}

/* Write the character at the start of text; *used says how many bytes it has. Returns its
 * columns. */
static size_t show_character(FILE *out, struct slice text, size_t *used)
{
    size_t len = utf8_sequence(text);
    *used = len ? len : 1;
    if (len && utf8_harmless(text.data, len)) {
        if (out)
            fwrite(text.data, 1, len, out);
        return utf8_columns(text.data, len);
    }
    size_t columns = 0;
    for (size_t i = 0; i < *used; i++)
        columns += show_escape(out, (unsigned char)text.data[i]);
    return columns;
}

size_t show_text(FILE *out, struct slice text)
{
    size_t columns = 0, used;
    for (; text.len > 0; text = (struct slice){text.data + used, text.len - used})
        columns += show_character(out, text, &used);
    return columns;
}

void show_word(FILE *out, struct slice text)
{
    size_t used;
    fputs("$'", out);
    for (; text.len > 0; text = (struct slice){text.data + used, text.len - used}) {
        if (*text.data == '\'' || *text.data == '\\')
            fputc('\\', out);
        show_character(out, text, &used);
    }
    fputc('\'', out);
}

const char *show_duration(uint64_t ms, char out[SHOW_DURATION])
{
    uint64_t s = ms / 1000 + (ms % 1000 >= 500);

    if (s < 120)
        snprintf(out, SHOW_DURATION, "%" PRIu64 " s", s);
    else if (s < 7200)
        snprintf(out, SHOW_DURATION, "%" PRIu64 " min", s / 60);
    else if (s < 172800)
        snprintf(out, SHOW_DURATION, "%" PRIu64 " h", s / 3600);
    else
        snprintf(out, SHOW_DURATION, "%" PRIu64 " d", s / 86400);
    return out;
}

const char *show_silence(uint64_t ms, char out[SHOW_DURATION])
{
    if (ms >= SILENT_MS)
        return show_duration(ms, out);
    snprintf(out, SHOW_DURATION, "now");
    return out;
}

struct cell {
    char *text;
    size_t len;
};

struct grid {
    const char *const *headings;
    size_t columns;
    struct cell *cells;
    size_t count, cap;
};

static size_t length(const char *const *headings)
{
    size_t n = 0;
    while (headings[n])
        n++;
    return n;
}

struct grid *grid_new(const char *const *headings, size_t columns)
{
    struct grid *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->headings = headings;
    g->columns = headings ? length(headings) : columns;
    return g;
}

void grid_free(struct grid **g)
{
    if (!*g)
        return;
    for (size_t i = 0; i < (*g)->count; i++)
        free((*g)->cells[i].text);
    free((*g)->cells);
    free(*g);
    *g = NULL;
}

int grid_add(struct grid *g, struct slice text)
{
    struct cell *cells = array_reserve(g->cells, &g->cap, g->count + 1, sizeof *cells);
    if (!cells)
        return -ENOMEM;

    g->cells = cells;
    char *copy = malloc(text.len + 1);
    if (!copy)
        return -ENOMEM;

    if (text.len)
        memcpy(copy, text.data, text.len);
    g->cells[g->count].text = copy;
    g->cells[g->count++].len = text.len;
    return 0;
}

static struct slice at(const struct grid *g, size_t i)
{
    return (struct slice){g->cells[i].text, g->cells[i].len};
}

static size_t width(const struct grid *g, size_t column)
{
    size_t widest = g->headings ? show_text(NULL, slice_of(g->headings[column])) : 0;
    for (size_t i = column; i < g->count; i += g->columns) {
        size_t w = show_text(NULL, at(g, i));
        widest = w > widest ? w : widest;
    }
    return widest;
}

static void show_cell(const struct grid *g, size_t column, size_t wide, struct slice text,
                      FILE *out)
{
    size_t w = show_text(out, text);
    if (column + 1 == g->columns)
        fputc('\n', out);
    else
        fprintf(out, "%*s", (int)(wide - w + GAP), "");
}

void grid_show(const struct grid *g, FILE *out)
{
    size_t widths[COLUMNS_MAX] = {0};
    size_t columns = g->columns < COLUMNS_MAX ? g->columns : COLUMNS_MAX;
    for (size_t c = 0; c < columns; c++)
        widths[c] = c + 1 < columns ? width(g, c) : 0;
    for (size_t c = 0; g->headings && c < columns; c++)
        show_cell(g, c, widths[c], slice_of(g->headings[c]), out);
    for (size_t i = 0; columns && i < g->count; i++)
        show_cell(g, i % columns, widths[i % columns], at(g, i), out);
}
