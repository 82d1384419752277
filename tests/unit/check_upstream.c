/* Upstream against a broker of our own making, which speaks wire.h over real sockets, loses what it
 * is told to lose and remembers what it was asked. */
#include "upstream/upstream.h"

#include <dlfcn.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "one_broker.h"
#include "ops/log.h"
#include "support.h"
#include "turns.h"
#include "upstream/internal.h"

#define REPLY_TIMEOUT_MS 10000 /* of a test that waits */

/* What a test must not see by chance, the repetition of a request or of a report, comes late. HELLO
 * is repeated with each tick, which many a test waits for: not so fast that a busy machine answers
 * too late, since answers are counted. */
#define FAST_TICK_MS 20
static struct upstream_pace pace;
static const struct upstream_pace calm = {.tick = 5 * FAST_TICK_MS,
                                          .retry = REPLY_TIMEOUT_MS,
                                          .retry_max = 60000,
                                          .silence = 60000,
                                          .move = 60000,
                                          .renew = REPLY_TIMEOUT_MS};

static struct loop *loop;
static struct upstream *upstream;
static uint64_t counters[WORKER_COUNTERS];
static char feed_endpoint[100], sync_endpoint[100];

/* What upstream told, in words: "joined 100", then seqs and what else came. */
static char told[1 << 16];

static void tell(const char *what)
{
    size_t len = strlen(told);
    ck_assert_uint_lt(len + strlen(what) + 2, sizeof told);
    snprintf(told + len, sizeof told - len, "%s%s", len ? " " : "", what);
}

/* --- the broker --- */

static struct {
    void *zmq, *feed, *sync;
    uint64_t run, head, complete; /* it holds the events in (complete, head] */
    uint64_t jump_from, jump_to;  /* but for (jump_from, jump_to], where the sequence jumped */
    bool silent;                  /* does not answer */
    bool takes_nothing;           /* answers all but reports */
    bool slow;                    /* sends the pieces of a welcome later */
    int pieces, ends, byes;       /* full reports' pieces, their ends, good-byes */
    size_t largest;               /* report */
    size_t known;                 /* connections that the report since its first piece has had */
    uint64_t bans;                /* messages with a ban to send before each welcome */
    uint64_t lost_ban;            /* the number of the one that gets lost, once; 0: none */
    int64_t clock;
    int shutdowns;
    struct wire_shutdowns last_shutdowns;
    size_t page;  /* events in a page at most */
    char ban[16]; /* a session that is banned; empty: none */
    char worker[256], routing[256];
    size_t routing_len;
    int hellos, replays, presences, fulls, lags;
    uint64_t acked_epoch;
    uint64_t streams, position; /* as the last report had them */
    uint64_t hello_position, hello_pieces, last_after, last_n;
    int commands, hellos_before_command; /* the latter: before the last one */
    uint64_t last_command;
    unsigned last_roles;
    char last_json[256];
    struct wire_replay first; /* the first question: its number and where it begins */
    char items[1024];         /* of the last presence message */
    bool subscribed;
} broker;

static uint64_t marks, told_mark, told_head;
static size_t crowd; /* connections in a snapshot; 0: the one that is called "all" */
static struct ordering ordering;

static struct event *event_number(uint64_t seq)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")};
    return event_new(&spec);
}

static void add_events(struct buf *b, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        if (seq > broker.jump_from && seq <= broker.jump_to)
            continue;
        struct event *e = event_number(seq);
        wire_add_entry(b, e);
        event_unref(&e);
    }
}

static void reply(struct buf *b)
{
    ck_assert(!b->failed);
    zmq_send(broker.sync, broker.routing, broker.routing_len, ZMQ_SNDMORE);
    zmq_send(broker.sync, b->data, b->len, 0);
    buf_release(b);
}

static void send_ban(uint64_t number)
{
    struct buf b = {0};
    char name[24];
    snprintf(name, sizeof name, "ban-%" PRIu64, number);
    wire_put_bans(&b, &(struct wire_bans){.run = broker.run, .piece = number});
    wire_add_ban(&b, slice_of(name), 1);
    reply(&b);
}

static void send_welcome(void)
{
    struct buf b = {0};
    struct wire_welcome m = {.run = broker.run,
                             .head = broker.head,
                             .complete = broker.complete,
                             .oldest = broker.complete + 1,
                             .clock = broker.clock,
                             .pieces = broker.bans};
    wire_put_welcome(&b, &m);
    if (*broker.ban)
        wire_add_ban(&b, slice_of(broker.ban), 12345);
    reply(&b);
}

static void welcome(void)
{
    for (uint64_t i = 1; i <= broker.bans; i++)
        if (i != broker.lost_ban)
            send_ban(i);
    broker.lost_ban = 0;
    send_welcome();
}

static void on_hello(struct slice message)
{
    struct wire_hello m;
    ck_assert_int_eq(wire_get_hello(message, &m), 0);
    broker.hellos++;
    broker.hello_position = m.position;
    broker.hello_pieces = m.pieces;
    snprintf(broker.worker, sizeof broker.worker, "%.*s", (int)m.worker.len, m.worker.data);
    if (!broker.silent && !broker.slow)
        welcome();
}

static void answer(const struct wire_replay *m)
{
    struct buf b = {0};
    bool gap = m->after < broker.complete || m->after > broker.head;
    uint64_t from = gap ? broker.complete : m->after;
    uint64_t upto = broker.head - from > broker.page ? from + broker.page : broker.head;
    struct wire_page page = {.request = m->request,
                             .run = broker.run,
                             .from = from,
                             .upto = upto,
                             .head = broker.head,
                             .oldest = broker.complete + 1,
                             .gap = gap};
    wire_put_page(&b, &page);
    add_events(&b, from + 1, upto);
    reply(&b);
}

static void on_replay(struct slice message)
{
    struct wire_replay m;
    ck_assert_int_eq(wire_get_replay(message, &m), 0);
    broker.last_after = m.after;
    if (!broker.replays++)
        broker.first = m;
    if (!broker.silent)
        answer(&m);
}

static void answer_command(uint64_t number)
{
    struct buf b = {0};
    wire_put_reply(&b, &(struct wire_reply){number, S("done")});
    reply(&b);
}

static void on_command(struct slice message)
{
    struct wire_command m;
    ck_assert_int_eq(wire_get_command(message, &m), 0);
    broker.commands++;
    broker.hellos_before_command = broker.hellos;
    broker.last_command = m.request;
    broker.last_roles = m.grant.roles;
    snprintf(broker.last_json, sizeof broker.last_json, "%.*s", (int)m.json.len, m.json.data);
    if (!broker.silent)
        answer_command(m.request);
}

static void on_presence(struct slice message)
{
    struct wire_presence m;
    struct wire_presence_item item;
    ck_assert_int_eq(wire_get_presence(message, &m), 0);
    broker.presences++;
    broker.fulls += m.full && !m.rest;
    broker.pieces += m.full;
    broker.ends += m.full && !m.more;
    broker.byes += m.bye;
    broker.largest = message.len > broker.largest ? message.len : broker.largest;
    broker.last_n = m.n;
    broker.lags += m.lags;
    broker.acked_epoch = m.acked_epoch;
    if (!broker.silent && !broker.takes_nothing) {
        struct buf b = {0};
        wire_put_taken(&b, &(struct wire_taken){broker.run, m.n, broker.head, broker.clock});
        reply(&b);
    }
    broker.streams = m.gauges[GAUGE_STREAMS];
    broker.position = m.gauges[GAUGE_POSITION];
    *broker.items = '\0';
    if (!m.rest)
        broker.known = 0;
    for (; wire_next_presence(&m.items, &item); broker.known += item.kind == ITEM_OPENED)
        snprintf(broker.items + strlen(broker.items), sizeof broker.items - strlen(broker.items),
                 "%c%.*s ", "-+~"[item.kind], (int)item.connection.len, item.connection.data);
}

