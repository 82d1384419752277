/* nats_publish - what JetStream takes from libnats alone: events published without waiting, every
 * one acknowledged.
 *
 *     nats_publish --servers URL --stream NAME --replicas N --count N --window N --size N
 *
 * Makes the stream anew, on files. Answers one line of JSON.
 */
#include <getopt.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static struct {
    const char *servers, *stream;
    int64_t replicas;
    uint64_t count, window, size;
} options = {.stream = "bench", .replicas = 1, .count = 60000, .window = 1000, .size = 128};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    uint64_t acknowledged, failed;
} state = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void on_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *error, void *context)
{
    (void)js;
    (void)context;
    pthread_mutex_lock(&state.lock);
    if (ack && !error)
        state.acknowledged++;
    else
        state.failed++;
    pthread_cond_signal(&state.settled);
    pthread_mutex_unlock(&state.lock);
    natsMsg_Destroy(msg);
}

static void wait_for(uint64_t sent, uint64_t window)
{
    pthread_mutex_lock(&state.lock);
    while (state.acknowledged + state.failed + window < sent)
        pthread_cond_wait(&state.settled, &state.lock);
    pthread_mutex_unlock(&state.lock);
}

static natsStatus make_stream(jsCtx *js)
{
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subjects[] = {options.stream};
    config.Name = options.stream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Replicas = options.replicas;
    config.MaxBytes = 256 << 20;
    js_DeleteStream(js, options.stream, NULL, NULL);
    return js_AddStream(NULL, js, &config, NULL, NULL);
}

static natsStatus publish_all(jsCtx *js)
{
    natsStatus s = NATS_OK;
    char *payload = calloc(1, (size_t)options.size + 1);
    if (!payload)
        return NATS_NO_MEMORY;
    memset(payload, 'x', (size_t)options.size);
    for (uint64_t sent = 0; s == NATS_OK && sent < options.count; sent++) {
        wait_for(sent + 1, options.window);
        s = js_PublishAsync(js, options.stream, payload, (int)options.size, NULL);
    }
    if (s == NATS_OK)
        wait_for(options.count, 0);
    free(payload);
    return s;
}

static natsStatus run(int64_t *us)
{
    natsConnection *connection = NULL;
    jsCtx *js = NULL;
    jsOptions o;
    jsOptions_Init(&o);
    o.PublishAsync.AckHandler = on_ack;
    natsStatus s = natsConnection_ConnectTo(&connection, options.servers);
    if (s == NATS_OK)
        s = natsConnection_JetStream(&js, connection, &o);
    if (s == NATS_OK)
        s = make_stream(js);
    int64_t began = clock_us();
    if (s == NATS_OK)
        s = publish_all(js);
    *us = clock_us() - began;
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    return s;
}

static const struct option long_options[] = {
    {"servers", required_argument, NULL, 's'},
    {"stream", required_argument, NULL, 'n'},
    {"replicas", required_argument, NULL, 'r'},
    {"count", required_argument, NULL, 'c'},
    {"window", required_argument, NULL, 'w'},
    {"size", required_argument, NULL, 'b'},
    {0},
};

static bool read_options(int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 's':
            options.servers = optarg;
            break;
        case 'n':
            options.stream = optarg;
            break;
        case 'r':
            options.replicas = atoll(optarg);
            break;
        case 'c':
            options.count = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            options.window = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options.size = strtoull(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return options.servers && optind == argc;
}

int main(int argc, char **argv)
{
    int64_t us = 0;
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: nats_publish --servers "
                        "URL [--stream NAME] [--replicas N] [--count N] [--window N] [--size N]\n");
        return 2;
    }
    natsStatus s = run(&us);
    if (s != NATS_OK)
        fprintf(stderr, "nats_publish: %s\n", natsStatus_GetText(s));
    printf("{\"acknowledged\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"seconds\":%.6f}\n",
           state.acknowledged, state.failed, (double)us / 1e6);
    return s == NATS_OK && !state.failed ? 0 : 1;
}
