/* members: lists the members of a channel, ordered by session, in pages (`after`). A channel has
 * members when presence-channels has its name. */
#include <errno.h>

#include "codec/audience.h"
#include "codec/event_key.h"
#include "command/command.h"
#include "command/targets.h"

static const char *const fields[] = {"op", "ref", "channel", "after", "limit", NULL};

static void members_offer(void *list, struct event *e)
{
    struct slice session;
    if (event_is_member_key(e->key, &session) && session.len)
        listing_offer(list, session, e);
}

static void select_page(const struct command_context *c, struct slice channel, struct listing *list)
{
    struct audience who = {.channels = {&channel, 1}};
    struct history_filter filter = {.who = &who, .now_ms = c->now_ms};

    state_each(sequence_state(c->sequence), &filter, members_offer, list);
}

/* Add `since` to what the event says. */
static void put_member(struct buf *reply, const struct event *e)
{
    struct slice data = member_event_data(e);
    json_begin_object(reply, NULL);
    if (data.len > 2)
        json_put_raw(reply, NULL, (struct slice){data.data + 1, data.len - 2});
    json_put_int(reply, "since", e->time_ms);
    json_end_object(reply);
}

static int read_channel(const struct command_context *c, const struct command_request *r,
                        struct slice *channel, struct json_fault *fault)
{
    if (json_get_name(r->object, "channel", channel, fault) != 0)
        return -EINVAL;
    if (!channel->len)
        return json_fault_at(fault, r->object, "channel", "is missing; members names one channel");
    if (targets_check_names(r->grant, (struct slice){0}, *channel, fault) != 0)
        return -EINVAL;
    if (!members_has(c->members, *channel))
        return json_fault(fault, CODE_NOT_FOUND,
                          "this channel has no members: it is not among --presence-channels");
    return 0;
}

static int members_run(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct listing list = {.items = items};
    struct slice channel = {0};
    if (read_channel(c, r, &channel, fault) != 0 || command_read_page(r, &list, fault) != 0)
        return -EINVAL;

    bool many;
    uint64_t count = members_count(c->members, channel, &many);
    select_page(c, channel, &list);
    json_put_text(reply, "channel", channel);
    json_begin_list(reply, "members");
    for (size_t i = 0; i < list.count; i++)
        put_member(reply, list.items[i].value);
    json_end_list(reply);
    if (many)
        json_put_count(reply, "count", count);
    json_put_flag(reply, "more", list.more);
    return 0;
}

const struct command cmd_members = {.op = "members",
                                    .keeps_limits = true,
                                    .fields = fields,
                                    .tells_sequence = true,
                                    .run = members_run};
