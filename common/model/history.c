/* One deque holds all events in order; an index is another deque with the same events, for those
 * that name one session, channel or connection. Events leave at the front only, so the front of
 * the whole is the front of each index it is in. */
#include "model/history.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"
#include "base/table.h"
#include "codec/audience.h"
#include "codec/event_index.h"
#include "codec/event_key.h"
#include "model/deque.h"
#include "model/merge.h"
#include "model/times.h"

#define TARGETS 3 /* the to-lists of enum event_list, in its order */

/* The sequence is contiguous from start (a position) to end. */
struct segment {
    uint64_t start, end;
};

struct history {
    struct history_limits limits;
    struct deque all;
    struct times times;             /* of all, by ordinal */
    uint64_t evicted;               /* ordinal of the first of all */
    struct deque everyone;          /* those without a `to` */
    struct table *targets[TARGETS]; /* name -> struct deque */
    struct own_ids ids;             /* of all */
    struct segment *segments;       /* ascending; never none */
    size_t segment_count, segment_cap;
    uint64_t complete;
    uint64_t plain; /* see history_plain() */
    uint64_t bytes; /* beside those of ids */
};

/* What e costs beside the names and the id that it is found by. */
static uint64_t own_cost(const struct event *e)
{
    return e->entry.len + event_index_bytes(e) + HISTORY_EVENT_COST;
}

static uint64_t name_cost(struct slice name)
{
    return name.len + HISTORY_NAME_COST;
}

uint64_t history_cost(const struct event *e)
{
    uint64_t cost = own_cost(e) + own_ids_cost(e);
    struct slice name;

    for (enum event_list list = 0; list < TARGETS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);)
            cost += name_cost(name) + HISTORY_PLACE_COST;

    return cost;
}

static void give_back(struct history *h, uint64_t bytes)
{
    MUST(h->bytes >= bytes);
    h->bytes -= bytes;
}

/* --- segments --- */

static struct segment *last_segment(const struct history *h)
{
    return &h->segments[h->segment_count - 1];
}

static int begin_segment(struct history *h, uint64_t start)
{
    struct segment *segments =
        array_reserve(h->segments, &h->segment_cap, h->segment_count + 1, sizeof *segments);
    if (!segments)
        return -ENOMEM;

    h->segments = segments;
    h->segments[h->segment_count++] = (struct segment){start, start};
    return 0;
}

/* Forget segments that no cursor can be in any more. */
static void drop_segments(struct history *h)
{
    size_t gone = 0;
    while (gone + 1 < h->segment_count && h->segments[gone].end < h->complete)
        gone++;
    h->segment_count -= gone;
    if (gone)
        memmove(h->segments, h->segments + gone, h->segment_count * sizeof *h->segments);
}

/* --- indexes --- */

static int index_add(struct history *h, enum event_list list, struct slice name, struct event *e)
{
    struct deque *index = table_insert(h->targets[list], name);
    if (!index)
        return -ENOMEM;

    if (!index->count)
        h->bytes += name_cost(name);
    if (deque_back(index) == e)
        return 0; /* a name given twice counts once */

    int err = deque_push(index, e);
    if (!err)
        h->bytes += HISTORY_PLACE_COST;
    return err;
}

/* Take e out of events, where it is the oldest, the newest, or not at all. True when it was
 * there. */
static bool take_out(struct deque *events, const struct event *e)
{
    size_t before = events->count;

    if (deque_at(events, 0) == e)
        deque_pop_front(events);
    else if (deque_back(events) == e)
        deque_pop_back(events);

    deque_shrink(events);
    return events->count < before;
}

static void index_drop(struct history *h, enum event_list list, struct slice name,
                       const struct event *e)
{
    struct deque *index = table_find(h->targets[list], name);
    if (!index)
        return;

    if (take_out(index, e))
        give_back(h, HISTORY_PLACE_COST);
    if (index->count == 0) {
        deque_release(index);
        table_remove(h->targets[list], index);
        give_back(h, name_cost(name));
    }
}

/* Undo link_targets(), also one that went half way. e is the oldest or the newest event of every
 * index it is in. */
