#include "auth/selector.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/grant.h"

static bool is_all(struct slice text)
{
    return slice_equal(text, slice_of("*"));
}

struct selector selector_of_topic(struct slice text)
{
    enum selector_kind kind = SELECTOR_EXACT;
    if (is_all(text))
        kind = SELECTOR_ALL;
    else if (text.len && memchr(text.data, '{', text.len))
        kind = SELECTOR_UNSUPPORTED;
    return (struct selector){kind, text};
}

struct selector selector_of_match(struct slice text, bool pattern)
{
    enum selector_kind kind = SELECTOR_EXACT;
    if (is_all(text))
        kind = SELECTOR_ALL;
    else if (pattern)
        kind = SELECTOR_UNSUPPORTED;
    return (struct selector){kind, text};
}

bool selector_matches(const struct selector *s, struct slice topic)
{
    switch (s->kind) {
    case SELECTOR_EXACT:
        return slice_equal(s->text, topic);
    case SELECTOR_ALL:
        return true;
    case SELECTOR_PREFIX:
        return pattern_matches(s->text, topic);
    case SELECTOR_UNSUPPORTED:
        break;
    }
    return false;
}

bool selectors_match(const struct selectors *list, struct slice topic)
{
    for (size_t i = 0; i < list->count; i++)
        if (selector_matches(&list->items[i], topic))
            return true;
    return false;
}

bool selectors_match_event(const struct selectors *list, const struct event *e)
{
    struct slice topic;
    for (size_t cursor = 0; event_next_name(e, TO_CHANNELS, &cursor, &topic);)
        if (selectors_match(list, topic))
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
        items[i] = (struct selector){list->items[i].kind, {at, text.len}};
        at = put_slice(at, text);
    }
    MUST((size_t)(at - begin) == bytes);
    *copy = (struct selectors){items, list->count};
    return copy;
}
