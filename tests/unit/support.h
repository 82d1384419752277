/* support.h - what every unit test program shares: running a suite, and a random generator that can
 * be repeated.
 *
 * A program is `int main(void) { return run_suite(suite); }`. CK_FORK=no runs the tests in one
 * process, so that the leak sanitizer sees all of them. SEED=N repeats a random test that failed;
 * it prints its seed when it does.
 */
#ifndef SSECAST_TESTS_SUPPORT_H
#define SSECAST_TESTS_SUPPORT_H

#include <check.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"

/* Run the suite, tell the failures, free it. The exit status of the program. */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL); /* CK_FORK is heeded: no fork status is set here */
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A suite with one case, to which tests are added with tcase_add_test(). */
static inline TCase *one_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 60); /* seconds; sanitizers are slow */
    suite_add_tcase(suite, tests);
    return tests;
}

/* A literal with its NUL bytes; the second is for tables that are initialized. */
#define S(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define S_INIT(literal)                                                                            \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

#define assert_slice(is, should)                                                                   \
    do {                                                                                           \
        struct slice is_ = (is), should_ = (should);                                               \
        ck_assert_msg(slice_equal(is_, should_),                                                   \
                      "%s is '%.*s' (%zu bytes), not '%.*s' (%zu bytes)", #is, (int)is_.len,       \
                      is_.data ? is_.data : "", is_.len, (int)should_.len,                         \
                      should_.data ? should_.data : "", should_.len);                              \
    } while (0)

/* Set the limit of open descriptors. Returns what it was. */
static inline rlim_t set_descriptors(rlim_t most)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = most;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* A folder of a test's own, and the path of the one file that it may leave there. */
struct own_folder {
    char path[48], file[80];
};

static inline void own_folder_make(struct own_folder *f, const char *file_name)
{
    strcpy(f->path, "/tmp/ssecast-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->path));
    snprintf(f->file, sizeof f->file, "%s/%s", f->path, file_name);
}

/* Nothing else may be left in it. */
static inline void own_folder_remove(struct own_folder *f)
{
    unlink(f->file);
    ck_assert_int_eq(rmdir(f->path), 0);
}

static inline void make_file(const char *path, struct slice text, mode_t mode)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text.data, 1, text.len, out), text.len);
    fclose(out);
    ck_assert_int_eq(chmod(path, mode), 0);
}

/* splitmix64: good enough, and the same everywhere. */
struct dice {
    uint64_t state;
};

/* Seeded from SEED, else from the clock.
 * Print dice.state before the first roll when a test fails. */
static inline struct dice dice_new(void)
{
    const char *seed = getenv("SEED");
    return (struct dice){seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
}

/* 0 to below - 1. */
static inline size_t roll(struct dice *d, size_t below)
{
    uint64_t z = (d->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % below);
}

#endif
