#include "auth/selector.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/event_index.h"
#include "codec/grant.h"
#include "codec/subscription.h"

static bool is_all(struct slice text)
{
    return slice_equal(text, slice_of("*"));
}

static struct selector of_pattern(enum pattern_kind kind, struct slice text, struct slice hub,
                                  char why[PATTERN_WHY_MAX])
{
    struct pattern *p = pattern_new(kind, text, hub, why);
    return (struct selector){p ? SELECTOR_PATTERN : SELECTOR_INVALID, text, p};
}

struct selector selector_of_topic(struct slice text, char why[PATTERN_WHY_MAX])
{
    text = subscription_relative(text);
    bool template =
        text.len && (memchr(text.data, '{', text.len) || memchr(text.data, '}', text.len));
    why[0] = '\0';
    if (template)
        return of_pattern(PATTERN_TEMPLATE, text, (struct slice){0}, why);
    return selector_of_match(text);
}

struct selector selector_of_match(struct slice text)
{
    text = subscription_relative(text);
    return (struct selector){is_all(text) ? SELECTOR_ALL : SELECTOR_EXACT, text, NULL};
}

struct selector selector_of_url_pattern(struct slice text, struct slice hub,
                                        char why[PATTERN_WHY_MAX])
{
    why[0] = '\0';
    text = subscription_relative(text);
    return is_all(text) ? selector_of_match(text) : of_pattern(PATTERN_URL, text, hub, why);
}

void selector_release(struct selector *s)
{
    pattern_unref(&s->pattern);
    *s = (struct selector){.kind = SELECTOR_INVALID};
}

static bool selector_is_pattern(const struct selector *s)
{
    return s->kind == SELECTOR_PREFIX || s->kind == SELECTOR_PATTERN;
}

bool selector_matches(const struct selector *s, struct topic *topic)
{
    switch (s->kind) {
    case SELECTOR_EXACT:
        return slice_equal(s->text, topic->text);
    case SELECTOR_ALL:
        return true;
    case SELECTOR_PREFIX:
        return pattern_matches(s->text, topic->text);
    case SELECTOR_PATTERN:
        return pattern_matches_topic(s->pattern, topic);
    case SELECTOR_INVALID:
        break;
    }
    return false;
}

bool selectors_match(const struct selectors *list, struct slice text)
{
    struct topic topic;
    topic_begin(&topic, text);
    for (size_t i = 0; i < list->count; i++)
        if (selector_matches(&list->items[i], &topic))
            return true;
    return false;
}

/* The topics of an event have an index, so exact ones and `*` are decided without a look at each
 * topic. *patterns: there are selectors that need that look. */
static bool selectors_match_exactly(const struct selectors *list, const struct event *e,
                                    bool *patterns)
{
    *patterns = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct selector *s = &list->items[i];
        if (s->kind == SELECTOR_ALL ||
            (s->kind == SELECTOR_EXACT && event_index_has(e, TO_CHANNELS, s->text)))
            return true;
        *patterns = *patterns || selector_is_pattern(s);
    }
    return false;
}

static bool selectors_match_patterns(const struct selectors *list, struct slice text)
{
    struct topic topic;
    topic_begin(&topic, text);
    for (size_t i = 0; i < list->count; i++)
        if (selector_is_pattern(&list->items[i]) && selector_matches(&list->items[i], &topic))
            return true;
    return false;
}

bool selectors_match_event(const struct selectors *list, const struct event *e)
{
    struct slice topic;
    bool patterns;
    if (!e->counts[TO_CHANNELS])
        return false;
    if (selectors_match_exactly(list, e, &patterns))
        return true;
    if (!patterns)
        return false;

    for (size_t cursor = 0; event_next_name(e, TO_CHANNELS, &cursor, &topic);)
        if (selectors_match_patterns(list, topic))
            return true;
    return false;
}

struct selectors *selectors_copy(const struct selectors *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->items[i].text.len;

    size_t items_size = list->count * sizeof(struct selector);
    struct selectors *copy = malloc(sizeof *copy + items_size + bytes);
    if (!copy)
        return NULL;

    struct selector *items = (struct selector *)(copy + 1);
    char *begin = (char *)(copy + 1) + items_size, *at = begin;
    for (size_t i = 0; i < list->count; i++) {
        struct slice text = list->items[i].text;
        struct pattern *pattern = list->items[i].pattern;
        items[i] = (struct selector){
            list->items[i].kind, {at, text.len}, pattern ? pattern_ref(pattern) : NULL};
        at = put_slice(at, text);
    }
    MUST((size_t)(at - begin) == bytes);
    *copy = (struct selectors){items, list->count};
    return copy;
}

void selectors_free(struct selectors **list)
{
    for (size_t i = 0; *list && i < (*list)->count; i++) {
        struct pattern *pattern = (*list)->items[i].pattern;
        pattern_unref(&pattern);
    }
    free(*list);
    *list = NULL;
}
