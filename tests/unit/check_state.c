#include "model/state.h"

#include "states.h"

START_TEST(the_newest_event_of_each_key_is_kept)
{
    set(1, "", "a");
    set(2, "", "b");
    set(3, "", "a");
    assert_read("2 3");
    ck_assert_uint_eq(state_count(state), 2);
    ck_assert_uint_gt(state_bytes(state), 2 * STATE_KEY_COST);
}
END_TEST

START_TEST(a_key_belongs_to_its_target)
{
    set(1, "", "a");
    set(2, "s:s", "a");
    set(3, "c:c", "a");
    set(4, "s:c", "a");
    set(5, "c:s", "a");
    set(6, "s:other", "a");
    assert_read("1 2 3");
    ck_assert_uint_eq(state_count(state), 6);
    set(7, "s:s", "a");
    assert_read("1 3 7");
}
END_TEST

START_TEST(target_and_key_are_not_confused)
{
    set(1, "s:ab", "c");
    set(2, "s:a", "bc");
    ck_assert_uint_eq(state_count(state), 2);
}
END_TEST

START_TEST(events_without_a_key_change_nothing)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 9, .data = S("x")};
    struct event *e = event_new(&spec);
    ck_assert_int_eq(state_apply(state, e), 0);
    ck_assert_uint_eq(state_count(state), 0);
    ck_assert_uint_eq(e->refs, 1);
    event_unref(&e);
}
END_TEST

START_TEST(a_removed_key_is_forgotten)
{
    set(1, "c:c", "a");
    set(2, "c:c", "b");
    forget(3, "c:c", "a");
    forget(4, "c:c", "nobody");
    assert_read("2");
    forget(5, "c:c", "b");
    assert_read("");
    ck_assert_uint_eq(state_count(state), 0);
    ck_assert_uint_eq(state_bytes(state), 0);
    set(6, "c:c", "a");
    assert_read("6");
}
END_TEST

START_TEST(the_event_before_is_marked)
{
    struct event *first = make(1, "", "a", false, 0), *second = make(2, "", "a", false, 0);
    state_apply(state, first);
    ck_assert(!first->superseded);
    state_apply(state, second);
    ck_assert(first->superseded && !second->superseded);
    forget(3, "", "a");
    ck_assert(second->superseded);
    event_unref(&first);
    event_unref(&second);
}
END_TEST

START_TEST(a_private_and_a_public_event_are_two_places)
{
    struct event *open = make(1, "c:c", "a", false, 0), *hidden = make(2, "p:c", "a", false, 0);
    struct event *removal = make(3, "p:c", "a", true, 0),
                 *open_removal = make(4, "c:c", "a", true, 0);
    state_apply(state, open);
    state_apply(state, hidden);
    ck_assert(!open->superseded && !hidden->superseded);
    ck_assert(!state_supersedes(state, open) && !state_supersedes(state, hidden));
    ck_assert(state_settled(state, open) && state_settled(state, hidden));
    assert_read("1 2");
    ck_assert_uint_eq(state_count(state), 2);

    state_apply(state, removal);
    ck_assert(!open->superseded && hidden->superseded);
    assert_read("1");
    state_apply(state, open_removal);
    set(5, "p:c", "a");
    forget(6, "c:c", "a");
    ck_assert(open->superseded);
    assert_read("5");
    event_unref(&open);
    event_unref(&hidden);
    event_unref(&removal);
    event_unref(&open_removal);
}
END_TEST

/* A reader that may not see private events is not spared one that only a private event follows. */
START_TEST(a_compacted_history_keeps_what_only_a_private_event_follows)
{
    static const struct history_limits limits = {.events = 10, .bytes = 1 << 20, .age_ms = 60000};
    static const char *const places[] = {"c:c", "p:c", "c:c", "p:c"};
    struct slice channel = S("c");
    struct audience who = {.connection = S("1"), .channels = {&channel, 1}};
    struct event *out[4];
    uint64_t upto, spared = 0;
    struct history *history = history_new(&limits, 0);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        struct event *e = make(seq, places[seq - 1], "a", seq == 4, 0);
        ck_assert(state_apply(state, e) == 0 && history_append(history, e) == 0);
        event_unref(&e);
    }

    struct history_filter filter = {.who = &who, .compact = true, .superseded = &spared};
    ck_assert_uint_eq(history_read(history, &filter, 0, out, 4, SIZE_MAX, &upto), 2);
    ck_assert(out[0]->seq == 3 && out[1]->seq == 4);
    ck_assert_uint_eq(spared, 2);
    who.public_only = true;
    ck_assert_uint_eq(history_read(history, &filter, 0, out, 4, SIZE_MAX, &upto), 1);
    ck_assert_uint_eq(out[0]->seq, 3);
    ck_assert_uint_eq(spared, 3);
    history_free(&history);
}
END_TEST

