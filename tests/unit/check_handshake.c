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
    ck_assert(!handshake_final(HANDSHAKE_CUT) && !handshake_final(HANDSHAKE_NONE));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handshake");
    tcase_add_test(one_case(suite, "handshake"), what_failed_is_said_and_what_to_look_at);
    return run_suite(suite);
}
