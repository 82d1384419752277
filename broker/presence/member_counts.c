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
    if (channel_staying(c) > counts->max && c->rules.kind == CHANNEL_OF_SESSIONS)
        member_counts_note(counts, c);
}

/* The departure of a pair may have come to nothing: then the session is still a member. */
uint64_t member_counts_number(const struct channel *c, const struct state *state)
{
    uint64_t staying = channel_staying(c), members = state_members(state, table_name(c));
    return staying > members ? staying : members;
}

bool member_counts_many(const struct channel *c, const struct state *state)
{
    return c->crowded && channel_staying(c) > state_members(state, table_name(c));
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
static bool publish_count(struct member_batch *t, const struct channel *c)
{
    const struct state *state = sequence_state(t->sequence);
    struct slice channel = table_name(c);
    const struct event *said = state_member(state, channel, (struct slice){0});

    bool many = member_counts_many(c, state);
    if (!many && !said)
        return false;

    char data[COUNT_TEXT_MAX];
    int len = snprintf(data, sizeof data, "{\"count\":%llu}",
                       (unsigned long long)member_counts_number(c, state));
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
        if (publish_count(t, c)) {
            TAILQ_INSERT_TAIL(&counts->crowded, c, crowd);
            continue;
        }

        c->crowded = false;
        counts->count--;
        pairs_drop_channel(pairs, c);
    }
    counts->due = false;
}