static void unlink_targets(struct history *h, const struct event *e)
{
    struct slice name;
    for (enum event_list list = 0; list < TARGETS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);)
            index_drop(h, list, name, e);
    take_out(&h->everyone, e);
}

static int link_targets(struct history *h, struct event *e)
{
    int err = e->has_to ? 0 : deque_push(&h->everyone, e);
    struct slice name;
    for (enum event_list list = 0; list < TARGETS; list++)
        for (size_t cursor = 0; !err && event_next_name(e, list, &cursor, &name);)
            err = index_add(h, list, name, e);
    return err;
}

/* --- linking --- */

static void unlink_event(struct history *h, const struct event *e)
{
    unlink_targets(h, e);
    own_ids_remove(&h->ids, e, &h->all);
}

/* All or nothing. */
static int link_event(struct history *h, struct event *e)
{
    int err = own_ids_add(&h->ids, e);
    if (err)
        return err;
    err = link_targets(h, e);
    if (err)
        unlink_event(h, e);
    return err;
}

/* --- limits --- */

/* e is out of `all` already. */
static void history_forget(struct history *h, struct event *e)
{
    deque_shrink(&h->all);
    unlink_event(h, e);
    give_back(h, own_cost(e));
    event_unref(&e);
}

static void evict_oldest(struct history *h)
{
    struct event *e = deque_pop_front(&h->all);
    times_drop(&h->times, ++h->evicted);
    if (h->complete < e->seq)
        h->complete = e->seq;
    if (!event_is_value(e) || e->remove)
        h->plain = e->seq;
    own_ids_remember(&h->ids, e);
    history_forget(h, e);
}

void history_evict(struct history *h)
{
    while (h->all.count && (h->all.count > h->limits.events || history_bytes(h) > h->limits.bytes))
        evict_oldest(h);
    drop_segments(h);
}

void history_expire(struct history *h, int64_t now_ms)
{
    struct event *e;
    while ((e = deque_at(&h->all, 0)) && e->time_ms < now_ms &&
           (uint64_t)(now_ms - e->time_ms) > h->limits.age_ms)
        evict_oldest(h);
    drop_segments(h);
}

/* --- life --- */

struct history *history_new(const struct history_limits *limits, uint64_t position)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->limits = *limits;
    h->complete = h->plain = position;
    bool ok = own_ids_init(&h->ids) == 0 && begin_segment(h, position) == 0;
    for (int i = 0; i < TARGETS; i++) {
        h->targets[i] = table_new(sizeof(struct deque));
        ok = ok && h->targets[i];
    }
    if (!ok)
        history_free(&h);
    return h;
}

static void history_clear(struct history *h)
{
    while (h->all.count)
        evict_oldest(h);
}

void history_free(struct history **h)
{
    if (!*h)
        return;
    while ((*h)->all.count)
        history_forget(*h, deque_pop_front(&(*h)->all));
    deque_release(&(*h)->all);
    times_release(&(*h)->times);
    deque_release(&(*h)->everyone);
    for (int i = 0; i < TARGETS; i++)
        table_free(&(*h)->targets[i]);
    own_ids_release(&(*h)->ids);
    free((*h)->segments);
    free(*h);
    *h = NULL;
}

int history_remember_ids(struct history *h, uint64_t max)
{
    return own_ids_limit_past(&h->ids, max);
}

void history_remember_id(struct history *h, uint64_t hash, uint64_t seq)
{
    past_ids_add(h->ids.past, hash, seq);
}

void history_inherit_ids(struct history *h, struct history *old)
{
    struct past_ids *mine = h->ids.past;

    for (size_t i = 0; i < old->all.count; i++)
        own_ids_remember(&old->ids, deque_at(&old->all, i));
    h->ids.past = old->ids.past;
    old->ids.past = mine;
}

