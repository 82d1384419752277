/* A sequence in a store: what a restart finds, and what old bans and keys need for that. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sequences.h"

static char dir[64];

static struct history_limits limits;

static void begin_stored(uint64_t floor)
{
    char why[STORE_WHY_MAX];
    ck_assert_msg(store_open(dir, &store, why) == 0, "%s", why);
    sequence = sequence_new(&limits, floor, RUN);
    ck_assert_msg(restore(why) == 0, "%s", why);
}

static void end_stored(void)
{
    sequence_free(&sequence);
    store_free(&store);
}

static void make_place_in(const char *folder)
{
    snprintf(dir, sizeof dir, "%s/ssecast-sequence-XXXXXX", folder);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    limits = wide;
    begin_stored(START);
}

static void make_place(void)
{
    make_place_in("/tmp");
}

/* Where a commit costs little. */
static void make_place_in_memory(void)
{
    make_place_in("/dev/shm");
}

static void remove_place(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "ssecast.lock"};
    char name[128];
    end_stored();
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, names[i]);
        unlink(name);
    }
    rmdir(dir);
}

START_TEST(what_was_committed_is_there_again)
{
    append("a", "order-1");
    append("b", NULL);
    commit();
    append("never stored", NULL);
    end_stored();
    begin_stored(START + 100);
    const struct history *h = sequence_history(sequence);
    ck_assert_uint_eq(history_count(h), 2);
    ck_assert(append("a", "order-1").duplicate);
    ck_assert_uint_eq(append("c", NULL).seq, START + 101);
    ck_assert(history_knows(h, START) && history_knows(h, START + 2) &&
              history_knows(h, START + 100));
    ck_assert(!history_knows(h, START + 3) && !history_knows(h, START + 99));
}
END_TEST

START_TEST(a_clock_that_steps_back_gives_no_seq_twice)
{
    append("a", NULL);
    commit();
    end_stored();
    begin_stored(START - 500);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    ck_assert_uint_eq(append("b", NULL).seq, START + 2);
}
END_TEST

static enum sequence_met meet(uint64_t position)
{
    return meet_within(position, UINT64_MAX);
}

START_TEST(a_position_that_no_clock_leads_to_moves_nothing)
{
    const struct history *h = sequence_history(sequence);
    append("a", NULL);
    commit();
    ck_assert(meet_within(START + 41, START + 40) == SEQUENCE_UNKNOWN);
    ck_assert(meet_within((UINT64_C(1) << 53) - 1, START + 40) == SEQUENCE_UNKNOWN);
    ck_assert(meet_within(UINT64_C(1) << 53, UINT64_MAX) == SEQUENCE_UNKNOWN);
    ck_assert(history_knows(h, START + 1)); /* it is in no doubt either */
    ck_assert_uint_eq(append("b", NULL).seq, START + 2);
    commit();
    ck_assert(meet_within(START + 2, START) == SEQUENCE_KNOWN); /* our own, at any clock */
    ck_assert(meet_within(START + 40, START + 40) == SEQUENCE_UNKNOWN);
    ck_assert_uint_eq(append("c", NULL).seq, START + 42);
}
END_TEST

START_TEST(it_knows_where_its_run_began)
{
    ck_assert_uint_eq(sequence_began(sequence), START);
    append("a", NULL);
    commit();
    ck_assert_uint_eq(sequence_began(sequence), START);
    end_stored();
    begin_stored(START - 500);
    ck_assert_uint_eq(sequence_began(sequence), START + 1);
    meet(START + 40);
    ck_assert_uint_eq(sequence_began(sequence), START + 1);
}
END_TEST

START_TEST(what_a_worker_saw_is_never_given_out_again)
{
    const struct history *h = sequence_history(sequence);
    append("a", NULL);
    commit();
    ck_assert(meet(0) == SEQUENCE_KNOWN);         /* one that knows nothing */
    ck_assert(meet(START) == SEQUENCE_KNOWN);     /* was behind */
    ck_assert(meet(START + 1) == SEQUENCE_KNOWN); /* is up to date */
    ck_assert(meet(UINT64_MAX - 1) == SEQUENCE_UNKNOWN);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    ck_assert(meet(START + 40) == SEQUENCE_UNKNOWN);
    ck_assert_uint_eq(append("b", NULL).seq, START + 42);
    ck_assert(!history_knows(h, START + 1) && !history_knows(h, START + 40) &&
              history_knows(h, START + 41));
    commit();
    end_stored();
    begin_stored(START);
    h = sequence_history(sequence);
    ck_assert(!history_knows(h, START + 1) && history_knows(h, START + 41));
    ck_assert_uint_eq(append("c", NULL).seq, START + 43);
    ck_assert_uint_eq(history_count(sequence_history(sequence)), 3);
}
END_TEST

