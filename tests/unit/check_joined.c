#include "stream/joined.h"

#include "support.h"

#define KEYS 3

static struct joined joined;
static struct state *state;
static struct event *events[KEYS];

static struct event *make(uint64_t seq, struct slice key, struct slice data)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = seq, .time_ms = 1, .key = key, .data = data};
    struct event *e = event_new(&spec);
    ck_assert_int_eq(state_apply(state, e), 0);
    return e;
}

static void setup(void)
{
    state = state_new();
    events[0] = make(1, S("a"), S("one"));
    events[1] = make(2, S("b"), S("two"));
    events[2] = make(3, S("c"), S("three"));
}

static void teardown(void)
{
    joined_release(&joined);
    state_free(&state);
    for (size_t i = 0; i < KEYS; i++) {
        ck_assert_uint_eq(events[i]->refs, 1);
        event_unref(&events[i]);
    }
    joined_release(&joined);
}

static struct event *ask(size_t number, size_t from, size_t count)
{
    return joined_text(&joined, state, number, events + from, count);
}

static void assert_text(const struct event *e, const char *text)
{
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(e->kind, EVENT_TEXT);
    ck_assert_uint_eq(e->seq, 0);
    assert_slice(e->text, slice_of(text));
}

START_TEST(the_second_to_ask_gets_one_text_without_ids)
{
    ck_assert_ptr_null(ask(0, 0, 3));
    struct event *text = ask(0, 0, 3);
    assert_text(text, "data: one\n\ndata: two\n\ndata: three\n\n");
    ck_assert_ptr_eq(ask(0, 0, 3), text);
}
END_TEST

START_TEST(parts_have_texts_of_their_own)
{
    for (int i = 0; i < 2; i++) {
        ask(0, 0, 2);
        ask(1, 1, 2);
    }
    assert_text(ask(0, 0, 2), "data: one\n\ndata: two\n\n");
    assert_text(ask(1, 1, 2), "data: two\n\ndata: three\n\n");
}
END_TEST

START_TEST(other_events_get_another_text)
{
    ask(0, 0, 3);
    ask(0, 0, 3);
    ck_assert_ptr_null(ask(0, 0, 2));
    assert_text(ask(0, 0, 2), "data: one\n\ndata: two\n\n");
    ck_assert_ptr_null(ask(0, 1, 2));
    assert_text(ask(0, 1, 2), "data: two\n\ndata: three\n\n");
}
END_TEST

START_TEST(a_later_event_of_a_key_is_another_event)
{
    ask(0, 0, 2);
    ask(0, 0, 2);
    struct event *later = make(4, S("a"), S("new"));
    struct event *now[] = {events[1], events[2], later};
    ck_assert_ptr_null(joined_text(&joined, state, 0, now, 3));
    assert_text(joined_text(&joined, state, 0, now, 3),
                "data: two\n\ndata: three\n\ndata: new\n\n");
    event_unref(&later);
}
END_TEST

START_TEST(a_single_event_has_its_own_text)
{
    ck_assert_ptr_null(ask(0, 0, 1));
    ck_assert_ptr_null(ask(0, 0, 1));
    ck_assert_ptr_null(ask(0, 0, 0));
}
END_TEST

START_TEST(numbers_may_be_large)
{
    ask(JOINED_PARTS * 7 + 1, 0, 2);
    assert_text(ask(JOINED_PARTS * 7 + 1, 0, 2), "data: one\n\ndata: two\n\n");
}
END_TEST

START_TEST(superseded_events_are_sent_one_by_one)
{
    ask(0, 0, 3);
    struct event *later = make(4, S("a"), S("new"));
    ck_assert_ptr_null(ask(0, 0, 3));
    event_unref(&later);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("joined");
    TCase *tests = one_case(suite, "joined");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_second_to_ask_gets_one_text_without_ids);
    tcase_add_test(tests, parts_have_texts_of_their_own);
    tcase_add_test(tests, other_events_get_another_text);
    tcase_add_test(tests, a_later_event_of_a_key_is_another_event);
    tcase_add_test(tests, a_single_event_has_its_own_text);
    tcase_add_test(tests, numbers_may_be_large);
    tcase_add_test(tests, superseded_events_are_sent_one_by_one);
    return run_suite(suite);
}
