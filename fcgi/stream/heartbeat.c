#include "stream/heartbeat.h"

#include <errno.h>

/* --- heartbeats --- */

/* The heartbeat of s. It carries the position if that has moved (0: it has not). Streams at the
 * same position share the text. */
static struct event *heartbeat_for(const struct stream *s, uint64_t position)
{
    struct streams *set = s->set;
    bool visible = s->shows_checkpoints;
    size_t kind = visible + (s->hub ? 2U : 0U);
    struct event **shared = &set->beats[kind];

    if (!position)
        return s->shows_beats ? set->visible_beat : set->plain_beat;

    if (!*shared || set->beat_positions[kind] != position) {
        char digits[24];
        event_unref(shared);
        *shared = reply_block(
            &(struct block){.id = stream_digits(s, position, digits), .checkpoint = visible});
        set->beat_positions[kind] = position;
    }
    return *shared ? *shared : set->plain_beat;
}

/* Send a heartbeat, unless c is a service call or has bytes queued, which keep it alive. */
static void heartbeat_send(struct conn *c)
{
    struct stream *s = stream_of(c);

    conn_touch(c);
    if (!s || queue_bytes(&c->queue))
        return;

    uint64_t head = s->state == STREAM_LIVE ? history_head(s->set->window) : 0;
    uint64_t position = head > s->cursor ? head : s->cursor;
    bool moved = s->state == STREAM_LIVE && position > s->shown;
    MUST(!moved || s->placed);
    s->set->counters[HEARTBEATS]++;
    s->beaten_at = (uint32_t)loop_now(s->set->loop);
    conn_send_unbounded(&s->exchange.conn, heartbeat_for(s, moved ? position : 0));
    if (moved)
        s->shown = position;
}

void heartbeat_arm(struct streams *set)
{
    const struct conn *first = TAILQ_FIRST(&set->exchanges->conns.idle);
    if (first && !set->beat_timer.due)
        loop_timer_set(set->loop, &set->beat_timer,
                       first->touched + (int64_t)set->limits.heartbeat_ms);
}

/* The list is in the order of the last write, so only due connections are visited. A heartbeat
 * names the head of the window, so live streams are sent what was collected first. */
static void heartbeat_due(void *context, int64_t now)
{
    struct streams *set = context;
    int64_t due = now - (int64_t)set->limits.heartbeat_ms;

    streams_settle(set);
    for (struct conn *c; (c = TAILQ_FIRST(&set->exchanges->conns.idle)) && c->touched <= due;)
        heartbeat_send(c);
    bans_expire(set->bans, streams_broker_ms(set));
    state_expire(set->current, streams_broker_ms(set));
    heartbeat_arm(set);
}

/* A page sees events only if it listens for their names. A stream may be sent nothing for weeks,
 * while its reader takes nothing and write-timeout is off. After 49 days the passed time begins at
 * 0 again, and a heartbeat comes late by half of one at most. */
void heartbeat_beside_events(struct stream *s)
{
    uint32_t now = (uint32_t)loop_now(s->set->loop), passed = now - s->beaten_at;

    if (!s->shows_beats || s->exchange.conn.state != CONN_OPEN)
        return;

    MUST(stream_is_open(s));
    if (2 * (uint64_t)passed < s->set->limits.heartbeat_ms)
        return;

    s->beaten_at = now;
    conn_send_unbounded(&s->exchange.conn, s->set->visible_beat);
}

int heartbeat_init(struct streams *set)
{
    set->plain_beat = reply_keep_alive();
    set->visible_beat = reply_beat();
    set->beat_timer = (struct loop_timer){.fire = heartbeat_due, .context = set};

    return set->plain_beat && set->visible_beat ? 0 : -ENOMEM;
}

void heartbeat_release(struct streams *set)
{
    for (size_t i = 0; i < sizeof set->beats / sizeof set->beats[0]; i++)
        event_unref(&set->beats[i]);
    event_unref(&set->plain_beat);
    event_unref(&set->visible_beat);
}
