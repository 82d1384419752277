#include "model/state_room.h"

#include "support.h"

static struct event *make(const char *key, const char *data)
{
    struct event *e = event_new(&(struct event_spec){
        .kind = EVENT_MESSAGE, .seq = 1, .key = slice_of(key), .data = slice_of(data)});
    ck_assert_ptr_nonnull(e);
    return e;
}

static uint64_t cost_of(const struct event *e)
{
    return e->entry.len + STATE_KEY_COST;
}

START_TEST(each_bound_is_kept_to_the_byte)
{
    struct state_room room = {0};
    struct event *first = make("a", "x"), *second = make("b", "y"),
                 *larger = make("a", "xxxxxxxxxxx");
    ck_assert(!state_room_add(&room, first));
    uint64_t both = room.bytes + cost_of(second), entries = first->entry.len + second->entry.len;

    struct state_limits exact = {.events = 2, .bytes = both, .logged = entries};
    ck_assert(state_room_fits(&room, second, NULL, &exact));
    ck_assert(!state_room_fits(&room, second, NULL, &(struct state_limits){1, both, entries, 0}));
    ck_assert(
        !state_room_fits(&room, second, NULL, &(struct state_limits){2, both - 1, entries, 0}));
    ck_assert(
        !state_room_fits(&room, second, NULL, &(struct state_limits){2, both, entries - 1, 0}));
    ck_assert_msg(state_room_fits(&room, second, NULL, &(struct state_limits){2, both, 0, 0}),
                  "0 is no limit");

    struct state_limits none = {0};
    ck_assert_msg(state_room_fits(&room, first, first, &none), "no larger than before");
    ck_assert(!state_room_fits(&room, larger, first, &none));
    ck_assert(state_room_fits(&room, larger, first,
                              &(struct state_limits){0, cost_of(larger), larger->entry.len, 0}));

    state_room_remove(&room, first);
    ck_assert_uint_eq(room.count + room.bytes, 0);
    event_unref(&first);
    event_unref(&second);
    event_unref(&larger);
}
END_TEST

START_TEST(members_have_a_bound_of_their_own)
{
    struct state_room room = {0};
    struct event *member = make("\x01"
                                "a",
                                "x"),
                 *number = make("\x01", "x");
    struct state_limits limits = {.member_bytes = cost_of(member)};
    ck_assert(state_room_fits(&room, member, NULL, &limits));
    ck_assert(state_room_add(&room, member));
    ck_assert(!state_room_fits(&room, member, NULL, &limits));
    ck_assert_msg(!state_room_add(&room, number), "a number of members is no member");
    ck_assert_uint_eq(room.count + room.bytes, 0);
    ck_assert_uint_eq(room.member_bytes, cost_of(member) + cost_of(number));

    limits.member_bytes = 4 * cost_of(number);
    room.member_bytes = limits.member_bytes;
    ck_assert_msg(state_room_fits(&room, number, NULL, &limits),
                  "a quarter more for the numbers of members");
    ck_assert(!state_room_fits(&room, member, NULL, &limits));
    event_unref(&member);
    event_unref(&number);
}
END_TEST

START_TEST(limited_publishers_have_three_quarters)
{
    struct state_limits limits = {.events = 100, .bytes = 1000, .logged = 0, .member_bytes = 8};
    struct state_limits most = state_limits_of_limited(&limits);
    ck_assert_uint_eq(most.events, 75);
    ck_assert_uint_eq(most.bytes, 750);
    ck_assert_uint_eq(most.logged, 0);
    ck_assert_uint_eq(most.member_bytes, 8);
    limits.logged = 1;
    ck_assert_msg(state_limits_of_limited(&limits).logged == 1, "a limit never becomes none");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_room");
    TCase *tests = one_case(suite, "state_room");
    tcase_add_test(tests, each_bound_is_kept_to_the_byte);
    tcase_add_test(tests, members_have_a_bound_of_their_own);
    tcase_add_test(tests, limited_publishers_have_three_quarters);
    return run_suite(suite);
}
