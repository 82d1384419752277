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

static void name(struct pair *p)
{
    ck_assert(member_batch_append(&batch, p->channel,
                                  &(struct member_event){"name", pair_member(p), S("{}"), false}));
}

static void leave(struct pair *p)
{
    ck_assert(member_batch_append(&batch, p->channel,
                                  &(struct member_event){"name", pair_member(p), S("{}"), true}));
    pair_set_left(p, true);
}

static uint64_t number_in(const struct channel *c)
{
    return member_counts_number(c, sequence_state(batch.sequence));
}

static bool many_in(const struct channel *c)
{
    return member_counts_many(c, sequence_state(batch.sequence));
}

START_TEST(the_number_is_published_while_not_all_are_members)
{
    name(add("hall", "a"));
    struct pair *b = add("hall", "b");
    name(b);
    sweep(0);
    ck_assert(!counts.due && !b->channel->crowded);
    struct pair *c = add("hall", "c");
    ck_assert(many_in(c->channel));
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

START_TEST(a_pair_that_has_left_does_not_count)
{
    struct pair *a = add("hall", "a"), *b = add("hall", "b"), *c = add("hall", "c");
    name(a);
    name(b);
    sweep(0);
    assert_says("hall", "", "{\"count\":3}");
    leave(a);
    ck_assert(many_in(c->channel));
    ck_assert_uint_eq(number_in(c->channel), 2);
    sweep(1000);
    assert_says("hall", "", "{\"count\":2}");
    name(c);
    leave(b);
    ck_assert(!many_in(c->channel));
    ck_assert_uint_eq(number_in(c->channel), 1);

    uint64_t before = sequence_head(batch.sequence);
    sweep(1000);
    assert_says("hall", "", "");
    ck_assert_uint_eq(sequence_head(batch.sequence), before + 1);
    pairs_drop(&set, a);
    pairs_drop(&set, b);
    sweep(1000);
    ck_assert(!c->channel->crowded && c->channel->left == 0);
    ck_assert_uint_eq(sequence_head(batch.sequence), before + 1);
}
END_TEST

/* Its departure was in a batch that came to nothing. */
START_TEST(a_member_counts_although_its_pair_has_left)
{
    struct pair *a = add("hall", "a");
    name(a);
    pair_set_left(a, true);
    ck_assert_uint_eq(number_in(a->channel), 1);
    ck_assert(!many_in(a->channel));
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
    member_counts_note(&counts, p->channel);
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
    tcase_add_test(tests, the_number_is_published_while_not_all_are_members);
    tcase_add_test(tests, a_pair_that_has_left_does_not_count);
    tcase_add_test(tests, a_member_counts_although_its_pair_has_left);
    tcase_add_test(tests, the_number_is_published_once_a_second_and_when_it_is_news);
    tcase_add_test(tests, subscriptions_are_not_counted);
    tcase_add_test(tests, a_session_without_a_name_is_counted_until_there_is_room);
    return run_suite(suite);
}
