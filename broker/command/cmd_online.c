/* online: the number of connections of a session. */
#include <errno.h>

#include "command/command.h"
#include "command/targets.h"

static const char *const fields[] = {"op", "ref", "session", NULL};

static int online_run(const struct command_context *c, const struct command_request *r,
                      struct buf *reply, struct json_fault *fault)
{
    struct slice session = {0};
    if (!json_has(r->object, "session"))
        return json_fault_at(fault, r->object, "session", "is missing");
    if (json_get_name(r->object, "session", &session, fault) != 0)
        return -EINVAL;
    if (targets_check_names(r->grant, session, (struct slice){0}, fault) != 0)
        return -EINVAL;
    size_t connections = presence_session_connections(c->presence, session);
    json_put_flag(reply, "online", connections > 0);
    json_put_count(reply, "connections", connections);
    return 0;
}

const struct command cmd_online = {.op = "online",
                                   .keeps_limits = true,
                                   .of_all = true,
                                   .roles = ROLE_PUBLISHER,
                                   .fields = fields,
                                   .run = online_run};
