#include "http/conn.h"

#include <errno.h>
#include <fastcgi.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support.h"
#include "turns.h"

#define BUDGET 100000
#define WRITE_MS 60000

static struct loop *loop;
static struct conns conns;
static uint64_t counters[WORKER_COUNTERS];

/* A connection and the web server at its other end. */
struct peer {
    struct conn conn; /* first */
    int fd;           /* the web server's; -1 when closed */
    int closed, freed;
    int reused;                /* the descriptor that was handed on; 0: none */
    size_t refill;             /* bytes to send when drained */
    struct peer *cuts, *feeds; /* others, when drained; once */
    char *raw;                 /* all that has arrived */
    size_t raw_len;
    char *sent; /* all that was queued */
    size_t sent_len;
};

static void on_closed(struct conn *c)
{
    struct peer *p = (struct peer *)c;
    p->closed++;
    ck_assert_int_eq(p->closed, 1);
}

static void send_text(struct peer *p, const char *text, size_t len);

static void on_drained(struct conn *c)
{
    struct peer *p = (struct peer *)c;
    ck_assert_int_eq(c->state, CONN_OPEN);
    ck_assert_uint_eq(queue_bytes(&c->queue), 0);
    if (p->refill) {
        p->refill--;
        send_text(p, "more", 4);
    }
    if (p->cuts)
        conn_cut(&p->cuts->conn, END_SHUTDOWN);
    if (p->feeds)
        send_text(p->feeds, "fed", 3);
    p->cuts = p->feeds = NULL;
}

static void on_free(struct conn *c)
{
    struct peer *p = (struct peer *)c;
    p->freed++;
    ck_assert_int_eq(p->freed, 1);
    ck_assert_int_eq(p->closed, 1);
}

static void on_reuse(struct conn *c, int fd)
{
    struct peer *p = (struct peer *)c;
    ck_assert_int_eq(p->reused, 0);
    p->reused = fd;
}

static const struct conn_hooks hooks = {.closed = on_closed, .drained = on_drained};
static const struct conns_hooks set_hooks = {on_free, on_reuse};

static bool turn_end(void *context)
{
    (void)context;
    bool more = conns_flush(&conns);
    conns_reap(&conns);
    return more;
}

static void turn(void)
{
    turn_for(loop, 0);
}

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    memset(counters, 0, sizeof counters);
    loop = new_turns(turn_end);
    conns_init(&conns, loop, &set_hooks, BUDGET, WRITE_MS, counters);
}

/* Where the kernel does not allow it, the same tests write one by one. */
static void setup_together(void)
{
    setup();
    int err = conns_write_together(&conns);
    if (err)
        printf("conn: io_uring is not available: %s\n", strerror(-err));
}

static void teardown(void)
{
    conns_close(&conns);
    ck_assert_uint_eq(conns.count, 0);
    loop_free(&loop);
}

static struct peer *peer_new(enum conn_transport transport, int buffer)
{
    struct peer *p = calloc(1, sizeof *p);
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (buffer)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    p->fd = fds[1];
    ck_assert_int_eq(conn_open(&p->conn, &conns, &hooks, fds[0], 0x0102, transport), 0);
    return p;
}

static void hang_up(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

static void peer_free(struct peer *p)
{
    conn_cut(&p->conn, END_CLIENT);
    conns_flush(&conns);
    conns_reap(&conns);
    ck_assert_int_eq(p->closed, 1);
    ck_assert_int_eq(p->freed, 1);
    hang_up(p);
    free(p->raw);
    free(p->sent);
    free(p);
}

static void append(char **text, size_t *len, const char *more, size_t more_len)
{
    *text = realloc(*text, *len + more_len + 1);
    memcpy(*text + *len, more, more_len);
    *len += more_len;
    (*text)[*len] = '\0';
}

static void send_with(struct peer *p, const char *text, size_t len,
                      void (*queue)(struct conn *c, struct event *e))
{
    struct event *e = event_text((struct slice){text, len});
    bool open = p->conn.state == CONN_OPEN;
    queue(&p->conn, e);
    if (open && p->conn.state == CONN_OPEN)
        append(&p->sent, &p->sent_len, text, len);
    event_unref(&e);
}

static void send_text(struct peer *p, const char *text, size_t len)
{
    send_with(p, text, len, conn_send);
}

static void say(struct peer *p, const char *text)
{
    send_text(p, text, strlen(text));
}

/* Read up to max bytes of what has arrived. False at the end of the stream. */
static bool receive(struct peer *p, size_t max)
{
    char bytes[65536];
    while (max) {
        ssize_t n = read(p->fd, bytes, max < sizeof bytes ? max : sizeof bytes);
        if (n < 0)
            ck_assert_int_eq(errno, EAGAIN);
        if (n <= 0)
            return n < 0;
        append(&p->raw, &p->raw_len, bytes, (size_t)n);
        max -= (size_t)n;
    }
    return true;
}

/* What the records that have arrived say. */
struct records {
    char *text;
    size_t len;
    int count;   /* of records with content */
    size_t most; /* the longest content */
    bool closed; /* an empty FCGI_STDOUT has come */
    bool ended;  /* FCGI_END_REQUEST, the last */
    bool cut;    /* a record is not whole */
};

static struct records parse(const struct peer *p)
{
    struct records r = {0};
    size_t at = 0;
    while (p->raw_len - at >= FCGI_HEADER_LEN) {
        const unsigned char *head = (const unsigned char *)p->raw + at;
        size_t len = (size_t)head[4] << 8 | head[5];
        ck_assert(!r.ended);
        ck_assert_int_eq(head[0], FCGI_VERSION_1);
        ck_assert_int_eq(head[2] << 8 | head[3], 0x0102);
        ck_assert_int_eq(head[6], 0);
        if (p->raw_len - at - FCGI_HEADER_LEN < len)
            break;
        if (head[1] == FCGI_STDOUT) {
            ck_assert(!r.closed);
            r.closed = len == 0;
            r.count += len != 0;
            r.most = len > r.most ? len : r.most;
            append(&r.text, &r.len, (const char *)head + FCGI_HEADER_LEN, len);
        } else {
            ck_assert_int_eq(head[1], FCGI_END_REQUEST);
            ck_assert(r.closed);
            ck_assert_uint_eq(len, 8);
            ck_assert_mem_eq(head + FCGI_HEADER_LEN, "\0\0\0\0\0\0\0\0", 8);
            r.ended = true;
        }
        at += FCGI_HEADER_LEN + len;
    }
    r.cut = at != p->raw_len;
    return r;
}

static void assert_arrived(const struct peer *p, bool ended)
{
    struct records r = parse(p);
    assert_slice(((struct slice){r.text, r.len}), ((struct slice){p->sent, p->sent_len}));
    ck_assert(!r.cut);
    ck_assert(r.ended == ended);
    free(r.text);
}

static size_t record_count(const struct peer *p)
{
    struct records r = parse(p);
    free(r.text);
    return (size_t)r.count;
}

/* Let the peer read until nothing more comes. */
static void read_all(struct peer *p)
{
    size_t before;
    do {
        before = p->raw_len;
        turn();
        receive(p, SIZE_MAX);
    } while (p->raw_len != before);
}

/* --- records --- */

START_TEST(what_waits_leaves_as_one_record)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "one");
    say(p, "two");
    say(p, "three");
    turn();
    receive(p, SIZE_MAX);
    assert_arrived(p, false);
    ck_assert_uint_eq(record_count(p), 1);
    ck_assert_uint_eq(counters[WRITES], 1);
    ck_assert_uint_eq(counters[BYTES_WRITTEN], 11 + FCGI_HEADER_LEN);
    peer_free(p);
}
END_TEST

