/* What binds some streams and not others: the time of a token, and the limits of a client's address. A stream that neither concerns has no
 * struct terms, and pays a pointer. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "stream/stream.h"

#define LOOK_MS 60000 /* the clock of the tokens may be set meanwhile */

struct terms {
    struct stream *stream;
    struct expiry_item expiry;
    struct address *address; /* NULL: no limits */
};

/* --- the time of tokens --- */

static void set_expiry_timer(struct streams *set)
{
    const struct expiry_item *first = expiry_first(&set->expiry);
    if (!first)
        return;
    int64_t left = first->at - clock_unix_ms();
    loop_timer_set(set->loop, &set->expiry_timer,
                   loop_now(set->loop) + (left < 0         ? 0
                                          : left > LOOK_MS ? LOOK_MS
                                                           : left));
}

static void expire(struct stream *s)
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
        struct terms *t = (struct terms *)((char *)first - offsetof(struct terms, expiry));
        MUST(stream_terms(t->stream) == t);
        expiry_remove(&set->expiry, first); /* its end may come later than now */
        expire(t->stream);
    }
    set_expiry_timer(set);
}

/* --- addresses --- */

bool terms_knock(struct streams *set, const struct params *params, struct address **address)
{
    *address = NULL;
    return !set->addresses ||
           addresses_knock(set->addresses, params_get(params, "REMOTE_ADDR"), loop_now(set->loop), address);
}

bool terms_admit(struct streams *set, const struct params *params)
{
    struct address *address;
    return terms_knock(set, params, &address);
}

/* --- streams --- */

const struct address *terms_address(const struct terms *terms)
{
    return terms ? terms->address : NULL;
}

int terms_new(struct stream *s, int64_t expires_ms, struct address *address, struct terms **terms)
{
    struct streams *set = s->set;
    *terms = NULL;
    if (!expires_ms && !address)
        return 0;

    struct terms *t = calloc(1, sizeof *t);
    if (!t || (expires_ms && expiry_add(&set->expiry, &t->expiry, expires_ms) != 0)) {
        free(t);
        return -ENOMEM;
    }
    t->stream = s;
    t->address = address;
    *terms = t;

    if (address)
        address_open(set->addresses, address);
    if (expires_ms)
        set_expiry_timer(set);
    return 0;
}

void terms_free(struct terms **terms)
{
    struct terms *t = *terms;
    if (!t)
        return;

    struct streams *set = t->stream->set;
    expiry_remove(&set->expiry, &t->expiry);
    if (t->address)
        address_close(set->addresses, t->address);
    free(t);
    *terms = NULL;
}

int terms_init(struct streams *set)
{
    set->expiry_timer = (struct loop_timer){.fire = expire_due, .context = set};
    set->expired = reply_expired();
    if (set->limits.per_address || set->limits.connect_rate)
        set->addresses = addresses_new(set->limits.per_address, set->limits.connect_rate);
    bool limited = set->limits.per_address || set->limits.connect_rate;
    return set->expired && (set->addresses || !limited) ? 0 : -ENOMEM;
}

void terms_release(struct streams *set)
{
    expiry_release(&set->expiry);
    addresses_free(&set->addresses);
    event_unref(&set->expired);
}
