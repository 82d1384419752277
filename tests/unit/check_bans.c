#include "model/bans.h"

#include "codec/audience.h"
#include "codec/event_record.h"
#include "support.h"

static struct bans *bans;

static void setup(void)
{
    bans = bans_new();
    ck_assert_ptr_nonnull(bans);
}

static void teardown(void)
{
    bans_free(&bans);
    ck_assert_ptr_null(bans);
    bans_free(&bans);
}

static void set(const char *session, int64_t until_ms, uint64_t seq)
{
    ck_assert_int_eq(bans_set(bans, slice_of(session), until_ms, seq), 0);
}

/* All bans in the order of their records: "a=1000 b=2000". */
static void assert_bans(const char *should)
{
    char is[1000] = "";
    size_t len = 0, count = 0;
    struct slice session;
    int64_t until_ms;
    for (const void *ban = NULL; (ban = bans_next(bans, ban, &session, &until_ms)); count++)
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%.*s=%" PRId64, len ? " " : "",
                                (int)session.len, session.data, until_ms);
    ck_assert_str_eq(is, should);
    ck_assert_uint_eq(bans_count(bans), count);
}

START_TEST(a_session_is_turned_away_until_then)
{
    ck_assert_int_eq(bans_until(bans, S("a"), 0), 0);
    set("a", 1000, 1);
    ck_assert_int_eq(bans_until(bans, S("a"), 999), 1000);
    ck_assert_int_eq(bans_until(bans, S("a"), 1000), 0);
    ck_assert_int_eq(bans_until(bans, S("b"), 0), 0);
}
END_TEST

START_TEST(the_last_word_counts)
{
    set("a", 1000, 1);
    set("b", 900, 2);
    set("a", 500, 3);
    assert_bans("b=900 a=500");
    set("b", 2000, 4);
    assert_bans("a=500 b=2000");
    set("a", 0, 5);
    set("c", 0, 6);
    assert_bans("b=2000");
    ck_assert_uint_eq(bans_bytes(bans), event_ban_size(S("b")));
}
END_TEST

/* What an event of this kind at 10,000 ms says of two sessions and a channel. */
static void shut_down(enum event_kind kind, uint32_t block_s)
{
    struct slice sessions[] = {S("a"), S("b")}, channel = S("c");
    struct event_spec spec = {.kind = kind,
                              .seq = 1,
                              .time_ms = 10000,
                              .has_to = true,
                              .block_s = block_s,
                              .lists = {{sessions, 2}, {&channel, 1}}};
    struct event *e = event_new(&spec);
    ck_assert_int_eq(bans_apply(bans, e), 0);
    event_unref(&e);
}

START_TEST(a_shutdown_bans_the_sessions_it_names)
{
    shut_down(EVENT_SHUTDOWN, 60);
    assert_bans("a=70000 b=70000");
    shut_down(EVENT_SHUTDOWN, 10);
    assert_bans("a=20000 b=20000");
}
END_TEST

START_TEST(the_longest_ban_does_not_wrap_around)
{
    shut_down(EVENT_SHUTDOWN, UINT32_MAX);
    ck_assert_int_eq(bans_until(bans, S("a"), 0), 10000 + (int64_t)UINT32_MAX * 1000);
}
END_TEST

START_TEST(a_shutdown_without_block_seconds_lifts)
{
    set("a", 90000, 1);
    shut_down(EVENT_MESSAGE, 0);
    assert_bans("a=90000");
    shut_down(EVENT_SHUTDOWN, 0);
    assert_bans("");
    shut_down(EVENT_MESSAGE, 60);
    assert_bans("");
}
END_TEST

