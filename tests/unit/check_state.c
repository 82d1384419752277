#include "model/state.h"

#include "support.h"

#define MOST 64 /* events that a read returns */

static struct state *state;

static void setup(void)
{
    state = state_new();
    ck_assert_ptr_nonnull(state);
}

static void teardown(void)
{
    state_free(&state);
    ck_assert_ptr_null(state);
    state_free(&state);
}

/* A target: "" everyone, "s:NAME" a session, "c:NAME" a channel. */
static struct event *make(uint64_t seq, const char *target, const char *key, bool remove, uint32_t ttl_s)
{
    struct slice name = {.data = target + 2, .len = target[0] ? strlen(target) - 2 : 0};
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .time_ms = 1000,
                              .key = slice_of(key),
                              .data = S("x"),
                              .remove = remove,
                              .ttl_s = ttl_s,
                              .has_to = target[0] != '\0'};
    if (spec.has_to)
        spec.lists[target[0] == 's' ? TO_SESSIONS : TO_CHANNELS] = (struct names){&name, 1};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* Apply an event. True when it is not superseded afterwards. */
static bool apply(uint64_t seq, const char *target, const char *key, bool remove)
{
    struct event *e = make(seq, target, key, remove, 0);
    ck_assert_int_eq(state_apply(state, e), 0);
    bool current = !e->superseded;
    event_unref(&e);
    return current;
}

static void set(uint64_t seq, const char *target, const char *key)
{
    ck_assert(apply(seq, target, key, false));
}

static void forget(uint64_t seq, const char *target, const char *key)
{
    apply(seq, target, key, true);
}

/* The seqs that a reader of session s and channel c is sent after a position: "3 5 7". */
static void assert_read_at(int64_t now_ms, uint64_t after, uint64_t upto, size_t max, size_t max_bytes,
                           const char *should)
{
    struct slice channel = S("c");
    struct audience who = {.session = S("s"), .connection = S("1"), .channels = {&channel, 1}};
    struct history_filter filter = {.who = &who, .now_ms = now_ms};
    struct event *out[MOST];
    char is[512] = "";
    size_t len = 0, count = state_read(state, &filter, after, upto, out, max, max_bytes);

    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%" PRIu64, i ? " " : "", out[i]->seq);
    ck_assert_str_eq(is, should);
}

static void count_ascending(void *context, struct event *e)
{
    uint64_t *seen = context; /* the number, and the last seq */
    ck_assert_uint_gt(e->seq, seen[1]);
    seen[0]++;
    seen[1] = e->seq;
}

/* Reading without a reader gives this number of events. */
static void assert_all(size_t count)
{
    struct event *out[MOST];
    struct history_filter filter = {.now_ms = 1000};
    uint64_t seen[2] = {0};
    ck_assert_uint_eq(state_read(state, &filter, 0, UINT64_MAX, out, MOST, SIZE_MAX), count);
    state_each(state, &filter, count_ascending, seen);
    ck_assert_uint_eq(seen[0], count);
}

static void assert_read(const char *should)
{
    assert_read_at(1000, 0, UINT64_MAX, MOST, SIZE_MAX, should);
}

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
    ck_assert(older->superseded && gone->superseded && !removal->superseded && !same->superseded);
    ck_assert(state_supersedes(state, older) && !state_supersedes(state, same) && !state_supersedes(state, gone));
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
    ck_assert_msg(state_has_room(state, known, &large), "an event that takes no more room is accepted");
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

static const char *const targets[] = {"", "s:s", "c:c", "s:other"};
static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
#define TARGETS 4
#define KEYS 8

/* The seq of the newest event of each key; 0: none. */
struct plain_state {
    uint64_t seqs[TARGETS][KEYS];
};

static void assert_same(const struct plain_state *plain)
{
    char should[512] = "";
    size_t len = 0, count = 0;

    for (uint64_t seq = 1, last = 0; last != UINT64_MAX; seq = last + 1) {
        last = UINT64_MAX;
        for (int t = 0; t < TARGETS - 1; t++)
            for (int k = 0; k < KEYS; k++)
                if (plain->seqs[t][k] >= seq && plain->seqs[t][k] < last)
                    last = plain->seqs[t][k];
        if (last != UINT64_MAX)
            len += (size_t)snprintf(should + len, sizeof should - len, "%s%" PRIu64, len ? " " : "", last);
    }
    for (int t = 0; t < TARGETS; t++)
        for (int k = 0; k < KEYS; k++)
            count += plain->seqs[t][k] != 0;
    assert_read(should);
    ck_assert_uint_eq(state_count(state), count);
    assert_all(count);
}

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

/* --- records --- */

/* A record with the events of the state that are due. The number of its entries. */
static size_t record(uint64_t seq, size_t max, struct event **out)
{
    const void *cursor = NULL;
    char *text;
    size_t count = 0, at = 0, len = state_collect(state, 2000, max, SIZE_MAX, &cursor, &text);
    *out = event_new(&(struct event_spec){.kind = EVENT_STATE, .seq = seq, .data = {text, len}});
    ck_assert_ptr_nonnull(*out);
    free(text);
    for (struct event *e; (e = event_next_entry(*out, &at)); event_unref(&e))
        count++;
    return count;
}

static void next_quarters(int count)
{
    while (count--)
        state_next_quarter(state);
}

