/* The sequence: contiguous seqs, duplicates, all-or-none, what a batch gives to the feed. */
#include <errno.h>

#include "sequences.h"

START_TEST(seqs_follow_the_position_without_holes)
{
    ck_assert_uint_eq(sequence_head(sequence), START);
    ck_assert_uint_eq(append("a", NULL).seq, START + 1);
    ck_assert_uint_eq(append("b", NULL).seq, START + 2);
    ck_assert_uint_eq(sequence_head(sequence), START + 2);
}
END_TEST

START_TEST(a_known_id_is_answered_with_its_first_seq)
{
    struct sequenced first = append("a", "order-1"), other = append("b", "order-2"),
                     again = append("c", "order-1");
    ck_assert(!first.duplicate && !other.duplicate && again.duplicate);
    ck_assert_uint_eq(again.seq, first.seq);
    ck_assert_uint_eq(sequence_head(sequence), other.seq);
}
END_TEST

START_TEST(an_id_is_free_again_when_its_event_is_evicted)
{
    sequence_free(&sequence);
    begin_with(&(struct history_limits){.events = 2, .bytes = 1 << 20, .age_ms = 1000});
    append("a", "order-1");
    append("b", NULL);
    ck_assert(append("a", "order-1").duplicate);
    append("c", NULL);
    commit();
    ck_assert(!append("a", "order-1").duplicate);
}
END_TEST

START_TEST(an_id_of_another_publisher_is_no_duplicate_and_is_not_shown)
{
    struct sequenced mallory = append_of("token:mallory", "order-18"),
                     shop = append_of("key:shop", "order-18");
    ck_assert(!mallory.duplicate && !shop.duplicate);
    ck_assert_uint_eq(shop.seq, mallory.seq + 1);
    ck_assert(shows(mallory.seq) && !shows(shop.seq));
    ck_assert_uint_eq(named("order-18"), mallory.seq);
    struct sequenced again = append_of("key:shop", "order-18");
    ck_assert(again.duplicate);
    ck_assert_uint_eq(again.seq, shop.seq);
    ck_assert_uint_eq(append_of("token:mallory", "order-18").seq, mallory.seq);
    ck_assert_uint_eq(sequence_head(sequence), shop.seq);
}
END_TEST

START_TEST(an_id_that_is_used_again_after_its_eviction_is_not_shown_again)
{
    sequence_free(&sequence);
    begin_with(&(struct history_limits){.events = 2, .bytes = 1 << 20, .age_ms = 1000});
    uint64_t first = append("a", "daily").seq;
    for (int i = 0; i < 3; i++)
        append("b", NULL);
    commit();
    uint64_t second = append("d", "daily").seq;
    ck_assert(!shows(second));
    ck_assert_uint_eq(named("daily"), first);
    ck_assert(!history_knows(sequence_history(sequence), first));
    ck_assert(append("d", "daily").duplicate);
    commit();
    append("e", NULL);
    append("f", NULL);
    commit();
    ck_assert(!shows(append_of("token:x", "daily").seq));
}
END_TEST

START_TEST(an_id_that_is_taken_back_is_shown_by_who_uses_it_then)
{
    uint64_t before = sequence_head(sequence);
    ck_assert(shows(append_of("key:a", "x").seq));
    ck_assert(!shows(append_of("key:b", "x").seq));
    sequence_rollback(sequence, before);
    ck_assert_uint_eq(named("x"), 0);
    struct sequenced again = append_of("key:b", "x");
    ck_assert(!again.duplicate && shows(again.seq));
    ck_assert(!shows(append_of("key:a", "x").seq));
    sequence_rollback(sequence, again.seq);
    ck_assert_uint_eq(named("x"), again.seq);
    ck_assert(append_of("key:b", "x").duplicate);
}
END_TEST

START_TEST(nothing_is_given_to_the_feed_before_the_commit)
{
    append("a", NULL);
    ck_assert(!sequence_next_batch(sequence, &message));
    append("b", NULL);
    ck_assert_int_eq(commit(), 2);
    next_batch_is(START + 1, START + 2);
    ck_assert(!sequence_next_batch(sequence, &message));
    ck_assert_int_eq(commit(), 0);
}
END_TEST

