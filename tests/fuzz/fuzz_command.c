/* Requests to the broker, JSON as anybody may send it, with grants of every kind: the reply is a
 * valid one, a refusal changes nothing and is counted, what is published can be read by a browser,
 * and nobody does what their grant does not allow.
 *
 * Input: requests separated by PART. The first character of each says whose it is: `*` everything,
 * `p` a publisher, `l` a publisher limited to sessions s* and channel c, `w` a worker, `f`
 * everything, with a store that fails. UNIT separates the frames of a request. */
#include "base/name.h"
#include "codec/event_record.h"
#include "codec/sse.h"
#include "command/command.h"
#include "fuzz.h"
#include "lib/json_text.h"
#include "lib/reply_json.h"

#define START 1000u
#define MAX_EVENT 512u
#define FRAMES_MAX 4

static const struct slice sessions[] = {{"s*", 2}}, channels[] = {{"c", 1}};
static const struct grant publisher = {.roles = ROLE_PUBLISHER}, worker = {.roles = ROLE_WORKER},
                          limited = {.roles = ROLE_PUBLISHER,
                                     .limited = true,
                                     .sessions = {sessions, 1},
                                     .channels = {channels, 1}};

struct world {
    struct sequence *sequence;
    struct presence *presence;
    struct presence_feed feed;
    uint64_t counters[BROKER_COUNTERS];
    struct overview overview;
    const char *workers_log_level;
    struct command_context context;
};

static void one_is_connected(struct world *w)
{
    struct buf items = {0}, b = {0};
    struct wire_presence m = {.n = 1, .full = true};
    struct slice channel = {"c", 1};
    wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = slice_of("one"),
                                                           .session = slice_of("s1"),
                                                           .since_ms = 9,
                                                           .channels = {&channel, 1}});
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    must(wire_get_presence((struct slice){b.data, b.len}, &m) == 0);
    must(presence_hello(w->presence, slice_of("w"),
                        &(struct wire_hello){.worker = slice_of("worker")}, 0) == 0);
    presence_report(w->presence, slice_of("w"), &m, 0);
    for (struct presence_change change; presence_next(w->presence, &change);)
        continue;
    must(presence_result(w->presence) == 0);
    buf_release(&items);
    buf_release(&b);
}

static void begin(struct world *w)
{
    struct history_limits limits = {.events = 50, .bytes = 20000, .age_ms = 60000};
    *w = (struct world){.sequence = sequence_new(&limits, START, 1), .presence = presence_new()};
    must(w->sequence && w->presence);
    w->context = (struct command_context){.sequence = w->sequence,
                                          .presence = w->presence,
                                          .feed = &w->feed,
                                          .counters = w->counters,
                                          .overview = &w->overview,
                                          .workers_log_level = &w->workers_log_level,
                                          .max_event_bytes = MAX_EVENT,
                                          .history_bytes = limits.bytes,
                                          .now_ms = 5000,
                                          .uptime_ms = 7};
    one_is_connected(w);
}

static const struct grant *grant_of(char who)
{
    return who == 'p'   ? &publisher
           : who == 'l' ? &limited
           : who == 'w' ? &worker
                        : &grant_everything;
}

static uint64_t errors(const struct world *w)
{
    return w->counters[ERRORS_BAD_JSON] + w->counters[ERRORS_BAD_REQUEST] +
           w->counters[ERRORS_UNKNOWN_OP] + w->counters[ERRORS_TOO_LARGE] +
           w->counters[ERRORS_FORBIDDEN] + w->counters[ERRORS_STORE_FAILED];
}

/* --- what was published --- */

struct seen {
    unsigned events;
    bool ours;
};

static void on_event(void *context, const struct sse_event *event)
{
    struct seen *seen = context;
    seen->events += event->has_data;
    seen->ours = event->type.len >= 8 && memcmp(event->type.data, EVENT_RESERVED, 8) == 0 &&
                 event->type.len < NAME_BYTES_MAX;
    must(!event->id.len || cursor_valid(event->id));
}

/* A browser dispatches exactly one event, and takes none of a publisher's for one of ours. */
static void can_be_read(const struct event *e)
{
    struct seen seen = {0};
    if (event_is_record(e))
        return; /* nobody reads it */
    struct sse_decoder *d =
        sse_decoder_new(&(struct sse_handler){.event = on_event, .context = &seen});
    must(d && sse_decoder_feed(d, e->text.data, e->text.len) == 0);
    must(seen.events == 1);
    must(seen.ours == (e->kind == EVENT_SHUTDOWN));
    sse_decoder_free(&d);
}

