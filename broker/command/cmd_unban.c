/* unban: appends a record that lifts the bans of sessions. */
#include <errno.h>
#include <stdlib.h>

#include "codec/event_record.h"
#include "command/command.h"
#include "command/targets.h"

static const char *const fields[] = {"op", "ref", "sessions", NULL};

static int read_request(const struct command_context *c, const struct command_request *r,
                        struct names lists[EVENT_LISTS], struct json_fault *fault)
{
    if (!json_has(r->object, "sessions"))
        return json_fault(fault, CODE_BAD_REQUEST, "unban needs `sessions`");
    if (targets_read(r->object, &lists[TO_SESSIONS], fault) != 0)
        return -EINVAL;

    int err = targets_check_count(c->limits.targets, r->object, lists, fault);
    return err ? err : targets_check(r->grant, true, &lists[TO_SESSIONS], fault);
}

/* Encode all sessions as lifted bans. The caller frees the result; NULL when out of memory. */
static char *lifted(const struct names *sessions, size_t *len)
{
    size_t size = 0, at = 0;
    for (size_t i = 0; i < sessions->count; i++)
        size += event_ban_size(sessions->items[i]);

    char *text = malloc(size + 1);
    for (size_t i = 0; text && i < sessions->count; i++) {
        event_put_ban(text + at, sessions->items[i], 0);
        at += event_ban_size(sessions->items[i]);
    }

    *len = size;
    return text;
}

/* Sessions without a ban are included: another broker may have banned them before this record is
 * stored. */
static int append(const struct command_context *c, const struct names *sessions,
                  struct json_fault *fault)
{
    struct event_spec spec = {.kind = EVENT_BANS, .time_ms = c->now_ms};
    struct sequenced done;
    size_t len;
    char *text = lifted(sessions, &len);

    spec.data = (struct slice){text, len};
    int err = text ? sequence_append(c->sequence, &spec, &done) : -ENOMEM;
    free(text);
    return err ? json_fault(fault, CODE_STORE_FAILED, "the bans could not be lifted: %s",
                            err == -ENOSPC ? "too many at once for --history-bytes"
                                           : "out of memory")
               : 0;
}

static uint64_t count_active(const struct command_context *c, const struct names *sessions)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sessions->count; i++)
        count += bans_until(sequence_bans(c->sequence), sessions->items[i], c->now_ms) != 0;
    return count;
}

static int unban_run(const struct command_context *c, const struct command_request *r,
                     struct buf *reply, struct json_fault *fault)
{
    struct names lists[EVENT_LISTS] = {{0}}, *sessions = &lists[TO_SESSIONS];
    if (read_request(c, r, lists, fault) != 0)
        return -EINVAL;

    size_t before = bans_count(sequence_bans(c->sequence));
    uint64_t active = count_active(c, sessions);
    if (sessions->count && append(c, sessions, fault) != 0)
        return -EINVAL;

    size_t gone = before - bans_count(sequence_bans(c->sequence));
    json_put_count(reply, "lifted", active < gone ? active : gone);
    return 0;
}

const struct command cmd_unban = {.op = "unban",
                                  .keeps_limits = true,
                                  .fields = fields,
                                  .appends = true,
                                  .tells_sequence = true,
                                  .run = unban_run};