START_TEST(taking_back_a_private_event_leaves_the_public_one)
{
    state_hold(state);
    set(1, "c:c", "a");
    set(2, "p:c", "a");
    state_settle(state);
    forget(3, "p:c", "a");
    set(4, "c:c", "a");
    assert_read("4");
    state_rollback(state, 3);
    assert_read("1");
    state_rollback(state, 2);
    assert_read("1 2");
}
END_TEST

/* The event of a member in channel c. hub: it is a subscription of the hub, which is private. */
static struct event *make_member(uint64_t seq, const char *session, bool hub, bool remove)
{
    char key[EVENT_KEY_MAX];
    struct slice name = S("c");
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .key = event_member_key(slice_of(session), key),
                              .data = S("x"),
                              .remove = remove,
                              .is_private = hub,
                              .has_to = true,
                              .lists = {[TO_CHANNELS] = {&name, 1}}};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

START_TEST(a_reader_is_spared_values_and_no_begin_of_a_subscription)
{
    struct event *price = make(1, "", "a", false, 0), *removal = make(4, "", "a", true, 0);
    struct event *came = make_member(2, "m", false, false),
                 *left = make_member(5, "m", false, true);
    struct event *begin = make_member(3, "s", true, false), *end = make_member(6, "s", true, true);
    struct event *all[] = {price, came, begin, removal, left, end};
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(state_apply(state, all[i]), 0);

    ck_assert(event_is_value(price) && event_is_value(came) && !event_is_value(begin) &&
              !event_is_value(end));
    ck_assert(event_is_replaced(price) && event_is_replaced(came) && !event_is_replaced(begin));
    ck_assert_uint_eq(state_count(state), 0);
    for (size_t i = 0; i < 6; i++)
        event_unref(&all[i]);
}
END_TEST

START_TEST(an_older_event_is_marked_and_replaces_nothing)
{
    set(5, "", "a");
    ck_assert(!apply(3, "", "a", false));
    ck_assert(!apply(4, "", "a", true));
    assert_read("5");
}
END_TEST

START_TEST(an_event_may_be_applied_twice)
{
    struct event *e = make(1, "", "a", false, 0);
    state_apply(state, e);
    state_apply(state, e);
    ck_assert(!e->superseded);
    ck_assert_uint_eq(state_count(state), 1);
    assert_read("1");
    event_unref(&e);
}
END_TEST

START_TEST(the_same_event_as_another_object_takes_its_place)
{
    struct event *again = make(1, "c:c", "a", false, 0);
    set(1, "c:c", "a");
    set(2, "c:c", "b");
    state_apply(state, again);
    ck_assert(!again->superseded);
    assert_read("1 2");
    set(3, "c:c", "a");
    ck_assert(again->superseded);
    assert_read("2 3");
    event_unref(&again);
}
END_TEST

START_TEST(an_event_of_the_past_changes_nothing)
{
    struct event *older = make(1, "", "a", false, 0), *same = make(5, "", "b", false, 0);
    struct event *gone = make(3, "", "c", false, 0), *removal = make(4, "", "c", true, 0);
    set(2, "", "a");
    set(5, "", "b");
    state_match(state, older);
    state_match(state, gone);
    state_match(state, removal);
    state_match(state, same);
    ck_assert(older->superseded && !gone->superseded && !removal->superseded && !same->superseded);
    ck_assert(state_supersedes(state, older) && !state_supersedes(state, same) &&
              !state_supersedes(state, gone));
    assert_read("2 5");
    set(6, "", "b");
    ck_assert(same->superseded);
    event_unref(&older);
    event_unref(&same);
    event_unref(&gone);
    event_unref(&removal);
}
END_TEST

START_TEST(a_reader_gets_pages)
{
    for (uint64_t seq = 1; seq <= 6; seq++) {
        char key[8];
        snprintf(key, sizeof key, "k%" PRIu64, seq);
        set(seq, seq % 2 ? "" : "s:s", key);
    }
    assert_read_at(1000, 0, UINT64_MAX, 2, SIZE_MAX, "1 2");
    assert_read_at(1000, 2, UINT64_MAX, 2, SIZE_MAX, "3 4");
    assert_read_at(1000, 4, 5, 2, SIZE_MAX, "5");
    assert_read_at(1000, 0, UINT64_MAX, MOST, 1, "1");
    assert_read_at(1000, 6, UINT64_MAX, MOST, SIZE_MAX, "");
}
END_TEST

