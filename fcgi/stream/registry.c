/* All connections stand in an array of slots (a broadcast walks it); sessions and channels are
 * lists through the entries. An id names its slot, so finding a connection by id needs no table. */
#include "stream/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/table.h"
#include "stream/pattern_index.h"

/* Of struct group. */
enum group_kind { GROUP_SESSION, GROUP_CHANNEL, GROUP_PATTERN };

/* A GROUP_PATTERN. */
struct pattern_group {
    struct group group; /* first */
    struct indexed_pattern index;
    struct pattern *pattern;
    LIST_ENTRY(pattern_group) found; /* by the topic that is routed */
    LIST_ENTRY(pattern_group) empty;
};

LIST_HEAD(pattern_group_list, pattern_group);

struct registry {
    char prefix[REGISTRY_PREFIX_MAX + 1];
    struct table *sessions, *channels; /* name -> struct group */
    struct table *patterns;            /* identity -> struct pattern_group */
    struct pattern_index *index;       /* of patterns */
    size_t pattern_weight;             /* of patterns, each once */
    struct registry_entry **slots;
    uint32_t *free_slots; /* a stack of them */
    uint32_t slot_cap, free_count;
    uint32_t used;                                  /* slots below this have been used */
    TAILQ_HEAD(in_all_list, registry_entry) in_all; /* those in every channel */
    size_t count;
    uint64_t generation;
    uint64_t walk;
    bool routing;                    /* groups of patterns stay while an event is routed */
    struct pattern_group_list empty; /* those without members meanwhile */
};

struct registry *registry_new(const char *prefix)
{
    struct registry *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    TAILQ_INIT(&r->in_all);
    LIST_INIT(&r->empty);
    snprintf(r->prefix, sizeof r->prefix, "%s", prefix);
    r->sessions = table_new(sizeof(struct group));
    r->channels = table_new(sizeof(struct group));
    r->patterns = table_new(sizeof(struct pattern_group));
    r->index = pattern_index_new();
    if (!r->sessions || !r->channels || !r->patterns || !r->index)
        registry_free(&r);
    return r;
}

void registry_free(struct registry **r)
{
    if (!*r)
        return;
    table_free(&(*r)->sessions);
    table_free(&(*r)->channels);
    table_free(&(*r)->patterns);
    pattern_index_free(&(*r)->index);
    free((*r)->slots);
    free((*r)->free_slots);
    free(*r);
    *r = NULL;
}

/* --- slots --- */

static int grow_slots(struct registry *r)
{
    uint32_t cap = r->slot_cap ? r->slot_cap * 2 : 64;
    struct registry_entry **slots = realloc(r->slots, cap * sizeof(struct registry_entry *));
    if (slots)
        r->slots = slots;
    uint32_t *free_slots = realloc(r->free_slots, cap * sizeof *free_slots);
    if (free_slots)
        r->free_slots = free_slots;
    if (!slots || !free_slots)
        return -ENOMEM;
    r->slot_cap = cap;
    return 0;
}

static int take_slot(struct registry *r, struct registry_entry *entry)
{
    if (!r->free_count && r->used == r->slot_cap && grow_slots(r) != 0)
        return -ENOMEM;
    entry->slot = r->free_count ? r->free_slots[--r->free_count] : r->used++;
    entry->generation = ++r->generation;
    r->slots[entry->slot] = entry;
    r->count++;
    return 0;
}

static void give_slot(struct registry *r, const struct registry_entry *entry)
{
    r->slots[entry->slot] = NULL;
    r->free_slots[r->free_count++] = entry->slot;
    r->count--;
}

/* --- groups --- */

static int registry_join(struct table *names, struct slice name, enum group_kind kind,
                         struct membership *m)
{
    MUST(name.len > 0); /* connections without a session share no group */
    struct group *g = table_insert(names, name);
    if (!g)
        return -ENOMEM;
    g->kind = kind;
    group_enter(g, m);
    return 0;
}

static struct pattern_group *pattern_group_of(struct group *g)
{
    MUST(g->kind == GROUP_PATTERN);
    return (struct pattern_group *)g;
}

static void drop_pattern(struct registry *r, struct pattern_group *g)
{
    MUST(g->group.count == 0 && !r->routing);
    pattern_index_remove(r->index, &g->index);
    MUST(r->pattern_weight >= pattern_weight(g->pattern));
    r->pattern_weight -= pattern_weight(g->pattern);
    pattern_unref(&g->pattern);
    table_remove(r->patterns, g);
}

