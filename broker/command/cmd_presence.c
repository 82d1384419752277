/* presence: a snapshot of all connections in pages, with the number of the last change. A service
 * takes it before it follows the messages of the presence socket, or after it missed one.
 * docs/protocol.md says how pages and messages fit together. */
#include <errno.h>

#include "command/command.h"
#include "presence/describe.h"

static const char *const fields[] = {"op", "ref", "after", "limit", NULL};

/* After a lease every live worker has reported. */
static bool settled(const struct command_context *c)
{
    return c->uptime_ms > presence_lease(c->presence);
}

static void put_connections(struct buf *reply, const struct listing *list)
{
    json_begin_list(reply, "connections");
    for (size_t i = 0; i < list->count; i++) {
        json_begin_object(reply, NULL);
        describe_who(reply, list->items[i].name, list->items[i].value, NULL);
        describe_origin(reply, list->items[i].value);
        json_end_object(reply);
    }
    json_end_list(reply);
}

static int presence_run(const struct command_context *c, const struct command_request *r,
                        struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct slice after = {0};
    uint64_t limit = COMMAND_LIST_MAX;
    char epoch[PRESENCE_EPOCH_LEN];
    if (json_get_text(r->object, "after", &after, fault) != 0 ||
        json_get_count(r->object, "limit", 0, COMMAND_LIST_MAX, &limit, fault) != 0)
        return -EINVAL;
    struct listing list = {.items = items, .max = (size_t)limit, .after = after};
    if (limit)
        presence_list_connections(c->presence, (struct slice){0}, &list);
    json_put_text(reply, "run", slice_of(presence_feed_epoch(c->feed, epoch)));
    json_put_count(reply, "n", c->feed->n);
    json_put_flag(reply, "settled", settled(c));
    put_connections(reply, &list);
    json_put_flag(reply, "more", limit ? list.more : presence_connections(c->presence) > 0);
    return 0;
}

const struct command cmd_presence = {
    .op = "presence", .of_all = true, .fields = fields, .run = presence_run};
