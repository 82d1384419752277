/* What workers say to the broker, in any order and however wrong: answers are well formed, pages
 * hold what they say and nothing that does not concern the asker, and who is present adds up.
 *
 * Input: steps of u8 what, u16 length, and so many bytes. what: 0 to 3, a message from worker 0 to
 * 3; 4, an event with these bytes is published; 5, as many seconds pass; 6, a shutdown of the
 * session of this name; else nothing. */
#include "base/bytes.h"
#include "codec/audience.h"
#include "fuzz.h"
#include "ops/log.h"
#include "presence/sync.h"

#define START 1000u
#define RUN 77u

struct world {
    struct sequence *sequence;
    struct event_log log;
    struct presence *presence;
    uint64_t counters[BROKER_COUNTERS];
    struct sync_context context;
    int64_t now;
    size_t connected, online; /* by what was told */
};

static void on_change(struct world *w, const struct presence_change *change)
{
    struct connection_info info;
    connection_describe(change->of, &info);
    must(change->connection.len <= NAME_BYTES_MAX && info.session.len <= NAME_BYTES_MAX);
    must(change->what != PRESENCE_DISCONNECTED || w->connected);
    must(change->what != PRESENCE_SESSION_OFFLINE || w->online);
    w->connected += change->what == PRESENCE_CONNECTED;
    w->connected -= change->what == PRESENCE_DISCONNECTED;
    w->online += change->what == PRESENCE_SESSION_ONLINE;
    w->online -= change->what == PRESENCE_SESSION_OFFLINE;
}

static void take_changes(struct world *w)
{
    struct presence_change change;
    while (presence_next(w->presence, &change))
        on_change(w, &change);
}

static void begin(struct world *w)
{
    struct history_limits limits = {.events = 20, .bytes = 8000, .age_ms = 60000};
    *w = (struct world){
        .sequence = sequence_new(&limits, START, RUN), .presence = presence_new(), .now = 1000};
    must(w->sequence && w->presence);
    presence_set_epoch(w->presence, RUN);
    w->log = (struct event_log){.sequence = w->sequence};
    w->context = (struct sync_context){
        .sequence = w->sequence, .log = &w->log, .presence = w->presence, .counters = w->counters};
}

static void publish(struct world *w, struct slice data)
{
    struct sequenced out;
    struct slice session = {"a", 1}, connection = {"c", 1};
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .time_ms = w->now, .data = data, .has_to = data.len & 1};
    spec.lists[TO_SESSIONS] = (struct names){&session, spec.has_to};
    spec.lists[EXCEPT_CONNECTIONS] = (struct names){&connection, data.len & 2 ? 1 : 0};
    uint64_t head = sequence_head(w->sequence);
    int err = sequence_append(w->sequence, &spec, &out);
    must(err || sequence_head(w->sequence) == head + 1);
    must(sequence_accept(w->sequence) >= 0);
}

static void shut_down(struct world *w, struct slice session)
{
    struct sequenced out;
    struct event_spec spec = {
        .kind = EVENT_SHUTDOWN, .time_ms = w->now, .has_to = true, .block_s = 60};
    if (!session.len || session.len > NAME_BYTES_MAX)
        return; /* no command has such a name */
    spec.lists[TO_SESSIONS] = (struct names){&session, 1};
    must(sequence_append(w->sequence, &spec, &out) == 0 && sequence_accept(w->sequence) >= 0);
}

/* --- answers --- */

static void is_a_welcome(const struct world *w, struct slice answer)
{
    struct wire_welcome m;
    must(wire_get_welcome(answer, &m) == 0);
    must(m.run == RUN && m.head == sequence_head(w->sequence) && m.complete <= m.head &&
         m.oldest <= m.head + 1);
    must(m.oldest > m.complete || m.oldest > 0);
}

/* Who asked, with up to as many channels as a reader may have. */
static struct audience asker(const struct wire_replay *question, struct slice *channels)
{
    struct audience who = question->who;
    struct slice rest = question->channels;
    size_t count = 0;
    while (count < HISTORY_CHANNELS_MAX && wire_next_name(&rest, &channels[count]))
        count++;
    who.channels = (struct names){channels, count};
    return who;
}

/* A page of shutdowns. */
static void is_past(const struct world *w, const struct wire_shutdowns *asked, struct slice answer)
{
    struct wire_page m;
    size_t used;
    must(wire_get_page(answer, &m) == 0);
    must(m.request == asked->request && m.run == RUN && m.head == sequence_head(w->sequence));
    uint64_t last = asked->after;
    for (struct slice rest = m.entries; rest.len; rest.data += used, rest.len -= used) {
        struct event *e = event_parse(rest, &used);
        must(e && e->kind == EVENT_SHUTDOWN && e->seq > last && e->seq <= m.upto);
        last = e->seq;
        event_unref(&e);
    }
}

