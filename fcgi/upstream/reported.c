#include "upstream/reported.h"

#include <stdlib.h>

#include "base/must.h"

void reported_release(struct reported *r)
{
    buf_release(&r->ended);
    free(r->reports);
    *r = (struct reported){0};
}

static void drop_front(struct reported *r, size_t bytes)
{
    if (bytes == 0)
        return;
    memmove(r->ended.data, r->ended.data + bytes, r->ended.len - bytes);
    r->ended.len -= bytes;
    r->dropped += bytes;
    if (!r->ended.len)
        buf_release(&r->ended);
}

bool reported_ended(struct reported *r, const struct wire_presence_item *item, size_t max)
{
    wire_add_presence(&r->ended, item);
    if (r->ended.len <= max && !r->ended.failed)
        return true;
    r->dropped += r->ended.len;
    buf_release(&r->ended);
    return false;
}

/* Room for one more at the end: those taken go, or the list grows. */
static bool make_room(struct reported *r)
{
    if (r->first + r->count < r->cap)
        return true;
    if (r->first) {
        memmove(r->reports, r->reports + r->first, r->count * sizeof *r->reports);
        r->first = 0;
        return true;
    }
    size_t cap = r->cap ? r->cap * 2 : 16;
    struct reported_report *reports = realloc(r->reports, cap * sizeof *reports);
    if (!reports)
        return false;
    r->reports = reports;
    r->cap = cap;
    return true;
}

uint64_t reported_end(const struct reported *r)
{
    return r->dropped + r->ended.len;
}

struct slice reported_from(const struct reported *r, uint64_t place)
{
    if (place < r->dropped)
        place = r->dropped;
    if (place >= reported_end(r))
        return (struct slice){0};
    size_t skip = (size_t)(place - r->dropped);
    return (struct slice){r->ended.data + skip, r->ended.len - skip};
}

/* Without memory a report is forgotten: what it told is taken with the next one. */
void reported_sent(struct reported *r, const struct reported_report *report)
{
    MUST(!r->count || r->reports[r->first + r->count - 1].n < report->n);
    MUST(report->ended <= reported_end(r));
    if (make_room(r))
        r->reports[r->first + r->count++] = *report;
}

void reported_restart(struct reported *r)
{
    r->first = r->count = 0;
}

bool reported_taken(struct reported *r, uint64_t n, struct reported_report *out)
{
    *out = (struct reported_report){0};
    bool any = false;

    for (; r->count && r->reports[r->first].n <= n; r->first++, r->count--) {
        const struct reported_report *report = &r->reports[r->first];
        bool whole = out->whole || report->whole;
        uint64_t mark = report->whole ? report->mark : out->mark;
        MUST(mark >= out->mark && report->ended >= out->ended);
        *out = *report;
        out->whole = whole;
        out->mark = mark;
        any = true;
    }

    if (!r->count)
        r->first = 0;
    if (out->ended > r->dropped)
        drop_front(r, (size_t)(out->ended - r->dropped));
    return any;
}
