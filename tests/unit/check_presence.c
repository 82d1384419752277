/* Who is connected: reports and holes in them, leases, counting an audience, ordered lists. */
#include <errno.h>

#include "codec/audience.h"
#include "presence/presence.h"
#include "support.h"

static struct presence *presence;
static struct buf items; /* of the report being written */

#define RUN 7u

static char told[1024]; /* the changes: "+c1 ^a -c1:client v:client ", in brackets: silent */

static void on_change(const struct presence_change *change)
{
    static const char signs[] = "+-^v";
    struct connection_info info;
    bool session = change->what >= PRESENCE_SESSION_ONLINE;
    bool end = change->what == PRESENCE_DISCONNECTED || change->what == PRESENCE_SESSION_OFFLINE;
    connection_describe(change->of, &info);
    struct slice name = session ? info.session : change->connection;
    snprintf(told + strlen(told), sizeof told - strlen(told),
             change->silent ? "(%c%.*s%s%s) " : "%c%.*s%s%s ", signs[change->what], (int)name.len,
             name.data, end ? ":" : "", end ? end_cause_name(change->cause) : "");
}

/* What was told since it was asked last. */
static const char *changes(void)
{
    static char last[sizeof told];
    memcpy(last, told, sizeof told);
    *told = '\0';
    return last;
}

static void take_changes(void)
{
    struct presence_change change;
    while (presence_next(presence, &change))
        on_change(&change);
    ck_assert(!presence_next(presence, &change));
}

/* Take the changes, and after each one tell how many connections there are: "+a1 =1 ". */
static void one_by_one(void)
{
    struct presence_change change;
    while (presence_next(presence, &change)) {
        on_change(&change);
        snprintf(told + strlen(told), sizeof told - strlen(told), "=%zu ",
                 presence_connections(presence));
    }
}

/* Returns the number of lost workers. */
static size_t expire(int64_t now)
{
    presence_expire(presence, now);
    take_changes();
    return presence_lost(presence);
}

static void begin(void)
{
    presence = presence_new();
    ck_assert_ptr_nonnull(presence);
    *told = '\0';
    presence_set_epoch(presence, RUN);
}

static void end(void)
{
    presence_free(&presence);
    ck_assert_ptr_null(presence);
    buf_release(&items);
}

static void opened(const char *connection, const char *session, const char *channel,
                   const char *channel_2)
{
    struct slice channels[] = {slice_of(channel), slice_of(channel_2)};
    wire_add_presence(&items,
                      &(struct wire_presence_item){
                          .kind = ITEM_OPENED,
                          .connection = slice_of(connection),
                          .session = slice_of(session),
                          .since_ms = 42,
                          .channels = {channels, (channel != NULL) + (size_t)(channel_2 != NULL)}});
}

static void ended(const char *connection)
{
    wire_add_presence(&items, &(struct wire_presence_item){.connection = slice_of(connection)});
}

/* The same with what only matters to a fresh broker. */
static void item(enum wire_item kind, const char *connection, const char *session, bool was_told)
{
    wire_add_presence(&items, &(struct wire_presence_item){.kind = kind,
                                                           .connection = slice_of(connection),
                                                           .session = slice_of(session),
                                                           .acknowledged = was_told,
                                                           .cause = END_CLIENT});
}

static uint64_t told_run; /* of the broker, as the next reports say */
static bool with_lags;
static struct wire_presence piece; /* flags of the next reports */

/* Send what opened() and ended() wrote, through the codec, as the wire would. at_once: apply it. */
static void send_report(const char *worker, uint64_t n, bool full, int64_t now, bool at_once)
{
    struct wire_presence m = {.n = n,
                              .full = full,
                              .rest = piece.rest,
                              .more = piece.more,
                              .bye = piece.bye,
                              .lags = with_lags,
                              .acked_epoch = told_run,
                              .gauges = {[GAUGE_POSITION] = 10 * n},
                              .counters = {[STREAMS_OPENED] = n}};
    struct buf b = {0};
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    ck_assert_int_eq(wire_get_presence((struct slice){b.data, b.len}, &m), 0);
    presence_report(presence, slice_of(worker), &m, now);
    if (at_once)
        take_changes();
    else
        one_by_one();
    buf_release(&b);
    buf_release(&items);
}

static int report(const char *worker, uint64_t n, bool full, int64_t now)
{
    send_report(worker, n, full, now, true);
    return presence_result(presence);
}

static void hello(const char *worker, int64_t now)
{
    ck_assert_int_eq(
        presence_hello(presence, slice_of(worker), &(struct wire_hello){.worker = S("name")}, now),
        0);
}

/* Worker w with a1 and a2 of session a, b1 of b; a1 and b1 are in the channel x, a1 in y too. */
static void three_connections(void)
{
    hello("w", 0);
    opened("a1", "a", "x", "y");
    opened("a2", "a", NULL, NULL);
    opened("b1", "b", "x", NULL);
    ck_assert_int_eq(report("w", 1, true, 0), 0);
}

static size_t session(const char *name)
{
    return presence_session_connections(presence, slice_of(name));
}

/* --- reports --- */

