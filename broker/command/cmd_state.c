/* state: lists the newest event of each key, ordered by key, in pages (`after`).
 *
 * The same key may exist for several targets. They follow each other: everyone, sessions, channels.
 * A public event stands before a private one. So a position in the list is a key and its place. As
 * text it is the key, a line feed, the kind of the target and its name; the kind of a private event
 * is a capital. Names have no line feeds, so a key alone is the position behind all its places.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/audience.h"
#include "codec/event_key.h"
#include "command/command.h"
#include "command/event_json.h"
#include "command/targets.h"

#define REPLY_BYTES ((size_t)4 << 20) /* of entries in a page */

static const char *const fields[] = {"op", "ref", "prefix", "channel", "after", "limit", NULL};

struct position {
    struct slice key;
    bool whole; /* behind all places of the key */
    struct event_place place;
};

struct page {
    struct slice prefix, channel;
    struct position after;
    struct event *items[COMMAND_LIST_MAX]; /* ascending */
    size_t max, count;
    bool more;
};

static struct position position_of(const struct event *e)
{
    return (struct position){.key = e->key, .place = event_place_of(e)};
}

static int compare_places(const struct event_place *a, const struct event_place *b)
{
    if (a->kind != b->kind)
        return (int)a->kind - (int)b->kind;

    int order = listing_compare(a->name, b->name);
    return order ? order : a->is_private - b->is_private;
}

static int compare(const struct position *a, const struct position *b)
{
    int order = listing_compare(a->key, b->key);
    if (order || a->whole || b->whole)
        return order ? order : a->whole - b->whole;
    return compare_places(&a->place, &b->place);
}

/* Two for each target: public and private. */
static const char kinds[] = "eEsScC";
_Static_assert(TARGET_EVERYONE == 0 && TARGET_SESSION == 1 && TARGET_CHANNEL == 2,
               "the order of kinds");

static struct position parse_position(struct slice text)
{
    struct position p = {.key = text, .whole = true};
    const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
    const char *kind =
        end && end + 1 < text.data + text.len ? memchr(kinds, end[1], sizeof kinds - 1) : NULL;
    if (!kind)
        return p;

    p.key.len = (size_t)(end - text.data);
    p.whole = false;
    p.place.kind = (enum event_target)((kind - kinds) / 2);
    p.place.is_private = (kind - kinds) % 2;
    p.place.name = (struct slice){end + 2, text.len - p.key.len - 2};
    return p;
}

static void put_position(struct buf *reply, const struct position *p)
{
    char text[EVENT_KEY_MAX + NAME_BYTES_MAX + 2]; /* a shared log may have keys of any bytes */
    char *end = put_slice(text, p->key);

    *end++ = '\n';
    *end++ = kinds[2 * p->place.kind + p->place.is_private];
    end = put_slice(end, p->place.name);
    json_put_text(reply, "next", (struct slice){text, (size_t)(end - text)});
}

static bool is_wanted(const struct page *page, const struct event *e, const struct position *at)
{
    struct slice session;
    if (event_is_member_key(e->key, &session))
        return false; /* see cmd_members.c */
    if (page->channel.len &&
        !(at->place.kind == TARGET_CHANNEL && slice_equal(at->place.name, page->channel)))
        return false;
    return slice_begins(e->key, page->prefix) &&
           (!page->after.key.len || compare(at, &page->after) > 0);
}

static bool is_before(const struct event *e, const struct position *at)
{
    struct position own = position_of(e);
    return compare(&own, at) < 0;
}

/* How many items of the page are before this position. */
static size_t place_of(const struct page *page, const struct position *at)
{
    size_t from = 0, to = page->count;
    if (!to || is_before(page->items[to - 1], at))
        return to; /* often, because keys are offered in the order of their events */

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (is_before(page->items[middle], at))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Keep e when it is among the first. */
static void state_offer(void *context, struct event *e)
{
    struct page *page = context;
    struct position position = position_of(e);
    if (!is_wanted(page, e, &position))
        return;

    size_t at = place_of(page, &position);
    page->more = page->more || page->count == page->max;
    if (at == page->max)
        return;

    size_t moved = (page->count < page->max ? page->count : page->max - 1) - at;
    memmove(&page->items[at + 1], &page->items[at], moved * sizeof page->items[0]);
    page->items[at] = e;
    page->count += page->count < page->max;
}

static void select_page(const struct command_context *c, struct page *page)
{
    struct slice channels[] = {page->channel};
    struct audience who = {.channels = {channels, 1}};
    struct history_filter filter = {.who = page->channel.len ? &who : NULL, .now_ms = c->now_ms};

    state_each(sequence_state(c->sequence), &filter, state_offer, page);
}

static int put_page(const struct grant *grant, struct page *page, struct buf *reply)
{
    size_t bytes = 0, put = 0;
    int err = 0;

    json_begin_list(reply, "keys");
    for (; put < page->count && !err && bytes < REPLY_BYTES; put++) {
        err = event_json_put(reply, page->items[put], grant);
        bytes += page->items[put]->entry.len;
    }
    json_end_list(reply);

    bool more = page->more || put < page->count;
    json_put_flag(reply, "more", more);
    if (more) {
        struct position last = position_of(page->items[put - 1]);
        put_position(reply, &last);
    }
    return err;
}

static int state_run(const struct command_context *c, const struct command_request *r,
                     struct buf *reply, struct json_fault *fault)
{
    struct page page = {0};
    struct listing list = {0};
    if (json_get_text(r->object, "prefix", &page.prefix, fault) != 0 ||
        json_get_name(r->object, "channel", &page.channel, fault) != 0 ||
        command_read_page(r, &list, fault) != 0 ||
        targets_check_names(r->grant, (struct slice){0}, page.channel, fault) != 0)
        return -EINVAL;

    page.max = list.max;
    page.after = parse_position(list.after);
    select_page(c, &page);
    int err = put_page(r->grant, &page, reply);
    return err ? json_fault(fault, CODE_STORE_FAILED, "the state could not be read: out of memory")
               : 0;
}

const struct command cmd_state = {.op = "state",
                                  .keeps_limits = true,
                                  .fields = fields,
                                  .tells_sequence = true,
                                  .run = state_run};
