/* Who runs a program as root is told. */
#include "ops/privilege.h"

#include <unistd.h>

#include "capture.h"
#include "ops/log.h"
#include "support.h"

START_TEST(root_is_told_and_nobody_else)
{
    struct capture c;
    log_open("prog", LOG_INFO);
    capture_begin(&c, STDERR_FILENO);
    privilege_warn();
    ck_assert_int_eq(strstr(capture_end(&c), "running as root") != NULL, geteuid() == 0);
    log_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("privilege");
    tcase_add_test(one_case(suite, "privilege"), root_is_told_and_nobody_else);
    return run_suite(suite);
}