static void on_shutdowns(struct slice message)
{
    struct buf b = {0};
    struct wire_page page = {
        .run = broker.run, .from = 1, .upto = broker.head, .head = broker.head};
    ck_assert_int_eq(wire_get_shutdowns(message, &broker.last_shutdowns), 0);
    broker.shutdowns++;
    page.request = broker.last_shutdowns.request;
    wire_put_page(&b, &page);
    if (!broker.silent)
        reply(&b);
    buf_release(&b);
}

static void serve(void)
{
    static char bytes[1 << 20];
    int len;
    if (!broker.sync)
        return;
    while (zmq_recv(broker.feed, bytes, sizeof bytes, ZMQ_DONTWAIT) > 0)
        broker.subscribed = true;
    while ((len = zmq_recv(broker.sync, broker.routing, sizeof broker.routing, ZMQ_DONTWAIT)) > 0) {
        broker.routing_len = (size_t)len;
        len = zmq_recv(broker.sync, bytes, sizeof bytes, 0);
        struct slice message = {bytes, (size_t)len};
        switch (wire_type(message)) {
        case WIRE_HELLO:
            on_hello(message);
            break;
        case WIRE_REPLAY:
            on_replay(message);
            break;
        case WIRE_PRESENCE:
            on_presence(message);
            break;
        case WIRE_SHUTDOWNS:
            on_shutdowns(message);
            break;
        case WIRE_COMMAND:
            on_command(message);
            break;
        default:
            ck_abort_msg("the worker said something that is not its to say");
        }
    }
}

/* Send the events from first to last over the feed, as the broker does, or lose them on the way. */
static void publish_with(uint64_t first, uint64_t last, bool lost)
{
    struct buf b = {0};
    wire_put_batch(&b, broker.run, first - 1);
    add_events(&b, first, last);
    broker.head = last > broker.head ? last : broker.head;
    if (!lost)
        zmq_send(broker.feed, b.data, b.len, 0);
    buf_release(&b);
}

static void publish(uint64_t first, uint64_t last)
{
    publish_with(first, last, false);
}

static void lose(uint64_t first, uint64_t last)
{
    publish_with(first, last, true);
}

static void announce(void)
{
    struct buf b = {0};
    wire_put_head(&b, &(struct wire_head){broker.run, broker.head, broker.complete, broker.clock});
    zmq_send(broker.feed, b.data, b.len, 0);
    buf_release(&b);
}

/* Another run of the broker: it stands at position and holds nothing. */
static void restart(uint64_t position)
{
    broker.run++;
    broker.head = broker.complete = position;
}

/* --- the worker --- */

static void on_joined(uint64_t position)
{
    char text[64];
    snprintf(text, sizeof text, "joined %" PRIu64, position);
    tell(text);
}

static void on_blocked(struct slice session, int64_t until_ms)
{
    char text[64];
    snprintf(text, sizeof text, "blocked %.*s %" PRId64, (int)session.len, session.data, until_ms);
    tell(text);
}

static void on_event(struct event *e)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRIu64, e->seq);
    tell(text);
}

static void on_advanced(uint64_t position)
{
    char text[64];
    snprintf(text, sizeof text, "advanced %" PRIu64, position);
    tell(text);
}

static void on_broken(uint64_t position, uint64_t oldest)
{
    char text[64];
    snprintf(text, sizeof text, "broken %" PRIu64 " %" PRIu64, position, oldest);
    tell(text);
}

static void on_page(void *asker, const struct wire_page *page)
{
    char text[64];
    snprintf(text, sizeof text, "%s %" PRIu64 "-%" PRIu64, (const char *)asker, page->from,
             page->upto);
    tell(text);
}

static bool add_connections(struct buf *b, size_t *cursor, size_t max)
{
    char name[24];
    if (!crowd)
        wire_add_presence(b, &(struct wire_presence_item){
                                 .kind = ITEM_OPENED, .connection = S("all"), .session = S("a")});
    for (; *cursor < crowd && b->len < max; ++*cursor) {
        snprintf(name, sizeof name, "c%zu", *cursor);
        wire_add_presence(b, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                          .connection = slice_of(name),
                                                          .session = S("a")});
    }
    return *cursor < crowd;
}

static void on_reply(void *asker, struct slice json)
{
    char text[64];
    snprintf(text, sizeof text, "%s replied %.*s", (const char *)asker, (int)json.len, json.data);
    tell(text);
}

static void on_past(const struct wire_page *page)
{
    char text[64];
    snprintf(text, sizeof text, "past %" PRIu64, page->upto);
    tell(text);
}

static void on_told(uint64_t mark, uint64_t head)
{
    ck_assert_uint_gt(mark, told_mark);
    ck_assert_uint_le(mark, marks);
    told_mark = mark;
    told_head = head;
}

static uint64_t all_blocked_at;
static unsigned all_blocked; /* how often */

static void on_all_blocked(uint64_t position, uint64_t since)
{
    (void)since;
    all_blocked_at = position;
    all_blocked++;
}

/* Seqs of the state, and where it was told to be. */
static char told_state[100];
static uint64_t state_at;

static void on_state(struct event *e)
{
    size_t len = strlen(told_state);
    if (e)
        snprintf(told_state + len, sizeof told_state - len, "%" PRIu64 " ", e->seq);
    else
        *told_state = '\0';
}

static void on_state_told(uint64_t position)
{
    state_at = position;
}

static void on_news(enum upstream_kind kind, const struct upstream_news *news)
{
    switch (kind) {
    case UPSTREAM_NOTHING:
    case UPSTREAM_PAUSE:
        ck_abort_msg("these are no news");
        break;
    case UPSTREAM_JOINED:
        on_joined(news->position);
        break;
    case UPSTREAM_EVENT:
        on_event(news->event);
        break;
    case UPSTREAM_ADVANCED:
        on_advanced(news->position);
        break;
    case UPSTREAM_BROKEN:
        on_broken(news->position, news->oldest);
        break;
    case UPSTREAM_BAN:
        on_blocked(news->session, news->until_ms);
        break;
    case UPSTREAM_ALL_BANS:
        on_all_blocked(news->position, news->since);
        break;
    case UPSTREAM_STATE_CLEAR:
        on_state(NULL);
        break;
    case UPSTREAM_STATE:
        on_state(news->event);
        break;
    case UPSTREAM_ALL_STATE:
        on_state_told(news->position);
        break;
    case UPSTREAM_PAGE:
        on_page(news->asker, news->page);
        break;
    case UPSTREAM_SHUTDOWNS:
        on_past(news->page);
        break;
    case UPSTREAM_REPLY:
        on_reply(news->asker, news->json);
        break;
    case UPSTREAM_ACKNOWLEDGED:
        on_told(news->mark, news->position);
    }
}

static void fill(struct report_draft *draft)
{
    draft->gauges[GAUGE_STREAMS] = 77;
    if (draft->wants_connections)
        draft->further_connections = add_connections(&draft->items, &draft->cursor, draft->max);
    if (draft->wants_lags && !draft->further_connections)
        wire_add_presence(&draft->lags,
                          &(struct wire_presence_item){.kind = ITEM_LAGS, .connection = S("slow")});
    if (draft->whole && !draft->further_connections)
        draft->mark = ++marks;
}

static void send_reports(void)
{
    struct report_draft draft;
    while (upstream_next_report(upstream, &draft)) {
        fill(&draft);
        upstream_report(upstream, &draft);
    }
}

