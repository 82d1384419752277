/* Each way to fail has its own words. */
#include "ops/handshake.h"

#include "support.h"

START_TEST(what_failed_is_said_and_what_to_look_at)
{
    ck_assert_ptr_null(handshake_problem(HANDSHAKE_NONE, true));
    ck_assert_ptr_null(handshake_problem(HANDSHAKE_NONE, false));
    for (int what = HANDSHAKE_REFUSED; what <= HANDSHAKE_SILENT; what++)
        for (int other = HANDSHAKE_REFUSED; other < what; other++)
            for (int curve = 0; curve < 2; curve++)
                ck_assert_str_ne(handshake_problem((enum handshake)what, curve),
                                 handshake_problem((enum handshake)other, curve));
    ck_assert_ptr_nonnull(strstr(handshake_problem(HANDSHAKE_CUT, true), "broker-key"));
    ck_assert_ptr_nonnull(strstr(handshake_problem(HANDSHAKE_MISMATCH, false), "curve-key-file"));
    ck_assert(handshake_final(HANDSHAKE_REFUSED) && handshake_final(HANDSHAKE_MISMATCH));
    ck_assert(handshake_final(HANDSHAKE_OTHER));
    ck_assert(!handshake_final(HANDSHAKE_CUT) && !handshake_final(HANDSHAKE_NONE));
}
END_TEST

START_TEST(a_cut_is_a_problem_when_it_is_the_third_in_a_row)
{
    struct handshakes h = {0};
    for (int i = 1; i < HANDSHAKE_CUTS; i++)
        handshakes_note(&h, HANDSHAKE_CUT);
    ck_assert_ptr_null(handshakes_problem(&h, false));
    handshakes_note(&h, HANDSHAKE_NONE);
    handshakes_note(&h, HANDSHAKE_CUT);
    ck_assert_ptr_null(handshakes_problem(&h, false));
    for (int i = 1; i < HANDSHAKE_CUTS; i++)
        handshakes_note(&h, HANDSHAKE_CUT);
    ck_assert_str_eq(handshakes_problem(&h, false), handshake_problem(HANDSHAKE_CUT, false));
    handshakes_note(&h, HANDSHAKE_NONE);
    ck_assert_ptr_null(handshakes_problem(&h, false));
}
END_TEST

START_TEST(a_peer_that_accepts_and_is_silent_is_a_problem_until_one_has_greeted)
{
    struct handshakes h = {0};
    ck_assert_ptr_null(handshakes_problem(&h, true));
    handshakes_note(&h, HANDSHAKE_SILENT);
    ck_assert_str_eq(handshakes_problem(&h, true), handshake_problem(HANDSHAKE_SILENT, true));
    handshakes_note(&h, HANDSHAKE_REFUSED);
    ck_assert_str_eq(handshakes_problem(&h, true), handshake_problem(HANDSHAKE_REFUSED, true));
    handshakes_note(&h, HANDSHAKE_NONE);
    handshakes_note(&h, HANDSHAKE_SILENT);
    ck_assert_ptr_null(handshakes_problem(&h, true));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handshake");
    TCase *tests = one_case(suite, "handshake");
    tcase_add_test(tests, what_failed_is_said_and_what_to_look_at);
    tcase_add_test(tests, a_cut_is_a_problem_when_it_is_the_third_in_a_row);
    tcase_add_test(tests, a_peer_that_accepts_and_is_silent_is_a_problem_until_one_has_greeted);
    return run_suite(suite);
}
