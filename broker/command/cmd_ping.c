/* ping: the version of the broker and the head of its sequence. */
#include "command/command.h"

static const char *const fields[] = {"op", "ref", NULL};

static int ping_run(const struct command_context *c, const struct command_request *r,
                    struct buf *reply, struct json_fault *fault)
{
    (void)r;
    (void)fault;
    json_put_text(reply, "version", slice_of(SSECAST_VERSION));
    json_put_count(reply, "head", sequence_head(c->sequence));
    json_put_int(reply, "now", c->now_ms);
    return 0;
}

const struct command cmd_ping = {
    .op = "ping", .keeps_limits = true, .roles = ROLE_PUBLISHER, .fields = fields, .run = ping_run};
