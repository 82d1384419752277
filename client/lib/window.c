/* A reply names its request by number; slots find it. There are twice as many slots as requests.
 * A number whose slot is still in use by an old request is skipped. */
#include "lib/window.h"

#include <stdlib.h>

struct window {
    struct window_request_list all;     /* by age, and so by deadline */
    struct window_request_list waiting; /* to be sent */
    struct window_request_list sent;    /* that may be sent again, by when */
    struct window_request **slots;      /* by ref */
    size_t slot_count;                  /* a power of two */
    size_t size, count;
    uint64_t next_ref;
};

struct window *window_new(size_t size)
{
    struct window *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->slot_count = 2;
    while (w->slot_count < 2 * size)
        w->slot_count *= 2;
    w->slots = calloc(w->slot_count, sizeof(struct window_request *));
    if (!w->slots) {
        free(w);
        return NULL;
    }
    TAILQ_INIT(&w->all);
    TAILQ_INIT(&w->waiting);
    TAILQ_INIT(&w->sent);
    w->size = size;
    w->next_ref = 1;
    return w;
}

void window_free(struct window **w)
{
    if (!*w)
        return;
    free((*w)->slots);
    free(*w);
    *w = NULL;
}

size_t window_count(const struct window *w)
{
    return w->count;
}

static struct window_request **slot(const struct window *w, uint64_t ref)
{
    return &w->slots[ref & (w->slot_count - 1)];
}

uint64_t window_next_ref(struct window *w)
{
    if (w->count == w->size)
        return 0;
    while (*slot(w, w->next_ref))
        w->next_ref++;
    return w->next_ref;
}

void window_add(struct window *w, struct window_request *r)
{
    *slot(w, r->ref) = r;
    w->next_ref = r->ref + 1;
    w->count++;
    r->state = REQUEST_WAITING;
    r->was_sent = false;
    TAILQ_INSERT_TAIL(&w->all, r, by_age);
    TAILQ_INSERT_TAIL(&w->waiting, r, by_turn);
}

static void leave_turn(struct window *w, struct window_request *r)
{
    if (r->state == REQUEST_WAITING)
        TAILQ_REMOVE(&w->waiting, r, by_turn);
    else if (r->state == REQUEST_SENT)
        TAILQ_REMOVE(&w->sent, r, by_turn);
}

void window_remove(struct window *w, struct window_request *r)
{
    leave_turn(w, r);
    TAILQ_REMOVE(&w->all, r, by_age);
    *slot(w, r->ref) = NULL;
    w->count--;
}

struct window_request *window_find(const struct window *w, uint64_t ref)
{
    struct window_request *r = *slot(w, ref);
    return r && r->ref == ref ? r : NULL;
}

struct window_request *window_oldest(const struct window *w)
{
    return TAILQ_FIRST(&w->all);
}

struct window_request *window_newer(const struct window_request *r)
{
    return TAILQ_NEXT(r, by_age);
}

struct window_request *window_waiting(const struct window *w)
{
    return TAILQ_FIRST(&w->waiting);
}

void window_sent(struct window *w, struct window_request *r, int64_t resend_at)
{
    leave_turn(w, r);
    r->state = r->repeatable ? REQUEST_SENT : REQUEST_SENT_ONCE;
    r->was_sent = true;
    r->resend_at = resend_at;
    if (r->repeatable)
        TAILQ_INSERT_TAIL(&w->sent, r, by_turn);
}

size_t window_resend(struct window *w, int64_t now)
{
    struct window_request *r;
    size_t count = 0;
    while ((r = TAILQ_FIRST(&w->sent)) && r->resend_at <= now) {
        leave_turn(w, r);
        r->state = REQUEST_WAITING;
        TAILQ_INSERT_TAIL(&w->waiting, r, by_turn);
        count++;
    }
    return count;
}

int64_t window_due(const struct window *w)
{
    const struct window_request *oldest = TAILQ_FIRST(&w->all), *repeat = TAILQ_FIRST(&w->sent);
    int64_t due = oldest ? oldest->deadline : INT64_MAX;
    return repeat && repeat->resend_at < due ? repeat->resend_at : due;
}