/* What ends is there until its change, and that of its session, were taken. */
START_TEST(a_report_is_applied_change_by_change)
{
    hello("w", 0);
    opened("a1", "a", NULL, NULL);
    opened("a2", "a", NULL, NULL);
    send_report("w", 1, true, 0, false);
    ck_assert_str_eq(changes(), "+a1 =1 ^a =1 +a2 =2 ");
    ended("a1");
    ended("a2");
    opened("a2", "a", NULL, NULL);
    send_report("w", 2, false, 0, false);
    ck_assert_str_eq(changes(), "-a1:client =2 -a2:client =1 va:client =1 +a2 =1 ^a =1 ");
    ck_assert_int_eq(presence_result(presence), 0);
}
END_TEST

START_TEST(a_full_report_says_who_is_there)
{
    three_connections();
    ck_assert_uint_eq(presence_connections(presence), 3);
    ck_assert_uint_eq(presence_sessions(presence), 2);
    ck_assert_uint_eq(presence_channels(presence), 2);
    ck_assert_uint_eq(session("a"), 2);
    ck_assert_uint_eq(session("nobody"), 0);
}
END_TEST

START_TEST(increments_add_and_take_away)
{
    three_connections();
    opened("c1", "c", NULL, NULL);
    ended("a1");
    ended("b1");
    ck_assert_int_eq(report("w", 2, false, 0), 0);
    ck_assert_uint_eq(session("a"), 1);
    ck_assert_uint_eq(session("b"), 0);
    ck_assert_uint_eq(session("c"), 1);
    ck_assert_uint_eq(presence_sessions(presence), 2);
    ck_assert_uint_eq(presence_channels(presence), 0);
}
END_TEST

START_TEST(a_full_report_replaces_what_was_known)
{
    three_connections();
    opened("a2", "a", NULL, NULL);
    ck_assert_int_eq(report("w", 9, true, 0), 0);
    ck_assert_uint_eq(presence_connections(presence), 1);
    ck_assert_int_eq(report("w", 10, false, 0), 0);
}
END_TEST

START_TEST(a_hole_asks_for_a_full_report)
{
    three_connections();
    ended("a1");
    ck_assert_int_eq(report("w", 3, false, 0), -ESTALE);
    ck_assert_uint_eq(session("a"), 2);
    ck_assert_int_eq(report("w", 4, false, 0), -ESTALE); /* until it has come */
    opened("a2", "a", NULL, NULL);
    ck_assert_int_eq(report("w", 5, true, 0), 0);
    ck_assert_uint_eq(session("a"), 1);
}
END_TEST

START_TEST(an_unknown_worker_has_to_say_hello)
{
    ck_assert_int_eq(report("w", 1, true, 0), -ESTALE);
    hello("w", 0);
    ck_assert_int_eq(report("w", 2, false, 0), -ESTALE);
    ck_assert_int_eq(report("w", 3, true, 0), 0);
    ck_assert_uint_eq(presence_workers(presence), 1);
}
END_TEST

START_TEST(a_worker_ends_its_own_connections_only)
{
    three_connections();
    hello("v", 0);
    ended("a1");
    ck_assert_int_eq(report("v", 1, true, 0), 0);
    ck_assert_uint_eq(presence_connections(presence), 3);
}
END_TEST

START_TEST(a_connection_reported_again_counts_once)
{
    three_connections();
    opened("a1", "b", "x", "x");
    ck_assert_int_eq(report("w", 2, false, 0), 0);
    ck_assert_uint_eq(presence_connections(presence), 3);
    ck_assert_uint_eq(session("a"), 1);
    ck_assert_uint_eq(session("b"), 2);
}
END_TEST

/* --- what is told --- */

START_TEST(each_change_is_told_once_and_in_order)
{
    three_connections();
    ck_assert_str_eq(changes(), "+a1 ^a +a2 +b1 ^b ");
    ended("a1");
    ended("b1");
    ended("b1");
    opened("b2", "b", NULL, NULL);
    report("w", 2, false, 0);
    ck_assert_str_eq(changes(), "-a1:client -b1:client vb:client +b2 ^b ");
}
END_TEST

START_TEST(a_full_report_tells_the_differences_only)
{
    three_connections();
    changes();
    hello("w", 0);
    opened("a1", "a", "x", "y");
    opened("c1", "c", NULL, NULL);
    opened("b1", "b", "x", NULL);
    ck_assert_int_eq(report("w", 9, true, 0), 0);
    ck_assert_str_eq(changes(), "+c1 ^c -a2:worker_lost ");
    ck_assert_uint_eq(presence_connections(presence), 3);
    ck_assert_uint_eq(presence_channels(presence), 2);
}
END_TEST

START_TEST(a_full_report_says_why_what_it_lost_on_the_way_ended)
{
    three_connections();
    changes();
    told_run = RUN;
    item(ITEM_ENDED, "b1", "b", true);
    item(ITEM_ENDED, "known-to-nobody", "d", true);
    item(ITEM_ENDED, "short", "e", false);
    opened("a1", "a", "x", "y");
    opened("a2", "a", NULL, NULL);
    report("w", 9, true, 0);
    ck_assert_str_eq(changes(), "-b1:client vb:client +short ^e -short:client ve:client ");
    told_run = 0;
}
END_TEST

