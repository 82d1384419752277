#include "ops/libcurl.h"

#include "support.h"

START_TEST(it_is_loaded_once_with_all_its_functions)
{
    const char *problem = NULL;
    const struct libcurl *lib = libcurl_load(&problem);
    ck_assert_ptr_nonnull(lib);
    ck_assert_str_eq(problem, "");
#define IS_THERE(name) ck_assert_msg(lib->name != NULL, "%s", #name);
    LIBCURL_FUNCTIONS(IS_THERE)
    ck_assert_ptr_eq(libcurl_load(&problem), lib);
}
END_TEST

START_TEST(functions_of_the_loaded_library_can_be_called)
{
    const char *problem;
    const struct libcurl *lib = libcurl_load(&problem);
    char *host = NULL;
    CURLU *url = lib->url();
    ck_assert_int_eq(lib->url_set(url, CURLUPART_URL, "https://example.org/sse", 0), CURLUE_OK);
    ck_assert_int_eq(lib->url_get(url, CURLUPART_HOST, &host, 0), CURLUE_OK);
    ck_assert_str_eq(host, "example.org");
    lib->free(host);
    lib->url_cleanup(url);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("libcurl");
    TCase *tests = tcase_create("libcurl");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, it_is_loaded_once_with_all_its_functions);
    tcase_add_test(tests, functions_of_the_loaded_library_can_be_called);
    return run_suite(suite);
}
