#include "presence/pairs.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/must.h"

#define PAIR_NAME_MAX (1 + 2 * NAME_BYTES_MAX)

/* The length keeps channel and member apart. */
static struct slice pair_name(struct slice channel, struct slice member, char out[PAIR_NAME_MAX])
{
    MUST(channel.len <= NAME_BYTES_MAX && member.len <= NAME_BYTES_MAX);
    out[0] = (char)channel.len;
    char *end = put_slice(put_slice(out + 1, channel), member);
    return (struct slice){out, (size_t)(end - out)};
}

struct slice pair_channel(const struct pair *p)
{
    return table_name(p->channel);
}

struct slice pair_member(const struct pair *p)
{
    struct slice name = table_name(p);
    size_t before = 1 + pair_channel(p).len;
    return (struct slice){name.data + before, name.len - before};
}

struct pair *pairs_find(const struct pairs *set, struct slice channel, struct slice member)
{
    char name[PAIR_NAME_MAX];
    return table_find(set->pairs, pair_name(channel, member, name));
}

struct channel *pairs_channel(const struct pairs *set, struct slice channel)
{
    return table_find(set->channels, channel);
}

struct channel *pairs_add_channel(struct pairs *set, struct slice channel)
{
    struct channel *c = pairs_channel(set, channel);
    if (c)
        return c;

    c = table_insert(set->channels, channel);
    if (c)
        c->rules = set->rules(set->context, channel);
    MUST(!c || c->rules.kind < CHANNEL_KINDS);
    return c;
}

void pairs_drop_channel(struct pairs *set, struct channel *c)
{
    if (!c->count && !c->crowded)
        table_remove(set->channels, c);
}

struct pair *pairs_add(struct pairs *set, struct slice channel, struct slice member)
{
    char name[PAIR_NAME_MAX];
    struct channel *c = pairs_add_channel(set, channel);
    if (!c)
        return NULL;

    struct pair *p = table_insert(set->pairs, pair_name(channel, member, name));
    if (!p) {
        pairs_drop_channel(set, c);
        return NULL;
    }

    MUST(!p->channel);
    p->channel = c;
    c->count++;
    set->counts[c->rules.kind]++;
    TAILQ_INSERT_TAIL(&set->all, p, all);
    return p;
}

void pair_set_left(struct pair *p, bool left)
{
    if (p->left == left)
        return;

    MUST(left ? p->channel->left < p->channel->count : p->channel->left > 0);
    p->left = left;
    p->channel->left += left ? 1 : (uint64_t)-1;
}

uint64_t channel_staying(const struct channel *c)
{
    MUST(c->left <= c->count);
    return c->count - c->left;
}

void pairs_drop(struct pairs *set, struct pair *p)
{
    struct channel *c = p->channel;
    MUST(c->count > 0 && set->counts[c->rules.kind] > 0);

    pair_set_left(p, false);
    expiry_remove(&set->due, &p->expiry);
    TAILQ_REMOVE(&set->all, p, all);
    table_remove(set->pairs, p);
    set->counts[c->rules.kind]--;
    c->count--;
    pairs_drop_channel(set, c);
}

void pairs_look_at(struct pairs *set, struct pair *p, int64_t at)
{
    if (p->expiry.place && p->expiry.at <= at)
        return;

    expiry_remove(&set->due, &p->expiry);
    expiry_add(&set->due, &p->expiry, at);
}

int64_t pairs_due(const struct pairs *set)
{
    const struct expiry_item *first = expiry_first(&set->due);
    return first ? first->at : INT64_MAX;
}

struct pair *pairs_next_due(struct pairs *set, int64_t now)
{
    struct pair *p = (struct pair *)expiry_first(&set->due);
    if (!p || p->expiry.at > now)
        return NULL;

    expiry_remove(&set->due, &p->expiry);
    return p;
}

struct pair *pairs_turn(struct pairs *set)
{
    struct pair *p = TAILQ_FIRST(&set->all);
    if (!p)
        return NULL;

    TAILQ_REMOVE(&set->all, p, all);
    TAILQ_INSERT_TAIL(&set->all, p, all);
    return p;
}

int pairs_init(struct pairs *set, pairs_rules *rules, const void *context)
{
    *set = (struct pairs){.rules = rules, .context = context};
    TAILQ_INIT(&set->all);
    set->pairs = table_new(sizeof(struct pair));
    set->channels = table_new(sizeof(struct channel));
    return set->pairs && set->channels ? 0 : -ENOMEM;
}

void pairs_release(struct pairs *set)
{
    table_free(&set->pairs);
    table_free(&set->channels);
    expiry_release(&set->due);
}
