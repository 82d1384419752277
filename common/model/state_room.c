#include "model/state_room.h"

#include "base/must.h"
#include "codec/event_key.h"
#include "codec/grant.h"

static uint64_t cost(const struct event *e)
{
    return e->entry.len + STATE_KEY_COST;
}

/* The key is the broker's own: it counts for its channel, and not for the state. *named: of a
 * session; else it is that of the number of members. */
static bool is_member(const struct event *e, bool *named)
{
    struct slice session = {0};
    bool is = event_is_member_key(e->key, &session);

    *named = session.len > 0;
    return is;
}

bool state_room_add(struct state_room *room, const struct event *e)
{
    bool named;
    if (is_member(e, &named)) {
        room->member_bytes += cost(e);
        return named;
    }

    room->count++;
    room->bytes += cost(e);
    return false;
}

bool state_room_remove(struct state_room *room, const struct event *e)
{
    bool named;
    if (is_member(e, &named)) {
        MUST(room->member_bytes >= cost(e));
        room->member_bytes -= cost(e);
        return named;
    }

    MUST(room->count > 0 && room->bytes >= cost(e));
    room->count--;
    room->bytes -= cost(e);
    return false;
}

struct state_limits state_limits_of_limited(const struct state_limits *limits)
{
    return (struct state_limits){.events = grant_limited_part(limits->events),
                                 .bytes = grant_limited_part(limits->bytes),
                                 .logged = grant_limited_part(limits->logged),
                                 .member_bytes = limits->member_bytes};
}

/* Members leave room for the numbers of members of channels, which are published when there is no
 * room for more members. */
static bool member_fits(const struct state_room *room, const struct event *e, bool named,
                        uint64_t limit)
{
    uint64_t most = named ? limit : limit + limit / 4;
    return !limit || room->member_bytes + cost(e) <= most;
}

static bool key_fits(const struct state_room *room, const struct event *e,
                     const struct event *before, const struct state_limits *limits)
{
    uint64_t replaced = before ? cost(before) : 0;
    uint64_t entries = room->bytes - room->count * STATE_KEY_COST;

    if (!before && room->count + 1 > limits->events)
        return false;
    if (limits->logged && cost(e) > replaced &&
        entries + cost(e) - (replaced ? replaced : STATE_KEY_COST) > limits->logged)
        return false;
    return cost(e) <= replaced || room->bytes - replaced + cost(e) <= limits->bytes;
}

bool state_room_fits(const struct state_room *room, const struct event *e,
                     const struct event *before, const struct state_limits *limits)
{
    bool named;
    if (is_member(e, &named))
        return member_fits(room, e, named, limits->member_bytes);
    return key_fits(room, e, before, limits);
}
