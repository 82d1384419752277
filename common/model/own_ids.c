#include "model/own_ids.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "base/table.h"

/* The events under one id. Nearly always it is one. */
struct named {
    struct event *event; /* NULL: not known which of them */
    size_t count;
};

/* What an entry in an index of own ids costs. */
static uint64_t id_cost(struct slice name)
{
    return name.len + OWN_ID_COST;
}

uint64_t own_ids_cost(const struct event *e)
{
    if (!e->id.len)
        return 0;

    uint64_t published = 1 + e->id.len + e->publisher.len + OWN_ID_COST;
    return event_shows_id(e) ? published + id_cost(e->id) : published;
}

int own_ids_init(struct own_ids *ids)
{
    *ids = (struct own_ids){table_new(sizeof(struct named)), table_new(sizeof(struct named)),
                            past_ids_new(0), 0};
    if (ids->published && ids->shown && ids->past)
        return 0;

    own_ids_release(ids);
    return -ENOMEM;
}

void own_ids_release(struct own_ids *ids)
{
    table_free(&ids->published);
    table_free(&ids->shown);
    past_ids_free(&ids->past);
}

/* --- events --- */

#define PUBLISHED_KEY_MAX (1 + NAME_BYTES_MAX + EVENT_PUBLISHER_MAX)

/* The name in `published`. The length in front keeps id and publisher apart. */
static struct slice published_key(struct slice publisher, struct slice id,
                                  char out[PUBLISHED_KEY_MAX])
{
    MUST(id.len <= NAME_BYTES_MAX && publisher.len <= EVENT_PUBLISHER_MAX);
    out[0] = (char)id.len;
    memcpy(out + 1, id.data, id.len);
    if (publisher.len)
        memcpy(out + 1 + id.len, publisher.data, publisher.len);
    return (struct slice){out, 1 + id.len + publisher.len};
}

static bool same_publication(const struct event *a, const struct event *b)
{
    return slice_equal(a->id, b->id) && slice_equal(a->publisher, b->publisher);
}

/* The newest event but e that e's publisher published with e's id. There hardly ever are two: a
 * broker appends no duplicate. */
static struct event *newest_beside(const struct deque *all, const struct event *e)
{
    struct event *found = NULL;
    for (size_t i = all->count; !found && i-- > 0;) {
        struct event *other = deque_at(all, i);
        if (other != e && same_publication(other, e))
            found = other;
    }
    return found;
}

/* Take one event off the index. Returns what is left under its name, or NULL. */
static struct named *drop_named(struct own_ids *ids, struct table *index, struct slice name)
{
    struct named *n = table_find(index, name);

    MUST(n && n->count > 0);
    if (--n->count > 0)
        return n;

    table_remove(index, n);
    MUST(ids->bytes >= id_cost(name));
    ids->bytes -= id_cost(name);
    return NULL;
}

/* Add one event to the index under a name. NULL when out of memory. */
static struct named *add_named(struct own_ids *ids, struct table *index, struct slice name)
{
    struct named *n = table_insert(index, name);

    if (n && n->count++ == 0)
        ids->bytes += id_cost(name);
    return n;
}

static void unlink_shown(struct own_ids *ids, const struct event *e)
{
    struct named *left = event_shows_id(e) ? drop_named(ids, ids->shown, e->id) : NULL;
    if (left && left->event == e)
        left->event = NULL; /* the one that is left showed an id that e had shown */
}

void own_ids_remove(struct own_ids *ids, const struct event *e, const struct deque *all)
{
    char key[PUBLISHED_KEY_MAX];
    if (!e->id.len)
        return;
    struct named *left = drop_named(ids, ids->published, published_key(e->publisher, e->id, key));
    if (left && left->event == e)
        left->event = newest_beside(all, e);
    unlink_shown(ids, e);
}

static int link_shown(struct own_ids *ids, struct event *e)
{
    if (!event_shows_id(e))
        return 0;
    struct named *n = add_named(ids, ids->shown, e->id);
    if (!n)
        return -ENOMEM;
    if (n->count == 1)
        n->event = e;
    return 0;
}

int own_ids_add(struct own_ids *ids, struct event *e)
{
    char key[PUBLISHED_KEY_MAX];
    if (!e->id.len)
        return 0;
    struct slice name = published_key(e->publisher, e->id, key);
    struct named *n = add_named(ids, ids->published, name);
    if (!n)
        return -ENOMEM;
    if (link_shown(ids, e) != 0) {
        drop_named(ids, ids->published, name);
        return -ENOMEM;
    }
    n->event = e;
    return 0;
}

/* --- past events --- */

int own_ids_limit_past(struct own_ids *ids, uint64_t max)
{
    struct past_ids *past = past_ids_new(max);
    if (!past)
        return -ENOMEM;

    past_ids_free(&ids->past);
    ids->past = past;
    return 0;
}

void own_ids_remember(struct own_ids *ids, const struct event *e)
{
    if (event_shows_id(e))
        past_ids_add(ids->past, past_id_hash(e->id), e->seq);
}

/* --- finding --- */

struct event *own_ids_published(const struct own_ids *ids, struct slice publisher, struct slice id)
{
    char key[PUBLISHED_KEY_MAX];
    if (!id.len || id.len > NAME_BYTES_MAX || publisher.len > EVENT_PUBLISHER_MAX)
        return NULL;

    const struct named *n = table_find(ids->published, published_key(publisher, id, key));
    return n ? n->event : NULL;
}

/* An event that is gone had the id as well, unless it is the one that is retained: a log can be
 * read again. */
static enum id_cursor find_shown(const struct named *n, uint64_t past, uint64_t *seq)
{
    bool one = n->count == 1 && n->event;
    if (!one || (past && past != n->event->seq))
        return CURSOR_AMBIGUOUS;
    *seq = n->event->seq;
    return CURSOR_EXACT;
}

enum id_cursor own_ids_find_cursor(const struct own_ids *ids, struct slice id, uint64_t *seq)
{
    const struct named *n = table_find(ids->shown, id);
    uint64_t past = past_ids_find(ids->past, past_id_hash(id));
    if (n)
        return find_shown(n, past, seq);
    if (past == 0)
        return CURSOR_UNKNOWN;
    if (past == PAST_ID_SEVERAL)
        return CURSOR_AMBIGUOUS;
    *seq = past;
    return CURSOR_EXACT;
}