static void leave(void)
{
    upstream_leave(upstream);
    send_reports();
}

static bool turn_end(void *context)
{
    struct upstream_news news;
    enum upstream_kind kind;
    (void)context;
    if (!upstream)
        return false;

    while ((kind = upstream_next(upstream, &news)) > UPSTREAM_PAUSE)
        on_news(kind, &news);
    send_reports();
    return kind == UPSTREAM_PAUSE;
}

static void turn(void)
{
    turn_for(loop, 1);
    serve();
}

/* Turn until this holds. */
#define await(condition)                                                                           \
    do {                                                                                           \
        int64_t deadline_ = clock_ms() + REPLY_TIMEOUT_MS;                                         \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_ms() < deadline_, "never: %s; told: %s", #condition, told);        \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

#define await_told(words) await(strcmp(told, words) == 0)

static void *open_socket(int type)
{
    void *socket = zmq_socket(broker.zmq, type);
    int none = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    return socket;
}

static void *bind_socket(int type, char *endpoint, size_t size)
{
    void *socket = open_socket(type);
    ck_assert_int_eq(zmq_bind(socket, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    return socket;
}

static void setup(void)
{
    log_open("check", LOG_ERROR);
    memset(&broker, 0, sizeof broker);
    *told = '\0';
    counters[REPAIRS] = 0;
    broker.zmq = zmq_ctx_new();
    broker.feed = bind_socket(ZMQ_XPUB, feed_endpoint, sizeof feed_endpoint);
    broker.sync = bind_socket(ZMQ_ROUTER, sync_endpoint, sizeof sync_endpoint);
    broker.run = 7;
    broker.head = broker.complete = 100;
    broker.page = 1000;
    loop = new_turns(turn_end);
    static char *feeds = feed_endpoint, *syncs = sync_endpoint; /* the upstream keeps their place */
    struct upstream_config config = config_of_one_broker(&feeds, &syncs, counters);
    config.pace = pace;
    config.ordering = &ordering;
    config.piece_bytes = 500;
    ordering = (struct ordering){0};
    crowd = 0;
    told_head = 0;
    marks = told_mark = 0;
    all_blocked = 0;
    all_blocked_at = 0;
    upstream = upstream_new(&config, loop);
    ck_assert_ptr_nonnull(upstream);
}

static void setup_calm(void)
{
    pace = calm;
    setup();
}

/* Requests are repeated fast. */
static void setup_asking_again(void)
{
    pace = calm;
    pace.tick = FAST_TICK_MS;
    pace.retry = 40;
    setup();
}

/* HELLO is not repeated, however slow the machine is: answers can be counted. */
static void setup_once(void)
{
    pace = calm;
    pace.tick = REPLY_TIMEOUT_MS;
    setup();
}

/* Nothing that a test sees is due by time alone. */
static void setup_waiting(void)
{
    pace = calm;
    pace.tick = pace.renew = pace.retry = 3 * REPLY_TIMEOUT_MS;
    setup();
}

/* A broker that says nothing is soon taken for lost. */
static void setup_doubting(void)
{
    pace = calm;
    pace.tick = FAST_TICK_MS;
    pace.silence = 60;
    setup();
}

/* The same of its feed; the broker itself answers often. */
static void setup_starving(void)
{
    pace = calm;
    pace.tick = FAST_TICK_MS;
    pace.renew = 20;
    pace.silence = 500;
    setup();
}

/* What is on its way comes soon, or is not waited for. */
static void setup_impatient(void)
{
    pace = calm;
    pace.move = 1000;
    setup();
}

/* Reports are repeated fast. */
static void setup_renewing(void)
{
    pace = calm;
    pace.tick = FAST_TICK_MS;
    pace.renew = 20;
    setup();
}

/* Reports are repeated as workers do. HELLO is repeated only on a very slow machine,
 * since a report then begins anew. */
static void setup_leasing(void)
{
    pace = calm;
    pace.renew = WIRE_RENEW_MS;
    pace.tick = WIRE_RENEW_MS / 2;
    setup();
}

static void teardown(void)
{
    upstream_free(&upstream);
    ck_assert_ptr_null(upstream);
    upstream_free(&upstream);
    loop_free(&loop);
    zmq_close(broker.feed);
    if (broker.sync)
        zmq_close(broker.sync);
    zmq_ctx_term(broker.zmq);
}

static void join(void)
{
    await(upstream_connected(upstream) && broker.subscribed);
    await_told("joined 100");
}

START_TEST(it_joins_where_the_sequence_stands)
{
    ck_assert(!upstream_connected(upstream));
    join();
    ck_assert_str_eq(broker.worker, "worker-1");
    ck_assert_uint_eq(broker.hello_position, 0);
}
END_TEST

START_TEST(hello_is_said_until_it_is_welcome)
{
    broker.silent = true;
    await(broker.hellos >= 2);
    ck_assert_str_eq(told, "");
    broker.silent = false;
    await_told("joined 100");
}
END_TEST

START_TEST(the_feed_is_handed_on)
{
    join();
    publish(101, 103);
    publish(104, 104);
    await_told("joined 100 101 102 103 104");
    ck_assert_int_eq(broker.replays, 0);
}
END_TEST

/* While it says no, upstream_next() is not called: nothing may stay behind. */
START_TEST(it_knows_whether_there_may_be_news)
{
    join();
    await(!upstream_may_have_news(upstream));

    publish(101, 102);
    int64_t deadline = clock_ms() + REPLY_TIMEOUT_MS;
    while (strcmp(told, "joined 100 101 102") != 0) {
        ck_assert_int_lt(clock_ms(), deadline);
        if (upstream_may_have_news(upstream))
            turn_end(NULL);
    }
}
END_TEST

/* Requests and timers wait meanwhile. */
START_TEST(news_that_take_long_leave_others_for_the_next_turn)
{
    struct upstream_news news;
    enum upstream_kind kind = UPSTREAM_NOTHING;
    join();
    publish(101, 101);
    publish(102, 102);
    int64_t deadline = clock_ms() + REPLY_TIMEOUT_MS;
    do {
        ck_assert_int_lt(clock_ms(), deadline);
        if (upstream_may_have_news(upstream))
            kind = upstream_next(upstream, &news);
    } while (kind != UPSTREAM_EVENT);

    ck_assert_uint_eq(news.event->seq, 101);
    on_news(kind, &news);
    usleep(100000); /* so long it took */
    ck_assert_int_eq(upstream_next(upstream, &news), UPSTREAM_PAUSE);
    await_told("joined 100 101 102");
}
END_TEST

START_TEST(what_comes_twice_is_handed_on_once)
{
    join();
    publish(101, 103);
    publish(102, 103);
    publish(101, 104);
    await_told("joined 100 101 102 103 104");
    ck_assert_int_eq(broker.replays, 0);
}
END_TEST

START_TEST(what_was_lost_is_fetched)
{
    join();
    publish(101, 101);
    lose(102, 103);
    publish(104, 105);
    await_told("joined 100 101 102 103 104 105");
    ck_assert_uint_eq(broker.last_after, 101);
    ck_assert_uint_eq(counters[REPAIRS], 1);
}
END_TEST

START_TEST(a_lost_end_is_seen_at_the_announcement)
{
    join();
    lose(101, 102);
    announce();
    await_told("joined 100 101 102");
}
END_TEST

START_TEST(a_repair_takes_as_many_pages_as_it_needs)
{
    join();
    broker.page = 3;
    lose(101, 110);
    publish(111, 112);
    publish(113, 113);
    await_told("joined 100 101 102 103 104 105 106 107 108 109 110 111 112 113");
    ck_assert_uint_ge(counters[REPAIRS], 4);
}
END_TEST

START_TEST(a_page_is_followed_by_the_next)
{
    join();
    broker.page = 3;
    lose(101, 110);
    announce();
    await_told("joined 100 101 102 103 104 105 106 107 108 109 110");
}
END_TEST

START_TEST(what_comes_during_a_repair_waits_for_it)
{
    join();
    broker.silent = true;
    lose(101, 101);
    publish(102, 103);
    await(broker.replays >= 1);
    publish(104, 104);
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_str_eq(told, "joined 100");
    broker.silent = false; /* the question is asked again */
    await_told("joined 100 101 102 103 104");
}
END_TEST

START_TEST(a_page_that_the_feed_overtook_doubles_nothing)
{
    join();
    broker.silent = true;
    lose(101, 102);
    announce();
    await(broker.replays == 1);
    publish(101, 102);
    await_told("joined 100 101 102");
    answer(&broker.first);
    await(counters[REPAIRS] == 1);
    ck_assert_str_eq(told, "joined 100 101 102");
}
END_TEST

START_TEST(what_cannot_be_had_is_told)
{
    join();
    publish(101, 101);
    await_told("joined 100 101");
    lose(102, 110);
    broker.complete = 105;
    announce();
    await_told("joined 100 101 broken 105 106 106 107 108 109 110");
}
END_TEST

START_TEST(a_restarted_broker_goes_on)
{
    join();
    publish(101, 102);
    await_told("joined 100 101 102");
    restart(102);
    publish(103, 103);
    announce();
    await_told("joined 100 101 102 103");
    ck_assert_uint_eq(broker.hello_position, 102);
}
END_TEST

START_TEST(a_jump_of_the_sequence_is_no_loss)
{
    join();
    publish(101, 102);
    await_told("joined 100 101 102");
    broker.run++;
    broker.head = broker.jump_to = 500;
    broker.jump_from = 102;
    publish(501, 501);
    announce();
    await_told("joined 100 101 102 501");
    broker.run++;
    broker.head = broker.jump_to = 600;
    broker.jump_from = 501;
    announce();
    await_told("joined 100 101 102 501 advanced 600");
    publish(601, 601);
    await_told("joined 100 101 102 501 advanced 600 601");
}
END_TEST

START_TEST(a_broker_that_forgot_breaks_the_sequence)
{
    join();
    publish(101, 102);
    await_told("joined 100 101 102");
    restart(500);
    publish(501, 501);
    announce();
    await_told("joined 100 101 102 broken 500 501 501");
    publish(502, 502);
    await_told("joined 100 101 102 broken 500 501 501 502");
}
END_TEST

START_TEST(bans_are_told_before_anything_else)
{
    strcpy(broker.ban, "ann");
    await_told("blocked ann 12345 joined 100");
    ck_assert_uint_eq(all_blocked_at, 100);
}
END_TEST

START_TEST(malformed_messages_are_ignored)
{
    join();
    zmq_send(broker.feed, "SSC\5", 4, 0);
    zmq_send(broker.feed, "SSC\5\1\0\0\0abc", 11, 0);
    zmq_send(broker.feed, "SSC\5\x63\0\0\0", 8, 0);
    struct buf b = {0};
    wire_put_batch(&b, broker.run, 100);
    add_events(&b, 101, 101);
    b.len -= 3; /* the last entry is cut */
    zmq_send(broker.feed, b.data, b.len, 0);
    buf_release(&b);
    publish(101, 102);
    await_told("joined 100 101 102");
}
END_TEST

/* --- questions --- */

static struct upstream_request *replay(const char *asker, uint64_t after)
{
    struct wire_replay what = {.after = after, .who = {.session = S("a"), .connection = S("c")}};
    struct upstream_request *q = upstream_replay(upstream, (void *)asker, &what);
    ck_assert_ptr_nonnull(q);
    return q;
}

/* Until the news are taken, which finds nothing. */
START_TEST(it_is_unsure_after_a_message_was_sent)
{
    join();
    await(!upstream_is_unsure(upstream));
    replay("one", 100);
    ck_assert(upstream_is_unsure(upstream));
    await(!upstream_is_unsure(upstream));
}
END_TEST

START_TEST(a_question_is_answered)
{
    join();
    broker.complete = 0;
    replay("ann", 90);
    replay("bob", 95);
    await_told("joined 100 ann 90-100 bob 95-100");
}
END_TEST

START_TEST(a_question_waits_for_the_broker)
{
    broker.complete = 0;
    replay("ann", 90);
    await_told("joined 100 ann 90-100");
}
END_TEST

START_TEST(a_lost_question_is_asked_again_and_answered_once)
{
    join();
    broker.complete = 0;
    broker.silent = true;
    replay("ann", 90);
    await(broker.replays >= 1);
    broker.silent = false;
    await_told("joined 100 ann 90-100");
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_str_eq(told, "joined 100 ann 90-100");
}
END_TEST

START_TEST(an_answer_that_comes_late_is_the_answer)
{
    join();
    broker.complete = 0;
    broker.silent = true;
    replay("ann", 90);
    await(broker.replays >= 2);
    answer(&broker.first);
    await_told("joined 100 ann 90-100");
    answer(&broker.first); /* to the second asking */
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_str_eq(told, "joined 100 ann 90-100");
}
END_TEST

START_TEST(what_was_forgotten_is_not_answered)
{
    join();
    broker.complete = 0;
    struct upstream_request *q = replay("ann", 90);
    upstream_forget(upstream, &q);
    ck_assert_ptr_null(q);
    upstream_forget(upstream, &q);
    replay("bob", 95);
    await_told("joined 100 bob 95-100");
}
END_TEST

START_TEST(many_questions_are_all_answered)
{
    char should[8192] = "joined 100";
    join();
    broker.complete = 0;
    for (int i = 0; i < 300; i++) {
        replay("x", 90);
        strcat(should, " x 90-100");
    }
    await_told(should);
    ck_assert_int_eq(broker.replays, 300);
}
END_TEST

START_TEST(questions_survive_a_restart)
{
    join();
    broker.silent = true;
    replay("ann", 100);
    await(broker.replays == 1);
    restart(100);
    broker.silent = false;
    announce();
    await(strstr(told, "ann 100-100") != NULL);
}
END_TEST

START_TEST(a_loss_is_told_before_what_waited_is_answered)
{
    join();
    broker.silent = true;
    replay("ann", 100);
    await(broker.replays == 1);
    restart(500);
    broker.silent = false;
    announce();
    await(strstr(told, "ann ") != NULL);
    const char *loss = strstr(told, "broken 500");
    ck_assert(loss && loss < strstr(told, "ann "));
}
END_TEST

/* --- connections --- */

static void resync(void)
{
    struct buf b = {0};
    wire_put_resync(&b);
    reply(&b);
}

static struct upstream_request *command(const char *asker, bool again)
{
    struct grant grant = {.roles = ROLE_EVENTS};
    return upstream_command(upstream, (void *)asker, &grant, S("{}"), again);
}

static void report(const char *connection, bool opened)
{
    upstream_presence(upstream,
                      &(struct wire_presence_item){.kind = opened ? ITEM_OPENED : ITEM_ENDED,
                                                   .connection = slice_of(connection),
                                                   .session = S("a")});
}

static bool connect_late;
static struct pollfd worker_sync; /* its descriptor */

/* The worker has lost the connection to the sync socket, and knows it. */
static void disconnect(void)
{
    zmq_close(broker.sync);
    broker.sync = NULL;
    await(!socket_can_send(upstream->sync));
}

/* The worker is connected, and libzmq is about to say so.
 * libzmq closes the former socket in its own thread. */
static void connect_behind(void *socket)
{
    size_t len = sizeof worker_sync.fd;
    int64_t until = clock_ms() + REPLY_TIMEOUT_MS;
    connect_late = false;
    worker_sync.events = POLLIN;
    broker.sync = open_socket(ZMQ_ROUTER);
    while (zmq_bind(broker.sync, sync_endpoint) != 0)
        ck_assert_int_lt(clock_ms(), until);
    ck_assert_int_eq(zmq_getsockopt(socket, ZMQ_FD, &worker_sync.fd, &len), 0);
    ck_assert_int_eq(poll(&worker_sync, 1, REPLY_TIMEOUT_MS), 1);
}

static bool is_sync(void *socket)
{
    int type = 0;
    size_t len = sizeof type;
    return zmq_getsockopt(socket, ZMQ_TYPE, &type, &len) == 0 && type == ZMQ_DEALER;
}

/* In the place of libzmq's. With connect_late a connection comes between what the worker sends and
 * its next look for messages, which takes back the report of libzmq. */
int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    static int (*real)(zmq_msg_t *, void *, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "zmq_msg_recv");
    if (connect_late && is_sync(socket))
        connect_behind(socket);
    return real(message, socket, flags);
}

START_TEST(hello_is_said_on_a_connection_that_comes_while_it_looks_for_messages)
{
    join();
    disconnect();
    upstream_say_hello(upstream);
    ck_assert(upstream->hello_unsent);
    connect_late = true;
    for (turn_end(NULL); upstream->hello_unsent; turn_end(NULL)) {
        ck_assert_int_eq(poll(&worker_sync, 1, REPLY_TIMEOUT_MS), 1); /* as the loop waits */
        ck_assert(upstream_may_have_news(upstream));
    }
    await(broker.hellos == 2);
}
END_TEST

START_TEST(what_waits_is_sent_on_a_connection_that_comes_while_it_looks_for_messages)
{
    join();
    disconnect();
    struct upstream_request *once = command("once", false), *question = replay("ann", 100);
    ck_assert(!upstream_was_sent(once) && !upstream_was_sent(question));
    connect_late = true;
    await_told("joined 100 once replied done ann 100-100");
}
END_TEST

/* The broker was restarted while a command waited for the connection. The worker learns of it from
 * the answer to HELLO alone. */
START_TEST(what_waits_for_a_connection_waits_for_the_welcome_of_a_restarted_broker)
{
    join();
    disconnect();
    struct upstream_request *once = command("once", false);
    ck_assert(!upstream_was_sent(once));
    restart(100);
    connect_late = true;
    await(strstr(told, "once replied done") != NULL);
    ck_assert_int_eq(broker.commands, 1);
    ck_assert_int_eq(broker.hellos_before_command, 2);
    ck_assert_uint_eq(upstream->run, broker.run);
}
END_TEST

/* The same after a report that could not be sent. */
START_TEST(what_follows_a_report_that_was_not_sent_waits_for_the_welcome)
{
    join();
    disconnect();
    report("c1", true);
    send_reports();
    ck_assert(upstream->hello_unsent);
    restart(100);
    connect_late = true;
    turn();
    command("once", false);
    await(strstr(told, "once replied done") != NULL);
    ck_assert_int_eq(broker.hellos_before_command, 2);
}
END_TEST

START_TEST(a_place_of_a_forgotten_question_is_for_one_that_waits)
{
    struct upstream_request *questions[100];
    join();
    broker.silent = true;
    for (int i = 0; i < 100; i++)
        questions[i] = replay("x", 100);
    await(broker.replays == 64);
    for (int i = 0; i < 100; i++)
        upstream_forget(upstream, &questions[i]);
    await(broker.replays == 100);
}
END_TEST

/* --- presence --- */

START_TEST(a_command_is_given_and_its_reply_handed_on)
{
    join();
    ck_assert_ptr_nonnull(command("anna", false));
    await_told("joined 100 anna replied done");
    ck_assert_str_eq(broker.last_json, "{}");
    ck_assert_uint_eq(broker.last_roles, ROLE_EVENTS);
    answer_command(broker.last_command); /* a second reply is nobody's */
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_str_eq(told, "joined 100 anna replied done");
}
END_TEST

START_TEST(a_command_waits_for_the_broker)
{
    broker.silent = true;
    struct upstream_request *q = command("anna", false);
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert(!upstream_was_sent(q));
    broker.silent = false;
    await_told("joined 100 anna replied done");
    ck_assert_int_eq(broker.commands, 1);
}
END_TEST

START_TEST(a_command_waits_for_the_answer_to_hello)
{
    join();
    int hellos = broker.hellos;
    broker.silent = true;
    resync();
    await(broker.hellos > hellos);
    struct upstream_request *q = command("anna", false);
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert(!upstream_was_sent(q));
    ck_assert_int_eq(broker.commands, 0);
    broker.silent = false;
    await_told("joined 100 anna replied done");
}
END_TEST

START_TEST(what_may_not_be_done_twice_is_asked_once)
{
    join();
    broker.silent = true;
    struct upstream_request *once = command("once", false), *again = command("again", true);
    await(broker.commands >= 4); /* the other one is asked and asked */
    ck_assert(upstream_was_sent(once) && upstream_was_sent(again));
    broker.silent = false;
    await_told("joined 100 again replied done");
    upstream_forget(upstream, &once);
}
END_TEST

START_TEST(a_lost_broker_ends_what_is_asked_once)
{
    join();
    broker.silent = true;
    command("once", false);
    command("again", true);
    await(broker.commands == 2);
    broker.silent = false;
    restart(200);
    announce();
    await(strstr(told, "again replied done") != NULL);
    ck_assert_ptr_nonnull(strstr(told, "once replied  ")); /* nothing, and once */
    ck_assert_int_eq(broker.commands, 3);
}
END_TEST

START_TEST(commands_wait_their_turn_too)
{
    struct upstream_request *questions[100];
    join();
    broker.silent = true;
    for (int i = 0; i < 100; i++)
        questions[i] = command("x", false);
    await(broker.commands == 64);
    for (int i = 0; i < 20; i++)
        turn();
    ck_assert_int_eq(broker.commands, 64);
    ck_assert(!upstream_was_sent(questions[64]));
    for (int i = 0; i < 30; i++)
        upstream_forget(upstream, &questions[i]);
    await(broker.commands == 94);
    for (int i = 30; i < 100; i++)
        upstream_forget(upstream, &questions[i]);
}
END_TEST

START_TEST(a_broker_that_says_nothing_is_lost_and_found_again)
{
    join();
    int hellos = broker.hellos;
    broker.silent = true;
    await(!upstream_connected(upstream));
    await(broker.hellos > hellos);
    broker.silent = false;
    await(upstream_connected(upstream));
    ck_assert_str_eq(told, "joined 100");
}
END_TEST

START_TEST(all_are_reported_first_and_changes_then)
{
    report("before", true); /* part of the snapshot */
    join();
    await(broker.fulls == 1);
    ck_assert_str_eq(broker.items, "+all ~slow ");
    uint64_t n = broker.last_n;
    report("c1", true);
    report("c1", false);
    report("c2", true);
    await(broker.last_n == n + 1);
    ck_assert_str_eq(broker.items, "+c1 -c1 +c2 ");
    ck_assert_int_eq(broker.fulls, 1);
}
END_TEST

START_TEST(after_a_resync_all_are_reported_again)
{
    join();
    await(broker.fulls == 1);
    int hellos = broker.hellos;
    resync();
    await(broker.fulls == 2);
    ck_assert_int_eq(broker.hellos, hellos + 1);
    ck_assert_str_eq(broker.items, "+all ~slow ");
}
END_TEST

START_TEST(nothing_is_reported_between_a_hello_and_its_welcome)
{
    join();
    await(broker.fulls > 0 && broker.fulls == broker.hellos); /* HELLO may have been repeated */
    int hellos = broker.hellos, presences = broker.presences;
    broker.silent = true;
    resync();
    await(broker.hellos > hellos);
    report("c1", true);
    await(broker.hellos > hellos + 3); /* it is said again */
    ck_assert_int_eq(broker.presences, presences);
    ck_assert(upstream_connected(upstream));
    broker.silent = false;
    await(broker.fulls == 2);
}
END_TEST

START_TEST(a_taken_report_is_told_and_so_is_what_follows)
{
    join();
    await(broker.fulls == 1 && told_mark == 1);
    ck_assert_uint_eq(broker.acked_epoch, 0);
    report("c1", true);
    await(told_mark >= 2 && broker.acked_epoch == broker.run);
}
END_TEST

START_TEST(what_a_dead_broker_never_took_is_told_again)
{
    join();
    await(told_mark == 1);
    broker.silent = true; /* it reads, and dies before it has done anything */
    report("c1", false);
    await(strstr(broker.items, "-c1") != NULL);
    restart(100);
    broker.silent = false;
    announce();
    await(broker.fulls == 2);
    ck_assert_str_eq(broker.items, "-c1 +all ~slow ");
    await(told_mark >= 2);
    resync();
    await(broker.fulls == 3);
    ck_assert_str_eq(broker.items, "+all ~slow ");
}
END_TEST

START_TEST(what_ended_while_there_was_no_broker_is_told_to_the_next_one)
{
    join();
    await(broker.fulls == 1);
    uint64_t before = broker.run;
    int hellos = broker.hellos;
    broker.silent = true;
    restart(100);
    announce();
    await(broker.hellos > hellos);
    report("c1", true);
    report("c1", false);
    broker.silent = false;
    await(broker.fulls == 2);
    ck_assert_str_eq(broker.items, "-c1 +all ~slow ");
    ck_assert_uint_eq(broker.acked_epoch, before);
    await(told_mark >= 2);
}
END_TEST

/* --- reports in pieces --- */

START_TEST(a_crowd_is_reported_in_pieces)
{
    crowd = 1000;
    join();
    await(broker.ends == 1 && told_mark == 1);
    ck_assert_int_eq(broker.fulls, 1);
    ck_assert_int_gt(broker.pieces, 10);
    ck_assert_uint_eq(broker.known, 1000);
    ck_assert_uint_le(broker.largest, 500 + 700); /* gauges and counters, and the last item */
    report("x", true);
    await(strcmp(broker.items, "+x ") == 0);
    ck_assert_int_eq(broker.fulls, 1);
}
END_TEST

START_TEST(pieces_wait_until_earlier_ones_are_taken)
{
    crowd = 1000;
    broker.takes_nothing = true;
    join();
    await(broker.pieces == 4);
    for (int i = 0; i < 50; i++)
        turn();
    ck_assert_int_eq(broker.pieces, 4);
    await(broker.pieces == 5); /* the lease is renewed */
    ck_assert_uint_eq(told_mark, 0);
    broker.takes_nothing = false;
    await(broker.ends == 1);
    ck_assert_uint_eq(broker.known, 1000);
}
END_TEST

START_TEST(what_happens_during_a_report_is_part_of_it)
{
    crowd = 1000;
    broker.takes_nothing = true;
    join();
    await(broker.pieces == 4);
    report("late", true);
    report("c1", false);
    await(broker.pieces == 5);
    ck_assert_int_eq(strncmp(broker.items, "+late -c1 +c", 12), 0);
    broker.takes_nothing = false;
    await(broker.ends == 1 && told_mark);
    resync();
    await(broker.ends == 2);
    ck_assert_ptr_null(strstr(broker.items, "-c1 ")); /* it was taken */
}
END_TEST

START_TEST(a_report_that_was_interrupted_begins_anew)
{
    crowd = 1000;
    broker.takes_nothing = true;
    join();
    await(broker.pieces == 4);
    broker.takes_nothing = false;
    resync();
    /* More on a slow machine: reports that are not acknowledged in time. */
    await(broker.fulls >= 2 && broker.ends >= 1 && told_mark);
    ck_assert_uint_eq(broker.known, 1000);
    ck_assert_uint_eq(broker.acked_epoch, 0); /* while it was sent, no broker had taken all */
}
END_TEST

START_TEST(many_that_ended_are_reported_in_pieces_too)
{
    char name[24];
    join();
    await(broker.fulls == 1);
    broker.silent = true;
    restart(100);
    announce();
    await(broker.hellos == 2);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "gone%d", i);
        report(name, false);
    }
    broker.silent = false;
    await(broker.ends == 2);
    ck_assert_int_gt(broker.pieces, 10);
    ck_assert_uint_le(broker.largest, 500 + 700);
    await(told_mark >= 2);
    resync();
    await(broker.ends == 3);
    ck_assert_str_eq(broker.items, "+all ~slow ");
}
END_TEST