/* g has no members any more. */
static void drop_group(struct registry *r, struct group *g)
{
    if (g->kind != GROUP_PATTERN)
        table_remove(g->kind == GROUP_CHANNEL ? r->channels : r->sessions, g);
    else if (r->routing)
        LIST_INSERT_HEAD(&r->empty, pattern_group_of(g), empty);
    else
        drop_pattern(r, pattern_group_of(g));
}

static int join_pattern(struct registry *r, struct pattern *pattern, struct membership *m)
{
    MUST(!r->routing);
    struct pattern_group *g = table_insert(r->patterns, pattern_identity(pattern));
    if (!g)
        return -ENOMEM;

    if (!g->pattern) {
        if (pattern_index_add(r->index, &g->index, pattern) != 0) {
            table_remove(r->patterns, g);
            return -ENOMEM;
        }
        g->pattern = pattern_ref(pattern);
        r->pattern_weight += pattern_weight(pattern);
    }
    g->group.kind = GROUP_PATTERN;
    group_enter(&g->group, m);
    return 0;
}

static void registry_leave(struct registry *r, struct membership *m)
{
    struct group *g = group_leave(m);
    if (g && g->count == 0)
        drop_group(r, g);
}

static struct registry_entry *new_entry(void *owner, size_t members, struct slice meta)
{
    MUST(members <= UINT16_MAX && meta.len <= UINT16_MAX);
    struct registry_entry *entry =
        calloc(1, sizeof *entry + members * sizeof entry->members[0] + meta.len);
    if (!entry)
        return NULL;
    entry->owner = owner;
    entry->member_count = (uint16_t)members;
    entry->meta_len = (uint16_t)meta.len;
    for (size_t i = 0; i < members; i++)
        entry->members[i].member = entry;
    if (meta.len)
        memcpy(&entry->members[members], meta.data, meta.len);
    return entry;
}

struct registry_entry *registry_add(struct registry *r, void *owner, struct slice session,
                                    struct names channels, struct slice meta)
{
    struct registry_entry *entry = new_entry(owner, 1 + channels.count, meta);
    if (!entry)
        return NULL;
    if (take_slot(r, entry) != 0) {
        free(entry);
        return NULL;
    }
    int err =
        session.len ? registry_join(r->sessions, session, GROUP_SESSION, &entry->members[0]) : 0;
    for (size_t i = 0; !err && i < channels.count; i++)
        err = registry_join(r->channels, channels.items[i], GROUP_CHANNEL, &entry->members[1 + i]);
    if (err)
        registry_remove(r, &entry);
    return entry;
}

/* 0 or -ENOMEM. */
static int widen(struct registry_entry *entry, size_t patterns)
{
    MUST(!entry->wide);
    entry->wide = calloc(1, sizeof *entry->wide + patterns * sizeof entry->wide->patterns[0]);
    return entry->wide ? 0 : -ENOMEM;
}

int registry_add_to_all(struct registry *r, struct registry_entry *entry)
{
    if (!entry->wide && widen(entry, 0) != 0)
        return -ENOMEM;

    MUST(!entry->wide->every_channel);
    entry->wide->every_channel = true;
    TAILQ_INSERT_TAIL(&r->in_all, entry, wide->beside);
    return 0;
}

bool registry_in_all(const struct registry_entry *entry)
{
    return entry->wide && entry->wide->every_channel;
}

int registry_add_patterns(struct registry *r, struct registry_entry *entry,
                          const struct selectors *patterns)
{
    int err = patterns->count ? widen(entry, patterns->count) : 0;
    for (size_t i = 0; !err && i < patterns->count; i++) {
        struct membership *m = &entry->wide->patterns[i];
        m->member = entry;
        entry->wide->pattern_count++;
        entry->wide->pattern_weight += pattern_weight(patterns->items[i].pattern);
        err = join_pattern(r, patterns->items[i].pattern, m);
    }
    return err;
}

size_t registry_pattern_weight(const struct registry *r)
{
    MUST(r->pattern_weight >= table_count(r->patterns));
    return r->pattern_weight;
}

size_t registry_new_pattern_weight(const struct registry *r, const struct selectors *patterns)
{
    size_t weight = 0;
    for (size_t i = 0; i < patterns->count; i++)
        if (!table_find(r->patterns, pattern_identity(patterns->items[i].pattern)))
            weight += pattern_weight(patterns->items[i].pattern);
    return weight;
}

