/* Options are moved to the front, so that `ssecast stats --timeout 1s` works like `ssecast
 * --timeout 1s stats`. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "cli/verb.h"
#include "ops/curve_key.h"
#include "ops/endpoint.h"
#include "ops/option.h"
#include "ops/option_help.h"
#include "ops/variables.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PROGRAM "ssecast"

static const struct verb *const verbs[] = {
    &verb_publish, &verb_shutdown, &verb_online, &verb_sessions, &verb_connections, &verb_workers,
    &verb_history, &verb_stats,    &verb_ping,   &verb_tail,     &verb_log_level,   &verb_keygen,
    &verb_top,     &verb_watch,    &verb_bans,   &verb_unban,    &verb_state,       &verb_members,
};

static const struct option_row options[] = {
    {.name = "commands",
     .arg = "ENDPOINT",
     .fallback = "tcp://127.0.0.1:5570",
     .help = "the broker's commands endpoint",
     .type = OPTION_TEXT,
     .offset = offsetof(struct settings, commands),
     .check = endpoint_check_connect},
    {.name = "presence",
     .arg = "ENDPOINT",
     .fallback = "tcp://127.0.0.1:5573",
     .help = "the broker's presence endpoint",
     .type = OPTION_TEXT,
     .offset = offsetof(struct settings, presence),
     .check = endpoint_check_connect},
    {.name = "curve-key-file",
     .arg = "FILE",
     .help = "your secret key for CURVE; needs broker-key",
     .type = OPTION_TEXT,
     .offset = offsetof(struct settings, curve_key_file)},
    {.name = "broker-key",
     .arg = "KEY",
     .help = "the broker's public key, or its file",
     .type = OPTION_TEXT,
     .offset = offsetof(struct settings, broker_key)},
    {.name = "timeout",
     .arg = "TIME",
     .fallback = "5s",
     .help = "timeout for the broker's reply",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct settings, timeout_ms),
     .min = 1,
     .max = 86400000},
};

/* Verbs read the key files when they need them: keygen and tail do not. */
static int cli_options_check(const void *config, char why[OPTION_WHY_MAX])
{
    const struct settings *s = config;
    struct curve_client keys = {0};
    char *broker = s->broker_key, detail[CURVE_KEY_WHY];
    if (!s->check_config)
        return 0;

    int err = curve_client_load(&keys, s->curve_key_file, &broker, broker != NULL, 1, detail);
    curve_client_release(&keys);
    if (err)
        snprintf(why, OPTION_WHY_MAX, "%s", detail);
    return err;
}

static const struct option_program program = {
    .name = PROGRAM,
    .summary = "Publishes events through ssecast-broker and queries it.",
    .usage = "[OPTION]... COMMAND [FLAG]... [ARGUMENT]...",
    .rows = options,
    .count = COUNT(options),
    .check = cli_options_check,
};

/* ---- help ---- */

static void show_verbs(void)
{
    printf("\nCommands:\n");
    for (size_t i = 0; i < COUNT(verbs); i++)
        printf("  %-11s  %-14s  %s\n", verbs[i]->name, verbs[i]->args, verbs[i]->summary);
    printf("\n" PROGRAM " COMMAND --help describes a command.\n"
           "--json prints the broker's reply, for programs.\n"
           "Exit status: 0 success; 1 the broker refused or did not answer; 2 usage error.\n");
}

/* Each line of text is a paragraph. */
static void show_paragraphs(const char *text)
{
    char line[1024];
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, text);
        option_help_text(stdout, 0, line);
    }
}

static void show_verb_help(const struct verb *verb)
{
    printf("Usage: " PROGRAM " [OPTION]... %s%s%s%s\n\n%c%s.\n", verb->name,
           verb->flags.count ? " [FLAG]..." : "", *verb->args ? " " : "", verb->args,
           verb->summary[0] - 'a' + 'A', verb->summary + 1);
    if (verb->more) {
        putchar('\n');
        show_paragraphs(verb->more);
    }
    printf("\nFlags:\n");
    flags_help(&verb->flags, stdout);
    printf("\n" PROGRAM " --help lists the options that all commands share.\n");
}

/* ---- the line ---- */

/* Everything before a "--" of its own. */
static int words(int argc, char **argv)
{
    int n = 1;
    while (n < argc && strcmp(argv[n], "--") != 0)
        n++;
    return n < argc ? n : argc;
}

/* Remove every argument equal to text from argv. True when there was one. */
static bool take_switch(int *argc, char **argv, const char *text)
{
    int kept = 1, end = words(*argc, argv);
    for (int i = 1; i < *argc; i++)
        if (i >= end || strcmp(argv[i], text) != 0)
            argv[kept++] = argv[i];
    bool taken = kept < *argc;
    *argc = kept;
    argv[kept] = NULL;
    return taken;
}

