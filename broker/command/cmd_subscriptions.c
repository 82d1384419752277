/* subscriptions: lists the subscriptions of the hub's streams (docs/mercure.md), as documents:
 * those of one topic, or all below a path. The reply begins with the head, which is the cursor of a
 * stream that goes on from the list. */
#include <errno.h>

#include "codec/event_key.h"
#include "codec/subscription.h"
#include "command/command.h"

#define DOCUMENTS_BYTES_MAX (4u << 20) /* the rest is left out */

static const char *const fields[] = {"op", "ref", "path", "old", NULL};

/* What is asked, and the reply. */
struct subscription_search {
    struct slice path;
    bool old; /* documents of dialect 0.x, else of 1.0 */
    struct buf *reply;
    size_t from;
    bool more;
};

static bool is_below(struct slice topic, struct slice path)
{
    return slice_begins(topic, path) && (topic.len == path.len || topic.data[path.len] == '/');
}

static void subscriptions_visit(void *context, struct event *e)
{
    struct subscription_search *s = context;
    struct slice topic, document;
    event_key_target(e, &topic);
    if (!is_below(topic, s->path))
        return;

    document = member_event_data(e);
    if (!document.len || subscription_is_old(document) != s->old)
        return;
    if (s->reply->len - s->from + document.len > DOCUMENTS_BYTES_MAX)
        s->more = true;
    else
        json_put_raw(s->reply, NULL, document);
}

static int subscriptions_run(const struct command_context *c, const struct command_request *r,
                             struct buf *reply, struct json_fault *fault)
{
    struct subscription_search s = {.reply = reply, .from = reply->len};
    int err = json_get_text(r->object, "path", &s.path, fault);
    err = err ? err : json_get_flag(r->object, "old", &s.old, fault);
    if (err)
        return err;
    if (!subscription_is_topic(s.path))
        return json_fault_at(fault, r->object, "path",
                             "is not valid; accepted: " HUB_RESERVED " or a path below it");

    json_put_count(reply, "head", sequence_head(c->sequence));
    json_begin_list(reply, "subscriptions");
    state_each_subscription(sequence_state(c->sequence), c->now_ms, subscriptions_visit, &s);
    json_end_list(reply);
    json_put_flag(reply, "more", s.more);
    return 0;
}

const struct command cmd_subscriptions = {.op = "subscriptions",
                                          .roles = 0,
                                          .fields = fields,
                                          .tells_sequence = true,
                                          .run = subscriptions_run};