START_TEST(nothing_leaves_before_the_end_of_the_turn)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "x");
    receive(p, SIZE_MAX);
    ck_assert_uint_eq(p->raw_len, 0);
    turn();
    receive(p, SIZE_MAX);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

START_TEST(much_leaves_in_records_of_bounded_size)
{
    static char text[3 * CONN_RECORD_MAX + 5];
    struct peer *p = peer_new(CONN_RECORDS, 0);
    memset(text, 'x', sizeof text);
    send_text(p, text, sizeof text);
    read_all(p);
    assert_arrived(p, false);
    struct records r = parse(p);
    ck_assert_uint_eq(r.most, CONN_RECORD_MAX);
    ck_assert_int_eq(r.count, 4);
    free(r.text);
    peer_free(p);
}
END_TEST

START_TEST(many_small_events_all_leave)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    for (int i = 0; i < 3000; i++) {
        char text[16];
        send_text(p, text, (size_t)sprintf(text, "%d,", i));
    }
    read_all(p);
    assert_arrived(p, false);
    ck_assert_uint_eq(record_count(p), 1);
    peer_free(p);
}
END_TEST

START_TEST(a_plain_cgi_response_has_no_records)
{
    struct peer *p = peer_new(CONN_PIPE, 0);
    say(p, "one");
    say(p, "two");
    turn();
    conn_end(&p->conn, END_SHUTDOWN);
    turn();
    ck_assert(!receive(p, SIZE_MAX));
    ck_assert_str_eq(p->raw, "onetwo");
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

/* --- slow readers --- */

START_TEST(a_slow_reader_gets_everything_in_the_end)
{
    static char text[7000];
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    for (int i = 0; i < 12; i++) {
        memset(text, 'a' + i, sizeof text);
        send_text(p, text, sizeof text);
    }
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    for (size_t step = 1; p->raw_len < p->sent_len; step = step % 3000 + 97) {
        turn();
        receive(p, step);
    }
    read_all(p);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

/* Send until it is cut. */
static void overfill(struct peer *p)
{
    static char text[10000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 100 && p->conn.state == CONN_OPEN; i++)
        send_text(p, text, sizeof text);
    ck_assert_int_eq(p->conn.cause, END_SLOW);
    ck_assert_int_eq(p->closed, 1);
    ck_assert_uint_ge(p->sent_len, BUDGET - sizeof text);
    ck_assert_uint_lt(p->sent_len, 2 * BUDGET);
}

START_TEST(over_its_budget_it_ends_with_the_record_that_has_begun)
{
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    overfill(p);
    ck_assert_int_eq(p->conn.state, CONN_CUTTING);
    ck_assert_uint_le(queue_bytes(&p->conn.queue), CONN_RECORD_MAX);
    say(p, "too late");
    for (int i = 0; i < 100 && receive(p, 1000); i++)
        turn();
    struct records r = parse(p);
    ck_assert(r.ended && !r.cut);
    ck_assert_uint_lt(r.len, p->sent_len);
    ck_assert_mem_eq(r.text, p->sent, r.len);
    free(r.text);
    hang_up(p);
    turn();
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(one_that_takes_nothing_of_its_last_record_is_closed)
{
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    overfill(p);
    for (int64_t until = clock_ms() + 20000; !p->freed && clock_ms() < until;) {
        poll(NULL, 0, 20);
        turn();
    }
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(a_plain_response_over_its_budget_is_closed)
{
    struct peer *p = peer_new(CONN_PIPE, 4096);
    overfill(p);
    ck_assert_int_eq(p->conn.state, CONN_DEAD);
    ck_assert_int_eq(p->freed, 0);
    turn();
    ck_assert_int_eq(p->freed, 1);
    ck_assert(!receive(p, SIZE_MAX));
    peer_free(p);
}
END_TEST

/* Queue until there is no room, and fall behind. */
static void fall_behind(struct peer *p)
{
    static char text[20000];
    struct event *e = event_text((struct slice){text, sizeof text});
    int room = 0;
    while (conn_try_send(&p->conn, e))
        room++;
    ck_assert_int_gt(room, 1);
    ck_assert_uint_le(queue_bytes(&p->conn.queue), BUDGET);
    conn_fall_behind(&p->conn);
    event_unref(&e);
}

START_TEST(one_that_falls_behind_goes_on_when_it_reads)
{
    struct peer *p = peer_new((enum conn_transport)_i, 4096);
    fall_behind(p);
    ck_assert(p->conn.state == CONN_OPEN && p->conn.behind &&
              TAILQ_FIRST(&conns.behind) == &p->conn);
    ck_assert_uint_eq(conns_load(&conns).bytes, queue_bytes(&p->conn.queue));
    read_all(p);
    ck_assert_uint_eq(queue_bytes(&p->conn.queue), 0);
    conn_catch_up(&p->conn);
    ck_assert(TAILQ_FIRST(&conns.idle) == &p->conn && !TAILQ_FIRST(&conns.behind));
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    peer_free(p);
}
END_TEST

START_TEST(one_that_falls_behind_and_takes_nothing_is_cut)
{
    struct peer *p = peer_new((enum conn_transport)_i, 4096);
    ck_assert_int_eq(conns.behind_ms, CONN_BEHIND_MS);
    conns.behind_ms = 300;
    fall_behind(p);
    for (int64_t until = clock_ms() + 20000; !p->closed && clock_ms() < until;) {
        poll(NULL, 0, 20);
        turn();
    }
    ck_assert_int_eq(p->closed, 1);
    ck_assert_int_eq(p->conn.cause, END_SLOW);
    receive(p, SIZE_MAX);
    read_all(p);
    peer_free(p);
}
END_TEST

START_TEST(one_that_took_nothing_for_long_cannot_fall_behind)
{
    struct peer *p = peer_new((enum conn_transport)_i, 4096);
    struct event *e = event_text(S("0123456789"));
    while (!p->conn.blocked) {
        conn_send(&p->conn, e);
        turn();
    }
    event_unref(&e);
    p->conn.stalled_ms += CONN_BEHIND_MS;
    fall_behind(p);
    ck_assert_int_eq(p->closed, 1);
    ck_assert_int_eq(p->conn.cause, END_SLOW);
    peer_free(p);
}
END_TEST

START_TEST(one_that_is_cut_between_two_records_is_told_the_end)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "one");
    turn();
    say(p, "never written");
    conn_cut(&p->conn, END_SLOW);
    ck_assert(!receive(p, SIZE_MAX));
    struct records r = parse(p);
    ck_assert(r.ended && !r.cut);
    assert_slice(((struct slice){r.text, r.len}), S("one"));
    free(r.text);
    peer_free(p);
}
END_TEST

START_TEST(a_burst_over_the_budget_is_written_at_once)
{
    static char text[10000];
    struct peer *p = peer_new(CONN_RECORDS, 4 * BUDGET);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 15; i++) {
        send_text(p, text, sizeof text);
        receive(p, SIZE_MAX);
    }
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    read_all(p);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

START_TEST(one_event_may_be_larger_than_the_budget)
{
    static char text[2 * BUDGET];
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    memset(text, 'x', sizeof text);
    send_text(p, text, sizeof text);
    read_all(p);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

START_TEST(unbounded_knows_no_budget)
{
    static char text[BUDGET];
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 4; i++)
        send_with(p, text, sizeof text, conn_send_unbounded);
    read_all(p);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

START_TEST(one_that_has_written_all_is_drained)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    p->refill = 5;
    say(p, "x");
    for (int i = 0; i < 10; i++)
        turn();
    receive(p, SIZE_MAX);
    ck_assert_uint_eq(p->refill, 0);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

/* --- the end --- */

START_TEST(an_idle_queue_holds_no_memory)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "the beginning");
    turn();
    ck_assert_ptr_null(p->conn.queue.ring);

    say(p, "soon after: it is busy");
    turn();
    ck_assert_ptr_nonnull(p->conn.queue.ring);

    p->conn.touched -= CONN_REST_MS;
    say(p, "and after a rest");
    turn();
    ck_assert_ptr_null(p->conn.queue.ring);
    read_all(p);
    assert_arrived(p, false);
    peer_free(p);
}
END_TEST

START_TEST(an_end_comes_after_what_waits)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "one");
    say(p, "two");
    conn_end(&p->conn, END_SHUTDOWN);
    ck_assert_int_eq(p->closed, 1);
    say(p, "too late");
    conn_end(&p->conn, END_DRAIN);
    turn();
    ck_assert(!receive(p, SIZE_MAX));
    assert_arrived(p, true);
    ck_assert_int_eq(p->conn.state, CONN_LINGER);
    ck_assert_int_eq(p->freed, 0);
    ck_assert_int_eq(p->conn.cause, END_SHUTDOWN);
    hang_up(p);
    turn();
    ck_assert_int_eq(p->freed, 1);
    ck_assert_uint_eq(conns.count, 0);
    peer_free(p);
}
END_TEST

