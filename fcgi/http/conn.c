#include "http/conn.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "http/output.h"
#include "http/write_ring.h"

#define PIECES 256       /* of one write */
#define PIECES_OF_MANY 8 /* of each conn that is written with others: usually an event */

/* --- lists --- */

/* The list that c is in; NULL when dead. */
static struct conn_list *list_of(struct conn *c)
{
    switch (c->state) {
    case CONN_OPEN:
        if (!c->blocked)
            return &c->set->idle;
        return c->behind ? &c->set->behind : &c->set->blocked;
    case CONN_ENDING:
        return &c->set->ending;
    case CONN_CUTTING:
        return &c->set->cutting;
    case CONN_LINGER:
        return &c->set->linger;
    case CONN_DEAD:
        break;
    }
    return NULL;
}

static void note_progress(struct conn *c)
{
    c->touched = loop_now(c->set->loop);
    c->stalled_ms = 0;
}

/* How long ago the last write or change of state of c was. */
static int64_t stalled_for(const struct conn *c)
{
    int64_t now = loop_now(c->set->loop);
    MUST(now >= c->touched);
    return now - c->touched + c->stalled_ms;
}

static void enter(struct conn *c, enum conn_state state)
{
    if (c->state != CONN_DEAD)
        TAILQ_REMOVE(list_of(c), c, link);
    c->state = state;
    note_progress(c);
    if (state != CONN_DEAD)
        TAILQ_INSERT_TAIL(list_of(c), c, link);
}

void conn_touch(struct conn *c)
{
    struct conn_list *list = list_of(c);
    note_progress(c);
    if (c->state != CONN_DEAD && TAILQ_NEXT(c, link)) {
        TAILQ_REMOVE(list, c, link);
        TAILQ_INSERT_TAIL(list, c, link);
    }
}

/* --- the end --- */

static void bury(struct conn *c)
{
    MUST(c->watch.fd < 0);
    queue_release(&c->queue);
    enter(c, CONN_DEAD);
    c->set->count--;
    if (!c->dirty) { /* else conns_flush() still walks over it, and buries it */
        c->next_dirty = c->set->dead;
        c->set->dead = c;
    }
}

static void die(struct conn *c)
{
    int fd = c->watch.fd;

    loop_remove(c->set->loop, &c->watch);
    if (fd >= 0)
        close(fd);
    bury(c);
}

/* Leave the open state for another one: from here on nothing is queued. */
static void leave_open(struct conn *c, enum conn_state state, enum end_cause cause)
{
    MUST(c->state == CONN_OPEN);
    enter(c, state);
    c->cause = cause;
    c->hooks->closed(c);
}

/* End the response if that is possible at once. Without an end, a web server reports a crash of
 * the worker. */
static void try_to_end(const struct conn *c)
{
    char tail[RECORD_END_LEN];
    if (!output_has_records(c) || output_is_begun(c))
        return;
    record_end(tail, c->request);
    if (send(c->watch.fd, tail, sizeof tail, WRITE_FLAGS) < 0)
        return; /* it is closed in any case */
}

void conn_cut(struct conn *c, enum end_cause cause)
{
    if (c->state == CONN_OPEN && cause == END_SLOW)
        try_to_end(c);
    if (c->state == CONN_OPEN)
        leave_open(c, CONN_ENDING, cause);
    if (c->state != CONN_DEAD)
        die(c);
}

/* Set the timer for the first of a list. No connection is cut here: the caller may be iterating
 * over streams. */
static void watch_over(struct conns *set, const struct conn_list *list, int64_t timeout)
{
    const struct conn *first = TAILQ_FIRST(list);
    if (!first || !timeout)
        return;

    int64_t due = first->touched + timeout;
    if (!set->end_timer.due || due < set->end_timer.due)
        loop_timer_set(set->loop, &set->end_timer, due);
}

/* Cut the connections of the list without a write for this long. */
static void cut_overdue(struct conns *set, struct conn_list *list, int64_t timeout, int64_t now)
{
    struct conn *first;
    while (timeout && (first = TAILQ_FIRST(list)) && first->touched + timeout <= now)
        conn_cut(first, END_SLOW);
    watch_over(set, list, timeout);
}

/* Between the two, `blocked` or `behind` may change, which say which list c is in. */
static void unlist(struct conn *c)
{
    TAILQ_REMOVE(list_of(c), c, link);
}

