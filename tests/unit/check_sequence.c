/* The sequence: contiguous seqs, duplicates, all-or-none, what a batch gives to the feed. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log/event_log.h"
#include "log/rewrite.h"
#include "support.h"

#define START 1000u
#define RUN 77u

static const struct history_limits wide = {.events = 1000, .bytes = 1 << 20, .age_ms = 60000};

static struct sequence *sequence;
static struct buf message;
static struct store *store; /* NULL: none */
static struct event_log event_log;

static void begin_with(const struct history_limits *limits)
{
    sequence = sequence_new(limits, START, RUN);
    ck_assert_ptr_nonnull(sequence);
}

static void begin(void)
{
    begin_with(&wide);
}

static void end(void)
{
    sequence_free(&sequence);
    ck_assert_ptr_null(sequence);
    buf_release(&message);
}

static struct sequenced append(const char *data, const char *id)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .time_ms = 5000, .data = slice_of(data), .id = slice_of(id)};
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    return out;
}

static struct sequenced append_of(const char *publisher, const char *id)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .time_ms = 5000, .data = S("x"), .id = slice_of(id), .publisher = slice_of(publisher)};
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    return out;
}

/* Is this own id in the id: line of the event with this seq? */
static bool shows(uint64_t seq)
{
    struct event *e;
    uint64_t upto;
    ck_assert_uint_eq(history_read(sequence_history(sequence), NULL, seq - 1, &e, 1, 1, &upto), 1);
    ck_assert_uint_eq(e->seq, seq);
    char line[300];
    int len = snprintf(line, sizeof line, "id: %.*s\n", (int)e->id.len, e->id.data);
    bool own = e->text.len >= (size_t)len && memcmp(e->text.data, line, (size_t)len) == 0;
    ck_assert(own == event_shows_id(e));
    return own;
}

/* The seq that a cursor names; 0: unknown; UINT64_MAX: ambiguous. */
static uint64_t named(const char *id)
{
    uint64_t seq = 0;
    enum history_cursor what = history_find_cursor(sequence_history(sequence), slice_of(id), &seq);
    return what == CURSOR_AMBIGUOUS ? UINT64_MAX : what == CURSOR_UNKNOWN ? 0 : seq;
}

static uint64_t published(const char *id)
{
    const struct event *e = history_published(sequence_history(sequence), (struct slice){0}, slice_of(id));
    return e ? e->seq : 0;
}

/* The next message for the feed holds these seqs; 0 ends them. */
static void next_batch_is(uint64_t first, uint64_t last)
{
    struct wire_batch batch;
    ck_assert(sequence_next_batch(sequence, &message));
    ck_assert_int_eq(wire_get_batch((struct slice){message.data, message.len}, &batch), 0);
    ck_assert_uint_eq(batch.run, RUN);
    ck_assert_uint_eq(batch.prev, first - 1);
    for (uint64_t seq = first; seq <= last; seq++) {
        size_t used;
        struct event *e = event_parse(batch.entries, &used);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->seq, seq);
        event_unref(&e);
        batch.entries = (struct slice){batch.entries.data + used, batch.entries.len - used};
    }
    ck_assert_uint_eq(batch.entries.len, 0);
}

/* The log of the sequence: memory, or a store. */
static struct event_log *log_of_sequence(void)
{
    event_log.sequence = sequence;
    event_log.store = store;
    return &event_log;
}

/* Commit what was appended. The number of events, or -1. */
static int commit(void)
{
    uint64_t events;
    return event_log_offer(log_of_sequence(), 0, &events) == EVENT_LOG_REJECTED ? -1 : (int)events;
}

static int expire(int64_t now_ms)
{
    return (int)event_log_expire(log_of_sequence(), now_ms);
}

static int restore(char why[STORE_WHY_MAX])
{
    event_log = (struct event_log){0};
    return event_log_restore(log_of_sequence(), NULL, why);
}

static enum sequence_met meet_within(uint64_t position, uint64_t furthest)
{
    return event_log_meet(log_of_sequence(), position, furthest);
}

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
    struct sequenced first = append("a", "order-1"), other = append("b", "order-2"), again = append("c", "order-1");
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
    struct sequenced mallory = append_of("token:mallory", "order-18"), shop = append_of("key:shop", "order-18");
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

