/* Streams against a naive model, under random operations: what each client is sent is compared with
 * what it should be sent. Events go to everyone, sessions and channels, with keys, times to live,
 * exceptions and private; the feed lags behind the broker, whose pages are ahead of it or are
 * parts; readers stall, fall behind, leave and come back. SEED=n repeats a run, RUNS=n does more of
 * them. */
#include <inttypes.h>
#include <poll.h>

#include "stream/resume.h"
#include "streams.h"

#define FIRST 100u
#define EVENTS 3000u
#define STEPS 700
#define LAG_MAX 150u /* seqs between the broker and the feed */

enum target { NOWHERE, EVERYONE, SESSION, CHANNEL, ALL_BUT_SESSION, SKIPPED };

/* What the broker has at a seq. NOWHERE: nothing; SKIPPED: a seq that no event has. */
static struct fact {
    enum target target;
    unsigned who; /* the client whose session or channel it is */
    unsigned key; /* 0: none */
    unsigned topic;
    bool has_ttl, is_private;
    size_t size;
} facts[EVENTS + 64];

static uint64_t head, fed, complete; /* the broker's and the feed's end, the start of history */
static uint64_t forgotten;           /* the broker lost the state of what is up to here */

static struct dice dice;
static uint64_t seed;

static unsigned draw(unsigned below)
{
    return (unsigned)roll(&dice, below);
}

static bool happens(unsigned once_in)
{
    return draw(once_in) == 0;
}

/* --- clients --- */

#define CLIENTS 4u
#define HUB 2u /* this one is a stream of the hub with a pattern */

/* A client and what it has understood of its stream. */
static struct reader {
    struct client at;
    uint64_t position;  /* all up to here was sent */
    uint64_t opened;    /* where the feed was then */
    uint64_t id, event; /* of the block that is read */
    bool has_id, is_gap;
    bool is_open, has_head;
    bool has_place;   /* it knows a position: it comes back with a cursor */
    bool after_gap;   /* the next checkpoint says where it goes on */
    bool chose_start; /* last=N */
    char log[4000];   /* the last things that happened */
} readers[CLIENTS];

static void note(struct reader *r, const char *what, uint64_t seq)
{
    size_t len = strlen(r->log);
    if (len > sizeof r->log - 60) {
        memmove(r->log, r->log + len / 2, len - len / 2 + 1);
        len = strlen(r->log);
    }
    snprintf(r->log + len, sizeof r->log - len, " %s %" PRIu64, what, seq);
}

static void complain(const struct reader *r, const char *what, uint64_t seq)
{
    ck_abort_msg("SEED=%" PRIu64 ", client %zu: %s %" PRIu64 "; it is at %" PRIu64
                 ", the feed at %" PRIu64 ", the broker at %" PRIu64 "; before:%s",
                 seed, (size_t)(r - readers), what, seq, r->position, fed, head, r->log);
}

/* Clients have no tokens: private events of a channel do not concern them. */
static bool concerns(uint64_t seq, unsigned client)
{
    const struct fact *f = &facts[seq];
    bool is_own = f->who == client;

    switch (f->target) {
    case EVERYONE:
        return client != HUB;
    case SESSION:
        return client != HUB && is_own;
    case ALL_BUT_SESSION:
        return client != HUB && !is_own;
    case CHANNEL:
        return is_own && !f->is_private;
    case NOWHERE:
    case SKIPPED:
        break;
    }
    return false;
}

static bool same_place(const struct fact *a, const struct fact *b)
{
    if (!a->key || a->key != b->key || a->target != b->target || a->is_private != b->is_private)
        return false;
    return a->target == EVERYONE || (a->who == b->who && a->topic == b->topic);
}

static bool is_replaced(uint64_t seq)
{
    for (uint64_t later = seq + 1; facts[seq].key && later <= head; later++)
        if (same_place(&facts[seq], &facts[later]))
            return true;
    return false;
}

/* Everything after its position and before this seq was passed over. */
static void pass(const struct reader *r, uint64_t before)
{
    for (uint64_t seq = r->position + 1; seq < before; seq++)
        if (concerns(seq, (unsigned)(r - readers)) && !is_replaced(seq))
            complain(r, "was not sent", seq);
}

static void sees_event(struct reader *r)
{
    note(r, "event", r->event);
    if (r->event != r->id)
        complain(r, "the event has another id", r->id);
    if (!r->has_place || r->after_gap)
        complain(r, "an event with an id, and no place yet:", r->event);
    if (r->event <= r->position)
        complain(r, "was sent again", r->event);
    if (!concerns(r->event, (unsigned)(r - readers)))
        complain(r, "is not for it:", r->event);

    pass(r, r->event);
    r->position = r->event;
}

