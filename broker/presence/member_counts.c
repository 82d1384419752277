#include "presence/member_counts.h"

#include <stdio.h>

#include "base/must.h"

#define TOLD_MS 1000      /* between two numbers of members of a channel */
#define CROWDED_MAX 100u  /* channels whose number is published in one batch */
#define COUNT_TEXT_MAX 40 /* bytes */

void member_counts_init(struct member_counts *counts, uint64_t max)
{
    *counts = (struct member_counts){.max = max};
    TAILQ_INIT(&counts->crowded);
}

void member_counts_note(struct member_counts *counts, struct channel *c)
{
    if (c->crowded)
        return;

    c->crowded = true;
    counts->count++;
    TAILQ_INSERT_TAIL(&counts->crowded, c, crowd);
}

/* Subscriptions have a bound of their own, max-subscriptions. */
void member_counts_added(struct member_counts *counts, struct channel *c)
{
    if (c->count > counts->max && c->rules.kind == CHANNEL_OF_SESSIONS)
        member_counts_note(counts, c);
}

void member_counts_leave_unnamed(struct member_counts *counts, struct channel *c)
{
    c->unnamed = true;
    member_counts_note(counts, c);
}

bool member_counts_many(const struct member_counts *counts, const struct channel *c)
{
    return c->count > counts->max || c->unnamed;
}

void member_counts_sweep(struct member_counts *counts)
{
    counts->due = counts->count > 0;
}

static bool is_early(const struct member_batch *t, const struct event *said)
{
    return t->now_ms >= said->time_ms && t->now_ms - said->time_ms < TOLD_MS;
}

/* Publish how many sessions the channel has, if that is news. False when there is nothing more to
 * say about the channel. */
static bool publish_count(struct member_counts *counts, struct member_batch *t, struct channel *c)
{
    const struct state *state = sequence_state(t->sequence);
    struct slice channel = table_name(c);
    const struct event *said = state_member(state, channel, (struct slice){0});

    c->unnamed = c->unnamed && c->count > state_members(state, channel);
    bool many = member_counts_many(counts, c);
    if (!many && !said)
        return false;

    char data[COUNT_TEXT_MAX];
    int len = snprintf(data, sizeof data, "{\"count\":%llu}", (unsigned long long)c->count);
    struct member_event e = {.name = MEMBERS_COUNT, .data = {data, (size_t)len}, .remove = !many};
    bool is_said = said && slice_equal(member_event_data(said), e.data);
    if (said && is_early(t, said))
        return true;
    if (!many || !is_said)
        member_batch_append(t, c, &e);
    return true;
}

void member_counts_append(struct member_counts *counts, struct member_batch *t, struct pairs *pairs)
{
    size_t left = counts->count < CROWDED_MAX ? counts->count : CROWDED_MAX;

    for (; left && !t->full; left--) {
        struct channel *c = TAILQ_FIRST(&counts->crowded);
        MUST(c && c->crowded);
        TAILQ_REMOVE(&counts->crowded, c, crowd);
        if (publish_count(counts, t, c)) {
            TAILQ_INSERT_TAIL(&counts->crowded, c, crowd);
            continue;
        }

        c->crowded = false;
        counts->count--;
        pairs_drop_channel(pairs, c);
    }
    counts->due = false;
}