/* Move argv[from..from+count) to argv[to]; the arguments between follow. */
static void move_front(char **argv, int to, int from, int count)
{
    char *moved[2] = {argv[from], count > 1 ? argv[from + 1] : NULL};
    memmove(&argv[to + count], &argv[to], (size_t)(from - to) * sizeof *argv);
    memcpy(&argv[to], moved, (size_t)count * sizeof *argv);
}

static void options_first(int argc, char **argv)
{
    int front = 1, end = words(argc, argv);
    for (int i = 1; i < end; i++) {
        int count = option_words(&program, argv[i]);
        if (count == 0 || i + count > end)
            continue;
        move_front(argv, front, i, count);
        front += count;
        i += count - 1;
    }
}

static int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int usage(const char *format, ...)
{
    va_list args;
    fputs(PROGRAM ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return STATUS_USAGE;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (!strcmp(verbs[i]->name, name))
            return verbs[i];
    return NULL;
}

/* Arguments must be UTF-8, as requests are. */
static bool is_utf8(const char *text)
{
    for (struct slice rest = slice_of(text); rest.len > 0;) {
        size_t n = utf8_sequence(rest);
        if (n == 0)
            return false;
        rest = (struct slice){rest.data + n, rest.len - n};
    }
    return true;
}

/* ---- a verb ---- */

static int check_arguments(const struct verb_call *call)
{
    const struct verb *verb = call->verb;
    if (call->count < verb->min_args)
        return complain(call, STATUS_USAGE, "too few arguments; accepted: %s", verb->args);
    if (call->count > verb->max_args)
        return complain(call, STATUS_USAGE, "unexpected argument '%s'; accepted: %s",
                        call->args[verb->max_args], *verb->args ? verb->args : "no arguments");
    return STATUS_OK;
}

static int run_with(struct verb_call *call, int argc, void *values)
{
    char problem[256] = "out of memory";
    int count = flags_parse(&call->verb->flags, argc, call->args, values, problem, sizeof problem);
    if (count < 0)
        return complain(call, STATUS_USAGE, "%s (see " PROGRAM " %s --help)", problem,
                        call->verb->name);
    call->count = count;
    int status = check_arguments(call);
    return status == STATUS_OK ? call->verb->run(call) : status;
}

static int run_verb(const struct verb *verb, const struct settings *settings, int argc, char **argv)
{
    void *values = calloc(1, verb->flags_size + 1);
    struct verb_call call = {.verb = verb, .settings = settings, .flags = values, .args = argv};
    if (!values)
        return complain(&call, STATUS_FAILED, "out of memory");
    for (int i = 0; i < argc; i++)
        if (!is_utf8(argv[i])) {
            free(values);
            return complain(&call, STATUS_USAGE, "'%s' is not UTF-8", argv[i]);
        }
    int status = run_with(&call, argc, values);
    flags_release(&verb->flags, values);
    free(values);
    return status;
}

static int dispatch(const struct settings *settings, int argc, char **argv)
{
    if (argc == 0)
        return usage("missing command; " PROGRAM " --help lists them");
    const struct verb *verb = find_verb(argv[0]);
    if (!verb)
        return usage("unknown command '%s'; " PROGRAM " --help lists them", argv[0]);
    return run_verb(verb, settings, argc - 1, argv + 1);
}

/* --help behind a verb: the verb, else NULL. */
static const struct verb *asked_about(int argc, char **argv)
{
    const struct verb *verb = NULL;
    for (int i = 1; i < words(argc, argv); i++) {
        if (verb && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
            return verb;
        verb = verb ? verb : find_verb(argv[i]);
    }
    return NULL;
}

/* The command line writes no log. */
static void warn_of_variables(void)
{
    char why[VARIABLES_WHY_MAX];
    size_t cursor = 0;
    while (variables_next_unknown(&program, &cursor, why))
        fprintf(stderr, PROGRAM ": warning: %s\n", why);
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < words(argc, argv); i++)
        if (!strcmp(argv[i], word))
            return true;
    return false;
}

int cli_run(int argc, char **argv)
{
    struct settings settings = {0};
    const struct verb *verb = asked_about(argc, argv);
    if (verb) {
        show_verb_help(verb);
        return STATUS_OK;
    }
    int rest = argc;
    bool json = take_switch(&argc, argv, "--json"), help = has_word(argc, argv, "--help");
    settings.check_config = has_word(argc, argv, "--check-config");
    options_first(argc, argv);
    enum option_result result = option_load(&program, argc, argv, &settings, &rest);
    if (result == OPTION_EXIT && help)
        show_verbs();
    if (result == OPTION_RUN)
        warn_of_variables();
    settings.json = json;
    int status = result == OPTION_RUN    ? dispatch(&settings, argc - rest, argv + rest)
                 : result == OPTION_EXIT ? STATUS_OK
                                         : STATUS_USAGE;
    option_release(&program, &settings);
    return status;
}
