/* pattern.h - the patterns of the Mercure protocol: URI templates (RFC 6570) and URL patterns
 * (WHATWG).
 *
 * A template matches a topic that is one of its expansions, or its own text. A URL pattern matches
 * a topic that is a URL, or a path, which is relative to the hub's URL. docs/mercure.md says what
 * is accepted, and how far URLs are tidied up.
 *
 * Ownership: a pattern is immutable and reference counted, for one thread. pattern_new() returns a
 * reference, pattern_ref() adds one, pattern_unref() drops one.
 */
#ifndef SSECAST_PATTERN_H
#define SSECAST_PATTERN_H

#include "auth/program.h"

enum pattern_kind { PATTERN_TEMPLATE, PATTERN_URL };

#define PATTERN_HUB_MAX NAME_BYTES_MAX
#define PATTERN_WHY_MAX 176u

struct pattern;

/* hub is the host of the hub's URL (with its port, if it names one), which a URL pattern may be
 * relative to; empty: unknown. NULL: why says what is wrong and what is accepted, and is empty when
 * out of memory. */
struct pattern *pattern_new(enum pattern_kind kind, struct slice text, struct slice hub,
                            char why[PATTERN_WHY_MAX]);

struct pattern *pattern_ref(struct pattern *p);

/* Sets *p to NULL. Safe on NULL. */
void pattern_unref(struct pattern **p);

enum pattern_kind pattern_kind(const struct pattern *p);
struct slice pattern_text(const struct pattern *p); /* as it was given */

/* Bytes that are the same for patterns that match the same topics, because text,
 * kind and hub are. */
struct slice pattern_identity(const struct pattern *p);

/* --- topics --- */

/* How a pattern looks at a topic. */
enum topic_form {
    TOPIC_TEXT, /* as it is: templates do */
    TOPIC_URL,  /* as a URL: behind its scheme, tidied up */
    TOPIC_PATH, /* as a path of the hub's host */
    TOPIC_FORMS
};

/* A topic, prepared for any number of patterns. What is not needed is not prepared. */
struct topic {
    struct slice text;
    bool read, viewed[2]; /* the URL; the views of text and URL */
    bool is_url, is_path;
    uint16_t url_len, scheme_len; /* scheme_len: its colon included */
    char url[NAME_BYTES_MAX];
    struct text_view views[2];
};

/* text is borrowed; one that is no name (name_valid()) matches nothing. */
void topic_begin(struct topic *t, struct slice text);

/* The topic's text in this form. False: it has none. */
bool topic_form(struct topic *t, enum topic_form form, struct slice *text);

/* The text with which every topic begins that p matches in this form. False: it matches none. */
bool pattern_prefix(const struct pattern *p, enum topic_form form, struct slice *prefix);

/* What a comparison costs, in units of a short pattern: 1 to PATTERN_WEIGHT_MAX. */
#define PATTERN_WEIGHT_MAX 10u
unsigned pattern_weight(const struct pattern *p);

bool pattern_matches_topic(const struct pattern *p, struct topic *t);

#endif