/* The bans of a record: name, end, ... */
static struct event *record(uint64_t seq, const char *first, int64_t first_until,
                            const char *second, int64_t second_until)
{
    char text[100];
    size_t size = event_ban_size(slice_of(first));
    event_put_ban(text, slice_of(first), first_until);
    event_put_ban(text + size, slice_of(second), second_until);
    struct event_spec spec = {.kind = EVENT_BANS,
                              .seq = seq,
                              .time_ms = 5000,
                              .data = {text, size + event_ban_size(slice_of(second))}};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

START_TEST(a_record_of_bans_says_it_for_each)
{
    set("b", 3000, 1);
    struct event *e = record(2, "a", 7000, "b", 0);
    ck_assert_int_eq(bans_apply(bans, e), 0);
    assert_bans("a=7000");
    event_unref(&e);
}
END_TEST

START_TEST(a_record_is_an_entry_like_others)
{
    struct event *e = record(2, "anna", 7000, "b", 0);
    size_t used, cursor = 0;
    struct event *again = event_parse(e->entry, &used);
    struct slice session;
    int64_t until_ms;
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(used, e->entry.len);
    ck_assert_int_eq(again->kind, EVENT_BANS);
    ck_assert(again->has_to && !event_concerns(again, &(struct audience){.session = S("anna")}));
    ck_assert(event_next_ban(again, &cursor, &session, &until_ms));
    assert_slice(session, S("anna"));
    ck_assert_int_eq(until_ms, 7000);
    ck_assert(event_next_ban(again, &cursor, &session, &until_ms));
    assert_slice(session, S("b"));
    ck_assert_int_eq(until_ms, 0);
    ck_assert(!event_next_ban(again, &cursor, &session, &until_ms));
    event_unref(&again);
    event_unref(&e);
}
END_TEST

/* Each with one byte of the text of a record set to something else; "anna" has 4 + 10 bytes. */
static const struct {
    size_t at;
    char byte;
} broken[] = {{0, 0}, {0, 5}, {0, 3}, {1, 1}, {13, (char)0x80}, {14, 0}, {14, 2}};

START_TEST(what_is_no_record_of_bans_is_no_event)
{
    struct event *e = record(2, "anna", 7000, "b", 0);
    size_t used;
    e->bytes[EVENT_ENTRY_MIN + broken[_i].at] = broken[_i].byte;
    ck_assert_ptr_null(event_parse(e->entry, &used));
    event_unref(&e);
}
END_TEST

START_TEST(those_that_ended_are_forgotten)
{
    const char names[] = "abcdefghijklmnopqrstuvwxyz";
    for (int i = 0; names[i]; i++)
        ck_assert_int_eq(bans_set(bans, (struct slice){names + i, 1}, 'z' - i, 1), 0);
    bans_expire(bans, 'y');
    assert_bans("a=122");
    ck_assert_uint_eq(bans_bytes(bans), event_ban_size(S("a")));
}
END_TEST

/* --- what may be taken back --- */

START_TEST(what_was_not_settled_is_taken_back)
{
    set("a", 1000, 1);
    set("b", 2000, 2);
    set("c", 3000, 3);
    bans_hold(bans);
    set("b", 0, 4);
    set("d", 4000, 5);
    set("a", 500, 6);
    set("b", 9000, 7);
    assert_bans("c=3000 d=4000 a=500 b=9000");
    bans_rollback(bans, 6);
    assert_bans("c=3000 d=4000 a=500");
    bans_rollback(bans, 3);
    assert_bans("a=1000 b=2000 c=3000");
    bans_expire(bans, 1000);
    assert_bans("b=2000 c=3000");
}
END_TEST

START_TEST(what_was_settled_stays)
{
    bans_hold(bans);
    set("a", 1000, 1);
    set("b", 2000, 1);
    bans_settle(bans);
    bans_rollback(bans, 0);
    assert_bans("a=1000 b=2000");
    set("a", 0, 2);
    set("a", 0, 2);
    set("c", 0, 2);
    bans_settle(bans);
    bans_rollback(bans, 0);
    assert_bans("b=2000");
    bans_settle(bans);
}
END_TEST

/* Against a copy of how it was. */
START_TEST(any_changes_are_taken_back_in_any_number)
{
    struct dice dice = dice_new();
    printf("bans: SEED=%" PRIu64 "\n", dice.state);
    fflush(stdout);
    int64_t final[8] = {0}, now[8] = {0};
    uint64_t seq = 0, settled = 0;
    bans_hold(bans);
    for (int round = 0; round < 20000; round++) {
        char name = (char)('a' + roll(&dice, 8));
        int64_t until = roll(&dice, 3) ? (int64_t)roll(&dice, 1000) + 1 : 0;
        uint64_t what = roll(&dice, 20);
        if (what == 0) {
            bans_settle(bans);
            memcpy(final, now, sizeof now);
            settled = seq;
        } else if (what == 1) {
            bans_rollback(bans, settled);
            memcpy(now, final, sizeof now);
            seq = settled;
        } else {
            ck_assert_int_eq(bans_set(bans, (struct slice){&name, 1}, until, ++seq), 0);
            now[name - 'a'] = until;
        }
        size_t count = 0;
        for (int i = 0; i < 8; i++) {
            char of = (char)('a' + i);
            ck_assert_int_eq(bans_until(bans, (struct slice){&of, 1}, 0), now[i]);
            count += now[i] != 0;
        }
        ck_assert_uint_eq(bans_count(bans), count);
        ck_assert_uint_eq(bans_bytes(bans), count * event_ban_size(S("a")));
    }
}
END_TEST

/* --- what replaces everything --- */

START_TEST(a_list_replaces_what_was_known)
{
    set("a", 1000, 1);
    set("b", 2000, 2);
    ck_assert_int_eq(bans_say(bans, S("b"), 1500), 0);
    ck_assert_int_eq(bans_say(bans, S("c"), 3000), 0);
    assert_bans("a=1000 b=1500 c=3000");
    bans_replace(bans, 10, 0);
    assert_bans("b=1500 c=3000");
    bans_replace(bans, 20, 0);
    assert_bans("");
}
END_TEST

START_TEST(who_does_not_know_old_bans_does_not_lift_them)
{
    set("a", 1000, 5);
    set("b", 2000, 50);
    ck_assert_int_eq(bans_say(bans, S("c"), 3000), 0);
    bans_replace(bans, 60, 40);
    assert_bans("a=1000 c=3000");
    bans_replace(bans, 70, 40); /* c was said by the same, and is lifted */
    assert_bans("a=1000");
    bans_replace(bans, 80, 0);
    assert_bans("");
}
END_TEST

/* --- before the log forgets --- */

static void assert_collected(size_t max, const char *should)
{
    char *text;
    char is[200] = "";
    size_t len = bans_collect(bans, max, &text), at = 0;
    struct event_spec spec = {.kind = EVENT_BANS, .seq = 1, .data = {text, len}};
    struct event *e = event_new(&spec);
    struct slice session;
    int64_t until_ms;
    for (size_t cursor = 0; event_next_ban(e, &cursor, &session, &until_ms);)
        at += (size_t)snprintf(is + at, sizeof is - at, "%s%.*s", at ? " " : "", (int)session.len,
                               session.data);
    ck_assert_str_eq(is, should);
    event_unref(&e);
    free(text);
}

START_TEST(old_bans_are_due)
{
    ck_assert_uint_eq(bans_oldest(bans), 0);
    ck_assert(!bans_due(bans));
    set("a", 1000, 7);
    bans_next_quarter(bans);
    set("b", 1000, 8);
    ck_assert(!bans_due(bans));
    assert_collected(1000, "a");
    bans_next_quarter(bans);
    set("c", 1000, 9);
    ck_assert(bans_due(bans));
    ck_assert_uint_eq(bans_oldest(bans), 7);
    assert_collected(1000, "a b");
    assert_collected(event_ban_size(S("a")), "a");
    assert_collected(1, "a"); /* one at least */
    set("a", 1000, 10);
    ck_assert(!bans_due(bans));
    ck_assert_uint_eq(bans_oldest(bans), 8);
}
END_TEST

START_TEST(bans_in_doubt_are_due_first)
{
    set("a", 1000, 1);
    set("b", 1000, 2);
    set("c", 1000, 3);
    bans_doubt(bans, 1);
    ck_assert(bans_due(bans));
    assert_bans("b=1000 c=1000 a=1000");
    assert_collected(1000, "b c");
    bans_doubt(bans, 0);
    assert_collected(1000, "a b c");
}
END_TEST

START_TEST(bans_that_may_be_lifted_are_not_written_again_until_a_record_has_them)
{
    set("a", 1000, 1);
    set("b", 1000, 2);
    bans_distrust(bans);
    for (int i = 0; i < 3; i++)
        bans_next_quarter(bans);
    ck_assert(!bans_due(bans));
    assert_bans("a=1000 b=1000"); /* they hold */

    set("b", 1000, 3);
    bans_next_quarter(bans);
    assert_bans("b=1000");
    assert_collected(1000, "b");
    ck_assert_uint_eq(bans_oldest(bans), 3);
}
END_TEST

START_TEST(a_record_that_is_taken_back_confirms_no_ban)
{
    set("a", 1000, 1);
    bans_hold(bans);
    bans_settle(bans);
    bans_distrust(bans);
    set("a", 1000, 2);
    bans_rollback(bans, 1);
    bans_next_quarter(bans);
    bans_next_quarter(bans);
    ck_assert(!bans_due(bans));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bans");
    TCase *tests = one_case(suite, "bans");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_session_is_turned_away_until_then);
    tcase_add_test(tests, the_last_word_counts);
    tcase_add_test(tests, a_shutdown_bans_the_sessions_it_names);
    tcase_add_test(tests, the_longest_ban_does_not_wrap_around);
    tcase_add_test(tests, a_shutdown_without_block_seconds_lifts);
    tcase_add_test(tests, a_record_of_bans_says_it_for_each);
    tcase_add_test(tests, a_record_is_an_entry_like_others);
    tcase_add_loop_test(tests, what_is_no_record_of_bans_is_no_event, 0,
                        (int)(sizeof broken / sizeof broken[0]));
    tcase_add_test(tests, those_that_ended_are_forgotten);
    tcase_add_test(tests, what_was_not_settled_is_taken_back);
    tcase_add_test(tests, what_was_settled_stays);
    tcase_add_test(tests, any_changes_are_taken_back_in_any_number);
    tcase_add_test(tests, a_list_replaces_what_was_known);
    tcase_add_test(tests, who_does_not_know_old_bans_does_not_lift_them);
    tcase_add_test(tests, old_bans_are_due);
    tcase_add_test(tests, bans_in_doubt_are_due_first);
    tcase_add_test(tests, bans_that_may_be_lifted_are_not_written_again_until_a_record_has_them);
    tcase_add_test(tests, a_record_that_is_taken_back_confirms_no_ban);
    return run_suite(suite);
}
