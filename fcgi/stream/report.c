#include "stream/report.h"

#include "base/must.h"
#include "codec/audience.h"
#include "stream/concern.h"

#define LAGGING_MAX 1000 /* slow streams in one report */

/* Has a broker acknowledged a report of s? */
static bool is_acknowledged(const struct stream *s)
{
    return stream_entry(s)->generation <= s->set->acked;
}

/* The presence item of s; channels and id as for concern_audience(). */
static struct wire_presence_item report_item(const struct stream *s, enum wire_item kind,
                                             struct slice *channels, char id[REGISTRY_ID_MAX])
{
    struct audience who = concern_audience(s, channels, id);
    return (struct wire_presence_item){.kind = kind,
                                       .connection = who.connection,
                                       .session = who.session,
                                       .since_ms = s->since_ms,
                                       .channels = who.channels,
                                       .acknowledged = is_acknowledged(s),
                                       .meta = registry_meta(stream_entry(s)),
                                       .subscriptions =
                                           s->of_hub ? s->of_hub->subscriptions : (struct slice){0},
                                       .cause = s->exchange.conn.cause};
}

void report_stream(struct stream *s, enum wire_item kind)
{
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    struct wire_presence_item item = report_item(s, kind, channels, id);
    MUST(item.cause < END_CAUSES);
    upstream_presence(s->set->upstream, &item);
}

struct snapshot {
    struct buf *b;
    size_t max;
};

static bool add_to_snapshot(void *owner, void *context)
{
    const struct stream *s = owner;
    const struct snapshot *to = context;
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    struct wire_presence_item item = report_item(s, ITEM_OPENED, channels, id);
    wire_add_presence(to->b, &item);
    return to->b->len < to->max && !to->b->failed;
}

static void add_connections(const struct streams *set, struct report_draft *draft)
{
    struct snapshot to = {&draft->items, draft->max};
    draft->further_connections =
        registry_each_from(set->registry, &draft->cursor, add_to_snapshot, &to);
}

/* The last position that the reader was sent: before the first event in its queue. */
static uint64_t sent_position(const struct stream *s)
{
    const struct event *e;
    for (size_t i = 0; (e = queue_at(&s->exchange.conn.queue, i)); i++)
        if (e->seq)
            return e->seq - 1;
    return s->state == STREAM_LIVE ? history_head(s->set->window) : s->cursor;
}

static void add_lagging(const struct streams *set, const struct conn_list *list, struct buf *b,
                        int *count)
{
    char id[REGISTRY_ID_MAX];
    struct conn *c;
    TAILQ_FOREACH (c, list, link) {
        if (*count == LAGGING_MAX)
            break;

        const struct stream *s = stream_of(c);
        if (!s || !set->window)
            continue;
        wire_add_presence(b, &(struct wire_presence_item){.kind = ITEM_LAGS,
                                                          .connection = slice_of(registry_id(
                                                              set->registry, stream_entry(s), id)),
                                                          .sent = sent_position(s),
                                                          .queued = queue_bytes(&c->queue)});
        (*count)++;
    }
}

/* First the streams that are behind, then those whose readers take nothing; the longest of each
 * first. */
static void add_all_lagging(const struct streams *set, struct buf *b)
{
    int count = 0;

    add_lagging(set, &set->exchanges->conns.behind, b, &count);
    add_lagging(set, &set->exchanges->conns.blocked, b, &count);
}

void report_fill(struct streams *set, struct report_draft *draft)
{
    streams_measure(set, draft->gauges);
    draft->mark = registry_generation(set->registry);
    if (draft->wants_connections)
        add_connections(set, draft);
    if (draft->wants_lags && !draft->further_connections)
        add_all_lagging(set, &draft->lags);
}

void report_send(struct streams *set)
{
    struct report_draft draft;
    while (upstream_next_report(set->upstream, &draft)) {
        report_fill(set, &draft);
        upstream_report(set->upstream, &draft);
    }
}

void report_leave(struct streams *set)
{
    upstream_leave(set->upstream);
    report_send(set);
}

void report_acknowledged(struct streams *set, uint64_t mark, uint64_t head)
{
    struct stream *s;
    MUST(mark >= set->acked && mark <= registry_generation(set->registry));
    set->acked = mark;

    while ((s = TAILQ_FIRST(&set->unconfirmed)) && stream_entry(s)->generation <= mark) {
        TAILQ_REMOVE(&set->unconfirmed, s, unconfirmed);
        s->confirmed = true;
        s->opened_by = head;
    }
}
