/* seeds - writes the seeds that are not text, with the encoders that the programs use: `make
 * fuzz-seeds` after a format has changed.
 *
 *     seeds FOLDER      (tests/fuzz/corpus)
 */
#include <fastcgi.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "codec/event_record.h"
#include "codec/wire.h"
#include "fuzz.h"
#include "log/batch.h"
#include "presence/gossip.h"

static const char *top;

static void save(const char *target, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", top, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", top, target, name);
    FILE *file = fopen(path, "wb");
    must(file && fwrite(bytes.data, 1, bytes.len, file) == bytes.len);
    must(fclose(file) == 0);
}

/* --- messages between broker and worker --- */

static struct event *event(uint64_t seq, enum event_kind kind, bool to)
{
    struct slice a = slice_of("a"), channels[] = {slice_of("room:7"), slice_of("b")};
    struct event_spec spec = {.kind = kind,
                              .seq = seq,
                              .time_ms = 1763710000000,
                              .event = slice_of("m"),
                              .data = slice_of("{\"n\":1}\nand"),
                              .id = slice_of(seq % 2 ? "order-17" : NULL),
                              .seq_as_id = seq % 4 == 3,
                              .publisher = slice_of("token:0123"),
                              .has_to = to,
                              .block_s = kind == EVENT_SHUTDOWN ? 60 : 0};
    spec.lists[TO_SESSIONS] = (struct names){&a, to};
    spec.lists[TO_CHANNELS] = (struct names){channels, to ? 2 : 0};
    spec.lists[EXCEPT_CONNECTIONS] = (struct names){&a, 1};
    struct event *e = event_new(&spec);
    must(e);
    return e;
}

static void add_bans(struct buf *b)
{
    struct slice a = slice_of("a"), b_ = slice_of("bert");
    char text[64];
    event_put_ban(text, a, 1763710060000);
    event_put_ban(text + event_ban_size(a), b_, 0);
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_BANS,
                                       .seq = 1004,
                                       .time_ms = 1763710000000,
                                       .data = {text, event_ban_size(a) + event_ban_size(b_)}});
    must(e);
    wire_add_entry(b, e);
    event_unref(&e);
}

static struct event *keyed(uint64_t seq, bool remove)
{
    struct slice room = slice_of("room:7");
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .time_ms = 1763710000000,
                              .data = slice_of("1"),
                              .key = slice_of("price"),
                              .ttl_s = 60,
                              .remove = remove,
                              .has_to = seq % 2};
    spec.lists[TO_CHANNELS] = (struct names){&room, seq % 2};
    struct event *e = event_new(&spec);
    must(e);
    return e;
}

/* Events with a key, and a record that has some. */
static void add_keys(struct buf *b)
{
    struct buf entries = {0};
    for (uint64_t seq = 1; seq < 3; seq++) {
        struct event *old = keyed(seq, false), *new = keyed(1004 + seq, seq == 2);
        wire_add_entry(&entries, old);
        wire_add_entry(b, new);
        event_unref(&old);
        event_unref(&new);
    }
    struct event *e = event_new(&(struct event_spec){.kind = EVENT_STATE,
                                                     .seq = 1007,
                                                     .time_ms = 1763710000000,
                                                     .data = {entries.data, entries.len}});
    must(e && !entries.failed);
    wire_add_entry(b, e);
    event_unref(&e);
    buf_release(&entries);
}

static void add_events(struct buf *b)
{
    for (uint64_t seq = 1001; seq < 1004; seq++) {
        struct event *e = event(seq, seq == 1003 ? EVENT_SHUTDOWN : EVENT_MESSAGE, seq > 1001);
        wire_add_entry(b, e);
        event_unref(&e);
    }
    add_bans(b);
    add_keys(b);
}

static void put_presence(struct buf *b, uint64_t n, bool full)
{
    struct slice channels[] = {slice_of("c"), slice_of("d")};
    struct wire_presence m = {.n = n, .full = full, .counters = {3, 2, 1}};
    wire_put_presence(b, &m);
    wire_add_presence(b, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                      .connection = slice_of("c1"),
                                                      .session = slice_of("a"),
                                                      .since_ms = 1763710000000,
                                                      .channels = {channels, 2},
                                                      .acknowledged = true,
                                                      .meta = {"\xfe\x7f\0\0\1", 5}});
    wire_add_presence(b, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                      .connection = slice_of("c2"),
                                                      .session = slice_of("a"),
                                                      .since_ms = 1});
    wire_add_presence(
        b, &(struct wire_presence_item){.connection = slice_of("c2"), .cause = END_SLOW});
    wire_add_presence(
        b, &(struct wire_presence_item){
               .kind = ITEM_LAGS, .connection = slice_of("c1"), .sent = 1001, .queued = 9});
}

