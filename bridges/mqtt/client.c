/* libmosquitto 2.0 writes the acknowledgement of a message before it calls back with the message.
 * After mosquitto_threaded_set() it only queues what is to be written, for the thread that calls
 * mosquitto_loop_write(). There is no such thread: that call is client_write().
 *
 * With each acknowledgement it also wakes that thread, by a byte into a pipe that is never read
 * here. When the pipe is full, after some 280 messages, errno becomes EAGAIN. mosquitto_loop_read()
 * would take that for the end of what has arrived. Further packets of the same TLS record would
 * wait in libssl, where poll() does not see them. So the callback, which comes between, resets
 * errno. */
#define LOG_SUBSYSTEM "mqtt"
#include "mqtt/client.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"

#define RECEIVE_MAX 100
#define TOPIC_ROOM 131072u /* bytes of a packet beside its payload */
#define ANSWER_MS 10000
#define REFUSED 128 /* reasons from here on are failures */
#define SESSION_PRESENT 1

struct client {
    struct frame *frame;
    const struct mqtt_options *options;
    struct client_handler handler;
    struct mosquitto *mosquitto;
    mosquitto_property *properties; /* of CONNECT */
    bool open, answered;
    int refusal; /* of CONNACK */
    char why[CLIENT_WHY];
};

/* ---- failures ---- */

static void mqtt_client_note(struct client *c, const char *text)
{
    snprintf(c->why, sizeof c->why, "%s", text);
}

static int fail(struct client *c, const char *text)
{
    mqtt_client_note(c, text);
    client_close(c);
    return -EIO;
}