START_TEST(an_end_without_events_is_an_end)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    conn_end(&p->conn, END_DRAIN);
    turn();
    receive(p, SIZE_MAX);
    ck_assert_uint_eq(p->raw_len, 24);
    struct records r = parse(p);
    ck_assert(r.ended);
    free(r.text);
    peer_free(p);
}
END_TEST

START_TEST(a_slow_reader_gets_its_end_too)
{
    static char text[60000];
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    memset(text, 'x', sizeof text);
    send_text(p, text, sizeof text);
    turn();
    conn_end(&p->conn, END_SHUTDOWN);
    while (p->conn.state == CONN_ENDING) {
        turn();
        receive(p, 1000);
    }
    receive(p, SIZE_MAX);
    assert_arrived(p, true);
    peer_free(p);
}
END_TEST

START_TEST(a_web_server_that_does_not_close_is_left)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    int64_t start = clock_ms();
    conn_end(&p->conn, END_DRAIN);
    while (!p->freed && clock_ms() < start + 20000) {
        turn();
        poll(NULL, 0, 20);
    }
    ck_assert_int_eq(p->freed, 1);
    ck_assert_int_ge(clock_ms() - start, CONN_LINGER_MS);
    peer_free(p);
}
END_TEST

START_TEST(a_closed_web_server_ends_it)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    hang_up(p);
    turn();
    turn();
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(a_write_to_a_closed_web_server_ends_it)
{
    struct peer *p = peer_new(CONN_PIPE, 0);
    say(p, "x");
    hang_up(p);
    turn();
    turn();
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(a_half_closed_web_server_is_told_the_end)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "one");
    turn();
    shutdown(p->fd, SHUT_WR);
    turn();
    receive(p, SIZE_MAX);
    assert_arrived(p, true);
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    turn();
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(what_still_waits_for_a_half_closed_one_is_dropped)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "for nobody");
    shutdown(p->fd, SHUT_WR);
    turn();
    receive(p, SIZE_MAX);
    ck_assert_uint_eq(p->raw_len, 24); /* the end, and no more */
    peer_free(p);
}
END_TEST

