/* sequences.h - a sequence and its log in unit tests:
 * what is appended, committed, and found there. */
#ifndef SSECAST_TESTS_SEQUENCES_H
#define SSECAST_TESTS_SEQUENCES_H

#include <check.h>

#include "codec/event_key.h"
#include "log/event_log.h"
#include "support.h"

#define START 1000u
#define RUN 77u

static const struct history_limits wide = {.events = 1000, .bytes = 1 << 20, .age_ms = 60000};

static struct sequence *sequence;
static struct buf message;
static struct store *store; /* NULL: none */
static struct event_log event_log;

static inline void begin_with(const struct history_limits *limits)
{
    sequence = sequence_new(limits, START, RUN);
    ck_assert_ptr_nonnull(sequence);
}

static inline void begin(void)
{
    begin_with(&wide);
}

static inline void end(void)
{
    sequence_free(&sequence);
    ck_assert_ptr_null(sequence);
    buf_release(&message);
}

static inline struct sequenced append(const char *data, const char *id)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .time_ms = 5000, .data = slice_of(data), .id = slice_of(id)};
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    return out;
}

static inline struct sequenced append_of(const char *publisher, const char *id)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .time_ms = 5000,
                              .data = S("x"),
                              .id = slice_of(id),
                              .publisher = slice_of(publisher)};
    struct sequenced out;
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    return out;
}

/* Is this own id in the id: line of the event with this seq? */
static inline bool shows(uint64_t seq)
{
    struct event *e;
    uint64_t upto;
    ck_assert_uint_eq(history_read(sequence_history(sequence), NULL, seq - 1, &e, 1, 1, &upto), 1);
    ck_assert_uint_eq(e->seq, seq);
    char line[300];
    int len = snprintf(line, sizeof line, "id: %.*s\n", (int)e->id.len, e->id.data);
    bool own = e->text.len >= (size_t)len && memcmp(e->text.data, line, (size_t)len) == 0;
    ck_assert(own == event_shows_id(e));
    return own;
}

/* The seq that a cursor names; 0: unknown; UINT64_MAX: ambiguous. */
static inline uint64_t named(const char *id)
{
    uint64_t seq = 0;
    enum id_cursor what = history_find_cursor(sequence_history(sequence), slice_of(id), &seq);
    if (what == CURSOR_AMBIGUOUS)
        return UINT64_MAX;
    return what == CURSOR_UNKNOWN ? 0 : seq;
}

static inline uint64_t published(const char *id)
{
    const struct event *e =
        history_published(sequence_history(sequence), (struct slice){0}, slice_of(id));
    return e ? e->seq : 0;
}

/* The next message for the feed holds these seqs; 0 ends them. */
static inline void next_batch_is(uint64_t first, uint64_t last)
{
    struct wire_batch batch;
    ck_assert(sequence_next_batch(sequence, &message));
    ck_assert_int_eq(wire_get_batch((struct slice){message.data, message.len}, &batch), 0);
    ck_assert_uint_eq(batch.run, RUN);
    ck_assert_uint_eq(batch.prev, first - 1);
    for (uint64_t seq = first; seq <= last; seq++) {
        size_t used;
        struct event *e = event_parse(batch.entries, &used);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->seq, seq);
        event_unref(&e);
        batch.entries = (struct slice){batch.entries.data + used, batch.entries.len - used};
    }
    ck_assert_uint_eq(batch.entries.len, 0);
}

/* The log of the sequence: memory, or a store. */
static inline struct event_log *log_of_sequence(void)
{
    event_log.sequence = sequence;
    event_log.store = store;
    return &event_log;
}

/* Commit what was appended. The number of events, or -1. */
static inline int commit(void)
{
    uint64_t events;
    return event_log_offer(log_of_sequence(), 0, &events) == EVENT_LOG_REJECTED ? -1 : (int)events;
}

static inline int expire(int64_t now_ms)
{
    return (int)event_log_expire(log_of_sequence(), now_ms);
}

static inline int restore(char why[STORE_WHY_MAX])
{
    event_log = (struct event_log){0};
    return event_log_restore(log_of_sequence(), NULL, why);
}

static inline enum sequence_met meet_within(uint64_t position, uint64_t furthest)
{
    return event_log_meet(log_of_sequence(), position, furthest);
}

static inline int shut_down(const char *session, uint32_t block_s)
{
    struct slice name = slice_of(session);
    struct event_spec spec = {
        .kind = EVENT_SHUTDOWN, .time_ms = 5000, .has_to = true, .block_s = block_s};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    return sequence_append(sequence, &spec, &out);
}

