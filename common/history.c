/* One deque holds all events in order; an index is another deque with the same events, for those that name one session,
 * channel or connection. Events leave at the front only, so the front of the whole is the front of each index it is in. */
#include "history.h"

#include <errno.h>
#include <stdlib.h>

#include "deque.h"
#include "must.h"
#include "table.h"

#define TARGETS 3 /* the to-lists of enum event_list, in its order */

/* The sequence is contiguous from start (a position) to end. */
struct segment {
    uint64_t start, end;
};

struct history {
    struct history_limits limits;
    struct deque all;
    struct deque everyone;          /* those without a `to` */
    struct table *targets[TARGETS]; /* name -> struct deque */
    struct table *ids;              /* a publisher's id -> struct event * */
    struct segment *segments;       /* ascending; never none */
    size_t segment_count, segment_cap;
    uint64_t complete;
    uint64_t bytes;
};

static uint64_t cost(const struct event *e)
{
    return e->entry.len + HISTORY_EVENT_COST;
}

/* --- segments --- */

static struct segment *last_segment(const struct history *h)
{
    return &h->segments[h->segment_count - 1];
}

static int begin_segment(struct history *h, uint64_t start)
{
    if (h->segment_count == h->segment_cap) {
        size_t cap = h->segment_cap ? h->segment_cap * 2 : 4;
        struct segment *segments = realloc(h->segments, cap * sizeof *segments);
        if (!segments)
            return -ENOMEM;
        h->segments = segments;
        h->segment_cap = cap;
    }
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

static int index_add(struct table *names, struct slice name, struct event *e)
{
    struct deque *index = table_insert(names, name);
    if (!index)
        return -ENOMEM;
    return deque_back(index) == e ? 0 : deque_push(index, e); /* a name given twice counts once */
}

static void index_drop(struct table *names, struct slice name, const struct event *e)
{
    struct deque *index = table_find(names, name);
    if (!index)
        return;
    if (deque_at(index, 0) == e)
        deque_pop_front(index);
    else if (deque_back(index) == e)
        deque_pop_back(index);
    if (index->count == 0) {
        deque_release(index);
        table_remove(names, index);
    }
}

/* Undo link(), also one that went half way. e is the oldest or the newest event of every index it is in. */
static void unlink_event(struct history *h, struct event *e)
{
    struct slice name;
    for (enum event_list list = 0; list < TARGETS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);)
            index_drop(h->targets[list], name, e);
    if (deque_at(&h->everyone, 0) == e)
        deque_pop_front(&h->everyone);
    else if (deque_back(&h->everyone) == e)
        deque_pop_back(&h->everyone);
    struct event **by_id = e->id.len ? table_find(h->ids, e->id) : NULL;
    if (by_id && (*by_id == e || !*by_id))
        table_remove(h->ids, by_id);
}

static int link_id(struct history *h, struct event *e)
{
    struct event **by_id = table_insert(h->ids, e->id);
    if (!by_id)
        return -ENOMEM;
    if (!*by_id)
        *by_id = e;
    return 0;
}

static int link_event(struct history *h, struct event *e)
{
    int err = e->has_to ? 0 : deque_push(&h->everyone, e);
    struct slice name;
    for (enum event_list list = 0; list < TARGETS; list++)
        for (size_t cursor = 0; !err && event_next_name(e, list, &cursor, &name);)
            err = index_add(h->targets[list], name, e);
    if (!err && e->id.len)
        err = link_id(h, e);
    return err;
}

/* --- limits --- */

/* e is out of `all` already. */
static void forget(struct history *h, struct event *e)
{
    unlink_event(h, e);
    MUST(h->bytes >= cost(e));
    h->bytes -= cost(e);
    event_unref(&e);
}

static void evict_oldest(struct history *h)
{
    struct event *e = deque_pop_front(&h->all);
    if (h->complete < e->seq)
        h->complete = e->seq;
    forget(h, e);
}

void history_evict(struct history *h)
{
    while (h->all.count && (h->all.count > h->limits.events || h->bytes > h->limits.bytes))
        evict_oldest(h);
    drop_segments(h);
}

void history_expire(struct history *h, int64_t now_ms)
{
    struct event *e;
    while ((e = deque_at(&h->all, 0)) && e->time_ms < now_ms && (uint64_t)(now_ms - e->time_ms) > h->limits.age_ms)
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
    h->complete = position;
    h->ids = table_new(sizeof(struct event *));
    bool ok = h->ids && begin_segment(h, position) == 0;
    for (int i = 0; i < TARGETS; i++) {
        h->targets[i] = table_new(sizeof(struct deque));
        ok = ok && h->targets[i];
    }
    if (!ok)
        history_free(&h);
    return h;
}

