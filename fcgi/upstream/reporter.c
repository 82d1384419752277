#include "upstream/reporter.h"

#include <string.h>

#include "base/must.h"

void reporter_init(struct reporter *r, size_t piece_bytes, int64_t renew_ms)
{
    MUST(renew_ms > 0);
    *r = (struct reporter){.piece_bytes = piece_bytes ? piece_bytes : WIRE_PIECE_BYTES,
                           .renew_ms = renew_ms};
}

void reporter_release(struct reporter *r)
{
    buf_release(&r->changes);
    unacked_release(&r->unacked);
}

bool reporter_note(struct reporter *r, const struct wire_presence_item *item, bool connected)
{
    if (connected && !r->lost)
        wire_add_presence(&r->changes, item);
    return item->kind != ITEM_ENDED || unacked_ended(&r->unacked, item, REPORTER_ENDED_MAX);
}

void reporter_lose(struct reporter *r)
{
    r->lost = true;
}

/* Move changes since the last report to items, up to max bytes. */
static void take_changes(struct reporter *r, struct buf *items, size_t max)
{
    size_t ended, left;
    MUST(items->len < max);
    struct slice piece = wire_cut_presence(buf_slice(&r->changes), max - items->len, &ended);
    wire_add_bytes(items, piece);
    r->covered += ended;
    left = r->changes.len - piece.len;

    if (left)
        memmove(r->changes.data, r->changes.data + piece.len, left);
    r->changes.len = left;
    if (!left)
        buf_release(&r->changes);
}

/* --- in full --- */

static void begin_full(struct reporter *r)
{
    buf_release(&r->changes);
    unacked_restart(&r->unacked);
    r->covered = unacked_end(&r->unacked) - unacked_from(&r->unacked, 0).len;
    r->acked_n = r->n;
    r->lost = false;
    r->full = (struct full_report){.active = true, .ended_to = unacked_end(&r->unacked)};
}

/* Add connections that ended before the report began. True when there are more. */
static bool add_ended(struct reporter *r, struct buf *items)
{
    size_t ended;
    struct slice left = unacked_from(&r->unacked, r->covered);
    size_t later = (size_t)(unacked_end(&r->unacked) - r->full.ended_to);
    if (r->covered >= r->full.ended_to || left.len <= later)
        return false; /* or it was dropped */

    left.len -= later;
    struct slice piece = wire_cut_presence(left, r->piece_bytes, &ended);
    wire_add_bytes(items, piece);
    r->covered += piece.len;
    return piece.len < left.len;
}

static void draft_piece(struct reporter *r, struct report_draft *d)
{
    struct full_report *full = &r->full;
    bool more = add_ended(r, &d->items);
    if (!more && d->items.len < d->max)
        take_changes(r, &d->items, d->max);
    more = more || r->changes.len;

    d->full = true;
    d->rest = full->rest;
    d->cursor = full->cursor;
    d->wants_connections = !more && !full->walked && d->items.len < d->max;
    d->more = more || (!full->walked && !d->wants_connections);
    d->whole = d->wants_lags = !d->more;
}

/* A few pieces are sent at a time, and more as they are acknowledged. A piece that is due renews
 * the lease and does not wait. */
static bool piece_is_due(const struct reporter *r, int64_t now)
{
    bool due = now - r->report_at >= r->renew_ms;
    return r->leaving || due || r->n - r->acked_n < REPORTER_UNDER_WAY;
}

/* --- which one is next --- */

static void draft_changes(struct reporter *r, struct report_draft *d, bool lags)
{
    take_changes(r, &d->items, d->max);
    d->whole = !r->changes.len;
    d->wants_lags = lags;
}

static bool next_changes(struct reporter *r, int64_t now, struct report_draft *d)
{
    bool lags = now - r->lags_at >= r->renew_ms;
    if (lags || r->changes.len)
        draft_changes(r, d, lags);
    else if (r->leaving)
        d->bye = d->whole = true;
    else
        return false;
    return true;
}

void reporter_resume(struct reporter *r)
{
    r->stalled = false;
}

void reporter_leave(struct reporter *r, bool all)
{
    r->leaving = true;
    r->stalled = false;
    if (all || r->lost || r->changes.failed || r->full.active)
        begin_full(r);
}

bool reporter_next(struct reporter *r, int64_t now, struct report_draft *draft)
{
    if (r->left || r->stalled)
        return false;

    if (r->lost || r->changes.failed)
        begin_full(r);
    if (r->full.active && !piece_is_due(r, now))
        return false;

    *draft = (struct report_draft){.max = r->piece_bytes};
    if (!r->full.active)
        return next_changes(r, now, draft);
    draft_piece(r, draft);
    return true;
}

/* --- sending --- */

static bool has_more(const struct report_draft *d)
{
    return d->more || d->further_connections;
}

static bool has_lags(const struct report_draft *d)
{
    return d->wants_lags && !d->further_connections;
}

void reporter_encode(const struct reporter *r, const struct report_draft *draft,
                     const uint64_t counters[WORKER_COUNTERS], struct buf *b)
{
    struct wire_presence m = {.n = r->n + 1,
                              .full = draft->full,
                              .rest = draft->rest,
                              .more = has_more(draft),
                              .bye = draft->bye,
                              .lags = has_lags(draft),
                              .acked_epoch = r->acked_epoch};
    MUST(!draft->further_connections || draft->wants_connections);
    memcpy(m.gauges, draft->gauges, sizeof m.gauges);
    memcpy(m.counters, counters, sizeof m.counters);
    wire_put_presence(b, &m);
    wire_add_items(b, &draft->items);
    if (has_lags(draft))
        wire_add_items(b, &draft->lags);
    b->failed = b->failed || draft->items.failed || draft->lags.failed;
}

static void note_sent(struct reporter *r, const struct report_draft *d, int64_t sent_us)
{
    uint64_t end = unacked_end(&r->unacked);
    bool whole = d->whole && !d->further_connections;
    struct unacked_report report = {.n = r->n,
                                    .whole = whole,
                                    .ended = r->covered < end ? r->covered : end,
                                    .sent_at = sent_us};
    if (whole)
        report.mark = d->mark;
    unacked_sent(&r->unacked, &report);
}

/* The piece was sent; what remains of the report. */
static void note_piece(struct reporter *r, const struct report_draft *d)
{
    r->full.rest = true;
    r->full.active = has_more(d);
    r->full.cursor = d->cursor;
    if (d->wants_connections)
        r->full.walked = !d->further_connections;
}

void reporter_sent(struct reporter *r, struct report_draft *draft, bool sent, int64_t now,
                   int64_t sent_us)
{
    r->n++;
    r->report_at = now;
    if (has_lags(draft))
        r->lags_at = now;
    r->lost = r->stalled = !sent;
    r->left = r->left || draft->bye;

    if (sent)
        note_sent(r, draft, sent_us);
    if (sent && draft->full)
        note_piece(r, draft);
    else if (draft->full)
        r->full.active = false;
    buf_release(&draft->items);
    buf_release(&draft->lags);
}

bool reporter_acknowledge(struct reporter *r, uint64_t n, uint64_t run, struct unacked_report *out)
{
    if (r->acked_n < n)
        r->acked_n = n;
    if (!unacked_acknowledge(&r->unacked, n, out))
        return false;

    if (out->whole)
        r->acked_epoch = run;
    return true;
}
