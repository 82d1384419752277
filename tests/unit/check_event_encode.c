#include "codec/event.h"

#include "events.h"

START_TEST(an_event_is_encoded_once)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    assert_same(e, &spec, S("id: order-17\nevent: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    event_unref(&e);
    ck_assert_ptr_null(e);
    event_unref(&e);
}
END_TEST

START_TEST(without_an_id_of_its_own_the_seq_is_shown)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = UINT64_MAX, .data = S("x")};
    struct event *e = make(&spec);
    assert_same(e, &spec, S("id: 18446744073709551615\ndata: x\n\n"));
    event_unref(&e);
}
END_TEST

START_TEST(an_id_that_was_used_before_is_kept_and_not_shown)
{
    struct event_spec spec = full_spec();
    spec.seq_as_id = true;
    size_t used;
    struct event *e = make(&spec), *again = event_parse(e->entry, &used);
    assert_same(e, &spec, S("id: 42\nevent: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    ck_assert_ptr_nonnull(again);
    assert_same(again, &spec, e->text);
    ck_assert(!event_shows_id(e) && !event_shows_id(again));
    event_unref(&e);
    event_unref(&again);
    spec.seq_as_id = false;
    e = make(&spec);
    ck_assert(event_shows_id(e));
    event_unref(&e);
}
END_TEST

START_TEST(without_an_id_there_is_no_publisher)
{
    struct event_spec spec = full_spec();
    spec.id = (struct slice){0};
    spec.seq_as_id = true;
    struct event *e = make(&spec);
    ck_assert_uint_eq(e->publisher.len, 0);
    ck_assert(!e->seq_as_id && !event_shows_id(e));
    event_unref(&e);
}
END_TEST

START_TEST(a_publisher_has_a_longest_name)
{
    static char name[EVENT_PUBLISHER_MAX + 1];
    memset(name, 'x', sizeof name);
    struct event_spec spec = full_spec();
    spec.publisher = (struct slice){name, EVENT_PUBLISHER_MAX};
    size_t used;
    struct event *e = make(&spec), *again = event_parse(e->entry, &used);
    assert_slice(again->publisher, spec.publisher);
    event_unref(&e);
    event_unref(&again);
    spec.publisher.len++;
    ck_assert_ptr_null(event_new(&spec));
}
END_TEST

START_TEST(a_shutdown_shows_no_id)
{
    struct event_spec spec = full_spec();
    spec.kind = EVENT_SHUTDOWN;
    spec.has_retry = false;
    struct event *e = make(&spec);
    assert_slice(e->text, S("event: m\ndata: two\ndata: lines\n\n"));
    assert_slice(e->id, S("order-17"));
    event_unref(&e);
}
END_TEST

START_TEST(too_many_names_or_a_long_id_make_no_event)
{
    struct slice *many = calloc(EVENT_LIST_MAX + 1, sizeof *many);
    for (size_t i = 0; i <= EVENT_LIST_MAX; i++)
        many[i] = S("n");
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[EXCEPT_CHANNELS] = (struct names){many, EVENT_LIST_MAX};
    struct event *e = make(&spec);
    assert_lists(e, &spec);
    ck_assert(parses(e->entry.data, e->entry.len));
    event_unref(&e);
    spec.lists[EXCEPT_CHANNELS].count++;
    ck_assert_ptr_null(event_new(&spec));
    free(many);
    static char id[NAME_BYTES_MAX + 1];
    memset(id, 'x', sizeof id);
    spec = (struct event_spec){.kind = EVENT_MESSAGE, .seq = 1, .id = {id, sizeof id}};
    ck_assert_ptr_null(event_new(&spec));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_encode");
    TCase *tests = one_case(suite, "event_encode");
    tcase_add_test(tests, an_event_is_encoded_once);
    tcase_add_test(tests, without_an_id_of_its_own_the_seq_is_shown);
    tcase_add_test(tests, an_id_that_was_used_before_is_kept_and_not_shown);
    tcase_add_test(tests, without_an_id_there_is_no_publisher);
    tcase_add_test(tests, a_publisher_has_a_longest_name);
    tcase_add_test(tests, a_shutdown_shows_no_id);
    tcase_add_test(tests, too_many_names_or_a_long_id_make_no_event);
    return run_suite(suite);
}
