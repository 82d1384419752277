/* Presence in a channel: who joins and leaves, once each, whatever presence reports and however
 * batches end. */
#include "codec/event_key.h"
#include "presence/members.h"

#include "stats/counters.h"
#include "support.h"

#define GRACE 10000
#define LEASE 15000
#define ALWAYS SIZE_MAX

static struct presence *presence;
static struct sequence *sequence;
static struct members *members;
static struct buf items; /* of the next report */
static uint64_t counters[BROKER_COUNTERS];
static int64_t now;
static uint64_t reports;
static enum reported reported;
static uint64_t max;
static uint64_t from; /* position: news() were read up to here */

static void take_changes(void)
{
    struct presence_change change;
    while (presence_next(presence, &change))
        members_change(members, &change, reported, now);
}

static void start(void)
{
    static char room[] = "room:*", hall[] = "hall";
    static char *patterns[] = {room, hall};
    static const struct option_list list = {patterns, 2};
    presence = presence_new();
    ck_assert_ptr_nonnull(presence);
    members = members_new(&(struct members_config){.channels = &list,
                                                   .grace_ms = GRACE,
                                                   .lease_ms = LEASE,
                                                   .max = max,
                                                   .presence = presence,
                                                   .sequence = sequence,
                                                   .counters = counters});
    ck_assert_ptr_nonnull(members);
    presence_set_epoch(presence, 7);
    reports = 0;
    ck_assert_int_eq(presence_hello(presence, S("w"), &(struct wire_hello){.worker = S("w")}, now),
                     0);
}

static void stop(void)
{
    members_free(&members);
    presence_free(&presence);
}

static void begin_with(uint64_t bytes)
{
    const struct history_limits limits = {.events = 100000, .bytes = bytes, .age_ms = 86400000};
    now = 1000;
    max = 1000;
    reported = REPORTED_HERE;
    from = 1000;
    memset(counters, 0, sizeof counters);
    sequence = sequence_new(&limits, 1000, 7);
    ck_assert_ptr_nonnull(sequence);
    start();
}

static void begin(void)
{
    begin_with(64 << 20);
}

static void end(void)
{
    stop();
    sequence_free(&sequence);
    buf_release(&items);
}

static void report(void)
{
    struct wire_presence m = {.n = reports + 1, .full = !reports};
    struct buf b = {0};
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    ck_assert_int_eq(wire_get_presence((struct slice){b.data, b.len}, &m), 0);
    presence_report(presence, S("w"), &m, now);
    take_changes();
    ck_assert_int_eq(presence_result(presence), 0);
    reports++;
    buf_release(&b);
    buf_release(&items);
}

static void opened(const char *connection, const char *session, const char *channel)
{
    struct slice channels[] = {slice_of(channel)};
    wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = slice_of(connection),
                                                           .session = slice_of(session),
                                                           .since_ms = now,
                                                           .channels = {channels, 1}});
    report();
}

static void ended(const char *connection)
{
    wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_ENDED,
                                                           .connection = slice_of(connection)});
    report();
}

/* Make a batch and commit it. */
static void commit(void)
{
    struct buf b = {0};
    members_append(members, ALWAYS, now, now);
    ck_assert_int_ge(sequence_accept(sequence), 0);
    while (sequence_next_batch(sequence, &b))
        ;
    buf_release(&b);
}

/* Make a batch that comes to nothing. */
static void overtake(void)
{
    uint64_t head = sequence_head(sequence);
    members_append(members, ALWAYS, now, now);
    sequence_rollback(sequence, head);
}

/* Time passes, as in the loop of a broker. */
static void pass(int64_t ms)
{
    for (int64_t until = now + ms; now < until;) {
        now += until - now < 1000 ? until - now : 1000;
        presence_renew(presence, S("w"), now);
        members_sweep(members, now);
        commit();
    }
}

static void put_name(char *out, size_t size, struct slice sign, const struct event *e)
{
    struct slice session, channel;
    ck_assert(event_is_member_key(e->key, &session));
    event_key_target(e, &channel);
    size_t at = strlen(out);
    struct slice data = session.len ? session : member_event_data(e);
    snprintf(out + at, size - at, "%.*s%.*s@%.*s ", (int)sign.len, sign.data, (int)data.len,
             data.data, (int)channel.len, channel.data);
}