START_TEST(a_burst_of_changes_is_reported_in_pieces)
{
    char name[24];
    join();
    await(broker.fulls == 1);
    int before = broker.presences;
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "new%d", i);
        report(name, true);
    }
    await(strstr(broker.items, "+new299 ") != NULL);
    ck_assert_int_gt(broker.presences - before, 10);
    ck_assert_uint_le(broker.largest, 500 + 700);
    ck_assert_int_eq(broker.fulls, 1);
}
END_TEST

START_TEST(who_leaves_says_goodbye)
{
    join();
    await(told_mark == 1);
    report("c1", false);
    leave();
    await(broker.byes == 1);
    ck_assert_int_eq(broker.fulls, 1);
    ck_assert_str_eq(broker.items, "");
}
END_TEST

START_TEST(who_leaves_within_a_report_comes_to_its_end_first)
{
    crowd = 1000;
    broker.takes_nothing = true;
    join();
    await(broker.pieces == 4);
    crowd = 10;
    leave();
    await(broker.byes == 1);
    ck_assert_int_eq(broker.ends, 1);
    ck_assert_uint_eq(broker.last_n, (uint64_t)broker.presences);
}
END_TEST

START_TEST(bans_may_come_before_the_welcome)
{
    broker.bans = 3;
    strcpy(broker.ban, "ann");
    await_told("blocked ban-1 1 blocked ban-2 1 blocked ban-3 1 blocked ann 12345 joined 100");
    ck_assert_uint_eq(all_blocked, 1);
    ck_assert_uint_eq(all_blocked_at, 100);
}
END_TEST

