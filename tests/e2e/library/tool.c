/* tool.c - a program as users of libssecast write them: test_61_library.py builds it against an
 * installed tree and looks at what it prints. The first argument says which story it tells.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <ssecast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void require(int err, const char *what)
{
    if (!err)
        return;
    printf("%s: %s\n", what, strerror(-err));
    exit(1);
}

#define ENDPOINTS_MAX 4

/* Endpoints with commas between. Returns how many. */
static size_t split(char *text, const char *endpoints[ENDPOINTS_MAX])
{
    size_t count = 0;
    for (char *e = strtok(text, ","); e && count < ENDPOINTS_MAX; e = strtok(NULL, ","))
        endpoints[count++] = e;
    return count;
}

static struct ssecast_publisher *connect_to(const char *endpoint, uint32_t timeout_ms)
{
    const struct ssecast_publisher_options options = {
        .endpoints = &endpoint, .endpoint_count = 1, .timeout_ms = timeout_ms, .retry_ms = 200};
    struct ssecast_publisher *p;
    require(ssecast_publisher_new(&p, &options), endpoint);
    return p;
}

static void publish(struct ssecast_publisher *p, const struct ssecast_event *event)
{
    struct ssecast_reply *reply;
    int err = ssecast_publish(p, event, &reply);
    if (err == -EREMOTEIO)
        printf("refused %s\n", ssecast_reply_code(reply));
    else if (err)
        printf("failed %s\n", strerror(-err));
    else
        printf("published %" PRIu64 "%s\n", ssecast_reply_seq(reply),
               ssecast_reply_duplicate(reply) ? " duplicate" : "");
    ssecast_reply_free(&reply);
}

/* ---- one call after the other ---- */

static void ask(struct ssecast_publisher *p, const char *request)
{
    struct ssecast_reply *reply;
    int err = ssecast_query(p, request, &reply);
    printf("%s\n", reply ? ssecast_reply_json(reply, NULL) : strerror(-err));
    ssecast_reply_free(&reply);
}

static int tell_everything(char **args)
{
    struct ssecast_publisher *p = connect_to(args[0], 5000);
    const char *session = args[1], *nobody = "nobody";
    char id[300], question[300];
    const struct ssecast_target to = {.sessions = {&session, 1}}, not = {.sessions = {&session, 1}};
    const struct ssecast_target empty = {0}, stranger = {.channels = {&nobody, 1}};
    snprintf(id, sizeof id, "own-%s", session);
    publish(p, &(struct ssecast_event){.event = "a", .json = "{\"n\": 0.10}", .to = &to});
    publish(p, &(struct ssecast_event){.text = "two\nlines \xc3\xa9", .to = &to});
    publish(p,
            &(struct ssecast_event){.event = "b", .bytes = "by\0tes", .bytes_len = 6, .to = &to});
    publish(p, &(struct ssecast_event){.event = "c", .to = &to, .id = id});
    publish(p, &(struct ssecast_event){.event = "c", .to = &to, .id = id});
    publish(p, &(struct ssecast_event){.event = "lost", .to = &to, .except = &not });
    publish(p, &(struct ssecast_event){.event = "lost", .to = &empty});
    publish(p, &(struct ssecast_event){.event = "lost", .to = &stranger});
    publish(p, &(struct ssecast_event){.event = "ssecast.mine", .to = &to});
    publish(p, &(struct ssecast_event){.event = "d", .json = "1,\"to\":{}", .to = &to});
    publish(p, &(struct ssecast_event){.event = "d", .json = "1", .text = "1", .to = &to});
    publish(p, &(struct ssecast_event){.event = "\xff", .to = &to});
    publish(p, &(struct ssecast_event){.event = "d", .json = "{\"a\":1,\"a\":2}", .to = &to});
    const struct ssecast_event batch[] = {{.event = "e", .json = "1", .to = &to},
                                          {.event = "e", .text = "2", .to = &to}};
    uint64_t seqs[2] = {0};
    struct ssecast_reply *reply;
    require(ssecast_publish_batch(p, batch, 2, &reply), "batch");
    size_t count = ssecast_reply_seqs(reply, seqs, 2);
    printf("batch of %zu, %" PRIu64 " further\n", count, seqs[1] - seqs[0]);
    ssecast_reply_free(&reply);
    snprintf(question, sizeof question, "{\"op\":\"online\",\"session\":\"%s\"}", session);
    ask(p, question);
    snprintf(question, sizeof question, "{\"op\":\"state\",\"prefix\":\"key-%s\"}", session);
    snprintf(id, sizeof id, "key-%s", session);
    publish(p, &(struct ssecast_event){.json = "1", .to = &stranger, .key = id, .ttl_s = 60});
    publish(p, &(struct ssecast_event){.json = "2", .to = &stranger, .key = id, .ttl_s = 60});
    publish(p, &(struct ssecast_event){.json = "3", .to = &empty, .key = id});
    ask(p, question);
    publish(p, &(struct ssecast_event){.to = &stranger, .key = id, .remove = true});
    ask(p, question);
    ask(p, "{}");
    ask(p, "[]");
    ask(p, "{\"op\":\"ping\",\"ref\":1}");
    const struct ssecast_shutdown end = {.whose = to, .reason = "done", .has_block = true};
    int64_t closed = -1;
    require(ssecast_shutdown(p, &end, &reply), "shutdown");
    ssecast_reply_number(reply, "closed", &closed);
    printf("closed %" PRId64 "\n", closed);
    ssecast_reply_free(&reply);
    ssecast_publisher_free(&p);
    return 0;
}

