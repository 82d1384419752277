/* sessions: lists connected sessions, ordered by name, in pages (`after`). */
#include <errno.h>

#include "command/command.h"

static const char *const fields[] = {"op", "ref", "prefix", "after", "limit", NULL};

static int sessions_run(const struct command_context *c, const struct command_request *r,
                        struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct slice prefix = {0};
    struct listing list = {.items = items};
    if (command_read_sessions_page(r, &prefix, &list, fault) != 0)
        return -EINVAL;

    presence_list_sessions(c->presence, prefix, &list);
    json_begin_list(reply, "sessions");
    for (size_t i = 0; i < list.count; i++) {
        json_begin_object(reply, NULL);
        json_put_text(reply, "session", list.items[i].name);
        json_put_count(reply, "connections", presence_listed_connections(&list.items[i]));
        json_end_object(reply);
    }
    json_end_list(reply);
    json_put_flag(reply, "more", list.more);
    return 0;
}

const struct command cmd_sessions = {
    .op = "sessions", .keeps_limits = true, .of_all = true, .fields = fields, .run = sessions_run};
