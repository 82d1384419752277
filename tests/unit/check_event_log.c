/* The log behind one interface: memory and a store decide a batch at once. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log/event_log.h"
#include "support.h"

#define START 1000u

static const struct history_limits wide = {.events = 1000, .bytes = 1 << 20, .age_ms = 60000};

static struct sequence *sequence;
static struct store *store;
static struct event_log event_log;
static char folder[64];

static void begin_memory(void)
{
    sequence = sequence_new(&wide, START, 1);
    ck_assert_ptr_nonnull(sequence);
    event_log = (struct event_log){.sequence = sequence};
}

static void begin_store(void)
{
    char why[STORE_WHY_MAX];
    begin_memory();
    strcpy(folder, "/tmp/ssecast-event-log-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(store_open(folder, &store, why), 0);
    event_log.store = store;
    ck_assert_int_eq(event_log_restore(&event_log, NULL, why), 0);
}

static void end(void)
{
    sequence_free(&sequence);
    store_free(&store);
}

static void end_store(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "ssecast.lock"};
    char name[128];
    end();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    rmdir(folder);
}

static void append(struct slice data)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .time_ms = 5000, .data = data};
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
}

static enum event_log_result offer(uint64_t *events)
{
    *events = 99;
    return event_log_offer(&event_log, 0, events);
}

START_TEST(a_batch_is_committed_at_once_and_nothing_is_pending)
{
    uint64_t events;
    ck_assert(event_log_ready(&event_log));
    ck_assert_uint_eq(event_log_room(&event_log), SIZE_MAX);
    event_log_begin(&event_log);
    append(S("a"));
    append(S("b"));
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
    ck_assert_uint_eq(events, 2);
    ck_assert(!event_log.pending);
    ck_assert_int_eq(event_log_next(&event_log, 0, &events), EVENT_LOG_NOTHING);
}
END_TEST

START_TEST(a_batch_without_events_is_not_offered)
{
    uint64_t events;
    event_log_begin(&event_log);
    ck_assert_int_eq(offer(&events), EVENT_LOG_NOTHING);
    ck_assert_uint_eq(events, 0);
    append(S("a"));
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
    ck_assert_int_eq(offer(&events), EVENT_LOG_NOTHING);
}
END_TEST

/* Room for files of `bytes` at most; RLIM_INFINITY: as before. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_batch_that_cannot_be_stored_is_rejected_with_the_reason)
{
    static char large[100000];
    uint64_t events, before = sequence_head(sequence);
    memset(large, 'x', sizeof large);
    limit_files((rlim_t)store_stats(store).file_bytes);
    append((struct slice){large, sizeof large});
    ck_assert_int_eq(offer(&events), EVENT_LOG_REJECTED);
    ck_assert_uint_eq(events, 0);
    ck_assert_str_ne(event_log_why(&event_log), "");
    ck_assert_uint_eq(sequence_head(sequence), before);

    limit_files(RLIM_INFINITY);
    append((struct slice){large, sizeof large});
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
    ck_assert_uint_eq(events, 1);
}
END_TEST

static void restart_store(uint64_t position)
{
    char why[STORE_WHY_MAX];
    end();
    sequence = sequence_new(&wide, position, 1);
    ck_assert_int_eq(store_open(folder, &store, why), 0);
    event_log = (struct event_log){.sequence = sequence, .store = store};
    ck_assert_int_eq(event_log_restore(&event_log, NULL, why), 0);
}

START_TEST(a_worker_that_is_ahead_is_answered_at_once)
{
    uint64_t events;
    append(S("a"));
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
    ck_assert(event_log_meet(&event_log, START + 1, UINT64_MAX) == SEQUENCE_KNOWN);
    ck_assert(event_log_meet(&event_log, START + 9, UINT64_MAX) == SEQUENCE_UNKNOWN);
    ck_assert(!sequence_has_header(sequence));
    ck_assert_uint_eq(sequence_head(sequence), START + 10);
    ck_assert(!history_knows(sequence_history(sequence), START + 1));
    append(S("b"));
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
}
END_TEST

START_TEST(missing_events_are_marked_once_the_store_can_be_written)
{
    uint64_t events;
    append(S("a"));
    ck_assert_int_eq(offer(&events), EVENT_LOG_COMMITTED);
    restart_store(START + 100);
    ck_assert(history_knows(sequence_history(sequence), START + 1));

    limit_files(1);
    enum sequence_met met = event_log_meet(&event_log, START + 50, UINT64_MAX);
    bool waits = sequence_has_header(sequence);
    limit_files(RLIM_INFINITY);
    ck_assert(met == SEQUENCE_UNKNOWN && waits);
    event_log_expire(&event_log, 5000);
    ck_assert(!sequence_has_header(sequence));
    restart_store(START + 200);
    ck_assert(!history_knows(sequence_history(sequence), START + 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_log");
    TCase *memory = one_case(suite, "memory"), *stored = one_case(suite, "store");
    tcase_add_checked_fixture(memory, begin_memory, end);
    tcase_add_test(memory, a_batch_is_committed_at_once_and_nothing_is_pending);
    tcase_add_test(memory, a_batch_without_events_is_not_offered);
    tcase_add_test(memory, a_worker_that_is_ahead_is_answered_at_once);
    tcase_add_checked_fixture(stored, begin_store, end_store);
    tcase_add_test(stored, a_batch_is_committed_at_once_and_nothing_is_pending);
    tcase_add_test(stored, a_batch_that_cannot_be_stored_is_rejected_with_the_reason);
    tcase_add_test(stored, a_worker_that_is_ahead_is_answered_at_once);
    tcase_add_test(stored, missing_events_are_marked_once_the_store_can_be_written);
    return run_suite(suite);
}
