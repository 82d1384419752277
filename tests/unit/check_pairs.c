#include "presence/pairs.h"

#include "support.h"

static struct pairs set;

/* Channels that begin with "/" are those of subscriptions. */
static struct channel_rules rules_of(const void *context, struct slice channel)
{
    ck_assert_ptr_eq(context, &set);
    bool topic = channel.data[0] == '/';
    return (struct channel_rules){.kind = topic ? CHANNEL_OF_SUBSCRIPTION : CHANNEL_OF_SESSIONS,
                                  .grace_ms = topic};
}

static void setup(void)
{
    ck_assert_int_eq(pairs_init(&set, rules_of, &set), 0);
}

static void teardown(void)
{
    pairs_release(&set);
}

START_TEST(channel_and_member_are_not_confused)
{
    struct pair *p = pairs_add(&set, S("ab"), S("c"));
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_eq(pairs_find(&set, S("ab"), S("c")), p);
    ck_assert_ptr_null(pairs_find(&set, S("a"), S("bc")));
    assert_slice(pair_channel(p), S("ab"));
    assert_slice(pair_member(p), S("c"));
    pairs_drop(&set, p);
    ck_assert_ptr_null(pairs_find(&set, S("ab"), S("c")));
    ck_assert_ptr_null(pairs_channel(&set, S("ab")));
}
END_TEST

START_TEST(a_channel_has_its_rules_from_the_beginning_and_counts_its_pairs)
{
    struct pair *one = pairs_add(&set, S("hall"), S("a")),
                *two = pairs_add(&set, S("hall"), S("b")),
                *topic = pairs_add(&set, S("/t"), S("1"));
    ck_assert_ptr_eq(one->channel, two->channel);
    ck_assert_uint_eq(one->channel->count, 2);
    ck_assert_int_eq(one->channel->rules.kind, CHANNEL_OF_SESSIONS);
    ck_assert_int_eq(topic->channel->rules.kind, CHANNEL_OF_SUBSCRIPTION);
    ck_assert_int_eq(topic->channel->rules.grace_ms, 1);
    ck_assert_uint_eq(set.counts[CHANNEL_OF_SESSIONS], 2);
    ck_assert_uint_eq(set.counts[CHANNEL_OF_SUBSCRIPTION], 1);
    pairs_drop(&set, topic);
    ck_assert_uint_eq(set.counts[CHANNEL_OF_SUBSCRIPTION], 0);

    two->channel->crowded = true;
    pairs_drop(&set, one);
    pairs_drop(&set, two);
    struct channel *left = pairs_channel(&set, S("hall"));
    ck_assert_msg(left && !left->count, "a crowded channel stays");
    left->crowded = false;
    pairs_drop_channel(&set, left);
    ck_assert_ptr_null(pairs_channel(&set, S("hall")));
}
END_TEST

START_TEST(the_earlier_of_two_times_counts)
{
    struct pair *a = pairs_add(&set, S("hall"), S("a")), *b = pairs_add(&set, S("hall"), S("b"));
    ck_assert_int_eq(pairs_due(&set), INT64_MAX);
    pairs_look_at(&set, a, 30);
    pairs_look_at(&set, a, 20);
    pairs_look_at(&set, a, 40);
    pairs_look_at(&set, b, 10);
    ck_assert_int_eq(pairs_due(&set), 10);
    ck_assert_ptr_null(pairs_next_due(&set, 9));
    ck_assert_ptr_eq(pairs_next_due(&set, 20), b);
    ck_assert_ptr_eq(pairs_next_due(&set, 20), a);
    ck_assert_ptr_null(pairs_next_due(&set, 20));
}
END_TEST

START_TEST(each_pair_has_its_turn)
{
    ck_assert_ptr_null(pairs_turn(&set));
    struct pair *a = pairs_add(&set, S("hall"), S("a")), *b = pairs_add(&set, S("/t"), S("b"));
    ck_assert_ptr_eq(pairs_turn(&set), a);
    ck_assert_ptr_eq(pairs_turn(&set), b);
    ck_assert_ptr_eq(pairs_turn(&set), a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pairs");
    TCase *tests = one_case(suite, "pairs");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, channel_and_member_are_not_confused);
    tcase_add_test(tests, a_channel_has_its_rules_from_the_beginning_and_counts_its_pairs);
    tcase_add_test(tests, the_earlier_of_two_times_counts);
    tcase_add_test(tests, each_pair_has_its_turn);
    return run_suite(suite);
}
