/* publish - sends stamped events (stamp.h) to a server, paced or flat out, and counts the answers.
 *
 *     publish --dealer ENDPOINT | --push ENDPOINT | --http PORT --path PATH
 *             --rate N (events a second; 0: flat out)  --seconds N | --count N
 *             --window N (not yet answered)
 *             --progress FILE --ahead N (events that the readers may be behind)
 *             --size N (bytes of a payload)  --batch N  --frame (payload as a second frame)
 *             --session NAME  --channels N (each event to one of the channels 0 to N-1, in turn)
 *             --keys N (each event with one of the keys 0 to N-1: its number modulo N)
 *             --after N (number events from there)
 *             --curve-key-file FILE  --broker-key KEY (for a broker with keys, as ssecast's
 *             programs take them)
 *             --echo (any message is an answer)
 *
 * --dealer is ssecast's commands endpoint, --push Pushpin's, --http anything that takes an event as
 * the body of a POST; there requests are pipelined on one connection, so that order is kept. Paced,
 * event k is sent at its time whether or not earlier ones were answered, and stamped with the
 * moment it is sent.
 *
 * Answers one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <zmq.h>

#include "histogram.h"
#include "ops/curve_key.h"
#include "progress.h"
#include "stamp.h"

#define SIZE_MAX_BYTES 65536u
#define BATCH_MAX 1000u
#define IN_FLIGHT 65536u

static struct {
    const char *dealer, *push, *path, *session, *key_file;
    char *broker_key;
    int http_port;
    double rate, seconds;
    uint64_t count, window, ahead, size, batch, channels, keys;
    bool frame, echo;
    struct progress *progress;
} options = {.window = 1000, .ahead = 500, .size = 128, .batch = 1};

static struct {
    void *zmq, *socket;
    int fd;
    uint64_t sent, answered, failed; /* requests; events are batch times as many */
    uint64_t events, numbered;       /* events of this run; their numbers come after `numbered` */
    uint64_t sent_at[IN_FLIGHT];
    struct histogram acks;
    uint64_t received_before;
    size_t matched; /* of ANSWER, at the end of what was read */
    char unsent[1 << 20];
    size_t unsent_from, unsent_to;
    char last_error[256];
} state = {.fd = -1};

/* --- requests --- */

static size_t put(char *to, size_t len, const char *text)
{
    size_t n = strlen(text);
    memcpy(to + len, text, n);
    return len + n;
}

static size_t put_target(char *to, size_t len)
{
    if (options.session)
        len += (size_t)sprintf(to + len, ",\"to\":{\"sessions\":[\"%s\"]}", options.session);
    if (options.channels)
        len += (size_t)sprintf(to + len, ",\"to\":{\"channels\":[\"%" PRIu64 "\"]}",
                               state.events % options.channels);
    return len;
}

static size_t put_payload(char *to, size_t len)
{
    stamp_write(to + len, (size_t)options.size, state.numbered + ++state.events, stamp_now());
    return len + (size_t)options.size;
}

static size_t ssecast_event(char *to, size_t len)
{
    len = put(to, len, "\"data\":");
    len = put_payload(to, len);
    if (options.keys)
        len += (size_t)sprintf(to + len, ",\"key\":\"%" PRIu64 "\"",
                               (state.numbered + state.events) % options.keys);
    return put_target(to, len);
}

static size_t ssecast_request(char *to)
{
    size_t len = put(to, 0, "{\"op\":\"publish\",");
    if (options.batch == 1) {
        len = ssecast_event(to, len);
        return put(to, len, "}");
    }
    len = put(to, len, "\"events\":[");
    for (uint64_t i = 0; i < options.batch; i++) {
        len = put(to, len, i ? ",{" : "{");
        len = ssecast_event(to, len);
        len = put(to, len, "}");
    }
    return put(to, len, "]}");
}

static size_t escape(char *to, size_t len, const char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (from[i] == '"')
            to[len++] = '\\';
        to[len++] = from[i];
    }
    return len;
}

/* Pushpin's: the text that is to appear on the streams, finished. */
static size_t pushpin_request(char *to)
{
    char payload[SIZE_MAX_BYTES];
    size_t len =
        put(to, 0, "J{\"channel\":\"bench\",\"formats\":{\"http-stream\":{\"content\":\"data: ");
    len = escape(to, len, payload, put_payload(payload, 0));
    return put(to, len, "\\n\\n\"}}}");
}

static size_t http_request(char *to)
{
    size_t len =
        (size_t)sprintf(to,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
                        "Content-Length: %" PRIu64 "\r\n\r\n",
                        options.path, options.size);
    return put_payload(to, len);
}

/* --- ZeroMQ --- */