START_TEST(while_a_welcome_is_on_its_way_hello_says_so)
{
    broker.slow = true;
    broker.bans = 2;
    await(broker.hellos >= 1);
    ck_assert_uint_eq(broker.hello_pieces, 0);
    send_ban(1);
    await(broker.hello_pieces == 1);
    send_ban(2);
    await(broker.hello_pieces == 2);
    send_welcome();
    await_told("blocked ban-1 1 blocked ban-2 1 joined 100");
    resync();
    int hellos = broker.hellos;
    await(broker.hellos > hellos);
    ck_assert_uint_eq(broker.hello_pieces, 0);
}
END_TEST

START_TEST(what_has_come_of_a_welcome_does_not_count_for_ever)
{
    broker.slow = true;
    broker.bans = 2;
    await(broker.hellos >= 1);
    send_ban(1);
    await(broker.hello_pieces == 1);
    await(broker.hello_pieces == 0);
    broker.slow = false;
    await_told("blocked ban-1 1 blocked ban-2 1 joined 100");
}
END_TEST

START_TEST(a_welcome_without_all_of_its_bans_is_none)
{
    broker.bans = 3;
    broker.lost_ban = (uint64_t)_i + 1;
    const char all[] = "blocked ban-1 1 blocked ban-2 1 blocked ban-3 1 joined 100";
    await(upstream_connected(upstream));
    ck_assert_int_eq(strncmp(told, all, strlen(all)), 0);
    ck_assert_int_ge(broker.hellos, 2);
}
END_TEST

