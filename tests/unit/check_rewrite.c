/* Keys and bans in a journal that several brokers read: they outlive it, and nothing comes back. */
#include "log/rewrite.h"

#include <errno.h>

#include "sequences.h"

#define BROKERS 3
#define JOURNAL_MESSAGES 40 /* what it holds, and one event at least in each */
#define ROOM 600            /* bytes of a batch */

static const struct history_limits journal_limits = {
    .events = JOURNAL_MESSAGES, .bytes = 1 << 20, .age_ms = 60000};

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

/* Fill this number of quarters of the log. */
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
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%.*s", len ? " " : "",
                                (int)strcspn(at, "="), at);
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
        effects_limit_state(sequence_effects(brokers[i].s),
                            &(struct state_limits){.events = 1, .bytes = 10000});
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
        struct event_spec spec = {
            .kind = EVENT_MESSAGE, .time_ms = 5000, .data = slice_of(data), .key = slice_of(key)};
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
    Suite *suite = suite_create("rewrite");
    TCase *cluster = one_case(suite, "several brokers");
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