START_TEST(what_a_worker_saw_and_is_not_stored_is_missing)
{
    append("a", NULL);
    commit();
    end_stored();
    begin_stored(START + 100);
    const struct history *h = sequence_history(sequence);
    ck_assert(history_knows(h, START + 1));
    ck_assert(meet(START + 100) == SEQUENCE_KNOWN);
    ck_assert(meet(START + 50) == SEQUENCE_UNKNOWN);
    ck_assert(!history_knows(h, START + 1) && history_knows(h, START + 100));
    append("b", NULL);
    commit();
    expire(0);
    end_stored();
    begin_stored(START + 200);
    h = sequence_history(sequence);
    ck_assert_uint_eq(history_count(h), 2); /* missing is not evicted */
    ck_assert(!history_knows(h, START + 1) && history_knows(h, START + 101));
}
END_TEST

START_TEST(a_run_without_events_is_known_again)
{
    end_stored();
    begin_stored(START + 50);
    end_stored();
    begin_stored(START + 100);
    ck_assert(history_knows(sequence_history(sequence), START));
    ck_assert(history_knows(sequence_history(sequence), START + 50));
    ck_assert_uint_eq(sequence_head(sequence), START + 100);
}
END_TEST

START_TEST(bans_are_there_again)
{
    shut_down("anna", 60);
    commit();
    end_stored();
    begin_stored(START + 100);
    assert_bans("anna=65000");
}
END_TEST

/* So much that nothing of before is retained. */
static void publish_much(void)
{
    for (int i = 0; i < 1000; i++) {
        append("x", NULL);
        if (i % 5 == 4)
            ck_assert_int_gt(commit(), 0);
    }
    expire(5000);
}

START_TEST(bans_outlive_their_records)
{
    limits.events = 40;
    end_stored();
    begin_stored(START + 100);
    shut_down("anna", 600);
    shut_down("bert", 700);
    commit();
    uint64_t banned = sequence_head(sequence);
    publish_much();
    ck_assert_uint_gt(history_oldest(sequence_history(sequence)), banned);
    ck_assert_uint_gt(store_trimmed(store), banned);
    assert_bans("anna=605000 bert=705000");
    end_stored();
    begin_stored(START + 10000);
    assert_bans("anna=605000 bert=705000");
    shut_down("anna", 0);
    shut_down("bert", 60);
    commit();
    publish_much();
    end_stored();
    begin_stored(START + 20000);
    assert_bans("bert=65000");
}
END_TEST

/* The part of them that bans may take is 4 GiB, more than a size_t has where it is of 32 bits. */
START_TEST(bans_outlive_their_records_when_the_limit_of_bytes_is_large)
{
    limits.events = 40;
    limits.bytes = UINT64_C(32) << 30;
    end_stored();
    begin_stored(START + 100);
    shut_down("anna", 600);
    commit();
    uint64_t banned = sequence_head(sequence);
    publish_much();
    ck_assert_uint_gt(store_trimmed(store), banned);
    end_stored();
    begin_stored(START + 10000);
    assert_bans("anna=605000");
}
END_TEST

/* The store keeps a record as long as its ban has no newer one: here it cannot have one, for want
 * of a batch that is stored. */
START_TEST(a_record_stays_until_its_ban_has_another)
{
    shut_down("anna", 600);
    commit();
    uint64_t banned = sequence_head(sequence);
    limits.events = 20;
    end_stored();
    begin_stored(START + 100); /* with less than it was stored with */
    for (int i = 0; i < 4; i++)
        append("x", NULL);
    commit();
    ck_assert_uint_lt(store_trimmed(store), banned);
    end_stored();
    begin_stored(START + 200);
    assert_bans("anna=605000");
}
END_TEST

START_TEST(bans_of_many_shutdowns_go_into_few_records)
{
    char name[8];
    limits.events = 2000;
    end_stored();
    begin_stored(START + 100);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "s%d", i);
        ck_assert_int_eq(shut_down(name, 600), 0);
    }
    commit();
    for (int i = 0; i < 10; i++)
        publish_much();
    ck_assert_uint_eq(bans_count(sequence_bans(sequence)), 1000);
    uint64_t head = sequence_head(sequence);
    ck_assert_uint_le(head, START + 100 + 1000 + 10000 + 60);
    end_stored();
    begin_stored(START + 20000);
    ck_assert_uint_eq(bans_count(sequence_bans(sequence)), 1000);
}
END_TEST

