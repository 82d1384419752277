/* audience.c - a connection against the lists of an event. */
#include "codec/audience.h"

#include "codec/event_index.h"

static bool lists_hold(const struct event *e, enum event_list sessions, const struct audience *who)
{
    if (who->session.len && event_index_has(e, sessions, who->session))
        return true;
    if (event_index_has(e, sessions + 2, who->connection))
        return true;
    for (size_t i = 0; e->counts[sessions + 1] && i < who->channels.count; i++)
        if (event_index_has(e, sessions + 1, who->channels.items[i]))
            return true;
    return false;
}

bool event_concerns(const struct event *e, const struct audience *who)
{
    bool by_channel = who->every_channel && e->counts[TO_CHANNELS];
    return (!e->has_to || by_channel || lists_hold(e, TO_SESSIONS, who)) && !event_excludes(e, who);
}

bool event_names_itself(const struct event *e, const struct audience *who)
{
    struct audience itself = {.session = who->session, .connection = who->connection};
    return lists_hold(e, TO_SESSIONS, &itself);
}

bool event_is_hidden(const struct event *e, const struct audience *who)
{
    return e->is_private && who->public_only && !event_names_itself(e, who);
}

bool event_names_channel(const struct event *e, const struct audience *who)
{
    if (!e->counts[TO_CHANNELS])
        return false;

    bool found = who->every_channel;
    for (size_t i = 0; !found && i < who->channels.count; i++)
        found = event_index_has(e, TO_CHANNELS, who->channels.items[i]);
    return found;
}

bool event_excludes(const struct event *e, const struct audience *who)
{
    bool none = !e->counts[EXCEPT_SESSIONS] && !e->counts[EXCEPT_CHANNELS] &&
                !e->counts[EXCEPT_CONNECTIONS];
    return !none && lists_hold(e, EXCEPT_SESSIONS, who);
}
