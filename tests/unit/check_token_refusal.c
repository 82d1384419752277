#include "auth/token_refusal.h"

#include <string.h>

#include "support.h"

START_TEST(a_refusal_tells_no_more_than_it_may)
{
    for (enum token_reader reader = READER_STREAMS; reader <= READER_HUB; reader++) {
        ck_assert_str_eq(token_refusal(TOKEN_MISSING, reader)->error, "missing_token");
        ck_assert_str_eq(token_refusal(TOKEN_EXPIRED, reader)->error, "token_expired");
        ck_assert_str_eq(token_refusal(TOKEN_INVALID, reader)->error, "invalid_token");
        ck_assert_ptr_nonnull(strstr(token_refusal(TOKEN_EXPIRED, reader)->challenge, "Bearer"));
    }
}
END_TEST

/* The hub ignores the parameter `token`, and streams `authorization`. */
START_TEST(the_places_that_are_read_are_named)
{
    const char *streams = token_refusal(TOKEN_MISSING, READER_STREAMS)->message;
    const char *hub = token_refusal(TOKEN_MISSING, READER_HUB)->message;
    ck_assert_ptr_nonnull(strstr(streams, "the parameter `token`"));
    ck_assert_ptr_null(strstr(streams, "`authorization`"));
    ck_assert_ptr_nonnull(strstr(hub, "the parameter `authorization` (0.x)"));
    ck_assert_ptr_null(strstr(hub, "`token`"));
    ck_assert_ptr_nonnull(strstr(hub, "mercureAuthorization"));
    ck_assert_ptr_nonnull(strstr(hub, "__Secure-mercure_access_token (1.0)"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("token_refusal");
    TCase *tests = one_case(suite, "token_refusal");
    tcase_add_test(tests, a_refusal_tells_no_more_than_it_may);
    tcase_add_test(tests, the_places_that_are_read_are_named);
    return run_suite(suite);
}
