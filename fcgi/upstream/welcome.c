#include "upstream/welcome.h"

#include "base/must.h"

void welcome_release(struct welcome *w)
{
    event_unref(&w->current);
    buf_release(&w->bans);
    buf_release(&w->entries);
    *w = (struct welcome){0};
}

/* --- pieces --- */

static void welcome_add(struct welcome *w, uint64_t run, uint64_t piece, struct buf *to,
                        struct slice content)
{
    MUST(w->step == WELCOME_IDLE);
    if (piece == 1) {
        welcome_release(w);
        w->run = run;
    }
    if (run != w->run || piece != w->count + 1)
        return; /* the welcome will show that one is missing */

    wire_add_bytes(to, content);
    w->count++;
}

void welcome_add_bans(struct welcome *w, const struct wire_bans *m)
{
    welcome_add(w, m->run, m->piece, &w->bans, m->bans);
}

void welcome_add_state(struct welcome *w, const struct wire_state *m)
{
    welcome_add(w, m->run, m->piece, &w->entries, m->entries);
}

bool welcome_is_complete(const struct welcome *w, const struct wire_welcome *m)
{
    bool whole = !w->bans.failed && !w->entries.failed;
    return !m->pieces || (w->run == m->run && w->count == m->pieces && whole);
}

/* --- taking out --- */

void welcome_begin(struct welcome *w, const struct wire_welcome *m)
{
    MUST(w->step == WELCOME_IDLE && welcome_is_complete(w, m));
    if (!m->pieces)
        welcome_release(w); /* pieces of a welcome that was lost */

    w->step = WELCOME_PIECES;
    w->rest = buf_slice(&w->bans);
    w->own = m->bans;
    w->position = m->head;
    w->since = m->bans_since;
}

static bool next_ban(struct welcome *w, struct welcome_item *out)
{
    return w->rest.len && wire_next_ban(&w->rest, &out->session, &out->until_ms);
}

/* First the bans of the pieces, then those of the welcome itself. */
static enum welcome_news welcome_next_ban(struct welcome *w, struct welcome_item *out)
{
    if (next_ban(w, out))
        return WELCOME_BAN;
    if (w->step == WELCOME_PIECES) {
        w->step = WELCOME_OWN;
        w->rest = w->own;
        if (next_ban(w, out))
            return WELCOME_BAN;
    }

    w->step = WELCOME_CLEAR;
    out->position = w->position;
    out->since = w->since;
    return WELCOME_ALL_BANS;
}

static enum welcome_news welcome_next_event(struct welcome *w, struct welcome_item *out)
{
    size_t used;
    if (w->rest.len && (w->current = event_parse(w->rest, &used))) {
        w->rest = (struct slice){w->rest.data + used, w->rest.len - used};
        out->event = w->current;
        return WELCOME_STATE;
    }

    out->position = w->position;
    welcome_release(w);
    return WELCOME_ALL_STATE;
}

enum welcome_news welcome_next(struct welcome *w, struct welcome_item *out)
{
    event_unref(&w->current);
    switch (w->step) {
    case WELCOME_IDLE:
        break;
    case WELCOME_PIECES:
    case WELCOME_OWN:
        return welcome_next_ban(w, out);
    case WELCOME_CLEAR:
        w->step = WELCOME_ENTRIES;
        w->rest = buf_slice(&w->entries);
        return WELCOME_STATE_CLEAR;
    case WELCOME_ENTRIES:
        return welcome_next_event(w, out);
    }
    return WELCOME_NOTHING;
}
