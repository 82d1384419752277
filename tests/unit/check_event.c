#include "codec/event.h"

#include "events.h"

START_TEST(references_are_counted)
{
    struct event *e = event_text(S("x")), *second = event_ref(e);
    ck_assert_ptr_eq(e, second);
    event_unref(&second);
    ck_assert_uint_eq(e->refs, 1);
    assert_slice(e->text, S("x"));
    ck_assert_uint_eq(e->entry.len, 0);
    event_unref(&e);
    e = event_text((struct slice){0});
    ck_assert_uint_eq(e->text.len, 0);
    event_unref(&e);
}
END_TEST

START_TEST(the_text_of_the_state_has_no_id_line)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec), *text = event_without_id(e);
    assert_slice(text->text, S("event: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    event_unref(&e);
    event_unref(&text);
}
END_TEST

START_TEST(its_text_can_have_another_id)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = 7, .time_ms = 9, .event = S("m"), .data = S("id: x")};
    struct event *e = make(&spec), *other = event_with_id(e, S("#7"));
    ck_assert_ptr_nonnull(other);
    assert_slice(other->text, S("id: #7\nevent: m\ndata: id: x\n\n"));
    ck_assert(other->seq == 7 && other->time_ms == 9 && other->kind == EVENT_TEXT);
    event_unref(&e);
    event_unref(&other);
}
END_TEST

START_TEST(an_event_may_have_an_end)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .time_ms = 5000, .ttl_s = 2};
    struct event *e = make(&spec);
    ck_assert_int_eq(event_expires_ms(e), 7000);
    event_unref(&e);
    spec.ttl_s = 0;
    e = make(&spec);
    ck_assert_int_eq(event_expires_ms(e), INT64_MAX);
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tests = one_case(suite, "event");
    tcase_add_test(tests, references_are_counted);
    tcase_add_test(tests, the_text_of_the_state_has_no_id_line);
    tcase_add_test(tests, its_text_can_have_another_id);
    tcase_add_test(tests, an_event_may_have_an_end);
    return run_suite(suite);
}