START_TEST(a_fresh_broker_takes_over_whom_another_run_was_told)
{
    told_run = RUN - 1;
    hello("w", 0);
    item(ITEM_ENDED, "gone", "g", true);
    item(ITEM_OPENED, "old", "o", true);
    item(ITEM_OPENED, "new", "n", false);
    report("w", 1, true, 0);
    ck_assert_str_eq(changes(), "(+gone) (^g) (+old) (^o) +new ^n ");
    ended("old");
    report("w", 2, false, 0);
    ck_assert_str_eq(changes(), "-old:client vo:client ");
    expire(4999);
    ck_assert_str_eq(changes(), "");
    expire(5000);
    ck_assert_str_eq(changes(), "-gone:client vg:client ");
    expire(6000);
    ck_assert_str_eq(changes(), "");
    told_run = 0;
}
END_TEST

START_TEST(the_delay_of_a_last_end_can_be_set)
{
    told_run = RUN - 1;
    presence_set_settle(presence, 700);
    hello("w", 0);
    item(ITEM_ENDED, "gone", "g", true);
    report("w", 1, true, 0);
    ck_assert_str_eq(changes(), "(+gone) (^g) ");
    expire(699);
    ck_assert_str_eq(changes(), "");
    expire(700);
    ck_assert_str_eq(changes(), "-gone:client vg:client ");
    told_run = 0;
}
END_TEST

START_TEST(a_session_that_another_worker_still_has_does_not_go_offline)
{
    told_run = RUN - 1;
    hello("w", 0);
    item(ITEM_ENDED, "w1", "s", true);
    report("w", 1, true, 0);
    hello("v", 0);
    item(ITEM_ENDED, "v2", "s", true);
    item(ITEM_OPENED, "v1", "s", true);
    report("v", 1, true, 1000);
    ck_assert_str_eq(changes(), "(+w1) (^s) (+v2) -v2:client (+v1) ");
    told_run = RUN;
    opened("w9", "t", NULL, NULL);
    report("w", 2, true, 2000); /* in full again: what has ended is not lost */
    ck_assert_str_eq(changes(), "+w9 ^t ");
    expire(5000);
    ck_assert_str_eq(changes(), "-w1:client ");
    ck_assert_uint_eq(session("s"), 1);
    told_run = 0;
}
END_TEST

START_TEST(who_was_lost_and_returns_is_told_again)
{
    three_connections();
    changes();
    expire(100000);
    ck_assert_str_eq(
        changes(),
        "-b1:worker_lost vb:worker_lost -a2:worker_lost -a1:worker_lost va:worker_lost ");
    told_run = RUN;
    hello("w", 100001);
    item(ITEM_OPENED, "a1", "a", true);
    report("w", 2, true, 100001);
    ck_assert_str_eq(changes(), "+a1 ^a ");
    told_run = 0;
}
END_TEST

START_TEST(a_session_that_moves_to_another_worker_stays_online)
{
    three_connections();
    changes();
    hello("v", 0);
    opened("b9", "b", NULL, NULL);
    report("v", 1, true, 0);
    ended("b1");
    report("w", 2, false, 0);
    ck_assert_str_eq(changes(), "+b9 -b1:client ");
}
END_TEST

/* A model of who is there, moved by what is told,
 * agrees with presence after any series of reports. */
START_TEST(what_is_told_adds_up)
{
    struct dice dice = dice_new();
    bool there[2][40] = {0}, known[2][40] = {0};
    uint64_t n[2] = {0};
    printf("presence: SEED=%" PRIu64 "\n", dice.state);
    hello("0", 0);
    hello("1", 0);
    for (int round = 0; round < 3000; round++) {
        unsigned w = (unsigned)roll(&dice, 2);
        bool full = !n[w] || roll(&dice, 5) == 0, lost = n[w] && roll(&dice, 10) == 0;
        char name[8], session[8];
        for (unsigned c = 0; c < 40; c++) {
            bool now = roll(&dice, 8) ? there[w][c] : !there[w][c];
            snprintf(name, sizeof name, "%u.%u", w, c);
            snprintf(session, sizeof session, "s%u", c % 7);
            if (full ? now : now && !there[w][c])
                opened(name, session, NULL, NULL);
            else if (!full && !now && there[w][c])
                item(ITEM_ENDED, name, session, true);
            there[w][c] = now;
        }
        if (lost) { /* on the way: the next one is refused, and the one after that is full */
            buf_release(&items);
            n[w] = 0;
            continue;
        }
        n[w] = full ? 1 + roll(&dice, 1000) : n[w] + 1;
        ck_assert_int_eq(report(w ? "1" : "0", n[w], full, 0), 0);
        for (char *word = strtok(told, " "); word; word = strtok(NULL, " ")) {
            unsigned v, c;
            if (sscanf(word + 1, "%u.%u", &v, &c) == 2 && (*word == '+' || *word == '-')) {
                ck_assert_msg(known[v][c] == (*word == '-'), "told twice: %s", word);
                known[v][c] = *word == '+';
            }
        }
        *told = '\0';
        ck_assert(memcmp(known[w], there[w], sizeof known[w]) == 0);
    }
}
END_TEST