START_TEST(a_later_batch_goes_on_where_the_last_ended)
{
    append("a", NULL);
    commit();
    next_batch_is(START + 1, START + 1);
    ck_assert(!sequence_next_batch(sequence, &message));
    append("b", NULL);
    commit();
    next_batch_is(START + 2, START + 2);
}
END_TEST

START_TEST(a_long_batch_is_split)
{
    static char data[100 << 10];
    memset(data, 'x', sizeof data - 1);
    for (int i = 0; i < 4; i++)
        append(data, NULL);
    commit();
    next_batch_is(START + 1, START + 3); /* the third passes the 256 KiB */
    next_batch_is(START + 4, START + 4);
    ck_assert(!sequence_next_batch(sequence, &message));
}
END_TEST

START_TEST(what_history_evicts_within_the_batch_still_reaches_the_feed)
{
    sequence_free(&sequence);
    begin_with(&(struct history_limits){.events = 1, .bytes = 1 << 20, .age_ms = 1000});
    append("a", NULL);
    append("b", NULL);
    append("c", NULL);
    commit();
    next_batch_is(START + 1, START + 3);
}
END_TEST

START_TEST(rollback_takes_back_the_batch_after_a_position)
{
    append("before", "kept");
    uint64_t position = sequence_head(sequence);
    append("a", "order-1");
    append("b", NULL);
    sequence_rollback(sequence, position);
    ck_assert_uint_eq(sequence_head(sequence), position);
    ck_assert(!append("a", "order-1").duplicate);
    ck_assert(append("a", "kept").duplicate);
    ck_assert_int_eq(commit(), 2);
    next_batch_is(START + 1, START + 2);
}
END_TEST

START_TEST(an_event_that_could_not_be_retained_is_refused)
{
    static char data[5000];
    struct event_spec spec = {.kind = EVENT_MESSAGE, .data = {data, sizeof data}};
    struct sequenced out;
    sequence_free(&sequence);
    begin_with(&(struct history_limits){.events = 10, .bytes = 5000, .age_ms = 1000});
    append("kept", NULL);
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), -ENOSPC);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    ck_assert_uint_eq(history_count(sequence_history(sequence)), 1);
    ck_assert_int_eq(commit(), 1);
}
END_TEST

/* A shutdown of one session at 5,000 ms. What sequence_append() says. */
START_TEST(a_shutdown_bans_its_sessions)
{
    ck_assert_int_eq(shut_down("a", 2), 0);
    ck_assert_int_eq(shut_down("b", 4), 0);
    assert_bans("a=7000 b=9000"); /* a question of the same batch is told */
    commit();
    assert_bans("a=7000 b=9000");
    expire(7000);
    assert_bans("b=9000");
    ck_assert_int_eq(shut_down("b", 0), 0);
    assert_bans("");
}
END_TEST

START_TEST(a_ban_is_taken_back_with_its_event)
{
    shut_down("a", 2);
    shut_down("b", 2);
    commit();
    uint64_t before = sequence_head(sequence);
    shut_down("a", 0);
    shut_down("c", 9);
    shut_down("b", 9);
    assert_bans("c=14000 b=14000");
    sequence_rollback(sequence, before);
    assert_bans("a=7000 b=7000");
}
END_TEST

START_TEST(there_are_no_more_bans_than_may_be)
{
    effects_limit_bans(sequence_effects(sequence), 2);
    ck_assert_int_eq(shut_down("a", 2), 0);
    ck_assert_int_eq(shut_down("b", 2), 0);
    uint64_t head = sequence_head(sequence);
    ck_assert_int_eq(shut_down("c", 2), -E2BIG);
    assert_bans("a=7000 b=7000");
    ck_assert_uint_eq(sequence_head(sequence), head);
    ck_assert_int_eq(shut_down("c", 0), 0);
    ck_assert_int_eq(shut_down("a", 9), 0); /* the same session is no further one */
    ck_assert_int_eq(shut_down("b", 0), 0);
    ck_assert_int_eq(shut_down("c", 2), 0);
    assert_bans("a=14000 c=7000");
    effects_limit_bans(sequence_effects(sequence), 1);
    ck_assert_int_eq(shut_down("a", 3), 0); /* they are there already */
}
END_TEST

/* --- with a journal --- */

#define FLOOR 1000u

static struct buf offered;
static struct batch batch;

static void begin_shared(void)
{
    sequence = sequence_new(&wide, 0, RUN);
    sequence_share(sequence, FLOOR);
}