START_TEST(an_expired_key_is_forgotten)
{
    struct event *e = make(1, "", "a", false, 2);
    state_apply(state, e);
    set(2, "", "b");
    assert_read_at(2999, 0, UINT64_MAX, MOST, SIZE_MAX, "1 2");
    assert_read_at(3000, 0, UINT64_MAX, MOST, SIZE_MAX, "2");
    ck_assert_uint_eq(state_expire(state, 2999), 0);
    ck_assert_uint_eq(state_expire(state, 3000), 1);
    ck_assert_uint_eq(state_count(state), 1);
    ck_assert(e->superseded);
    event_unref(&e);
}
END_TEST

START_TEST(a_later_event_lengthens_or_ends_the_time)
{
    struct event *first = make(1, "", "a", false, 2), *second = make(2, "", "a", false, 60);
    state_apply(state, first);
    state_apply(state, second);
    ck_assert_uint_eq(state_expire(state, 3000), 0);
    set(3, "", "a");
    ck_assert_uint_eq(state_expire(state, INT64_MAX), 0);
    ck_assert_uint_eq(state_count(state), 1);
    event_unref(&first);
    event_unref(&second);
}
END_TEST

START_TEST(new_keys_have_a_bound)
{
    struct event *known = make(3, "", "a", false, 0), *fresh = make(4, "", "c", false, 0),
                 *gone = make(5, "", "c", true, 0);
    struct state_limits many = {.events = 2, .bytes = UINT64_MAX},
                        large = {.events = UINT64_MAX, .bytes = known->entry.len + STATE_KEY_COST};

    set(1, "", "a");
    ck_assert(state_has_room(state, known, &large) && !state_has_room(state, fresh, &large));
    set(2, "", "b");
    ck_assert(state_has_room(state, known, &many) && !state_has_room(state, fresh, &many));
    ck_assert(state_has_room(state, gone, &many));
    ck_assert_msg(state_has_room(state, known, &large),
                  "an event that takes no more room is accepted");
    event_unref(&known);
    event_unref(&fresh);
    event_unref(&gone);
}
END_TEST

START_TEST(members_count_for_their_channel_and_not_for_the_state)
{
    struct state_limits none = {0};
    struct event *member = make(2, "c:c",
                                "\x01"
                                "a",
                                false, 0);
    ck_assert(state_has_room(state, member, &none));
    ck_assert_int_eq(state_apply(state, member), 0);
    set(3, "c:c", "\x01");
    none.member_bytes = (member->entry.len + STATE_KEY_COST) * 11 / 4;
    struct event *another = make(4, "c:c",
                                 "\x01"
                                 "b",
                                 false, 0),
                 *number = make(4, "c:d", "\x01", false, 0);
    ck_assert_msg(!state_has_room(state, another, &none), "members have a bound of their own");
    ck_assert_msg(state_has_room(state, number, &none), "a number of members has room beyond it");
    event_unref(&another);
    event_unref(&number);
    ck_assert_uint_eq(state_count(state) + state_bytes(state), 0);
    ck_assert(!state_is_empty(state));
    ck_assert_uint_eq(state_members(state, S("c")), 1);
    ck_assert_uint_eq(state_members(state, S("d")), 0);
    ck_assert_ptr_eq(state_member(state, S("c"), S("a")), member);
    ck_assert_ptr_null(state_member(state, S("c"), S("b")));
    forget(4, "c:c",
           "\x01"
           "a");
    ck_assert_uint_eq(state_members(state, S("c")), 0);
    event_unref(&member);
}
END_TEST

static void put_seq(void *context, struct event *e)
{
    char *out = context;
    size_t len = strlen(out);
    snprintf(out + len, 64 - len, "%" PRIu64 " ", e->seq);
}

static void assert_subscriptions(const char *should)
{
    char is[64] = "";
    state_each_subscription(state, 1000, put_seq, is);
    ck_assert_str_eq(is, should);
}

#define SUBSCRIPTION(name) "c:/.well-known/mercure/subscriptions/" name

START_TEST(subscriptions_are_found_without_the_rest)
{
    static const char first[] = "\x01"
                                "1",
                      second[] = "\x01"
                                 "2";
    set(1, "c:c", first); /* a member */
    set(2, SUBSCRIPTION("t/a"), first);
    set(3, SUBSCRIPTION("t/b"), "key");
    set(4, SUBSCRIPTION("t/b"), "\x01");
    set(5, SUBSCRIPTION("t/b"), second);
    set(6, SUBSCRIPTION("t/a"), second);
    set(7, "s:/.well-known/mercure/subscriptions/t/a", "key");
    assert_subscriptions("2 5 6 ");

    set(8, SUBSCRIPTION("t/a"), first);
    forget(9, SUBSCRIPTION("t/b"), second);
    assert_subscriptions("6 8 ");

    state_hold(state);
    set(10, SUBSCRIPTION("t/c"), first);
    forget(11, SUBSCRIPTION("t/a"), second);
    assert_subscriptions("8 10 ");
    state_rollback(state, 9);
    assert_subscriptions("6 8 ");

    state_clear(state);
    assert_subscriptions("");
}
END_TEST

