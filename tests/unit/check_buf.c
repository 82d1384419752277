/* Bytes that grow at their end. */
#include "base/buf.h"
#include "support.h"

START_TEST(bytes_stay_in_order_while_the_buffer_grows)
{
    struct buf b = {0};
    for (unsigned i = 0; i < 10000; i++)
        buf_put(&b, &(char){(char)(i % 251)}, 1);

    ck_assert(!b.failed);
    ck_assert_uint_eq(b.len, 10000);
    ck_assert_uint_le(b.cap, 20000);
    for (unsigned i = 0; i < b.len; i++)
        ck_assert_int_eq(b.data[i], (char)(i % 251));
    buf_release(&b);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.len + b.cap, 0);
}
END_TEST

START_TEST(large_pieces_get_the_room_they_need)
{
    static const char piece[100000] = {'a'};
    struct buf b = {0};
    buf_put_slice(&b, slice_of("x"));
    buf_put(&b, piece, sizeof piece);
    ck_assert_uint_eq(b.len, 1 + sizeof piece);
    ck_assert_uint_ge(b.cap, b.len);
    ck_assert_int_eq(memcmp(b.data + 1, piece, sizeof piece), 0);
    buf_release(&b);
}
END_TEST

START_TEST(nothing_put_needs_no_memory)
{
    struct buf b = {0};
    buf_put_slice(&b, (struct slice){0});
    ck_assert_ptr_null(b.data);
    ck_assert(!b.failed);
    assert_slice(buf_slice(&b), slice_of(""));
}
END_TEST

START_TEST(a_terminating_nul_is_not_counted)
{
    struct buf b = {0};
    buf_terminate(&b);
    ck_assert_str_eq(b.data, "");
    while (b.len < 256)
        buf_put(&b, "a", 1);

    buf_terminate(&b);
    ck_assert_uint_eq(b.len, 256);
    ck_assert_uint_eq(strlen(b.data), 256);
    buf_put(&b, "b", 1);
    ck_assert_int_eq(b.data[256], 'b');
    buf_release(&b);
}
END_TEST

START_TEST(a_failed_allocation_is_remembered)
{
    struct buf b = {0};
    buf_put(&b, "ab", 2);
    ck_assert_ptr_null(buf_extend(&b, SIZE_MAX));
    ck_assert(b.failed);
    ck_assert_ptr_null(buf_extend(&b, 1));
    buf_put(&b, "c", 1);
    ck_assert_ptr_nonnull(b.data);
    assert_slice(buf_slice(&b), slice_of("ab"));
    buf_release(&b);
    ck_assert(!b.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buf");
    TCase *tests = one_case(suite, "buf");
    tcase_add_test(tests, bytes_stay_in_order_while_the_buffer_grows);
    tcase_add_test(tests, large_pieces_get_the_room_they_need);
    tcase_add_test(tests, nothing_put_needs_no_memory);
    tcase_add_test(tests, a_terminating_nul_is_not_counted);
    tcase_add_test(tests, a_failed_allocation_is_remembered);
    return run_suite(suite);
}
