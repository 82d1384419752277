/* Files whose first line is a secret: blanks, line ends, further lines, and what is none. */
#include "ops/secret_file.h"

#include <errno.h>

#include "support.h"

static struct own_folder folder;
static char why[SECRET_FILE_WHY];
static char *secret;
static size_t len;

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

static int read_secret(struct slice text, size_t max)
{
    make_file(folder.file, text, 0600);
    return secret_file_read(folder.file, max, &secret, &len, why);
}

static const struct slice same[] = {
    S_INIT("two words"),        S_INIT("two words\n"),      S_INIT("two words\r\n"),
    S_INIT("two words \n"),     S_INIT("two words\t \r\n"), S_INIT("two words\nolder one"),
    S_INIT("two words \r\n\n"), S_INIT("two words  "),      S_INIT("two words\r\nmore\n"),
    S_INIT("two words\n\0"),
};

START_TEST(it_is_the_first_line_without_blanks_at_its_end)
{
    ck_assert_int_eq(read_secret(same[_i], 100), 0);
    assert_slice(((struct slice){secret, len}), S("two words"));
    ck_assert(secret[len] == 0);
}
END_TEST

START_TEST(other_bytes_belong_to_it)
{
    ck_assert_int_eq(read_secret(S(" \0\xff \rx\0\n"), 100), 0);
    assert_slice(((struct slice){secret, len}), S(" \0\xff \rx\0"));
}
END_TEST

static const struct slice empty[] = {S_INIT(""), S_INIT("\n"), S_INIT("\r\n"),
                                     S_INIT(" \t\r\nsecond\n"), S_INIT("\nx")};

START_TEST(an_empty_line_is_refused)
{
    ck_assert_int_eq(read_secret(empty[_i], 100), -EINVAL);
    ck_assert_str_eq(why, "its first line is empty; accepted: 1 to 100 bytes");
    ck_assert_ptr_null(secret);
}
END_TEST

START_TEST(the_longest_is_read_and_a_longer_one_is_refused)
{
    ck_assert_int_eq(read_secret(S("12345678  \nmuch more than that\n"), 8), 0);
    ck_assert_str_eq(secret, "12345678");
    free(secret);
    ck_assert_int_eq(read_secret(S("123456789\n"), 8), -EINVAL);
    ck_assert_str_eq(why, "its first line is too long; accepted: 1 to 8 bytes");
    ck_assert_ptr_null(secret);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_refused)
{
    ck_assert_int_eq(secret_file_read(folder.file, 8, &secret, &len, why), -EINVAL);
    ck_assert_str_eq(why, "No such file or directory");
    ck_assert_int_eq(secret_file_read(folder.path, 8, &secret, &len, why), -EINVAL);
    ck_assert_str_eq(why, "Is a directory");
    ck_assert_int_eq(secret_file_read("/dev/zero", 8, &secret, &len, why), -EINVAL);
    ck_assert_ptr_null(secret);
}
END_TEST

START_TEST(a_text_has_no_nul_byte)
{
    make_file(folder.file, S("pass word\n\0"), 0600);
    ck_assert_int_eq(secret_file_read_text(folder.file, 100, &secret, why), 0);
    ck_assert_str_eq(secret, "pass word");
    free(secret);
    make_file(folder.file, S("pass\0word\n"), 0600);
    ck_assert_int_eq(secret_file_read_text(folder.file, 100, &secret, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "NUL"));
    ck_assert_ptr_null(secret);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("secret_file");
    TCase *tests = one_case(suite, "secret_file");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, it_is_the_first_line_without_blanks_at_its_end, 0,
                        sizeof same / sizeof same[0]);
    tcase_add_test(tests, other_bytes_belong_to_it);
    tcase_add_loop_test(tests, an_empty_line_is_refused, 0, sizeof empty / sizeof empty[0]);
    tcase_add_test(tests, the_longest_is_read_and_a_longer_one_is_refused);
    tcase_add_test(tests, a_file_that_cannot_be_read_is_refused);
    tcase_add_test(tests, a_text_has_no_nul_byte);
    return run_suite(suite);
}