/* The timeout of its reader begins again. */
static void list_again(struct conn *c)
{
    int64_t stalled = stalled_for(c);
    c->stalled_ms = stalled < UINT32_MAX ? (uint32_t)stalled : UINT32_MAX;
    c->touched = loop_now(c->set->loop);
    TAILQ_INSERT_TAIL(list_of(c), c, link);
    watch_over(c->set, &c->set->blocked, c->set->write_ms);
    watch_over(c->set, &c->set->behind, c->set->behind_ms);
}

/* Has the reader of c taken nothing for this long? */
static bool stalled(const struct conn *c, int64_t timeout)
{
    return c->blocked && timeout && stalled_for(c) >= timeout;
}

static void cut_slow(struct conn *c);

/* The reader of c is behind and takes nothing. One that is spared is looked at again after the same
 * time: more may have come. */
static void cut_or_spare(struct conn *c)
{
    bool fits = c->hooks->overflows && !c->hooks->overflows(c);
    if (!fits || stalled(c, c->set->write_ms)) {
        cut_slow(c);
        return;
    }

    MUST(c->behind);
    unlist(c);
    list_again(c);
}

static void cut_behind(struct conns *set, int64_t now)
{
    struct conn_list *list = &set->behind;
    struct conn *first;

    while ((first = TAILQ_FIRST(list)) && first->touched + set->behind_ms <= now)
        cut_or_spare(first);
    watch_over(set, list, set->behind_ms);
}

static void end_overdue(void *context, int64_t now)
{
    struct conns *set = context;
    cut_behind(set, now);
    cut_overdue(set, &set->linger, CONN_LINGER_MS, now);
    cut_overdue(set, &set->cutting, CONN_CUTTING_MS, now);
    cut_overdue(set, &set->ending, CONN_ENDING_MS, now);
    cut_overdue(set, &set->blocked, set->write_ms, now);
}

/* Pass the connection on for its next request. */
static void hand_on(struct conn *c)
{
    int fd = c->watch.fd;

    MUST(output_has_records(c) && output_is_done(c) &&
         (c->state == CONN_ENDING || c->state == CONN_CUTTING));
    loop_remove(c->set->loop, &c->watch);
    c->set->hooks->reuse(c, fd);
    bury(c);
}

/* Everything is written. Closing with unread bytes would reset the connection before the
 * response is read, so wait for the peer. */
static void linger(struct conn *c)
{
    if (c->transport == CONN_PIPE) {
        die(c);
        return;
    }
    if (c->keep) {
        hand_on(c);
        return;
    }

    shutdown(c->watch.fd, SHUT_WR);
    enter(c, CONN_LINGER);
    watch_over(c->set, &c->set->linger, CONN_LINGER_MS);
}

/* --- writing --- */

static void mark_dirty(struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = c->set->dirty;
    c->set->dirty = c;
}

void conn_end(struct conn *c, enum end_cause cause)
{
    if (c->state != CONN_OPEN)
        return;
    c->tail_left = output_has_records(c) ? RECORD_END_LEN : 0;
    mark_dirty(c);
    leave_open(c, CONN_ENDING, cause);
    watch_over(c->set, &c->set->ending, CONN_ENDING_MS);
}

/* The queue is too long. The current record is completed, so that the web server sees the end of
 * a response and no crash. */
static void cut_slow(struct conn *c)
{
    if (!output_has_records(c)) {
        conn_cut(c, END_SLOW);
        return;
    }
    if (!output_is_begun(c)) {
        c->head_left = 0;
        c->record_left = 0;
    }

    queue_keep(&c->queue, c->record_left);
    c->tail_left = RECORD_END_LEN;
    mark_dirty(c);
    leave_open(c, CONN_CUTTING, END_SLOW);
    watch_over(c->set, &c->set->cutting, CONN_CUTTING_MS);
}

/* What is watched for, beside room to write. A pipe is never read. */
static uint32_t events_of(const struct conn *c)
{
    return c->transport == CONN_PIPE ? 0 : EPOLLIN | EPOLLRDHUP;
}

/* The socket is full: wait for room. */
static void block(struct conn *c)
{
    if (c->blocked || c->plain_file)
        return;
    unlist(c);
    c->blocked = true;
    list_again(c);
    loop_set(c->set->loop, &c->watch, events_of(c) | EPOLLOUT);
}

static void unblock(struct conn *c)
{
    if (!c->blocked || c->plain_file)
        return;
    unlist(c);
    c->blocked = false;
    list_again(c);
    loop_set(c->set->loop, &c->watch, events_of(c));
}

