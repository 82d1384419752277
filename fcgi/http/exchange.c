#include "http/exchange.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "http/route.h"
#include "ops/log.h"
#include "ops/stats.h"

_Static_assert(offsetof(struct exchange, conn) == 0, "a conn is its exchange");
_Static_assert(offsetof(struct exchanges, conns) == 0, "the conns are their exchanges");

/* --- hooks --- */

static void answer_closed(struct conn *c)
{
    MUST(((struct exchange *)c)->role == EXCHANGE_ANSWER);
}

static void answer_drained(struct conn *c)
{
    (void)c; /* there is nothing more to send */
}

static const struct conn_hooks answer_hooks = {.closed = answer_closed, .drained = answer_drained};

/* --- large answers --- */

static struct exchanges *set_of(const struct exchange *x)
{
    return (struct exchanges *)x->conn.set;
}

/* Nothing of x waits any more. */
static void forget_unread(struct exchange *x)
{
    struct exchanges *set = set_of(x);

    MUST(set->unread >= x->unread);
    set->unread -= x->unread;
    x->unread = 0;
}

/* The large answer whose reader has taken nothing for the longest time; NULL: there is none. */
static struct exchange *find_unread(const struct exchanges *set)
{
    struct conn *c;
    TAILQ_FOREACH (c, &set->conns.ending, link)
        if (((const struct exchange *)c)->unread)
            return (struct exchange *)c;
    return NULL;
}

static void cut_unread(struct exchange *x)
{
    log_event(LOG_WARN, "answer cut: its reader takes nothing, and too many answers wait",
              log_count("bytes", x->unread));
    set_of(x)->conns.counters[ANSWERS_CUT]++;
    forget_unread(x);
    conn_cut(&x->conn, END_SLOW);
}

/* x is about to get a large answer. */
static void note_unread(struct exchange *x, size_t len)
{
    struct exchanges *set = set_of(x);
    struct exchange *oldest;

    MUST(!x->unread && len <= UINT32_MAX);
    while (set->unread + len > EXCHANGES_UNREAD_MAX && (oldest = find_unread(set)))
        cut_unread(oldest);
    x->unread = (uint32_t)len;
    set->unread += len;
}

static void exchange_free(struct conn *c)
{
    struct exchange *x = (struct exchange *)c;

    MUST(x->role == EXCHANGE_ANSWER);
    forget_unread(x);
    handoff_withdraw(&x->handoff);
    free(x);
}

static void exchange_reuse(struct conn *c, int fd)
{
    struct exchanges *set = (struct exchanges *)c->set;

    set->keep(set->keep_context, fd);
}

static const struct conns_hooks exchanges_hooks = {exchange_free, exchange_reuse};

void exchanges_init(struct exchanges *set, struct loop *loop, size_t budget, int64_t write_ms,
                    uint64_t *counters)
{
    *set = (struct exchanges){0};
    conns_init(&set->conns, loop, &exchanges_hooks, budget, write_ms, counters);
}

/* --- life --- */

void exchange_drop(const struct incoming *in)
{
    log_error("request dropped: out of memory or file descriptors");
    close(in->fd);
}

void *exchange_new(struct exchanges *set, const struct incoming *in, size_t size)
{
    MUST(size >= sizeof(struct exchange));

    struct exchange *x = calloc(1, size);
    if (!x || conn_open(&x->conn, &set->conns, &answer_hooks, in->fd, in->params->request,
                        in->transport) != 0) {
        free(x);
        exchange_drop(in);
        return NULL;
    }

    if (in->params->keep && set->keep)
        conn_keep(&x->conn);

    x->role = EXCHANGE_ANSWER;
    x->spools = route_lighttpd(in->params);
    if (x->spools)
        conn_hold_back(&x->conn);
    return x;
}

static void handoff_arrived(void *owner, int fd)
{
    struct exchange *x = owner;

    x->handoff = NULL;
    if (conn_attach(&x->conn, fd) != 0) {
        conn_cut(&x->conn, END_CLIENT);
        close(fd);
    }
}

static void handoff_lost(void *owner)
{
    struct exchange *x = owner;

    x->handoff = NULL;
    conn_cut(&x->conn, END_CLIENT);
}

const struct handoff_hooks exchange_handoff_hooks = {handoff_arrived, handoff_lost};

void *exchange_new_handed(struct exchanges *set, size_t size)
{
    MUST(size >= sizeof(struct exchange));

    struct exchange *x = calloc(1, size);
    struct handoff *h = x && set->handoffs ? handoff_offer(set->handoffs, x) : NULL;
    if (!h || conn_open(&x->conn, &set->conns, &answer_hooks, -1, 0, CONN_SOCKET) != 0) {
        handoff_withdraw(&h);
        free(x);
        return NULL;
    }

    x->role = EXCHANGE_ANSWER;
    x->handoff = h;
    return x;
}

void exchange_become(struct exchange *x, enum exchange_role role, const struct conn_hooks *hooks)
{
    MUST(x->role == EXCHANGE_ANSWER && role != EXCHANGE_ANSWER);
    MUST(x->conn.state == CONN_OPEN);

    x->role = role;
    x->conn.hooks = hooks;
}

void exchange_leave(struct exchange *x)
{
    MUST(x->role != EXCHANGE_ANSWER && x->conn.state != CONN_OPEN);

    x->role = EXCHANGE_ANSWER;
    x->conn.hooks = &answer_hooks;
}

/* --- answers --- */

void exchange_send(struct exchange *x, struct event *text)
{
    if (text)
        conn_send_unbounded(&x->conn, text);
    else
        conn_cut(&x->conn, END_SLOW);

    event_unref(&text);
}

void exchange_finish(struct exchange *x, struct event *text)
{
    if (text && text->text.len >= EXCHANGE_LARGE)
        note_unread(x, text->text.len);
    exchange_send(x, text);
    conn_end(&x->conn, END_ANSWERED);
}

void exchange_answer(struct exchanges *set, const struct incoming *in, struct event *text)
{
    struct exchange *x = exchange_new(set, in, sizeof *x);

    if (x)
        exchange_finish(x, text);
    else
        event_unref(&text);
}

/* Write the text without watching the descriptor. The number of bytes that went out. */
static size_t write_now(struct exchanges *set, int fd, struct slice text)
{
    ssize_t n = send(fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n <= 0)
        return 0;

    set->conns.counters[WRITES]++;
    set->conns.counters[BYTES_WRITTEN] += (uint64_t)n;
    return (size_t)n;
}

void exchange_answer_now(struct exchanges *set, const struct incoming *in, struct event *text)
{
    MUST(in->transport == CONN_SOCKET);

    size_t written = text ? write_now(set, in->fd, text->text) : 0;
    if (text && written == text->text.len) {
        close(in->fd);
        event_unref(&text);
        return;
    }

    if (written) {
        struct event *rest =
            event_text((struct slice){text->text.data + written, text->text.len - written});
        event_unref(&text);
        text = rest;
    }
    exchange_answer(set, in, text);
}
