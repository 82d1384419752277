#include "upstream/reassembly.h"

#include "base/must.h"

static void drop_front(struct reassembly *r)
{
    struct event *e = deque_pop_front(&r->held);
    MUST(r->held_bytes >= e->entry.len);
    r->held_bytes -= e->entry.len;
    event_unref(&e);
}

/* Drop held events up to the position. */
static void drop_passed(struct reassembly *r)
{
    const struct event *e;
    while ((e = deque_at(&r->held, 0)) && e->seq <= r->position)
        drop_front(r);
}

static void drop_held(struct reassembly *r)
{
    while (r->held.count)
        drop_front(r);
}

void reassembly_release(struct reassembly *r)
{
    event_unref(&r->current);
    drop_held(r);
    deque_release(&r->held);
    *r = (struct reassembly){0};
}

void reassembly_lose(struct reassembly *r)
{
    MUST(r->source == SOURCE_NONE);
    drop_held(r);
}

bool reassembly_is_reading(const struct reassembly *r)
{
    return r->source != SOURCE_NONE;
}

bool reassembly_is_behind(const struct reassembly *r)
{
    return r->missing;
}

/* --- what has arrived --- */

bool reassembly_join(struct reassembly *r, uint64_t head)
{
    if (r->joined) {
        r->missing = r->missing || head != r->position;
        return false;
    }

    r->joined = true;
    r->position = head;
    return true;
}

void reassembly_batch(struct reassembly *r, uint64_t prev, struct slice entries)
{
    MUST(r->source == SOURCE_NONE);
    if (prev > r->position && !r->held.count)
        r->missing = true;
    r->source = SOURCE_BATCH;
    r->entries = entries;
}

void reassembly_announced(struct reassembly *r, uint64_t head)
{
    if (head > r->position)
        r->missing = true;
}

/* The broker's history does not contain our position. The sequence continues at the oldest
 * retained event, or at our position if that is newer (an older copy of the store was restored). */
static void break_off(struct reassembly *r, const struct wire_page *page)
{
    bool other_timeline = page->head < r->position; /* a broker without memory, clock set back */
    if (page->from > r->position || other_timeline)
        r->position = page->from;
    r->broken = true;
    r->oldest = page->oldest;
}

void reassembly_page(struct reassembly *r, const struct wire_page *page)
{
    MUST(r->source == SOURCE_NONE);
    if (page->gap)
        break_off(r, page);
    r->source = SOURCE_PAGE;
    r->entries = page->entries;
    r->upto = page->upto;
    r->head = page->head;
}

/* --- what follows from it --- */

/* Hold an event of the feed that does not follow the position. The feed is in order, so held
 * events are, too. */
static void hold(struct reassembly *r, struct event *e)
{
    const struct event *back = deque_back(&r->held);
    if (r->held_bytes + e->entry.len > REASSEMBLY_HELD_MAX || (back && back->seq >= e->seq))
        return; /* it is fetched later */
    if (deque_push(&r->held, e) == 0) {
        event_ref(e);
        r->held_bytes += e->entry.len;
    }
}

/* Is it the turn of this event? Of the feed it follows the position. The broker has nothing between
 * the events of a page. */
static bool follows(const struct reassembly *r, const struct event *e)
{
    if (r->source == SOURCE_PAGE)
        return e->seq > r->position;
    return e->seq == r->position + 1 && !r->held.count;
}

/* Return e, of which the caller has a reference. */
static enum reassembly_news hand_on(struct reassembly *r, struct event *e, struct event **event)
{
    MUST(!r->current && e->seq > r->position);
    r->position = e->seq;
    r->current = *event = e;
    return REASSEMBLY_EVENT;
}

static enum reassembly_news next_entry(struct reassembly *r, struct event **event)
{
    while (r->entries.len) {
        size_t used;
        struct event *e = event_parse(r->entries, &used);
        if (!e) {
            r->entries.len = 0;
            return REASSEMBLY_INVALID;
        }

        r->entries = (struct slice){r->entries.data + used, r->entries.len - used};
        if (follows(r, e))
            return hand_on(r, e, event);
        if (r->source == SOURCE_BATCH && e->seq > r->position)
            hold(r, e);
        event_unref(&e);
    }
    return REASSEMBLY_NOTHING;
}

/* The next held event, if it follows the position now. If others remain, events are missing. */
static enum reassembly_news next_held(struct reassembly *r, struct event **event)
{
    struct event *e;
    drop_passed(r);
    e = deque_at(&r->held, 0);

    if (e && e->seq == r->position + 1) {
        event_ref(e);
        drop_front(r);
        return hand_on(r, e, event);
    }
    r->source = SOURCE_NONE;
    return r->held.count ? REASSEMBLY_MISSING : REASSEMBLY_NOTHING;
}

/* All events of the page were returned. */
static enum reassembly_news end_page(struct reassembly *r, struct event **event)
{
    if (r->upto > r->position) {
        r->position = r->upto;
        return REASSEMBLY_ADVANCED;
    }
    if (r->upto >= r->head)
        return next_held(r, event);
    r->source = SOURCE_NONE;
    return REASSEMBLY_MISSING;
}

enum reassembly_news reassembly_next(struct reassembly *r, struct event **event)
{
    event_unref(&r->current);
    if (r->missing) {
        r->missing = false;
        return REASSEMBLY_MISSING;
    }
    if (r->broken) {
        r->broken = false;
        return REASSEMBLY_BROKEN;
    }

    enum reassembly_news news = next_entry(r, event);
    if (news != REASSEMBLY_NOTHING)
        return news;
    if (r->source == SOURCE_PAGE)
        return end_page(r, event);
    r->source = SOURCE_NONE;
    return REASSEMBLY_NOTHING;
}