/* Bytes that were written, or -errno. A socket gets a message: a tenth less time than writev(). */
static ssize_t write_output(const struct conn *c, struct output *out)
{
    const struct msghdr message = {.msg_iov = out->pieces, .msg_iovlen = (size_t)out->count};
    if (c->transport != CONN_PIPE)
        return write_ring_one(c->watch.fd, &message);

    ssize_t n = writev(c->watch.fd, out->pieces, out->count);
    return n < 0 ? -errno : n;
}

enum written { WRITTEN, WRITTEN_IN_PART, WRITE_FAILED };

/* n: bytes of out that were written, or -errno. Interrupted by a signal, nothing was: it is tried
 * again. */
static enum written take_result(struct conn *c, const struct output *out, ssize_t n)
{
    if (n == -EINTR)
        return WRITTEN;
    if (n < 0 && n != -EAGAIN)
        return WRITE_FAILED;

    if (n > 0) {
        output_account(c, (size_t)n);
        conn_touch(c);
    }
    if (n == (ssize_t)out->bytes)
        return WRITTEN;
    block(c);
    return WRITTEN_IN_PART;
}

/* Write until the queue is empty or the socket is full. False when the connection failed. */
static bool write_waiting(struct conn *c)
{
    MUST(c->watch.fd >= 0);
    while (!output_is_done(c)) {
        struct iovec pieces[PIECES];
        struct output out = {.pieces = pieces, .room = PIECES};
        output_gather(&out, c);
        enum written result = take_result(c, &out, write_output(c, &out));
        if (result != WRITTEN)
            return result == WRITTEN_IN_PART;
    }
    unblock(c);
    return true;
}

void conn_send_unbounded(struct conn *c, struct event *e)
{
    if (c->state != CONN_OPEN)
        return;
    if (queue_push(&c->queue, e, SIZE_MAX) != 0)
        conn_cut(c, END_SLOW);
    else
        mark_dirty(c);
}

bool conn_try_send(struct conn *c, struct event *e)
{
    if (c->state != CONN_OPEN)
        return true;

    int err = queue_push(&c->queue, e, c->set->budget);
    if (err == -ENOSPC && c->watch.fd >= 0 && !write_waiting(c)) {
        conn_cut(c, END_CLIENT);
        return true;
    }
    if (err == -ENOSPC)
        err = queue_push(&c->queue, e, c->set->budget);
    if (err == -ENOSPC)
        return false;

    if (err)
        conn_cut(c, END_SLOW);
    else
        mark_dirty(c);
    return true;
}

void conn_send(struct conn *c, struct event *e)
{
    if (!conn_try_send(c, e))
        cut_slow(c);
}

void conn_fall_behind(struct conn *c)
{
    MUST(c->state == CONN_OPEN && !c->behind);

    unlist(c);
    c->behind = true;
    list_again(c);
    if (stalled(c, c->set->behind_ms))
        cut_or_spare(c);
}

void conn_catch_up(struct conn *c)
{
    MUST(c->behind);
    if (c->state != CONN_OPEN)
        return;

    unlist(c);
    c->behind = false;
    list_again(c);
}

/* Bytes at the front of the queue whose record has begun. */
static size_t promised(const struct conn *c)
{
    return output_has_records(c) ? c->record_left : 0;
}

struct unwritten conn_unwritten(const struct conn *c)
{
    size_t fixed = queue_fixed(&c->queue, promised(c));
    const struct event *e = queue_at(&c->queue, fixed);
    return (struct unwritten){.fixed = fixed, .first = e ? e->seq : 0};
}

size_t conn_unqueue(struct conn *c, struct unwritten what)
{
    return queue_truncate(&c->queue, what.fixed);
}

/* Memory of the queue of a conn that writes often is used again at once; that of an idle conn is
 * not. touched: when it wrote before. */
static void drained(struct conn *c, int64_t touched)
{
    bool idle = !c->wrote || touched + CONN_REST_MS <= c->touched;
    if (idle && !queue_count(&c->queue)) /* an event without text would be left there */
        queue_rest(&c->queue);
    c->wrote = true;
    c->hooks->drained(c);
}

/* touched: when it wrote before. */
static void flush(struct conn *c, int64_t touched)
{
    if (!write_waiting(c))
        conn_cut(c, END_CLIENT);
    else if (!output_is_done(c))
        return;
    else if (c->state == CONN_OPEN)
        drained(c, touched);
    else if (c->state < CONN_LINGER)
        linger(c);
}