static void end_shared(void)
{
    end();
    buf_release(&offered);
}

/* Offer what was appended. */
static void offer(void)
{
    buf_release(&offered);
    offer_of(sequence, &batch, &offered);
    ck_assert(!offered.failed && offered.len >= BATCH_HEADER_LEN);
    batch.entries = (struct slice){offered.data + BATCH_HEADER_LEN, offered.len - BATCH_HEADER_LEN};
}

/* A batch of another broker that begins after position, with so many events,
 * as it stands in the journal. */
static const struct batch *others(uint64_t position, unsigned count)
{
    static struct batch t;
    static struct buf entries;
    buf_release(&entries);
    wire_put_resync(&entries); /* any message: only what is added counts */
    size_t from = entries.len;
    for (unsigned i = 1; i <= count; i++) {
        struct event_spec spec = {.kind = EVENT_MESSAGE,
                                  .seq = position + i,
                                  .time_ms = 5000,
                                  .data = S("theirs"),
                                  .id = S("their id")};
        struct event *e = event_new(&spec);
        wire_add_entry(&entries, e);
        event_unref(&e);
    }
    t = (struct batch){.position = position, .entries = {entries.data + from, entries.len - from}};
    return &t;
}

static void store_first_batch(void)
{
    append("first", NULL);
    offer();
    sequence_accept(sequence);
}

START_TEST(the_first_batch_begins_above_the_floor_and_nothing_before_is_known)
{
    ck_assert(sequence_has_header(sequence));
    ck_assert_uint_eq(append("a", NULL).seq, FLOOR + 1);
    offer();
    ck_assert(batch.begins);
    ck_assert_uint_eq(batch.position, FLOOR);
    ck_assert_uint_eq(batch.incomplete, FLOOR);
    ck_assert_int_eq(sequence_accept(sequence), 1);
    ck_assert(!history_knows(sequence_history(sequence), 0));
    ck_assert(history_knows(sequence_history(sequence), FLOOR));
    ck_assert(!sequence_has_header(sequence));
    next_batch_is(FLOOR + 1, FLOOR + 1);
}
END_TEST

START_TEST(what_is_offered_is_nowhere_until_it_is_accepted)
{
    store_first_batch();
    next_batch_is(FLOOR + 1, FLOOR + 1);
    append("b", "b");
    append("c", NULL);
    offer();
    ck_assert_uint_eq(sequence_head(sequence), FLOOR + 1);
    ck_assert_uint_eq(published("b"), 0);
    ck_assert_uint_eq(named("b"), 0);
    ck_assert(!sequence_next_batch(sequence, &message));
    ck_assert_int_eq(sequence_accept(sequence), 2);
    ck_assert_uint_eq(sequence_head(sequence), FLOOR + 3);
    ck_assert_uint_eq(published("b"), FLOOR + 2);
    ck_assert_uint_eq(named("b"), FLOOR + 2);
    next_batch_is(FLOOR + 2, FLOOR + 3);
    ck_assert_uint_eq(sequence_batch_bytes(sequence), 0);
}
END_TEST

START_TEST(who_was_overtaken_takes_in_the_others_and_goes_on_after_them)
{
    store_first_batch();
    next_batch_is(FLOOR + 1, FLOOR + 1);
    append("b", "their id");
    offer();
    sequence_withdraw(sequence);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    struct sequenced again = append("b", "their id");
    ck_assert(again.duplicate);
    ck_assert_uint_eq(again.seq, FLOOR + 2);
    ck_assert_uint_eq(append("c", NULL).seq, FLOOR + 3);
    next_batch_is(FLOOR + 2, FLOOR + 2);
}
END_TEST

START_TEST(who_was_overtaken_by_the_same_id_of_another_publisher_does_not_show_it)
{
    store_first_batch();
    next_batch_is(FLOOR + 1, FLOOR + 1);
    ck_assert(shows(append_of("key:shop", "their id").seq));
    offer();
    sequence_withdraw(sequence);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    struct sequenced again = append_of("key:shop", "their id");
    ck_assert(!again.duplicate);
    ck_assert(!shows(again.seq));
    offer();
    ck_assert_int_eq(sequence_accept(sequence), 1);
    ck_assert(!shows(again.seq));
    ck_assert_uint_eq(named("their id"), FLOOR + 2);
    ck_assert(append_of("key:shop", "their id").duplicate);
}
END_TEST