START_TEST(bans_of_a_welcome_that_never_came_do_not_count)
{
    struct buf b = {0};
    join();
    wire_put_bans(&b, &(struct wire_bans){.run = broker.run, .piece = 1});
    wire_add_ban(&b, S("old"), 1);
    reply(&b);
    resync();
    await(all_blocked == 2);
    ck_assert_ptr_null(strstr(told, "old"));
}
END_TEST

/* --- what came first --- */

START_TEST(shutdowns_of_the_past_are_asked_for)
{
    int64_t began = loop_now(loop); /* the age counts from the loop's time */
    ck_assert_ptr_nonnull(upstream_shutdowns(upstream, 0, 700));
    await_told("joined 100 past 100");
    ck_assert_uint_ge(broker.last_shutdowns.age_ms, 700);
    ck_assert_uint_le(broker.last_shutdowns.age_ms, 700 + (uint64_t)(clock_ms() - began));
    ck_assert_uint_eq(broker.last_shutdowns.after, 0);
}
END_TEST

START_TEST(the_age_of_shutdowns_grows_until_they_are_answered)
{
    int64_t began = clock_ms();
    join();
    broker.silent = true;
    ck_assert_ptr_nonnull(upstream_shutdowns(upstream, 0, 700));
    await(broker.shutdowns);
    int count = broker.shutdowns;
    uint64_t age_ms = broker.last_shutdowns.age_ms;
    await(broker.shutdowns >= count + 3);
    ck_assert_uint_ge(broker.last_shutdowns.age_ms, age_ms + 3 * (uint64_t)pace.retry);
    ck_assert_uint_le(broker.last_shutdowns.age_ms, 700 + (uint64_t)(clock_ms() - began));
    broker.silent = false;
    await_told("joined 100 past 100");
}
END_TEST