static void sees_checkpoint(struct reader *r)
{
    note(r, "checkpoint", r->id);
    if (r->id > head)
        complain(r, "a checkpoint beyond the broker", r->id);
    if ((r->has_place || r->after_gap) && r->id < r->position)
        complain(r, "a checkpoint goes back to", r->id);

    if (!r->has_place && !r->after_gap && !r->chose_start && r->id < r->opened)
        complain(r, "it begins before it was opened", r->id);
    if (r->has_place && !r->after_gap)
        pass(r, r->id + 1);

    r->position = r->id;
    r->has_place = true;
    r->after_gap = false;
}

static void sees_block(struct reader *r)
{
    if (r->is_gap) {
        note(r, "gap", 0);
        r->after_gap = true;
    } else if (r->event && r->has_id) {
        sees_event(r);
    } else if (r->event) {
        note(r, "state", r->event);
    } else if (r->has_id) {
        sees_checkpoint(r);
    }
    r->is_gap = r->has_id = false;
    r->event = 0;
}

static void sees_line(struct reader *r, const char *line)
{
    if (!*line) {
        sees_block(r);
    } else if (strncmp(line, "id: ", 4) == 0) {
        r->id = strtoull(line + (line[4] == '#' ? 5 : 4), NULL, 10);
        r->has_id = true;
    } else if (strncmp(line, "data: E", 7) == 0) {
        r->event = strtoull(line + 7, NULL, 10);
    } else if (strcmp(line, "event: ssecast.gap") == 0) {
        r->is_gap = true;
    }
}

/* It reads at most this number of bytes. */
static void reads(struct reader *r, size_t max)
{
    struct client *c = &r->at;
    char *at = c->text, *end;

    receive(c, max);
    if (!r->has_head) {
        if (!(end = strstr(at, "\r\n\r\n")))
            return;
        at = end + 4;
        r->has_head = true;
    }
    while ((end = memchr(at, '\n', c->len - (size_t)(at - c->text)))) {
        *end = '\0';
        sees_line(r, at);
        at = end + 1;
    }
    c->len -= (size_t)(at - c->text);
    memmove(c->text, at, c->len + 1);

    if (c->ended) {
        note(r, "end", 0);
        close(c->fd);
        r->is_open = false;
    }
}

static void leaves(struct reader *r)
{
    note(r, "leaves", 0);
    close(r->at.fd);
    r->is_open = false;
}

/* Sometimes it forgets its cursor and begins again without one. */
static void begins_at(struct reader *r)
{
    if (r->after_gap || happens(6))
        r->has_place = false;
    r->after_gap = r->has_head = r->has_id = r->is_gap = false;
    r->event = 0;
    r->opened = fed;
    r->chose_start = !r->has_place && r != &readers[HUB] && happens(2);
    note(r, "opens", r->has_place ? r->position : 0);
}

static void opens(struct reader *r)
{
    unsigned number = (unsigned)(r - readers);
    char query[100], cursor[60], last[20] = "";
    int fds[2], buffer = 2048;
    struct params params = {.request = 1};

    begins_at(r);
    r->at.len = 0;
    r->at.ended = false;
    r->is_open = true;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    r->at.fd = fds[1];

    if (r->chose_start)
        snprintf(last, sizeof last, "&last=%u", 1 + draw(6));
    snprintf(query, sizeof query, "QUERY_STRING=session=s%u&channels=c%u%s%s", number, number,
             happens(3) ? "&checkpoints=always" : "", last);
    if (number == HUB)
        snprintf(query, sizeof query, "QUERY_STRING=topic=/t/%%7Bid%%7D");
    snprintf(cursor, sizeof cursor, "HTTP_LAST_EVENT_ID=%s%" PRIu64, number == HUB ? "#" : "",
             r->position);
    char *software =
        number % 2 ? (char *)"SERVER_SOFTWARE=lighttpd/1.4.69" : (char *)"SERVER_SOFTWARE=x";
    char *list[] = {(char *)"REQUEST_METHOD=GET", query, software, r->has_place ? cursor : NULL,
                    NULL};
    ck_assert_int_eq(params_copy(&params, list), 0);

    if (number == HUB) {
        open_mercure(&set, &(struct incoming){fds[0], &params, CONN_PIPE});
        params_release(&params);
    } else {
        request_stream(fds[0], &params);
    }
    conns_flush(&exchanges.conns);
}

