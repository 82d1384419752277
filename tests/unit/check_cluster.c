/* Three brokers that hear each other; a worker is what it says. */
#include "presence/cluster.h"

#include "base/clock.h"
#include "capture.h"
#include "ops/log.h"
#include "support.h"

#define BROKERS 3
#define PART 200 /* bytes: long reports go in parts */

static struct node {
    struct cluster *cluster;
    struct presence *presence;
    uint64_t counters[BROKER_COUNTERS];
    int resyncs; /* asked of its workers */
    bool deaf;
    bool mute; /* it hears no requests of others */
} nodes[BROKERS];

static int64_t now; /* ms */

static void take_changes(struct node *n)
{
    struct presence_change change;
    while (presence_next(n->presence, &change))
        continue;
}

static void receive(struct node *n, struct slice part)
{
    if (!n->cluster || n->deaf)
        return;
    if (cluster_receive(n->cluster, part, now))
        take_changes(n);
    cluster_reported(n->cluster);
}

static void send_all(void *context, const struct gossip *m)
{
    struct buf part = {0};
    (void)context;
    for (unsigned i = 0, parts = 1; i < parts; i++) {
        parts = gossip_put(&part, m, i, PART + GOSSIP_HEAD_LEN);
        for (int n = 0; n < BROKERS; n++)
            receive(&nodes[n], (struct slice){part.data, part.len});
    }
    buf_release(&part);
}

static void on_resync(void *context, struct slice worker)
{
    struct node *n = context;
    (void)worker;
    n->resyncs += !n->mute;
}

static void start(int i)
{
    static const char *const names[] = {"one", "two", "three"};
    struct node *n = &nodes[i];
    n->presence = presence_new();
    n->cluster =
        cluster_new(&(struct cluster_config){(uint64_t)(100 + i), slice_of(names[i]), n->presence,
                                             n->counters, send_all, NULL, on_resync, n});
    ck_assert_ptr_nonnull(n->cluster);
}

static void kill_node(int i)
{
    cluster_free(&nodes[i].cluster);
    presence_free(&nodes[i].presence);
    nodes[i] = (struct node){0};
}

static void setup(void)
{
    log_open("check", LOG_ERROR);
    now = 1000;
    for (int i = 0; i < BROKERS; i++)
        start(i);
    for (int i = 0; i < BROKERS; i++)
        cluster_tick(nodes[i].cluster, now);
}

static void teardown(void)
{
    for (int i = 0; i < BROKERS; i++)
        kill_node(i);
}

/* --- what a worker says --- */

static struct slice id;

static void say_hello(int i)
{
    struct buf b = {0};
    wire_put_hello(&b, &(struct wire_hello){.worker = id});
    ck_assert_int_eq(presence_hello(nodes[i].presence, id, &(struct wire_hello){.worker = id}, now),
                     0);
    cluster_forward(nodes[i].cluster, id, (struct slice){b.data, b.len}, now);
    buf_release(&b);
}

static bool rest, more; /* flags of the next reports */

/* count connections c<first>, ... of session s open or end. */
static void report(int i, uint64_t n, bool full, bool opened, int first, int count)
{
    struct buf b = {0};
    struct wire_presence m = {.n = n, .full = full, .rest = rest, .more = more};
    wire_put_presence(&b, &m);
    for (int c = first; c < first + count; c++) {
        char name[16];
        sprintf(name, "c%d", c);
        wire_add_presence(&b,
                          &(struct wire_presence_item){.kind = opened ? ITEM_OPENED : ITEM_ENDED,
                                                       .connection = slice_of(name),
                                                       .session = S("s")});
    }
    struct slice message = {b.data, b.len};
    struct wire_presence decoded;
    ck_assert_int_eq(wire_get_presence(message, &decoded), 0);
    presence_report(nodes[i].presence, id, &decoded, now);
    take_changes(&nodes[i]);
    ck_assert_int_eq(presence_result(nodes[i].presence), 0);
    cluster_forward(nodes[i].cluster, id, message, now);
    buf_release(&b);
}

