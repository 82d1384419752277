/* What a bridge does without a server: secrets, counts, the wait after a failure. */
#include "frame/frame.h"

#include <errno.h>

#include "support.h"

static struct own_folder folder;
static char why[OPTION_WHY_MAX];
static char *secret;

static void begin(void)
{
    own_folder_make(&folder, "secret");
}

static void end(void)
{
    free(secret);
    secret = NULL;
    own_folder_remove(&folder);
}

static int read_secret(const char *text, mode_t mode)
{
    make_file(folder.file, slice_of(text), mode);
    return frame_read_secret("password-file", folder.file, &secret, why);
}

START_TEST(a_secret_is_the_first_line_of_its_file)
{
    static const char *const texts[] = {"s3 cret", "s3 cret\n", "s3 cret\r\n", "s3 cret\nmore\n",
                                        "s3 cret \t\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_int_eq(read_secret(texts[i], 0640), 0);
        ck_assert_str_eq(secret, "s3 cret");
        free(secret);
        secret = NULL;
    }
}
END_TEST

START_TEST(a_secret_that_others_may_read_or_that_is_none_is_refused)
{
    ck_assert_int_eq(read_secret("s3cret\n", 0644), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "every user may read it"));
    ck_assert_ptr_null(secret);
    ck_assert_int_eq(read_secret("\nmore\n", 0600), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "its first line is empty"));
    ck_assert_ptr_null(secret);
    unlink(folder.file);
    ck_assert_int_eq(frame_read_secret("password-file", folder.file, &secret, why), -EINVAL);
    ck_assert_ptr_eq(strstr(why, "--password-file "), why);
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

START_TEST(a_wait_is_over_at_once_when_the_program_stops)
{
    struct frame f = {
        .signals = -1, .stopping = true, .backoff = {.retry_ms = 1000000, .max_ms = 1000000}};
    for (unsigned i = 1; i <= 3; i++) {
        frame_back_off(&f, "database", "it is away");
        ck_assert_uint_eq(f.backoff.failures, i);
    }
    ck_assert_int_eq(frame_wait(&f, -1, 0, -1), 0);
}
END_TEST

START_TEST(a_refused_message_is_counted)
{
    struct frame f = {.signals = -1};
    frame_refused(&f, S("topic"), "it is none");
    frame_refused(&f, S("topic"), "it is none");
    ck_assert_uint_eq(f.refused, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = one_case(suite, "frame");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_secret_is_the_first_line_of_its_file);
    tcase_add_test(tests, a_secret_that_others_may_read_or_that_is_none_is_refused);
    tcase_add_test(tests, a_wait_is_over_at_once_when_the_program_stops);
    tcase_add_test(tests, a_refused_message_is_counted);
    return run_suite(suite);
}
