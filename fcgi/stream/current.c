#include "stream/current.h"

#include "base/must.h"
#include "codec/event_key.h"
#include "stream/concern.h"
#include "stream/resume.h"

#define CHUNK JOINED_EVENTS /* events read at once */
#define CHUNK_BYTES 32768u

/* --- following --- */

void current_clear(struct streams *set)
{
    state_clear(set->current);
}

void current_state(struct streams *set, struct event *e)
{
    if (state_apply(set->current, e) == 0)
        set->compacts = true;
}

static void go_on(void *owner, void *context)
{
    struct stream *s = owner;
    (void)context;
    if (s->state == STREAM_CURRENT)
        resume_later(s);
}

/* The window has events that the state is of, and maybe later ones. */
void current_told(struct streams *set, uint64_t position)
{
    struct event *events[CHUNK];
    uint64_t at = 0;

    set->current_at = position;
    while (set->window && at < history_head(set->window)) {
        size_t count = history_read(set->window, NULL, at, events, CHUNK, SIZE_MAX, &at);
        for (size_t i = 0; i < count; i++)
            current_follow(set, events[i]);
    }

    set->current_lost = false;
    registry_each(set->registry, go_on, NULL);
}

bool current_follow(struct streams *set, struct event *e)
{
    set->compacts = set->compacts || e->key.len;
    set->expires = set->expires || e->ttl_s;
    if (e->seq > set->current_at)
        state_apply(set->current, e);
    else
        state_match(set->current, e);

    return !event_is_replaced(e) && (!e->ttl_s || streams_broker_ms(set) < event_expires_ms(e));
}

void current_lose(struct streams *set)
{
    set->current_lost = true;
}

/* --- streams that begin --- */

static size_t read_state(const struct stream *s, uint64_t after, uint64_t upto, struct event **out,
                         size_t max)
{
    struct concern_reader reader;
    concern_read_as(s, &reader);
    return state_read(s->set->current, &reader.filter, after, upto, out, max, CHUNK_BYTES);
}

bool current_concerns(const struct stream *s, uint64_t position)
{
    struct event *first;
    if (s->hub)
        return false; /* clients of the protocol expect none */
    if (s->set->current_lost)
        return true;
    return !state_is_empty(s->set->current) && read_state(s, 0, position, &first, 1);
}

void current_begin(struct stream *s)
{
    MUST(!s->pending && !stream_last_id(s));
    s->state = STREAM_CURRENT;
    s->state_sent = 0;
    s->state_parts = 0;
}

/* text is NULL when out of memory. False when s has ended. */
static bool send_texts(struct stream *s, struct event *text, size_t count)
{
    exchange_send(&s->exchange, text ? event_ref(text) : NULL);
    if (!stream_is_open(s))
        return false;

    s->set->counters[DELIVERIES] += count;
    return true;
}

static bool send_each(struct stream *s, struct event *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!send_texts(s, state_text(s->set->current, events[i]), 1))
            return false;
    return true;
}

/* lighttpd is sent one text, as of live events (bundle.h). */
static bool send_part(struct stream *s, struct event *const *events, size_t count)
{
    struct streams *set = s->set;
    struct event *text = NULL;

    if (s->exchange.spools)
        text = joined_text(&set->joined, set->current, s->state_parts++, events, count);
    return text ? send_texts(s, text, count) : send_each(s, events, count);
}

bool current_continue(struct stream *s)
{
    struct event *events[CHUNK];
    MUST(s->state == STREAM_CURRENT);
    if (s->set->current_lost)
        return false;

    size_t count = read_state(s, s->state_sent, s->cursor, events, CHUNK);
    if (count) {
        struct event *permitted[CHUNK];
        size_t permitted_count = 0;
        for (size_t i = 0; i < count; i++)
            if (concern_permits(s, events[i]))
                permitted[permitted_count++] = events[i];

        if (permitted_count && !send_part(s, permitted, permitted_count))
            return false;
        s->state_sent = events[count - 1]->seq;
    } else {
        s->state = STREAM_RESUMING;
        stream_send_checkpoint(s, s->cursor);
    }
    return true;
}