START_TEST(who_lags_is_known_until_the_next_report_of_it)
{
    struct listed row[1];
    struct listing list = {.items = row, .max = 1};
    struct connection_info info;
    three_connections();
    presence_list_connections(presence, S("b"), &list);
    connection_describe(row[0].value, &info);
    ck_assert(!info.lags);
    wire_add_presence(&items,
                      &(struct wire_presence_item){
                          .kind = ITEM_LAGS, .connection = S("b1"), .sent = 17, .queued = 1000});
    with_lags = true;
    report("w", 2, false, 0);
    with_lags = false;
    report("w", 3, false, 0);
    connection_describe(row[0].value, &info);
    ck_assert(info.lags);
    ck_assert_uint_eq(info.sent, 17);
    ck_assert_uint_eq(info.queued, 1000);
    with_lags = true;
    report("w", 4, false, 0);
    with_lags = false;
    connection_describe(row[0].value, &info);
    ck_assert(!info.lags);
    ck_assert_uint_eq(presence_acknowledged(presence, S("w")), 4);
    changes();
}
END_TEST

/* --- full reports in pieces --- */

/* Send a piece; first and last as they are. */
static int send_piece(uint64_t n, bool first, bool last)
{
    piece = (struct wire_presence){.rest = !first, .more = !last};
    int err = report("w", n, true, 0);
    piece = (struct wire_presence){0};
    return err;
}

START_TEST(only_the_last_piece_shows_who_is_missing)
{
    three_connections();
    changes();
    opened("a1", "a", "x", "y");
    ck_assert_int_eq(send_piece(7, true, false), 0);
    ck_assert_str_eq(changes(), "");
    opened("d1", "d", NULL, NULL);
    ended("d1");
    ck_assert_int_eq(send_piece(8, false, false), 0);
    ck_assert_str_eq(changes(), "+d1 ^d -d1:client vd:client ");
    ck_assert_uint_eq(presence_connections(presence), 3);
    opened("b1", "b", "x", NULL);
    ck_assert_int_eq(send_piece(9, false, true), 0);
    ck_assert_str_eq(changes(), "-a2:worker_lost ");
    ck_assert_uint_eq(presence_acknowledged(presence, S("w")), 9);
    ck_assert_int_eq(report("w", 10, false, 0), 0);
}
END_TEST

START_TEST(an_interrupted_report_is_no_report)
{
    three_connections();
    changes();
    opened("a1", "a", "x", "y");
    ck_assert_int_eq(send_piece(7, true, false), 0);
    ck_assert_int_eq(send_piece(9, false, true), -ESTALE);  /* one was lost */
    ck_assert_int_eq(send_piece(10, false, true), -ESTALE); /* and it stays so */
    ck_assert_int_eq(report("w", 10, false, 0), -ESTALE);
    ck_assert_int_eq(send_piece(11, true, false), 0);
    hello("w", 0); /* it begins anew */
    ck_assert_int_eq(send_piece(12, false, true), -ESTALE);
    ck_assert_int_eq(send_piece(13, true, false), 0);
    ck_assert_int_eq(report("w", 14, false, 0), -ESTALE); /* changes belong to the pieces */
    ck_assert_str_eq(changes(), "");
    ck_assert_uint_eq(presence_connections(presence), 3);
    opened("a2", "a", NULL, NULL);
    ck_assert_int_eq(send_piece(20, true, false), 0);
    ck_assert_int_eq(send_piece(21, true, true), 0); /* a new one in place of the rest */
    ck_assert_str_eq(
        changes(),
        "-b1:worker_lost vb:worker_lost -a2:worker_lost -a1:worker_lost va:worker_lost ");
}
END_TEST

START_TEST(a_worker_that_dies_within_a_report_is_lost_as_any_other)
{
    three_connections();
    changes();
    send_piece(7, true, false);
    ck_assert_uint_eq(expire(PRESENCE_LEASE_MS + 1), 1);
    ck_assert_uint_eq(presence_connections(presence), 0);
    ck_assert_int_eq(send_piece(8, false, true), -ESTALE);
    hello("w", 0);
    ck_assert_int_eq(send_piece(8, false, true), -ESTALE);
}
END_TEST

START_TEST(all_pieces_of_a_report_are_taken_over)
{
    hello("w", 0);
    told_run = RUN - 1;
    item(ITEM_OPENED, "a1", "a", true);
    ck_assert_int_eq(send_piece(1, true, false), 0);
    told_run = RUN; /* what a worker says that believes that the first piece was all */
    item(ITEM_OPENED, "b1", "b", true);
    item(ITEM_OPENED, "c1", "c", false);
    ck_assert_int_eq(send_piece(2, false, true), 0);
    told_run = 0;
    ck_assert_str_eq(changes(), "(+a1) (^a) (+b1) (^b) +c1 ^c ");
}
END_TEST

/* --- the end of a worker --- */

