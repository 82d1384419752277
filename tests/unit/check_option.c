#include "ops/option.h"

#include "ops/endpoint.h"

#include <string.h>

#include "capture.h"
#include "ops/log.h"
#include "ops/option_file.h"
#include "support.h"

struct config {
    char *store, *note;
    struct option_list commands, header;
    uint64_t events, bytes, age, retry, mode;
    bool loud;
};

static const char *check_store(const char *value)
{
    return strcmp(value, "memory") == 0 || *value == '/' ? NULL : "memory or a directory";
}

static const struct option_row rows[] = {
    {"commands", "ENDPOINT", "tcp://127.0.0.1:5570", "where services publish", OPTION_LIST,
     offsetof(struct config, commands), 0, 0, endpoint_check_connect},
    {"header", "LINE", NULL, "extra header", OPTION_LINES, offsetof(struct config, header), 0, 0,
     NULL},
    {"store", "STORE", "memory", "where history is kept", OPTION_TEXT,
     offsetof(struct config, store), 0, 0, check_store},
    {"note", "TEXT", "", "any text", OPTION_TEXT, offsetof(struct config, note), 0, 0, NULL},
    {"history-events", "N", "100000", "how many", OPTION_COUNT, offsetof(struct config, events), 1,
     1000000, NULL},
    {"history-bytes", "SIZE", "256M", "how much", OPTION_SIZE, offsetof(struct config, bytes), 1024,
     0, NULL},
    {"history-age", "DURATION", "24h", "how long", OPTION_SECONDS, offsetof(struct config, age), 0,
     0, NULL},
    {"retry", "DURATION", "15000ms", "the hint", OPTION_MILLIS, offsetof(struct config, retry), 0,
     3600000, NULL},
    {"listen-mode", "MODE", "0660", "permissions", OPTION_MODE, offsetof(struct config, mode), 0, 0,
     NULL},
    {"loud", NULL, "no", "be loud", OPTION_FLAG, offsetof(struct config, loud), 0, 0, NULL},
};

/* The store /x needs a note. */
static int check_together(const void *config, char why[OPTION_WHY_MAX])
{
    const struct config *c = config;
    if (strcmp(c->store, "/x") != 0 || c->note)
        return 0;
    snprintf(why, OPTION_WHY_MAX, "--store %s needs a --note", c->store);
    return -1;
}

/* Loud is warned of. */
static void warn_of_loud(const void *config)
{
    const struct config *c = config;
    if (c->loud)
        log_warn("--loud: neighbours hear it");
}

static const struct option_program program = {
    "prog",         "Does things.", "[OPTION]...", rows, sizeof rows / sizeof rows[0],
    check_together, warn_of_loud};

/* One load: what it gave and what it said. */
struct run {
    struct config config;
    enum option_result result;
    int rest;
    char out[16384], err[16384];
};

static struct run run;

static void load_at(char *const *argv, int *rest)
{
    struct capture out, err;
    int argc = 0;
    while (argv[argc])
        argc++;
    run = (struct run){0};
    capture_begin(&out, STDOUT_FILENO);
    capture_begin(&err, STDERR_FILENO);
    run.result = option_load(&program, argc, (char **)argv, &run.config, rest);
    strcpy(run.err, capture_end(&err));
    strcpy(run.out, capture_end(&out));
}

#define load(...) load_at((char *[]){"prog", __VA_ARGS__, NULL}, NULL)

static void assert_run(void)
{
    ck_assert_msg(run.result == OPTION_RUN, "refused: %s", run.err);
    ck_assert_str_eq(run.err, "");
}

/* Refused with this one line. */
static void assert_bad(const char *line)
{
    ck_assert_int_eq(run.result, OPTION_BAD);
    ck_assert_str_eq(run.err, line);
    ck_assert_str_eq(run.out, "");
    ck_assert_ptr_null(run.config.store);
}

static char path[64];