/* ---- many under way, in a loop of our own ---- */

struct tally {
    struct ssecast_publisher *publisher;
    bool any_order; /* what was sent again comes later */
    int good, bad, later;
    uint64_t last;
};

static void count_one(void *context, int err, struct ssecast_reply *reply)
{
    struct tally *t = context;
    uint64_t seq = reply ? ssecast_reply_seq(reply) : 0;
    if (err || (seq <= t->last && !t->any_order))
        t->bad++;
    else
        t->good++;
    t->last = seq;
    if (ssecast_publisher_process(t->publisher) != -EDEADLK ||
        ssecast_publisher_wait(t->publisher, 0, 0) != -EDEADLK)
        t->bad++;
}

/* args: endpoints, session, how many, and "auto" for ids that make it safe to send again. */
static int pipeline(char **args)
{
    const char *endpoints[ENDPOINTS_MAX];
    size_t endpoint_count = split(args[0], endpoints);
    const struct ssecast_publisher_options options = {.endpoints = endpoints,
                                                      .endpoint_count = endpoint_count,
                                                      .timeout_ms = 30000,
                                                      .retry_ms = 300,
                                                      .auto_id = args[3] != NULL};
    struct tally t = {.any_order = options.auto_id};
    const char *session = args[1];
    require(ssecast_publisher_new(&t.publisher, &options), args[0]);
    const struct ssecast_target to = {.sessions = {&session, 1}};
    int count = atoi(args[2]), sent = 0;
    char number[16];
    while (t.good + t.bad < count) {
        while (sent < count) {
            snprintf(number, sizeof number, "%d", sent);
            const struct ssecast_event e = {.event = "n", .json = number, .to = &to};
            int err = ssecast_publish_async(t.publisher, &e, count_one, &t);
            if (err == -EAGAIN) {
                t.later++;
                break;
            }
            require(err, "publish");
            sent++;
        }
        struct pollfd fd = {.fd = ssecast_publisher_fd(t.publisher), .events = POLLIN};
        poll(&fd, 1, ssecast_publisher_next_timeout(t.publisher));
        ssecast_publisher_process(t.publisher);
    }
    printf("good %d bad %d, window was %s\n", t.good, t.bad, t.later ? "full" : "never full");
    ssecast_publisher_free(&t.publisher);
    return 0;
}

