#include "base/must.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

START_TEST(what_holds_does_nothing)
{
    int evaluated = 0;

    MUST(++evaluated == 1);
    ck_assert_int_eq(evaluated, 1);
}
END_TEST

START_TEST(what_does_not_hold_is_named_and_aborts)
{
    int ends[2], status;
    char said[256] = "";

    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        MUST(ends[0] < 0);
        _exit(0);
    }

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_int_gt(read(ends[0], said, sizeof said - 1), 0);
    ck_assert_ptr_nonnull(strstr(said, "invariant does not hold: ends[0] < 0"));
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("must");
    TCase *tests = one_case(suite, "must");
    tcase_add_test(tests, what_holds_does_nothing);
    tcase_add_test(tests, what_does_not_hold_is_named_and_aborts);
    return run_suite(suite);
}
