/* connections: lists connections, all or of one session, ordered by id, in pages (`after`). */
#include <errno.h>

#include "command/command.h"
#include "command/targets.h"
#include "presence/describe.h"

static const char *const fields[] = {"op", "ref", "session", "after", "limit", NULL};

static int connections_run(const struct command_context *c, const struct command_request *r,
                           struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct slice session = {0};
    struct listing list = {.items = items};
    if (json_get_name(r->object, "session", &session, fault) != 0 ||
        command_read_page(r, &list, fault) != 0 ||
        targets_check_names(r->grant, session, (struct slice){0}, fault) != 0)
        return -EINVAL;

    presence_list_connections(c->presence, session, &list);
    json_begin_list(reply, "connections");
    for (size_t i = 0; i < list.count; i++) {
        json_begin_object(reply, NULL);
        describe_who(reply, items[i].name, items[i].value,
                     r->grant->limited ? &r->grant->channels : NULL);
        describe_origin(reply, items[i].value);
        describe_lag(reply, items[i].value, sequence_head(c->sequence));
        json_end_object(reply);
    }
    json_end_list(reply);
    json_put_flag(reply, "more", list.more);
    return 0;
}

const struct command cmd_connections = {.op = "connections",
                                        .keeps_limits = true,
                                        .of_all = true,
                                        .fields = fields,
                                        .run = connections_run};