/* ---- what happens when replies are lost; args: endpoints with commas between, timeout in ms,
 * "auto" or an id or "" ---- */

static void canceled(void *context, int err, struct ssecast_reply *reply)
{
    (void)context, (void)reply;
    printf("then %s\n", strerror(-err));
}

static int unsure(char **args)
{
    const char *endpoints[ENDPOINTS_MAX];
    size_t count = split(args[0], endpoints);
    const struct ssecast_publisher_options options = {.endpoints = endpoints,
                                                      .endpoint_count = count,
                                                      .timeout_ms = (uint32_t)atoi(args[1]),
                                                      .retry_ms = 200,
                                                      .auto_id = !strcmp(args[2], "auto")};
    struct ssecast_publisher *p;
    require(ssecast_publisher_new(&p, &options), args[0]);
    const char *id = options.auto_id || !*args[2] ? NULL : args[2];
    publish(p, &(struct ssecast_event){.event = "m", .id = id});
    ssecast_query_async(p, "{\"op\":\"ping\"}", canceled, NULL);
    ssecast_publisher_free(&p);
    return 0;
}

/* ---- CURVE; args: endpoint, server's key, and perhaps our own pair ---- */

static int secret(char **args)
{
    const struct ssecast_publisher_options options = {
        .endpoints = (const char *const *)args,
        .endpoint_count = 1,
        .timeout_ms = 1500,
        .curve = {args[1], args[2], args[2] ? args[3] : NULL}};
    struct ssecast_publisher *p;
    char public_key[41], secret_key[41];
    require(ssecast_curve_keypair(public_key, secret_key), "keys");
    printf("keys of %zu and %zu\n", strlen(public_key), strlen(secret_key));
    require(ssecast_publisher_new(&p, &options), "curve");
    publish(p, &(struct ssecast_event){.event = "m"});
    ssecast_publisher_free(&p);
    return 0;
}

/* ---- reading in a thread; args: URL, how many messages, a type or "*", and perhaps an id and the
 * timeouts in ms: idle, connect ---- */

struct reader {
    struct ssecast_source *source;
    sem_t enough;
    int left, result;
};

static void on_open(void *context)
{
    struct reader *r = context;
    printf("open %d\n", (int)ssecast_source_state(r->source));
}

static void on_error(void *context, const struct ssecast_source_error *e)
{
    (void)context;
    printf("error state %d end %d status %d wait %" PRIu64 "\n", (int)e->state, (int)e->end,
           e->status, e->wait_ms);
}

static void on_message(void *context, const struct ssecast_message *m)
{
    struct reader *r = context;
    printf("message %s|%s|%s\n", m->type, m->data, m->id);
    if (--r->left == 0)
        sem_post(&r->enough);
}

static void *run(void *context)
{
    struct reader *r = context;
    r->result = ssecast_source_run(r->source);
    sem_post(&r->enough);
    return NULL;
}

static int read_stream(char **args)
{
    struct reader r = {.left = atoi(args[1])};
    const char *header = "X-Reader: tool";
    const struct ssecast_source_options options = {
        .url = args[0],
        .headers = &header,
        .header_count = 1,
        .last_event_id = args[3],
        .max_event_bytes = 100000,
        .retry_ms = 10,
        .backoff_max_ms = 40,
        .jitter_percent = SSECAST_NO_JITTER,
        .idle_timeout_ms = args[3] && args[4] ? (uint32_t)atoi(args[4]) : 20000,
        .connect_timeout_ms = args[3] && args[4] && args[5] ? (uint32_t)atoi(args[5]) : 0,
        .open = on_open,
        .error = on_error,
        .context = &r};
    pthread_t thread;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sem_init(&r.enough, 0, 0);
    require(ssecast_source_new(&r.source, &options), args[0]);
    require(ssecast_source_on(r.source, strcmp(args[2], "*") ? args[2] : NULL, on_message, &r),
            "on");
    require(-pthread_create(&thread, NULL, run, &r), "thread");
    sem_wait(&r.enough);
    ssecast_source_close(r.source);
    pthread_join(thread, NULL);
    printf("ended %s, state %d, last %s\n", strerror(-r.result),
           (int)ssecast_source_state(r.source), ssecast_source_last_event_id(r.source));
    ssecast_source_free(&r.source);
    sem_destroy(&r.enough);
    return 0;
}

