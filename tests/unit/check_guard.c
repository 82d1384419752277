/* A guard turns what damaged files do into an error, and nothing else. */
#include "broker/guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define FAILED (-7)

static int reads_well(void *context)
{
    return *(int *)context;
}

static int gives_up(void *context)
{
    (void)context;
    guard_fail();
    return 1;
}

/* A page of a file that is not there: the file ends before. */
static int reads_beyond(void *context)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, *(int *)context, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    return *(volatile char *)page;
}

static int reads_nowhere(void *context)
{
    (void)context;
    return *(volatile int *)(uintptr_t)getpagesize();
}

static int fails_unwatched(void *context)
{
    guard_watch(false);
    return gives_up(context);
}

static int faults_unwatched(void *context)
{
    guard_watch(false);
    return reads_nowhere(context);
}

START_TEST(what_goes_well_goes_through)
{
    int value = 5;
    ck_assert_int_eq(guard_read(reads_well, &value, FAILED), 5);
    guard_fail(); /* nothing is under way */
}
END_TEST

START_TEST(what_fails_is_an_error)
{
    FILE *empty = tmpfile();
    int fd = fileno(empty);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(guard_read(gives_up, NULL, FAILED), FAILED);
        ck_assert_int_eq(guard_read(reads_beyond, &fd, FAILED), FAILED);
        ck_assert_int_eq(guard_read(reads_nowhere, NULL, FAILED), FAILED);
    }
    fclose(empty);
}
END_TEST

START_TEST(our_own_faults_are_not_hidden)
{
    ck_assert_int_eq(guard_read(fails_unwatched, NULL, FAILED), 1);
    pid_t child = fork();
    if (child == 0) {
        guard_read(faults_unwatched, NULL, FAILED);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tests = one_case(suite, "guard");
    tcase_add_test(tests, what_goes_well_goes_through);
    tcase_add_test(tests, what_fails_is_an_error);
    tcase_add_test(tests, our_own_faults_are_not_hidden);
    return run_suite(suite);
}