static void assert_known(size_t connections)
{
    for (int i = 0; i < BROKERS; i++)
        if (nodes[i].cluster)
            ck_assert_uint_eq(presence_session_connections(nodes[i].presence, S("s")), connections);
}

static size_t missing(int i)
{
    size_t count = 0;
    struct slice name;
    for (const void *at = NULL; (at = cluster_next_missing(nodes[i].cluster, at, &name));)
        count++;
    return count;
}

static void seconds(int count)
{
    while (count--) {
        now += 1000;
        for (int i = 0; i < BROKERS; i++)
            if (nodes[i].cluster)
                cluster_tick(nodes[i].cluster, now);
    }
}

/* --- stories --- */

START_TEST(everybody_knows_who_is_connected_to_anybody)
{
    id = S("w1");
    say_hello(0);
    report(0, 1, true, true, 0, 20); /* in parts */
    assert_known(20);
    report(0, 2, false, false, 0, 5);
    assert_known(15);
    id = S("w2");
    say_hello(2);
    report(2, 1, true, true, 100, 1);
    assert_known(16);
}
END_TEST

START_TEST(a_worker_belongs_to_who_it_said_hello_to_last)
{
    id = S("w1");
    say_hello(0);
    report(0, 1, true, true, 0, 3);
    say_hello(1);
    report(1, 1, true, true, 0, 3);
    assert_known(3);
    report(0, 2, false, false, 0, 3); /* what was still on its way */
    ck_assert_uint_eq(presence_session_connections(nodes[2].presence, S("s")), 3);
    report(1, 2, false, false, 0, 1);
    ck_assert_uint_eq(presence_session_connections(nodes[2].presence, S("s")), 2);
}
END_TEST

/* Node 1 does not hear the second report of a worker of node 0. */
static void miss_a_report(void)
{
    id = S("w1");
    say_hello(0);
    report(0, 1, true, true, 0, 3);
    nodes[1].deaf = true;
    report(0, 2, false, true, 3, 1);
    nodes[1].deaf = false;
    nodes[0].resyncs = 0;
}

START_TEST(who_missed_something_has_it_reported_in_full)
{
    miss_a_report();
    report(0, 3, false, true, 4, 1);
    report(0, 4, false, true, 5, 1);
    ck_assert_int_eq(nodes[0].resyncs, 1); /* asked once */
    say_hello(0);
    report(0, 1, true, true, 0, 6);
    assert_known(6);
}
END_TEST

START_TEST(a_worker_whose_hello_was_missed_has_it_said_again)
{
    id = S("w1");
    say_hello(0);
    report(0, 1, true, true, 0, 3);
    nodes[2].deaf = true;
    say_hello(1);
    report(1, 1, true, true, 0, 3);
    nodes[2].deaf = false;
    kill_node(0);
    nodes[1].resyncs = 0;
    report(1, 2, false, true, 3, 1);
    report(1, 3, false, true, 4, 1);
    ck_assert_int_eq(nodes[1].resyncs, 1); /* asked once */
    say_hello(1);
    report(1, 1, true, true, 0, 5);
    assert_known(5);
}
END_TEST

START_TEST(a_request_that_is_lost_is_repeated)
{
    miss_a_report();
    nodes[0].mute = true;
    report(0, 3, false, true, 4, 1);
    ck_assert_int_eq(nodes[0].resyncs, 0);
    nodes[0].mute = false;
    for (uint64_t n = 4; n < 8; n++) {
        seconds(1);
        report(0, n, false, true, (int)n + 1, 1);
    }
    ck_assert_int_eq(nodes[0].resyncs, 0); /* the answer may be on its way */
    seconds(1);
    report(0, 8, false, true, 9, 1);
    report(0, 9, false, true, 10, 1);
    ck_assert_int_eq(nodes[0].resyncs, 1);
}
END_TEST

