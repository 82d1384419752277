#include "upstream/unacked.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"

void unacked_release(struct unacked *r)
{
    buf_release(&r->ended);
    free(r->reports);
    *r = (struct unacked){0};
}

static void drop_front(struct unacked *r, size_t bytes)
{
    if (bytes == 0)
        return;
    memmove(r->ended.data, r->ended.data + bytes, r->ended.len - bytes);
    r->ended.len -= bytes;
    r->dropped += bytes;
    if (!r->ended.len)
        buf_release(&r->ended);
}

bool unacked_ended(struct unacked *r, const struct wire_presence_item *item, size_t max)
{
    wire_add_presence(&r->ended, item);
    if (r->ended.len <= max && !r->ended.failed)
        return true;
    r->dropped += r->ended.len;
    buf_release(&r->ended);
    return false;
}

/* Make room for one more report: move the list to the front, or let it grow. */
static bool make_room(struct unacked *r)
{
    if (r->first + r->count < r->cap)
        return true;
    if (r->first) {
        memmove(r->reports, r->reports + r->first, r->count * sizeof *r->reports);
        r->first = 0;
        return true;
    }
    struct unacked_report *reports =
        array_reserve(r->reports, &r->cap, r->count + 1, sizeof *reports);
    if (!reports)
        return false;

    r->reports = reports;
    return true;
}

uint64_t unacked_end(const struct unacked *r)
{
    return r->dropped + r->ended.len;
}

struct slice unacked_from(const struct unacked *r, uint64_t offset)
{
    if (offset < r->dropped)
        offset = r->dropped;
    if (offset >= unacked_end(r))
        return (struct slice){0};
    size_t skip = (size_t)(offset - r->dropped);
    return (struct slice){r->ended.data + skip, r->ended.len - skip};
}

/* Without memory a report is forgotten: the next one acknowledges its items. */
void unacked_sent(struct unacked *r, const struct unacked_report *report)
{
    MUST(!r->count || r->reports[r->first + r->count - 1].n < report->n);
    MUST(report->ended <= unacked_end(r));
    if (make_room(r))
        r->reports[r->first + r->count++] = *report;
}

void unacked_restart(struct unacked *r)
{
    r->first = r->count = 0;
}

bool unacked_acknowledge(struct unacked *r, uint64_t n, struct unacked_report *out)
{
    *out = (struct unacked_report){0};
    bool any = false;

    for (; r->count && r->reports[r->first].n <= n; r->first++, r->count--) {
        const struct unacked_report *report = &r->reports[r->first];
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
