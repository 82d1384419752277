/* A URI template or a URL pattern that a stranger wrote, and topics. What is refused says why and
 * what is accepted; what matches is found by the index, once; a template matches its own text;
 * nothing depends on what was looked at before.
 *
 * Input: a first byte `t` (template) or `u` (URL pattern), then the pattern, the hub's host and
 * topics, separated by PART. */
#include "auth/selector.h"
#include "fuzz.h"
#include "stream/pattern_index.h"

static void count(struct indexed_pattern *entry, void *context)
{
    size_t *found = context;
    must(entry->pattern);
    ++*found;
}

static void try_topic(struct pattern_index *index, const struct pattern *p, struct slice text)
{
    static struct topic topic, again;
    struct slice seen;
    size_t found = 0;
    char *copy = exact_copy(text);
    topic_begin(&topic, (struct slice){copy, text.len});
    topic_begin(&again, (struct slice){copy, text.len});

    bool matches = pattern_matches_topic(p, &topic);
    for (enum topic_form form = 0; form < TOPIC_FORMS; form++)
        must(!topic_form(&again, form, &seen) || seen.len <= NAME_BYTES_MAX);
    must(pattern_matches_topic(p, &again) == matches);
    must(!matches || name_valid(text));

    pattern_index_match(index, &topic, count, &found);
    must(found == matches);
    free(copy);
}

static void try_all(struct pattern *p, struct slice text, struct slice topics)
{
    struct pattern_index *index = pattern_index_new();
    struct indexed_pattern entry = {0};
    static struct topic own;
    struct slice topic;

    must(index && pattern_index_add(index, &entry, p) == 0);
    must(slice_equal(pattern_text(p), text) && pattern_identity(p).len > text.len);
    topic_begin(&own, text);
    must(pattern_kind(p) != PATTERN_TEMPLATE || pattern_matches_topic(p, &own) == name_valid(text));

    try_topic(index, p, text);
    while (next_part(&topics, PART, &topic))
        try_topic(index, p, topic);
    pattern_index_remove(index, &entry);
    pattern_index_free(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, text = {0}, hub = {0};
    char why[PATTERN_WHY_MAX];
    enum pattern_kind kind = next_byte(&rest) == 'u' ? PATTERN_URL : PATTERN_TEMPLATE;
    next_part(&rest, PART, &text);
    next_part(&rest, PART, &hub);

    char *copy = exact_copy(text);
    struct pattern *p = pattern_new(kind, (struct slice){copy, text.len}, hub, why);
    free(copy); /* the pattern keeps nothing of it */
    must(p || strstr(why, "accepted: "));
    if (p)
        try_all(p, text, rest);
    pattern_unref(&p);
    return 0;
}