/* The events since it was asked last: "+a@hall -a@hall ={"count":3}@hall ". */
static const char *news(void)
{
    static char out[4096];
    struct event *events[100];
    uint64_t upto, head = sequence_head(sequence);
    *out = '\0';
    size_t count =
        history_read(sequence_history(sequence), NULL, from, events, 100, SIZE_MAX, &upto);
    for (size_t i = 0; i < count; i++) {
        struct slice text = events[i]->text;
        bool join = memmem(text.data, text.len, "event: " MEMBERS_JOIN "\n",
                           strlen("event: " MEMBERS_JOIN "\n"));
        bool counts = memmem(text.data, text.len, "event: " MEMBERS_COUNT "\n",
                             strlen("event: " MEMBERS_COUNT "\n"));
        ck_assert(!join || !events[i]->remove);
        struct slice signs[] = {S("-"), S("+"), S("="), S("!")};
        put_name(out, sizeof out, signs[counts ? 2 + events[i]->remove : join], events[i]);
    }
    from = head;
    return out;
}

static uint64_t members_in(const char *channel)
{
    return state_members(sequence_state(sequence), slice_of(channel));
}

static uint64_t count_in(const char *channel)
{
    bool many;
    uint64_t count = members_count(members, slice_of(channel), &many);
    ck_assert_int_eq(many, count > max || count > members_in(channel));
    return count;
}

START_TEST(a_session_joins_with_its_first_stream_and_leaves_after_its_last)
{
    news();
    opened("1", "a", "hall");
    ck_assert_int_le(members_due(members), now);
    commit();
    ck_assert_str_eq(news(), "+a@hall ");
    opened("2", "a", "hall");
    commit();
    ended("1");
    pass(2 * GRACE);
    ck_assert_str_eq(news(), "");
    ended("2");
    pass(GRACE - 1);
    ck_assert_str_eq(news(), "");
    pass(1);
    ck_assert_str_eq(news(), "-a@hall ");
    pass(5 * GRACE);
    ck_assert_str_eq(news(), "");
    ck_assert_uint_eq(count_in("hall"), 0);
    ck_assert_int_eq(members_due(members), INT64_MAX);
    ck_assert_uint_eq(counters[MEMBER_JOINS], 1);
    ck_assert_uint_eq(counters[MEMBER_LEAVES], 1);
}
END_TEST

START_TEST(a_join_says_who_it_is_and_so_does_the_leave)
{
    opened("1", "a\"\xc3\xa9", "hall");
    commit();
    const struct event *e = state_member(sequence_state(sequence), S("hall"), S("a\"\xc3\xa9"));
    ck_assert_ptr_nonnull(e);
    assert_slice(member_event_data(e), S("{\"session\":\"a\\\"\xc3\xa9\",\"meta\":{}}"));
}
END_TEST

START_TEST(who_comes_back_in_time_has_not_left)
{
    opened("1", "a", "hall");
    commit();
    for (int i = 0; i < 5; i++) {
        ended("1");
        pass(GRACE - 1);
        opened("1", "a", "hall");
        pass(1);
    }
    pass(3 * GRACE);
    ck_assert_uint_eq(counters[MEMBER_LEAVES], 0);
    ck_assert_uint_eq(counters[MEMBER_JOINS], 1);
}
END_TEST

START_TEST(other_channels_and_streams_without_a_session_are_no_matter)
{
    news();
    opened("1", "a", "yard");
    opened("2", "a", "rooms");
    opened("3", "", "hall");
    pass(GRACE);
    ck_assert_str_eq(news(), "");
    opened("4", "a", "room:1");
    opened("5", "a", "hall");
    commit();
    ck_assert_str_eq(news(), "+a@room:1 +a@hall ");
    ck_assert(members_has(members, S("room:")) && !members_has(members, S("hall2")));
}
END_TEST

START_TEST(a_batch_that_came_to_nothing_is_decided_again)
{
    news();
    opened("1", "a", "hall");
    overtake();
    ck_assert_uint_eq(members_in("hall"), 0);
    pass(2000);
    ck_assert_str_eq(news(), "+a@hall ");
    ended("1");
    now += GRACE;
    overtake();
    ck_assert_uint_eq(members_in("hall"), 1);
    opened("1", "a", "hall");
    pass(2000);
    ck_assert_str_eq(news(), "");
}
END_TEST