/* What is written together. */
struct write_batch {
    struct write_ring *ring;
    struct write_ring_item items[WRITE_RING_MAX];
    struct output outputs[WRITE_RING_MAX];
    struct iovec pieces[WRITE_RING_MAX][PIECES_OF_MANY];
    struct batched {
        struct conn *conn;
        int64_t touched; /* when it wrote before */
        bool failed;
    } conns[WRITE_RING_MAX];
    size_t count;
};

static void gather_into(struct write_batch *b, struct conn *c)
{
    size_t at = b->count++;
    struct output *out = &b->outputs[at];

    *out = (struct output){.pieces = b->pieces[at], .room = PIECES_OF_MANY};
    output_gather(out, c);
    b->conns[at] = (struct batched){.conn = c, .touched = c->touched};
    b->items[at].fd = c->watch.fd;
    b->items[at].message =
        (struct msghdr){.msg_iov = out->pieces, .msg_iovlen = (size_t)out->count};
}

/* Only a socket that has bytes to write, and room as far as is known. */
static bool is_for_batch(const struct conn *c)
{
    bool socket = c->transport != CONN_PIPE && !c->plain_file;
    return socket && c->state != CONN_DEAD && !c->blocked && !output_is_done(c);
}

/* Write what those from c on have first. Returns the first that there was no room for; c is not
 * flushed yet. */
static struct conn *write_together(struct write_batch *b, struct conn *c)
{
    MUST(!b->count); /* no hook flushes */
    for (; c && b->count < WRITE_RING_MAX; c = c->next_dirty)
        if (is_for_batch(c))
            gather_into(b, c);

    write_ring_run(b->ring, b->items, b->count);
    for (size_t i = 0; i < b->count; i++)
        b->conns[i].failed =
            take_result(b->conns[i].conn, &b->outputs[i], b->items[i].result) == WRITE_FAILED;
    return c;
}

/* c is the first of the list of those to flush. written: NULL, or its part of a batch. Returns the
 * next one. */
static struct conn *flush_one(struct conn *c, const struct batched *written)
{
    struct conn *next = c->next_dirty;
    c->dirty = false;
    if (c->state == CONN_DEAD) {
        c->next_dirty = c->set->dead;
        c->set->dead = c;
    } else if (written && written->failed) {
        conn_cut(c, END_CLIENT);
    } else if (!c->blocked) {
        flush(c, written ? written->touched : c->touched);
    }
    return next;
}

/* All writes come before the first hook is called: a hook may change other conns. */
static struct conn *flush_batch(struct write_batch *b, struct conn *c)
{
    const struct conn *end = write_together(b, c);
    size_t at = 0;

    while (c != end) {
        bool in_batch = at < b->count && b->conns[at].conn == c;
        c = flush_one(c, in_batch ? &b->conns[at++] : NULL);
    }
    b->count = 0;
    return c;
}

bool conns_flush(struct conns *set)
{
    struct conn *c = set->dirty;
    set->dirty = NULL; /* connections that become dirty meanwhile are for the next call */
    while (c)
        c = set->batch ? flush_batch(set->batch, c) : flush_one(c, NULL);
    return set->dirty != NULL;
}

int conns_write_together(struct conns *set)
{
    MUST(!set->batch);
    struct write_ring *ring;
    int err = write_ring_new(&ring);
    if (err)
        return err;

    set->batch = malloc(sizeof *set->batch);
    if (!set->batch) {
        write_ring_free(&ring);
        return -ENOMEM;
    }
    set->batch->ring = ring;
    set->batch->count = 0;
    return 0;
}

void conns_reap(struct conns *set)
{
    struct conn *c;
    while ((c = set->dead)) {
        set->dead = c->next_dirty;
        set->hooks->free(c);
    }
}

static void close_all(struct conn_list *list)
{
    struct conn *first;
    while ((first = TAILQ_FIRST(list)))
        conn_cut(first, END_DRAIN);
}

static void add_load(struct conns_load *load, const struct conn_list *list)
{
    const struct conn *c;
    TAILQ_FOREACH (c, list, link) {
        load->bytes += queue_bytes(&c->queue);
        load->readers++;
    }
}

struct conns_load conns_load(const struct conns *set)
{
    struct conns_load load = {0};
    add_load(&load, &set->behind);
    add_load(&load, &set->blocked);
    return load;
}

