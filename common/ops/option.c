/* option.c - collects the texts given for each row, lowest source first, then turns them into the
 * config struct. */
#include "ops/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/slice.h"
#include "ops/log.h"
#include "ops/option_args.h"
#include "ops/option_file.h"
#include "ops/option_help.h"
#include "ops/option_number.h"
#include "ops/option_suggest.h"
#include "ops/variables.h"

#define SHOWN_MAX 200 /* bytes of a value in an error */

enum option_source { FROM_NOWHERE, FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_COMMAND_LINE };

/* What was given for one row. */
struct given {
    enum option_source source; /* the highest that gave anything */
    char **items;
    size_t count;
};

struct loader {
    const struct option_program *program;
    struct given *given; /* one for each row */
    const char *config_file;
    bool print, check;
    bool failed;
    size_t line; /* in config_file */
};

/* What every program has beside its rows. */
static const struct option_row built_in[] = {
    {.name = "config",
     .arg = "FILE",
     .help = "read options from FILE, NAME = VALUE lines",
     .type = OPTION_TEXT},
    {.name = "check-config", .help = "check the configuration and exit", .type = OPTION_FLAG},
    {.name = "print-config",
     .help = "print the configuration as a file and exit",
     .type = OPTION_FLAG},
    {.name = "help", .help = "show this help and exit", .type = OPTION_FLAG},
    {.name = "version", .help = "show the version and exit", .type = OPTION_FLAG},
};
#define BUILT_INS (sizeof built_in / sizeof built_in[0])

/* Errors: one line, and only the first is reported. */

static void fail(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct loader *l, const char *format, ...)
{
    char line[1024];
    if (l->failed)
        return;
    l->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    fprintf(stderr, "%s: %s\n", l->program->name, line);
}

static void fail_memory(struct loader *l)
{
    fail(l, "out of memory");
}

static void variable_name(const char *name, char out[64])
{
    size_t n = (size_t)snprintf(out, 64, "SSECAST_%s", name);
    for (size_t i = 0; i < n && i < 63; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

/* "environment SSECAST_FEED", "settings.conf, line 3". */
static void describe_source(const struct loader *l, enum option_source source, const char *name,
                            char *out, size_t size)
{
    char variable[64];
    variable_name(name, variable);
    switch (source) {
    case FROM_FILE:
        snprintf(out, size, "%s, line %zu", l->config_file, l->line);
        break;
    case FROM_ENVIRONMENT:
        snprintf(out, size, "environment %s", variable);
        break;
    case FROM_COMMAND_LINE:
        snprintf(out, size, "command line");
        break;
    default:
        snprintf(out, size, "default");
    }
}

/* A copy of value for people: of URLs, what stands between :// and @ is left out. */
static void without_passwords(const char *value, char out[SHOWN_MAX + 1])
{
    size_t len = 0;
    while (*value && len < SHOWN_MAX) {
        bool url = strncmp(value, "://", 3) == 0;
        size_t hidden = url ? strcspn(value + 3, "@/,") : 0;
        for (int i = 0; i < (url ? 3 : 1) && len < SHOWN_MAX; i++)
            out[len++] = *value++;
        value += url && value[hidden] == '@' ? hidden : 0;
    }
    out[len] = '\0';
}

static void fail_value(struct loader *l, const struct option_row *row, enum option_source source,
                       const char *value, const char *accepted)
{
    char where[320], shown[SHOWN_MAX + 1];
    describe_source(l, source, row->name, where, sizeof where);
    without_passwords(value, shown);
    fail(l, "--%s '%s' (%s): must be %s", row->name, shown, where, accepted);
}

static bool is_list(enum option_type type)
{
    return type == OPTION_LIST || type == OPTION_LINES;
}

/* Collecting */

static void given_clear(struct given *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->items[i]);
    free(g->items);
    *g = (struct given){0};
}

static bool given_add(struct given *g, const char *text, size_t len)
{
    char **items = realloc(g->items, (g->count + 1) * sizeof *items);
    if (!items)
        return false;
    g->items = items;
    g->items[g->count] = strndup(text, len);
    if (!g->items[g->count])
        return false;
    g->count++;
    return true;
}

static bool has_controls(const char *text)
{
    while (*text && !iscntrl((unsigned char)*text))
        text++;
    return *text != '\0';
}

static bool parse_flag(const char *text, bool *out)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0;
}