START_TEST(one_that_starts_asks_for_everything)
{
    id = S("w1");
    kill_node(1);
    say_hello(0);
    report(0, 1, true, true, 0, 3);
    start(1);
    nodes[0].resyncs = 0;
    cluster_tick(nodes[1].cluster, now);
    ck_assert_int_eq(nodes[0].resyncs, 1);
    say_hello(0);
    report(0, 1, true, true, 0, 3);
    assert_known(3);
    cluster_rejoin(nodes[1].cluster);
    cluster_tick(nodes[1].cluster, now);
    ck_assert_int_eq(nodes[0].resyncs, 2);
}
END_TEST

START_TEST(a_silent_one_is_missing_until_it_is_back)
{
    seconds(1);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
    kill_node(1);
    seconds(4);
    ck_assert_uint_eq(missing(0), 0);
    seconds(3);
    ck_assert_uint_eq(missing(0), 1);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 2);
    struct slice name;
    cluster_next_missing(nodes[2].cluster, NULL, &name);
    assert_slice(name, S("two"));
    start(1);
    seconds(1);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
}
END_TEST

START_TEST(one_that_was_started_again_takes_the_place_of_the_former)
{
    seconds(1);
    cluster_free(&nodes[1].cluster);
    seconds(7);
    ck_assert_uint_eq(missing(0), 1);
    nodes[1].cluster = cluster_new(&(struct cluster_config){
        999, S("two"), nodes[1].presence, nodes[1].counters, send_all, NULL, on_resync, &nodes[1]});
    seconds(1);
    ck_assert_uint_eq(missing(0), 0);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
}
END_TEST

START_TEST(one_that_leaves_is_not_missing)
{
    seconds(1);
    cluster_leave(nodes[1].cluster);
    kill_node(1);
    seconds(20);
    ck_assert_uint_eq(missing(0), 0);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 2);
}
END_TEST

START_TEST(what_all_have_counted)
{
    uint64_t sums[BROKER_COUNTERS] = {[EVENTS] = 5};
    nodes[1].counters[EVENTS] = 30;
    nodes[2].counters[EVENTS] = 400;
    seconds(1);
    cluster_leave(nodes[2].cluster); /* what it counted stays counted */
    kill_node(2);
    cluster_add_counters(nodes[0].cluster, sums);
    ck_assert_uint_eq(sums[EVENTS], 435);
    cluster_add_counters(NULL, sums);
    ck_assert_uint_eq(sums[EVENTS], 435);
}
END_TEST

static void piece(uint64_t n, bool first, bool last, int first_connection, int count)
{
    rest = !first;
    more = !last;
    report(0, n, true, true, first_connection, count);
    rest = more = false;
}

START_TEST(a_report_in_pieces_reaches_everybody)
{
    id = S("w");
    say_hello(0);
    piece(1, true, false, 0, 10);
    piece(2, false, true, 10, 10);
    for (int i = 0; i < BROKERS; i++)
        ck_assert_uint_eq(presence_connections(nodes[i].presence), 20);
    piece(3, true, false, 0, 10);
    for (int i = 0; i < BROKERS; i++)
        ck_assert_uint_eq(presence_connections(nodes[i].presence), 20);
    piece(4, false, true, 0, 0);
    for (int i = 0; i < BROKERS; i++)
        ck_assert_uint_eq(presence_connections(nodes[i].presence), 10);
    ck_assert_int_eq(nodes[0].resyncs, 0);
}
END_TEST

START_TEST(a_piece_that_is_lost_has_all_reported_anew_once)
{
    id = S("w");
    say_hello(0);
    int before = nodes[0].resyncs;
    piece(1, true, false, 0, 10);
    nodes[2].deaf = true;
    piece(2, false, false, 10, 10);
    nodes[2].deaf = false;
    piece(3, false, false, 20, 10);
    piece(4, false, true, 30, 10);
    ck_assert_int_eq(nodes[0].resyncs, before + 1);
    ck_assert_uint_eq(presence_connections(nodes[1].presence), 40);
    piece(5, true, true, 0, 40);
    ck_assert_uint_eq(presence_connections(nodes[2].presence), 40);
    ck_assert_int_eq(nodes[0].resyncs, before + 1);
}
END_TEST