/* --- the broker --- */

static void appends(void)
{
    if (head + 20 >= EVENTS || head > fed + LAG_MAX)
        return;
    if (happens(60)) {
        head += 10;
        facts[head] = (struct fact){.target = SKIPPED};
        return;
    }

    static const enum target targets[] = {EVERYONE, SESSION, CHANNEL, ALL_BUT_SESSION};
    struct fact f = {.target = targets[draw(4)], .who = draw(CLIENTS), .has_ttl = happens(3)};
    f.size = happens(5) ? draw(8000) : draw(300);
    f.topic = f.target == CHANNEL && f.who == HUB ? draw(3) : 0;
    f.is_private = (f.target == SESSION || f.target == CHANNEL) && happens(4);
    if (f.target != ALL_BUT_SESSION && happens(3))
        f.key = 1 + draw(3);
    facts[++head] = f;
}

/* The name that the event is for. */
static struct slice name_of(const struct fact *f, char name[16])
{
    if (f->target != CHANNEL)
        snprintf(name, 16, "s%u", f->who);
    else if (f->who == HUB)
        snprintf(name, 16, "/t/%u", f->topic);
    else
        snprintf(name, 16, "c%u", f->who);
    return slice_of(name);
}

/* A new event; its data begins with its seq. */
static struct event *event_at(uint64_t seq)
{
    static char data[9000];
    const struct fact *f = &facts[seq];
    char name[16], key[16];
    struct slice to = name_of(f, name);
    int len = snprintf(data, sizeof data, "E%" PRIu64 ":", seq);

    memset(data + len, 'p', sizeof data - (size_t)len);
    snprintf(key, sizeof key, "k%u", f->key);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .time_ms = clock_unix_ms(),
                              .data = {data, f->size + (size_t)len},
                              .has_to = f->target == SESSION || f->target == CHANNEL,
                              .is_private = f->is_private,
                              .ttl_s = f->has_ttl ? 1000 : 0};
    if (f->key)
        spec.key = slice_of(key);
    if (f->target == SESSION)
        spec.lists[TO_SESSIONS] = (struct names){&to, 1};
    else if (f->target == CHANNEL)
        spec.lists[TO_CHANNELS] = (struct names){&to, 1};
    else if (f->target == ALL_BUT_SESSION)
        spec.lists[EXCEPT_SESSIONS] = (struct names){&to, 1};

    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* False when the feed has all that the broker has. */
static bool feeds(void)
{
    uint64_t seq = fed + 1;
    while (seq <= head && facts[seq].target == NOWHERE)
        seq++;
    if (seq > head)
        return false;

    fed = seq;
    if (facts[seq].target == SKIPPED) {
        feed_advanced(&set, seq);
        return true;
    }
    struct event *e = event_at(seq);
    feed_event(&set, e);
    event_unref(&e);
    return true;
}

/* A new worker gets the state before the welcome. */
static void welcomes(void)
{
    current_clear(&set);
    for (uint64_t seq = forgotten + 1; seq <= head; seq++)
        if (facts[seq].key && !is_replaced(seq)) {
            struct event *e = event_at(seq);
            current_state(&set, e);
            event_unref(&e);
        }
    current_told(&set, head);
}

/* The feed lost events that the broker no longer has, as when one without a store was restarted. */
static void breaks(void)
{
    if (fed == head)
        return;

    fed += 1 + draw((unsigned)(head - fed));
    complete = fed;
    if (happens(2))
        forgotten = fed;
    for (unsigned i = 0; i < CLIENTS; i++)
        note(&readers[i], "break", fed);
    feed_broken(&set, fed, fed + 1);
    if (happens(2) || forgotten == fed)
        welcomes();
}

/* One of the streams that wait for a page. */
static struct stream *waiting_stream(void)
{
    struct conn_list *lists[] = {&exchanges.conns.idle, &exchanges.conns.blocked,
                                 &exchanges.conns.behind};
    struct stream *found = NULL;
    unsigned skip = draw(3);

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct conn *c;
        TAILQ_FOREACH (c, lists[i], link) {
            struct stream *s = stream_of(c);
            if (s && s->pending && (!found || skip--))
                found = s;
        }
    }
    return found;
}

