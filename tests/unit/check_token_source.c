#include "auth/token_source.h"

#include "support.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
    char *params[5];
    const char *token; /* NULL: none */
} requests[] = {
    {{"HTTP_AUTHORIZATION=Bearer abc"}, "abc"},
    {{"HTTP_AUTHORIZATION=bearer  abc"}, "abc"},
    {{"HTTP_AUTHORIZATION=Basic abc"}, NULL},
    {{"HTTP_AUTHORIZATION=Bearer"}, NULL},
    {{"HTTP_AUTHORIZATION=Bearer "}, NULL},
    {{"HTTP_COOKIE=a=b; ssecast_token=abc"}, "abc"},
    {{"HTTP_COOKIE=token=abc"}, NULL},
    {{"QUERY_STRING=a=b&token=abc"}, "abc"},
    {{"QUERY_STRING=token="}, NULL},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token=c", "HTTP_AUTHORIZATION=Bearer h"}, "h"},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token=c", "HTTP_AUTHORIZATION=Basic h"}, "c"},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token="}, "q"},
    {{"HTTP_AUTHORIZATION=Bearer a", "HTTP_AUTHORIZATION=Bearer b"}, NULL},
    {{"HTTP_COOKIE=ssecast_token=a", "HTTP_COOKIE=ssecast_token=b"}, NULL},
    {{"X=1"}, NULL},
};

START_TEST(a_token_is_found_in_its_request)
{
    struct params params = {0};
    ck_assert_int_eq(params_copy(&params, requests[_i].params), 0);
    char *found = token_source_stream(&params, "ssecast_token", 0);
    if (requests[_i].token)
        ck_assert_str_eq(found, requests[_i].token);
    else
        ck_assert_ptr_null(found);
    token_source_wipe(&found);
    ck_assert_ptr_null(found);
    params_release(&params);
}
END_TEST

START_TEST(a_request_may_have_several_cookies_and_one_of_the_rest)
{
    struct params params = {0};
    ck_assert_int_eq(
        params_copy(&params, (char *[]){"HTTP_COOKIE=t=a; t=b", "QUERY_STRING=token=q", NULL}), 0);
    static const char *const should[] = {"a", "b", NULL};
    for (size_t i = 0; i < 3; i++) {
        char *found = token_source_stream(&params, "t", i);
        ck_assert_pstr_eq(found, should[i]);
        token_source_wipe(&found);
    }
    char *found = token_source_stream(&params, NULL, 0);
    ck_assert_str_eq(found, "q");
    token_source_wipe(&found);
    ck_assert_ptr_null(token_source_stream(&params, NULL, 1));
    params_release(&params);
}
END_TEST

static const struct {
    char *param;
    enum mercure_place place;
} places[] = {
    {"HTTP_AUTHORIZATION=Bearer abc", PLACE_HEADER},
    {"QUERY_STRING=topic=a&authorization=abc", PLACE_QUERY},
    {"HTTP_COOKIE=mercureAuthorization=abc", PLACE_COOKIE},
    {"HTTP_COOKIE=a=b; __Secure-mercure_access_token=abc", PLACE_ACCESS_COOKIE},
};

START_TEST(the_hub_s_token_is_in_its_place_only)
{
    struct params params = {0};
    ck_assert_int_eq(params_copy(&params, (char *[]){places[_i].param, NULL}), 0);
    for (enum mercure_place place = PLACE_HEADER; place < PLACES; place++) {
        char *found = token_source_mercure(&params, place, 0);
        ck_assert_pstr_eq(found, place == places[_i].place ? "abc" : NULL);
        token_source_wipe(&found);
        ck_assert_ptr_null(token_source_mercure(&params, place, 1));
    }
    params_release(&params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("token_source");
    TCase *tests = one_case(suite, "token_source");
    tcase_add_loop_test(tests, a_token_is_found_in_its_request, 0, COUNT(requests));
    tcase_add_test(tests, a_request_may_have_several_cookies_and_one_of_the_rest);
    tcase_add_loop_test(tests, the_hub_s_token_is_in_its_place_only, 0, COUNT(places));
    return run_suite(suite);
}