START_TEST(the_brokers_clock_and_place_are_noted)
{
    broker.clock = clock_unix_us() + INT64_C(3600000000);
    join();
    await(told_mark == 1);
    ck_assert_uint_eq(told_head, 100);
    int64_t now = clock_us(), stamp = (broker.clock + 5000000) / 1000; /* 5 s after it was told */
    int64_t at = ordering_latest(&ordering, 101, stamp);
    ck_assert_int_lt(at, now + 5002000);
    ck_assert_int_gt(at, now - REPLY_TIMEOUT_MS * 1000);
    /* The measurement is disproved. */
    ck_assert_int_eq(ordering_latest(&ordering, 101, (broker.clock - 60000000) / 1000), INT64_MAX);
}
END_TEST

START_TEST(a_report_tells_the_gauges)
{
    join();
    await(broker.fulls == 1);
    ck_assert_uint_eq(broker.streams, 77);
    ck_assert_uint_eq(broker.position, 100);
}
END_TEST

START_TEST(the_lease_is_renewed)
{
    join();
    await(broker.fulls == 1);
    uint64_t n = broker.last_n;
    await(broker.last_n >= n + 3 && strcmp(broker.items, "~slow ") == 0);
    ck_assert_int_le(broker.fulls, broker.hellos); /* on a slow machine HELLO is repeated */
}
END_TEST

/* --- whatever is lost --- */

START_TEST(every_event_comes_once_and_in_order)
{
    struct dice dice = dice_new();
    char should[1 << 16] = "joined 100";
    size_t len = strlen(should);
    uint64_t next = 101;
    printf("upstream: SEED=%" PRIu64 "\n", dice.state);
    join();
    for (int round = 0; round < 400; round++) {
        uint64_t last = next + roll(&dice, 5), what = roll(&dice, 10);
        broker.page = 1 + roll(&dice, 20);
        if (what < 2)
            lose(next, last);
        else
            publish(next, last);
        if (what == 3) /* some of it again */
            publish(next > 105 ? next - roll(&dice, 5) : next, last);
        if (what == 4)
            announce();
        for (uint64_t i = 0, turns = roll(&dice, 3); i < turns; i++)
            turn();
        for (; next <= last; next++)
            len += (size_t)sprintf(should + len, " %" PRIu64, next);
    }
    announce();
    await_told(should);
    ck_assert_uint_gt(counters[REPAIRS], 10);
}
END_TEST

/* --- keys --- */

START_TEST(a_feed_that_brings_nothing_is_noticed_although_the_broker_answers)
{
    join();
    ck_assert(!upstream_feed_is_silent(upstream));
    await(upstream_feed_is_silent(upstream));
    ck_assert(upstream_connected(upstream));
    announce();
    await(!upstream_feed_is_silent(upstream));
    await(upstream_connected(upstream));
}
END_TEST

/* A broker with CURVE in place of the one without, and a worker that takes expected for the
 * broker's key (NULL: has none). */
static void use_curve(struct curve_client *client, const char *expected)
{
    char public[CURVE_KEY_LEN + 1], secret[CURVE_KEY_LEN + 1], own[CURVE_KEY_LEN + 1];
    int yes = 1;
    static char *feeds = feed_endpoint, *syncs = sync_endpoint; /* the upstream keeps their place */
    upstream_free(&upstream);
    loop_free(&loop); /* it knows upstream's timer */
    loop = new_turns(turn_end);
    zmq_close(broker.feed);
    zmq_close(broker.sync);
    ck_assert_int_eq(zmq_curve_keypair(public, secret), 0);
    ck_assert_int_eq(zmq_curve_keypair(own, client->secret.text), 0);
    memcpy(client->brokers->text, expected ? expected : public, sizeof public);
    void **sockets[] = {&broker.feed, &broker.sync};
    for (int i = 0; i < 2; i++) {
        *sockets[i] = zmq_socket(broker.zmq, i ? ZMQ_ROUTER : ZMQ_XPUB);
        zmq_setsockopt(*sockets[i], ZMQ_CURVE_SERVER, &yes, sizeof yes);
        zmq_setsockopt(*sockets[i], ZMQ_CURVE_SECRETKEY, secret, sizeof secret);
        size_t size = sizeof feed_endpoint;
        ck_assert_int_eq(zmq_bind(*sockets[i], "tcp://127.0.0.1:*"), 0);
        zmq_getsockopt(*sockets[i], ZMQ_LAST_ENDPOINT, i ? sync_endpoint : feed_endpoint, &size);
    }
    struct upstream_config config = config_of_one_broker(&feeds, &syncs, counters);
    config.pace = pace;
    config.curve = client->broker_count ? client : NULL;
    upstream = upstream_new(&config, loop);
    ck_assert_ptr_nonnull(upstream);
}

START_TEST(a_broker_with_keys_is_joined)
{
    struct curve_key key;
    use_curve(&(struct curve_client){.brokers = &key, .broker_count = 1}, NULL);
    join();
    ck_assert(!upstream_turned_away(upstream));
}
END_TEST

