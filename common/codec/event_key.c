/* event_key.c - an event with a key is for everyone, for one session or for one channel. */
#include "codec/event_key.h"

#include "base/bytes.h"
#include "base/must.h"

size_t event_excepted_names(const struct names lists[EVENT_LISTS])
{
    return lists[EXCEPT_SESSIONS].count + lists[EXCEPT_CHANNELS].count +
           lists[EXCEPT_CONNECTIONS].count;
}

static bool one_target(bool has_to, size_t sessions, size_t channels, size_t others)
{
    return !others && sessions + channels == (has_to ? 1 : 0);
}

bool event_key_allows(bool has_to, const struct names lists[EVENT_LISTS])
{
    size_t others = lists[TO_CONNECTIONS].count + event_excepted_names(lists);
    return one_target(has_to, lists[TO_SESSIONS].count, lists[TO_CHANNELS].count, others);
}

#define MEMBER_MARK '\x01' /* not in names */

struct slice event_member_key(struct slice session, char *out)
{
    MUST(session.len <= NAME_BYTES_MAX);
    out[0] = MEMBER_MARK;
    put_slice(out + 1, session);
    return (struct slice){out, 1 + session.len};
}

bool event_is_member_key(struct slice key, struct slice *session)
{
    if (!key.len || key.data[0] != MEMBER_MARK)
        return false;

    *session = (struct slice){key.data + 1, key.len - 1};
    return true;
}

bool event_is_value(const struct event *e)
{
    struct slice member;
    return e->key.len && !(e->is_private && event_is_member_key(e->key, &member));
}

bool event_is_replaced(const struct event *e)
{
    return e->superseded && event_is_value(e);
}

bool event_key_fits(const struct event *e)
{
    size_t others = e->counts[TO_CONNECTIONS];
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
        others += e->counts[list];

    if (!e->key.len)
        return !e->remove;
    return e->kind == EVENT_MESSAGE &&
           one_target(e->has_to, e->counts[TO_SESSIONS], e->counts[TO_CHANNELS], others);
}

enum event_target event_key_target(const struct event *e, struct slice *name)
{
    size_t session = 0, channel = 0;
    *name = (struct slice){0};

    MUST(e->key.len);
    if (event_next_name(e, TO_SESSIONS, &session, name))
        return TARGET_SESSION;
    return event_next_name(e, TO_CHANNELS, &channel, name) ? TARGET_CHANNEL : TARGET_EVERYONE;
}

struct event_place event_place_of(const struct event *e)
{
    struct slice member;
    struct event_place place;

    place.kind = event_key_target(e, &place.name);
    place.is_private =
        e->is_private && place.kind != TARGET_EVERYONE && !event_is_member_key(e->key, &member);
    return place;
}
