#include "model/state_slots.h"

#include "codec/event_key.h"
#include "support.h"

static struct state_slots set;

static void setup(void)
{
    memset(&set, 0, sizeof set);
    ck_assert_int_eq(state_slots_init(&set), 0);
}

static void teardown(void)
{
    state_slots_release(&set);
}

static struct event *make_as(bool is_private, const char *channel, const char *key, uint32_t ttl_s)
{
    struct slice name = slice_of(channel);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = 1,
                              .time_ms = 1000,
                              .key = slice_of(key),
                              .ttl_s = ttl_s,
                              .data = S("x"),
                              .is_private = is_private,
                              .has_to = channel != NULL};
    if (channel)
        spec.lists[TO_CHANNELS] = (struct names){&name, 1};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

static struct event *make(const char *channel, const char *key, uint32_t ttl_s)
{
    return make_as(false, channel, key, ttl_s);
}

static struct state_slot *fill(struct event *e)
{
    struct state_slot *slot = state_slots_insert(&set, e);
    ck_assert_ptr_nonnull(slot);
    ck_assert_int_eq(state_slots_reserve_end(&set), 0);
    state_slots_fill(&set, slot, e, e->seq);
    return slot;
}

static void drop(struct state_slot *slot)
{
    state_slots_fill(&set, slot, NULL, slot->seq + 1);
    state_slots_remove(&set, slot);
}

START_TEST(a_slot_belongs_to_a_key_of_a_target)
{
    struct event *all = make(NULL, "a", 0), *channel = make("c", "a", 0),
                 *other = make("ca", "b", 0),
                 *member = make("c",
                                "\x01"
                                "a",
                                0);
    struct state_slot *slot = fill(all), *second = fill(member);
    ck_assert_ptr_eq(state_slots_find(&set, all), slot);
    ck_assert_ptr_null(state_slots_find(&set, channel));
    ck_assert_ptr_null(state_slots_find(&set, other));
    ck_assert_ptr_eq(state_slots_find_member(&set, S("c"), S("a")), second);
    ck_assert_ptr_null(state_slots_find_member(&set, S("c"), S("b")));
    ck_assert_msg(state_slots_insert(&set, all) == slot, "an existing slot is returned");
    drop(slot);
    drop(second);
    ck_assert_ptr_null(state_slots_find(&set, all));
    event_unref(&all);
    event_unref(&channel);
    event_unref(&other);
    event_unref(&member);
}
END_TEST

START_TEST(a_private_event_has_a_slot_of_its_own)
{
    struct event *open = make("c", "a", 0), *hidden = make_as(true, "c", "a", 0),
                 *other = make_as(true, "d", "a", 0);
    struct state_slot *first = fill(open), *second = fill(hidden);
    ck_assert(first != second);
    ck_assert_ptr_eq(state_slots_find(&set, open), first);
    ck_assert_ptr_eq(state_slots_find(&set, hidden), second);
    ck_assert_ptr_null(state_slots_find(&set, other));
    drop(first);
    ck_assert_ptr_null(state_slots_find(&set, open));
    ck_assert_ptr_eq(state_slots_find(&set, hidden), second);
    drop(second);
    event_unref(&open);
    event_unref(&hidden);
    event_unref(&other);
}
END_TEST

/* A member is found without the knowledge whether its events are private. */
START_TEST(a_member_has_one_slot)
{
    char room[EVENT_KEY_MAX + 1] = {0};
    event_member_key(S("m"), room);
    struct event *open = make("c", room, 0), *hidden = make_as(true, "c", room, 0);
    struct state_slot *slot = fill(hidden);
    ck_assert_ptr_eq(state_slots_find(&set, open), slot);
    ck_assert_ptr_eq(state_slots_find_member(&set, S("c"), S("m")), slot);
    drop(slot);
    event_unref(&open);
    event_unref(&hidden);
}
END_TEST

START_TEST(the_first_end_is_found)
{
    struct event *late = make(NULL, "a", 20), *early = make(NULL, "b", 10),
                 *never = make(NULL, "a", 0);
    struct state_slot *first = fill(late), *second = fill(early);
    ck_assert_ptr_eq(state_slots_first_end(&set), second);
    drop(second);
    ck_assert_ptr_eq(state_slots_first_end(&set), first);
    state_slots_fill(&set, first, never, 2);
    ck_assert_ptr_null(state_slots_first_end(&set));
    ck_assert_uint_eq(first->seq, 2);
    drop(first);
    event_unref(&late);
    event_unref(&early);
    event_unref(&never);
}
END_TEST

START_TEST(slots_are_in_the_order_of_their_records)
{
    struct event *a = make(NULL, "a", 0), *b = make(NULL, "b", 0);
    struct state_slot *first = fill(a), *second = fill(b);
    ck_assert_ptr_null(state_slots_next(&set, NULL));
    due_note(&set.due, &second->due, 1);
    due_note(&set.due, &first->due, 2);
    ck_assert_ptr_eq(state_slots_next(&set, NULL), second);
    ck_assert_ptr_eq(state_slots_next(&set, second), first);
    ck_assert_ptr_null(state_slots_next(&set, first));
    drop(second);
    ck_assert_ptr_eq(state_slots_next(&set, NULL), first);
    ck_assert_ptr_null(state_slot_of(NULL));
    drop(first);
    event_unref(&a);
    event_unref(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_slots");
    TCase *tests = one_case(suite, "state_slots");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_slot_belongs_to_a_key_of_a_target);
    tcase_add_test(tests, a_private_event_has_a_slot_of_its_own);
    tcase_add_test(tests, a_member_has_one_slot);
    tcase_add_test(tests, the_first_end_is_found);
    tcase_add_test(tests, slots_are_in_the_order_of_their_records);
    return run_suite(suite);
}