int history_append(struct history *h, struct event *e)
{
    bool jump = e->seq != history_head(h) + 1;
    if (e->seq <= history_head(h))
        return -EINVAL;
    if (times_add(&h->times, h->evicted + h->all.count, e->time_ms) != 0)
        return -ENOMEM; /* a time too late only costs a look */
    if (deque_push(&h->all, e) != 0)
        return -ENOMEM;
    if (link_event(h, e) != 0) {
        deque_pop_back(&h->all);
        return -ENOMEM;
    }
    if (jump && begin_segment(h, e->seq - 1) != 0) {
        unlink_event(h, e);
        deque_pop_back(&h->all);
        return -ENOMEM;
    }
    event_ref(e);
    h->bytes += own_cost(e);
    last_segment(h)->end = e->seq;
    return 0;
}

int history_advance(struct history *h, uint64_t position)
{
    return position > history_head(h) ? begin_segment(h, position) : 0;
}

int history_break(struct history *h, uint64_t position)
{
    if (position < history_head(h)) { /* what is held would stand in the future */
        history_clear(h);
        h->segment_count = 0;
    }
    int err = begin_segment(h, position);
    h->complete = h->plain = position;
    drop_segments(h);
    return err;
}

int history_miss(struct history *h, const struct event *e)
{
    own_ids_remember(&h->ids, e);
    return history_break(h, e->seq);
}

void history_doubt(struct history *h, uint64_t cursor)
{
    size_t i = 0;
    while (i < h->segment_count && h->segments[i].start <= cursor)
        i++;
    if (i < h->segment_count && h->complete < h->segments[i].start)
        h->complete = h->plain = h->segments[i].start;
    drop_segments(h);
}

void history_revoke(struct history *h, uint64_t position)
{
    for (size_t i = deque_after(&h->all, position); i < h->all.count; i++)
        own_ids_remember(&h->ids, deque_at(&h->all, i));
    history_rollback(h, position);
}

void history_rollback(struct history *h, uint64_t position)
{
    while (h->all.count && deque_back(&h->all)->seq > position)
        history_forget(h, deque_pop_back(&h->all));
    while (h->segment_count > 1 && last_segment(h)->start > position)
        h->segment_count--;
    if (last_segment(h)->end > position)
        last_segment(h)->end = position;
}

/* --- questions --- */

uint64_t history_head(const struct history *h)
{
    return last_segment(h)->end;
}

uint64_t history_complete(const struct history *h)
{
    return h->complete;
}

uint64_t history_plain(const struct history *h)
{
    return h->plain;
}

uint64_t history_oldest(const struct history *h)
{
    return h->all.count ? deque_at(&h->all, 0)->seq : history_head(h) + 1;
}

uint64_t history_count(const struct history *h)
{
    return h->all.count;
}

uint64_t history_bytes(const struct history *h)
{
    return h->bytes + h->ids.bytes;
}

bool history_knows(const struct history *h, uint64_t cursor)
{
    for (size_t i = h->segment_count; cursor >= h->complete && i-- > 0;)
        if (cursor >= h->segments[i].start)
            return cursor <= h->segments[i].end;
    return false;
}

struct event *history_published(const struct history *h, struct slice publisher, struct slice id)
{
    return own_ids_published(&h->ids, publisher, id);
}

enum id_cursor history_find_cursor(const struct history *h, struct slice id, uint64_t *seq)
{
    return own_ids_find_cursor(&h->ids, id, seq);
}

/* --- reading --- */

static void add_sources(const struct history *h, const struct history_filter *filter,
                        uint64_t after, struct merge *m)
{
    const struct audience *who = filter ? filter->who : NULL;

    merge_init(m);
    if (!who || who->every_channel) {
        merge_add(m, &h->all, after);
        return;
    }

    merge_add(m, &h->everyone, after);
    if (who->session.len)
        merge_add(m, table_find(h->targets[TO_SESSIONS], who->session), after);
    merge_add(m, table_find(h->targets[TO_CONNECTIONS], who->connection), after);
    for (size_t i = 0; i < who->channels.count; i++)
        merge_add(m, table_find(h->targets[TO_CHANNELS], who->channels.items[i]), after);
}

bool history_concerns(const struct history_filter *filter, const struct event *e)
{
    if (!filter->who || !filter->who->every_channel)
        return true;
    return event_concerns(e, filter->who) &&
           (!filter->selects || filter->selects(filter->context, e));
}