/* ---- reading one message at a time, closing from the callback, and going on;
 * args: URL, how often ---- */

static void on_message_close(void *context, const struct ssecast_message *m)
{
    struct ssecast_source *source = *(struct ssecast_source **)context;
    printf("message %s|%s\n", m->data, m->id);
    ssecast_source_close(source);
    ssecast_source_close(source);
}

static int again(char **args)
{
    struct ssecast_source *source;
    const struct ssecast_source_options options = {.url = args[0]};
    require(ssecast_source_new(&source, &options), args[0]);
    require(ssecast_source_on(source, NULL, on_message_close, &source), "on");
    require(ssecast_source_on(source, NULL, on_message_close, &source), "on");
    for (int n = atoi(args[1]); n > 0; n--) {
        int err = ssecast_source_run(source);
        printf("ended %s, last %s\n", strerror(-err), ssecast_source_last_event_id(source));
    }
    ssecast_source_close(source);
    printf("closed before: %s\n", strerror(-ssecast_source_run(source)));
    ssecast_source_free(&source);
    return 0;
}

/* ---- a signal closes ---- */

static struct ssecast_source *interrupted;

static void on_signal(int number)
{
    (void)number;
    ssecast_source_close(interrupted);
}

static int until_signal(char **args)
{
    const struct ssecast_source_options options = {.url = args[0]};
    require(ssecast_source_new(&interrupted, &options), args[0]);
    signal(SIGTERM, on_signal);
    printf("running\n");
    fflush(stdout);
    printf("ended %s\n", strerror(-ssecast_source_run(interrupted)));
    ssecast_source_free(&interrupted);
    return 0;
}

/* ---- the decoder alone: standard input;
 * args: how many bytes at a time, and the most an event may have ---- */

static void show(void *context, const struct ssecast_message *m)
{
    (void)context;
    printf("%zu %zu %zu\n", m->type_len, m->data_len, m->id_len);
    fwrite(m->type, 1, m->type_len, stdout);
    fwrite(m->data, 1, m->data_len, stdout);
    fwrite(m->id, 1, m->id_len, stdout);
    if (m->type[m->type_len] || m->data[m->data_len] || m->id[m->id_len])
        abort();
}

static void keep_retry(void *context, uint64_t ms)
{
    *(uint64_t *)context = ms;
}

static int decode(char **args)
{
    uint64_t retry = 0;
    const struct ssecast_decoder_handler handler = {
        .message = show, .retry = keep_retry, .context = &retry};
    struct ssecast_decoder *d;
    char bytes[4096];
    ssize_t got;
    int err = 0;
    require(ssecast_decoder_new(&d, &handler, (size_t)atoi(args[1])), "decoder");
    while (!err && (got = read(STDIN_FILENO, bytes, (size_t)atoi(args[0]))) > 0)
        err = ssecast_decoder_feed(d, bytes, (size_t)got);
    printf("%s, retry %" PRIu64 ", last %s", strerror(-err), retry, ssecast_decoder_last_id(d));
    ssecast_decoder_free(&d);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*tell)(char **args);
        int args;
    } stories[] = {{"everything", tell_everything, 2},
                   {"pipeline", pipeline, 3},
                   {"unsure", unsure, 3},
                   {"secret", secret, 2},
                   {"read", read_stream, 3},
                   {"decode", decode, 2},
                   {"again", again, 2},
                   {"signal", until_signal, 1}};
    for (size_t i = 0; argc > 1 && i < sizeof stories / sizeof *stories; i++)
        if (!strcmp(argv[1], stories[i].name) && argc > 1 + stories[i].args)
            return stories[i].tell(argv + 2);
    return 2;
}
