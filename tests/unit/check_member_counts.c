#include "presence/member_counts.h"

#include "member_batches.h"

static struct member_counts counts;

static void begin(void)
{
    setup();
    member_counts_init(&counts, 2);
}

static struct pair *add(const char *channel, const char *session)
{
    struct pair *p = pairs_add(&set, slice_of(channel), slice_of(session));
    ck_assert_ptr_nonnull(p);
    member_counts_added(&counts, p->channel);
    return p;
}

static void sweep(int64_t ms)
{
    batch.now_ms += ms;
    member_counts_sweep(&counts);
    if (counts.due)
        member_counts_append(&counts, &batch, &set);
}

START_TEST(the_number_is_published_beyond_the_bound_and_removed_below)
{
    add("hall", "a");
    struct pair *b = add("hall", "b");
    sweep(0);
    ck_assert(!counts.due && !b->channel->crowded);
    struct pair *c = add("hall", "c");
    ck_assert(member_counts_many(&counts, c->channel));
    sweep(0);
    assert_says("hall", "", "{\"count\":3}");

    pairs_drop(&set, c);
    sweep(999);
    assert_says("hall", "", "{\"count\":3}");
    sweep(1);
    assert_says("hall", "", "");
    sweep(0);
    ck_assert(!b->channel->crowded && counts.count == 0);
}
END_TEST

START_TEST(the_number_is_published_once_a_second_and_when_it_is_news)
{
    add("hall", "a");
    add("hall", "b");
    add("hall", "c");
    sweep(0);
    sweep(1000);
    ck_assert_uint_eq(batch.events, 1);
    add("hall", "d");
    sweep(0);
    assert_says("hall", "", "{\"count\":4}");
    add("hall", "e");
    sweep(999);
    assert_says("hall", "", "{\"count\":4}");
    sweep(1);
    assert_says("hall", "", "{\"count\":5}");
}
END_TEST

START_TEST(subscriptions_are_not_counted)
{
    for (char name[] = "a"; *name < 'e'; name[0]++)
        ck_assert(!add("/t", name)->channel->crowded);
    sweep(0);
    ck_assert_uint_eq(batch.events, 0);
}
END_TEST

START_TEST(a_session_without_a_name_is_counted_until_there_is_room)
{
    struct pair *p = add("hall", "a");
    member_counts_leave_unnamed(&counts, p->channel);
    sweep(0);
    assert_says("hall", "", "{\"count\":1}");
    member_batch_append(&batch, p->channel, &(struct member_event){"name", S("a"), S("{}"), false});
    sweep(1000);
    assert_says("hall", "", "");
    pairs_drop(&set, p);
    ck_assert_msg(pairs_channel(&set, S("hall")), "it is in the list");
    sweep(1000);
    ck_assert_ptr_null(pairs_channel(&set, S("hall")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("member_counts");
    TCase *tests = one_case(suite, "member_counts");
    tcase_add_checked_fixture(tests, begin, teardown);
    tcase_add_test(tests, the_number_is_published_beyond_the_bound_and_removed_below);
    tcase_add_test(tests, the_number_is_published_once_a_second_and_when_it_is_news);
    tcase_add_test(tests, subscriptions_are_not_counted);
    tcase_add_test(tests, a_session_without_a_name_is_counted_until_there_is_room);
    return run_suite(suite);
}