/* Does e, which is in an index that the reader has, pass the filter? */
static bool passes(const struct event *e, const struct history_filter *filter)
{
    if (!filter)
        return true;
    if (e->ttl_s && filter->now_ms >= event_expires_ms(e))
        return false;
    if (!history_concerns(filter, e) || (filter->who && event_is_hidden(e, filter->who)))
        return false;
    if (!filter->compact || !event_is_replaced(e))
        return !filter->who || !event_excludes(e, filter->who);

    if (filter->superseded) /* e has a key, so it has no exclusions */
        ++*filter->superseded;
    return false;
}

/* How many events are looked at in one call. */
static size_t most_looks(const struct history_filter *filter)
{
    return filter && filter->look_max ? filter->look_max : HISTORY_SCAN_MAX;
}

/* How many looks e counts for: `selects` looks at each of its channels. */
static size_t looks_at(const struct event *e, const struct history_filter *filter)
{
    return filter && filter->selects ? 1 + (size_t)e->counts[TO_CHANNELS] : 1;
}

size_t history_read(const struct history *h, const struct history_filter *filter, uint64_t after,
                    struct event **out, size_t max, size_t max_bytes, uint64_t *upto)
{
    struct merge merge;
    add_sources(h, filter, after, &merge);
    size_t found = 0, bytes = 0, scanned = 0;
    struct event *e;
    while ((e = merge_next(&merge))) {
        if (scanned >= most_looks(filter)) {
            *upto = e->seq - 1;
            return found;
        }
        scanned += looks_at(e, filter);
        if (!passes(e, filter))
            continue;
        if (found == max || (found && bytes + e->entry.len > max_bytes)) {
            *upto = out[found - 1]->seq;
            return found;
        }
        out[found++] = e;
        bytes += e->entry.len;
    }
    *upto = history_head(h);
    return found;
}

/* --- where to begin --- */

uint64_t history_begin(const struct history *h)
{
    uint64_t oldest = history_oldest(h) - 1;
    return h->complete > oldest ? h->complete : oldest;
}

uint64_t history_before_last(const struct history *h, const struct history_filter *filter,
                             size_t count, bool *exact)
{
    struct merge merge;
    uint64_t begin = history_begin(h), position = history_head(h);
    size_t found = 0, left = most_looks(filter);
    struct event *e;

    add_sources(h, filter, UINT64_MAX, &merge);
    while (found < count && left && (e = merge_previous(&merge)) && e->seq > begin) {
        left--;
        if (e->kind != EVENT_MESSAGE || !passes(e, filter))
            continue;
        position = e->seq - 1;
        found++;
    }

    *exact = found == count || !left;
    return position;
}

uint64_t history_before_shutdown(const struct history *h, const struct history_filter *filter,
                                 uint64_t after, uint64_t upto)
{
    struct merge merge;
    const struct event *e;

    add_sources(h, filter, after, &merge);
    while ((e = merge_next(&merge)) && e->seq <= upto)
        if (e->kind == EVENT_SHUTDOWN && passes(e, filter))
            return e->seq - 1;
    return upto;
}

uint64_t history_before_time(const struct history *h, int64_t time_ms)
{
    uint64_t begin = history_begin(h), at = h->evicted;
    uint64_t end = h->evicted + h->all.count;

    while ((at = times_seek(&h->times, at, time_ms)) < end) {
        uint64_t next = at + TIMES_BLOCK;
        for (at = at > h->evicted ? at : h->evicted; at < next && at < end; at++) {
            const struct event *e = deque_at(&h->all, (size_t)(at - h->evicted));
            if (e->seq > begin && e->time_ms >= time_ms)
                return e->seq - 1;
        }
    }
    return history_head(h);
}

/* Seqs jump where an epoch of the broker began, so they are not subtracted. */
struct history_lag history_lag(const struct history *h, uint64_t position, int64_t now_ms)
{
    struct history_lag lag = {0};
    size_t first = deque_after(&h->all, position);
    if (!position || first == h->all.count)
        return lag;

    const struct event *next = deque_at(&h->all, first);
    lag.events = h->all.count - first;
    if (now_ms > next->time_ms)
        lag.ms = now_ms - next->time_ms;
    return lag;
}