START_TEST(bans_take_no_more_of_a_log_than_their_share)
{
    char name[256];
    limits.bytes = 64 << 10;
    end_stored();
    begin_stored(START + 100);
    int err = 0, count = 0;
    for (; !err && count < 1000; count++) {
        snprintf(name, sizeof name, "%0200d", count);
        err = shut_down(name, 600);
    }
    ck_assert_int_eq(err, -EFBIG);
    ck_assert_int_eq(count - 1, (64 << 10) / 8 / 210);
    commit();
    publish_much();
    end_stored();
    begin_stored(START + 10000);
    ck_assert_uint_eq(bans_count(sequence_bans(sequence)), (size_t)count - 1);
}
END_TEST

START_TEST(old_bans_are_written_anew_although_nobody_publishes)
{
    limits.age_ms = 100000;
    end_stored();
    begin_stored(START + 100);
    expire(5000);
    shut_down("anna", 6000);
    commit();
    uint64_t banned = sequence_head(sequence);
    ck_assert_int_eq(expire(40000), 0);
    ck_assert_int_eq(expire(70000), 1);
    ck_assert_uint_eq(sequence_head(sequence), banned + 1);
    expire(120000);
    ck_assert_uint_gt(history_oldest(sequence_history(sequence)), banned);
    end_stored();
    begin_stored(START + 200);
    assert_bans("anna=6005000");
}
END_TEST

START_TEST(what_cannot_be_stored_is_taken_back)
{
    static char data[100000];
    struct rlimit limit = {0};
    memset(data, 'x', sizeof data - 1);
    append("a", NULL);
    commit();
    next_batch_is(START + 1, START + 1);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t all = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)store_stats(store).file_bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    append(data, "order-1");
    append("b", NULL);
    ck_assert_int_eq(commit(), -1);
    ck_assert_str_eq(event_log_why(&event_log), strerror(EFBIG));
    limit.rlim_cur = all;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    ck_assert(!sequence_next_batch(sequence, &message));
    ck_assert(!append("c", "order-1").duplicate);
    ck_assert_int_eq(commit(), 1);
    next_batch_is(START + 2, START + 2);
}
END_TEST

static rlim_t limit_files(rlim_t bytes)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    return before;
}

START_TEST(with_a_full_disk_it_starts_where_it_ended_and_goes_on_when_there_is_room)
{
    char why[STORE_WHY_MAX];
    append("a", NULL);
    commit();
    end_stored();
    ck_assert_int_eq(store_open(dir, &store, why), 0);
    sequence = sequence_new(&wide, START + 100, RUN);
    signal(SIGXFSZ, SIG_IGN);
    struct event_spec spec = {.kind = EVENT_MESSAGE, .time_ms = 5000, .data = S("b")};
    struct sequenced out;
    rlim_t all = limit_files(1); /* nor can the test write its own messages */
    int restored = restore(why);
    uint64_t head = sequence_head(sequence);
    int appended = sequence_append(sequence, &spec, &out), committed = commit();
    expire(1000);
    limit_files(all);
    ck_assert_int_eq(restored, 0);
    ck_assert_ptr_nonnull(strstr(why, "cannot write"));
    ck_assert_uint_eq(head, START + 1);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    ck_assert_int_eq(appended, 0);
    ck_assert_int_eq(committed, -1);
    ck_assert_str_eq(event_log_why(&event_log), strerror(EFBIG));
    expire(1000);
    ck_assert_uint_eq(sequence_head(sequence), START + 100);
    ck_assert_uint_eq(append("c", NULL).seq, START + 101);
    ck_assert_int_eq(commit(), 1);
    end_stored();
    begin_stored(START);
    ck_assert(history_knows(sequence_history(sequence), START + 100));
}
END_TEST

START_TEST(what_history_evicts_leaves_the_store)
{
    struct history_limits few = {.events = 2, .bytes = 1 << 20, .age_ms = 60000};
    for (int i = 0; i < 5; i++)
        append("a", NULL);
    commit();
    sequence_free(&sequence);
    char why[STORE_WHY_MAX];
    sequence = sequence_new(&few, START + 5, RUN);
    ck_assert_int_eq(restore(why), 0);
    ck_assert_uint_eq(history_count(sequence_history(sequence)), 2);
    expire(5000);
    ck_assert_uint_eq(store_trimmed(store), START + 3);
}
END_TEST