START_TEST(a_journal_that_is_read_again_has_the_same_cursors)
{
    store_first_batch();
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    ck_assert_int_eq(sequence_restart(sequence, FLOOR), 0);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    ck_assert_uint_eq(named("their id"), FLOOR + 2);
}
END_TEST

/* Whoever may publish on the stream can write such a batch;
 * it must not move the sequence to where numbers end. */
START_TEST(a_position_that_no_broker_gives_out_is_refused)
{
    static const uint64_t beyond[] = {UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 53};
    struct sequenced done;
    struct event_spec spec = {.kind = EVENT_MESSAGE, .data = S("x")};

    store_first_batch();
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        struct batch t = {.position = beyond[i], .begins = true};
        ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
        t = (struct batch){.position = sequence_head(sequence), .incomplete = beyond[i]};
        ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
    }

    ck_assert_int_eq(sequence_append(sequence, &spec, &done), 0);
    ck_assert_uint_eq(done.seq, FLOOR + 2);
}
END_TEST

START_TEST(a_run_of_another_broker_is_a_place_that_is_known)
{
    store_first_batch();
    struct batch t = *others(FLOOR + 500, 2);
    t.begins = true;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), 2);
    const struct history *h = sequence_history(sequence);
    ck_assert(history_knows(h, FLOOR + 1) && !history_knows(h, FLOOR + 100) &&
              history_knows(h, FLOOR + 501));
    next_batch_is(FLOOR + 1, FLOOR + 1); /* a message for each side of the jump */
    next_batch_is(FLOOR + 501, FLOOR + 502);
}
END_TEST

START_TEST(where_something_is_missing_no_cursor_from_before_is_known)
{
    store_first_batch();
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 10, 1), false), 1);
    const struct history *h = sequence_history(sequence);
    ck_assert(!history_knows(h, FLOOR + 1) && history_knows(h, FLOOR + 10));
    ck_assert(!sequence_lost(sequence));
}
END_TEST

START_TEST(a_batch_that_others_have_otherwise_is_taken_back_and_all_are_told)
{
    store_first_batch();
    append("fork", "fork");
    offer();
    sequence_accept(sequence); /* an engine that lost its mind acknowledged it ... */
    /* ... but the next one follows another. */
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 2, 1), false), 1);
    const struct history *h = sequence_history(sequence);
    ck_assert_uint_eq(published("fork"), 0);
    ck_assert_uint_eq(named("fork"), FLOOR + 2); /* clients were given it */
    ck_assert(!shows(append("later", "fork").seq));
    sequence_rollback(sequence, FLOOR + 3);
    ck_assert(sequence_lost(sequence));
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 3, 1), true), 1);
    ck_assert(sequence_lost(sequence));
    offer();
    ck_assert(batch.begins && batch.position > FLOOR + 4 && batch.incomplete == batch.position);
    sequence_accept(sequence);
    ck_assert(!sequence_lost(sequence) && !history_knows(h, FLOOR + 4));
}
END_TEST

START_TEST(a_journal_that_is_read_anew_begins_with_nothing)
{
    store_first_batch();
    append("gone", "gone");
    offer();
    sequence_accept(sequence);
    ck_assert_int_eq(sequence_restart(sequence, FLOOR), 0);
    ck_assert(!sequence_next_batch(sequence, &message));
    struct batch t = *others(FLOOR, 1);
    t.begins = true;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), 1);
    ck_assert_uint_eq(published("gone"), 0);
    ck_assert_uint_eq(named("gone"), FLOOR + 2);
    ck_assert(sequence_lost(sequence));
    offer();
    ck_assert_uint_eq(batch.position, FLOOR + 3); /* above what was seen */
    sequence_accept(sequence);
    ck_assert(!history_knows(sequence_history(sequence), FLOOR + 1));
    ck_assert(append("new", NULL).seq > FLOOR + 2);
}
END_TEST

/* Each stream begins with a doubt.
 * Workers may have seen events above it that are none of the journal's. */
