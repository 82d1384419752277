#include "ops/option_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* editors on Windows begin a file with it */

struct slice option_trim(struct slice text)
{
    while (text.len > 0 && isspace((unsigned char)*text.data)) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && isspace((unsigned char)text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Read a line into f->text, up to the first byte that does not fit. Returns the number of bytes
 * read without the end of the line; -1 at the end of the file. */
static long read_line(struct option_file *f)
{
    size_t len = 0;
    int c = getc(f->file);
    if (c == EOF)
        return -1;

    for (; c != EOF && c != '\n' && len < OPTION_LINE_MAX; c = getc(f->file))
        f->text[len++] = (char)c;
    f->text[len] = '\0';
    f->line++;
    return (long)len + (c != EOF && c != '\n');
}

static void skip_rest(struct option_file *f)
{
    int c;
    do
        c = getc(f->file);
    while (c != EOF && c != '\n');
}

static bool is_skipped(struct slice line)
{
    return line.len == 0 || *line.data == '#' || *line.data == ';';
}

/* End the text of s where s ends. */
static char *cut(struct slice s)
{
    char *text = (char *)s.data;
    text[s.len] = '\0';
    return text;
}

static enum option_line take_pair(struct option_file *f, struct slice line)
{
    const char *separator = strpbrk(line.data, "=:");
    if (!separator || memchr(line.data, '\0', line.len))
        return OPTION_LINE_BAD;

    size_t before = (size_t)(separator - line.data);
    struct slice name = {line.data, before}, value = {separator + 1, line.len - before - 1};
    f->value = cut(option_trim(value));
    f->name = cut(option_trim(name));
    return OPTION_LINE_PAIR;
}

enum option_line option_file_next(struct option_file *f)
{
    for (long len; (len = read_line(f)) >= 0;) {
        bool is_long = len > (long)OPTION_LINE_MAX;
        struct slice line = {f->text, is_long ? OPTION_LINE_MAX : (size_t)len};
        if (f->line == 1 && slice_begins(line, slice_of(BYTE_ORDER_MARK)))
            line = (struct slice){line.data + strlen(BYTE_ORDER_MARK),
                                  line.len - strlen(BYTE_ORDER_MARK)};
        line = option_trim(line);
        if (is_skipped(line)) {
            if (is_long)
                skip_rest(f);
            continue;
        }

        cut(line);
        if (is_long)
            return OPTION_LINE_LONG;
        return *line.data == '[' ? OPTION_LINE_SECTION : take_pair(f, line);
    }
    return OPTION_LINE_END;
}
