/* A file is read whole, or not at all. */
#include "base/file.h"

#include <errno.h>

#include "support.h"

static struct own_folder folder;
static char *text;
static size_t len;

static void begin(void)
{
    own_folder_make(&folder, "file");
}

static void end(void)
{
    free(text);
    text = NULL;
    own_folder_remove(&folder);
}

static int read_with(struct slice content, size_t max)
{
    make_file(folder.file, content, 0600);
    return file_read(folder.file, max, &text, &len, NULL);
}

START_TEST(a_file_is_its_bytes_and_a_nul)
{
    ck_assert_int_eq(read_with(S("a\0b\n"), 100), 0);
    assert_slice(((struct slice){text, len}), S("a\0b\n"));
    ck_assert_int_eq(text[len], 0);
}
END_TEST

START_TEST(an_empty_file_is_read)
{
    ck_assert_int_eq(read_with(S(""), 0), 0);
    ck_assert_uint_eq(len, 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(the_largest_is_read_and_a_larger_one_is_refused)
{
    ck_assert_int_eq(read_with(S("12345678"), 8), 0);
    ck_assert_str_eq(text, "12345678");
    free(text);
    ck_assert_int_eq(read_with(S("123456789"), 8), -EFBIG);
    ck_assert_ptr_null(text);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(file_read("/dev/zero", 8, &text, &len, NULL), -EFBIG);
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(what_is_no_file_is_not_read)
{
    ck_assert_int_eq(file_read(folder.file, 8, &text, &len, NULL), -ENOENT);
    ck_assert_ptr_null(text);
    ck_assert_int_eq(file_read(folder.path, 8, &text, &len, NULL), -EISDIR);
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(a_pipe_without_a_writer_is_empty)
{
    ck_assert_int_eq(mkfifo(folder.file, 0600), 0);
    ck_assert_int_eq(file_read(folder.file, 8, &text, &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(its_state_is_that_of_what_was_read)
{
    struct stat is;
    make_file(folder.file, S("x"), 0640);
    ck_assert_int_eq(file_read(folder.file, 8, &text, &len, &is), 0);
    ck_assert_uint_eq(is.st_mode & 07777, 0640);
    ck_assert_int_eq(is.st_size, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = one_case(suite, "file");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_file_is_its_bytes_and_a_nul);
    tcase_add_test(tests, an_empty_file_is_read);
    tcase_add_test(tests, the_largest_is_read_and_a_larger_one_is_refused);
    tcase_add_test(tests, what_is_no_file_is_not_read);
    tcase_add_test(tests, a_pipe_without_a_writer_is_empty);
    tcase_add_test(tests, its_state_is_that_of_what_was_read);
    return run_suite(suite);
}