static void clear(struct history *h)
{
    while (h->all.count)
        evict_oldest(h);
}

void history_free(struct history **h)
{
    if (!*h)
        return;
    clear(*h);
    deque_release(&(*h)->all);
    deque_release(&(*h)->everyone);
    for (int i = 0; i < TARGETS; i++)
        table_free(&(*h)->targets[i]);
    table_free(&(*h)->ids);
    free((*h)->segments);
    free(*h);
    *h = NULL;
}

int history_append(struct history *h, struct event *e)
{
    bool jump = e->seq != history_head(h) + 1;
    if (e->seq <= history_head(h))
        return -EINVAL;
    if (deque_push(&h->all, e) != 0)
        return -ENOMEM;
    if (link_event(h, e) != 0 || (jump && begin_segment(h, e->seq - 1) != 0)) {
        unlink_event(h, e);
        deque_pop_back(&h->all);
        return -ENOMEM;
    }
    event_ref(e);
    h->bytes += cost(e);
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
        clear(h);
        h->segment_count = 0;
    }
    int err = begin_segment(h, position);
    h->complete = position;
    drop_segments(h);
    return err;
}

void history_doubt(struct history *h, uint64_t cursor)
{
    size_t i = 0;
    while (i < h->segment_count && h->segments[i].start <= cursor)
        i++;
    if (i < h->segment_count && h->complete < h->segments[i].start)
        h->complete = h->segments[i].start;
    drop_segments(h);
}

void history_rollback(struct history *h, uint64_t position)
{
    while (h->all.count && deque_back(&h->all)->seq > position)
        forget(h, deque_pop_back(&h->all));
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
    return h->bytes;
}

bool history_knows(const struct history *h, uint64_t cursor)
{
    for (size_t i = h->segment_count; cursor >= h->complete && i-- > 0;)
        if (cursor >= h->segments[i].start)
            return cursor <= h->segments[i].end;
    return false;
}

struct event *history_by_id(const struct history *h, struct slice id)
{
    struct event **e = table_find(h->ids, id);
    return e ? *e : NULL;
}

/* --- reading --- */

#define SOURCES_MAX (3 + HISTORY_CHANNELS_MAX) /* everyone, the session, the connection, and the channels */

/* The deques that a reader merges, and how far it has come in each. */
struct sources {
    size_t count;
    struct source {
        const struct deque *deque;
        size_t at;
    } items[SOURCES_MAX];
};

static void add_source(struct sources *s, const struct deque *deque, uint64_t after)
{
    if (!deque)
        return;
    MUST(s->count < SOURCES_MAX);
    s->items[s->count++] = (struct source){deque, deque_after(deque, after)};
}

static void find_sources(const struct history *h, const struct audience *who, uint64_t after, struct sources *s)
{
    s->count = 0;
    if (!who) {
        add_source(s, &h->all, after);
        return;
    }

    add_source(s, &h->everyone, after);
    add_source(s, table_find(h->targets[TO_SESSIONS], who->session), after);
    add_source(s, table_find(h->targets[TO_CONNECTIONS], who->connection), after);
    for (size_t i = 0; i < who->channels.count; i++)
        add_source(s, table_find(h->targets[TO_CHANNELS], who->channels.items[i]), after);
}

/* The oldest event that no source has passed, and step past it in all of them; NULL at the end. */
static struct event *merge_next(struct sources *s)
{
    struct event *oldest = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct event *e = deque_at(s->items[i].deque, s->items[i].at);
        if (e && (!oldest || e->seq < oldest->seq))
            oldest = e;
    }

    for (size_t i = 0; oldest && i < s->count; i++)
        if (deque_at(s->items[i].deque, s->items[i].at) == oldest)
            s->items[i].at++;
    return oldest;
}

size_t history_read(const struct history *h, const struct audience *who, uint64_t after, struct event **out, size_t max,
                    size_t max_bytes, uint64_t *upto)
{
    struct sources sources;
    find_sources(h, who, after, &sources);
    size_t found = 0, bytes = 0;
    struct event *e;
    while ((e = merge_next(&sources))) {
        if (who && event_excludes(e, who))
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

struct history_lag history_lag(const struct history *h, uint64_t position, int64_t now_ms)
{
    struct history_lag lag = {0};
    uint64_t head = history_head(h), upto;
    struct event *next;
    if (!position || position >= head)
        return lag;
    lag.events = head - position;
    if (lag.events > history_count(h))
        lag.events = history_count(h); /* seqs jump where a run of the broker began */
    if (history_read(h, NULL, position, &next, 1, 1, &upto) && now_ms > next->time_ms)
        lag.ms = now_ms - next->time_ms;
    return lag;
}