START_TEST(a_worker_that_says_goodbye_is_not_lost)
{
    three_connections();
    changes();
    ended("a1");
    piece.bye = true;
    ck_assert_int_eq(report("w", 2, false, 0), 0);
    piece.bye = false;
    ck_assert_str_eq(changes(), "-a1:client -b1:drain vb:drain -a2:drain va:drain ");
    ck_assert_uint_eq(presence_workers(presence), 0);
    ck_assert_uint_eq(expire(100000), 0);
    ck_assert_int_eq(report("w", 3, false, 0), -ESTALE);
    uint64_t counters[WORKER_COUNTERS];
    presence_counters(presence, counters);
    ck_assert_uint_eq(counters[STREAMS_OPENED], 2);
}
END_TEST

/* --- leases --- */

START_TEST(a_lease_is_as_long_as_it_was_set)
{
    ck_assert_int_eq(presence_lease(presence), PRESENCE_LEASE_MS);
    presence_set_lease(presence, 3000);
    three_connections();
    ck_assert_uint_eq(expire(3000), 0);
    ck_assert_uint_eq(expire(3001), 1);
}
END_TEST

/* Look each second, as a broker does that has nothing else to do. */
static size_t attend_for(int64_t *now, int seconds)
{
    size_t lost = 0;
    for (int i = 0; i < seconds; i++) {
        *now += 1000;
        presence_note_read(presence, *now, true);
        lost += expire(*now);
    }
    return lost;
}

START_TEST(time_in_which_the_broker_was_busy_ends_no_lease)
{
    int64_t now = 1000;
    three_connections();
    presence_note_read(presence, now, true);
    ck_assert_int_eq(report("w", 2, false, now), 0);
    now += 100000; /* a long turn, or a stop */
    ck_assert_uint_eq(expire(now), 0);
    presence_note_read(presence, now, true);
    ck_assert_uint_eq(expire(now), 0);
    ck_assert_uint_eq(attend_for(&now, 15), 0);
    ck_assert_uint_eq(attend_for(&now, 1), 1); /* it is silent all the same */
}
END_TEST

START_TEST(a_short_lease_outlasts_a_stop_too)
{
    int64_t now = 1000;
    presence_set_lease(presence, 3000);
    three_connections();
    presence_note_read(presence, now, true);
    ck_assert_int_eq(report("w", 2, false, now), 0);
    ck_assert_uint_eq(attend_for(&now, 1), 0); /* its next report is due, */
    now += 5000;                               /* and the broker stands still */
    presence_note_read(presence, now, true);
    ck_assert_uint_eq(expire(now), 0);
    ck_assert_uint_eq(attend_for(&now, 2), 0);
    ck_assert_uint_eq(attend_for(&now, 1), 1);
}
END_TEST

START_TEST(nobody_is_lost_while_something_is_left_to_read)
{
    int64_t now = 1000;
    three_connections();
    for (int i = 0; i < 100; i++, now += 1000) {
        presence_note_read(presence, now, false);
        ck_assert_uint_eq(expire(now), 0);
    }
    presence_note_read(presence, now, true);
    ck_assert_uint_eq(expire(now), 0);
    ck_assert_uint_eq(attend_for(&now, 16), 1);
}
END_TEST

START_TEST(a_silent_worker_is_lost_with_its_connections)
{
    three_connections();
    hello("v", 1);
    opened("c1", "c", NULL, NULL);
    report("v", 1, true, 1);
    ck_assert_uint_eq(expire(PRESENCE_LEASE_MS), 0);
    ck_assert_uint_eq(expire(PRESENCE_LEASE_MS + 1), 1);
    ck_assert_uint_eq(presence_connections(presence), 1);
    ck_assert_uint_eq(presence_workers(presence), 1);
    ck_assert_uint_eq(expire(PRESENCE_LEASE_MS + 1), 0);
}
END_TEST

START_TEST(whatever_a_worker_says_renews_its_lease)
{
    three_connections();
    presence_renew(presence, S("w"), 10000);
    ck_assert_uint_eq(expire(10000 + PRESENCE_LEASE_MS), 0);
    ck_assert_int_eq(report("w", 2, false, 20000), 0);
    ck_assert_uint_eq(expire(20000 + PRESENCE_LEASE_MS), 0);
    ck_assert_uint_eq(expire(20001 + PRESENCE_LEASE_MS), 1);
}
END_TEST

START_TEST(a_lost_worker_has_to_say_hello)
{
    three_connections();
    expire(100000);
    presence_renew(presence, S("w"), 100000);
    ck_assert_uint_eq(presence_workers(presence), 0);
    ck_assert_int_eq(report("w", 2, true, 100000), -ESTALE);
    hello("w", 100000);
    ck_assert_int_eq(report("w", 3, true, 100000), 0);
    ck_assert_uint_eq(presence_workers(presence), 1);
}
END_TEST

static uint64_t opened_in_all(void)
{
    uint64_t counters[WORKER_COUNTERS];
    presence_counters(presence, counters);
    return counters[STREAMS_OPENED];
}