START_TEST(a_record_from_the_web_server_means_that_the_client_left)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    ck_assert_int_eq(write(p->fd, "\1\2\0\1\0\0\0\0", 8), 8); /* FCGI_ABORT_REQUEST */
    turn();
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(after_the_end_it_may_talk)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    conn_end(&p->conn, END_SHUTDOWN);
    ck_assert_int_eq(write(p->fd, "the rest of a body", 18), 18);
    turn();
    turn();
    ck_assert_int_eq(p->freed, 0);
    receive(p, SIZE_MAX);
    assert_arrived(p, true);
    peer_free(p);
}
END_TEST

START_TEST(a_kept_connection_is_handed_on_after_the_end)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    char byte;

    conn_keep(&p->conn);
    send_text(p, "text", 4);
    conn_end(&p->conn, END_ANSWERED);
    ck_assert_int_eq(p->reused, 0);
    turn();
    ck_assert_int_gt(p->reused, 0);
    ck_assert_int_eq(p->freed, 1);
    ck_assert_uint_eq(conns.count, 0);

    ck_assert_int_eq(recv(p->fd, &byte, 1, MSG_DONTWAIT), 1);
    ck_assert_int_eq(write(p->reused, "x", 1), 1);
    close(p->reused);
    hang_up(p);
    free(p->raw);
    free(p->sent);
    free(p);
}
END_TEST

/* An abort, say: it must not be read as the next request. */
START_TEST(one_whose_web_server_talks_before_the_end_is_not_kept)
{
    struct peer *p = peer_new(CONN_RECORDS, 4096);

    conn_keep(&p->conn);
    for (int i = 0; i < 50; i++)
        send_text(p, "0123456789012345678901234567890123456789", 40);
    send_text(p, "more than the socket takes", 26);
    conn_end(&p->conn, END_ANSWERED);
    ck_assert_int_eq(write(p->fd, "\1\2\0\1\0\0\0\0", 8), 8); /* FCGI_ABORT_REQUEST */
    turn();
    turn();
    ck_assert_int_eq(p->reused, 0);
    peer_free(p);
}
END_TEST

START_TEST(a_cut_connection_is_not_kept)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);

    conn_keep(&p->conn);
    conn_cut(&p->conn, END_SLOW);
    turn();
    ck_assert_int_eq(p->reused, 0);
    peer_free(p);
}
END_TEST

START_TEST(a_cut_is_at_once_and_once)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    say(p, "x");
    conn_cut(&p->conn, END_SLOW);
    conn_cut(&p->conn, END_CLIENT);
    conn_end(&p->conn, END_CLIENT);
    ck_assert_int_eq(p->conn.cause, END_SLOW);
    ck_assert_uint_eq(conns.count, 0);
    ck_assert(!receive(p, SIZE_MAX));
    ck_assert_uint_eq(p->raw_len, RECORD_END_LEN); /* nothing but the end of the response */
    turn();
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(the_longest_idle_comes_first)
{
    struct peer *a = peer_new(CONN_RECORDS, 0), *b = peer_new(CONN_RECORDS, 0),
                *c = peer_new(CONN_RECORDS, 0);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &a->conn);
    say(a, "x");
    turn();
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &b->conn);
    conn_touch(&b->conn);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &c->conn);
    ck_assert_ptr_eq(TAILQ_LAST(&conns.idle, conn_list), &b->conn);
    peer_free(a);
    peer_free(c);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &b->conn);
    ck_assert_ptr_eq(TAILQ_LAST(&conns.idle, conn_list), &b->conn);
    peer_free(b);
    ck_assert_ptr_null(TAILQ_FIRST(&conns.idle));
}
END_TEST

/* Send until something must wait. */
static void fill(struct peer *p)
{
    static char text[5000];
    while (!p->conn.blocked) {
        send_text(p, text, sizeof text);
        turn();
    }
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
}

