#include "stream/bundle.h"

#include <errno.h>

#include "support.h"

static struct bundle bundle;

static void teardown(void)
{
    bundle_release(&bundle);
    ck_assert_uint_eq(bundle.bytes, 0);
    bundle_release(&bundle);
}

static const struct slice to_a = S_INIT("a"), to_b = S_INIT("b");

static struct event *make(enum event_kind kind, uint64_t seq, const struct slice *to,
                          const struct slice *except)
{
    struct event_spec spec = {.kind = kind,
                              .seq = seq,
                              .time_ms = (int64_t)seq * 10,
                              .data = S("x"),
                              .has_to = to != NULL};
    if (to)
        spec.lists[TO_SESSIONS] = (struct names){to, 1};
    if (except)
        spec.lists[EXCEPT_SESSIONS] = (struct names){except, 1};
    return event_new(&spec);
}

static void add(struct event *e)
{
    ck_assert_int_eq(bundle_add(&bundle, e), 0);
    event_unref(&e);
}

static bool takes(struct event *e)
{
    bool taken = bundle_takes(&bundle, e);
    event_unref(&e);
    return taken;
}

START_TEST(the_text_of_one_event_is_that_event)
{
    struct event *e = make(EVENT_MESSAGE, 1, NULL, NULL);
    event_ref(e);
    add(e);
    struct event *text = bundle_text(&bundle);
    ck_assert_ptr_eq(text, e);
    event_unref(&text);
    bundle_clear(&bundle);
    ck_assert_uint_eq(e->refs, 1);
    event_unref(&e);
}
END_TEST

START_TEST(several_are_one_text_in_order)
{
    for (uint64_t seq = 7; seq < 10; seq++)
        add(make(EVENT_MESSAGE, seq, NULL, NULL));
    struct event *text = bundle_text(&bundle);
    ck_assert_int_eq(text->kind, EVENT_TEXT);
    assert_slice(text->text, S("id: 7\ndata: x\n\nid: 8\ndata: x\n\nid: 9\ndata: x\n\n"));
    ck_assert_int_eq(text->time_ms, 70);
    ck_assert_uint_eq(text->seq, 7);
    ck_assert_uint_eq(text->further, 2);
    event_unref(&text);
}
END_TEST

START_TEST(only_the_same_audience_goes_together)
{
    ck_assert(takes(make(EVENT_SHUTDOWN, 1, &to_a, NULL))); /* whatever is first */
    add(make(EVENT_MESSAGE, 1, &to_a, NULL));
    ck_assert(takes(make(EVENT_MESSAGE, 2, &to_a, NULL)));
    ck_assert(!takes(make(EVENT_MESSAGE, 2, &to_b, NULL)));
    ck_assert(!takes(make(EVENT_MESSAGE, 2, NULL, NULL)));
    ck_assert(!takes(make(EVENT_MESSAGE, 2, &to_a, &to_b)));
    ck_assert(!takes(make(EVENT_SHUTDOWN, 2, &to_a, NULL)));
    bundle_clear(&bundle);
    add(make(EVENT_SHUTDOWN, 3, &to_a, NULL));
    ck_assert(!takes(make(EVENT_MESSAGE, 4, &to_a, NULL)));
}
END_TEST

START_TEST(nobody_and_everybody_are_not_the_same)
{
    struct event *nobody =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 1, .has_to = true});
    add(nobody);
    ck_assert(!takes(make(EVENT_MESSAGE, 2, NULL, NULL)));
}
END_TEST

START_TEST(events_beyond_its_size_are_not_added_to_a_bundle)
{
    bundle.max = 40;
    add(make(EVENT_MESSAGE, 1, NULL, NULL)); /* 15 bytes */
    add(make(EVENT_MESSAGE, 2, NULL, NULL));
    ck_assert(!takes(make(EVENT_MESSAGE, 3, NULL, NULL)));
    bundle_clear(&bundle);
    bundle.max = 1;
    ck_assert(takes(make(EVENT_MESSAGE, 3, NULL, NULL))); /* alone, as large as it is */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bundle");
    TCase *tests = one_case(suite, "bundle");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, the_text_of_one_event_is_that_event);
    tcase_add_test(tests, several_are_one_text_in_order);
    tcase_add_test(tests, only_the_same_audience_goes_together);
    tcase_add_test(tests, nobody_and_everybody_are_not_the_same);
    tcase_add_test(tests, events_beyond_its_size_are_not_added_to_a_bundle);
    return run_suite(suite);
}