START_TEST(what_another_broker_reports_is_its_own_to_append)
{
    news();
    reported = REPORTED_ELSEWHERE;
    opened("1", "a", "hall");
    reported = REPORTED_HERE;
    commit();
    ck_assert_str_eq(news(), "");
    pass(MEMBERS_FOREIGN_MS);
    ck_assert_str_eq(news(), "+a@hall "); /* it has not */
    reported = REPORTED_ELSEWHERE;
    ended("1");
    reported = REPORTED_HERE;
    pass(GRACE);
    ck_assert_str_eq(news(), "");
    pass(MEMBERS_FOREIGN_MS);
    ck_assert_str_eq(news(), "-a@hall ");
}
END_TEST

START_TEST(a_restart_is_no_departure_of_those_who_stay)
{
    opened("1", "a", "hall");
    opened("2", "b", "hall");
    commit();
    news();
    stop();
    start();
    pass(LEASE);
    opened("3", "a", "hall");
    pass(GRACE - 1000);
    ck_assert_str_eq(news(), "");
    pass(2000);
    ck_assert_str_eq(news(), "-b@hall ");
    ck_assert_uint_eq(members_in("hall"), 1);
}
END_TEST

START_TEST(beyond_the_bound_there_is_a_number)
{
    stop();
    max = 2;
    start();
    news();
    opened("a", "a", "hall");
    opened("b", "b", "hall");
    commit();
    char name[2] = "c";
    for (; *name < 'f'; name[0]++)
        opened(name, name, "hall");
    commit();
    ck_assert_str_eq(news(), "+a@hall +b@hall ");
    pass(1000);
    ck_assert_str_eq(news(), "={\"count\":5}@hall ");
    pass(5000);
    ck_assert_str_eq(news(), "");
    opened("x", "x", "hall");
    opened("y", "y", "hall");
    commit();
    ck_assert_str_eq(news(), "");
    pass(1000);
    ck_assert_str_eq(news(), "={\"count\":7}@hall ");
    ck_assert_uint_eq(count_in("hall"), 7);
    ended("a");
    pass(GRACE + 2000);
    const char *told = news();
    ck_assert_ptr_nonnull(strstr(told, "-a@hall "));
    ck_assert_ptr_nonnull(strstr(told, "={\"count\":6}@hall "));
    ck_assert_ptr_nonnull(strstr(told, "+")); /* there is room for another one */
    ck_assert_uint_eq(members_in("hall"), 2);

    for (name[0] = 'b'; *name < 'f'; name[0]++)
        ended(name);
    pass(GRACE + 3000);
    ck_assert_ptr_nonnull(strstr(news(), "!{\"count\":2}@hall "));
    ck_assert_uint_eq(members_in("hall"), 2);
    ck_assert_uint_eq(state_count(sequence_state(sequence)), 0);
}
END_TEST

START_TEST(the_last_number_is_that_of_those_who_are_there)
{
    stop();
    max = 2;
    start();
    opened("a", "a", "hall");
    commit();
    opened("b", "b", "hall");
    commit();
    opened("c", "c", "hall");
    pass(1000);
    ck_assert_str_eq(news(), "+a@hall +b@hall ={\"count\":3}@hall ");
    ended("a");
    pass(500);
    ended("b");
    pass(GRACE - 500);
    ck_assert_str_eq(news(), "-a@hall ={\"count\":2}@hall ");
    pass(500);
    ck_assert_uint_eq(count_in("hall"), 1);
    pass(500);
    ck_assert_str_eq(news(), "-b@hall +c@hall !{\"count\":1}@hall ");
    pass(GRACE);
    ck_assert_str_eq(news(), "");
}
END_TEST

START_TEST(beyond_a_share_of_the_history_there_is_a_number)
{
    end();
    begin_with(8 * 4000); /* room for six members */
    news();
    char name[] = "a";
    for (; *name < 'o'; name[0]++)
        opened(name, name, name[0] < 'c' ? "room:1" : "hall");
    commit();
    const char *told = news();
    size_t named = members_in("hall");
    ck_assert_msg(strstr(told, "+a@room:1 ") && strstr(told, "+b@room:1 ") && named > 0 &&
                      named < 8,
                  "%s", told);
    pass(2000);
    ck_assert_str_eq(news(), "={\"count\":12}@hall ");
    ck_assert_uint_eq(count_in("hall"), 12);
    ck_assert_uint_eq(members_in("hall"), named);
    pass(20000);
    ck_assert_str_eq(news(), "");

    ended("a");
    ended("b");
    pass(GRACE + 3000);
    told = news();
    ck_assert_msg(strstr(told, "-a@room:1 ") && strstr(told, "+"), "%s", told);
    ck_assert_uint_gt(members_in("hall"), named);

    for (name[0] = 'g'; *name < 'o'; name[0]++)
        ended(name);
    pass(GRACE + 3000);
    ck_assert_ptr_nonnull(strstr(news(), "!{\"count\":"));
    ck_assert_uint_eq(members_in("hall"), 4);
}
END_TEST