START_TEST(one_that_takes_nothing_is_cut_in_time)
{
    struct peer *stuck = peer_new(CONN_RECORDS, 4096), *idle = peer_new(CONN_RECORDS, 0);
    conns.write_ms = 60;
    fill(stuck);
    int64_t start = clock_ms();
    while (!stuck->freed && clock_ms() < start + 20000) {
        poll(NULL, 0, 5);
        turn();
    }
    ck_assert_int_ge(clock_ms() - start, 59);
    ck_assert_int_eq(stuck->conn.cause, END_SLOW);
    ck_assert_int_eq(idle->conn.state, CONN_OPEN);
    peer_free(stuck);
    peer_free(idle);
}
END_TEST

START_TEST(one_that_takes_a_little_is_kept)
{
    struct peer *p = peer_new(CONN_RECORDS, 4096);
    conns.write_ms = 100;
    fill(p);
    for (int64_t start = clock_ms(); clock_ms() < start + 400;) {
        poll(NULL, 0, 10);
        receive(p, 3000);
        fill(p);
    }
    read_all(p);
    assert_arrived(p, false);
    ck_assert(!p->conn.blocked);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &p->conn);
    ck_assert_ptr_null(TAILQ_FIRST(&conns.blocked));
    poll(NULL, 0, 120);
    turn();
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    peer_free(p);
}
END_TEST

START_TEST(those_that_wait_are_not_among_the_idle)
{
    struct peer *a = peer_new(CONN_RECORDS, 4096), *b = peer_new(CONN_RECORDS, 4096);
    fill(a);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.blocked), &a->conn);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &b->conn);
    fill(b);
    ck_assert_ptr_null(TAILQ_FIRST(&conns.idle));
    poll(NULL, 0, 5);
    receive(a, SIZE_MAX);
    turn();
    fill(a);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.blocked), &b->conn); /* the longest first */
    conn_end(&b->conn, END_SHUTDOWN);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.blocked), &a->conn);
    ck_assert_ptr_eq(TAILQ_LAST(&conns.blocked, conn_list), &a->conn);
    conn_cut(&a->conn, END_CLIENT);
    ck_assert_ptr_null(TAILQ_FIRST(&conns.blocked));
    peer_free(a);
    peer_free(b);
}
END_TEST

START_TEST(closing_all_leaves_none)
{
    struct peer *p[4];
    for (int i = 0; i < 4; i++)
        p[i] = peer_new(i == 3 ? CONN_PIPE : CONN_RECORDS, 4096);
    static char text[50000];
    send_text(p[0], text, sizeof text);
    conn_end(&p[1]->conn, END_SHUTDOWN);
    turn();
    send_text(p[0], text, sizeof text);
    conn_end(&p[0]->conn, END_SHUTDOWN);
    say(p[2], "x");
    conn_cut(&p[2]->conn, END_CLIENT);
    say(p[3], "x");
    conns_close(&conns);
    ck_assert_uint_eq(conns.count, 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(p[i]->freed, 1);
        peer_free(p[i]);
    }
}
END_TEST

/* --- anything, in any order --- */

#define PEERS 30

/* What has arrived is the beginning of what was sent;
 * all of it when the response has ended and its reader was not too slow. */
static void assert_prefix(const struct peer *p)
{
    struct records r = parse(p);
    ck_assert_uint_le(r.len, p->sent_len);
    if (r.len)
        ck_assert(memcmp(r.text, p->sent, r.len) == 0);
    if (r.ended && p->conn.cause == END_SHUTDOWN)
        ck_assert_uint_eq(r.len, p->sent_len);
    free(r.text);
}

static void do_something(struct dice *dice, struct peer *p)
{
    static char text[20000];
    size_t len = 1 + roll(dice, roll(dice, 10) ? 300 : sizeof text);
    uint64_t what = roll(dice, 100);
    memset(text, 'a' + (int)roll(dice, 26), len);
    if (what < 60)
        send_text(p, text, len);
    else if (what < 90 && p->fd >= 0)
        receive(p, 1 + roll(dice, 30000));
    else if (what < 93)
        conn_end(&p->conn, END_SHUTDOWN);
    else if (what < 94)
        conn_cut(&p->conn, END_SLOW);
    else if (what < 95)
        hang_up(p);
    else if (what < 96 && p->fd >= 0)
        shutdown(p->fd, SHUT_WR);
    else if (what < 98)
        p->refill += roll(dice, 4);
}

START_TEST(whatever_happens_the_records_are_whole)
{
    struct dice dice = dice_new();
    struct peer *peers[PEERS] = {0};
    printf("conn: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 10000; round++) {
        struct peer **p = &peers[roll(&dice, PEERS)];
        if (*p && (*p)->freed) {
            if ((*p)->fd >= 0)
                receive(*p, SIZE_MAX);
            assert_prefix(*p);
            peer_free(*p);
            *p = NULL;
        } else if (!*p) {
            *p = peer_new(CONN_RECORDS, 4096);
        } else {
            do_something(&dice, *p);
        }
        if (roll(&dice, 5) == 0)
            turn();
    }
    for (int i = 0; i < PEERS; i++)
        if (peers[i]) {
            assert_prefix(peers[i]);
            peer_free(peers[i]);
        }
    ck_assert_uint_eq(conns.count, 0);
}
END_TEST

/* --- many at a time --- */

#define MANY 300 /* more than two times what is written together */

enum kind { ONE_TEXT, FULL_SOCKET, CLOSED, ENDS, MANY_TEXTS, NOTHING, KINDS };

static struct peer *one_of_many(enum kind kind)
{
    static char large[40000];
    struct peer *p = peer_new(CONN_RECORDS, kind == FULL_SOCKET ? 4096 : 0);

