/* option.h - a program's options: one table of rows for the command line, the environment, the file
 * and --help.
 *
 * Every option has one long name. On the command line it is `--name value` or `--name=value`, in
 * the environment SSECAST_NAME (dashes become underscores). In the file that --config names it is a
 * line `name = value`. The command line wins over the environment, the environment over the file,
 * the file over the default. --help, --version, --print-config and --check-config come from the
 * same rows. A variable SSECAST_NAME that no program knows is an error for --check-config; the
 * programs warn of it (variables.h).
 *
 * It parses and stores values; the program gives them their meaning.
 *
 * Ownership: option_load() allocates what the config struct points to; option_release() frees it.
 */
#ifndef SSECAST_OPTION_H
#define SSECAST_OPTION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_TEXT,    /* char *                  one value, any text */
    OPTION_LIST,    /* struct option_list      repeatable; commas separate too */
    OPTION_LINES,   /* struct option_list      repeatable; a value may contain commas */
    OPTION_COUNT,   /* uint64_t                a whole number */
    OPTION_SIZE,    /* uint64_t, bytes         a whole number, K M G (powers of 1024) may follow */
    OPTION_SECONDS, /* uint64_t, milliseconds  a duration: ms s m h d may follow; default: s */
    OPTION_MILLIS,  /* uint64_t, milliseconds  the same; default: ms */
    OPTION_MODE,    /* uint64_t                file permissions, octal, 0 to 0777 */
    OPTION_FLAG,    /* bool                    yes or no; `--name` alone is yes. arg is NULL */
};

struct option_list {
    char **items;
    size_t count;
};

struct option_row {
    const char *name;     /* "history-events" */
    const char *arg;      /* how --help names its value: "N", "ENDPOINT" */
    const char *fallback; /* the default, as an option's value; NULL or "": none */
    const char *help;     /* one sentence, no full stop */
    enum option_type type;
    size_t offset;     /* of the field in the program's config struct */
    uint64_t min, max; /* numbers: both inclusive; max 0 means no limit */
    /* For texts and each item of a list: NULL when the value is accepted, else what is accepted
     * ("tcp://HOST:PORT or ipc://PATH"). May be NULL. */
    const char *(*check)(const char *value);
};

#define OPTION_WHY_MAX 512

struct option_program {
    const char *name;    /* "ssecast-broker" */
    const char *summary; /* one line for --help */
    const char *usage;   /* what follows the name in --help's first line: "[OPTION]..." */
    const struct option_row *rows;
    size_t count;
    /* Check the values together, when all are stored. 0, or another number with a line in why.
     * It releases what it opens. --check-config calls it too. May be NULL. */
    int (*check)(const void *config, char why[OPTION_WHY_MAX]);
    /* Log the warnings that a start with these values logs. Called for --check-config, when the
     * values are valid. May be NULL. */
    void (*warn)(const void *config);
};

enum option_result {
    OPTION_RUN,  /* config is filled in: go on */
    OPTION_EXIT, /* --help, --version, --print-config or --check-config is done: exit 0 */
    OPTION_BAD,  /* one line on stderr named the option, the value and what is accepted: exit 2 */
};

/* Fill config (zeroed by the caller) from argv, environment, file and defaults. *rest is set to
 * the index of the first argument that is not an option ("--" ends options); when rest is NULL,
 * such an argument is an error. */
enum option_result option_load(const struct option_program *program, int argc, char **argv,
                               void *config, int *rest);

/* The number of arguments of the option that arg begins, if it takes a value: 1 (--name=VALUE) or
 * 2. 0: arg is something else. */
int option_words(const struct option_program *program, const char *arg);

/* For option_program.check: whether the program may read the file at path, which the option names.
 * NULL is no file. 0, or -EINVAL with a line in why. */
int option_check_file(const char *option, const char *path, char why[OPTION_WHY_MAX]);

/* Free what option_load() allocated in config, and zero those fields. */
void option_release(const struct option_program *program, void *config);

#endif