uint32_t registry_patterns_of(const struct registry_entry *entry)
{
    return entry->wide ? entry->wide->pattern_count : 0;
}

uint32_t registry_pattern_weight_of(const struct registry_entry *entry)
{
    return entry->wide ? entry->wide->pattern_weight : 0;
}

struct pattern *registry_pattern(const struct registry_entry *entry, size_t index)
{
    MUST(index < registry_patterns_of(entry));
    return pattern_group_of(entry->wide->patterns[index].group)->pattern;
}

bool registry_patterns_match(const struct registry_entry *entry, const struct event *e)
{
    struct topic topic;
    struct slice name;

    if (!registry_patterns_of(entry))
        return false;
    for (size_t cursor = 0; event_next_name(e, TO_CHANNELS, &cursor, &name);) {
        topic_begin(&topic, name);
        for (size_t i = 0; i < registry_patterns_of(entry); i++)
            if (pattern_matches_topic(registry_pattern(entry, i), &topic))
                return true;
    }
    return false;
}

void registry_remove(struct registry *r, struct registry_entry **entry)
{
    if (registry_in_all(*entry))
        TAILQ_REMOVE(&r->in_all, *entry, wide->beside);
    for (size_t i = 0; i < (*entry)->member_count; i++)
        registry_leave(r, &(*entry)->members[i]);
    for (size_t i = 0; i < registry_patterns_of(*entry); i++)
        registry_leave(r, &(*entry)->wide->patterns[i]);
    free((*entry)->wide);
    give_slot(r, *entry);
    free(*entry);
    *entry = NULL;
}

size_t registry_count(const struct registry *r)
{
    return r->count;
}

/* NULL: none of its connections is here, or it is no session. */
static const struct group *find_session(const struct registry *r, struct slice session)
{
    return session.len ? table_find(r->sessions, session) : NULL;
}

size_t registry_session_count(const struct registry *r, struct slice session)
{
    const struct group *g = find_session(r, session);
    return g ? g->count : 0;
}

void *registry_session_oldest(const struct registry *r, struct slice session)
{
    const struct group *g = find_session(r, session);
    const struct registry_entry *oldest = g ? g->last->member : NULL;
    return oldest ? oldest->owner : NULL;
}

_Static_assert(REGISTRY_PREFIX_MAX + sizeof "-12345678-1234567812345678" <= REGISTRY_ID_MAX,
               "an id has room");