static void put_replay(struct buf *b, bool everything, const char *id)
{
    struct slice channels[] = {slice_of("b"), slice_of("c")};
    wire_put_replay(b, &(struct wire_replay){
                           .request = 9,
                           .after = 1001,
                           .max_bytes = 65536,
                           .everything = everything,
                           .id = slice_of(id),
                           .who = {slice_of("a"), slice_of("c1"), {channels, everything ? 0 : 2}}});
}

static void put_command(struct buf *b, bool limited)
{
    struct slice patterns[] = {slice_of("s*"), slice_of("c")};
    wire_put_command(
        b, &(struct wire_command){.request = 4,
                                  .grant = {.roles = ROLE_PUBLISHER,
                                            .limited = limited,
                                            .sessions = {patterns, limited ? 2 : 0},
                                            .channels = {patterns, limited},
                                            .publisher = slice_of(limited ? "token:0123" : NULL)},
                                  .json = slice_of("{\"op\":\"publish\",\"data\":1}")});
}

/* For fuzz_wire as it is, for fuzz_sync as a step of worker 0. */
static void save_message(const char *name, struct buf *b)
{
    must(!b->failed);
    save("fuzz_wire", name, (struct slice){b->data, b->len});
    buf_release(b);
}

static void messages(void)
{
    struct buf b = {0};
    wire_put_batch(&b, 77, 1000);
    add_events(&b);
    save_message("batch", &b);
    wire_put_head(&b, &(struct wire_head){77, 1004, 1000, 1763710000000000});
    save_message("head", &b);
    wire_put_hello(&b, &(struct wire_hello){.worker = slice_of("web-1"),
                                            .position = 1001,
                                            .labels = {&(struct slice){"remote_addr", 11}, 1}});
    save_message("hello", &b);
    wire_put_welcome(&b, &(struct wire_welcome){.run = 77,
                                                .head = 1004,
                                                .complete = 1000,
                                                .oldest = 1001,
                                                .began = 1000,
                                                .clock = 1763710000000000,
                                                .pieces = 1});
    wire_add_ban(&b, slice_of("a"), 1763710060000);
    wire_add_ban(&b, slice_of("b"), 1);
    save_message("welcome", &b);
    wire_put_bans(&b, &(struct wire_bans){.run = 77, .piece = 1});
    wire_add_ban(&b, slice_of("a"), 1763710060000);
    save_message("bans", &b);
    struct event *newest = keyed(1001, false);
    wire_put_state(&b, &(struct wire_state){.run = 77, .piece = 2});
    wire_add_entry(&b, newest);
    event_unref(&newest);
    save_message("state", &b);
    wire_put_shutdowns(&b, &(struct wire_shutdowns){.request = 9, .after = 1001, .age_ms = 5000});
    save_message("shutdowns", &b);
    wire_put_taken(
        &b, &(struct wire_taken){.run = 77, .n = 3, .head = 1003, .clock = 1763710000000000});
    save_message("taken", &b);
    put_replay(&b, true, NULL);
    save_message("replay-all", &b);
    put_replay(&b, false, "order-17");
    save_message("replay-one", &b);
    wire_put_page(
        &b, &(struct wire_page){
                .request = 9, .run = 77, .from = 1000, .upto = 1004, .head = 1004, .gap = true});
    add_events(&b);
    save_message("page", &b);
    put_presence(&b, 1, true);
    save_message("presence", &b);
    wire_put_presence(&b,
                      &(struct wire_presence){.n = 2, .full = true, .rest = true, .more = true});
    save_message("presence-piece", &b);
    wire_put_presence(&b, &(struct wire_presence){.n = 3, .bye = true});
    save_message("presence-bye", &b);
    wire_put_resync(&b);
    save_message("resync", &b);
    put_command(&b, true);
    save_message("command-limited", &b);
    put_command(&b, false);
    save_message("command", &b);
    wire_put_reply(&b, &(struct wire_reply){4, slice_of("{\"ok\":true,\"seq\":1001}")});
    save_message("reply", &b);
}