static bool use_keys(void)
{
    struct curve_client keys;
    struct curve_key public;
    char why[CURVE_KEY_WHY];
    if (!options.key_file)
        return true;
    if (curve_client_load(&keys, options.key_file, &options.broker_key, 1, 1, why) != 0) {
        fprintf(stderr, "publish: %s\n", why);
        return false;
    }
    return zmq_curve_public(public.text, keys.secret.text) == 0 &&
           zmq_setsockopt(state.socket, ZMQ_CURVE_SERVERKEY, keys.brokers[0].text,
                          CURVE_KEY_LEN + 1) == 0 &&
           zmq_setsockopt(state.socket, ZMQ_CURVE_PUBLICKEY, public.text, CURVE_KEY_LEN + 1) == 0 &&
           zmq_setsockopt(state.socket, ZMQ_CURVE_SECRETKEY, keys.secret.text, CURVE_KEY_LEN + 1) ==
               0;
}

static bool zmq_open(int type, const char *endpoint)
{
    int none = 0;
    state.zmq = zmq_ctx_new();
    state.socket = zmq_socket(state.zmq, type);
    zmq_setsockopt(state.socket, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(state.socket, ZMQ_RCVHWM, &none, sizeof none);
    return use_keys() && zmq_connect(state.socket, endpoint) == 0;
}

static void dealer_send(void)
{
    static char request[BATCH_MAX * 1024 + SIZE_MAX_BYTES];
    if (options.frame) {
        size_t len = put(request, 0, "{\"op\":\"publish\"");
        len = put_target(request, len);
        zmq_send(state.socket, request, put(request, len, "}"), ZMQ_SNDMORE);
        zmq_send(state.socket, request, put_payload(request, 0), 0);
    } else {
        zmq_send(state.socket, request, ssecast_request(request), 0);
    }
}

static void answer(bool ok)
{
    if (!ok)
        state.failed++;
    histogram_add(&state.acks, stamp_now() - state.sent_at[state.answered++ % IN_FLIGHT]);
}

static void dealer_receive(void)
{
    static const char good[] = "\"ok\":true";
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, state.socket, ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_more(&frame))
            continue; /* an echo of two frames is one answer */
        const char *reply = zmq_msg_data(&frame);
        size_t len = zmq_msg_size(&frame);
        bool ok = options.echo || memmem(reply, len, good, sizeof good - 1) != NULL;
        if (!ok)
            snprintf(state.last_error, sizeof state.last_error, "%.*s",
                     (int)(len < 200 ? len : 200), reply);
        answer(ok);
    }
    zmq_msg_close(&frame);
}

static void push_send(void)
{
    static char request[2 * SIZE_MAX_BYTES + 200];
    zmq_send(state.socket, request, pushpin_request(request), 0);
    state.answered++;
}

/* --- HTTP --- */