/* "a=7000 b=9000", in the order of their records. */
static inline void assert_bans(const char *should)
{
    char is[1000] = "";
    size_t len = 0;
    struct slice session;
    int64_t until_ms;
    for (const void *ban = NULL;
         (ban = bans_next(sequence_bans(sequence), ban, &session, &until_ms));)
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%.*s=%" PRId64, len ? " " : "",
                                (int)session.len, session.data, until_ms);
    ck_assert_str_eq(is, should);
}

/* --- the state of keys --- */

#define TARGET_LETTERS "escp" /* everyone, a session, a channel, a channel that is private */
#define MODEL_TARGETS 4

/* Append an event with this key and target; ttl_s from 5,000 ms on. What sequence_append() says. */
static inline int append_key(char target, const char *key, bool remove, uint32_t ttl_s)
{
    struct slice name = S("t");
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .time_ms = 5000,
                              .data = S("x"),
                              .key = slice_of(key),
                              .remove = remove,
                              .ttl_s = ttl_s,
                              .is_private = target == 'p',
                              .has_to = target != 'e'};
    struct sequenced out;
    if (spec.has_to)
        spec.lists[target == 's' ? TO_SESSIONS : TO_CHANNELS] = (struct names){&name, 1};
    return sequence_append(sequence, &spec, &out);
}

/* "a=1001 b=1003", in the order of their seqs. */
static inline const char *keys_of(const struct sequence *s)
{
    static char text[4096];
    struct event *events[100];
    size_t len = 0, count = state_read(sequence_state(s), &(struct history_filter){0}, 0,
                                       UINT64_MAX, events, 100, SIZE_MAX);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s=%" PRIu64, len ? " " : "",
                                (int)events[i]->key.len, events[i]->key.data, events[i]->seq);
    return text;
}

/* A table that says what the state should be. */
#define MODEL_KEYS 6
struct model {
    struct {
        uint64_t seq; /* 0: none */
        uint32_t ttl_s;
    } keys[MODEL_TARGETS][MODEL_KEYS];
};

static inline void model_expire(struct model *m, int64_t now_ms)
{
    for (int t = 0; t < MODEL_TARGETS; t++)
        for (int k = 0; k < MODEL_KEYS; k++)
            if (m->keys[t][k].ttl_s && 5000 + (int64_t)m->keys[t][k].ttl_s * 1000 <= now_ms)
                m->keys[t][k].seq = 0;
}

/* The state is that of the model. */
static inline void assert_model(const struct model *m)
{
    struct event *events[100];
    size_t count = state_read(sequence_state(sequence), &(struct history_filter){0}, 0, UINT64_MAX,
                              events, 100, SIZE_MAX);
    size_t should = 0;
    for (int t = 0; t < MODEL_TARGETS; t++)
        for (int k = 0; k < MODEL_KEYS; k++)
            should += m->keys[t][k].seq != 0;
    ck_assert_uint_eq(count, should);
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        int t = events[i]->is_private ? 3 : (int)event_key_target(events[i], &name);
        int k = events[i]->key.data[0] - 'a';
        ck_assert_uint_eq(events[i]->seq, m->keys[t][k].seq);
    }
}

static inline void model_append(struct model *m)
{
    int t = rand() % MODEL_TARGETS, k = rand() % MODEL_KEYS;
    bool remove = rand() % 4 == 0;
    uint32_t ttl_s = rand() % 5 ? 0 : 1 + (uint32_t)rand() % 1000;
    char key[] = {(char)('a' + k), '\0'};
    ck_assert_int_eq(append_key(TARGET_LETTERS[t], key, remove, ttl_s), 0);
    m->keys[t][k].seq = remove ? 0 : sequence_head(sequence);
    m->keys[t][k].ttl_s = ttl_s;
}

/* --- a journal --- */

/* Offer the batch of s, as it stands in the journal. */
static inline void offer_of(struct sequence *s, struct batch *t, struct buf *bytes)
{
    char header[BATCH_HEADER_LEN] = {0};
    size_t count;
    sequence_offer(s, t);
    struct event *const *events = sequence_batch(s, &count);
    wire_add_bytes(bytes, (struct slice){header, sizeof header});
    for (size_t i = 0; i < count; i++)
        wire_add_entry(bytes, events[i]);
}

#endif
