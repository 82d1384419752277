/* limits.c - a stream that neither expires nor counts for an address has no struct limits and pays
 * a pointer. */
#include "stream/limits.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"

#define CHECK_MS 60000 /* at most between two looks at the clock, which may be set meanwhile */

struct limits {
    struct stream *stream;
    struct expiry_item expiry;
    struct address *address; /* NULL: unlimited */
};

/* --- expiry of tokens --- */

static void set_expiry_timer(struct streams *set)
{
    const struct expiry_item *first = expiry_first(&set->expiry);
    if (!first)
        return;

    int64_t left = first->at - clock_unix_ms();
    if (left < 0)
        left = 0;
    if (left > CHECK_MS)
        left = CHECK_MS;
    loop_timer_set(set->loop, &set->expiry_timer, loop_now(set->loop) + left);
}

static void limits_expire(struct stream *s)
{
    conn_send_unbounded(&s->exchange.conn, s->set->expired);
    conn_end(&s->exchange.conn, END_EXPIRED);
}

static void expire_due(void *context, int64_t now)
{
    struct streams *set = context;
    int64_t unix_ms = clock_unix_ms();
    struct expiry_item *first;
    (void)now;
    while ((first = expiry_first(&set->expiry)) && first->at <= unix_ms) {
        struct limits *t = (struct limits *)((char *)first - offsetof(struct limits, expiry));
        MUST(stream_own_limits(t->stream) == t);
        expiry_remove(&set->expiry, first); /* the stream may end later than now */
        limits_expire(t->stream);
    }
    set_expiry_timer(set);
}

/* --- addresses --- */

bool limits_admit(struct streams *set, const struct params *params, struct address **address)
{
    *address = NULL;
    return !set->addresses || addresses_admit(set->addresses, params_get(params, "REMOTE_ADDR"),
                                              loop_now(set->loop), address);
}

bool limits_admit_token(struct streams *set, const struct params *params)
{
    struct address *address;
    return limits_admit(set, params, &address);
}

/* --- streams --- */

const struct address *limits_address(const struct limits *own)
{
    return own ? own->address : NULL;
}

int limits_new(struct stream *s, int64_t expires_ms, struct address *address, struct limits **own)
{
    struct streams *set = s->set;
    *own = NULL;
    if (!expires_ms && !address)
        return 0;

    struct limits *t = calloc(1, sizeof *t);
    if (!t || (expires_ms && expiry_add(&set->expiry, &t->expiry, expires_ms) != 0)) {
        free(t);
        return -ENOMEM;
    }
    t->stream = s;
    t->address = address;
    *own = t;

    if (address)
        address_open(set->addresses, address);
    if (expires_ms)
        set_expiry_timer(set);
    return 0;
}

void limits_free(struct limits **own)
{
    struct limits *t = *own;
    if (!t)
        return;

    struct streams *set = t->stream->set;
    expiry_remove(&set->expiry, &t->expiry);
    if (t->address)
        address_close(set->addresses, t->address);
    free(t);
    *own = NULL;
}

int limits_init(struct streams *set)
{
    set->expiry_timer = (struct loop_timer){.fire = expire_due, .context = set};
    set->expired = reply_expired();
    if (set->limits.per_address || set->limits.connect_rate)
        set->addresses = addresses_new(set->limits.per_address, set->limits.connect_rate);
    bool limited = set->limits.per_address || set->limits.connect_rate;
    return set->expired && (set->addresses || !limited) ? 0 : -ENOMEM;
}

void limits_release(struct streams *set)
{
    expiry_release(&set->expiry);
    addresses_free(&set->addresses);
    event_unref(&set->expired);
}