static void all_match(const struct event *e, enum event_list list, const struct names *patterns)
{
    size_t cursor = 0;
    struct slice name;
    while (event_next_name(e, list, &cursor, &name))
        must(patterns_match(patterns, name));
}

static void is_allowed(const struct event *e, const struct grant *grant)
{
    must(grant->roles & (ROLE_PUBLISHER | ROLE_OPERATOR));
    must(e->kind == EVENT_MESSAGE || grant->roles & ROLE_OPERATOR);
    if (!grant->limited)
        return;
    must(e->has_to && !e->counts[TO_CONNECTIONS]);
    struct slice session;
    int64_t until_ms;
    for (size_t cursor = 0; event_next_ban(e, &cursor, &session, &until_ms);)
        must(patterns_match(&grant->sessions, session) && until_ms == 0);
    all_match(e, TO_SESSIONS, &grant->sessions);
    all_match(e, TO_CHANNELS, &grant->channels);
}

/* What the feed carries of a batch: entries that follow one another, from where the sequence stood
 * to where it stands. */
static void feed_is_whole(struct world *w, uint64_t before, const struct grant *grant)
{
    struct buf b = {0};
    struct wire_batch batch;
    uint64_t position = before;
    must(sequence_accept(w->sequence) >= 0);
    while (sequence_next_batch(w->sequence, &b)) {
        size_t used;
        must(wire_get_batch((struct slice){b.data, b.len}, &batch) == 0);
        must(batch.prev == position);
        for (struct slice rest = batch.entries; rest.len; rest.data += used, rest.len -= used) {
            struct event *e = event_parse(rest, &used);
            must(e && e->seq == position + 1);
            position = e->seq;
            can_be_read(e);
            is_allowed(e, grant);
            event_unref(&e);
        }
    }
    must(position == sequence_head(w->sequence));
    buf_release(&b);
}

/* --- requests --- */

static bool is_ok(struct slice reply)
{
    static const char good[] = "{\"ok\":true", bad[] = "{\"ok\":false,\"error\":\"";
    bool ok = reply.len > sizeof good && memcmp(reply.data, good, sizeof good - 1) == 0;
    must(ok || (reply.len > sizeof bad && memcmp(reply.data, bad, sizeof bad - 1) == 0));
    return ok;
}

/* A ref comes back as it was given, within its bound;
 * its depth and the size of its numbers are its sender's affair. */
static void is_a_reply(struct slice text, struct slice ref)
{
    struct ssecast_reply *reply;
    uint64_t number;
    must(ref.len <= COMMAND_REF_MAX);
    if (ref.len) {
        must(text.len > ref.len &&
             memcmp(text.data + text.len - 1 - ref.len, ref.data, ref.len) == 0);
        return;
    }
    must(json_text_valid(text));
    must(reply_parse(text, &reply, &number) == 0 && number == 0);
    ssecast_reply_free(&reply);
}

static size_t split(struct slice text, struct slice frames[FRAMES_MAX])
{
    size_t count = 0;
    while (count < FRAMES_MAX && next_part(&text, UNIT, &frames[count]))
        frames[count].data = exact_copy(frames[count]), count++;
    return count;
}

static void run(struct world *w, char who, struct slice text, struct buf *reply)
{
    struct slice frames[FRAMES_MAX];
    size_t count = split(text, frames);
    const struct grant *grant = grant_of(who);
    uint64_t head = sequence_head(w->sequence), failed = errors(w);
    struct command_outcome outcome = command_run(&w->context, grant, frames, count, reply);
    must(!reply->failed);
    struct slice said = {reply->data, reply->len};
    is_a_reply(said, outcome.ref);
    bool ok = is_ok(said);
    must(errors(w) == failed + !ok);
    must(ok || (sequence_head(w->sequence) == head && !outcome.provisional));
    if (who == 'f' && outcome.provisional) {
        sequence_rollback(w->sequence, head);
        command_store_failed(&w->context,
                             &(struct store_failure){(enum store_outcome)(head % 2), "the disk"},
                             outcome.ref, reply);
        must(!is_ok((struct slice){reply->data, reply->len}) && errors(w) == failed + 1);
    }
    feed_is_whole(w, head, grant);
    for (size_t i = 0; i < count; i++)
        free((char *)frames[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    struct buf reply = {0};
    struct slice rest = {(const char *)data, size}, part;
    begin(&w);
    while (next_part(&rest, PART, &part)) {
        char who = (char)next_byte(&part);
        run(&w, who, part, &reply);
        w.context.now_ms += 100;
        sequence_expire(w.sequence, w.context.now_ms);
    }
    buf_release(&reply);
    sequence_free(&w.sequence);
    presence_free(&w.presence);
    return 0;
}
