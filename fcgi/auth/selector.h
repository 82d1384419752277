/* selector.h - which topics a subscription or a grant selects. The one place that matches. Pure.
 *
 * A topic is a channel. The selectors of the Mercure protocol are the exact topic, `*`, the URI
 * template (dialect 0.x) and the URL pattern (1.0).
 *
 * Ownership: a selector borrows its text, and has a reference of its pattern: selector_release().
 * selectors_copy() keeps texts and patterns by itself.
 */
#ifndef SSECAST_SELECTOR_H
#define SSECAST_SELECTOR_H

#include "auth/pattern.h"
#include "codec/event.h"

enum selector_kind {
    SELECTOR_EXACT,
    SELECTOR_ALL,     /* `*`: every topic */
    SELECTOR_PREFIX,  /* a pattern of our own tokens (grant.h): a `*` at its end is any rest */
    SELECTOR_PATTERN, /* a URI template or a URL pattern */
    SELECTOR_INVALID, /* none: it selects nothing */
};

struct selector {
    enum selector_kind kind;
    struct slice text;
    struct pattern *pattern; /* SELECTOR_PATTERN; else NULL */
};

struct selectors {
    const struct selector *items;
    size_t count;
};

/* A selector of dialect 0.x: `*`, a topic, or, with a brace in it, a URI template. INVALID: why
 * says what is wrong and what is accepted, and is empty when out of memory. */
struct selector selector_of_topic(struct slice text, char why[PATTERN_WHY_MAX]);

/* One of dialect 1.0: `*` or a topic. */
struct selector selector_of_match(struct slice text);

/* One of dialect 1.0: `*` or a URL pattern, with the hub's host as of pattern_new(). */
struct selector selector_of_url_pattern(struct slice text, struct slice hub,
                                        char why[PATTERN_WHY_MAX]);

/* It becomes INVALID. */
void selector_release(struct selector *s);

bool selector_matches(const struct selector *s, struct topic *topic);

/* True when one of them matches. */
bool selectors_match(const struct selectors *list, struct slice topic);

/* True when the event has a channel that one of them matches. */
bool selectors_match_event(const struct selectors *list, const struct event *e);

/* A copy, to be freed with selectors_free(). NULL when out of memory. */
struct selectors *selectors_copy(const struct selectors *list);

/* Safe on NULL; sets *list to NULL. */
void selectors_free(struct selectors **list);

#endif
