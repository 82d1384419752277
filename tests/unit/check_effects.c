/* What events change beside the history, and what a log must have again. */
#include "codec/event_record.h"
#include "log/effects.h"

#include <errno.h>

#include "support.h"

static const struct history_limits log_limits = {.events = 40, .bytes = 8 << 20, .age_ms = 60000};

static struct effects *effects;
static uint64_t seq;

static void setup(void)
{
    seq = 0;
    effects = effects_new(&log_limits);
    ck_assert_ptr_nonnull(effects);
}

static void teardown(void)
{
    effects_free(&effects);
    ck_assert_ptr_null(effects);
    effects_free(&effects);
}

static struct event *make(const char *key, const char *banned, size_t bytes)
{
    static char data[100000];
    struct slice name = slice_of(banned);
    memset(data, 'x', sizeof data);
    struct event_spec spec = {.kind = banned ? EVENT_SHUTDOWN : EVENT_MESSAGE,
                              .seq = ++seq,
                              .time_ms = 5000,
                              .key = slice_of(key),
                              .data = {data, banned ? 0 : bytes},
                              .has_to = banned != NULL,
                              .block_s = banned ? 60 : 0};
    if (banned)
        spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* Admit and apply it. 0 or an error, which changed nothing. */
static int apply_by(struct event *e, bool limited)
{
    int err = effects_admit(effects, e, limited);
    err = err ? err : effects_apply(effects, e, limited);
    if (err)
        effects_rollback(effects, e->seq - 1);
    event_unref(&e);
    return err;
}

static int apply(struct event *e)
{
    return apply_by(e, false);
}

/* The log has n more events. */
static void fill(int n)
{
    while (n--) {
        struct event *e = make(NULL, NULL, 1);
        effects_note(effects, e);
        event_unref(&e);
    }
}

static void set_both(void)
{
    ck_assert_int_eq(apply(make("a", NULL, 1)), 0);
    ck_assert_int_eq(apply(make(NULL, "anna", 0)), 0);
    effects_settle(effects);
}

START_TEST(without_a_log_nothing_is_due)
{
    set_both();
    fill(40);
    ck_assert(!effects_bans_due(effects) && !effects_keys_due(effects) &&
              !effects_is_urgent(effects));
}
END_TEST

START_TEST(with_a_store_bans_are_due_and_with_a_journal_keys_too)
{
    effects_rewrite(effects, _i ? REWRITE_ALL : REWRITE_BANS);
    set_both();
    fill(11);
    ck_assert(!effects_bans_due(effects) && !effects_keys_due(effects));
    fill(11);
    ck_assert(effects_bans_due(effects));
    ck_assert_int_eq(effects_keys_due(effects), _i);
    ck_assert(!effects_is_urgent(effects));
    fill(11);
    ck_assert_int_eq(effects_is_urgent(effects), _i);

    char *text;
    /* At least one. */
    ck_assert_uint_eq(effects_collect_bans(effects, 1, &text), event_ban_size(S("anna")));
    free(text);
}
END_TEST

START_TEST(a_quarter_ends_when_its_time_is_over)
{
    effects_rewrite(effects, REWRITE_BANS);
    fill(1);
    set_both();
    effects_tick(effects, 5000 + 15000);
    effects_tick(effects, 5000 + 30000);
    ck_assert(!effects_bans_due(effects));
    effects_tick(effects, 5000 + 30002);
    ck_assert(effects_bans_due(effects));
    effects_tick(effects, 5000 + 60000); /* the ban has ended */
    ck_assert(!effects_bans_due(effects));
    ck_assert_uint_eq(bans_count(effects_bans(effects)), 0);
}
END_TEST

/* Or it would last for as long as the clock was set back, and the log forgets by its own. */
START_TEST(a_quarter_ends_in_time_when_the_clock_is_set_back)
{
    effects_rewrite(effects, REWRITE_ALL);
    fill(1); /* at 5000 */
    set_both();
    if (_i)
        effects_tick(effects, 5000); /* else it was set back before the start */
    effects_tick(effects, 1000);
    effects_tick(effects, 1000 + 30000);
    ck_assert(!effects_keys_due(effects));
    effects_tick(effects, 1000 + 30002);
    ck_assert(effects_keys_due(effects));
    ck_assert(effects_bans_due(effects));
}
END_TEST

/* A record of every key must fit into the share that keys have of a journal. */
START_TEST(a_journal_has_a_share_for_keys_and_others_do_not_care)
{
    int err = 0;
    size_t bytes = 0;
    effects_rewrite(effects, _i ? REWRITE_ALL : REWRITE_BANS);
    for (char key[] = "a"; !err && key[0] < 'z'; key[0]++) {
        err = apply(make(key, NULL, 50000));
        bytes += err ? 0 : 50000;
    }
    ck_assert_int_eq(err, _i ? -EDQUOT : 0);
    ck_assert(!_i || bytes <= log_limits.bytes / 8);
}
END_TEST

/* The number of keys, of 50,000 bytes each, that publishers can set,
 * beside those that are there. */
static int set_keys(char first, bool limited)
{
    int count = 0;
    char key[] = {first, '\0'};
    while (key[0] <= 'z' && apply_by(make(key, NULL, 50000), limited) == 0) {
        key[0]++;
        count++;
    }
    return count;
}

START_TEST(publishers_with_limits_leave_a_quarter_of_each_bound)
{
    static const struct state_limits bounds[] = {
        {.events = 8, .bytes = UINT64_MAX},
        {.events = UINT64_MAX, .bytes = (uint64_t)8 * 51000},
        {.events = UINT64_MAX, .bytes = UINT64_MAX}, /* a journal's share */
    };
    effects_rewrite(effects, _i == 2 ? REWRITE_ALL : REWRITE_BANS);
    effects_limit_state(effects, &bounds[_i]);

    int limited = set_keys('a', true), others = set_keys('A', false), all = limited + others;
    ck_assert_msg(limited > 0 && limited <= (all * 3 + 3) / 4 && limited >= all / 2, "%d of %d",
                  limited, all);
    ck_assert_int_eq(apply_by(make("z", NULL, 50000), true), -EDQUOT);
    ck_assert_int_eq(apply_by(make("a", NULL, 40000), true), 0);
}
END_TEST

START_TEST(a_key_takes_room_for_its_record_in_a_journal)
{
    struct event *plain = make(NULL, NULL, 1), *keyed = make("a", NULL, 1);
    ck_assert_uint_eq(effects_batch_bytes(effects, keyed), keyed->entry.len);
    effects_rewrite(effects, REWRITE_ALL);
    ck_assert_uint_eq(effects_batch_bytes(effects, plain), plain->entry.len);
    ck_assert_uint_eq(effects_batch_bytes(effects, keyed), keyed->entry.len + EVENT_ENTRY_MIN);
    event_unref(&plain);
    event_unref(&keyed);
}
END_TEST

START_TEST(limits_refuse_and_what_was_applied_can_be_taken_back)
{
    effects_limit_bans(effects, 1);
    effects_limit_state(effects, &(struct state_limits){.events = 1, .bytes = 10000});
    ck_assert_int_eq(apply(make(NULL, "anna", 0)), 0);
    ck_assert_int_eq(apply(make(NULL, "bert", 0)), -E2BIG);
    ck_assert_int_eq(apply(make("a", NULL, 1)), 0);
    ck_assert_int_eq(apply(make("b", NULL, 1)), -EDQUOT);
    ck_assert_uint_eq(bans_count(effects_bans(effects)), 1);
    ck_assert_ptr_nonnull(effects_change(effects, 0));
    ck_assert_ptr_null(effects_change(effects, 1));

    effects_rollback(effects, 0);
    ck_assert_uint_eq(bans_count(effects_bans(effects)), 0);
    ck_assert_uint_eq(state_count(effects_state(effects)), 0);
}
END_TEST

static int set_bans(char first, bool limited)
{
    char name[] = "?";
    int count = 0;
    for (name[0] = first; apply_by(make(NULL, name, 0), limited) == 0; name[0]++)
        count++;
    return count;
}

START_TEST(who_bans_within_limits_leaves_a_quarter_of_each_bound)
{
    static const struct history_limits small = {.events = 40, .bytes = 8 * 100, .age_ms = 60000};
    effects_free(&effects);
    effects = effects_new(&small);
    effects_rewrite(effects, REWRITE_BANS);
    if (_i)
        effects_limit_bans(effects, 8); /* less than their share of the log */

    int limited = set_bans('a', true), others = set_bans('A', false), all = limited + others;
    ck_assert_msg(limited > 0 && limited <= (all * 3 + 3) / 4 && limited >= all / 2, "%d of %d",
                  limited, all);
    ck_assert_int_ne(apply_by(make(NULL, "z", 0), true), 0);
    ck_assert_int_eq(apply_by(make(NULL, "a", 0), true), 0); /* no further session */
}
END_TEST

START_TEST(the_last_batch_of_a_journal_can_be_undone)
{
    effects_rewrite(effects, REWRITE_ALL);
    ck_assert_int_eq(apply(make("a", NULL, 1)), 0);
    effects_settle(effects);
    effects_begin(effects);
    ck_assert_int_eq(apply(make("a", NULL, 1)), 0);
    ck_assert_int_eq(apply(make("b", NULL, 1)), 0);
    effects_settle(effects);
    ck_assert_uint_eq(state_count(effects_state(effects)), 2);

    effects_undo(effects);
    ck_assert_uint_eq(state_count(effects_state(effects)), 1);
    effects_undo(effects); /* nothing is left to undo */
    ck_assert_uint_eq(state_count(effects_state(effects)), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("effects");
    TCase *tests = one_case(suite, "effects");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, without_a_log_nothing_is_due);
    tcase_add_loop_test(tests, with_a_store_bans_are_due_and_with_a_journal_keys_too, 0, 2);
    tcase_add_test(tests, a_quarter_ends_when_its_time_is_over);
    tcase_add_loop_test(tests, a_quarter_ends_in_time_when_the_clock_is_set_back, 0, 2);
    tcase_add_loop_test(tests, a_journal_has_a_share_for_keys_and_others_do_not_care, 0, 2);
    tcase_add_loop_test(tests, publishers_with_limits_leave_a_quarter_of_each_bound, 0, 3);
    tcase_add_test(tests, a_key_takes_room_for_its_record_in_a_journal);
    tcase_add_test(tests, limits_refuse_and_what_was_applied_can_be_taken_back);
    tcase_add_loop_test(tests, who_bans_within_limits_leaves_a_quarter_of_each_bound, 0, 2);
    tcase_add_test(tests, the_last_batch_of_a_journal_can_be_undone);
    return run_suite(suite);
}
