#include "presence/describe.h"

#include "codec/grant.h"
#include "codec/meta.h"

void describe_session(struct buf *out, struct slice session)
{
    if (session.len)
        json_put_text(out, "session", session);
    else
        json_put_null(out, "session");
}

void describe_name(struct buf *out, struct slice id, const struct connection *c)
{
    struct connection_info info;
    connection_describe(c, &info);
    json_put_text(out, "connection", id);
    describe_session(out, info.session);
}

void describe_who(struct buf *out, struct slice id, const struct connection *c,
                  const struct names *channels)
{
    struct connection_info info;
    connection_describe(c, &info);
    describe_name(out, id, c);
    json_begin_list(out, "channels");
    for (size_t i = 0; i < info.channel_count; i++) {
        struct slice channel = connection_channel(c, i);
        if (!channels || patterns_match(channels, channel))
            json_put_text(out, NULL, channel);
    }
    json_end_list(out);
}

/* Labels come from a worker, which has checked them. An invalid label is left out. */
static void put_meta(struct buf *out, struct slice labels, struct slice meta)
{
    char name[META_LABEL_MAX + 1], text[META_VALUE_MAX];
    struct slice label, value;
    json_begin_object(out, "meta");
    while (wire_next_name(&labels, &label) && meta_next(&meta, text, &value)) {
        if (!value.len || !meta_label_valid(label))
            continue;
        memcpy(name, label.data, label.len);
        name[label.len] = '\0';
        json_put_text(out, name, value);
    }
    json_end_object(out);
}

void describe_meta(struct buf *out, const struct connection *c)
{
    struct connection_info info;
    connection_describe(c, &info);
    put_meta(out, info.labels, info.meta);
}

void describe_origin(struct buf *out, const struct connection *c)
{
    struct connection_info info;
    connection_describe(c, &info);
    json_put_text(out, "worker", info.worker);
    json_put_int(out, "since", info.since_ms);
    if (info.labels.len)
        put_meta(out, info.labels, info.meta);
}

void describe_lag(struct buf *out, const struct connection *c, uint64_t head)
{
    struct connection_info info;
    connection_describe(c, &info);
    uint64_t sent = info.lags && info.sent < head ? info.sent : head;
    json_put_count(out, "sent", sent);
    json_put_count(out, "queued", info.lags ? info.queued : 0);
    json_put_count(out, "lag", head - sent);
}