static bool http_open(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.http_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    state.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(state.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connect(state.fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static void http_flush(void)
{
    ssize_t n = send(state.fd, state.unsent + state.unsent_from,
                     state.unsent_to - state.unsent_from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        state.unsent_from += (size_t)n;
    if (state.unsent_from == state.unsent_to)
        state.unsent_from = state.unsent_to = 0;
}

static void http_send(void)
{
    state.unsent_to += http_request(state.unsent + state.unsent_to);
    http_flush();
}

/* Every "HTTP/1.1 2xx" is an answer, wherever the reads cut it. */
static void http_receive(void)
{
    static const char head[] = "HTTP/1.1 ";
    char bytes[65536];
    ssize_t n = recv(state.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        fprintf(stderr, "publish: the connection was closed\n");
        exit(1);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (state.matched == sizeof head - 1) {
            answer(bytes[i] == '2');
            state.matched = 0;
        } else if (bytes[i] == head[state.matched]) {
            state.matched++;
        } else {
            state.matched = bytes[i] == head[0];
        }
    }
}

/* --- the loop --- */

static bool may_send(void)
{
    if (state.sent - state.answered >= options.window || state.unsent_to > sizeof state.unsent / 2)
        return false;
    if (!options.progress)
        return true;
    uint64_t readers = atomic_load(&options.progress->readers);
    uint64_t received = atomic_load(&options.progress->received) - state.received_before;
    return readers && state.events < received / readers + options.ahead;
}

static void send_one(void)
{
    state.sent_at[state.sent++ % IN_FLIGHT] = stamp_now();
    if (options.dealer)
        dealer_send();
    else if (options.push)
        push_send();
    else
        http_send();
}

static void receive(void)
{
    if (options.dealer)
        dealer_receive();
    else if (!options.push)
        http_receive();
}

/* Sleep until something was answered, or ns have passed. */
static void pause_for(uint64_t ns)
{
    struct pollfd item = {.fd = state.fd, .events = POLLIN};
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    if (state.unsent_to)
        item.events |= POLLOUT;
    if (options.dealer) { /* one poll for libzmq's promise that what arrived before is seen */
        size_t len = sizeof item.fd;
        int events = 0;
        size_t size = sizeof events;
        zmq_getsockopt(state.socket, ZMQ_FD, &item.fd, &len);
        zmq_getsockopt(state.socket, ZMQ_EVENTS, &events, &size);
        if (events & ZMQ_POLLIN)
            return;
    }
    ppoll(&item, options.push ? 0 : 1, &t, NULL);
    if (state.unsent_to)
        http_flush();
}

static bool finished(uint64_t began)
{
    if (options.progress && state.events && !atomic_load(&options.progress->readers))
        return true; /* nobody is left to wait for */
    if (options.count)
        return state.sent >= options.count;
    return (double)(stamp_now() - began) / 1e9 >= options.seconds;
}

static void run(uint64_t began)
{
    while (!finished(began)) {
        uint64_t due = began, now = stamp_now();
        if (options.rate > 0)
            due += (uint64_t)((double)state.sent / options.rate * 1e9);
        if (now >= due && may_send())
            send_one();
        else
            pause_for(now < due ? due - now : options.dealer ? 1000000 : 200000);
        if (options.rate > 0 || !may_send() || state.sent % 64 == 0)
            receive();
    }
}

static void await_answers(void)
{
    uint64_t deadline = stamp_now() + 20000000000u;
    while (state.answered < state.sent && stamp_now() < deadline) {
        pause_for(1000000);
        receive();
    }
}

static void report(uint64_t began)
{
    double seconds = (double)(stamp_now() - began) / 1e9;
    printf("{\"events\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"unanswered\":%" PRIu64
           ",\"failed\":%" PRIu64
           ",\"seconds\":%.6f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}\n",
           state.events, state.answered * options.batch, state.sent - state.answered, state.failed,
           seconds, (double)histogram_at(&state.acks, 0.5) / 1e6,
           (double)histogram_at(&state.acks, 0.99) / 1e6, (double)state.acks.max / 1e6);
    if (state.failed)
        fprintf(stderr, "publish: %s\n", state.last_error);
}

static void check_options(void)
{
    bool sizes =
        options.size >= STAMP_MIN && options.size <= SIZE_MAX_BYTES && options.batch <= BATCH_MAX;
    if (sizes && options.window <= IN_FLIGHT && (options.batch <= 1 || options.size <= 512) &&
        !(options.keys && options.frame))
        return;
    fprintf(stderr, "publish: a size, batch or window is out of range, or --keys with --frame\n");
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option rows[] = {
        {"dealer", 1, 0, 'd'},         {"push", 1, 0, 'p'},       {"http", 1, 0, 'h'},
        {"path", 1, 0, 'P'},           {"rate", 1, 0, 'r'},       {"seconds", 1, 0, 's'},
        {"count", 1, 0, 'c'},          {"window", 1, 0, 'w'},     {"progress", 1, 0, 'g'},
        {"ahead", 1, 0, 'a'},          {"size", 1, 0, 'b'},       {"batch", 1, 0, 'B'},
        {"frame", 0, 0, 'f'},          {"session", 1, 0, 'S'},    {"channels", 1, 0, 'C'},
        {"curve-key-file", 1, 0, 'k'}, {"broker-key", 1, 0, 'K'}, {"keys", 1, 0, 'e'},
        {"after", 1, 0, 'A'},          {"echo", 0, 0, 'E'},       {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        switch (c) {
        case 'd':
            options.dealer = optarg;
            break;
        case 'p':
            options.push = optarg;
            break;
        case 'h':
            options.http_port = atoi(optarg);
            break;
        case 'P':
            options.path = optarg;
            break;
        case 'r':
            options.rate = atof(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'c':
            options.count = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            options.window = strtoull(optarg, NULL, 10);
            break;
        case 'g':
            options.progress = progress_open(optarg);
            break;
        case 'a':
            options.ahead = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options.size = strtoull(optarg, NULL, 10);
            break;
        case 'B':
            options.batch = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            options.frame = true;
            break;
        case 'S':
            options.session = optarg;
            break;
        case 'C':
            options.channels = strtoull(optarg, NULL, 10);
            break;
        case 'e':
            options.keys = strtoull(optarg, NULL, 10);
            break;
        case 'A':
            state.numbered = strtoull(optarg, NULL, 10);
            break;
        case 'E':
            options.echo = true;
            break;
        case 'k':
            options.key_file = optarg;
            break;
        case 'K':
            options.broker_key = optarg;
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a measurement that was killed leaves none behind */
    read_options(argc, argv);
    check_options();
    bool open = options.dealer ? zmq_open(ZMQ_DEALER, options.dealer)
                : options.push ? zmq_open(ZMQ_PUSH, options.push)
                               : http_open();
    if (!open) {
        perror("publish: cannot connect");
        return 1;
    }
    if (options.progress)
        state.received_before = atomic_load(&options.progress->received);
    uint64_t began = stamp_now();
    run(began);
    await_answers();
    report(began);
    if (state.zmq) {
        zmq_close(state.socket);
        zmq_ctx_term(state.zmq);
    }
    return 0;
}