START_TEST(ids_that_were_shown_outlive_their_events_and_a_restart)
{
    struct history_limits few = {.events = 2, .bytes = 1 << 20, .age_ms = 60000};
    char why[STORE_WHY_MAX];
    append_of("key:a", "x");
    append_of("key:b", "x");
    append_of("key:b", "y");
    for (int i = 0; i < 3; i++)
        append("a", NULL);
    commit();
    for (int round = 0; round < 2; round++) { /* evicted when loaded, and evicted before */
        sequence_free(&sequence);
        sequence = sequence_new(&few, START, RUN);
        ck_assert_int_eq(restore(why), 0);
        ck_assert_uint_eq(named("x"), START + 1);
        ck_assert_uint_eq(named("y"), START + 3);
        ck_assert_uint_eq(published("x"), 0);
        ck_assert(!history_knows(sequence_history(sequence), START + 3));
        expire(5000);
        ck_assert_uint_eq(store_trimmed(store), START + 4);
    }
    struct sequenced again = append_of("key:a", "x");
    ck_assert(!again.duplicate && !shows(again.seq));
    ck_assert(shows(append_of("key:a", "z").seq));
}
END_TEST

/* --- the state of keys --- */

static void restart_stored(void)
{
    end_stored();
    begin_stored(START);
}

START_TEST(a_key_outlives_the_history_and_a_restart)
{
    limits.events = 2;
    restart_stored();
    append_key('e', "a", false, 0);
    append_key('e', "b", false, 0);
    commit();
    for (int i = 0; i < 5; i++) {
        append("x", NULL);
        commit();
    }
    ck_assert_uint_ge(store_trimmed(store), START + 2);
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "a=1001 b=1002");
    append_key('e', "a", true, 0);
    commit();
    for (int i = 0; i < 5; i++) {
        append("x", NULL);
        commit();
    }
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "b=1002");
}
END_TEST

START_TEST(a_private_key_and_a_public_one_outlive_a_restart)
{
    limits.events = 2;
    restart_stored();
    append_key('c', "a", false, 0);
    append_key('p', "a", false, 0);
    append_key('c', "b", false, 0);
    append_key('p', "b", false, 0);
    append_key('p', "b", true, 0);
    commit();
    for (int i = 0; i < 5; i++) {
        append("x", NULL);
        commit();
    }
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "a=1001 a=1002 b=1003");
    append_key('c', "a", true, 0);
    commit();
    for (int i = 0; i < 5; i++) {
        append("x", NULL);
        commit();
    }
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "a=1002 b=1003");
}
END_TEST

START_TEST(a_key_outlives_the_age_of_the_history)
{
    append_key('e', "a", false, 0);
    commit();
    expire(5000 + 2 * (int64_t)wide.age_ms);
    ck_assert_uint_eq(history_count(sequence_history(sequence)), 0);
    ck_assert_uint_eq(store_trimmed(store), START + 1);
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "a=1001");
}
END_TEST

START_TEST(a_key_that_expired_leaves_the_store)
{
    limits.events = 1;
    restart_stored();
    append_key('e', "a", false, 10);
    append_key('e', "b", false, 0);
    commit();
    append("x", NULL);
    commit();
    append("x", NULL);
    commit();
    expire(14999);
    ck_assert_str_eq(keys_of(sequence), "a=1001 b=1002");
    expire(15000);
    ck_assert_str_eq(keys_of(sequence), "b=1002");
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "b=1002"); /* whatever the clock says now */
}
END_TEST

START_TEST(a_key_shares_its_event_with_the_history_after_a_restart)
{
    struct event *in_history, *in_state;
    uint64_t upto;
    append_key('e', "a", false, 0);
    commit();
    restart_stored();
    ck_assert_uint_eq(
        history_read(sequence_history(sequence), NULL, START, &in_history, 1, SIZE_MAX, &upto), 1);
    ck_assert_uint_eq(state_read(sequence_state(sequence), &(struct history_filter){0}, 0,
                                 UINT64_MAX, &in_state, 1, SIZE_MAX),
                      1);
    ck_assert_ptr_eq(in_history, in_state);
}
END_TEST

