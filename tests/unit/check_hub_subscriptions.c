#include "presence/hub_subscriptions.h"

#include "base/clock.h"
#include "capture.h"
#include "member_batches.h"
#include "ops/log.h"

static struct presence *presence;
static struct buf packed;

static void pack(const char *match)
{
    struct subscription s = {.form = SUBSCRIPTION_EXACT,
                             .subscriber = S("me"),
                             .match = slice_of(match),
                             .payload = S("{\"n\":1}")};
    ck_assert(subscription_pack(&packed, &s));
}

/* Presence knows a connection 1 with the subscriptions that were packed. */
static const struct connection *connected(void)
{
    struct buf items = {0}, b = {0};
    struct wire_presence m = {.n = 1, .full = true};
    presence = presence_new();
    ck_assert_ptr_nonnull(presence);
    presence_set_epoch(presence, 7);
    ck_assert_int_eq(presence_hello(presence, S("w"), &(struct wire_hello){.worker = S("w")}, 1000),
                     0);
    wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = S("1"),
                                                           .since_ms = 1000,
                                                           .subscriptions = buf_slice(&packed)});
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    ck_assert_int_eq(wire_get_presence(buf_slice(&b), &m), 0);
    presence_report(presence, S("w"), &m, 1000);
    for (struct presence_change change; presence_next(presence, &change);)
        ;
    buf_release(&items);
    buf_release(&b);
    return presence_find(presence, S("1"));
}

static void end(void)
{
    presence_free(&presence);
    buf_release(&packed);
    teardown();
}

START_TEST(each_subscription_has_a_topic)
{
    pack("http://example.com/a");
    pack("http://example.com/b");
    struct hub_walk walk = {.packed = buf_slice(&packed)};
    struct slice first = hub_walk_next(&walk);
    ck_assert(subscription_is_topic(first) && memmem(first.data, first.len, "me", 2));
    char kept[NAME_BYTES_MAX];
    memcpy(kept, first.data, first.len);
    struct slice second = hub_walk_next(&walk);
    ck_assert(subscription_is_topic(second) && memmem(second.data, second.len, "me", 2));
    ck_assert(second.len != first.len || memcmp(kept, second.data, second.len) != 0);
    ck_assert_uint_eq(hub_walk_next(&walk).len, 0);
}
END_TEST

START_TEST(the_document_says_that_it_begins_and_ends)
{
    pack("http://example.com/a");
    pack("http://example.com/b");
    const struct connection *c = connected();
    ck_assert_ptr_nonnull(c);
    struct hub_walk walk = {.packed = buf_slice(&packed)};
    hub_walk_next(&walk);
    struct slice topic = hub_walk_next(&walk);
    struct pair *p = pairs_add(&set, topic, S("1"));

    hub_subscription_begin(&batch, p, c);
    const struct event *begun = state_member(sequence_state(batch.sequence), topic, S("1"));
    ck_assert_ptr_nonnull(begun);
    struct slice document = member_event_data(begun);
    ck_assert(memmem(document.data, document.len, "example.com/b", 13));
    ck_assert(memmem(document.data, document.len, "\"active\":true", 13));
    ck_assert(begun->is_private);

    hub_subscription_end(&batch, p, begun);
    ck_assert_ptr_null(state_member(sequence_state(batch.sequence), topic, S("1")));
    ck_assert_uint_eq(batch.events, 2);
}
END_TEST

START_TEST(subscriptions_beyond_the_bound_are_refused_and_each_time_logged)
{
    static struct capture c;
    capture_begin(&c, STDERR_FILENO);
    ck_assert(hub_subscriptions_admit(2, 1));
    ck_assert(!hub_subscriptions_admit(2, 2));
    log_tick(clock_ms() + 61000); /* within a minute it would be a repeated line */
    ck_assert(hub_subscriptions_admit(2, 1));
    ck_assert(!hub_subscriptions_admit(2, 2));
    ck_assert(!hub_subscriptions_admit(0, 0)); /* none are reported */
    const char *first = strstr(capture_end(&c), "more than 2 subscriptions"), *second;
    ck_assert_ptr_nonnull(first);
    second = strstr(first + 1, "more than 2 subscriptions");
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(strstr(second + 1, "more than"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hub_subscriptions");
    TCase *tests = one_case(suite, "hub_subscriptions");
    tcase_add_checked_fixture(tests, setup, end);
    tcase_add_test(tests, each_subscription_has_a_topic);
    tcase_add_test(tests, the_document_says_that_it_begins_and_ends);
    tcase_add_test(tests, subscriptions_beyond_the_bound_are_refused_and_each_time_logged);
    return run_suite(suite);
}
