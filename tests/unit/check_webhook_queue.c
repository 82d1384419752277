/* Messages that wait for a web server, in a folder:
 * numbers, crashes, full disks, and a file that is written again. */
#include "cli/webhook_queue.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitized.h"
#include "support.h"

#define LARGE ((size_t)256 << 10) /* bytes of a message that fills files fast */
#define MANY (WEBHOOK_FILE_BYTES / LARGE)

static char folder[64], why[WEBHOOK_QUEUE_WHY];
static struct webhook_queue *queue;

static const char *path_of(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void begin(void)
{
    /* In memory: files are large here. */
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/check-webhook-queue-XXXXXX", place);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    signal(SIGXFSZ, SIG_IGN);
}

static void end(void)
{
    static const char *const names[] = {"queue", "taken", "lock"};
    webhook_queue_free(&queue);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left */
}

static void open_queue(void)
{
    webhook_queue_free(&queue);
    ck_assert_msg(webhook_queue_open(folder, &queue, why) == 0, "%s", why);
}

static off_t size_of(const char *name)
{
    struct stat is;
    return stat(path_of(name), &is) == 0 ? is.st_size : -1;
}

static void put_file(const char *name, const char *text)
{
    FILE *out = fopen(path_of(name), "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int add(const char *object)
{
    return webhook_queue_add(queue, slice_of(object));
}

static int add_large(void)
{
    static char object[LARGE];
    memset(object, 'x', sizeof object);
    memcpy(object, "{\"x\":\"", 6);
    memcpy(object + sizeof object - 2, "\"}", 2);
    return webhook_queue_add(queue, (struct slice){object, sizeof object});
}

static void assert_batch(uint64_t last, const char *should)
{
    struct buf body = {0};
    ck_assert_uint_eq(webhook_queue_batch(queue, &body), last);
    assert_slice(buf_slice(&body), slice_of(should));
    buf_release(&body);
}

static uint64_t taken(void)
{
    unsigned long long number = 0;
    FILE *in = fopen(path_of("taken"), "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_int_eq(fscanf(in, "%llu", &number), 1);
    fclose(in);
    return number;
}

/* The file has each message from this one up to the last, as whole lines,
 * and nothing behind them. */
static void assert_file(uint64_t first, uint64_t last)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t next = 0;
    FILE *in = fopen(path_of("queue"), "r");
    ck_assert_ptr_nonnull(in);
    for (ssize_t len; (len = getline(&line, &size, in)) > 0; next++) {
        unsigned long long number = 0;
        ck_assert_int_eq(sscanf(line, "{\"number\":%llu,", &number), 1);
        ck_assert(number == next || (!next && number <= first));
        ck_assert_int_eq(strcmp(line + len - 2, "}\n"), 0);
        next = number;
    }
    fclose(in);
    free(line);
    ck_assert_uint_eq(next, last + 1);
}

START_TEST(messages_have_numbers_that_outlive_a_crash)
{
    open_queue();
    ck_assert_int_eq(add("{\"a\":1}"), 0);
    ck_assert_int_eq(add("{\"b\":2}"), 0);
    assert_batch(2, "{\"messages\":[{\"number\":1,\"a\":1},{\"number\":2,\"b\":2}]}");
    open_queue();
    assert_batch(2, "{\"messages\":[{\"number\":1,\"a\":1},{\"number\":2,\"b\":2}]}");
    ck_assert_int_eq(webhook_queue_forget(queue, 1), 0);
    open_queue();
    assert_batch(2, "{\"messages\":[{\"number\":2,\"b\":2}]}");
    ck_assert_int_eq(webhook_queue_clear(queue), 0);
    ck_assert_int_eq(size_of("queue"), 0);
    open_queue();
    ck_assert(webhook_queue_is_empty(queue));
    ck_assert_int_eq(add("{\"c\":3}"), 0);
    assert_batch(3, "{\"messages\":[{\"number\":3,\"c\":3}]}");
}
END_TEST

START_TEST(what_was_posted_meanwhile_takes_no_number_back)
{
    open_queue();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(add("{\"a\":1}"), 0);
    ck_assert_int_eq(webhook_queue_clear(queue), 0);     /* too much waited, ... */
    ck_assert_int_eq(webhook_queue_forget(queue, 1), 0); /* the first message is in flight */
    ck_assert_uint_eq(taken(), 3);
    open_queue();
    ck_assert_int_eq(add("{\"b\":4}"), 0);
    assert_batch(4, "{\"messages\":[{\"number\":4,\"b\":4}]}");
}
END_TEST

START_TEST(without_a_folder_it_works_too)
{
    ck_assert_int_eq(webhook_queue_open(NULL, &queue, why), 0);
    ck_assert_int_eq(add("{\"a\":1}"), 0);
    ck_assert_int_eq(webhook_queue_sync(queue), 0);
    ck_assert_int_eq(webhook_queue_forget(queue, 1), 0);
    ck_assert(webhook_queue_is_empty(queue));
}
END_TEST

START_TEST(half_a_line_and_files_of_a_crash_are_removed)
{
    put_file("queue", "{\"number\":1,\"a\":1}\n{\"number\":2,\"b");
    put_file("queue.new", "{\"number\":1");
    put_file("taken.new", "1");
    open_queue();
    ck_assert_int_eq(add("{\"c\":3}"), 0);
    assert_batch(2, "{\"messages\":[{\"number\":1,\"a\":1},{\"number\":2,\"c\":3}]}");
    assert_file(1, 2);
}
END_TEST

START_TEST(a_line_that_does_not_fit_on_the_disk_leaves_nothing)
{
    open_queue();
    ck_assert_int_eq(add("{\"a\":1}"), 0);
    limit_files((rlim_t)size_of("queue") + 10);
    ck_assert_int_eq(add("{\"b\":\"longer than that\"}"), -EFBIG);
    ck_assert_int_eq(add("{\"c\":\"longer than that\"}"), -EFBIG);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(add("{\"d\":4}"), 0);
    open_queue();
    assert_batch(2, "{\"messages\":[{\"number\":1,\"a\":1},{\"number\":2,\"d\":4}]}");
    assert_file(1, 2);
}
END_TEST

/* A file at its largest, of which the last hundred messages are not taken. */
static void fill(void)
{
    open_queue();
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(add_large(), 0);
        if (i % 100 == 99)
            ck_assert_int_eq(webhook_queue_forget(queue, i - 98), 0);
    }
    ck_assert_int_ge(size_of("queue"), (off_t)WEBHOOK_FILE_BYTES);
}

START_TEST(a_file_that_is_never_empty_is_written_again_and_stays_locked)
{
    struct webhook_queue *other;
    fill();
    ck_assert_int_eq(webhook_queue_forget(queue, MANY - 100), 0);
    ck_assert_int_lt(size_of("queue"), (off_t)(LARGE * 101));
    assert_file(MANY - 99, MANY);
    ck_assert_int_eq(webhook_queue_open(folder, &other, why), -EBUSY);
    ck_assert_ptr_nonnull(strstr(why, "another process"));
    ck_assert_int_eq(add("{\"a\":1}"), 0);
    assert_file(MANY - 99, MANY + 1);
    open_queue();
    ck_assert_int_eq(webhook_queue_forget(queue, MANY), 0);
    assert_batch(MANY + 1, "{\"messages\":[{\"number\":513,\"a\":1}]}");
}
END_TEST

START_TEST(a_full_disk_while_it_is_written_again_loses_nothing)
{
    fill();
    limit_files(LARGE * 50 + 1000);
    ck_assert_int_eq(webhook_queue_forget(queue, MANY - 100), -EFBIG);
    assert_file(MANY - 99, MANY);
    ck_assert_int_eq(size_of("queue.new"), -1);
    ck_assert_int_eq(webhook_queue_forget(queue, MANY - 99), 0); /* not tried each time */
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(add("{\"a\":1}"), 0);
    assert_file(MANY - 98, MANY + 1);
    open_queue();
    ck_assert_int_eq(webhook_queue_forget(queue, MANY - 98), 0);
    assert_file(MANY - 97, MANY + 1);
    ck_assert_int_lt(size_of("queue"), (off_t)(LARGE * 101));
}
END_TEST

/* Kills it sooner or later after it began to write the file again. */
START_TEST(a_kill_while_it_is_written_again_loses_nothing)
{
    int ready[2];
    fill();
    webhook_queue_free(&queue);
    ck_assert_int_eq(pipe(ready), 0);
    for (useconds_t wait_us = 1000; size_of("queue") >= (off_t)WEBHOOK_FILE_BYTES;
         wait_us += wait_us / 2) {
        pid_t child = fork();
        if (child == 0) {
            open_queue();
            if (write(ready[1], "", 1) == 1)
                webhook_queue_forget(queue, MANY - 100);
            _exit(0);
        }
        char byte;
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        usleep(wait_us);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        assert_file(taken() + 1, MANY);
    }
    open_queue();
    close(ready[0]);
    close(ready[1]);
}
END_TEST

#if !SANITIZED

static rlim_t limit_memory(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    return before;
}

/* Bytes of address space that this process has. */
static size_t memory(void)
{
    unsigned long pages = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(in);
    ck_assert_int_eq(fscanf(in, "%lu", &pages), 1);
    fclose(in);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

START_TEST(without_memory_to_read_the_queue_nothing_of_it_is_cut)
{
    static const char first[] = "{\"number\":1,\"x\":1}\n", last[] = "\n{\"number\":2,\"x\":2}\n";
    put_file("queue", first);
    FILE *out = fopen(path_of("queue"), "r+");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(fseek(out, 256L << 20, SEEK_SET), 0); /* a hole, which is a long line */
    fputs(last, out);
    fclose(out);
    off_t size = size_of("queue");

    rlim_t before = limit_memory(memory() + ((size_t)64 << 20));
    int err = webhook_queue_open(folder, &queue, why);
    limit_memory(before);
    ck_assert_int_lt(err, 0);
    ck_assert_int_eq(size_of("queue"), size);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("webhook_queue");
    TCase *tests = one_case(suite, "webhook_queue");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, messages_have_numbers_that_outlive_a_crash);
    tcase_add_test(tests, what_was_posted_meanwhile_takes_no_number_back);
    tcase_add_test(tests, without_a_folder_it_works_too);
    tcase_add_test(tests, half_a_line_and_files_of_a_crash_are_removed);
    tcase_add_test(tests, a_line_that_does_not_fit_on_the_disk_leaves_nothing);
    tcase_add_test(tests, a_file_that_is_never_empty_is_written_again_and_stays_locked);
    tcase_add_test(tests, a_full_disk_while_it_is_written_again_loses_nothing);
    tcase_add_test(tests, a_kill_while_it_is_written_again_loses_nothing);
#if !SANITIZED
    tcase_add_test(tests, without_memory_to_read_the_queue_nothing_of_it_is_cut);
#endif
    return run_suite(suite);
}
