/* flags.h - parses the flags and arguments of a verb, by rows.
 *
 * Like the programs' options (option.h), but for one command and on the command line only. Flags
 * may stand before, between or after the arguments. "-" and negative numbers are arguments; "--"
 * ends the flags.
 *
 * Ownership: values point into argv. The arrays of lists are freed by flags_release().
 */
#ifndef SSECAST_FLAGS_H
#define SSECAST_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum flag_type {
    FLAG_SWITCH, /* bool              takes no value */
    FLAG_TEXT,   /* const char *      NULL when not given */
    FLAG_LIST,   /* struct flag_list  repeatable */
    FLAG_COUNT,  /* struct flag_count a whole number */
    FLAG_TIME,   /* struct flag_count seconds, at least 1: s m h d may follow; a bare number is seconds */
};

struct flag_list {
    const char **items;
    size_t count;
};

struct flag_count {
    bool given;
    uint64_t value;
};

struct flag_row {
    const char *name; /* "except-session" */
    const char *arg;  /* how --help names its value; NULL for a switch */
    const char *help; /* one sentence, no full stop */
    enum flag_type type;
    char letter;   /* as in -H; 0: none */
    size_t offset; /* in the verb's struct */
    uint64_t max;  /* FLAG_COUNT, FLAG_TIME: the largest accepted */
};

struct flags {
    const struct flag_row *rows;
    size_t count;
};

/* Read argv[0..argc) into values (zeroed by the caller). Moves the other arguments to the front of
 * argv, in their order. Returns their number, or -EINVAL with a line in problem. */
int flags_parse(const struct flags *flags, int argc, char **argv, void *values, char *problem, size_t size);

void flags_release(const struct flags *flags, void *values);

/* The lines of --help. */
void flags_help(const struct flags *flags, FILE *out);

#endif