START_TEST(after_a_loss_a_doubt_from_before_that_is_read_anew_settles_nothing)
{
    store_first_batch();
    append("gone", NULL);
    offer();
    sequence_accept(sequence);
    uint64_t seen = sequence_head(sequence);
    ck_assert_int_eq(sequence_restart(sequence, FLOOR), 0);

    struct batch t = *others(FLOOR, 1);
    t.begins = true;
    t.incomplete = FLOOR;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), 1);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 2), true), 2);
    ck_assert(sequence_lost(sequence) && sequence_has_header(sequence));

    offer();
    ck_assert(batch.incomplete > seen);
    sequence_accept(sequence);
    ck_assert(!sequence_lost(sequence));
    ck_assert(!history_knows(sequence_history(sequence), seen));
}
END_TEST

START_TEST(a_batch_of_another_past_is_not_taken_in_and_the_sequence_goes_on_above_it)
{
    store_first_batch();
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR - 5, 2), true), -ESTALE);
    sequence_lose(sequence, FLOOR - 100);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR - 3, 2), true), -EALREADY);
    ck_assert(sequence_has_header(sequence));
    offer();
    ck_assert(batch.begins && batch.position > FLOOR + 1 && batch.incomplete == batch.position &&
              batch.entries.len == 0);
    sequence_accept(sequence);
    ck_assert(!sequence_has_header(sequence));
    ck_assert(!history_knows(sequence_history(sequence), FLOOR + 1));
}
END_TEST

START_TEST(after_a_loss_what_others_began_is_the_break_and_is_noted_for_all)
{
    store_first_batch();
    sequence_lose(sequence, FLOOR);
    struct batch t = *others(FLOOR + 50, 1);
    t.begins = true;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), 1);
    ck_assert(!history_knows(sequence_history(sequence), FLOOR + 1));
    offer();
    ck_assert_uint_eq(batch.incomplete, FLOOR + 50);
    ck_assert(!batch.begins);
    sequence_accept(sequence);
    ck_assert(!sequence_has_header(sequence));
    ck_assert(history_knows(sequence_history(sequence), FLOOR + 51));
}
END_TEST

START_TEST(a_worker_that_is_ahead_is_answered_once_we_were_up_to_date)
{
    store_first_batch();
    ck_assert(sequence_meet(sequence, FLOOR + 3, UINT64_MAX) == SEQUENCE_AHEAD);
    offer(); /* ... and are overtaken: */
    sequence_withdraw(sequence);
    sequence_adopt(sequence, others(FLOOR + 1, 2), true);
    ck_assert(!sequence_has_header(sequence));
    ck_assert(sequence_meet(sequence, FLOOR + 3, UINT64_MAX) == SEQUENCE_KNOWN);
    ck_assert(sequence_meet(sequence, FLOOR + 9, UINT64_MAX) == SEQUENCE_AHEAD);
    offer(); /* ... and it is stored: nobody has what the worker saw */
    sequence_accept(sequence);
    ck_assert(sequence_meet(sequence, FLOOR + 9, UINT64_MAX) == SEQUENCE_KNOWN);
    ck_assert(!history_knows(sequence_history(sequence), FLOOR + 9));
    ck_assert(append("next", NULL).seq > FLOOR + 9);
}
END_TEST

/* A batch of others after position: one record, with the events of these keys. */
static const struct batch *others_keys(uint64_t position, const char *const *names,
                                       const uint64_t *seqs, const char *const *data, size_t count)
{
    static struct batch t;
    static struct buf entries;
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        struct event *one = event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                           .seq = seqs[i],
                                                           .time_ms = 1000,
                                                           .key = slice_of(names[i]),
                                                           .data = slice_of(data[i])});
        wire_add_entry(&text, one);
        event_unref(&one);
    }
    struct event *e = event_new(&(struct event_spec){
        .kind = EVENT_STATE, .seq = position + 1, .time_ms = 5000, .data = buf_slice(&text)});
    buf_release(&text);
    entries.len = 0;
    wire_add_entry(&entries, e);
    event_unref(&e);
    t = (struct batch){.position = position, .entries = buf_slice(&entries)};
    return &t;
}

static void append_void_key(const char *key)
{
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence,
                                     &(struct event_spec){.kind = EVENT_MESSAGE,
                                                          .time_ms = 5000,
                                                          .key = slice_of(key),
                                                          .data = S("void")},
                                     &out),
                     0);
}

