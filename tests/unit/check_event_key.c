#include "codec/event_key.h"

#include "base/name.h"
#include "events.h"

/* The sessions, channels, connections and excepted names of a target. */
static bool key_allowed(bool has_to, size_t sessions, size_t channels, size_t connections,
                        size_t excepted)
{
    struct names lists[EVENT_LISTS] = {
        {some_names, sessions}, {some_names, channels}, {some_names, connections}};
    lists[EXCEPT_CHANNELS] = (struct names){some_names, excepted};
    return event_key_allows(has_to, lists);
}

START_TEST(a_key_needs_one_target)
{
    ck_assert(key_allowed(false, 0, 0, 0, 0) && key_allowed(true, 1, 0, 0, 0) &&
              key_allowed(true, 0, 1, 0, 0));
    ck_assert(!key_allowed(true, 0, 0, 0, 0) && !key_allowed(true, 0, 0, 1, 0) &&
              !key_allowed(true, 1, 1, 0, 0));
    ck_assert(!key_allowed(true, 2, 0, 0, 0) && !key_allowed(true, 1, 0, 0, 1) &&
              !key_allowed(false, 0, 0, 0, 1));
}
END_TEST

START_TEST(a_key_travels_with_its_event)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = 1,
                              .id = S("i"),
                              .key = S("price:BTC"),
                              .data = S("x"),
                              .remove = true,
                              .ttl_s = EVENT_TTL_MAX,
                              .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){some_names, 1};
    struct event *e = make(&spec);
    size_t used;
    struct event *again = event_parse(e->entry, &used);
    struct slice target;

    assert_same(again, &spec, e->text);
    ck_assert_int_eq(event_key_target(again, &target), TARGET_CHANNEL);
    assert_slice(target, S("a"));
    ck_assert_int_eq(event_expires_ms(again), spec.time_ms + (int64_t)EVENT_TTL_MAX * 1000);
    event_unref(&e);
    event_unref(&again);
}
END_TEST

static struct event *make_at(struct slice key, enum event_list list, bool is_private)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = 1, .key = key, .data = S("x"), .is_private = is_private};
    spec.has_to = list != EVENT_LISTS;
    if (spec.has_to)
        spec.lists[list] = (struct names){some_names, 1};
    return make(&spec);
}

static void assert_place(struct event *e, enum event_target kind, const char *name, bool is_private)
{
    struct event_place place = event_place_of(e);
    ck_assert_int_eq(place.kind, kind);
    assert_slice(place.name, slice_of(name));
    ck_assert_int_eq(place.is_private, is_private);
    event_unref(&e);
}

START_TEST(being_private_is_a_part_of_the_place)
{
    char room[EVENT_KEY_MAX];
    assert_place(make_at(S("k"), EVENT_LISTS, false), TARGET_EVERYONE, "", false);
    assert_place(make_at(S("k"), TO_CHANNELS, false), TARGET_CHANNEL, "a", false);
    assert_place(make_at(S("k"), TO_CHANNELS, true), TARGET_CHANNEL, "a", true);
    assert_place(make_at(S("k"), TO_SESSIONS, true), TARGET_SESSION, "a", true);
    assert_place(make_at(event_member_key(S("m"), room), TO_CHANNELS, true), TARGET_CHANNEL, "a",
                 false);
}
END_TEST

START_TEST(the_key_of_a_member_is_no_name)
{
    char out[EVENT_KEY_MAX];
    struct slice session = S("x"), key = event_member_key(S("anna"), out);

    ck_assert(!name_valid(key) && event_is_member_key(key, &session));
    assert_slice(session, S("anna"));
    ck_assert(event_is_member_key(event_member_key((struct slice){0}, out), &session));
    ck_assert_uint_eq(session.len, 0);
    ck_assert(!event_is_member_key(S("anna"), &session) &&
              !event_is_member_key((struct slice){0}, &session));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_key");
    TCase *tests = one_case(suite, "event_key");
    tcase_add_test(tests, a_key_needs_one_target);
    tcase_add_test(tests, a_key_travels_with_its_event);
    tcase_add_test(tests, being_private_is_a_part_of_the_place);
    tcase_add_test(tests, the_key_of_a_member_is_no_name);
    return run_suite(suite);
}
