#include "log/rewrite.h"

#include <stdlib.h>

#include "base/must.h"

/* Append a record with this text. False:
 * the text is empty, the batch has no room, or out of memory. */
static bool append_record(struct sequence *s, enum event_kind kind, struct slice text,
                          int64_t now_ms)
{
    struct event_spec spec = {.kind = kind, .time_ms = now_ms, .data = text};
    struct sequenced done;
    return text.len && sequence_append(s, &spec, &done) == 0;
}

/* The bytes of a record with at most max bytes; 0: as append_record(). */
static size_t append_bans(struct sequence *s, size_t max, int64_t now_ms)
{
    char *text;
    size_t len = effects_collect_bans(sequence_effects(s), max, &text);
    bool done = append_record(s, EVENT_BANS, (struct slice){text, len}, now_ms);
    free(text);
    return done ? len : 0;
}

void rewrite_bans(struct sequence *s, size_t max, int64_t now_ms)
{
    size_t all = 0, len;
    if (!effects_bans_due(sequence_effects(s)))
        return;

    while (all < max && (len = append_bans(s, max - all, now_ms)))
        all += len;
}

/* Likewise, from *cursor on. */
static size_t append_keys(struct sequence *s, size_t max, int64_t now_ms, const void **cursor)
{
    char *text;
    size_t len = effects_collect_keys(sequence_effects(s), now_ms, max, cursor, &text);
    bool done = append_record(s, EVENT_STATE, (struct slice){text, len}, now_ms);
    free(text);
    return done ? EVENT_ENTRY_MIN + len : 0;
}

void rewrite_keys(struct sequence *s, size_t max, int64_t now_ms)
{
    const void *cursor = NULL;
    size_t len;
    if (!effects_keys_due(sequence_effects(s)))
        return;

    for (; max > EVENT_ENTRY_MIN && (len = append_keys(s, max, now_ms, &cursor)); max -= len)
        MUST(len <= max);
}
