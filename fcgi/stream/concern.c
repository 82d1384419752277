#include "stream/concern.h"

#include "codec/event_key.h"
#include "codec/event_record.h"

struct audience concern_audience(const struct stream *s, struct slice *channels,
                                 char id[REGISTRY_ID_MAX])
{
    return (struct audience){
        .session = registry_session(stream_entry(s)),
        .connection = slice_of(registry_id(s->set->registry, stream_entry(s), id)),
        .channels = registry_channels(stream_entry(s), channels, REQUEST_CHANNELS_MAX),
        .every_channel = registry_in_all(stream_entry(s)),
        .public_only = !s->hub && !(s->of_hub && s->of_hub->grants),
    };
}

/* Is e addressed to the stream? As registry_route() has it. */
static bool is_addressed(const void *context, const struct event *e)
{
    const struct concern_reader *reader = context;
    const struct audience *own = &reader->own;
    if (e->kind == EVENT_MESSAGE && !e->has_to && !own->every_channel)
        return false; /* of the hub's streams, only those of every topic are sent it */
    return event_concerns(e, own) ||
           (registry_patterns_match(stream_entry(reader->stream), e) && !event_excludes(e, own));
}

#define LOOKS 16384u  /* at patterns of weight 1, in one reading */
#define LOOKS_MIN 64u /* events */

void concern_read_as(const struct stream *s, struct concern_reader *reader)
{
    size_t patterns = registry_pattern_weight_of(stream_entry(s));
    reader->stream = s;
    reader->own = reader->who = concern_audience(s, reader->channels, reader->id);
    reader->filter =
        (struct history_filter){.who = &reader->who, .now_ms = streams_broker_ms(s->set)};
    if (!patterns)
        return;

    reader->who.every_channel = true;
    reader->filter.selects = is_addressed;
    reader->filter.context = reader;
    reader->filter.look_max = LOOKS / patterns > LOOKS_MIN ? LOOKS / patterns : LOOKS_MIN;
}

/* --- shutdowns --- */

/* Was s opened before this shutdown? If that is unknown, the answer is yes: its client
 * reconnects. */
static bool opened_before(const struct stream *s, const struct event *e)
{
    if (e->seq <= s->opened_at)
        return false;
    if (s->confirmed && e->seq > s->opened_by)
        return true;
    return ordering_latest(&s->set->ordering, e->seq, e->time_ms) >= s->opened_us;
}

/* A page of a replay may contain a ban before the feed does: then set->bans does not have it
 * yet. */
static bool bans_itself(const struct stream *s, const struct event *e, int64_t now_ms)
{
    struct slice name, session = registry_session(stream_entry(s));

    if (!session.len || e->seq <= history_head(s->set->window) || !e->block_s ||
        e->time_ms + (int64_t)e->block_s * 1000 <= now_ms)
        return false;

    for (size_t cursor = 0; event_next_name(e, TO_SESSIONS, &cursor, &name);)
        if (slice_equal(name, session))
            return true;
    return false;
}

/* s was admitted because its ban was not known here yet. */
static bool admitted_early(const struct stream *s, const struct event *e)
{
    int64_t now_ms = streams_broker_ms(s->set);

    if (e->seq <= s->opened_at)
        return false;
    return bans_until(s->set->bans, registry_session(stream_entry(s)), now_ms) ||
           bans_itself(s, e, now_ms);
}

/* --- private events, and the hub's streams --- */

/* Does e have a topic that s, a stream of the hub, selects? e was routed to s, by a topic or by its
 * session or connection. */
static bool selects(const struct stream *s, const struct event *e)
{
    struct slice channels[REQUEST_CHANNELS_MAX];
    char connection[REGISTRY_ID_MAX];
    if (!e->has_to)
        return registry_in_all(stream_entry(s));
    if (!e->counts[TO_CONNECTIONS])
        return e->counts[TO_CHANNELS] > 0;

    struct audience who = concern_audience(s, channels, connection);
    return event_names_channel(e, &who) || registry_patterns_match(stream_entry(s), e);
}

/* Private events do. So do events about members, for streams of the hub: its topics need no
 * permission, but the list of members does. */
static bool needs_grant(const struct stream *s, const struct event *e)
{
    struct slice member;
    return e->is_private || (s->hub && event_is_member_key(e->key, &member));
}

/* An event that needs a grant reaches the session or connection that it names. Through a channel it
 * reaches the streams whose token grants one of its channels. */
static bool is_granted(const struct stream *s, const struct event *e)
{
    struct slice channels[REQUEST_CHANNELS_MAX];
    char connection[REGISTRY_ID_MAX];
    const struct selectors *grants = s->of_hub ? s->of_hub->grants : NULL;
    MUST(needs_grant(s, e) && e->has_to);
    if (s->hub)
        return grants && selectors_match_event(grants, e);

    /* a stream with grants has no channel that is not granted (request.c) */
    struct audience who = concern_audience(s, channels, connection);
    return event_names_itself(e, &who) || (grants && event_names_channel(e, &who));
}

bool concern_permits(const struct stream *s, const struct event *e)
{
    if (e->kind != EVENT_MESSAGE)
        return true;
    return (!s->hub || selects(s, e)) && (!needs_grant(s, e) || is_granted(s, e));
}

bool concern_includes(const struct stream *s, const struct event *e)
{
    if (event_is_record(e) || !concern_permits(s, e))
        return false;
    return e->kind != EVENT_SHUTDOWN || opened_before(s, e) || admitted_early(s, e);
}