    memset(large, 'x', sizeof large);
    if (kind != NOTHING)
        say(p, "text");
    for (int i = 0; kind == MANY_TEXTS && i < 50; i++)
        say(p, "more text");
    if (kind == FULL_SOCKET)
        send_text(p, large, sizeof large);
    if (kind == ENDS)
        conn_end(&p->conn, END_SHUTDOWN);
    if (kind == CLOSED)
        hang_up(p);
    return p;
}

static void assert_one_of_many(struct peer *p, enum kind kind)
{
    ck_assert(p->conn.blocked == (kind == FULL_SOCKET));
    if (kind == CLOSED) {
        ck_assert_int_eq(p->conn.cause, END_CLIENT);
        ck_assert_int_eq(p->closed, 1);
        return;
    }

    if (kind == FULL_SOCKET)
        read_all(p);
    receive(p, SIZE_MAX);
    assert_arrived(p, kind == ENDS);
    ck_assert_int_eq(p->conn.state, kind == ENDS ? CONN_LINGER : CONN_OPEN);
}

START_TEST(each_of_many_gets_what_is_its_own)
{
    struct peer *peers[MANY];
    for (int i = 0; i < MANY; i++)
        peers[i] = one_of_many((enum kind)(i % KINDS));

    conns_flush(&conns);
    ck_assert_uint_ge(counters[WRITES], MANY / KINDS * 4);
    for (int i = 0; i < MANY; i++)
        if (i % KINDS != FULL_SOCKET)
            assert_one_of_many(peers[i], (enum kind)(i % KINDS));
    for (int i = FULL_SOCKET; i < MANY; i += KINDS) /* these take time */
        assert_one_of_many(peers[i], FULL_SOCKET);
    for (int i = 0; i < MANY; i++)
        peer_free(peers[i]);
}
END_TEST

/* The first and the last of a list are both flushed before and after the one whose hook it is. */
START_TEST(a_hook_may_cut_and_feed_others)
{
    struct peer *peers[3];
    for (int i = 0; i < 3; i++)
        peers[i] = peer_new(CONN_RECORDS, 0);
    struct peer *first = peers[_i % 3], *cut = peers[(_i + 1) % 3], *fed = peers[(_i + 2) % 3];
    first->cuts = cut;
    first->feeds = fed;
    for (int i = 0; i < 3; i++)
        say(peers[_i < 3 ? i : 2 - i], "text");

    conns_flush(&conns);
    conns_flush(&conns);
    for (int i = 0; i < 3; i++)
        receive(peers[i], SIZE_MAX);
    assert_arrived(first, false);
    assert_arrived(fed, false);
    ck_assert_uint_eq(fed->sent_len, strlen("textfed"));
    ck_assert_int_eq(cut->closed, 1);
    ck_assert_uint_eq(queue_bytes(&cut->conn.queue), 0);
    for (int i = 0; i < 3; i++)
        peer_free(peers[i]);
}
END_TEST

/* --- how long it took --- */

/* An event that was published so long ago. */
static struct event *published(uint64_t seq, int64_t ago_ms)
{
    return event_new(&(struct event_spec){
        .kind = EVENT_MESSAGE, .seq = seq, .time_ms = clock_unix_ms() - ago_ms, .data = S("x")});
}

static void send_published(struct peer *p, uint64_t seq, int64_t ago_ms)
{
    struct event *e = published(seq, ago_ms);
    conn_send(&p->conn, e);
    event_unref(&e);
}

static uint64_t timed(void)
{
    uint64_t all = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        all += counters[LATENCY_FIRST + i];
    return all;
}

START_TEST(what_a_write_took_is_counted_from_the_publish)
{
    static const struct {
        int64_t ago_ms;
        enum worker_counter bucket;
    } cases[] = {{-5000, LATENCY_1},
                 {40, LATENCY_50},
                 {60, LATENCY_100},
                 {4900, LATENCY_5000},
                 {5100, LATENCY_MORE}};
    struct peer *p = peer_new(CONN_RECORDS, 0);
    p->conn.timed_after = 10;
    for (uint64_t i = 0; i < 5; i++) {
        send_published(p, 11 + i, cases[i].ago_ms);
        ck_assert_uint_eq(counters[cases[i].bucket], 0);
        turn();
        ck_assert_uint_eq(counters[cases[i].bucket], 1);
        ck_assert_uint_eq(timed(), i + 1);
    }
    ck_assert_uint_ge(counters[LATENCY_SUM_MS], 40 + 60 + 4900 + 5100);
    ck_assert_uint_lt(counters[LATENCY_SUM_MS], 40 + 60 + 4900 + 5100 + 1000);
    peer_free(p);
}
END_TEST

START_TEST(what_is_replayed_or_no_event_is_not_timed)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    send_published(p, 11, 40); /* before it is live */
    turn();
    p->conn.timed_after = 10;
    send_published(p, 10, 40);
    say(p, ": keep-alive\n\n");
    turn();
    ck_assert_uint_eq(timed(), 0);
    ck_assert_uint_eq(counters[LATENCY_SUM_MS], 0);
    peer_free(p);
}
END_TEST

START_TEST(a_bundle_counts_for_each_of_its_events)
{
    struct peer *p = peer_new(CONN_RECORDS, 0);
    struct event *e = published(11, 40);
    p->conn.timed_after = 10;
    e->further = 6;
    conn_send(&p->conn, e);
    turn();
    ck_assert_uint_eq(timed(), 7);
    ck_assert_uint_ge(counters[LATENCY_SUM_MS], 7 * 40);
    event_unref(&e);
    peer_free(p);
}
END_TEST