START_TEST(counters_are_summed_and_never_fall)
{
    hello("v", 0);
    hello("w", 0);
    report("v", 5, true, 0);
    report("w", 7, true, 0);
    ck_assert_uint_eq(opened_in_all(), 12);
    expire(100000);
    ck_assert_uint_eq(opened_in_all(), 12);
    hello("v", 100000); /* it was only stopped */
    report("v", 8, true, 100000);
    ck_assert_uint_eq(opened_in_all(), 15);
    expire(100000000); /* both are forgotten */
    ck_assert_uint_eq(opened_in_all(), 15);
    ck_assert_uint_eq(presence_workers(presence), 0);
}
END_TEST

START_TEST(workers_are_listed_with_what_they_said_of_themselves)
{
    struct listed places[4];
    struct listing list = {.items = places, .max = 4};
    struct worker_info info;
    hello("w", 0);
    report("w", 7, true, 5);
    ck_assert_int_eq(
        presence_hello(presence, slice_of("v"), &(struct wire_hello){.worker = S("other")}, 20000),
        0);
    presence_list_workers(presence, &list);
    ck_assert_uint_eq(list.count, 2);
    presence_describe_worker(list.items[0].value, &info);
    ck_assert(slice_equal(list.items[0].name, slice_of("name")));
    ck_assert_uint_eq(info.gauges[GAUGE_POSITION], 70);
    ck_assert_uint_eq(info.counters[STREAMS_OPENED], 7);
    ck_assert_int_eq(info.heard_at, 5);
    expire(20000); /* w is lost */
    list.count = 0;
    presence_list_workers(presence, &list);
    ck_assert_uint_eq(list.count, 1);
    ck_assert(slice_equal(list.items[0].name, slice_of("other")));
}
END_TEST

START_TEST(what_was_counted_for_another_broker_is_known)
{
    uint64_t before[WORKER_COUNTERS];
    hello("fresh", 0);
    report("fresh", 5, true, 0);
    ck_assert_int_eq(presence_hello(presence, S("old"), &(struct wire_hello){.position = 5}, 0), 0);
    report("old", 100, true, 0);
    report("old", 101, false, 0);
    presence_counted_before(presence, before);
    ck_assert_uint_eq(before[STREAMS_OPENED], 100);
    ck_assert_uint_eq(opened_in_all(), 106);
    expire(100000000); /* forgotten, and yet it returns */
    expire(100000000);
    presence_hello(presence, S("old"), &(struct wire_hello){.position = 5}, 100000000);
    report("old", 103, true, 100000000);
    presence_counted_before(presence, before);
    ck_assert_uint_eq(opened_in_all() - before[STREAMS_OPENED], 6); /* 5, and 1 while known */
}
END_TEST

START_TEST(the_largest_sessions_are_known_at_any_time)
{
    struct top_session top[3];
    three_connections();
    ck_assert_uint_eq(presence_top_sessions(presence, top, 3), 2);
    ck_assert(slice_equal(top[0].session, slice_of("a")));
    ck_assert_uint_eq(top[0].connections, 2);
    ck_assert(slice_equal(top[1].session, slice_of("b")));
    ended("a1");
    ended("a2");
    report("w", 2, false, 0);
    ck_assert_uint_eq(presence_top_sessions(presence, top, 3), 1);
    ck_assert(slice_equal(top[0].session, slice_of("b")));
    expire(100000);
    ck_assert_uint_eq(presence_top_sessions(presence, top, 3), 0);
}
END_TEST

/* --- counting --- */

/* Names separated by blanks into a list of at most 4. */
struct few {
    struct slice items[4];
};

static struct names few(struct few *out, const char *text)
{
    size_t count = 0;
    for (const char *p = text; p && *p; count++) {
        size_t len = strcspn(p, " ");
        out->items[count] = (struct slice){p, len};
        p += len + (p[len] == ' ');
    }
    return (struct names){out->items, count};
}

static size_t match(const char *sessions, const char *channels, const char *connections,
                    const char *except_sessions, const char *except_channels,
                    const char *except_connections)
{
    const char *texts[] = {sessions,        channels,        connections,
                           except_sessions, except_channels, except_connections};
    struct few room[EVENT_LISTS];
    struct names lists[EVENT_LISTS];
    for (int i = 0; i < EVENT_LISTS; i++)
        lists[i] = few(&room[i], texts[i]);
    return presence_match(presence, sessions || channels || connections, lists);
}

START_TEST(an_audience_is_a_union_without_the_excepted)
{
    three_connections();
    ck_assert_uint_eq(match(NULL, NULL, NULL, NULL, NULL, NULL), 3);
    ck_assert_uint_eq(match("", NULL, NULL, NULL, NULL, NULL), 0); /* a `to` that names nobody */
    ck_assert_uint_eq(match("a", NULL, NULL, NULL, NULL, NULL), 2);
    ck_assert_uint_eq(match("a a", NULL, NULL, NULL, NULL, NULL), 2);
    ck_assert_uint_eq(match("a", "x", "a1", NULL, NULL, NULL), 3);
    ck_assert_uint_eq(match(NULL, "x", NULL, NULL, NULL, NULL), 2);
    ck_assert_uint_eq(match(NULL, NULL, "a1 nobody", NULL, NULL, NULL), 1);
    ck_assert_uint_eq(match("nobody", NULL, NULL, NULL, NULL, NULL), 0);
    ck_assert_uint_eq(match(NULL, "x", NULL, "a", NULL, NULL), 1);
    ck_assert_uint_eq(match(NULL, NULL, NULL, "a", "y", "a1"), 1);
    ck_assert_uint_eq(match(NULL, NULL, NULL, NULL, "x", NULL), 1);
    ck_assert_uint_eq(match("a b", NULL, NULL, NULL, NULL, "b1"), 2);
}
END_TEST

