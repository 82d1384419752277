#include "presence/member_batch.h"

#include "member_batches.h"

static bool append(const char *channel, const char *session, const char *data, bool remove)
{
    struct channel *c = pairs_add_channel(&set, slice_of(channel));
    ck_assert_ptr_nonnull(c);
    return member_batch_append(
        &batch, c, &(struct member_event){"name", slice_of(session), slice_of(data), remove});
}

START_TEST(an_event_makes_a_member_and_another_one_removes_it)
{
    ck_assert(append("hall", "a", "{\"n\":1}", false));
    assert_says("hall", "a", "{\"n\":1}");
    ck_assert(!member_in("hall", "a")->is_private);
    ck_assert(append("hall", "", "{}", false));
    assert_says("hall", "", "{}");
    ck_assert(append("hall", "a", "{}", true));
    assert_says("hall", "a", "");
    ck_assert_uint_eq(batch.events, 3);
    ck_assert(!batch.full && !batch.state_full);
}
END_TEST

START_TEST(the_events_of_subscriptions_are_private)
{
    ck_assert(append("/t", "1", "{}", false));
    ck_assert(member_in("/t", "1")->is_private);
}
END_TEST

START_TEST(an_event_beyond_the_bytes_is_for_the_next_batch)
{
    batch.max_bytes = 1;
    ck_assert_msg(append("hall", "a", "{}", false), "the first one is always appended");
    ck_assert(batch.full);
    uint64_t head = sequence_head(batch.sequence);
    ck_assert(!append("hall", "b", "{}", false));
    ck_assert_uint_eq(sequence_head(batch.sequence), head);
    assert_says("hall", "b", "");
}
END_TEST

START_TEST(a_batch_has_a_number_of_events)
{
    char name[8];
    for (int i = 0; i < 500; i++) {
        ck_assert(!batch.full);
        snprintf(name, sizeof name, "%d", i);
        ck_assert(append("hall", name, "{}", false));
    }
    ck_assert(batch.full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("member_batch");
    TCase *tests = one_case(suite, "member_batch");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_event_makes_a_member_and_another_one_removes_it);
    tcase_add_test(tests, the_events_of_subscriptions_are_private);
    tcase_add_test(tests, an_event_beyond_the_bytes_is_for_the_next_batch);
    tcase_add_test(tests, a_batch_has_a_number_of_events);
    return run_suite(suite);
}