START_TEST(the_text_has_no_id_and_is_made_once)
{
    struct event *e = make(7, "", "a", false, 0);
    state_apply(state, e);
    struct event *text = state_text(state, e);
    assert_slice(text->text, S("data: x\n\n"));
    ck_assert_ptr_eq(state_text(state, e), text);
    set(8, "", "a");
    ck_assert_ptr_null(state_text(state, e));
    event_unref(&e);
}
END_TEST

START_TEST(what_was_not_settled_is_taken_back)
{
    struct event *first = make(1, "", "a", false, 0);
    state_hold(state);
    state_apply(state, first);
    set(2, "", "b");
    state_settle(state);
    set(3, "", "a");
    forget(4, "", "b");
    set(5, "", "b");
    set(6, "s:s", "c");
    assert_read("3 5 6");
    state_rollback(state, 4);
    assert_read("3");
    state_rollback(state, 2);
    assert_read("1 2");
    ck_assert(!first->superseded);
    ck_assert_uint_eq(state_count(state), 2);
    state_settle(state);
    assert_read("1 2");
    event_unref(&first);
}
END_TEST

START_TEST(changes_are_listed_until_they_are_settled)
{
    state_hold(state);
    set(1, "", "a");
    set(2, "", "a");
    forget(3, "", "a");
    ck_assert_ptr_null(state_change(state, 0)->before);
    ck_assert_uint_eq(state_change(state, 1)->before->seq, 1);
    ck_assert_uint_eq(state_change(state, 2)->before->seq, 2);
    ck_assert(state_change(state, 2)->after->remove);
    ck_assert_ptr_null(state_change(state, 3));
    state_settle(state);
    ck_assert_ptr_null(state_change(state, 0));
}
END_TEST

/* Any changes, taken back or settled, leave what a simple table says. */
static void try_many(bool held)
{
    struct dice dice = dice_new();
    struct plain_state plain = {0}, settled = {0};
    printf("state: SEED=%" PRIu64 "\n", dice.state);
    uint64_t base = 0;

    for (uint64_t seq = 1; seq < 4000; seq++) {
        uint64_t t = roll(&dice, TARGETS), k = roll(&dice, KEYS);
        bool remove = roll(&dice, 4) == 0;
        apply(seq, targets[t], keys[k], remove);
        plain.seqs[t][k] = remove ? 0 : seq;

        if (roll(&dice, 10) == 0) {
            state_settle(state);
            settled = plain;
            base = seq;
        } else if (held && roll(&dice, 10) == 0) {
            state_rollback(state, base);
            plain = settled;
        }
        assert_same(&plain);
    }
}

START_TEST(any_changes_are_taken_back)
{
    state_hold(state);
    try_many(true);
}
END_TEST

START_TEST(any_changes_are_final)
{
    try_many(false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tests = one_case(suite, "state");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_newest_event_of_each_key_is_kept);
    tcase_add_test(tests, a_key_belongs_to_its_target);
    tcase_add_test(tests, target_and_key_are_not_confused);
    tcase_add_test(tests, events_without_a_key_change_nothing);
    tcase_add_test(tests, a_removed_key_is_forgotten);
    tcase_add_test(tests, the_event_before_is_marked);
    tcase_add_test(tests, a_private_and_a_public_event_are_two_places);
    tcase_add_test(tests, a_compacted_history_keeps_what_only_a_private_event_follows);
    tcase_add_test(tests, taking_back_a_private_event_leaves_the_public_one);
    tcase_add_test(tests, a_reader_is_spared_values_and_no_begin_of_a_subscription);
    tcase_add_test(tests, an_older_event_is_marked_and_replaces_nothing);
    tcase_add_test(tests, an_event_may_be_applied_twice);
    tcase_add_test(tests, the_same_event_as_another_object_takes_its_place);
    tcase_add_test(tests, an_event_of_the_past_changes_nothing);
    tcase_add_test(tests, a_reader_gets_pages);
    tcase_add_test(tests, an_expired_key_is_forgotten);
    tcase_add_test(tests, a_later_event_lengthens_or_ends_the_time);
    tcase_add_test(tests, new_keys_have_a_bound);
    tcase_add_test(tests, members_count_for_their_channel_and_not_for_the_state);
    tcase_add_test(tests, subscriptions_are_found_without_the_rest);
    tcase_add_test(tests, the_text_has_no_id_and_is_made_once);
    tcase_add_test(tests, what_was_not_settled_is_taken_back);
    tcase_add_test(tests, changes_are_listed_until_they_are_settled);
    tcase_add_test(tests, any_changes_are_taken_back);
    tcase_add_test(tests, any_changes_are_final);
    return run_suite(suite);
}