/* Append a number in hexadecimal: snprintf() would take ten times as long. Returns the end. */
static char *put_hex(char *out, uint64_t number)
{
    int shift = 60;
    while (shift && !(number >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[number >> shift & 15];
    return out;
}

const char *registry_id(const struct registry *r, const struct registry_entry *entry,
                        char out[REGISTRY_ID_MAX])
{
    char *end = stpcpy(out, r->prefix);

    *end++ = '-';
    end = put_hex(end, entry->slot);
    *end++ = '-';
    end = put_hex(end, entry->generation);
    *end = '\0';
    return out;
}

struct slice registry_session(const struct registry_entry *entry)
{
    const struct group *g = entry->members[0].group;
    MUST(!g || g->kind == GROUP_SESSION);
    return g ? table_name(g) : (struct slice){0};
}

struct slice registry_meta(const struct registry_entry *entry)
{
    return (struct slice){(const char *)&entry->members[entry->member_count], entry->meta_len};
}

uint64_t registry_generation(const struct registry *r)
{
    return r->generation;
}

struct names registry_channels(const struct registry_entry *entry, struct slice *out, size_t room)
{
    MUST(entry->member_count <= room + 1);
    for (size_t i = 1; i < entry->member_count; i++)
        out[i - 1] = table_name(entry->members[i].group);
    return (struct names){out, entry->member_count - 1};
}

/* --- routing --- */

static struct registry_entry *find_id(const struct registry *r, struct slice id)
{
    size_t prefix = strlen(r->prefix);
    char text[REGISTRY_ID_MAX], again[REGISTRY_ID_MAX];
    if (id.len <= prefix + 1 || id.len >= sizeof text || memcmp(id.data, r->prefix, prefix) != 0)
        return NULL;
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    unsigned long slot = strtoul(text + prefix + 1, NULL, 16);
    struct registry_entry *entry = slot < r->used ? r->slots[slot] : NULL;
    return entry && strcmp(registry_id(r, entry, again), text) == 0 ? entry : NULL;
}

struct walk {
    uint64_t number;
    void (*meet)(void *owner, void *context); /* NULL: only mark */
    void *context;
};

static void registry_visit(struct registry_entry *entry, const struct walk *w)
{
    if (!entry || entry->mark == w->number)
        return;
    entry->mark = w->number;
    if (w->meet)
        w->meet(entry->owner, w->context);
}

static void visit_members(const struct group *g, const struct walk *w)
{
    for (struct membership *m = g ? g->first : NULL, *next; m; m = next) {
        next = m->next; /* m may be gone after the visit */
        registry_visit(m->member, w);
    }
}

static void visit_group(const struct table *names, struct slice name, const struct walk *w)
{
    visit_members(table_find(names, name), w);
}

static void registry_collect(struct indexed_pattern *found, void *context)
{
    struct pattern_group_list *list = context;
    struct pattern_group *g =
        (struct pattern_group *)((char *)found - offsetof(struct pattern_group, index));
    LIST_INSERT_HEAD(list, g, found);
}

/* A visit may remove its connection, and with it the last member of any pattern:
 * those are forgotten at the end. */
static void visit_patterns(struct registry *r, const struct event *e, const struct walk *w)
{
    struct topic topic;
    struct slice name;
    struct pattern_group *g;

    if (!table_count(r->patterns))
        return;
    MUST(!r->routing);
    r->routing = true;
    for (size_t cursor = 0; event_next_name(e, TO_CHANNELS, &cursor, &name);) {
        struct pattern_group_list found = LIST_HEAD_INITIALIZER(found);
        topic_begin(&topic, name);
        pattern_index_match(r->index, &topic, registry_collect, &found);
        LIST_FOREACH(g, &found, found)
        visit_members(&g->group, w);
    }

    r->routing = false;
    while ((g = LIST_FIRST(&r->empty))) {
        LIST_REMOVE(g, empty);
        drop_pattern(r, g);
    }
}

/* Everyone in the three lists that begin with `sessions` (TO_SESSIONS or EXCEPT_SESSIONS). */
static void visit_lists(struct registry *r, const struct event *e, enum event_list sessions,
                        const struct walk *w)
{
    struct slice name;
    for (size_t cursor = 0; event_next_name(e, sessions, &cursor, &name);)
        visit_group(r->sessions, name, w);
    for (size_t cursor = 0; event_next_name(e, sessions + 1, &cursor, &name);)
        visit_group(r->channels, name, w);
    for (size_t cursor = 0; event_next_name(e, sessions + 2, &cursor, &name);)
        registry_visit(find_id(r, name), w);
}

static void visit_in_all(struct registry *r, const struct walk *w)
{
    for (struct registry_entry *entry = TAILQ_FIRST(&r->in_all), *next; entry; entry = next) {
        next = TAILQ_NEXT(entry, wide->beside); /* entry may be gone after the visit */
        registry_visit(entry, w);
    }
}

static void visit_all(struct registry *r, const struct walk *w)
{
    for (uint32_t slot = 0; slot < r->used; slot++)
        registry_visit(r->slots[slot], w);
}

void registry_route(struct registry *r, const struct event *e,
                    void (*meet)(void *owner, void *context), void *context)
{
    struct walk w = {.number = ++r->walk};
    visit_lists(r, e, EXCEPT_SESSIONS, &w); /* those are marked as met before anyone is */
    w.meet = meet;
    w.context = context;
    if (e->has_to && e->counts[TO_CHANNELS]) {
        visit_in_all(r, &w);
        visit_patterns(r, e, &w);
    }
    if (e->has_to)
        visit_lists(r, e, TO_SESSIONS, &w);
    else
        visit_all(r, &w);
}

void registry_each(struct registry *r, void (*meet)(void *owner, void *context), void *context)
{
    struct walk w = {++r->walk, meet, context};
    visit_all(r, &w);
}

void *registry_find(const struct registry *r, uint32_t slot, uint64_t generation)
{
    const struct registry_entry *entry = slot < r->used ? r->slots[slot] : NULL;
    return entry && entry->generation == generation ? entry->owner : NULL;
}

bool registry_each_from(struct registry *r, size_t *cursor,
                        bool (*meet)(void *owner, void *context), void *context)
{
    bool go_on = true;
    while (go_on && *cursor < r->used) {
        const struct registry_entry *entry = r->slots[(*cursor)++];
        go_on = !entry || meet(entry->owner, context);
    }
    return *cursor < r->used;
}