START_TEST(a_batch_has_a_bound)
{
    char name[16];
    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof name, "s%d", i);
        opened(name, name, "hall");
    }
    max = 2000;
    members_append(members, 1000, now, now);
    ck_assert_uint_le(sequence_batch_bytes(sequence), 1000);
    ck_assert_int_gt(sequence_accept(sequence), 1);
    members_append(members, 1, now, now);
    ck_assert_int_eq(sequence_accept(sequence), 1);
    ck_assert_int_le(members_due(members), now);
    pass(5000);
    ck_assert_uint_eq(members_in("hall"), 1000); /* max when it was started */
}
END_TEST

/* --- anything --- */

#define SESSIONS 4
#define CHANNELS 2
#define STREAMS 3 /* of a session in a channel */

static const char *const channel_names[CHANNELS] = {"hall", "room:7"};

struct model {
    bool open[SESSIONS][CHANNELS][STREAMS];
    int64_t left_at[SESSIONS][CHANNELS];
    bool member[SESSIONS][CHANNELS];
};

static bool is_here(const struct model *m, size_t s, size_t c)
{
    bool here = false;
    for (size_t i = 0; i < STREAMS; i++)
        here = here || m->open[s][c][i];
    return here;
}

static void name_of(char out[32], size_t s, size_t c, size_t i)
{
    snprintf(out, 32, "%zu-%zu-%zu", s, c, i);
}

static void flip(struct model *m, size_t s, size_t c, size_t i)
{
    char name[32], session[2] = {(char)('a' + s), '\0'};
    name_of(name, s, c, i);
    m->open[s][c][i] = !m->open[s][c][i];
    if (m->open[s][c][i])
        opened(name, session, channel_names[c]);
    else
        ended(name);
    if (!is_here(m, s, c))
        m->left_at[s][c] = now;
}

/* Presence starts again; the streams that are open report themselves,
 * those of session 0 only later. */
static void restart(struct model *m)
{
    stop();
    start();
    for (size_t s = 0; s < SESSIONS; s++)
        for (size_t c = 0; c < CHANNELS; c++)
            for (size_t i = 0; i < STREAMS; i++)
                if (m->open[s][c][i]) {
                    m->open[s][c][i] = false;
                    flip(m, s, c, i);
                }
}

/* Each event changes something, and nobody leaves too early. */
static void check_news(struct model *m, uint64_t seed)
{
    for (const char *at = news(); *at; at = strchr(at, ' ') + 1) {
        size_t s = (size_t)(at[1] - 'a'), c = at[3] == 'h' ? 0 : 1;
        bool joins = *at == '+';
        ck_assert_msg(m->member[s][c] != joins, "SEED=%" PRIu64 ": %s", seed, at);
        ck_assert_msg(joins || !is_here(m, s, c), "SEED=%" PRIu64 ": is there: %s", seed, at);
        ck_assert_msg(joins || now - m->left_at[s][c] >= GRACE, "SEED=%" PRIu64 ": early: %s", seed,
                      at);
        m->member[s][c] = joins;
    }
}

START_TEST(anything_that_happens_is_told_once)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    struct model m = {0};
    news();
    for (int step = 0; step < 3000; step++) {
        size_t what = roll(&dice, 100);
        if (what < 60)
            flip(&m, roll(&dice, SESSIONS), roll(&dice, CHANNELS), roll(&dice, STREAMS));
        else if (what < 70)
            overtake();
        else if (what < 72)
            restart(&m);
        else
            pass((int64_t)roll(&dice, GRACE));
        check_news(&m, seed);
    }
    pass(LEASE + 2 * GRACE);
    check_news(&m, seed);
    for (size_t s = 0; s < SESSIONS; s++)
        for (size_t c = 0; c < CHANNELS; c++)
            ck_assert_msg(m.member[s][c] == is_here(&m, s, c), "SEED=%" PRIu64, seed);
}
END_TEST

