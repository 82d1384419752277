#include "ops/option_help.h"

#include <stdbool.h>
#include <string.h>

#define HELP_WIDTH 80     /* columns */
#define HELP_NAMES_MAX 30 /* columns; a longer name has a line of its own */

void option_help_text(FILE *out, int column, const char *text)
{
    int at = column;
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (at > column && at + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(out, "%s%.*s", at > column ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static int name_width(const struct option_row *row)
{
    return (int)(strlen(row->name) + (row->arg ? strlen(row->arg) + 1 : 0)) + 4;
}

static int widest(const struct option_row *rows, size_t count, int column)
{
    for (size_t i = 0; i < count; i++) {
        int width = name_width(&rows[i]);
        if (width > column && width <= HELP_NAMES_MAX)
            column = width;
    }
    return column;
}

void option_help_line(FILE *out, int column, const struct option_row *row, char letter,
                      const char *text)
{
    char short_name[8] = "";
    if (letter)
        snprintf(short_name, sizeof short_name, "-%c, ", letter);
    int at = fprintf(out, "  %s--%s%s%s", short_name, row->name, row->arg ? " " : "",
                     row->arg ? row->arg : "");
    if (at + 2 > column) {
        fputc('\n', out);
        at = 0;
    }
    fprintf(out, "%*s", column - at, "");
    option_help_text(out, column, text);
}

static void help_row(FILE *out, int column, const struct option_row *row)
{
    char text[1024];
    bool is_list = row->type == OPTION_LIST || row->type == OPTION_LINES;
    int len = snprintf(text, sizeof text, "%s%s", row->help, is_list ? "; may be repeated" : "");
    if (row->fallback && *row->fallback && len < (int)sizeof text)
        snprintf(text + len, sizeof text - (size_t)len, " (default: %s)", row->fallback);
    option_help_line(out, column, row, 0, text);
}

void option_help(FILE *out, const struct option_program *program, const struct option_row *built_in,
                 size_t count)
{
    int column = widest(built_in, count, widest(program->rows, program->count, 0)) + 2;
    fprintf(out, "Usage: %s %s\n", program->name, program->usage);
    option_help_text(out, 0, program->summary);
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < program->count; i++)
        help_row(out, column, &program->rows[i]);
    for (size_t i = 0; i < count; i++)
        option_help_line(out, column, &built_in[i], 0, built_in[i].help);
    fputc('\n', out);
    option_help_text(out, 0,
                     "Each option above --config can also be set as SSECAST_NAME in the "
                     "environment (dashes become underscores) or "
                     "as NAME = VALUE in the --config file; VALUE is yes or no where none is "
                     "shown. The command line wins over the "
                     "environment, the environment over the file.");
}
