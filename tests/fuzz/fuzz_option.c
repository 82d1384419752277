/* Configuration files and arguments, for the worker's and the broker's options: what is accepted is
 * within the limits of its row, and what --print-config shows of it is accepted again and means the
 * same.
 *
 * Input: a first byte whose lowest bit chooses the program; then a file; after a UNIT, arguments
 * separated by UNIT. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/options.h"
#include "fcgi/options.h"
#include "fuzz.h"
#include "ops/option_number.h"

#define ARGS_MAX 20
#define SHOWN_MAX 65536

/* Options of either program: their values stand side by side in one of these. */
union config {
    struct broker_config broker;
    struct options worker;
};

static int quiet = -1, out_file = -1, err_file = -1;

/* Standard output goes where --print-config is read from, and complaints nowhere.
 * libFuzzer writes to the saved ones. */
static void hush(void)
{
    if (quiet >= 0)
        return;
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    out_file = memfd_create("out", MFD_CLOEXEC);
    err_file = dup(STDERR_FILENO);
    must(quiet >= 0 && out_file >= 0 && err_file >= 0);
}

static enum option_result load(const struct option_program *program, char **args, int count,
                               union config *config)
{
    fflush(NULL);
    int out = dup(STDOUT_FILENO);
    must(ftruncate(out_file, 0) == 0 && lseek(out_file, 0, SEEK_SET) == 0);
    dup2(out_file, STDOUT_FILENO);
    dup2(quiet, STDERR_FILENO);
    memset(config, 0, sizeof *config);
    enum option_result result = option_load(program, count, args, config, NULL);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err_file, STDERR_FILENO);
    close(out);
    return result;
}

/* A file with these bytes; its path for --config. */
static int file_of(struct slice bytes, char path[40])
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

/* --- values --- */

static const void *field(const struct option_row *row, const union config *config)
{
    return (const char *)config + row->offset;
}

static void text_is_valid(const struct option_row *row, const char *text)
{
    for (const char *c = text; *c; c++)
        must((unsigned char)*c >= ' ' && *c != 0x7f);
    must(!row->check || !row->check(text));
}

static void number_is_valid(const struct option_row *row, uint64_t value)
{
    uint64_t max = row->type == OPTION_MODE ? 0777 : row->max;
    bool optional = !row->fallback || !*row->fallback;
    must((value == 0 && optional) || (value >= row->min && (max == 0 || value <= max)));
}

static void row_is_valid(const struct option_row *row, const union config *config)
{
    const struct option_list *list = field(row, config);
    if (option_is_number(row->type)) {
        number_is_valid(row, *(const uint64_t *)field(row, config));
    } else if (row->type == OPTION_TEXT) {
        const char *text = *(char *const *)field(row, config);
        if (text)
            text_is_valid(row, text);
    } else if (row->type == OPTION_LIST || row->type == OPTION_LINES) {
        for (size_t i = 0; i < list->count; i++)
            text_is_valid(row, list->items[i]);
    }
}

static void rows_are_valid(const struct option_program *program, union config *config)
{
    for (size_t i = 0; i < program->count; i++)
        row_is_valid(&program->rows[i], config);
}

/* --- what is shown is what is meant --- */

static struct slice shown(const struct option_program *program, char **args, int count, char *out)
{
    union config config;
    char *all[ARGS_MAX + 2] = {args[0], "--print-config"};
    memcpy(all + 2, args + 1, (size_t)(count - 1) * sizeof *args);
    must(load(program, all, count + 1, &config) == OPTION_EXIT);
    ssize_t len = pread(out_file, out, SHOWN_MAX, 0);
    must(len > 0 && len < SHOWN_MAX);
    return (struct slice){out, (size_t)len};
}

static void means_the_same(const struct option_program *program, char **args, int count)
{
    static char first_text[SHOWN_MAX], second_text[SHOWN_MAX];
    char path[40];
    struct slice first = shown(program, args, count, first_text);
    int fd = file_of(first, path);
    char *again[4] = {"program", "--config", path};
    struct slice second = shown(program, again, 3, second_text);
    must(slice_equal(first, second));
    close(fd);
}

static bool is_asked_to_end(char **args, int count)
{
    for (int i = 1; i < count; i++)
        if (strncmp(args[i], "--print-c", 9) == 0 || strncmp(args[i], "--check-c", 9) == 0 ||
            !strncmp(args[i], "--c", 3))
            return true;
    return false;
}

static void read_one(const struct option_program *program, char **args, int count)
{
    union config config;
    enum option_result result = load(program, args, count, &config);
    if (result == OPTION_RUN)
        rows_are_valid(program, &config);
    option_release(program, &config);
    if (result == OPTION_RUN && !is_asked_to_end(args + 2, count - 2))
        means_the_same(program, args, count);
}

/* --- numbers by themselves --- */

static void numbers(struct slice text)
{
    char *copy = string_copy(text);
    for (int type = OPTION_TEXT; type <= OPTION_MODE; type++) {
        struct option_row row = {.type = (enum option_type)type, .min = 5, .max = 1u << 30};
        uint64_t value;
        if (option_is_number(row.type) && option_parse_number(&row, copy, &value))
            must(value >= 5 && value <= (type == OPTION_MODE ? 0777u : row.max));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, part = {0};
    const struct option_program *program = next_byte(&rest) & 1 ? &worker_program : &broker_program;
    char path[40], *args[ARGS_MAX] = {"program", "--config", path};
    int count = 3, fd;
    hush();
    next_part(&rest, UNIT, &part);
    numbers(part);
    fd = file_of(part, path);
    while (count < ARGS_MAX && next_part(&rest, UNIT, &part))
        args[count++] = string_copy(part);
    read_one(program, args, count);
    while (count > 3)
        free(args[--count]);
    close(fd);
    return 0;
}