static void entries(void)
{
    struct event *e = event(1001, EVENT_MESSAGE, true);
    save("fuzz_wire", "entry", e->entry);
    event_unref(&e);
}

/* --- conversations on sync: the steps of fuzz_sync.c --- */

static void step(struct buf *talk, uint8_t what, struct slice bytes)
{
    char head[3] = {(char)what};
    put_u16(head + 1, (uint16_t)bytes.len);
    wire_add_bytes(talk, (struct slice){head, sizeof head});
    wire_add_bytes(talk, bytes);
}

static void say(struct buf *talk, uint8_t worker, struct buf *b)
{
    step(talk, worker, (struct slice){b->data, b->len});
    buf_release(b);
}

static void hello(struct buf *talk, uint8_t worker, uint64_t position)
{
    struct buf b = {0};
    wire_put_hello(&b, &(struct wire_hello){.worker = slice_of("web"), .position = position});
    say(talk, worker, &b);
}

static void conversation(const char *name, uint64_t position, bool everything)
{
    struct buf talk = {0}, b = {0};
    hello(&talk, 0, 0);
    put_presence(&b, 1, true);
    say(&talk, 0, &b);
    step(&talk, 4, slice_of("one"));
    step(&talk, 4, slice_of("even"));
    step(&talk, 6, slice_of("a"));
    put_replay(&b, everything, everything ? NULL : "unknown");
    say(&talk, 0, &b);
    hello(&talk, 1, position);
    put_presence(&b, 5, false);
    say(&talk, 1, &b);
    step(&talk, 5, slice_of("0123456789abcdef"));
    put_presence(&b, 2, false);
    say(&talk, 0, &b);
    hello(&talk, 2, 0);
    for (uint64_t n = 1; n < 4; n++) {
        wire_put_presence(
            &b, &(struct wire_presence){.n = n, .full = true, .rest = n > 1, .more = n < 3});
        wire_add_presence(&b, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = slice_of("d"),
                                                           .session = slice_of("a"),
                                                           .since_ms = 1});
        say(&talk, 2, &b);
    }
    wire_put_shutdowns(&b, &(struct wire_shutdowns){.request = 9, .age_ms = 60000});
    say(&talk, 2, &b);
    wire_put_presence(&b, &(struct wire_presence){.n = 4, .bye = true});
    say(&talk, 2, &b);
    must(!talk.failed);
    save("fuzz_sync", name, (struct slice){talk.data, talk.len});
    buf_release(&talk);
}

/* --- brokers that share a stream: what fuzz_cluster.c takes --- */

static void marked(const char *name, char mark, const struct buf *b)
{
    struct buf all = {0};
    must(!b->failed);
    wire_add_bytes(&all, (struct slice){&mark, 1});
    wire_add_items(&all, b);
    save("fuzz_cluster", name, (struct slice){all.data, all.len});
    buf_release(&all);
}

static void a_turn(void)
{
    struct buf b = {0};
    char head[BATCH_HEADER_LEN];
    batch_put_header(head, &(struct batch){{7, 2}, {7, 1}, 5, 1000, 900, true, {0}});
    wire_add_bytes(&b, (struct slice){head, sizeof head});
    add_events(&b);
    marked("turn", 't', &b);
    buf_release(&b);
}

static void some_gossip(const char *name, enum gossip_type type, size_t body, size_t max)
{
    struct buf all = {0};
    struct gossip m = {
        .type = type, .epoch = 7, .number = 1, .name = slice_of("web-1"), .body = {NULL, body}};
    m.body.data = calloc(1, body + 1);
    unsigned parts = 1;
    for (unsigned part = 0; part < parts; part++) {
        struct buf b = {0};
        char len[2];
        parts = gossip_put(&b, &m, part, max);
        put_u16(len, (uint16_t)b.len);
        wire_add_bytes(&all, (struct slice){len, 2});
        wire_add_items(&all, &b);
        buf_release(&b);
    }
    marked(name, 'g', &all);
    buf_release(&all);
    free((char *)m.body.data);
}

