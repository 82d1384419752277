#include "log/journal_position.h"

#include <string.h>

#include "base/must.h"

static void position_forget(struct journal_position *p)
{
    p->offset = p->last_offset = p->overlap = 0;
    p->last = (struct batch_name){0};
}

/* --- the state of the stream --- */

bool position_may_catch_up(struct journal_position *p, const struct jetstream_reply *r, int64_t now)
{
    if (r->last >= p->offset || strcmp(p->created, r->created) != 0) {
        p->behind_since = 0;
        return false;
    }

    if (!p->behind_since)
        p->behind_since = now;
    return now - p->behind_since < POSITION_CATCH_UP_MS;
}

void position_other_server(struct journal_position *p)
{
    p->behind_since = 0;
}

static const char *position_difference(const struct journal_position *p,
                                       const struct jetstream_reply *r)
{
    if (!p->offset)
        return NULL;
    if (p->created[0] && strcmp(p->created, r->created) != 0)
        return "was created again";
    if (r->last < p->offset)
        return "lost its end, or is an older copy";
    if (!r->messages && r->last > p->offset)
        return "was emptied before all of it was read";
    return NULL;
}

const char *position_compare(struct journal_position *p, const struct jetstream_reply *r)
{
    const char *how = position_difference(p, r);
    if (how)
        position_forget(p);
    memcpy(p->created, r->created, sizeof p->created);
    return how;
}

uint64_t position_begin(struct journal_position *p, const struct jetstream_reply *r)
{
    p->target = r->last;
    if (!r->messages && !p->offset)
        p->offset = r->last;

    bool has_last = p->last_offset && p->last_offset >= r->first && r->messages;
    p->overlap = has_last ? p->last_offset : 0;
    p->overlap_name = p->last; /* an answer may change `last` before the consumer delivers it */
    return p->overlap ? p->overlap : p->offset + 1;
}

bool position_extend(struct journal_position *p, uint64_t last)
{
    if (p->target >= last)
        return false;
    p->target = last;
    return true;
}

bool position_at_target(const struct journal_position *p)
{
    return !p->overlap && p->offset >= p->target;
}

/* --- messages --- */

bool position_overlaps(struct journal_position *p, uint64_t sequence, struct slice message)
{
    struct batch t;
    uint64_t overlap = p->overlap;
    p->overlap = 0;
    if (!overlap || sequence != overlap)
        return true;
    if (batch_get(message, &t) == 0 && batch_same_name(&t.name, &p->overlap_name))
        return true;
    position_forget(p);
    return false;
}

void position_skip(struct journal_position *p, uint64_t sequence, int64_t at)
{
    p->offset = sequence;
    p->any = true;
    p->last_at = at;
}

void position_advance(struct journal_position *p, const struct batch_name *name, uint64_t sequence,
                      int64_t at)
{
    position_skip(p, sequence, at);
    p->last = *name;
    p->last_offset = sequence;
}

/* --- the check --- */

void position_require_check(struct journal_position *p)
{
    p->agreed = false;
    p->check_offset = 0;
}

uint64_t position_begin_check(struct journal_position *p, int64_t now)
{
    MUST(p->last_offset <= p->offset);
    if (p->agreed || p->check_offset)
        return 0;
    if (!p->last_offset) {
        p->agreed = true;
        return 0;
    }

    p->check_offset = p->last_offset;
    p->check_name = p->last;
    p->check_at = now;
    return p->check_offset;
}

bool position_end_late_check(struct journal_position *p, int64_t now)
{
    if (!p->check_offset || now - p->check_at < POSITION_CHECK_MS)
        return false;
    p->check_offset = 0;
    return true;
}

enum position_check position_judge(struct journal_position *p, const struct jetstream_reply *r)
{
    struct batch t;
    if (!p->check_offset || (r->code && r->error != JETSTREAM_NO_MESSAGE))
        return POSITION_UNDECIDED;

    bool is_gone = r->error == JETSTREAM_NO_MESSAGE; /* deleted, or never stored */
    if (is_gone && p->check_offset > p->target)
        return POSITION_UNKNOWN;

    bool same = batch_get((struct slice){r->begin, r->begin_len}, &t) == 0 &&
                batch_same_name(&t.name, &p->check_name);
    p->check_offset = 0;
    p->agreed = is_gone || same;
    if (p->agreed)
        return POSITION_AGREED;
    position_forget(p);
    return POSITION_DIFFERS;
}