static void is_a_page(const struct world *w, struct slice question, struct slice answer)
{
    struct wire_shutdowns past;
    if (wire_get_shutdowns(question, &past) == 0) {
        is_past(w, &past, answer);
        return;
    }
    struct slice channels[HISTORY_CHANNELS_MAX];
    struct wire_replay asked;
    struct wire_page m;
    size_t used, count = 0;
    must(wire_get_replay(question, &asked) == 0 && wire_get_page(answer, &m) == 0);
    must(m.request == asked.request && m.run == RUN && m.head == sequence_head(w->sequence));
    must(m.upto <= m.head || m.upto == asked.after);
    struct audience who = asker(&asked, channels);
    uint64_t last = m.from;
    for (struct slice rest = m.entries; rest.len; rest.data += used, rest.len -= used, count++) {
        struct event *e = event_parse(rest, &used);
        must(e && e->seq > last && e->seq <= m.upto);
        must(asked.everything || event_concerns(e, &who));
        last = e->seq;
        event_unref(&e);
    }
    must(count <= SYNC_PAGE_EVENTS);
}

static void is_an_answer(const struct world *w, struct slice question, struct slice answer)
{
    switch (wire_type(answer)) {
    case WIRE_WELCOME:
        is_a_welcome(w, answer);
        break;
    case WIRE_PAGE:
        is_a_page(w, question, answer);
        break;
    case WIRE_TAKEN:
        must(answer.len == 40);
        break;
    default:
        must(wire_type(answer) == WIRE_RESYNC && answer.len == 8);
    }
}

/* --- who is present --- */

static void adds_up(const struct world *w)
{
    struct listed items[64];
    struct listing sessions = {.items = items, .max = 64};
    size_t total = 0;
    presence_list_sessions(w->presence, (struct slice){0}, &sessions);
    for (size_t i = 0; i < sessions.count; i++) {
        size_t here = presence_listed_connections(&items[i]);
        must(here && here == presence_session_connections(w->presence, items[i].name));
        must(i == 0 || listing_compare(items[i - 1].name, items[i].name) < 0);
        total += here;
    }
    must(total <= presence_connections(w->presence)); /* others have no session */
    must(sessions.more || sessions.count == presence_sessions(w->presence));
    struct names everyone[EVENT_LISTS] = {0};
    must(presence_match(w->presence, false, everyone) == presence_connections(w->presence));
    must(presence_match(w->presence, true, everyone) == 0);
    must(w->connected == presence_connections(w->presence) &&
         w->online == presence_sessions(w->presence));
}

static void hear(struct world *w, uint8_t worker, struct slice message, struct buf *answer)
{
    char name = (char)('0' + worker);
    uint64_t head = sequence_head(w->sequence);
    struct slice id = {&name, 1};
    enum sync_outcome outcome = sync_handle(&w->context, id, message, w->now, answer);
    take_changes(w);
    if (outcome == SYNC_REPORT)
        sync_reported(&w->context, id, message, w->now, answer);
    if (outcome != SYNC_SILENCE)
        is_an_answer(w, message, (struct slice){answer->data, answer->len});
    must(sequence_head(w->sequence) >= head);
    must(sequence_head(w->sequence) == head || wire_type(message) == WIRE_HELLO);
}

static void step(struct world *w, uint8_t what, struct slice bytes, struct buf *answer)
{
    if (what < 4)
        hear(w, what, bytes, answer);
    else if (what == 4)
        publish(w, bytes);
    else if (what == 5)
        w->now += (int64_t)bytes.len * 1000;
    else if (what == 6)
        shut_down(w, bytes);
    w->context.clock_us = w->now * 1000;
    sequence_expire(w->sequence, w->now);
    presence_note_read(w->presence, w->now, what != 5);
    presence_expire(w->presence, w->now);
    take_changes(w);
    adds_up(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    struct buf answer = {0};
    struct slice rest = {(const char *)data, size};
    log_open("fuzz", LOG_ERROR); /* hellos would be told */
    begin(&w);
    while (rest.len >= 3) {
        size_t len = get_u16(rest.data + 1);
        len = len < rest.len - 3 ? len : rest.len - 3;
        struct slice bytes = {rest.data + 3, len};
        bytes.data = exact_copy(bytes);
        step(&w, (uint8_t)rest.data[0], bytes, &answer);
        free((char *)bytes.data);
        rest = (struct slice){rest.data + 3 + len, rest.len - 3 - len};
    }
    buf_release(&answer);
    sequence_free(&w.sequence);
    presence_free(&w.presence);
    return 0;
}