START_TEST(an_event_is_timed_when_its_last_byte_has_left)
{
    struct peer *p = peer_new(CONN_RECORDS, 2048);
    char text[60000];
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                       .seq = 11,
                                       .time_ms = clock_unix_ms(),
                                       .data = {memset(text, 'x', sizeof text), sizeof text}});
    p->conn.timed_after = 10;
    conn_send(&p->conn, e);
    turn();
    ck_assert_uint_gt(counters[BYTES_WRITTEN], 0);
    ck_assert_uint_eq(timed(), 0);
    usleep(30000);
    while (!timed()) {
        receive(p, 4096);
        turn();
    }
    ck_assert_uint_ge(counters[LATENCY_SUM_MS], 29);
    event_unref(&e);
    peer_free(p);
}
END_TEST

static void add_times(TCase *tests)
{
    tcase_add_test(tests, what_a_write_took_is_counted_from_the_publish);
    tcase_add_test(tests, what_is_replayed_or_no_event_is_not_timed);
    tcase_add_test(tests, a_bundle_counts_for_each_of_its_events);
    tcase_add_test(tests, an_event_is_timed_when_its_last_byte_has_left);
}

static void add_writing(TCase *tests)
{
    tcase_add_test(tests, what_waits_leaves_as_one_record);
    tcase_add_test(tests, nothing_leaves_before_the_end_of_the_turn);
    tcase_add_test(tests, much_leaves_in_records_of_bounded_size);
    tcase_add_test(tests, many_small_events_all_leave);
    tcase_add_test(tests, a_plain_cgi_response_has_no_records);
    tcase_add_test(tests, a_slow_reader_gets_everything_in_the_end);
    tcase_add_test(tests, over_its_budget_it_ends_with_the_record_that_has_begun);
    tcase_add_test(tests, one_that_takes_nothing_of_its_last_record_is_closed);
    tcase_add_test(tests, a_plain_response_over_its_budget_is_closed);
    tcase_add_loop_test(tests, one_that_falls_behind_goes_on_when_it_reads, CONN_RECORDS,
                        CONN_SOCKET + 1);
    tcase_add_loop_test(tests, one_that_falls_behind_and_takes_nothing_is_cut, CONN_RECORDS,
                        CONN_SOCKET + 1);
    tcase_add_loop_test(tests, one_that_took_nothing_for_long_cannot_fall_behind, CONN_RECORDS,
                        CONN_SOCKET + 1);
    tcase_add_test(tests, one_that_is_cut_between_two_records_is_told_the_end);
    tcase_add_test(tests, a_burst_over_the_budget_is_written_at_once);
    tcase_add_test(tests, one_event_may_be_larger_than_the_budget);
    tcase_add_test(tests, unbounded_knows_no_budget);
    tcase_add_test(tests, one_that_has_written_all_is_drained);
}

static void add_ends(TCase *tests)
{
    tcase_add_test(tests, an_idle_queue_holds_no_memory);
    tcase_add_test(tests, an_end_comes_after_what_waits);
    tcase_add_test(tests, an_end_without_events_is_an_end);
    tcase_add_test(tests, a_slow_reader_gets_its_end_too);
    tcase_add_test(tests, a_web_server_that_does_not_close_is_left);
    tcase_add_test(tests, a_closed_web_server_ends_it);
    tcase_add_test(tests, a_write_to_a_closed_web_server_ends_it);
    tcase_add_test(tests, a_half_closed_web_server_is_told_the_end);
    tcase_add_test(tests, what_still_waits_for_a_half_closed_one_is_dropped);
    tcase_add_test(tests, a_record_from_the_web_server_means_that_the_client_left);
    tcase_add_test(tests, after_the_end_it_may_talk);
    tcase_add_test(tests, a_cut_is_at_once_and_once);
    tcase_add_test(tests, the_longest_idle_comes_first);
    tcase_add_test(tests, one_that_takes_nothing_is_cut_in_time);
    tcase_add_test(tests, one_that_takes_a_little_is_kept);
    tcase_add_test(tests, those_that_wait_are_not_among_the_idle);
    tcase_add_test(tests, closing_all_leaves_none);
    tcase_add_test(tests, a_kept_connection_is_handed_on_after_the_end);
    tcase_add_test(tests, one_whose_web_server_talks_before_the_end_is_not_kept);
    tcase_add_test(tests, a_cut_connection_is_not_kept);
    tcase_add_test(tests, whatever_happens_the_records_are_whole);
    tcase_add_test(tests, each_of_many_gets_what_is_its_own);
    tcase_add_loop_test(tests, a_hook_may_cut_and_feed_others, 0, 6);
}

/* --- sockets without records --- */

