/* Bytes that wait for a peer are bounded, and peers that nothing waits for are forgotten. */
#include "net/unread.h"

#include "support.h"

START_TEST(bytes_are_bounded_for_each_peer)
{
    struct unread *u = unread_new(100);
    atomic_size_t *a = unread_reserve(u, S("a"), 60), *b = unread_reserve(u, S("b"), 100);
    ck_assert(a && b && a != b);
    ck_assert_ptr_eq(unread_reserve(u, S("a"), 40), a);
    ck_assert_ptr_null(unread_reserve(u, S("a"), 1));
    ck_assert_ptr_null(unread_reserve(u, S("b"), 1));
    unread_release(a, 40);
    ck_assert_ptr_null(unread_reserve(u, S("a"), 41));
    ck_assert_ptr_eq(unread_reserve(u, S("a"), 40), a);
    unread_release(a, 60);
    unread_release(a, 40);
    unread_release(b, 100);
    unread_free(&u);
    ck_assert_ptr_null(u);
    unread_free(&u);
}
END_TEST

START_TEST(a_reply_larger_than_the_bound_passes_alone)
{
    struct unread *u = unread_new(100);
    atomic_size_t *a = unread_reserve(u, S("a"), 1000);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(unread_reserve(u, S("a"), 1));
    unread_release(a, 1000);
    a = unread_reserve(u, S("a"), 1);
    ck_assert_ptr_nonnull(a);
    unread_release(a, 1);
    unread_free(&u);
}
END_TEST

START_TEST(who_reads_is_forgotten)
{
    struct unread *u = unread_new(100);
    char name[16];
    atomic_size_t *kept = unread_reserve(u, S("kept"), 10);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%u", i);
        atomic_size_t *one = unread_reserve(u, slice_of(name), 10);
        ck_assert_ptr_nonnull(one);
        unread_release(one, 10);
    }
    ck_assert_uint_lt(unread_peers(u), 200);
    ck_assert_ptr_null(unread_reserve(u, S("kept"), 91));
    unread_release(kept, 10);
    unread_free(&u);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unread");
    TCase *tests = one_case(suite, "unread");
    tcase_add_test(tests, bytes_are_bounded_for_each_peer);
    tcase_add_test(tests, a_reply_larger_than_the_bound_passes_alone);
    tcase_add_test(tests, who_reads_is_forgotten);
    return run_suite(suite);
}