/* Say hello to node 0 as the broker of this run. */
static void strange_broker(uint64_t run, const char *name)
{
    char counters[BROKER_COUNTERS * 8] = {0};
    struct buf b = {0};
    struct gossip m = {GOSSIP_HERE, run, 1, slice_of(name), {counters, sizeof counters}};
    gossip_put(&b, &m, 0, 2000);
    ck_assert(!cluster_receive(nodes[0].cluster, (struct slice){b.data, b.len}, now));
    buf_release(&b);
}

START_TEST(brokers_without_end_are_not_all_remembered)
{
    static struct capture c;
    char name[16];
    log_set_level(LOG_WARN);
    capture_begin(&c, STDERR_FILENO);
    for (uint64_t run = 1000; run < 2000; run++) {
        sprintf(name, "b%d", (int)run);
        strange_broker(run, name);
    }
    log_tick(clock_ms() + 61000); /* the first minute of the log is over */
    strange_broker(2000, "one more");
    log_close();
    const char *counted = strstr(capture_end(&c), "times more)");
    ck_assert_ptr_nonnull(counted);
    ck_assert_ptr_nonnull(strstr(counted, "more than")); /* it is said again */
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 1 + CLUSTER_PEERS_MAX);
    for (int i = 0; i < 8; i++) { /* they are silent, our own are not */
        now += 1000;
        for (int n = 0; n < BROKERS; n++)
            cluster_tick(nodes[n].cluster, now);
    }
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
    strange_broker(5000, "late"); /* one of the silent makes room */
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 4);
}
END_TEST

START_TEST(a_broker_that_stood_still_does_not_take_the_others_for_silent)
{
    now += 1000;
    for (int n = 0; n < BROKERS; n++)
        cluster_tick(nodes[n].cluster, now);
    now += 60000;
    cluster_tick(nodes[0].cluster, now);
    ck_assert_uint_eq(missing(0), 0);
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
    for (int i = 0; i < 8; i++, now += 1000)
        cluster_tick(nodes[0].cluster, now);
    ck_assert_uint_eq(missing(0), 2); /* they are silent all the same */
}
END_TEST

START_TEST(a_message_in_another_format_is_ignored)
{
    ck_assert(!cluster_receive(nodes[0].cluster, S("noise"), now));
    ck_assert_uint_eq(cluster_brokers(nodes[0].cluster), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster");
    TCase *tests = one_case(suite, "cluster");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, everybody_knows_who_is_connected_to_anybody);
    tcase_add_test(tests, a_worker_belongs_to_who_it_said_hello_to_last);
    tcase_add_test(tests, who_missed_something_has_it_reported_in_full);
    tcase_add_test(tests, a_worker_whose_hello_was_missed_has_it_said_again);
    tcase_add_test(tests, a_request_that_is_lost_is_repeated);
    tcase_add_test(tests, one_that_starts_asks_for_everything);
    tcase_add_test(tests, a_silent_one_is_missing_until_it_is_back);
    tcase_add_test(tests, one_that_was_started_again_takes_the_place_of_the_former);
    tcase_add_test(tests, one_that_leaves_is_not_missing);
    tcase_add_test(tests, what_all_have_counted);
    tcase_add_test(tests, a_report_in_pieces_reaches_everybody);
    tcase_add_test(tests, a_piece_that_is_lost_has_all_reported_anew_once);
    tcase_add_test(tests, brokers_without_end_are_not_all_remembered);
    tcase_add_test(tests, a_broker_that_stood_still_does_not_take_the_others_for_silent);
    tcase_add_test(tests, a_message_in_another_format_is_ignored);
    return run_suite(suite);
}