START_TEST(a_later_turn_goes_on_where_the_last_ended)
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

START_TEST(a_long_turn_is_split)
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

START_TEST(what_history_evicts_within_the_turn_still_reaches_the_feed)
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

START_TEST(rollback_takes_back_the_turn_after_a_position)
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
static int shut_down(const char *session, uint32_t block_s)
{
    struct slice name = slice_of(session);
    struct event_spec spec = {.kind = EVENT_SHUTDOWN, .time_ms = 5000, .has_to = true, .block_s = block_s};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    return sequence_append(sequence, &spec, &out);
}

/* "a=7000 b=9000", in the order of their records. */
static void assert_bans(const char *should)
{
    char is[1000] = "";
    size_t len = 0;
    struct slice session;
    int64_t until_ms;
    for (const void *ban = NULL; (ban = bans_next(sequence_bans(sequence), ban, &session, &until_ms));)
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%.*s=%" PRId64, len ? " " : "", (int)session.len,
                                session.data, until_ms);
    ck_assert_str_eq(is, should);
}

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

/* --- with a store --- */

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
    ck_assert(history_knows(h, START) && history_knows(h, START + 2) && history_knows(h, START + 100));
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
    ck_assert(meet_within(START + 2, START) == SEQUENCE_KNOWN); /* our own, whatever the clock says */
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
    ck_assert(!history_knows(h, START + 1) && !history_knows(h, START + 40) && history_knows(h, START + 41));
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

/* The store keeps a record as long as its ban has no newer one: here it cannot have one, for want of a batch that is stored. */
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

#define TARGET_LETTERS "esc" /* everyone, a session, a channel */

/* Append an event with this key and target; ttl_s from 5,000 ms on. What sequence_append() says. */
static int append_key(char target, const char *key, bool remove, uint32_t ttl_s)
{
    struct slice name = S("t");
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .time_ms = 5000,
                              .data = S("x"),
                              .key = slice_of(key),
                              .remove = remove,
                              .ttl_s = ttl_s,
                              .has_to = target != 'e'};
    struct sequenced out;
    if (spec.has_to)
        spec.lists[target == 's' ? TO_SESSIONS : TO_CHANNELS] = (struct names){&name, 1};
    return sequence_append(sequence, &spec, &out);
}

/* "a=1001 b=1003", in the order of their seqs. */
static const char *keys_of(const struct sequence *s)
{
    static char text[4096];
    struct event *events[100];
    size_t len = 0,
           count = state_read(sequence_state(s), &(struct history_filter){0}, 0, UINT64_MAX, events, 100, SIZE_MAX);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s=%" PRIu64, len ? " " : "",
                                (int)events[i]->key.len, events[i]->key.data, events[i]->seq);
    return text;
}

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
    ck_assert_uint_eq(history_read(sequence_history(sequence), NULL, START, &in_history, 1, SIZE_MAX, &upto), 1);
    ck_assert_uint_eq(
        state_read(sequence_state(sequence), &(struct history_filter){0}, 0, UINT64_MAX, &in_state, 1, SIZE_MAX), 1);
    ck_assert_ptr_eq(in_history, in_state);
}
END_TEST

START_TEST(a_key_without_room_is_refused_and_what_came_before_it_can_be_taken_back)
{
    effects_limit_state(sequence_effects(sequence), &(struct state_limits){.events = 2, .bytes = 1 << 20});
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

/* A table that says what the state should be. */
#define MODEL_KEYS 6
struct model {
    struct {
        uint64_t seq; /* 0: none */
        uint32_t ttl_s;
    } keys[3][MODEL_KEYS];
};

static void model_expire(struct model *m, int64_t now_ms)
{
    for (int t = 0; t < 3; t++)
        for (int k = 0; k < MODEL_KEYS; k++)
            if (m->keys[t][k].ttl_s && 5000 + (int64_t)m->keys[t][k].ttl_s * 1000 <= now_ms)
                m->keys[t][k].seq = 0;
}

/* The state is that of the model. */
static void assert_model(const struct model *m)
{
    struct event *events[100];
    size_t count =
        state_read(sequence_state(sequence), &(struct history_filter){0}, 0, UINT64_MAX, events, 100, SIZE_MAX);
    size_t should = 0;
    for (int t = 0; t < 3; t++)
        for (int k = 0; k < MODEL_KEYS; k++)
            should += m->keys[t][k].seq != 0;
    ck_assert_uint_eq(count, should);
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        int t = (int)event_key_target(events[i], &name), k = events[i]->key.data[0] - 'a';
        ck_assert_uint_eq(events[i]->seq, m->keys[t][k].seq);
    }
}