/* One value or one item of a list: does the row take it? */
static bool accept_value(struct loader *l, const struct option_row *row, enum option_source source,
                         const char *value)
{
    char accepted[256];
    uint64_t ignored;
    bool flag;
    const char *wanted = NULL;
    if (row->type == OPTION_FLAG) {
        wanted = parse_flag(value, &flag) ? NULL : "yes or no";
    } else if (option_is_number(row->type)) {
        option_describe_number(row, accepted, sizeof accepted);
        wanted = option_parse_number(row, value, &ignored) ? NULL : accepted;
    } else if (strlen(value) > OPTION_VALUE_MAX) {
        snprintf(accepted, sizeof accepted, "at most %u bytes", OPTION_VALUE_MAX);
        wanted = accepted;
    } else if (has_controls(value)) {
        wanted = "text without control characters";
    } else if (row->check) {
        wanted = row->check(value);
    }
    if (wanted)
        fail_value(l, row, source, value, wanted);
    return !wanted;
}

static void add_item(struct loader *l, size_t index, enum option_source source, struct slice text)
{
    struct given *g = &l->given[index];
    if (!given_add(g, text.data, text.len))
        fail_memory(l);
    else
        accept_value(l, &l->program->rows[index], source, g->items[g->count - 1]);
}

/* The piece without the white space around it; an empty one is no item. */
static void add_piece(struct loader *l, size_t index, enum option_source source, struct slice piece)
{
    piece = option_trim(piece);
    if (piece.len > 0)
        add_item(l, index, source, piece);
}

static void add_pieces(struct loader *l, size_t index, enum option_source source, const char *value)
{
    for (;;) {
        size_t len = strcspn(value, ",");
        add_piece(l, index, source, (struct slice){value, len});
        if (value[len] == '\0')
            return;
        value += len + 1;
    }
}

static bool has_fallback(const struct option_row *row)
{
    return row->fallback && *row->fallback;
}

/* Take a value for row index. A higher source replaces what a lower one gave; within one source
 * lists grow and single values are replaced. An empty value means none, where a list may be
 * empty or a text has no default. White space around a text does not count, as in a file: so every
 * text can be written into one. */
static void option_give(struct loader *l, size_t index, enum option_source source,
                        const char *value)
{
    const struct option_row *row = &l->program->rows[index];
    struct given *g = &l->given[index];
    if (g->source != source || !is_list(row->type))
        given_clear(g);
    g->source = source;
    bool may_be_empty =
        row->type == OPTION_LINES || (row->type == OPTION_TEXT && !has_fallback(row));
    if (row->type == OPTION_LIST)
        add_pieces(l, index, source, value);
    else if (may_be_empty)
        add_piece(l, index, source, slice_of(value));
    else if (row->type == OPTION_TEXT)
        add_item(l, index, source, option_trim(slice_of(value)));
    else
        add_item(l, index, source, slice_of(value));
}

static void give_defaults(struct loader *l)
{
    for (size_t i = 0; i < l->program->count; i++)
        if (has_fallback(&l->program->rows[i]))
            option_give(l, i, FROM_DEFAULT, l->program->rows[i].fallback);
}

/* A variable that is set but empty counts as not set. */
static void give_environment(struct loader *l)
{
    char variable[64];
    for (size_t i = 0; i < l->program->count; i++) {
        variable_name(l->program->rows[i].name, variable);
        const char *value = getenv(variable);
        if (value && *value)
            option_give(l, i, FROM_ENVIRONMENT, value);
    }
}

static const char *suggest_argument(const struct option_program *program, struct slice name)
{
    const char *row = option_suggest(program->rows, program->count, name);
    return row ? row : option_suggest(built_in, BUILT_INS, name);
}

/* The file */