static int mqtt_client_check(struct client *c, int rc)
{
    if (rc == MOSQ_ERR_SUCCESS)
        return 0;
    return fail(c, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
}

const char *client_why(const struct client *c)
{
    return c->why;
}

bool client_is_open(const struct client *c)
{
    return c->open;
}

/* Without DISCONNECT, and without a write of what waits. libmosquitto closes the socket when it
 * connects again. */
void client_close(struct client *c)
{
    int fd = mosquitto_socket(c->mosquitto);
    c->open = false;
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

/* ---- what libmosquitto calls ---- */

static void on_connect(struct mosquitto *mosquitto, void *context, int rc, int flags,
                       const mosquitto_property *all)
{
    struct client *c = context;
    (void)mosquitto, (void)all;
    c->answered = true;
    c->refusal = rc;
    if (rc == 0 && !(flags & SESSION_PRESENT))
        c->handler.new_session(c->handler.context);
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int mid, int count,
                         const int *granted, const mosquitto_property *all)
{
    struct client *c = context;
    (void)mosquitto, (void)mid, (void)all;
    for (int i = 0; i < count; i++)
        if (granted[i] >= REFUSED)
            log_event(LOG_ERROR, "MQTT broker refused a subscription",
                      log_name("server", c->options->server),
                      log_name("reason", mosquitto_reason_string(granted[i])));
}

static void mqtt_client_on_message(struct mosquitto *mosquitto, void *context,
                                   const struct mosquitto_message *m, const mosquitto_property *all)
{
    struct client *c = context;
    (void)mosquitto, (void)all;
    const struct client_message message = {.packet = m->qos ? (uint16_t)m->mid : 0,
                                           .topic = slice_of(m->topic),
                                           .payload = {m->payload, (size_t)m->payloadlen},
                                           .retained = m->retain};
    c->handler.message(c->handler.context, &message);
    errno = 0;
}

/* ---- start and end ---- */

static int set_properties(struct client *c, const struct mqtt_options *o)
{
    uint32_t expiry = (uint32_t)(o->session_expiry_ms / 1000);
    uint32_t largest = (uint32_t)o->broker.max_event_bytes + TOPIC_ROOM;
    int rc =
        mosquitto_property_add_int32(&c->properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, expiry);
    if (!rc)
        rc = mosquitto_property_add_int32(&c->properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, largest);
    if (!rc)
        rc = mosquitto_property_add_int16(&c->properties, MQTT_PROP_RECEIVE_MAXIMUM, RECEIVE_MAX);
    return rc;
}

static int set_tls(const struct client *c, const struct mqtt_options *o)
{
    if (!o->tls_ca)
        return MOSQ_ERR_SUCCESS;
    if (strcmp(o->tls_ca, MQTT_SYSTEM_CA) != 0)
        return mosquitto_tls_set(c->mosquitto, o->tls_ca, NULL, o->tls_cert, o->tls_key, NULL);

    int rc = mosquitto_int_option(c->mosquitto, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
    return rc ? rc
              : mosquitto_tls_set(c->mosquitto, NULL, "/etc/ssl/certs", o->tls_cert, o->tls_key,
                                  NULL);
}

static int configure(struct client *c, const struct mqtt_options *o, const char *password)
{
    int rc = mosquitto_int_option(c->mosquitto, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    if (!rc)
        rc = mosquitto_int_option(c->mosquitto, MOSQ_OPT_RECEIVE_MAXIMUM, RECEIVE_MAX);
    if (!rc)
        rc = mosquitto_threaded_set(c->mosquitto, true);
    if (!rc && o->username)
        rc = mosquitto_username_pw_set(c->mosquitto, o->username, password);
    if (!rc)
        rc = set_tls(c, o);
    if (!rc)
        rc = set_properties(c, o);
    mosquitto_connect_v5_callback_set(c->mosquitto, on_connect);
    mosquitto_subscribe_v5_callback_set(c->mosquitto, on_subscribe);
    mosquitto_message_v5_callback_set(c->mosquitto, mqtt_client_on_message);
    return rc;
}

int client_new(struct client **out, struct frame *frame, const struct mqtt_options *o,
               const char *password, const struct client_handler *handler, char why[CLIENT_WHY])
{
    struct client *c = *out = calloc(1, sizeof **out);
    snprintf(why, CLIENT_WHY, "out of memory");
    if (!c)
        return -ENOMEM;

    mosquitto_lib_init();
    *c = (struct client){.frame = frame, .options = o, .handler = *handler};
    c->mosquitto = mosquitto_new(o->client_id, false, c);
    int rc = c->mosquitto ? configure(c, o, password) : MOSQ_ERR_NOMEM;
    if (!rc)
        return 0;
    snprintf(why, CLIENT_WHY, "%s", mosquitto_strerror(rc));
    client_free(out);
    return -EINVAL;
}

void client_free(struct client **c)
{
    if (!*c)
        return;
    if ((*c)->mosquitto) {
        client_close(*c);
        mosquitto_destroy((*c)->mosquitto);
    }
    mosquitto_property_free_all(&(*c)->properties);
    mosquitto_lib_cleanup();
    free(*c);
    *c = NULL;
}

/* ---- connecting ---- */

static void end_at_once(int number)
{
    (void)number;
    _exit(0);
}

/* libmosquitto waits for the connection. Nothing that was read is lost if the program ends then. */
static void let_signals_end(bool end)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGTERM, end ? end_at_once : SIG_DFL);
    signal(SIGINT, end ? end_at_once : SIG_DFL);
    sigprocmask(end ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static int connect_socket(struct client *c)
{
    const struct mqtt_options *o = c->options;
    struct mqtt_address address;
    if (!mqtt_address(o->server, o->tls_ca != NULL, &address))
        return fail(c, "--server is no address");

    let_signals_end(true);
    int rc = mosquitto_connect_bind_v5(c->mosquitto, address.host, address.port,
                                       (int)(o->keepalive_ms / 1000), NULL, c->properties);
    int error = errno;
    let_signals_end(false);
    errno = error;
    return mqtt_client_check(c, rc);
}

/* Before the answer nothing waits to be acknowledged. */
static int await_answer(struct client *c)
{
    int64_t deadline = clock_ms() + ANSWER_MS;
    while (!c->answered) {
        int err = client_write(c);
        if (err)
            return err;
        int64_t rest = deadline - clock_ms();
        if (rest <= 0 || c->frame->stopping)
            return fail(c, "no answer to CONNECT in time");
        if (client_wait(c, (int)rest))
            err = client_read(c);
        if (err && !c->answered)
            return err;
    }
    if (c->refusal)
        return fail(c, mosquitto_reason_string(c->refusal));
    return c->open ? 0 : -EIO;
}

/* Retained messages that are state are wanted at each connect: with QoS 0 the MQTT broker keeps
 * none of the changes for us. Those that are events are wanted once. */
static int subscribe(struct client *c)
{
    const struct mqtt_options *o = c->options;
    bool events = mqtt_keyed_of(o->keyed) == KEYED_NONE;
    const int how = MQTT_SUB_OPT_RETAIN_AS_PUBLISHED |
                    (events ? MQTT_SUB_OPT_SEND_RETAIN_NEW : MQTT_SUB_OPT_SEND_RETAIN_ALWAYS);
    int rc = MOSQ_ERR_SUCCESS;
    for (size_t i = 0; i < o->topics.count && !rc; i++)
        rc = mosquitto_subscribe_v5(c->mosquitto, NULL, o->topics.items[i], (int)o->qos, how, NULL);
    return mqtt_client_check(c, rc);
}

/* Messages may come with the answer already: then the requests to subscribe wait behind them. */
int client_open(struct client *c)
{
    c->answered = false;
    c->open = true;
    c->why[0] = '\0';
    int err = connect_socket(c);
    if (!err)
        err = await_answer(c);
    return err ? err : subscribe(c);
}

/* ---- packets ---- */

bool client_alive(const struct client *c)
{
    struct pollfd fd = {mosquitto_socket(c->mosquitto), POLLRDHUP, 0};
    return fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

bool client_wait(struct client *c, int timeout_ms)
{
    return frame_wait(c->frame, mosquitto_socket(c->mosquitto), POLLIN, timeout_ms) != 0;
}

int client_read(struct client *c)
{
    return mqtt_client_check(c, mosquitto_loop_read(c->mosquitto, 1));
}

int client_write(struct client *c)
{
    int64_t deadline = clock_ms() + ANSWER_MS;
    int err = mqtt_client_check(c, mosquitto_loop_misc(c->mosquitto));
    if (!err)
        err = mqtt_client_check(c, mosquitto_loop_write(c->mosquitto, 1));
    while (!err && mosquitto_want_write(c->mosquitto) && !c->frame->stopping) {
        if (clock_ms() >= deadline)
            return fail(c, "the MQTT broker takes nothing");
        frame_wait(c->frame, mosquitto_socket(c->mosquitto), POLLOUT, ANSWER_MS);
        err = mqtt_client_check(c, mosquitto_loop_write(c->mosquitto, 1));
    }
    return err;
}