/* The key's event was in a batch that the journal lost, and other batches were missed. */
START_TEST(a_record_tells_of_a_missed_key_and_of_a_void_one)
{
    store_first_batch();
    append_void_key("x");
    offer();
    sequence_accept(sequence);
    ck_assert_int_eq(sequence_adopt(sequence,
                                    others_keys(FLOOR + 9, (const char *[]){"missed", "x"},
                                                (uint64_t[]){FLOOR + 5, FLOOR - 3},
                                                (const char *[]){"1", "1"}, 2),
                                    false),
                     1);
    ck_assert_uint_eq(state_count(sequence_state(sequence)), 2);
}
END_TEST

/* Any client of the stream may write anything there. */
START_TEST(a_record_with_one_seq_twice_ends_nothing)
{
    store_first_batch();
    sequence_adopt(sequence,
                   others_keys(FLOOR + 1, (const char *[]){"x", "x"},
                               (uint64_t[]){FLOOR - 3, FLOOR - 3}, (const char *[]){"1", "2"}, 2),
                   true);
}
END_TEST

START_TEST(a_malformed_batch_is_refused)
{
    store_first_batch();
    struct batch t = *others(FLOOR + 1, 2);
    t.entries.len -= 3;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
    t = *others(FLOOR + 2, 2);
    t.position = FLOOR + 5;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequence");
    TCase *tests = one_case(suite, "sequence");
    TCase *shared = one_case(suite, "shared");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, seqs_follow_the_position_without_holes);
    tcase_add_test(tests, a_known_id_is_answered_with_its_first_seq);
    tcase_add_test(tests, an_id_is_free_again_when_its_event_is_evicted);
    tcase_add_test(tests, an_id_of_another_publisher_is_no_duplicate_and_is_not_shown);
    tcase_add_test(tests, an_id_that_is_used_again_after_its_eviction_is_not_shown_again);
    tcase_add_test(tests, an_id_that_is_taken_back_is_shown_by_who_uses_it_then);
    tcase_add_test(tests, nothing_is_given_to_the_feed_before_the_commit);
    tcase_add_test(tests, a_later_batch_goes_on_where_the_last_ended);
    tcase_add_test(tests, a_long_batch_is_split);
    tcase_add_test(tests, what_history_evicts_within_the_batch_still_reaches_the_feed);
    tcase_add_test(tests, rollback_takes_back_the_batch_after_a_position);
    tcase_add_test(tests, an_event_that_could_not_be_retained_is_refused);
    tcase_add_test(tests, a_shutdown_bans_its_sessions);
    tcase_add_test(tests, a_ban_is_taken_back_with_its_event);
    tcase_add_test(tests, there_are_no_more_bans_than_may_be);
    tcase_add_checked_fixture(shared, begin_shared, end_shared);
    tcase_add_test(shared, the_first_batch_begins_above_the_floor_and_nothing_before_is_known);
    tcase_add_test(shared, what_is_offered_is_nowhere_until_it_is_accepted);
    tcase_add_test(shared, who_was_overtaken_takes_in_the_others_and_goes_on_after_them);
    tcase_add_test(shared, who_was_overtaken_by_the_same_id_of_another_publisher_does_not_show_it);
    tcase_add_test(shared, a_journal_that_is_read_again_has_the_same_cursors);
    tcase_add_test(shared, a_run_of_another_broker_is_a_place_that_is_known);
    tcase_add_test(shared, a_position_that_no_broker_gives_out_is_refused);
    tcase_add_test(shared, where_something_is_missing_no_cursor_from_before_is_known);
    tcase_add_test(shared, a_batch_that_others_have_otherwise_is_taken_back_and_all_are_told);
    tcase_add_test(shared, a_journal_that_is_read_anew_begins_with_nothing);
    tcase_add_test(shared, after_a_loss_a_doubt_from_before_that_is_read_anew_settles_nothing);
    tcase_add_test(shared,
                   a_batch_of_another_past_is_not_taken_in_and_the_sequence_goes_on_above_it);
    tcase_add_test(shared, after_a_loss_what_others_began_is_the_break_and_is_noted_for_all);
    tcase_add_test(shared, a_worker_that_is_ahead_is_answered_once_we_were_up_to_date);
    tcase_add_test(shared, a_malformed_batch_is_refused);
    tcase_add_test(shared, a_record_tells_of_a_missed_key_and_of_a_void_one);
    tcase_add_test(shared, a_record_with_one_seq_twice_ends_nothing);
    return run_suite(suite);
}
