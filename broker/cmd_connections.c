/* connections: all, or those of one session, in the byte order of their ids, page by page (`after`). */
#include <errno.h>

#include "command.h"
#include "describe.h"
#include "targets.h"

static const char *const fields[] = {"op", "ref", "session", "after", "limit", NULL};

static int run(const struct command_context *c, const struct command_request *r, struct json_out *reply,
               struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct slice session = {0}, after = {0};
    uint64_t limit = COMMAND_LIST_DEFAULT;
    if (json_get_name(r->object, "session", &session, fault) != 0 ||
        json_get_text(r->object, "after", &after, fault) != 0 ||
        json_get_count(r->object, "limit", 1, COMMAND_LIST_MAX, &limit, fault) != 0 ||
        targets_check_names(r->grant, session, (struct slice){0}, fault) != 0)
        return -EINVAL;
    struct listing list = {.items = items, .max = (size_t)limit, .after = after};
    presence_list_connections(c->presence, session, &list);
    json_begin_list(reply, "connections");
    for (size_t i = 0; i < list.count; i++) {
        json_begin_object(reply, NULL);
        describe_who(reply, items[i].name, items[i].value, r->grant->limited ? &r->grant->channels : NULL);
        describe_origin(reply, items[i].value);
        describe_lag(reply, items[i].value, sequence_head(c->sequence));
        json_end_object(reply);
    }
    json_end_list(reply);
    json_put_flag(reply, "more", list.more);
    return 0;
}

const struct command cmd_connections = {
    .op = "connections", .keeps_limits = true, .of_all = true, .fields = fields, .run = run};