START_TEST(a_channel_named_twice_counts_once)
{
    hello("w", 0);
    opened("a1", "a", "x", "x");
    ck_assert_int_eq(report("w", 1, true, 0), 0);
    ck_assert_uint_eq(match(NULL, "x", NULL, NULL, NULL, NULL), 1);
    ended("a1");
    ck_assert_int_eq(report("w", 2, false, 0), 0);
    ck_assert_uint_eq(presence_channels(presence), 0);
}
END_TEST

START_TEST(counting_agrees_with_a_plain_walk)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    static const char *const names[] = {"a", "b", "c", "d"};
    struct audience all[60];
    struct slice channels[60];
    char ids[60][4];
    hello("w", 0);
    for (int i = 0; i < 60; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        channels[i] = slice_of(names[roll(&dice, 4)]);
        all[i] = (struct audience){
            slice_of(names[roll(&dice, 4)]), slice_of(ids[i]), {&channels[i], 1}, false, false};
        opened(ids[i], all[i].session.data, channels[i].data, NULL);
    }
    ck_assert_int_eq(report("w", 1, true, 0), 0);
    for (int round = 0; round < 200; round++) {
        struct slice picked[EVENT_LISTS][2];
        struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = roll(&dice, 2)};
        for (int list = 0; list < EVENT_LISTS; list++) {
            spec.lists[list] =
                (struct names){picked[list], list < 3 && !spec.has_to ? 0 : roll(&dice, 3)};
            for (int i = 0; i < 2; i++)
                picked[list][i] = list % 3 == 2 ? slice_of(ids[roll(&dice, 60)])
                                                : slice_of(names[roll(&dice, 4)]);
        }
        struct event *e = event_new(&spec);
        size_t expected = 0;
        for (int i = 0; i < 60; i++)
            expected += event_concerns(e, &all[i]);
        event_unref(&e);
        ck_assert_msg(presence_match(presence, spec.has_to, spec.lists) == expected,
                      "SEED=%" PRIu64 " round %d", seed, round);
    }
}
END_TEST

/* --- lists --- */

static struct listed room[10];

START_TEST(sessions_are_listed_in_order_page_by_page)
{
    three_connections();
    struct listing list = {.items = room, .max = 1};
    presence_list_sessions(presence, S(""), &list);
    ck_assert_uint_eq(list.count, 1);
    assert_slice(room[0].name, S("a"));
    ck_assert_uint_eq(presence_listed_connections(&room[0]), 2);
    ck_assert(list.more);
    list = (struct listing){.items = room, .max = 1, .after = S("a")};
    presence_list_sessions(presence, S(""), &list);
    assert_slice(room[0].name, S("b"));
    ck_assert(!list.more);
}
END_TEST

START_TEST(a_prefix_narrows_the_sessions)
{
    hello("w", 0);
    opened("1", "user-1", NULL, NULL);
    opened("2", "user-2", NULL, NULL);
    opened("3", "use", NULL, NULL);
    report("w", 1, true, 0);
    struct listing list = {.items = room, .max = 10};
    presence_list_sessions(presence, S("user-"), &list);
    ck_assert_uint_eq(list.count, 2);
    assert_slice(room[1].name, S("user-2"));
}
END_TEST

static struct history_lag behind_100(void *context, uint64_t position)
{
    ck_assert_ptr_nonnull(context);
    return (struct history_lag){100 - position, 1234};
}

START_TEST(workers_are_described)
{
    struct listing list = {.items = room, .max = 10};
    struct worker_info info;
    three_connections();
    hello("lost", -100000);
    expire(1000);
    presence_list_workers(presence, &list);
    ck_assert_uint_eq(list.count, 1);
    assert_slice(room[0].name, S("name"));
    presence_describe_worker(room[0].value, &info);
    ck_assert_uint_eq(info.connections, 3);
    ck_assert_int_eq(info.heard_at, 0);
    ck_assert_uint_eq(info.lag_events, 0);
    ck_assert_uint_eq(info.counters[STREAMS_OPENED], 1);
    presence_measure_lag(presence, behind_100, &info);
    ended("a1");
    ck_assert_int_eq(report("w", 2, false, 0), 0);
    presence_describe_worker(room[0].value, &info);
    ck_assert_uint_eq(info.connections, 2);
    ck_assert_uint_eq(info.gauges[GAUGE_POSITION], 20);
    ck_assert_uint_eq(info.lag_events, 80);
    ck_assert_int_eq(info.lag_ms, 1234);
}
END_TEST