/* --- numbers --- */

#define CROWD 6

/* What a reader of the channel knows, and the sessions as they are. */
struct crowd {
    bool open[CROWD];
    int64_t left_at[CROWD];
    bool named[CROWD];
    uint64_t names;
    bool many;            /* the number is the current one */
    uint64_t number;      /* the last one that was published */
    int64_t in_doubt_for; /* ms of the clock: a batch came to nothing, and is decided again */
};

static void hear(struct crowd *c, uint64_t seed)
{
    for (const char *at = news(); *at; at = strchr(at, ' ') + 1) {
        if (*at == '+' || *at == '-') {
            size_t s = (size_t)(at[1] - 'a');
            ck_assert_msg(c->named[s] == (*at == '-'), "SEED=%" PRIu64 ": %s", seed, at);
            c->named[s] = *at == '+';
            c->names += c->named[s] ? 1 : (uint64_t)-1;
            continue;
        }
        ck_assert_int_eq(sscanf(at + 1, "{\"count\":%" SCNu64 "}", &c->number), 1);
        c->many = *at == '=';
        ck_assert_msg(c->many || c->number == c->names,
                      "SEED=%" PRIu64 ": %s, %" PRIu64 " are named", seed, at, c->names);
    }
}

/* A session counts while it has a stream or a name, and in its grace time. */
static uint64_t naive_count(const struct crowd *c)
{
    uint64_t count = 0;
    for (size_t s = 0; s < CROWD; s++)
        count += c->open[s] || c->named[s] || (c->left_at[s] && now < c->left_at[s] + GRACE);
    return count;
}

static void flip_crowd(struct crowd *c, size_t s)
{
    char name[2] = {(char)('a' + s), '\0'};
    c->open[s] = !c->open[s];
    if (c->open[s]) {
        opened(name, name, "hall");
        return;
    }
    c->left_at[s] = now;
    ended(name);
}

START_TEST(the_last_number_is_true_whatever_happens)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    struct crowd c = {0};
    stop();
    max = 2;
    start();
    for (int step = 0; step < 5000; step++) {
        size_t what = roll(&dice, 100);
        if (what < 50)
            flip_crowd(&c, roll(&dice, CROWD));
        if (what >= 95) {
            now += (int64_t)roll(&dice, 500);
            overtake();
            c.in_doubt_for = now + 1000;
        }
        pass((int64_t)roll(&dice, what < 80 ? 1500 : 2 * GRACE));
        hear(&c, seed);
        bool many; /* not compared: joins and leaves may not be named yet */
        uint64_t count = members_count(members, S("hall"), &many);
        if (now > c.in_doubt_for)
            ck_assert_msg(count == naive_count(&c), "SEED=%" PRIu64 ": %" PRIu64 ", not %" PRIu64,
                          seed, count, naive_count(&c));
        if (what < 80)
            continue;

        pass(2 * GRACE);
        hear(&c, seed);
        ck_assert_msg(c.many == (naive_count(&c) > c.names), "SEED=%" PRIu64, seed);
        ck_assert_msg(!c.many || c.number == naive_count(&c), "SEED=%" PRIu64 ": %" PRIu64, seed,
                      c.number);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("members");
    TCase *tests = one_case(suite, "members");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_session_joins_with_its_first_stream_and_leaves_after_its_last);
    tcase_add_test(tests, a_join_says_who_it_is_and_so_does_the_leave);
    tcase_add_test(tests, who_comes_back_in_time_has_not_left);
    tcase_add_test(tests, other_channels_and_streams_without_a_session_are_no_matter);
    tcase_add_test(tests, a_batch_that_came_to_nothing_is_decided_again);
    tcase_add_test(tests, what_another_broker_reports_is_its_own_to_append);
    tcase_add_test(tests, a_restart_is_no_departure_of_those_who_stay);
    tcase_add_test(tests, beyond_the_bound_there_is_a_number);
    tcase_add_test(tests, the_last_number_is_that_of_those_who_are_there);
    tcase_add_test(tests, beyond_a_share_of_the_history_there_is_a_number);
    tcase_add_test(tests, a_batch_has_a_bound);
    tcase_add_test(tests, anything_that_happens_is_told_once);
    tcase_add_test(tests, the_last_number_is_true_whatever_happens);
    return run_suite(suite);
}
