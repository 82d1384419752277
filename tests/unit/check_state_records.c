#include "model/state_records.h"

#include "codec/event_record.h"
#include "states.h"

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

/* A record of another broker gives a key that was missed, and shows that another one is void. */
START_TEST(a_record_shows_that_a_later_event_is_void)
{
    struct event *e;
    char text[1024];
    size_t len = 0;
    state_hold(state);
    set(10, "", "x");
    state_settle(state);
    state_distrust(state);

    const char *const names[] = {"a", "x"};
    for (int i = 0; i < 2; i++) {
        struct event *one = event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                           .seq = 5 + (uint64_t)i,
                                                           .time_ms = 1000,
                                                           .key = slice_of(names[i]),
                                                           .data = slice_of("1")});
        memcpy(text + len, one->entry.data, one->entry.len);
        len += one->entry.len;
        event_unref(&one);
    }
    e = event_new(&(struct event_spec){.kind = EVENT_STATE, .seq = 20, .data = {text, len}});
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(state_apply(state, e), 0);
    state_settle(state);
    assert_read("5 6");
    event_unref(&e);
}
END_TEST

/* Take the changes of the last batch for later. */
static size_t take_changes(struct state_change *out)
{
    const struct state_change *c;
    size_t count = 0;
    for (; (c = state_change(state, count)); count++)
        out[count] =
            (struct state_change){c->before ? event_ref(c->before) : NULL, event_ref(c->after)};
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

/* A few changes are final, and then void.
 * The events that they replaced may have left the indexes. */
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
    Suite *suite = suite_create("state_records");
    TCase *tests = one_case(suite, "state_records");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_record_makes_keys_young_again);
    tcase_add_test(tests, a_record_gives_what_is_missing_in_its_place);
    tcase_add_test(tests, a_record_shows_that_a_later_event_is_void);
    tcase_add_test(tests, what_is_undone_is_written_again_first);
    tcase_add_test(tests, any_final_changes_can_be_undone);
    return run_suite(suite);
}