static const char *write_file(const char *text)
{
    strcpy(path, "/tmp/check-option-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void forget(void)
{
    option_release(&program, &run.config);
    if (*path)
        unlink(path);
    *path = '\0';
    for (size_t i = 0; i < program.count; i++) {
        char name[64] = "SSECAST_";
        for (size_t j = 0; rows[i].name[j]; j++)
            name[8 + j] = rows[i].name[j] == '-' ? '_' : (char)(rows[i].name[j] - 32);
        unsetenv(name);
    }
    unsetenv("SSECAST_CONFIG");
}

START_TEST(defaults_are_what_the_rows_say)
{
    load(NULL);
    assert_run();
    ck_assert_str_eq(run.config.store, "memory");
    ck_assert_ptr_null(run.config.note);
    ck_assert_uint_eq(run.config.commands.count, 1);
    ck_assert_str_eq(run.config.commands.items[0], "tcp://127.0.0.1:5570");
    ck_assert_uint_eq(run.config.header.count, 0);
    ck_assert_uint_eq(run.config.events, 100000);
    ck_assert_uint_eq(run.config.bytes, 256u << 20);
    ck_assert_uint_eq(run.config.age, 86400000);
    ck_assert_uint_eq(run.config.retry, 15000);
    ck_assert_uint_eq(run.config.mode, 0660);
}
END_TEST

START_TEST(a_value_follows_or_is_joined)
{
    load("--store", "/a", "--history-events=7", "--note=a=b", "--history-events", "8");
    assert_run();
    ck_assert_str_eq(run.config.store, "/a");
    ck_assert_str_eq(run.config.note, "a=b");
    ck_assert_uint_eq(run.config.events, 8);
}
END_TEST

static const struct {
    const char *option, *value;
    size_t offset;
    uint64_t number;
} numbers[] = {
    {"--history-events", "1", offsetof(struct config, events), 1},
    {"--history-events", "1000000", offsetof(struct config, events), 1000000},
    {"--history-bytes", "1024", offsetof(struct config, bytes), 1024},
    {"--history-bytes", "1K", offsetof(struct config, bytes), 1024},
    {"--history-bytes", "3m", offsetof(struct config, bytes), 3 << 20},
    {"--history-bytes", "2G", offsetof(struct config, bytes), 2ull << 30},
    {"--history-bytes", "17179869183G", offsetof(struct config, bytes), 17179869183ull << 30},
    {"--history-bytes", "18446744073709551615", offsetof(struct config, bytes), UINT64_MAX},
    {"--history-age", "15", offsetof(struct config, age), 15000},
    {"--history-age", "15s", offsetof(struct config, age), 15000},
    {"--history-age", "500ms", offsetof(struct config, age), 500},
    {"--history-age", "1m", offsetof(struct config, age), 60000},
    {"--history-age", "24h", offsetof(struct config, age), 86400000},
    {"--history-age", "7d", offsetof(struct config, age), 604800000},
    {"--history-age", "0", offsetof(struct config, age), 0},
    {"--retry", "1500", offsetof(struct config, retry), 1500},
    {"--retry", "2s", offsetof(struct config, retry), 2000},
    {"--retry", "1h", offsetof(struct config, retry), 3600000},
    {"--listen-mode", "0777", offsetof(struct config, mode), 0777},
    {"--listen-mode", "600", offsetof(struct config, mode), 0600},
};

START_TEST(numbers_sizes_durations_and_modes)
{
    load((char *)numbers[_i].option, (char *)numbers[_i].value);
    assert_run();
    ck_assert_uint_eq(*(uint64_t *)((char *)&run.config + numbers[_i].offset), numbers[_i].number);
}
END_TEST

#define SIZES "a number of bytes such as 4096, 64K, 256M or 1G, at least 1K"
#define AGES "a duration such as 15 (seconds), 500ms, 15s, 5m, 24h or 7d"
#define RETRIES "a duration such as 1500 (milliseconds), 500ms, 15s, 5m, 24h or 7d, at most 1h"
#define MODES "file permissions in octal, such as 0660"
#define COUNTS "a whole number, from 1 to 1000000"

static const struct {
    const char *option, *value, *accepted;
} wrong[] = {
    {"history-events", "", COUNTS},
    {"history-events", "0", COUNTS},
    {"history-events", "-1", COUNTS},
    {"history-events", "+1", COUNTS},
    {"history-events", " 1", COUNTS},
    {"history-events", "1 ", COUNTS},
    {"history-events", "1K", COUNTS},
    {"history-events", "0x10", COUNTS},
    {"history-events", "1000001", COUNTS},
    {"history-events", "99999999999999999999", COUNTS},
    {"history-bytes", "1023", SIZES},
    {"history-bytes", "1T", SIZES},
    {"history-bytes", "1KB", SIZES},
    {"history-bytes", "1.5M", SIZES},
    {"history-bytes", "K", SIZES},
    {"history-bytes", "17179869184G", SIZES},
    {"history-bytes", "18446744073709551616", SIZES},
    {"history-age", "1w", AGES},
    {"history-age", "h", AGES},
    {"history-age", "1h30m", AGES},
    {"history-age", "18446744073709551615d", AGES},
    {"history-age", "18446744073709552", AGES},
    {"retry", "3600001", RETRIES},
    {"retry", "2h", RETRIES},
    {"listen-mode", "1000", MODES},
    {"listen-mode", "8", MODES},
    {"listen-mode", "rw", MODES},
    {"store", "memroy", "memory or a directory"},
    {"store", "", "memory or a directory"},
    {"commands", "tcp://a",
     "tcp://HOST:PORT with a port of 1 to 65535 (an IPv6 address in brackets)"},
    {"commands", "tcp://a:1,udp://b:2", "tcp://HOST:PORT or ipc://PATH"},
};

START_TEST(a_wrong_value_is_told_in_one_line)
{
    char option[64], line[256];
    const char *shown =
        strchr(wrong[_i].value, ',') ? strchr(wrong[_i].value, ',') + 1 : wrong[_i].value;
    snprintf(option, sizeof option, "--%s", wrong[_i].option);
    snprintf(line, sizeof line, "prog: %s '%s' (command line): must be %s\n", option, shown,
             wrong[_i].accepted);
    load(option, (char *)wrong[_i].value);
    assert_bad(line);
}
END_TEST

START_TEST(control_characters_are_refused_and_not_shown)
{
    load("--note", "a\nprog: forged");
    assert_bad(
        "prog: --note 'a?prog: forged' (command line): must be text without control characters\n");
}
END_TEST

START_TEST(an_error_of_any_length_is_one_line)
{
    static char value[100000];
    memset(value, 'x', sizeof value - 1);
    load("--history-events", value);
    ck_assert_int_eq(run.result, OPTION_BAD);
    ck_assert_uint_lt(strlen(run.err), 400);
    ck_assert_ptr_nonnull(strstr(run.err, "must be " COUNTS "\n"));
}
END_TEST

START_TEST(an_unknown_option_is_an_error)
{
    load("--nonsense", "1");
    assert_bad("prog: unknown option '--nonsense'; --help lists them\n");
    load("--history-event=1");
    assert_bad("prog: unknown option '--history-event', did you mean '--history-events'?\n");
    load("--histroy-age", "1");
    assert_bad("prog: unknown option '--histroy-age', did you mean '--history-age'?\n");
    load("--hepl");
    assert_bad("prog: unknown option '--hepl', did you mean '--help'?\n");
    load("-v");
    assert_bad("prog: unknown option '-v'; --help lists them\n");
    load("--=1");
    assert_bad("prog: unknown option '--'; --help lists them\n");
}
END_TEST

START_TEST(a_missing_or_needless_value_is_an_error)
{
    load("--store");
    assert_bad("prog: --store (command line): a value is missing: STORE\n");
    load("--config");
    assert_bad("prog: --config (command line): a value is missing: FILE\n");
    load("--help=yes");
    assert_bad("prog: --help 'yes' (command line): takes no value\n");
}
END_TEST

START_TEST(other_arguments_are_an_error_or_the_callers)
{
    int rest = 0;
    load("--store", "/a", "publish");
    assert_bad("prog: unexpected argument 'publish'; --help lists the options\n");
    load_at((char *[]){"prog", "--store", "/a", "publish", "--event", "m", NULL}, &rest);
    assert_run();
    ck_assert_int_eq(rest, 3);
    forget();
    load_at((char *[]){"prog", "--", "--store", NULL}, &rest);
    assert_run();
    ck_assert_int_eq(rest, 2);
    forget();
    load_at((char *[]){"prog", "-", NULL}, &rest);
    ck_assert_int_eq(rest, 1);
    forget();
    load_at((char *[]){"prog", NULL}, &rest);
    ck_assert_int_eq(rest, 1);
}
END_TEST

START_TEST(lists_take_commas_and_repetition)
{
    load("--commands", "tcp://a:1, tcp://b:2 ,", "--commands=ipc:///c");
    assert_run();
    ck_assert_uint_eq(run.config.commands.count, 3);
    ck_assert_str_eq(run.config.commands.items[0], "tcp://a:1");
    ck_assert_str_eq(run.config.commands.items[1], "tcp://b:2");
    ck_assert_str_eq(run.config.commands.items[2], "ipc:///c");
}
END_TEST

START_TEST(lines_keep_their_commas)
{
    load("--header", "A: b, c; d", "--header", "E: f");
    assert_run();
    ck_assert_uint_eq(run.config.header.count, 2);
    ck_assert_str_eq(run.config.header.items[0], "A: b, c; d");
    ck_assert_str_eq(run.config.header.items[1], "E: f");
}
END_TEST

START_TEST(an_empty_list_replaces_the_default)
{
    load("--commands", "", "--note=");
    assert_run();
    ck_assert_uint_eq(run.config.commands.count, 0);
    ck_assert_ptr_null(run.config.note);
}
END_TEST

START_TEST(the_environment_is_read)
{
    setenv("SSECAST_HISTORY_EVENTS", "5", 1);
    setenv("SSECAST_COMMANDS", "tcp://a:1,tcp://b:2", 1);
    setenv("SSECAST_RETRY", "", 1);         /* as good as not set */
    setenv("SSECAST_SESSION_FROM", "1", 1); /* of another program */
    load(NULL);
    assert_run();
    ck_assert_uint_eq(run.config.events, 5);
    ck_assert_uint_eq(run.config.commands.count, 2);
    ck_assert_uint_eq(run.config.retry, 15000);
    forget();

    setenv("SSECAST_OF_NO_PROGRAM", "1", 1); /* a warning, which is not for this module */
    load(NULL);
    assert_run();
    forget();
    load("--check-config");
    assert_bad("prog: environment SSECAST_OF_NO_PROGRAM: "
               "no option has this name; --help lists the options\n");
    unsetenv("SSECAST_OF_NO_PROGRAM");
}
END_TEST

START_TEST(a_wrong_variable_is_named)
{
    setenv("SSECAST_HISTORY_EVENTS", "many", 1);
    load(NULL);
    assert_bad("prog: --history-events 'many' (environment SSECAST_HISTORY_EVENTS): must be " COUNTS
               "\n");
}
END_TEST

START_TEST(the_file_is_read)
{
    load("--config",
         (char *)write_file("# a comment\n; another\n\nstore = /srv/x  \n  history-events=9\n"
                            "commands = tcp://a:1\ncommands = tcp://b:2, tcp://c:3\n"
                            "header = A: b ; c # d\nnote =\n"));
    assert_run();
    ck_assert_str_eq(run.config.store, "/srv/x");
    ck_assert_uint_eq(run.config.events, 9);
    ck_assert_uint_eq(run.config.commands.count, 3);
    ck_assert_str_eq(run.config.header.items[0], "A: b ; c # d");
    ck_assert_ptr_null(run.config.note);
}
END_TEST

START_TEST(the_environment_may_name_the_file)
{
    setenv("SSECAST_CONFIG", write_file("store = /srv/x\n"), 1);
    load(NULL);
    assert_run();
    ck_assert_str_eq(run.config.store, "/srv/x");
}
END_TEST

static const struct {
    const char *text, *error;
} bad_files[] = {
    {"store = memory\nretyr = 1\n", "%s, line 2: unknown option 'retyr', did you mean 'retry'?"},
    {"nonsense = 1\n", "%s, line 1: unknown option 'nonsense'"},
    {"config = other\n", "%s, line 1: unknown option 'config'"},
    {"\n\nretry = 1x\n", "--retry '1x' (%s, line 3): must be " RETRIES},
    {"retry =\n", "--retry '' (%s, line 1): must be " RETRIES},
    {"[server]\nretry = 1\n", "%s, line 1: sections are not used here"},
    {"retry\n", "%s, line 1: must be NAME = VALUE"},
    {"retry = 1\nstore\n", "%s, line 2: must be NAME = VALUE"},
    {"store = /ok\n  retry = 5x\n", "--retry '5x' (%s, line 2): must be " RETRIES},
};

START_TEST(a_wrong_file_is_told_with_its_line)
{
    char error[256], line[300];
    const char *file = write_file(bad_files[_i].text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(error, sizeof error, bad_files[_i].error, file);
#pragma GCC diagnostic pop
    snprintf(line, sizeof line, "prog: %s\n", error);
    load("--config", (char *)file);
    assert_bad(line);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_an_error)
{
    load("--config", "/nonexistent/file");
    assert_bad("prog: --config '/nonexistent/file': No such file or directory\n");
    load("--config", "/");
    assert_bad("prog: --config '/': Is a directory\n");
}
END_TEST

START_TEST(long_lines_are_refused_and_long_comments_are_not)
{
    char text[20000];
    snprintf(text, sizeof text, "#%010000d\nretry = 7\n", 0);
    load("--config", (char *)write_file(text));
    assert_run();
    ck_assert_uint_eq(run.config.retry, 7);
    forget();
    snprintf(text, sizeof text, "note = %010000d\n", 0);
    load("--config", (char *)write_file(text));
    ck_assert_int_eq(run.result, OPTION_BAD);
    ck_assert_ptr_nonnull(strstr(run.err, ", line 1: longer than "));
}
END_TEST

START_TEST(a_value_has_the_same_bound_from_every_source)
{
    char value[OPTION_VALUE_MAX + 2], text[sizeof value + 100];
    memset(value, 'x', sizeof value - 2);
    value[sizeof value - 2] = '\0';
    load("--note", value);
    assert_run();
    forget();
    snprintf(text, sizeof text, "note = %s\nretry = 7\n", value);
    load("--config", (char *)write_file(text));
    assert_run();
    ck_assert_str_eq(run.config.note, value);
    ck_assert_uint_eq(run.config.retry, 7);
    forget();
    strcat(value, "x");
    load("--note", value);
    ck_assert_int_eq(run.result, OPTION_BAD);
    ck_assert_ptr_nonnull(strstr(run.err, "must be at most 8192 bytes\n"));
}
END_TEST

START_TEST(white_space_around_a_text_does_not_count)
{
    load("--store", " /a b ", "--note", "  ", "--header", " A: b ");
    assert_run();
    ck_assert_str_eq(run.config.store, "/a b");
    ck_assert_ptr_null(run.config.note);
    ck_assert_str_eq(run.config.header.items[0], "A: b");
}
END_TEST

START_TEST(the_nearer_source_wins_and_replaces_lists)
{
    const char *file =
        write_file("retry = 1\nhistory-events = 1\nstore = /file\ncommands = tcp://file:1\n");
    setenv("SSECAST_HISTORY_EVENTS", "2", 1);
    setenv("SSECAST_STORE", "/environment", 1);
    setenv("SSECAST_COMMANDS", "tcp://environment:1", 1);
    load("--store", "/line", "--config", (char *)file, "--commands", "tcp://line:1");
    assert_run();
    ck_assert_uint_eq(run.config.retry, 1);
    ck_assert_uint_eq(run.config.events, 2);
    ck_assert_str_eq(run.config.store, "/line");
    ck_assert_uint_eq(run.config.commands.count, 1);
    ck_assert_str_eq(run.config.commands.items[0], "tcp://line:1");
}
END_TEST

START_TEST(a_wrong_value_is_told_even_where_it_is_overridden)
{
    load("--config", (char *)write_file("retry = x\n"), "--retry", "1");
    ck_assert_int_eq(run.result, OPTION_BAD);
}
END_TEST

START_TEST(help_names_every_option_and_its_default)
{
    load("--help");
    ck_assert_int_eq(run.result, OPTION_EXIT);
    ck_assert_str_eq(run.err, "");
    ck_assert_int_eq(strncmp(run.out, "Usage: prog [OPTION]...\nDoes things.\n", 37), 0);
    for (size_t i = 0; i < program.count; i++) {
        char name[64];
        snprintf(name, sizeof name, "  --%s %s", rows[i].name, rows[i].arg ? rows[i].arg : " ");
        ck_assert_msg(strstr(run.out, name), "no %s", name);
    }
    ck_assert_ptr_nonnull(strstr(run.out, "how much (default: 256M)"));
    ck_assert_ptr_nonnull(strstr(run.out, "extra header; may be repeated\n"));
    for (char *line = strtok(run.out, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strlen(line) <= 80, "too long: %s", line);
}
END_TEST

START_TEST(version_is_one_line)
{
    load("--version", "--nonsense");
    ck_assert_int_eq(run.result, OPTION_EXIT);
    ck_assert_str_eq(run.out, "prog " SSECAST_VERSION "\n");
}
END_TEST

START_TEST(check_config_says_whether)
{
    load("--check-config");
    ck_assert_int_eq(run.result, OPTION_EXIT);
    ck_assert_str_eq(run.out, "prog: the configuration is valid\n");
    ck_assert_str_eq(run.err, "");
    load("--check-config", "--retry", "x");
    ck_assert_int_eq(run.result, OPTION_BAD);
}
END_TEST

START_TEST(check_config_warns)
{
    load("--check-config", "--loud");
    ck_assert_int_eq(run.result, OPTION_EXIT);
    ck_assert_str_eq(run.out, "prog: the configuration is valid\n");
    ck_assert_ptr_nonnull(
        strstr(run.err, "prog: warning: check_option: --loud: neighbours hear it\n"));
    load("--check-config", "--loud", "--store", "/x");
    assert_bad("prog: --store /x needs a --note\n");
}
END_TEST

START_TEST(a_flag_needs_no_value)
{
    load("--note", "x");
    assert_run();
    ck_assert(!run.config.loud);
    forget();
    load("--loud", "--note", "x");
    assert_run();
    ck_assert(run.config.loud);
    ck_assert_str_eq(run.config.note, "x");
    forget();
    setenv("SSECAST_LOUD", "yes", 1);
    load("--config", (char *)write_file("loud = no\n"));
    assert_run();
    ck_assert(run.config.loud);
    forget();
    setenv("SSECAST_LOUD", "yes", 1);
    load("--loud=no");
    assert_run();
    ck_assert(!run.config.loud);
    forget();
    load("--loud=maybe");
    assert_bad("prog: --loud 'maybe' (command line): must be yes or no\n");
}
END_TEST

START_TEST(values_that_do_not_go_together_are_refused)
{
    load("--store", "/x", "--note", "y");
    assert_run();
    forget();
    load("--store", "/x");
    assert_bad("prog: --store /x needs a --note\n");
    load("--store", "/x", "--check-config");
    assert_bad("prog: --store /x needs a --note\n");
}
END_TEST

START_TEST(print_config_can_be_fed_back)
{
    char first[16384];
    load("--print-config", "--commands", "tcp://a:1,tcp://b:2", "--header", "A: b ; c", "--retry",
         "2s");
    ck_assert_int_eq(run.result, OPTION_EXIT);
    ck_assert_str_eq(
        run.out,
        "commands = tcp://a:1\ncommands = tcp://b:2\nheader = A: b ; c\nstore = memory\n# note =\n"
        "history-events = 100000\nhistory-bytes = 256M\nhistory-age = 24h\nretry = 2s\n"
        "listen-mode = 0660\nloud = no\n");
    strcpy(first, run.out);
    load("--print-config", "--config", (char *)write_file(first));
    ck_assert_str_eq(run.out, first);
    forget();
    load("--print-config", "--commands=");
    strcpy(first, run.out);
    load("--print-config", "--config", (char *)write_file(first));
    ck_assert_str_eq(run.out, first);
    ck_assert_int_eq(strncmp(first, "commands =\n", 11), 0);
}
END_TEST

/* Values that a file's syntax could change or refuse. */
static const char *const unusual[] = {
    " x",   "x ",    "  ", "; x", "# x",           "[x]",  "x ;y", "a = b",
    "a: b", "\"x\"", "\\", "x\\", "\xef\xbb\xbfx", "\x85", "\xa0"};

START_TEST(print_config_shows_every_value_so_that_it_is_read_again)
{
    char first[16384], longest[OPTION_VALUE_MAX + 1];
    memset(longest, 'y', OPTION_VALUE_MAX);
    longest[OPTION_VALUE_MAX] = '\0';
    const char *value = (size_t)_i < sizeof unusual / sizeof unusual[0] ? unusual[_i] : longest;

    load("--print-config", "--note", (char *)value);
    ck_assert_int_eq(run.result, OPTION_EXIT);
    strcpy(first, run.out);
    load("--print-config", "--config", (char *)write_file(first));
    ck_assert_str_eq(run.err, "");
    ck_assert_str_eq(run.out, first);
}
END_TEST

START_TEST(release_zeroes_and_may_come_twice)
{
    load("--note", "x", "--header", "A: b");
    assert_run();
    option_release(&program, &run.config);
    ck_assert_ptr_null(run.config.note);
    ck_assert_ptr_null(run.config.header.items);
    option_release(&program, &run.config);
}
END_TEST

static void add_values(TCase *tests)
{
    tcase_add_test(tests, defaults_are_what_the_rows_say);
    tcase_add_test(tests, a_value_follows_or_is_joined);
    tcase_add_loop_test(tests, numbers_sizes_durations_and_modes, 0,
                        (int)(sizeof numbers / sizeof numbers[0]));
    tcase_add_loop_test(tests, a_wrong_value_is_told_in_one_line, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tests, control_characters_are_refused_and_not_shown);
    tcase_add_test(tests, an_error_of_any_length_is_one_line);
    tcase_add_test(tests, an_unknown_option_is_an_error);
    tcase_add_test(tests, a_missing_or_needless_value_is_an_error);
    tcase_add_test(tests, other_arguments_are_an_error_or_the_callers);
    tcase_add_test(tests, lists_take_commas_and_repetition);
    tcase_add_test(tests, lines_keep_their_commas);
    tcase_add_test(tests, an_empty_list_replaces_the_default);
    tcase_add_test(tests, release_zeroes_and_may_come_twice);
}

static void add_sources(TCase *tests)
{
    tcase_add_test(tests, the_environment_is_read);
    tcase_add_test(tests, a_wrong_variable_is_named);
    tcase_add_test(tests, the_file_is_read);
    tcase_add_test(tests, the_environment_may_name_the_file);
    tcase_add_loop_test(tests, a_wrong_file_is_told_with_its_line, 0,
                        (int)(sizeof bad_files / sizeof bad_files[0]));
    tcase_add_test(tests, a_file_that_cannot_be_read_is_an_error);
    tcase_add_test(tests, long_lines_are_refused_and_long_comments_are_not);
    tcase_add_test(tests, a_value_has_the_same_bound_from_every_source);
    tcase_add_test(tests, white_space_around_a_text_does_not_count);
    tcase_add_test(tests, the_nearer_source_wins_and_replaces_lists);
    tcase_add_test(tests, a_wrong_value_is_told_even_where_it_is_overridden);
}

static void add_answers(TCase *tests)
{
    tcase_add_test(tests, help_names_every_option_and_its_default);
    tcase_add_test(tests, version_is_one_line);
    tcase_add_test(tests, check_config_says_whether);
    tcase_add_test(tests, check_config_warns);
    tcase_add_test(tests, a_flag_needs_no_value);
    tcase_add_test(tests, values_that_do_not_go_together_are_refused);
    tcase_add_test(tests, print_config_can_be_fed_back);
    tcase_add_loop_test(tests, print_config_shows_every_value_so_that_it_is_read_again, 0,
                        (int)(sizeof unusual / sizeof unusual[0]) + 1);
}

int main(void)
{
    Suite *suite = suite_create("option");
    TCase *values = one_case(suite, "values"), *sources = one_case(suite, "sources"),
          *answers = one_case(suite, "answers");
    tcase_add_checked_fixture(values, NULL, forget);
    tcase_add_checked_fixture(sources, NULL, forget);
    tcase_add_checked_fixture(answers, NULL, forget);
    add_values(values);
    add_sources(sources);
    add_answers(answers);
    return run_suite(suite);
}