START_TEST(a_key_without_room_is_refused_and_what_came_before_it_can_be_taken_back)
{
    effects_limit_state(sequence_effects(sequence),
                        &(struct state_limits){.events = 2, .bytes = 1 << 20});
    ck_assert_int_eq(append_key('e', "a", false, 0), 0);
    commit();
    uint64_t before = sequence_head(sequence);
    ck_assert_int_eq(append_key('e', "a", false, 0), 0);
    ck_assert_int_eq(append_key('e', "b", false, 0), 0);
    ck_assert_int_eq(append_key('e', "c", false, 0), -EDQUOT);
    ck_assert_uint_eq(sequence_head(sequence), before + 2);
    sequence_rollback(sequence, before);
    ck_assert_str_eq(keys_of(sequence), "a=1001");
    ck_assert_int_eq(append_key('e', "a", true, 0), 0); /* makes room in the same batch */
    ck_assert_int_eq(append_key('e', "b", false, 0), 0);
    ck_assert_int_eq(append_key('e', "c", false, 0), 0);
    commit();
    restart_stored();
    ck_assert_str_eq(keys_of(sequence), "b=1003 c=1004");
}
END_TEST

/* Append some events, of which some are taken back. */
static void model_batch(struct model *m)
{
    for (int i = rand() % 6; i > 0; i--) {
        struct model before = *m;
        uint64_t head = sequence_head(sequence);
        if (rand() % 3)
            model_append(m);
        else
            append("x", NULL);
        if (rand() % 5 == 0) {
            sequence_rollback(sequence, head);
            *m = before;
        }
    }
}

/* The disk may be full. */
static void model_commit(struct model *m, const struct model *committed)
{
    bool full = rand() % 8 == 0;
    rlim_t all = full ? limit_files(1) : 0;
    bool failed = commit() < 0;
    if (full)
        limit_files(all);
    ck_assert(full || !failed);
    if (failed)
        *m = *committed;
}

START_TEST(whatever_happens_the_state_is_the_newest_of_each_key)
{
    struct model committed = {0}, m = {0};
    int64_t now_ms = 5000;
    signal(SIGXFSZ, SIG_IGN);
    limits.events = 4;
    restart_stored();
    srand((unsigned)_i);
    for (int step = 0; step < 300; step++) {
        model_batch(&m);
        assert_model(&m);
        model_commit(&m, &committed);
        assert_model(&m);
        if (rand() % 10 == 0) {
            now_ms += rand() % 20000;
            expire(now_ms);
            model_expire(&m, now_ms);
        }
        if (rand() % 10 == 0) {
            restart_stored();
            expire(now_ms);
            model_expire(&m, now_ms);
        }
        assert_model(&m);
        committed = m;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("restore");
    TCase *stored = one_case(suite, "stored");
    TCase *model = one_case(suite, "any changes");
    tcase_add_checked_fixture(stored, make_place, remove_place);
    tcase_add_test(stored, what_was_committed_is_there_again);
    tcase_add_test(stored, a_clock_that_steps_back_gives_no_seq_twice);
    tcase_add_test(stored, a_run_without_events_is_known_again);
    tcase_add_test(stored, a_position_that_no_clock_leads_to_moves_nothing);
    tcase_add_test(stored, it_knows_where_its_run_began);
    tcase_add_test(stored, what_a_worker_saw_is_never_given_out_again);
    tcase_add_test(stored, what_a_worker_saw_and_is_not_stored_is_missing);
    tcase_add_test(stored, bans_are_there_again);
    tcase_add_test(stored, bans_outlive_their_records);
    tcase_add_test(stored, bans_outlive_their_records_when_the_limit_of_bytes_is_large);
    tcase_add_test(stored, a_record_stays_until_its_ban_has_another);
    tcase_add_test(stored, bans_of_many_shutdowns_go_into_few_records);
    tcase_add_test(stored, bans_take_no_more_of_a_log_than_their_share);
    tcase_add_test(stored, old_bans_are_written_anew_although_nobody_publishes);
    tcase_add_test(stored, what_cannot_be_stored_is_taken_back);
    tcase_add_test(stored, what_history_evicts_leaves_the_store);
    tcase_add_test(stored, ids_that_were_shown_outlive_their_events_and_a_restart);
    tcase_add_test(stored,
                   with_a_full_disk_it_starts_where_it_ended_and_goes_on_when_there_is_room);
    tcase_add_test(stored, a_key_outlives_the_history_and_a_restart);
    tcase_add_test(stored, a_private_key_and_a_public_one_outlive_a_restart);
    tcase_add_test(stored, a_key_outlives_the_age_of_the_history);
    tcase_add_test(stored, a_key_that_expired_leaves_the_store);
    tcase_add_test(stored, a_key_shares_its_event_with_the_history_after_a_restart);
    tcase_add_test(stored, a_key_without_room_is_refused_and_what_came_before_it_can_be_taken_back);
    tcase_add_checked_fixture(model, make_place_in_memory, remove_place);
    tcase_add_loop_test(model, whatever_happens_the_state_is_the_newest_of_each_key, 0, 10);
    return run_suite(suite);
}
