/* selector.h - which topics a subscription or a grant selects. The one place that matches. Pure.
 *
 * A topic is a channel. Of the selectors of the Mercure protocol there are the exact topic and `*`.
 * A URI template (`{`, dialect 0.x) and a URL pattern (1.0) are recognized and select nothing yet.
 *
 * Ownership: a selector borrows its text; selectors_copy() makes one allocation of everything.
 */
#ifndef SSECAST_SELECTOR_H
#define SSECAST_SELECTOR_H

#include "codec/event.h"

enum selector_kind {
    SELECTOR_EXACT,
    SELECTOR_ALL,         /* `*`: every topic */
    SELECTOR_PREFIX,      /* a pattern of our own tokens (grant.h): a `*` at its end stands for any rest */
    SELECTOR_UNSUPPORTED, /* a URI template or a URL pattern */
};

struct selector {
    enum selector_kind kind;
    struct slice text;
};

struct selectors {
    const struct selector *items;
    size_t count;
};

/* A selector of dialect 0.x: `*`, a URI template, or a topic. */
struct selector selector_of_topic(struct slice text);

/* One of dialect 1.0: `*` or a topic; pattern: a URL pattern. */
struct selector selector_of_match(struct slice text, bool pattern);

bool selector_matches(const struct selector *s, struct slice topic);

/* True when one of them matches. */
bool selectors_match(const struct selectors *list, struct slice topic);

/* True when the event has a channel that one of them matches. */
bool selectors_match_event(const struct selectors *list, const struct event *e);

/* A copy, to be freed with free(). NULL when out of memory. */
struct selectors *selectors_copy(const struct selectors *list);

#endif