START_TEST(a_socket_has_no_records_and_lingers)
{
    struct peer *p = peer_new(CONN_SOCKET, 0);
    ck_assert_int_eq(write(p->fd, "x", 1), 1); /* unread, a close would reset the connection */
    say(p, "one");
    conn_end(&p->conn, END_SHUTDOWN);
    conns_flush(&conns);
    ck_assert_int_eq(p->conn.state, CONN_LINGER);
    ck_assert(!receive(p, SIZE_MAX));
    ck_assert_str_eq(p->raw, "one");
    hang_up(p);
    turn();
    turn();
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

START_TEST(a_browser_that_closes_its_socket_is_noticed)
{
    struct peer *p = peer_new(CONN_SOCKET, 0);
    say(p, "one");
    turn();
    hang_up(p);
    turn();
    ck_assert_int_eq(p->closed, 1);
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    peer_free(p);
}
END_TEST

START_TEST(a_browser_that_goes_on_talking_is_closed)
{
    struct peer *p = peer_new(CONN_SOCKET, 0);
    ck_assert_int_eq(write(p->fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    turn();
    ck_assert_int_eq(p->conn.cause, END_CLIENT);
    ck_assert_int_eq(p->freed, 1);
    peer_free(p);
}
END_TEST

/* --- without a socket yet --- */

/* Its socket is p->conn's to be attached. */
static struct peer *peer_later(int *fd)
{
    struct peer *p = calloc(1, sizeof *p);
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    p->fd = fds[1];
    *fd = fds[0];
    ck_assert_int_eq(conn_open(&p->conn, &conns, &hooks, -1, 0, CONN_SOCKET), 0);
    return p;
}

START_TEST(what_waits_for_a_socket_leaves_when_it_is_there)
{
    int fd;
    struct peer *p = peer_later(&fd);
    say(p, "one");
    turn();
    say(p, "two");
    turn();
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    ck_assert_ptr_null(TAILQ_FIRST(&conns.idle)); /* it has no heartbeat */
    ck_assert_int_eq(conn_attach(&p->conn, fd), 0);
    turn();
    receive(p, SIZE_MAX);
    ck_assert_str_eq(p->raw, "onetwo");
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &p->conn);
    say(p, "three");
    turn();
    receive(p, SIZE_MAX);
    ck_assert_str_eq(p->raw, "onetwothree");
    peer_free(p);
}
END_TEST

START_TEST(one_that_ended_meanwhile_is_told_its_end_by_its_socket)
{
    int fd;
    struct peer *p = peer_later(&fd);
    say(p, "bye");
    conn_end(&p->conn, END_SHUTDOWN);
    turn();
    ck_assert_int_eq(p->conn.state, CONN_ENDING);
    ck_assert_int_eq(conn_attach(&p->conn, fd), 0);
    turn();
    ck_assert(!receive(p, SIZE_MAX));
    ck_assert_str_eq(p->raw, "bye");
    peer_free(p);
}
END_TEST

START_TEST(a_dead_one_takes_no_socket)
{
    int fd;
    struct peer *p = peer_later(&fd);
    conn_cut(&p->conn, END_CLIENT);
    ck_assert_int_eq(conn_attach(&p->conn, fd), -EPIPE);
    turn();
    ck_assert_int_eq(p->freed, 1);
    close(fd);
    peer_free(p);
}
END_TEST

START_TEST(without_a_socket_it_may_fall_behind)
{
    int fd;
    struct peer *p = peer_later(&fd);
    fall_behind(p);
    ck_assert(p->conn.behind && p->conn.state == CONN_OPEN);
    ck_assert_int_eq(conn_attach(&p->conn, fd), 0);
    read_all(p);
    ck_assert_uint_eq(queue_bytes(&p->conn.queue), 0);
    conn_catch_up(&p->conn);
    ck_assert_ptr_eq(TAILQ_FIRST(&conns.idle), &p->conn);
    peer_free(p);
}
END_TEST

/* A TCP connection to this process: its end here, and the other one. */
static int connect_to_us(int *other)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, len), 0);
    *other = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

START_TEST(a_browser_that_the_kernel_gives_up_was_slow)
{
    static char large[1 << 20];
    struct peer *p = calloc(1, sizeof *p);
    int fd = connect_to_us(&p->fd), timeout_ms = 50, size = 4096;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    ck_assert_int_eq(conn_open(&p->conn, &conns, &hooks, fd, 0, CONN_SOCKET), 0);

    memset(large, 'x', sizeof large);
    send_with(p, large, sizeof large, conn_send_unbounded);
    while (!p->closed)
        turn();
    ck_assert_int_eq(p->conn.cause, END_SLOW);
    peer_free(p);
}
END_TEST

/* Apache and the worker share the state of a socket that was passed. */
START_TEST(a_socket_that_blocks_is_never_waited_for)
{
    int fd;
    struct peer *p = peer_later(&fd);
    ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
    ck_assert_int_eq(conn_attach(&p->conn, fd), 0);
    turn();

    char text[BUDGET / 2];
    memset(text, 'x', sizeof text);
    while (!p->conn.blocked) {
        send_text(p, text, sizeof text);
        turn();
    }
    ck_assert_int_eq(p->conn.state, CONN_OPEN);
    read_all(p);
    ck_assert_uint_eq(queue_bytes(&p->conn.queue), 0);

    ck_assert_int_eq(write(p->fd, "?", 1), 1);
    turn();
    ck_assert_int_eq(p->conn.state, CONN_DEAD);
    peer_free(p);
}
END_TEST

static void add_sockets(TCase *tests)
{
    tcase_add_test(tests, a_browser_that_the_kernel_gives_up_was_slow);
    tcase_add_test(tests, a_socket_has_no_records_and_lingers);
    tcase_add_test(tests, a_browser_that_closes_its_socket_is_noticed);
    tcase_add_test(tests, a_browser_that_goes_on_talking_is_closed);
    tcase_add_test(tests, what_waits_for_a_socket_leaves_when_it_is_there);
    tcase_add_test(tests, one_that_ended_meanwhile_is_told_its_end_by_its_socket);
    tcase_add_test(tests, a_dead_one_takes_no_socket);
    tcase_add_test(tests, without_a_socket_it_may_fall_behind);
    tcase_add_test(tests, a_socket_that_blocks_is_never_waited_for);
}

int main(void)
{
    Suite *suite = suite_create("conn");
    TCase *writing = one_case(suite, "writing"), *ends = one_case(suite, "ends"),
          *times = one_case(suite, "times");
    tcase_add_checked_fixture(times, setup, teardown);
    tcase_add_checked_fixture(writing, setup, teardown);
    tcase_add_checked_fixture(ends, setup, teardown);
    add_writing(writing);
    add_ends(ends);
    add_times(times);
    add_sockets(ends);

    TCase *together = one_case(suite, "together");
    tcase_add_checked_fixture(together, setup_together, teardown);
    add_writing(together);
    add_ends(together);
    add_sockets(together);
    return run_suite(suite);
}