static void model_append(struct model *m)
{
    int t = rand() % 3, k = rand() % MODEL_KEYS;
    bool remove = rand() % 4 == 0;
    uint32_t ttl_s = rand() % 5 ? 0 : 1 + (uint32_t)rand() % 1000;
    char key[] = {(char)('a' + k), '\0'};
    ck_assert_int_eq(append_key(TARGET_LETTERS[t], key, remove, ttl_s), 0);
    m->keys[t][k].seq = remove ? 0 : sequence_head(sequence);
    m->keys[t][k].ttl_s = ttl_s;
}

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

/* Offer the batch of s, as it stands in the journal. */
static void offer_of(struct sequence *s, struct batch *t, struct buf *bytes)
{
    char header[BATCH_HEADER_LEN] = {0};
    size_t count;
    sequence_offer(s, t);
    struct event *const *events = sequence_batch(s, &count);
    wire_add_bytes(bytes, (struct slice){header, sizeof header});
    for (size_t i = 0; i < count; i++)
        wire_add_entry(bytes, events[i]);
}

/* Offer what was appended. */
static void offer(void)
{
    buf_release(&offered);
    offer_of(sequence, &batch, &offered);
    ck_assert(!offered.failed && offered.len >= BATCH_HEADER_LEN);
    batch.entries = (struct slice){offered.data + BATCH_HEADER_LEN, offered.len - BATCH_HEADER_LEN};
}

/* A batch of another broker that begins after position, with so many events, as it stands in the journal. */
static const struct batch *others(uint64_t position, unsigned count)
{
    static struct batch t;
    static struct buf entries;
    buf_release(&entries);
    wire_put_resync(&entries); /* any message: only what is added counts */
    size_t from = entries.len;
    for (unsigned i = 1; i <= count; i++) {
        struct event_spec spec = {
            .kind = EVENT_MESSAGE, .seq = position + i, .time_ms = 5000, .data = S("theirs"), .id = S("their id")};
        struct event *e = event_new(&spec);
        wire_add_entry(&entries, e);
        event_unref(&e);
    }
    t = (struct batch){.position = position, .entries = {entries.data + from, entries.len - from}};
    return &t;
}

static void store_first_turn(void)
{
    append("first", NULL);
    offer();
    sequence_accept(sequence);
}

START_TEST(the_first_turn_begins_above_the_floor_and_nothing_before_is_known)
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
    store_first_turn();
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
    store_first_turn();
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
    store_first_turn();
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
    store_first_turn();
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    ck_assert_int_eq(sequence_restart(sequence, FLOOR), 0);
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 1, 1), true), 1);
    ck_assert_uint_eq(named("their id"), FLOOR + 2);
}
END_TEST

/* Whoever may publish on the stream can write such a batch; it must not move the sequence to where numbers end. */
START_TEST(a_position_that_no_broker_gives_out_is_refused)
{
    static const uint64_t beyond[] = {UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 53};
    struct sequenced done;
    struct event_spec spec = {.kind = EVENT_MESSAGE, .data = S("x")};

    store_first_turn();
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
    store_first_turn();
    struct batch t = *others(FLOOR + 500, 2);
    t.begins = true;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), 2);
    const struct history *h = sequence_history(sequence);
    ck_assert(history_knows(h, FLOOR + 1) && !history_knows(h, FLOOR + 100) && history_knows(h, FLOOR + 501));
    next_batch_is(FLOOR + 1, FLOOR + 1); /* a message for each side of the jump */
    next_batch_is(FLOOR + 501, FLOOR + 502);
}
END_TEST

