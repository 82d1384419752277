#include "presence/member_batch.h"

#include <errno.h>
#include <string.h>

#include "codec/event_key.h"

#define BATCH_EVENTS 500u /* of members; the next batch has the rest */

bool member_batch_append(struct member_batch *t, const struct channel *c,
                         const struct member_event *e)
{
    char key[EVENT_KEY_MAX];
    struct sequenced done;
    struct slice channel = table_name(c);
    uint64_t before = sequence_head(t->sequence);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE,
        .time_ms = t->now_ms,
        .event = slice_of(e->name),
        .data = e->data,
        .key = event_member_key(e->session, key),
        .remove = e->remove,
        .is_private = c->rules.kind == CHANNEL_OF_SUBSCRIPTION,
        .has_to = true,
        .lists = {[TO_CHANNELS] = {&channel, 1}},
    };

    int err = sequence_append(t->sequence, &spec, &done);
    t->state_full = t->state_full || err == -EDQUOT;
    if (err)
        return false;

    bool over = sequence_batch_bytes(t->sequence) > t->max_bytes;
    t->events++;
    t->full = t->events >= BATCH_EVENTS || over;
    if (over && t->events > 1) {
        sequence_rollback(t->sequence, before);
        return false;
    }
    return true;
}

struct slice member_event_data(const struct event *e)
{
    static const char field[] = "\ndata: ";
    const char *at = memmem(e->text.data, e->text.len, field, sizeof field - 1);
    const char *end = e->text.data + e->text.len;
    if (!at)
        return (struct slice){0};

    at += sizeof field - 1;
    const char *line = memchr(at, '\n', (size_t)(end - at));
    return (struct slice){at, (size_t)((line ? line : end) - at)};
}
