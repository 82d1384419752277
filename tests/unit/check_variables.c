#include "ops/variables.h"

#include <stdlib.h>
#include <unistd.h>

#include "support.h"

extern const struct option_program broker_program, worker_program;

static const struct option_row rows[] = {{.name = "session-from"}, {.name = "only-here"}};
static const struct option_program program = {.name = "prog", .rows = rows, .count = 2};
static char why[VARIABLES_WHY_MAX];

static const char *next_of(char **variables, size_t *cursor)
{
    char **own = environ;
    environ = variables;
    bool found = variables_next_unknown(&program, cursor, why);
    environ = own;
    return found ? why : NULL;
}

#define unknown(...) next_of((char *[]){__VA_ARGS__, NULL}, &(size_t){0})

START_TEST(a_misspelt_one_is_named_with_what_was_meant)
{
    ck_assert_str_eq(unknown("SSECAST_SESION_FROM=jwt"),
                     "environment SSECAST_SESION_FROM: no option has this name; "
                     "did you mean SSECAST_SESSION_FROM?");
    ck_assert_str_eq(unknown("SSECAST_ONLYHERE=1"),
                     "environment SSECAST_ONLYHERE: no option has this name; "
                     "did you mean SSECAST_ONLY_HERE?");
    ck_assert_str_eq(unknown("SSECAST_HISTORY_EVENT=1"),
                     "environment SSECAST_HISTORY_EVENT: no option has this name; "
                     "did you mean SSECAST_HISTORY_EVENTS?");
    ck_assert_str_eq(unknown("SSECAST_SOMETHING_ELSE=1"),
                     "environment SSECAST_SOMETHING_ELSE: no option has this "
                     "name; --help lists the options");
}
END_TEST

START_TEST(what_a_program_of_ours_knows_is_known)
{
    const struct option_program *programs[] = {&broker_program, &worker_program};
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < programs[p]->count; i++)
            ck_assert_msg(variables_known(programs[p]->rows[i].name), "%s",
                          programs[p]->rows[i].name);
    ck_assert_ptr_null(unknown("SSECAST_FEED=x", "SSECAST_ONLY_HERE=1", "SSECAST_CONFIG=f",
                               "SSECAST_BROKER_KEY=k"));
}
END_TEST

START_TEST(what_is_not_ours_does_not_matter)
{
    ck_assert_ptr_null(unknown("PATH=/bin", "SSECASTS=1", "SSECAST=1", "ssecast_feed=1",
                               "SSECAST_EMPTY=", "nonsense"));
    ck_assert_ptr_null(
        unknown("SSECAST_SERVICE_HOST=10.0.0.1", "SSECAST_BROKER_SERVICE_PORT_COMMANDS=5570",
                "SSECAST_PORT=tcp://10.0.0.1:5570", "SSECAST_PORT_5570_TCP_ADDR=10.0.0.1"));
    ck_assert_ptr_nonnull(unknown("SSECAST_PORT=5570"));
}
END_TEST

START_TEST(each_is_told_once_and_without_its_value)
{
    char *variables[] = {"SSECAST_AAAAAA=secret", "PATH=/", "SSECAST_BBBBBB=secret", NULL};
    size_t cursor = 0;
    ck_assert_ptr_nonnull(strstr(next_of(variables, &cursor), "SSECAST_AAAAAA"));
    ck_assert_ptr_null(strstr(why, "secret"));
    ck_assert_ptr_nonnull(strstr(next_of(variables, &cursor), "SSECAST_BBBBBB"));
    ck_assert_ptr_null(next_of(variables, &cursor));
}
END_TEST

START_TEST(a_name_of_any_length_and_bytes_is_bounded)
{
    static char variable[5000] = "SSECAST_";
    memset(variable + 8, 'A', sizeof variable - 11);
    memcpy(variable + sizeof variable - 4, "=1", 3);
    ck_assert_ptr_nonnull(unknown(variable));
    ck_assert_str_eq(unknown("SSECAST_\x1b[31m\xff=1"),
                     "environment SSECAST_??31M?: no option has this name; "
                     "--help lists the options");
    ck_assert_ptr_nonnull(unknown("SSECAST_=1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("variables");
    TCase *tests = one_case(suite, "variables");
    tcase_add_test(tests, a_misspelt_one_is_named_with_what_was_meant);
    tcase_add_test(tests, what_a_program_of_ours_knows_is_known);
    tcase_add_test(tests, what_is_not_ours_does_not_matter);
    tcase_add_test(tests, each_is_told_once_and_without_its_value);
    tcase_add_test(tests, a_name_of_any_length_and_bytes_is_bounded);
    return run_suite(suite);
}
