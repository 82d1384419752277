#define LOG_SUBSYSTEM "broker"

#include "presence/hub_subscriptions.h"

#include "base/must.h"
#include "ops/log.h"

struct slice hub_walk_next(struct hub_walk *walk)
{
    struct slice name = {0};

    while (!name.len && subscription_next(&walk->packed, &walk->last))
        name = subscription_topic(&walk->last, walk->topic);
    return name;
}

bool hub_subscriptions_admit(uint64_t max, uint64_t count)
{
    if (count < max)
        return true;

    if (max)
        log_warn("more than %llu subscriptions of the Mercure protocol: "
                 "further ones are not told (max-subscriptions)",
                 (unsigned long long)max);
    return false;
}

/* The document of the subscription of the connection that has this topic. */
static void put_document(struct buf *out, struct slice channel, const struct connection *c)
{
    char topic[NAME_BYTES_MAX];
    struct connection_info info;
    struct subscription s = {0};

    connection_describe(c, &info);
    while (!out->len && subscription_next(&info.subscriptions, &s))
        if (slice_equal(subscription_topic(&s, topic), channel))
            subscription_put(out, &s);
}

/* Dialect 1.0 has a name for the event, 0.x has none. */
static void append_document(struct member_batch *t, const struct pair *p,
                            const struct buf *document, bool ends)
{
    struct member_event e = {
        .session = pair_member(p), .data = buf_slice(document), .remove = ends};
    MUST(p->channel->rules.kind == CHANNEL_OF_SUBSCRIPTION);
    if (document->failed || !document->len)
        return;

    e.name = subscription_is_old(e.data) ? "" : "mercure";
    member_batch_append(t, p->channel, &e);
}

void hub_subscription_begin(struct member_batch *t, const struct pair *p,
                            const struct connection *c)
{
    struct buf document = {0};
    put_document(&document, pair_channel(p), c);
    append_document(t, p, &document, false);
    buf_release(&document);
}

void hub_subscription_end(struct member_batch *t, const struct pair *p, const struct event *begun)
{
    struct buf document = {0};
    subscription_put_ended(&document, member_event_data(begun));
    append_document(t, p, &document, true);
    buf_release(&document);
}