START_TEST(where_something_is_missing_no_cursor_from_before_is_known)
{
    store_first_turn();
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 10, 1), false), 1);
    const struct history *h = sequence_history(sequence);
    ck_assert(!history_knows(h, FLOOR + 1) && history_knows(h, FLOOR + 10));
    ck_assert(!sequence_lost(sequence));
}
END_TEST

START_TEST(a_turn_that_others_have_otherwise_is_taken_back_and_all_are_told)
{
    store_first_turn();
    append("fork", "fork");
    offer();
    sequence_accept(sequence); /* an engine that lost its mind acknowledged it ... */
    ck_assert_int_eq(sequence_adopt(sequence, others(FLOOR + 2, 1), false), 1); /* ... but the next follows another */
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
    store_first_turn();
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

/* Each stream begins with a doubt. Workers may have seen events above it that are none of the journal's. */
START_TEST(after_a_loss_a_doubt_from_before_that_is_read_anew_settles_nothing)
{
    store_first_turn();
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

START_TEST(a_turn_of_another_past_is_not_taken_in_and_the_sequence_goes_on_above_it)
{
    store_first_turn();
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
    store_first_turn();
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
    store_first_turn();
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

START_TEST(a_malformed_turn_is_refused)
{
    store_first_turn();
    struct batch t = *others(FLOOR + 1, 2);
    t.entries.len -= 3;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
    t = *others(FLOOR + 2, 2);
    t.position = FLOOR + 5;
    ck_assert_int_eq(sequence_adopt(sequence, &t, true), -EPROTO);
}
END_TEST

/* --- keys in a journal that several brokers read --- */

#define BROKERS 3
#define JOURNAL_MESSAGES 40 /* what it holds, and one event at least in each */
#define ROOM 600            /* bytes of a batch */

static const struct history_limits journal_limits = {.events = JOURNAL_MESSAGES, .bytes = 1 << 20, .age_ms = 60000};

static struct {
    struct {
        struct buf bytes;
        struct batch t;
    } messages[8000];
    size_t first, end;
} journal;

static struct broker {
    struct sequence *s;
    size_t read;  /* messages up to here */
    bool started; /* it has read one */
} brokers[BROKERS];

static void start_broker(struct broker *b)
{
    static uint64_t floor;
    b->s = sequence_new(&journal_limits, 0, RUN);
    sequence_share(b->s, floor += 100000);
    b->read = journal.first;
    b->started = false;
}

static void drain_feed(struct broker *b)
{
    while (sequence_next_batch(b->s, &message))
        continue;
}

static void read_journal(struct broker *b)
{
    while (b->read < journal.end) {
        bool linked = b->started && b->read >= journal.first;
        b->read = b->read < journal.first ? journal.first : b->read;
        ck_assert_int_ge(sequence_adopt(b->s, &journal.messages[b->read++].t, linked), 0);
        b->started = true;
        drain_feed(b);
    }
}

/* Begin a batch of b, as event_log_begin() does. Calls which follow append to it. */
static void begin_batch(struct broker *b)
{
    sequence = b->s;
    rewrite_bans(sequence, ROOM / 2, 5000);
    rewrite_keys(sequence, ROOM - sequence_batch_bytes(sequence), 5000);
}

/* Offer the batch of b. False when it was overtaken: it has read what the others wrote then. */
static bool end_batch(struct broker *b)
{
    struct buf *bytes = &journal.messages[journal.end].bytes;
    struct batch *t = &journal.messages[journal.end].t;
    sequence = NULL;
    if (!sequence_batch_bytes(b->s) && !sequence_has_header(b->s))
        return true;

    offer_of(b->s, t, bytes);
    if (b->read < journal.end) {
        buf_release(bytes);
        sequence_withdraw(b->s);
        read_journal(b);
        return false;
    }

    t->entries = (struct slice){bytes->data + BATCH_HEADER_LEN, bytes->len - BATCH_HEADER_LEN};
    ck_assert_int_ge(sequence_accept(b->s), 0);
    drain_feed(b);
    b->started = true;
    b->read = ++journal.end;
    if (journal.end - journal.first > JOURNAL_MESSAGES)
        journal.first++;
    return true;
}

/* One event in a batch of its own, NULL: without a key. */
static void write_key(struct broker *b, const char *key, bool remove)
{
    do {
        begin_batch(b);
        if (key)
            ck_assert_int_eq(append_key('e', key, remove, 0), 0);
        else
            append("x", NULL);
    } while (!end_batch(b));
}

/* Fill so many quarters of the log. */
static void write_quarters(struct broker *b, int quarters)
{
    for (int i = 0; i < quarters * JOURNAL_MESSAGES / 4; i++)
        write_key(b, NULL, false);
}

static void begin_cluster(void)
{
    for (int i = 0; i < BROKERS; i++)
        start_broker(&brokers[i]);
}

static void end_cluster(void)
{
    for (int i = 0; i < BROKERS; i++)
        sequence_free(&brokers[i].s);
    while (journal.end)
        buf_release(&journal.messages[--journal.end].bytes);
    journal.first = 0;
    buf_release(&message);
}

static void assert_keys(const struct broker *b, const char *should)
{
    const char *is = keys_of(b->s);
    size_t len = 0;
    char names[1000] = "";
    for (const char *at = is; *at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : at + strlen(at))
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%.*s", len ? " " : "", (int)strcspn(at, "="), at);
    ck_assert_str_eq(names, should);
}

START_TEST(a_key_outlives_the_log_of_a_journal)
{
    write_key(&brokers[0], "a", false);
    write_key(&brokers[0], "b", false);
    write_key(&brokers[0], "b", true);
    for (int i = 0; i < 3; i++) {
        write_quarters(&brokers[i], 5);
        ck_assert_uint_gt(journal.first, 0);
        sequence_free(&brokers[i].s); /* the next one has only the journal */
        start_broker(&brokers[i]);
        read_journal(&brokers[i]);
        read_journal(&brokers[(i + 1) % 3]);
        assert_keys(&brokers[i], "a");
        assert_keys(&brokers[(i + 1) % 3], "a");
    }
}
END_TEST

START_TEST(an_event_is_written_again_with_the_seq_that_it_had)
{
    char before[4096];
    write_key(&brokers[0], "a", false);
    write_key(&brokers[0], "b", false);
    strcpy(before, keys_of(brokers[0].s));
    write_quarters(&brokers[0], 9);
    read_journal(&brokers[1]);
    ck_assert_str_eq(keys_of(brokers[0].s), before);
    ck_assert_str_eq(keys_of(brokers[1].s), before);
    write_key(&brokers[1], "a", false); /* later than the record that has the older one */
    read_journal(&brokers[0]);
    ck_assert_str_eq(keys_of(brokers[0].s), keys_of(brokers[1].s));
    assert_keys(&brokers[0], "b a");
}
END_TEST

START_TEST(who_is_overtaken_asks_for_room_again)
{
    for (int i = 0; i < 2; i++)
        effects_limit_state(sequence_effects(brokers[i].s), &(struct state_limits){.events = 1, .bytes = 10000});
    write_key(&brokers[0], NULL, false);
    read_journal(&brokers[1]);
    begin_batch(&brokers[1]);
    ck_assert_int_eq(append_key('e', "late", false, 0), 0);
    write_key(&brokers[0], "first", false);
    ck_assert(!end_batch(&brokers[1]));
    begin_batch(&brokers[1]);
    ck_assert_int_eq(append_key('e', "late", false, 0), -EDQUOT);
    ck_assert_int_eq(append_key('e', "first", false, 0), 0);
    ck_assert(end_batch(&brokers[1]));
    assert_keys(&brokers[1], "first");
}
END_TEST

START_TEST(keys_take_no_more_of_a_journal_than_their_share)
{
    static char data[4000];
    struct sequenced out;
    int err = 0, count = 0;
    memset(data, 'x', sizeof data - 1);
    sequence = brokers[0].s;
    for (; !err && count < 1000; count++) {
        char key[20];
        snprintf(key, sizeof key, "key-%d", count);
        struct event_spec spec = {.kind = EVENT_MESSAGE, .time_ms = 5000, .data = slice_of(data), .key = slice_of(key)};
        err = sequence_append(sequence, &spec, &out);
    }
    ck_assert_int_eq(err, -EDQUOT);
    ck_assert_int_gt(count, 10);
    ck_assert_uint_le((size_t)count * sizeof data, (1 << 20) / 8 + 2 * sizeof data);
}
END_TEST

START_TEST(a_change_in_a_batch_that_is_void_is_taken_back)
{
    write_key(&brokers[1], "a", false);
    write_key(&brokers[0], "b", false);
    read_journal(&brokers[1]);
    char before[4096];
    strcpy(before, keys_of(brokers[1].s));
    begin_batch(&brokers[0]);
    ck_assert_int_eq(append_key('e', "a", false, 0), 0);
    ck_assert_int_eq(append_key('e', "b", true, 0), 0);
    ck_assert_int_eq(append_key('e', "new", false, 0), 0);
    ck_assert(end_batch(&brokers[0]));
    assert_keys(&brokers[0], "a new");
    buf_release(&journal.messages[--journal.end].bytes); /* the journal lost it */
    write_key(&brokers[1], "other", false);
    brokers[0].read = journal.end - 1;
    ck_assert_int_ge(sequence_adopt(brokers[0].s, &journal.messages[journal.end - 1].t, false), 0);
    drain_feed(&brokers[0]);
    brokers[0].read = journal.end;
    assert_keys(&brokers[0], "a b other");
    ck_assert_str_eq(keys_of(brokers[0].s), keys_of(brokers[1].s));
    ck_assert(strncmp(keys_of(brokers[0].s), before, strlen(before)) == 0);
}
END_TEST

START_TEST(who_missed_batches_brings_back_no_key)
{
    write_key(&brokers[0], "gone", false);
    write_key(&brokers[0], "kept", false);
    read_journal(&brokers[1]);
    write_key(&brokers[0], "gone", true);
    write_key(&brokers[0], "kept", false);
    write_quarters(&brokers[0], 5);
    ck_assert_uint_lt(brokers[1].read, journal.first);
    read_journal(&brokers[1]); /* it may still offer what it had */
    for (int i = 0; i < 5; i++) {
        write_quarters(&brokers[1], 1);
        read_journal(&brokers[0]);
        assert_keys(&brokers[0], "kept");
    }
    ck_assert_str_eq(keys_of(brokers[0].s), keys_of(brokers[1].s));
}
END_TEST

static void write_ban(struct broker *b, const char *session, uint32_t block_s)
{
    do {
        begin_batch(b);
        ck_assert_int_eq(shut_down(session, block_s), 0);
    } while (!end_batch(b));
}

/* The names of the banned sessions, in the order of their names. */
static void assert_banned(const struct broker *b, const char *should)
{
    static const char *const names[] = {"anna", "bert", "carl"};
    char is[100] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bans_until(sequence_bans(b->s), slice_of(names[i]), 5000)) {
            strcat(is, *is ? " " : "");
            strcat(is, names[i]);
        }
    ck_assert_str_eq(is, should);
}

START_TEST(who_missed_batches_brings_back_no_ban)
{
    write_ban(&brokers[0], "anna", 600);
    write_ban(&brokers[0], "bert", 600);
    write_ban(&brokers[0], "carl", 600); /* in the last batch before those that are missed */
    read_journal(&brokers[1]);
    write_ban(&brokers[0], "anna", 0);
    write_ban(&brokers[0], "carl", 0);
    write_quarters(&brokers[0], 5);
    ck_assert_uint_lt(brokers[1].read, journal.first);
    read_journal(&brokers[1]); /* the log has bert's ban only */
    for (int i = 0; i < 5; i++) {
        write_quarters(&brokers[1], 1);
        read_journal(&brokers[0]);
        assert_banned(&brokers[0], "bert");
    }
    assert_banned(&brokers[1], "bert");
}
END_TEST

/* A ban of the batch that is void was promised to its publisher. */
START_TEST(a_ban_in_a_batch_that_is_void_is_written_again)
{
    write_key(&brokers[1], NULL, false);
    write_ban(&brokers[0], "bert", 600);
    read_journal(&brokers[1]);
    write_ban(&brokers[0], "anna", 600);
    buf_release(&journal.messages[--journal.end].bytes); /* the journal lost it */
    write_key(&brokers[1], NULL, false);
    ck_assert_int_ge(sequence_adopt(brokers[0].s, &journal.messages[journal.end - 1].t, false), 0);
    drain_feed(&brokers[0]);
    brokers[0].read = journal.end;
    write_key(&brokers[0], NULL, false);
    read_journal(&brokers[1]);
    assert_banned(&brokers[1], "anna bert");
}
END_TEST

START_TEST(a_journal_that_was_lost_gets_the_bans_again)
{
    write_ban(&brokers[0], "anna", 600);
    write_ban(&brokers[0], "bert", 600);
    read_journal(&brokers[1]);
    while (journal.end)
        buf_release(&journal.messages[--journal.end].bytes);
    journal.first = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sequence_restart(brokers[i].s, 50000000), 0);
        brokers[i].read = 0;
        brokers[i].started = false;
    }
    write_ban(&brokers[1], "bert", 0);
    read_journal(&brokers[2]);
    assert_banned(&brokers[2], "anna");
}
END_TEST