/* Where the page for a stream begins. */
static uint64_t page_begin(const struct stream *s, unsigned client)
{
    if (s->start != START_LAST)
        return stream_last_id(s) ? strtoull(stream_last_id(s), NULL, 10) : s->cursor;

    uint64_t after = head, left = s->from.value;
    while (left && after > complete) {
        left -= concerns(after, client) && !is_replaced(after);
        after--;
    }
    return after;
}

/* Answer the question of a stream with all that there is, or with a part. */
static void answers(bool whole)
{
    struct stream *s = waiting_stream();
    struct buf entries = {0};
    if (!s)
        return;

    unsigned client = s->hub ? HUB : (unsigned)(registry_session(stream_entry(s)).data[1] - '0');
    uint64_t after = page_begin(s, client);
    struct wire_page page = {.head = head, .oldest = complete + 1, .gap = after < complete};
    page.from = page.gap ? complete : after;
    page.upto = page.from + draw((unsigned)(head - page.from) + 1);
    if (whole || page.upto == page.from)
        page.upto = head;

    for (uint64_t seq = page.from + 1; seq <= page.upto; seq++)
        if (concerns(seq, client) && !is_replaced(seq)) {
            struct event *e = event_at(seq);
            wire_add_entry(&entries, e);
            event_unref(&e);
        }
    page.entries = buf_slice(&entries);
    note(&readers[client], "page up to", page.upto);

    struct upstream_request *question = s->pending;
    upstream_forget(s->set->upstream, &question); /* as upstream does */
    resume_page(s, &page);
    buf_release(&entries);
}

/* --- a run --- */

static bool has_breaks;

static void news(unsigned count)
{
    while (count--) {
        unsigned what = draw(20);
        if (what < 12)
            feeds();
        else if (what < 15)
            answers(false);
        else if (what == 15 && has_breaks && happens(8))
            breaks();
        else if (what == 16 && happens(10))
            welcomes();
        else
            appends();
    }
    streams_settle(&set);
}

static void client_step(struct reader *r, unsigned stays)
{
    if (!r->is_open) {
        if (happens(3)) {
            news(draw(5));
            opens(r);
        }
    } else if (happens(stays)) {
        leaves(r);
    } else if (happens(4)) {
        reads(r, happens(3) ? 100000 : draw(3000));
    }
}

/* All that there is arrives, and everybody reads it. */
static void calm_down(void)
{
    for (int round = 0; round < 200; round++) {
        if (set.current_lost)
            welcomes();
        while (feeds())
            ;
        answers(true);
        streams_settle(&set);
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (!readers[i].is_open)
                opens(&readers[i]);
            turn();
            reads(&readers[i], SIZE_MAX);
        }
    }
}

static void begin_run(int number)
{
    dice = dice_new();
    dice.state += (uint64_t)number * 7919;
    seed = dice.state;
    memset(facts, 0, sizeof facts);
    memset(readers, 0, sizeof readers);

    set.mercure = (struct mercure_rules){.anonymous = true,
                                         .max_topics = 10,
                                         .max_topic_bytes = 255,
                                         .max_patterns = 3,
                                         .cors_origins = &none};
    set.limits.heartbeat_ms = 6;
    set.limits.window_bytes = happens(2) ? 25000 : 400000;
    set.live.max = 5000;
    exchanges.conns.budget = 20000;
    exchanges.conns.stale_ms = 8;
    exchanges.conns.behind_ms = 60;
    exchanges.conns.write_ms = happens(2) ? 150 : 0;
    has_breaks = happens(2);

    head = fed = complete = forgotten = FIRST;
    join(FIRST);
    welcomes();
}

START_TEST(each_client_is_sent_everything_once)
{
    begin_run(_i);
    unsigned lag = draw(5);

    for (int step = 0; step < STEPS; step++) {
        for (unsigned i = draw(4); i; i--)
            appends();
        if (!lag || happens(3 * lag))
            news(draw(30));
        for (unsigned i = 0; i < CLIENTS; i++)
            client_step(&readers[i], lag ? 40 : 150);
        if (happens(8))
            poll(NULL, 0, (int)draw(25));
        turn();
    }

    calm_down();
    for (unsigned i = 0; i < CLIENTS; i++)
        pass(&readers[i], head + 1);
}
END_TEST

int main(void)
{
    const char *runs = getenv("RUNS");
    Suite *suite = suite_create("stream_model");
    TCase *tests = one_case(suite, "stream_model");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, each_client_is_sent_everything_once, 0, runs ? atoi(runs) : 3);
    return run_suite(suite);
}