/* --- stores: the rows of fuzz_store.c --- */

static void row(struct buf *b, uint8_t table, uint8_t key, struct slice bytes)
{
    char head[4] = {(char)table, (char)key};
    put_u16(head + 2, (uint16_t)bytes.len);
    wire_add_bytes(b, (struct slice){head, sizeof head});
    wire_add_bytes(b, bytes);
}

static void stored(const char *name, uint8_t sum, struct slice doubt)
{
    struct buf b = {0};
    row(&b, 1, 4, doubt);
    row(&b, 3 | sum, 3, slice_of("id"));
    struct event *kept = keyed(2, false);
    row(&b, 4 | sum, 2, kept->entry);
    event_unref(&kept);
    for (uint64_t seq = 5; seq < 8; seq++) {
        struct event *e = event(seq, EVENT_MESSAGE, seq == 6);
        row(&b, seq == 7 ? sum : 0, (uint8_t)seq, e->entry);
        event_unref(&e);
    }
    row(&b, 2, 1, (struct slice){"\4\0\0\0\0\0\0\0", 8});
    must(!b.failed);
    save("fuzz_store", name, (struct slice){b.data, b.len});
    buf_release(&b);
}

/* --- FastCGI --- */

static void record(struct buf *b, uint8_t type, struct slice content)
{
    char head[FCGI_HEADER_LEN] = {
        FCGI_VERSION_1,           (char)type, 0, 1, (char)(content.len >> 8), (char)content.len,
        (char)(-content.len & 7), 0};
    wire_add_bytes(b, (struct slice){head, sizeof head});
    wire_add_bytes(b, content);
    wire_add_bytes(b, (struct slice){(char[8]){0}, (unsigned char)head[6]});
}

static void pair(struct buf *b, const char *name, struct slice value)
{
    char lengths[5] = {(char)strlen(name), (char)value.len};
    size_t len = 2;
    if (value.len > 127) {
        len = 5;
        lengths[1] = (char)(value.len >> 24 | 0x80);
        lengths[2] = (char)(value.len >> 16);
        lengths[3] = (char)(value.len >> 8);
        lengths[4] = (char)value.len;
    }
    wire_add_bytes(b, (struct slice){lengths, len});
    wire_add_bytes(b, (struct slice){name, strlen(name)});
    wire_add_bytes(b, value);
}

static void request(const char *name, bool long_one, const char *body)
{
    static char cookie[300];
    struct buf params = {0}, b = {0};
    memset(cookie, 'x', sizeof cookie);
    pair(&params, "REQUEST_METHOD", slice_of(body ? "POST" : "GET"));
    pair(&params, "QUERY_STRING", slice_of("session=a&channels=b,c"));
    pair(&params, "HTTP_LAST_EVENT_ID", slice_of(""));
    if (long_one)
        pair(&params, "HTTP_COOKIE", (struct slice){cookie, sizeof cookie});
    record(&b, FCGI_BEGIN_REQUEST, (struct slice){"\0\1\0\0\0\0\0\0", 8});
    record(&b, FCGI_PARAMS, (struct slice){params.data, params.len / 2});
    record(&b, FCGI_PARAMS,
           (struct slice){params.data + params.len / 2, params.len - params.len / 2});
    record(&b, FCGI_PARAMS, (struct slice){0});
    if (body)
        record(&b, FCGI_STDIN, slice_of(body));
    record(&b, FCGI_STDIN, (struct slice){0});
    must(!b.failed);
    save("fuzz_record", name, (struct slice){b.data, b.len});
    buf_release(&params);
    buf_release(&b);
}

int main(int argc, char **argv)
{
    must(argc == 2);
    top = argv[1];
    messages();
    entries();
    conversation("everything", 1002, true);
    conversation("one", 5000, false);
    a_turn();
    some_gossip("here", GOSSIP_HERE, 24, 1000);
    some_gossip("worker-in-parts", GOSSIP_WORKER, 700, 350);
    some_gossip("bye", GOSSIP_BYE, 0, 1000);
    stored("good", 0, (struct slice){0});
    stored("bad-sum", 0x80, slice_of("?"));
    request("get", false, NULL);
    request("get-long", true, NULL);
    request("post", false, "{\"op\":\"publish\"}");
    return 0;
}
