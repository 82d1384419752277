/* bans: lists banned sessions, ordered by name, in pages (`after`). */
#include <errno.h>

#include "command/command.h"
#include "presence/listing.h"

static const char *const fields[] = {"op", "ref", "prefix", "after", "limit", NULL};

static void list_bans(const struct command_context *c, struct slice prefix, struct listing *list)
{
    const struct bans *bans = sequence_bans(c->sequence);
    const void *ban = NULL;
    struct slice session;
    int64_t until_ms;

    while ((ban = bans_next(bans, ban, &session, &until_ms)))
        if (until_ms > c->now_ms && slice_begins(session, prefix))
            listing_offer(list, session, ban);
}

static void put_bans(const struct command_context *c, const struct listing *list, struct buf *reply)
{
    const struct bans *bans = sequence_bans(c->sequence);

    json_begin_list(reply, "bans");
    for (size_t i = 0; i < list->count; i++) {
        struct slice session = list->items[i].name;
        json_begin_object(reply, NULL);
        json_put_text(reply, "session", session);
        json_put_int(reply, "until", bans_until(bans, session, c->now_ms));
        json_end_object(reply);
    }
    json_end_list(reply);
    json_put_flag(reply, "more", list->more);
}

static int bans_run(const struct command_context *c, const struct command_request *r,
                    struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct slice prefix = {0};
    struct listing list = {.items = items};
    if (command_read_sessions_page(r, &prefix, &list, fault) != 0)
        return -EINVAL;

    list_bans(c, prefix, &list);
    put_bans(c, &list, reply);
    return 0;
}

const struct command cmd_bans = {
    .op = "bans", .keeps_limits = true, .fields = fields, .tells_sequence = true, .run = bans_run};