static void fail_unknown_in_file(struct loader *l, const char *name)
{
    const char *near = option_suggest(l->program->rows, l->program->count, slice_of(name));
    fail(l, "%s, line %zu: unknown option '%s'%s%s%s", l->config_file, l->line, name,
         near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void take_pair(struct loader *l, const struct option_file *f)
{
    const struct option_row *row =
        option_find(l->program->rows, l->program->count, slice_of(f->name));
    if (row)
        option_give(l, (size_t)(row - l->program->rows), FROM_FILE, f->value);
    else
        fail_unknown_in_file(l, f->name);
}

/* One line of the file. False after the last one. */
static bool take_line(struct loader *l, struct option_file *f)
{
    enum option_line kind = option_file_next(f);
    l->line = f->line;
    switch (kind) {
    case OPTION_LINE_END:
        return false;
    case OPTION_LINE_PAIR:
        take_pair(l, f);
        break;
    case OPTION_LINE_SECTION:
        fail(l, "%s, line %zu: sections are not used here", l->config_file, l->line);
        break;
    case OPTION_LINE_LONG:
        fail(l, "%s, line %zu: longer than %u bytes", l->config_file, l->line, OPTION_LINE_MAX);
        break;
    case OPTION_LINE_BAD:
        fail(l, "%s, line %zu: must be NAME = VALUE", l->config_file, l->line);
        break;
    }
    return !l->failed;
}

static void give_file(struct loader *l)
{
    struct option_file file = {.file = fopen(l->config_file, "re")};
    if (!file.file) {
        fail(l, "--config '%s': %s", l->config_file, read_problem(errno));
        return;
    }

    errno = 0;
    while (take_line(l, &file))
        ;
    if (ferror(file.file))
        fail(l, "--config '%s': %s", l->config_file, strerror(errno));
    fclose(file.file);
}

static void print_config(const struct loader *l)
{
    for (size_t i = 0; i < l->program->count; i++) {
        const struct given *g = &l->given[i];
        const char *name = l->program->rows[i].name;
        if (g->count == 0)
            printf(g->source > FROM_DEFAULT && has_fallback(&l->program->rows[i]) ? "%s =\n"
                                                                                  : "# %s =\n",
                   name);
        for (size_t j = 0; j < g->count; j++)
            printf("%s = %s\n", name, g->items[j]);
    }
}

/* The command line */

/* --help and --version end everything at once, whatever else is wrong. */
static bool act(struct loader *l, const struct option_row *row)
{
    if (strcmp(row->name, "help") == 0)
        option_help(stdout, l->program, built_in, BUILT_INS);
    else if (strcmp(row->name, "version") == 0)
        printf("%s %s\n", l->program->name, SSECAST_VERSION);
    else
        return false;
    return true;
}

static void note_built_in(struct loader *l, const struct option_arg *a)
{
    if (strcmp(a->row->name, "config") == 0)
        l->config_file = a->value;
    else if (strcmp(a->row->name, "print-config") == 0)
        l->print = true;
    else
        l->check = true;
}

static void fail_unknown_argument(struct loader *l, const char *argument)
{
    size_t len = strcspn(argument, "=");
    const char *near = NULL;
    if (strncmp(argument, "--", 2) == 0)
        near = suggest_argument(l->program, (struct slice){argument + 2, len - 2});
    if (near)
        fail(l, "unknown option '%.*s', did you mean '--%s'?", (int)len, argument, near);
    else
        fail(l, "unknown option '%.*s'; --help lists them", (int)len, argument);
}

/* Take argv[*i], and the one after it when that is its value. *own: it is one of the program's
 * rows. */
static bool read_argument(struct loader *l, int argc, char **argv, int *i, struct option_arg *a,
                          bool *own)
{
    const char *text = argv[*i];
    *own = option_match(l->program->rows, l->program->count, text, a);
    if (!*own && !option_match(built_in, BUILT_INS, text, a)) {
        fail_unknown_argument(l, text);
        return false;
    }

    const struct option_row *row = a->row;
    bool flag = row->type == OPTION_FLAG;
    if (flag && !*own && a->value)
        fail(l, "--%s '%.*s' (command line): takes no value", row->name, SHOWN_MAX, a->value);
    else if (!option_take_value(a, argc, argv, i))
        fail(l, "--%s (command line): a value is missing: %s", row->name,
             row->arg ? row->arg : "VALUE");
    if (flag && !a->value)
        a->value = "yes";
    return !l->failed;
}

/* Walk the options up to the first other argument. The first time (apply false) only the
 * built-in ones count, the second time the rows. True when one of them has done all there was to
 * do. */
static bool walk_arguments(struct loader *l, int argc, char **argv, bool apply, int *end)
{
    struct option_arg a;
    bool own;
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (!read_argument(l, argc, argv, &i, &a, &own))
            return false;
        if (!own && !apply && act(l, a.row))
            return true;
        if (!own)
            note_built_in(l, &a);
        else if (apply)
            option_give(l, (size_t)(a.row - l->program->rows), FROM_COMMAND_LINE, a.value);
    }
    *end = i < argc ? i : argc;
    return false;
}

int option_words(const struct option_program *program, const char *arg)
{
    struct option_arg a;
    bool known = option_match(program->rows, program->count, arg, &a) ||
                 option_match(built_in, BUILT_INS, arg, &a);
    if (!known || a.row->type == OPTION_FLAG)
        return 0;
    return a.value ? 1 : 2;
}

/* Storing */

static void store(const struct option_row *row, struct given *g, void *config)
{
    void *field = (char *)config + row->offset;
    if (is_list(row->type)) {
        struct option_list *list = field;
        list->items = g->items;
        list->count = g->count;
        *g = (struct given){0};
    } else if (row->type == OPTION_TEXT) {
        *(char **)field = g->count > 0 ? g->items[0] : NULL;
        g->count = 0;
        given_clear(g);
    } else if (row->type == OPTION_FLAG) {
        *(bool *)field = g->count > 0 && strcmp(g->items[0], "yes") == 0;
    } else if (g->count > 0) {
        option_parse_number(row, g->items[0], field);
    }
}

/* Everything but storing. OPTION_RUN: all values are known and valid. */
static enum option_result option_collect(struct loader *l, int argc, char **argv, int *rest)
{
    int end = argc;
    l->config_file = getenv("SSECAST_CONFIG");
    if (walk_arguments(l, argc, argv, false, &end))
        return OPTION_EXIT;
    if (!l->failed && !rest && end < argc)
        fail(l, "unexpected argument '%.*s'; --help lists the options", SHOWN_MAX, argv[end]);
    if (!l->failed)
        give_defaults(l);
    if (!l->failed && l->config_file && *l->config_file)
        give_file(l);
    if (!l->failed)
        give_environment(l);
    if (!l->failed)
        walk_arguments(l, argc, argv, true, &end);
    if (l->failed)
        return OPTION_BAD;
    if (rest)
        *rest = end;
    return OPTION_RUN;
}

/* Store the values and let the program judge them together. */
static enum option_result option_settle(struct loader *l, void *config)
{
    char why[OPTION_WHY_MAX] = "";
    for (size_t i = 0; i < l->program->count; i++)
        store(&l->program->rows[i], &l->given[i], config);
    if (l->program->check && l->program->check(config, why) != 0)
        fail(l, "%s", why);
    if (!l->failed && !l->check)
        return OPTION_RUN;

    size_t cursor = 0;
    if (variables_next_unknown(l->program, &cursor, why))
        fail(l, "%s", why);
    if (!l->failed && l->program->warn) {
        log_open(l->program->name, LOG_WARN);
        l->program->warn(config);
    }
    if (!l->failed)
        printf("%s: the configuration is valid\n", l->program->name);
    option_release(l->program, config);
    return l->failed ? OPTION_BAD : OPTION_EXIT;
}

enum option_result option_load(const struct option_program *program, int argc, char **argv,
                               void *config, int *rest)
{
    struct loader l = {.program = program, .given = calloc(program->count + 1, sizeof *l.given)};
    enum option_result result = OPTION_BAD;
    if (l.given)
        result = option_collect(&l, argc, argv, rest);
    else
        fail_memory(&l);
    if (result == OPTION_RUN && l.print) {
        print_config(&l);
        result = OPTION_EXIT;
    }
    if (result == OPTION_RUN)
        result = option_settle(&l, config);
    for (size_t i = 0; l.given && i < program->count; i++)
        given_clear(&l.given[i]);
    free(l.given);
    return result;
}

int option_check_file(const char *option, const char *path, char why[OPTION_WHY_MAX])
{
    if (!path || access(path, R_OK) == 0)
        return 0;
    snprintf(why, OPTION_WHY_MAX, "--%s %.200s: %s", option, path, read_problem(errno));
    return -EINVAL;
}

void option_release(const struct option_program *program, void *config)
{
    for (size_t i = 0; i < program->count; i++) {
        const struct option_row *row = &program->rows[i];
        void *field = (char *)config + row->offset;
        if (is_list(row->type)) {
            struct option_list *list = field;
            for (size_t j = 0; j < list->count; j++)
                free(list->items[j]);
            free(list->items);
            *list = (struct option_list){0};
        } else if (row->type == OPTION_TEXT) {
            free(*(char **)field);
            *(char **)field = NULL;
        }
    }
}
