#include "auth/token_refusal.h"

#include <string.h>

#include "support.h"

START_TEST(a_refusal_tells_no_more_than_it_may)
{
    ck_assert_str_eq(token_refusal(TOKEN_MISSING)->error, "missing_token");
    ck_assert_str_eq(token_refusal(TOKEN_EXPIRED)->error, "token_expired");
    ck_assert_str_eq(token_refusal(TOKEN_INVALID)->error, "invalid_token");
    ck_assert_ptr_nonnull(strstr(token_refusal(TOKEN_EXPIRED)->challenge, "Bearer"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("token_refusal");
    TCase *tests = one_case(suite, "token_refusal");
    tcase_add_test(tests, a_refusal_tells_no_more_than_it_may);
    return run_suite(suite);
}
