/* log: shows the log level of the broker. `level` sets it, `workers` sets it for all workers,
 * too. */
#include <errno.h>

#include "command/command.h"
#include "ops/log.h"

static const char *const fields[] = {"op", "ref", "level", "workers", NULL};

/* The name of the level in text, or NULL. */
static const char *level_named(struct slice text)
{
    for (int i = 0; i < LOG_LEVELS; i++)
        if (slice_equal(text, slice_of(log_level_names[i])))
            return log_level_names[i];
    return NULL;
}

static int change(const struct command_context *c, const struct command_request *r, bool workers,
                  struct json_fault *fault)
{
    struct slice text = {0};
    if (json_get_text(r->object, "level", &text, fault) != 0)
        return -EINVAL;
    const char *name = level_named(text);
    if (!name)
        return json_fault_at(fault, r->object, "level",
                             "must be error, warn, info or debug, not \"%.*s\"",
                             text.len < 64 ? (int)text.len : 64, text.data);
    log_change_level(log_level_of(name), "command");
    if (workers)
        *c->workers_log_level = log_level_names[log_level_of(name)];
    return 0;
}

static int log_run(const struct command_context *c, const struct command_request *r,
                   struct buf *reply, struct json_fault *fault)
{
    const char *before = log_level_names[log_level()];
    bool workers = false;
    if (json_get_flag(r->object, "workers", &workers, fault) != 0)
        return -EINVAL;
    if (workers && !json_has(r->object, "level"))
        return json_fault_at(fault, r->object, "workers",
                             "goes with `level`: the levels of workers are not known here");
    if (json_has(r->object, "level") && change(c, r, workers, fault) != 0)
        return -EINVAL;
    json_put_text(reply, "level", slice_of(log_level_names[log_level()]));
    json_put_text(reply, "before", slice_of(before));
    return 0;
}

const struct command cmd_log = {.op = "log", .fields = fields, .run = log_run};