START_TEST(connections_are_described)
{
    three_connections();
    struct listing list = {.items = room, .max = 10};
    struct connection_info info;
    presence_list_connections(presence, S("a"), &list);
    ck_assert_uint_eq(list.count, 2);
    assert_slice(room[0].name, S("a1"));
    connection_describe(room[0].value, &info);
    assert_slice(info.session, S("a"));
    assert_slice(info.worker, S("name"));
    ck_assert_int_eq(info.since_ms, 42);
    ck_assert_uint_eq(info.channel_count, 2);
    assert_slice(connection_channel(room[0].value, 1), S("y"));
    list = (struct listing){.items = room, .max = 10};
    presence_list_connections(presence, S(""), &list);
    ck_assert_uint_eq(list.count, 3);
}
END_TEST

START_TEST(connections_without_a_session_change_no_session)
{
    struct top_session top[4];
    struct listed listed[4];
    struct listing list = {.items = listed, .max = 4};
    hello("w", 0);
    opened("c1", "", "x", NULL);
    opened("c2", "", NULL, NULL);
    opened("c3", "a", NULL, NULL);
    ck_assert_int_eq(report("w", 1, true, 0), 0);
    ck_assert_str_eq(changes(), "+c1 +c2 +c3 ^a ");
    ck_assert_uint_eq(presence_connections(presence), 3);
    ck_assert_uint_eq(presence_sessions(presence), 1);
    ck_assert_uint_eq(presence_session_connections(presence, S("")), 0);
    ck_assert_uint_eq(presence_top_sessions(presence, top, 4), 1);
    presence_list_sessions(presence, S(""), &list);
    ck_assert_uint_eq(list.count, 1);

    ended("c1");
    ck_assert_int_eq(report("w", 2, false, 1), 0);
    ck_assert_str_eq(changes(), "-c1:client ");

    opened("c2", "", NULL, NULL); /* the same connection, reported again */
    ck_assert_int_eq(report("w", 3, true, 2), 0);
    ck_assert_str_eq(changes(), "-c3:worker_lost va:worker_lost ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("presence");
    TCase *tests = one_case(suite, "presence");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_report_is_applied_change_by_change);
    tcase_add_test(tests, a_full_report_says_who_is_there);
    tcase_add_test(tests, increments_add_and_take_away);
    tcase_add_test(tests, a_full_report_replaces_what_was_known);
    tcase_add_test(tests, a_hole_asks_for_a_full_report);
    tcase_add_test(tests, an_unknown_worker_has_to_say_hello);
    tcase_add_test(tests, a_worker_ends_its_own_connections_only);
    tcase_add_test(tests, a_connection_reported_again_counts_once);
    tcase_add_test(tests, each_change_is_told_once_and_in_order);
    tcase_add_test(tests, a_full_report_tells_the_differences_only);
    tcase_add_test(tests, a_full_report_says_why_what_it_lost_on_the_way_ended);
    tcase_add_test(tests, a_fresh_broker_takes_over_whom_another_run_was_told);
    tcase_add_test(tests, the_delay_of_a_last_end_can_be_set);
    tcase_add_test(tests, a_session_that_another_worker_still_has_does_not_go_offline);
    tcase_add_test(tests, who_was_lost_and_returns_is_told_again);
    tcase_add_test(tests, a_session_that_moves_to_another_worker_stays_online);
    tcase_add_test(tests, what_is_told_adds_up);
    tcase_add_test(tests, who_lags_is_known_until_the_next_report_of_it);
    tcase_add_test(tests, only_the_last_piece_shows_who_is_missing);
    tcase_add_test(tests, an_interrupted_report_is_no_report);
    tcase_add_test(tests, a_worker_that_dies_within_a_report_is_lost_as_any_other);
    tcase_add_test(tests, all_pieces_of_a_report_are_taken_over);
    tcase_add_test(tests, a_worker_that_says_goodbye_is_not_lost);
    tcase_add_test(tests, a_lease_is_as_long_as_it_was_set);
    tcase_add_test(tests, time_in_which_the_broker_was_busy_ends_no_lease);
    tcase_add_test(tests, a_short_lease_outlasts_a_stop_too);
    tcase_add_test(tests, nobody_is_lost_while_something_is_left_to_read);
    tcase_add_test(tests, a_silent_worker_is_lost_with_its_connections);
    tcase_add_test(tests, whatever_a_worker_says_renews_its_lease);
    tcase_add_test(tests, a_lost_worker_has_to_say_hello);
    tcase_add_test(tests, counters_are_summed_and_never_fall);
    tcase_add_test(tests, the_largest_sessions_are_known_at_any_time);
    tcase_add_test(tests, workers_are_listed_with_what_they_said_of_themselves);
    tcase_add_test(tests, what_was_counted_for_another_broker_is_known);
    tcase_add_test(tests, an_audience_is_a_union_without_the_excepted);
    tcase_add_test(tests, a_channel_named_twice_counts_once);
    tcase_add_test(tests, counting_agrees_with_a_plain_walk);
    tcase_add_test(tests, sessions_are_listed_in_order_page_by_page);
    tcase_add_test(tests, a_prefix_narrows_the_sessions);
    tcase_add_test(tests, workers_are_described);
    tcase_add_test(tests, connections_are_described);
    tcase_add_test(tests, connections_without_a_session_change_no_session);
    return run_suite(suite);
}