void conns_close(struct conns *set)
{
    close_all(&set->idle);
    close_all(&set->blocked);
    close_all(&set->behind);
    close_all(&set->ending);
    close_all(&set->cutting);
    close_all(&set->linger);
    conns_flush(set); /* removes dead ones from the list of connections to flush */
    conns_reap(set);
    if (set->batch)
        write_ring_free(&set->batch->ring);
    free(set->batch);
    set->batch = NULL;
}

/* --- reading --- */

/* The client has left and the web server still reads: end the response, else the web server logs
 * a failure. */
static void end_unread(struct conn *c)
{
    queue_release(&c->queue);
    c->head_left = 0;
    c->record_left = 0;
    conn_end(c, END_CLIENT);
}

/* The kernel gave up on a browser that took nothing (TCP_USER_TIMEOUT) a moment before our own
 * timer. */
static bool took_nothing(const struct conn *c, int error)
{
    return error == ETIMEDOUT && queue_bytes(&c->queue);
}

/* The web server sends nothing during a response: if it closes or sends, the client has left. */
static void readable(struct conn *c)
{
    char bytes[4096];
    ssize_t n = recv(c->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    enum end_cause cause = n < 0 && took_nothing(c, errno) ? END_SLOW : END_CLIENT;
    c->keep = false; /* bytes now belong to this request: an abort, or its body */
    if (n > 0 && c->state != CONN_OPEN)
        return; /* the rest of a request that was refused early */
    if (n == 0 && c->state == CONN_OPEN && !output_is_begun(c))
        end_unread(c);
    else
        conn_cut(c, cause);
}

/* The socket has room again. */
static void thaw(struct conn *c)
{
    if (c->state == CONN_OPEN && stalled(c, c->set->stale_ms) && c->hooks->thawed)
        c->hooks->thawed(c);
    if (c->state < CONN_LINGER)
        flush(c, c->touched);
}

static void ready(void *context, uint32_t events)
{
    struct conn *c = context;
    if (events & EPOLLIN)
        readable(c);
    else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
        conn_cut(c, END_CLIENT);
    if (events & EPOLLOUT)
        thaw(c);
}

/* --- life --- */

void conns_init(struct conns *set, struct loop *loop, const struct conns_hooks *hooks,
                size_t budget, int64_t write_ms, uint64_t *counters)
{
    *set = (struct conns){
        .loop = loop, .hooks = hooks, .budget = budget, .write_ms = write_ms, .counters = counters};
    set->stale_ms = CONN_STALE_MS;
    set->behind_ms = write_ms && write_ms < CONN_BEHIND_MS ? write_ms : CONN_BEHIND_MS;
    set->end_timer = (struct loop_timer){.fire = end_overdue, .context = set};

    TAILQ_INIT(&set->idle);
    TAILQ_INIT(&set->blocked);
    TAILQ_INIT(&set->behind);
    TAILQ_INIT(&set->ending);
    TAILQ_INIT(&set->cutting);
    TAILQ_INIT(&set->linger);
}

int conn_open(struct conn *c, struct conns *set, const struct conn_hooks *hooks, int fd,
              uint16_t request, enum conn_transport transport)
{
    MUST(fd >= 0 || transport == CONN_SOCKET);

    c->set = set;
    c->hooks = hooks;
    c->request = request;
    c->transport = transport;
    c->state = CONN_OPEN;
    c->timed_after = UINT64_MAX;
    c->watch = (struct loop_watch){fd, ready, c};
    c->blocked = fd < 0;
    int err = fd < 0 ? 0 : loop_add(set->loop, &c->watch, events_of(c));
    c->plain_file = err == -EPERM;
    if (err && !c->plain_file)
        return err;
    set->count++;
    note_progress(c);
    TAILQ_INSERT_TAIL(list_of(c), c, link);
    return 0;
}

int conn_attach(struct conn *c, int fd)
{
    MUST(c->transport == CONN_SOCKET && c->watch.fd < 0);
    if (c->state == CONN_DEAD)
        return -EPIPE;

    MUST(c->blocked);
    c->watch.fd = fd;
    int err = loop_add(c->set->loop, &c->watch, events_of(c));
    if (err) {
        c->watch.fd = -1;
        return err;
    }

    unlist(c);
    c->blocked = false;
    list_again(c);
    mark_dirty(c);
    return 0;
}

void conn_keep(struct conn *c)
{
    MUST(output_has_records(c) && c->set->hooks->reuse);
    c->keep = true;
}

void conn_hold_back(struct conn *c)
{
    int size = CONN_HELD_BACK_BYTES;
    setsockopt(c->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}