START_TEST(a_journal_that_was_lost_gets_the_keys_again)
{
    write_key(&brokers[0], "a", false);
    write_key(&brokers[0], "b", false);
    read_journal(&brokers[1]);
    while (journal.end)
        buf_release(&journal.messages[--journal.end].bytes);
    journal.first = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sequence_restart(brokers[i].s, 50000000), 0);
        brokers[i].read = 0;
        brokers[i].started = false;
    }
    write_key(&brokers[1], "b", true); /* with it the old ones */
    read_journal(&brokers[0]);
    read_journal(&brokers[2]);
    for (int i = 0; i < BROKERS; i++)
        assert_keys(&brokers[i], "a");
    write_quarters(&brokers[0], 9);
    sequence_free(&brokers[2].s);
    start_broker(&brokers[2]);
    read_journal(&brokers[2]);
    assert_keys(&brokers[2], "a");
}
END_TEST

/* Append to the batch of b, and to the model. */
static void cluster_batch(struct broker *b, struct model *m)
{
    struct model before = *m;
    unsigned seed = (unsigned)rand();
    do {
        *m = before;
        srand(seed); /* the same requests again */
        begin_batch(b);
        for (int i = rand() % 4; i >= 0; i--)
            if (rand() % 2)
                model_append(m);
            else
                append("x", NULL);
    } while (!end_batch(b));
    srand(seed + 1);
}