START_TEST(a_record_makes_keys_young_again)
{
    struct event *e;
    state_hold(state);
    ck_assert_int_eq(state_record_age(state), -1);
    set(1, "", "a");
    set(2, "c:c", "b");
    state_settle(state);
    ck_assert_int_eq(state_record_age(state), 0);
    ck_assert_uint_eq(record(10, SIZE_MAX, &e), 0);
    event_unref(&e);

    next_quarters(2);
    set(3, "", "c");
    state_settle(state);
    ck_assert_int_eq(state_record_age(state), 2);
    ck_assert_uint_eq(record(10, 1, &e), 1);
    event_unref(&e);
    ck_assert_uint_eq(record(10, SIZE_MAX, &e), 2);
    ck_assert_int_eq(state_apply(state, e), 0);
    ck_assert_int_eq(state_record_age(state), 0);
    assert_read("1 2 3");
    event_unref(&e);

    state_doubt(state, 5);
    ck_assert_uint_eq(record(11, SIZE_MAX, &e), 2);
    event_unref(&e);
}
END_TEST

START_TEST(a_record_gives_what_is_missing_in_its_place)
{
    struct event *e;
    state_hold(state);
    for (uint64_t seq = 1; seq < 40; seq++)
        set(seq, "", (char[]){(char)('A' + (int)seq), '\0'});
    state_settle(state);
    next_quarters(1);
    ck_assert_uint_eq(record(100, SIZE_MAX, &e), 39);

    struct state *other = state_new();
    state_free(&state);
    state = other;
    set(50, "", "later");
    set(51, "", "B"); /* later than the one in a record before */
    ck_assert_int_eq(state_apply(state, e), 0);
    ck_assert_uint_eq(state_count(state), 40);
    assert_read_at(0, 0, 5, MOST, SIZE_MAX, "2 3 4 5");
    assert_read_at(0, 38, UINT64_MAX, MOST, SIZE_MAX, "39 50 51");
    event_unref(&e);
}
END_TEST

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

/* Take the changes of the last batch for later. */
static size_t take_changes(struct state_change *out)
{
    const struct state_change *c;
    size_t count = 0;
    for (; (c = state_change(state, count)); count++)
        out[count] = (struct state_change){c->before ? event_ref(c->before) : NULL, event_ref(c->after)};
    return count;
}

static void undo_changes(struct state_change *changes, size_t count, bool undo)
{
    while (count--) {
        if (undo)
            state_undo(state, changes[count].before, changes[count].after);
        event_unref(&changes[count].before);
        event_unref(&changes[count].after);
    }
}

/* A few changes are final, and then void. The events that they replaced may have left the indexes. */
START_TEST(any_final_changes_can_be_undone)
{
    struct dice dice = dice_new();
    struct plain_state plain = {0}, before;
    struct state_change changes[20];
    printf("state: SEED=%" PRIu64 "\n", dice.state);
    state_hold(state);

    for (uint64_t seq = 1; seq < 8000;) {
        before = plain;
        for (uint64_t left = roll(&dice, 20); left; left--, seq++) {
            uint64_t t = roll(&dice, TARGETS), k = roll(&dice, KEYS);
            bool remove = roll(&dice, 4) == 0;
            apply(seq, targets[t], keys[k], remove);
            plain.seqs[t][k] = remove ? 0 : seq;
        }

        size_t count = take_changes(changes);
        state_settle(state);
        bool undo = roll(&dice, 2) == 0;
        undo_changes(changes, count, undo);
        plain = undo ? before : plain;
        assert_same(&plain);
    }
}
END_TEST

START_TEST(what_is_undone_is_written_again_first)
{
    struct event *e, *first = make(1, "", "a", false, 0), *second = make(3, "", "a", false, 0);
    size_t at = 0;
    state_hold(state);
    state_apply(state, first);
    set(2, "", "b");
    state_apply(state, second);
    state_settle(state);
    state_undo(state, first, second);
    assert_read("1 2");
    ck_assert(!first->superseded && second->superseded);

    ck_assert_uint_eq(record(10, SIZE_MAX, &e), 1);
    struct event *again = event_next_entry(e, &at);
    ck_assert_uint_eq(again->seq, 1);
    event_unref(&again);
    event_unref(&e);
    event_unref(&first);
    event_unref(&second);
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
    tcase_add_test(tests, an_older_event_is_marked_and_replaces_nothing);
    tcase_add_test(tests, an_event_may_be_applied_twice);
    tcase_add_test(tests, the_same_event_as_another_object_takes_its_place);
    tcase_add_test(tests, an_event_of_the_past_changes_nothing);
    tcase_add_test(tests, a_reader_gets_pages);
    tcase_add_test(tests, an_expired_key_is_forgotten);
    tcase_add_test(tests, a_later_event_lengthens_or_ends_the_time);
    tcase_add_test(tests, new_keys_have_a_bound);
    tcase_add_test(tests, members_count_for_their_channel_and_not_for_the_state);
    tcase_add_test(tests, the_text_has_no_id_and_is_made_once);
    tcase_add_test(tests, what_was_not_settled_is_taken_back);
    tcase_add_test(tests, changes_are_listed_until_they_are_settled);
    tcase_add_test(tests, a_record_makes_keys_young_again);
    tcase_add_test(tests, a_record_gives_what_is_missing_in_its_place);
    tcase_add_test(tests, what_is_undone_is_written_again_first);
    tcase_add_test(tests, any_final_changes_can_be_undone);
    tcase_add_test(tests, any_changes_are_taken_back);
    tcase_add_test(tests, any_changes_are_final);
    return run_suite(suite);
}
