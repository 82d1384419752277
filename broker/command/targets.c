#include "command/targets.h"

#include <errno.h>

#include "command/command.h"

static const char *const list_names[TARGET_LISTS + 1] = {"sessions", "channels", "connections",
                                                         NULL};

int targets_read(const struct json_object *o, struct names lists[TARGET_LISTS],
                 struct json_fault *fault)
{
    int err = 0;
    for (int i = 0; i < TARGET_LISTS && !err; i++)
        err = json_get_names(o, list_names[i], &lists[i], fault);
    return err;
}

int targets_read_in(const struct json_object *o, const char *name, struct names lists[TARGET_LISTS],
                    bool *present, struct json_fault *fault)
{
    struct json_object inner = {0};
    int err = json_get_object(o, name, &inner, fault);
    *present = !err && inner.value;
    if (err || !inner.value)
        return err;
    err = json_check_fields(&inner, list_names, fault);
    return err ? err : targets_read(&inner, lists, fault);
}

/* The first name that no pattern matches; NULL when all do. */
static const struct slice *first_beyond(const struct names *patterns, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (!patterns_match(patterns, names->items[i]))
            return &names->items[i];
    return NULL;
}

/* Check that the sessions and channels in lists match the grant. */
static int check_lists(const struct grant *grant, const struct names lists[TARGET_LISTS],
                       const char *what, struct json_fault *fault)
{
    const struct slice *session = first_beyond(&grant->sessions, &lists[0]);
    const struct slice *beyond = session ? session : first_beyond(&grant->channels, &lists[1]);
    if (!beyond)
        return 0;
    return json_fault(fault, CODE_FORBIDDEN, "this key or token may not %s the %s \"%.*s\"", what,
                      session ? "session" : "channel", (int)beyond->len, beyond->data);
}

int targets_check(const struct grant *grant, bool present, const struct names lists[TARGET_LISTS],
                  struct json_fault *fault)
{
    if (!grant->limited)
        return 0;
    if (!present)
        return json_fault(
            fault, CODE_FORBIDDEN,
            "this key or token may not send to everyone; name its sessions or channels in `to`");
    if (lists[2].count)
        return json_fault(fault, CODE_FORBIDDEN, "this key or token may not send to connections");
    return check_lists(grant, lists, "send to", fault);
}

int targets_check_except(const struct grant *grant, const struct names lists[TARGET_LISTS],
                         struct json_fault *fault)
{
    return grant->limited ? check_lists(grant, lists, "except", fault) : 0;
}

size_t targets_count(const struct names lists[TARGET_LISTS])
{
    return lists[0].count + lists[1].count + lists[2].count;
}

int targets_check_count(uint64_t limit, const struct json_object *o,
                        const struct names lists[EVENT_LISTS], struct json_fault *fault)
{
    size_t count = targets_count(&lists[TO_SESSIONS]) + targets_count(&lists[EXCEPT_SESSIONS]);
    if (!limit || count <= limit)
        return 0;
    json_fault_of(
        fault, o,
        "names %zu sessions, channels and connections; accepted: at most %llu (--max-targets)",
        count, (unsigned long long)limit);
    fault->code = CODE_TOO_LARGE;
    return -EINVAL;
}

int targets_check_names(const struct grant *grant, struct slice session, struct slice channel,
                        struct json_fault *fault)
{
    if (!grant->limited)
        return 0;
    if (!session.len && !channel.len)
        return json_fault(fault, CODE_FORBIDDEN,
                          "this key or token may not ask about everyone; name what it is about");
    bool session_ok = !session.len || patterns_match(&grant->sessions, session);
    if (session_ok && (!channel.len || patterns_match(&grant->channels, channel)))
        return 0;
    struct slice beyond = session_ok ? channel : session;
    return json_fault(fault, CODE_FORBIDDEN, "this key or token may not ask about the %s \"%.*s\"",
                      session_ok ? "channel" : "session", (int)beyond.len, beyond.data);
}

/* Patterns for a list of targets; NULL: every name. */
static const struct names *patterns_of(const struct grant *grant, unsigned list)
{
    static const struct names none = {0};
    if (!grant->limited)
        return NULL;

    if (list == 0)
        return &grant->sessions;
    return list == 1 ? &grant->channels : &none;
}

static void put_list(struct buf *out, const char *name, const struct event *e, enum event_list list,
                     const struct names *patterns)
{
    size_t cursor = 0;
    struct slice item;
    if (!e->counts[list])
        return;
    json_begin_list(out, name);
    while (event_next_name(e, list, &cursor, &item))
        if (!patterns || patterns_match(patterns, item))
            json_put_text(out, NULL, item);
    json_end_list(out);
}

void targets_put(struct buf *out, const char *name, const struct event *e, enum event_list first,
                 const struct grant *grant)
{
    json_begin_object(out, name);
    for (unsigned i = 0; i < TARGET_LISTS; i++)
        put_list(out, list_names[i], e, first + i, patterns_of(grant, i));
    json_end_object(out);
}