START_TEST(all_brokers_have_the_newest_of_each_key)
{
    struct model m = {0};
    srand((unsigned)_i);
    for (int step = 0; step < 1500; step++) {
        struct broker *b = &brokers[rand() % BROKERS];
        cluster_batch(b, &m);
        sequence = b->s;
        assert_model(&m);
        if (rand() % 50 == 0) {
            sequence_free(&b->s);
            start_broker(b);
        }
        for (int i = 0; i < BROKERS; i++) /* nobody is left behind what the journal has */
            if (rand() % 3 == 0 || journal.end - brokers[i].read > JOURNAL_MESSAGES / 2)
                read_journal(&brokers[i]);
        sequence = NULL;
    }
    for (int i = 0; i < BROKERS; i++) {
        read_journal(&brokers[i]);
        sequence = brokers[i].s;
        assert_model(&m);
    }
    sequence = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequence");
    TCase *tests = one_case(suite, "sequence");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, seqs_follow_the_position_without_holes);
    tcase_add_test(tests, a_known_id_is_answered_with_its_first_seq);
    tcase_add_test(tests, an_id_is_free_again_when_its_event_is_evicted);
    tcase_add_test(tests, an_id_of_another_publisher_is_no_duplicate_and_is_not_shown);
    tcase_add_test(tests, an_id_that_is_used_again_after_its_eviction_is_not_shown_again);
    tcase_add_test(tests, an_id_that_is_taken_back_is_shown_by_who_uses_it_then);
    tcase_add_test(tests, nothing_is_given_to_the_feed_before_the_commit);
    tcase_add_test(tests, a_later_turn_goes_on_where_the_last_ended);
    tcase_add_test(tests, a_long_turn_is_split);
    tcase_add_test(tests, what_history_evicts_within_the_turn_still_reaches_the_feed);
    tcase_add_test(tests, rollback_takes_back_the_turn_after_a_position);
    tcase_add_test(tests, an_event_that_could_not_be_retained_is_refused);
    tcase_add_test(tests, a_shutdown_bans_its_sessions);
    tcase_add_test(tests, a_ban_is_taken_back_with_its_event);
    tcase_add_test(tests, there_are_no_more_bans_than_may_be);
    TCase *stored = one_case(suite, "stored");
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
    tcase_add_test(stored, with_a_full_disk_it_starts_where_it_ended_and_goes_on_when_there_is_room);
    tcase_add_test(stored, a_key_outlives_the_history_and_a_restart);
    tcase_add_test(stored, a_key_outlives_the_age_of_the_history);
    tcase_add_test(stored, a_key_that_expired_leaves_the_store);
    tcase_add_test(stored, a_key_shares_its_event_with_the_history_after_a_restart);
    tcase_add_test(stored, a_key_without_room_is_refused_and_what_came_before_it_can_be_taken_back);
    TCase *model = one_case(suite, "model");
    tcase_add_checked_fixture(model, make_place_in_memory, remove_place);
    tcase_add_loop_test(model, whatever_happens_the_state_is_the_newest_of_each_key, 0, 10);
    TCase *shared = one_case(suite, "shared");
    tcase_add_checked_fixture(shared, begin_shared, end_shared);
    tcase_add_test(shared, the_first_turn_begins_above_the_floor_and_nothing_before_is_known);
    tcase_add_test(shared, what_is_offered_is_nowhere_until_it_is_accepted);
    tcase_add_test(shared, who_was_overtaken_takes_in_the_others_and_goes_on_after_them);
    tcase_add_test(shared, who_was_overtaken_by_the_same_id_of_another_publisher_does_not_show_it);
    tcase_add_test(shared, a_journal_that_is_read_again_has_the_same_cursors);
    tcase_add_test(shared, a_run_of_another_broker_is_a_place_that_is_known);
    tcase_add_test(shared, a_position_that_no_broker_gives_out_is_refused);
    tcase_add_test(shared, where_something_is_missing_no_cursor_from_before_is_known);
    tcase_add_test(shared, a_turn_that_others_have_otherwise_is_taken_back_and_all_are_told);
    tcase_add_test(shared, a_journal_that_is_read_anew_begins_with_nothing);
    tcase_add_test(shared, after_a_loss_a_doubt_from_before_that_is_read_anew_settles_nothing);
    tcase_add_test(shared, a_turn_of_another_past_is_not_taken_in_and_the_sequence_goes_on_above_it);
    tcase_add_test(shared, after_a_loss_what_others_began_is_the_break_and_is_noted_for_all);
    tcase_add_test(shared, a_worker_that_is_ahead_is_answered_once_we_were_up_to_date);
    tcase_add_test(shared, a_malformed_turn_is_refused);
    TCase *cluster = one_case(suite, "keys in a journal");
    tcase_add_checked_fixture(cluster, begin_cluster, end_cluster);
    tcase_add_test(cluster, a_key_outlives_the_log_of_a_journal);
    tcase_add_test(cluster, an_event_is_written_again_with_the_seq_that_it_had);
    tcase_add_test(cluster, who_is_overtaken_asks_for_room_again);
    tcase_add_test(cluster, keys_take_no_more_of_a_journal_than_their_share);
    tcase_add_test(cluster, a_change_in_a_batch_that_is_void_is_taken_back);
    tcase_add_test(cluster, who_missed_batches_brings_back_no_key);
    tcase_add_test(cluster, who_missed_batches_brings_back_no_ban);
    tcase_add_test(cluster, a_ban_in_a_batch_that_is_void_is_written_again);
    tcase_add_test(cluster, a_journal_that_was_lost_gets_the_bans_again);
    tcase_add_test(cluster, a_journal_that_was_lost_gets_the_keys_again);
    tcase_add_loop_test(cluster, all_brokers_have_the_newest_of_each_key, 0, 10);
    return run_suite(suite);
}