START_TEST(a_broker_with_another_key_is_not)
{
    struct curve_key key;
    use_curve(&(struct curve_client){.brokers = &key, .broker_count = 1},
              "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    await(upstream_turned_away(upstream));
    ck_assert(!upstream_connected(upstream));
}
END_TEST

START_TEST(a_broker_that_wants_a_key_is_not)
{
    struct curve_key key;
    use_curve(&(struct curve_client){.brokers = &key}, NULL);
    await(upstream_turned_away(upstream));
    ck_assert(!upstream_connected(upstream));
}
END_TEST

static void add_keys(TCase *tests)
{
    tcase_add_test(tests, a_broker_with_keys_is_joined);
    tcase_add_test(tests, a_broker_with_another_key_is_not);
    tcase_add_test(tests, a_broker_that_wants_a_key_is_not);
}

static void add_sequence(TCase *tests)
{
    tcase_add_test(tests, it_joins_where_the_sequence_stands);
    tcase_add_test(tests, news_that_take_long_leave_others_for_the_next_turn);
    tcase_add_test(tests, hello_is_said_until_it_is_welcome);
    tcase_add_test(tests, the_feed_is_handed_on);
    tcase_add_test(tests, it_knows_whether_there_may_be_news);
    tcase_add_test(tests, it_is_unsure_after_a_message_was_sent);
    tcase_add_test(tests, what_comes_twice_is_handed_on_once);
    tcase_add_test(tests, what_was_lost_is_fetched);
    tcase_add_test(tests, a_lost_end_is_seen_at_the_announcement);
    tcase_add_test(tests, a_repair_takes_as_many_pages_as_it_needs);
    tcase_add_test(tests, a_page_is_followed_by_the_next);
    tcase_add_test(tests, a_page_that_the_feed_overtook_doubles_nothing);
    tcase_add_test(tests, what_cannot_be_had_is_told);
    tcase_add_test(tests, a_restarted_broker_goes_on);
    tcase_add_test(tests, a_jump_of_the_sequence_is_no_loss);
    tcase_add_test(tests, a_broker_that_forgot_breaks_the_sequence);
    tcase_add_test(tests, bans_are_told_before_anything_else);
    tcase_add_test(tests, malformed_messages_are_ignored);
    tcase_add_test(tests, every_event_comes_once_and_in_order);
}

static void add_questions(TCase *tests)
{
    tcase_add_test(tests, a_question_is_answered);
    tcase_add_test(tests, a_question_waits_for_the_broker);
    tcase_add_test(tests, what_was_forgotten_is_not_answered);
    tcase_add_test(tests, many_questions_are_all_answered);
    tcase_add_test(tests, questions_survive_a_restart);
    tcase_add_test(tests, a_loss_is_told_before_what_waited_is_answered);
    tcase_add_test(tests, a_command_is_given_and_its_reply_handed_on);
    tcase_add_test(tests, a_command_waits_for_the_broker);
    tcase_add_test(tests, a_command_waits_for_the_answer_to_hello);
    tcase_add_test(tests, a_lost_broker_ends_what_is_asked_once);
    tcase_add_test(tests, commands_wait_their_turn_too);
    tcase_add_test(tests, nothing_is_reported_between_a_hello_and_its_welcome);
    tcase_add_test(tests, many_that_ended_are_reported_in_pieces_too);
    tcase_add_test(tests, what_a_dead_broker_never_took_is_told_again);
    tcase_add_test(tests, what_ended_while_there_was_no_broker_is_told_to_the_next_one);
    tcase_add_loop_test(tests, a_welcome_without_all_of_its_bans_is_none, 0, 3);
    tcase_add_test(tests, while_a_welcome_is_on_its_way_hello_says_so);
    tcase_add_test(tests, shutdowns_of_the_past_are_asked_for);
    tcase_add_test(tests, the_brokers_clock_and_place_are_noted);
}

static void add_asking_again(TCase *tests)
{
    tcase_add_test(tests, the_age_of_shutdowns_grows_until_they_are_answered);
    tcase_add_test(tests, what_comes_during_a_repair_waits_for_it);
    tcase_add_test(tests, a_lost_question_is_asked_again_and_answered_once);
    tcase_add_test(tests, an_answer_that_comes_late_is_the_answer);
    tcase_add_test(tests, what_may_not_be_done_twice_is_asked_once);
}

/* They count reports: each HELLO causes a whole one. */
static void add_waiting(TCase *tests)
{
    tcase_add_test(tests, hello_is_said_on_a_connection_that_comes_while_it_looks_for_messages);
    tcase_add_test(tests,
                   what_waits_is_sent_on_a_connection_that_comes_while_it_looks_for_messages);
    tcase_add_test(tests, what_waits_for_a_connection_waits_for_the_welcome_of_a_restarted_broker);
    tcase_add_test(tests, what_follows_a_report_that_was_not_sent_waits_for_the_welcome);
    tcase_add_test(tests, a_place_of_a_forgotten_question_is_for_one_that_waits);
}

static void add_once(TCase *tests)
{
    tcase_add_test(tests, all_are_reported_first_and_changes_then);
    tcase_add_test(tests, after_a_resync_all_are_reported_again);
    tcase_add_test(tests, a_taken_report_is_told_and_so_is_what_follows);
    tcase_add_test(tests, a_burst_of_changes_is_reported_in_pieces);
    tcase_add_test(tests, who_leaves_within_a_report_comes_to_its_end_first);
    tcase_add_test(tests, a_report_tells_the_gauges);
    tcase_add_test(tests, a_report_that_was_interrupted_begins_anew);
    tcase_add_test(tests, a_crowd_is_reported_in_pieces);
    tcase_add_test(tests, bans_may_come_before_the_welcome);
    tcase_add_test(tests, bans_of_a_welcome_that_never_came_do_not_count);
    tcase_add_test(tests, who_leaves_says_goodbye);
}

int main(void)
{
    Suite *suite = suite_create("upstream");
    TCase *sequence = one_case(suite, "sequence"), *questions = one_case(suite, "questions"),
          *asking_again = one_case(suite, "asking again"), *doubting = one_case(suite, "doubting"),
          *renewing = one_case(suite, "renewing"), *leasing = one_case(suite, "leasing"),
          *keys = one_case(suite, "keys"), *impatient = one_case(suite, "impatient"),
          *starving = one_case(suite, "starving"), *once = one_case(suite, "once"),
          *waiting = one_case(suite, "waiting");

    tcase_add_checked_fixture(keys, setup_calm, teardown);
    tcase_add_checked_fixture(once, setup_once, teardown);
    tcase_add_checked_fixture(waiting, setup_waiting, teardown);
    tcase_add_checked_fixture(sequence, setup_calm, teardown);
    tcase_add_checked_fixture(questions, setup_calm, teardown);
    tcase_add_checked_fixture(asking_again, setup_asking_again, teardown);
    tcase_add_checked_fixture(doubting, setup_doubting, teardown);
    tcase_add_checked_fixture(starving, setup_starving, teardown);
    tcase_add_test(starving, a_feed_that_brings_nothing_is_noticed_although_the_broker_answers);
    tcase_add_checked_fixture(impatient, setup_impatient, teardown);
    tcase_add_checked_fixture(renewing, setup_renewing, teardown);
    tcase_add_checked_fixture(leasing, setup_leasing, teardown);
    tcase_add_test(leasing, pieces_wait_until_earlier_ones_are_taken);
    tcase_add_test(leasing, what_happens_during_a_report_is_part_of_it);

    add_once(once);
    add_waiting(waiting);
    add_keys(keys);
    add_sequence(sequence);
    add_questions(questions);
    add_asking_again(asking_again);
    tcase_add_test(doubting, a_broker_that_says_nothing_is_lost_and_found_again);
    tcase_add_test(impatient, what_has_come_of_a_welcome_does_not_count_for_ever);
    tcase_add_test(renewing, the_lease_is_renewed);
    return run_suite(suite);
}
