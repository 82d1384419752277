/* Reads what has arrived, within a bound, publishes it, and then acknowledges all of it. */
#define LOG_SUBSYSTEM "mqtt"
#include "mqtt/mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/must.h"
#include "mqtt/client.h"
#include "mqtt/packet_ids.h"
#include "ops/log.h"

#define MQTT_BROKER "MQTT broker"
#define IDLE_MS 1000 /* how often a ping may be due */

/* Each connection brings all retained messages again, so it must not be made often in vain. */
#define STABLE_MS 10000

/* A message that was read and is not published yet. */
struct arrival {
    TAILQ_ENTRY(arrival) next;
    size_t len;
    char object[];
};

struct mqtt {
    const struct mqtt_options *options;
    struct frame frame;
    struct mapping mapping;
    enum mqtt_keyed keyed;
    struct client *client;
    struct packet_ids *packet_ids;
    TAILQ_HEAD(arrivals, arrival) queue;
    size_t count, bytes;
    uint16_t packets[65536]; /* to be acknowledged */
    size_t packet_count;
    struct buf object;
    bool failed; /* a message could not be kept: it must not be acknowledged */
};

/* ---- what arrives ---- */

static bool enqueue(struct mqtt *m, struct slice object)
{
    struct arrival *a = malloc(sizeof *a + object.len);
    if (!a)
        return false;
    a->len = object.len;
    memcpy(a->object, object.data, object.len);
    TAILQ_INSERT_TAIL(&m->queue, a, next);
    m->bytes += a->len;
    m->count++;
    return true;
}

static void drop_first(struct mqtt *m)
{
    struct arrival *first = TAILQ_FIRST(&m->queue);
    MUST(first && m->count &&
         m->bytes >= first->len); // NOLINT(clang-analyzer-unix.Malloc): unlinked before it is freed
    TAILQ_REMOVE(&m->queue, first, next);
    m->bytes -= first->len;
    m->count--;
    free(first);
}

/* Map the message into m->object. Returns as mapping_event(). */
static int map(struct mqtt *m, const struct client_message *message, const char *id,
               char why[MAPPING_WHY])
{
    bool keyed = m->keyed == KEYED_ALL || (m->keyed == KEYED_RETAINED && message->retained);
    const struct mapping_source source = {.name = message->topic,
                                          .payload = message->payload,
                                          .id = id,
                                          .keyed = keyed,
                                          .remove =
                                              keyed && message->retained && !message->payload.len};
    if (message->payload.len > m->options->broker.max_event_bytes) {
        snprintf(why, MAPPING_WHY, "too_large: the payload has more than max-event-bytes");
        return -EINVAL;
    }
    return mapping_event(&m->mapping, &source, &m->object, why);
}

/* A message that is refused is acknowledged like any other: the MQTT broker would send it again. */
static void mqtt_on_message(void *context, const struct client_message *message)
{
    struct mqtt *m = context;
    char id[PACKET_IDS_ID], why[MAPPING_WHY] = "";
    if (m->failed)
        return;

    if (packet_ids_get(m->packet_ids, message->packet, message->topic, message->payload, id))
        log_debug("message %s came again", id);
    int err = map(m, message, id, why);
    if (err == -EINVAL)
        frame_refused(&m->frame, message->topic, why);
    else if (err || !enqueue(m, buf_slice(&m->object)))
        m->failed = true;
    m->object.failed = false;
    if (message->packet && !m->failed && m->packet_count < sizeof m->packets / sizeof m->packets[0])
        m->packets[m->packet_count++] = message->packet;
}

static void on_new_session(void *context)
{
    struct mqtt *m = context;
    packet_ids_clear(m->packet_ids);
    log_info("the MQTT broker began a new session: it kept no messages");
}

/* ---- batches ---- */

static void send_batch(struct mqtt *m)
{
    struct arrival *a;
    TAILQ_FOREACH (a, &m->queue, next)
        if (!delivery_add(m->frame.delivery, (struct slice){a->object, a->len}))
            break;
    if (delivery_count(m->frame.delivery))
        delivery_begin(m->frame.delivery);
}

static void on_delivered(void *context)
{
    struct mqtt *m = context;
    MUST(delivery_count(m->frame.delivery) <= m->count);
    for (size_t i = 0; i < delivery_count(m->frame.delivery); i++) {
        const struct delivery_outcome *outcome = delivery_outcome(m->frame.delivery, i);
        if (outcome->refused)
            log_event(LOG_WARN, "broker refused a message", log_name("reason", outcome->why));
        drop_first(m);
    }
    delivery_end(m->frame.delivery);
}

/* Everything that was read is published. A connection that has ended in the meantime takes no
 * acknowledgements: the messages come again, and have their own ids still. */
static int acknowledge(struct mqtt *m)
{
    MUST(!m->count && !delivery_pending(m->frame.delivery));
    if (m->failed || !client_alive(m->client))
        return -EIO;

    for (size_t i = 0; i < m->packet_count; i++)
        packet_ids_remove(m->packet_ids, m->packets[i]);
    m->packet_count = 0;
    return client_write(m->client);
}

/* ---- the loop ---- */

static int read_arrivals(struct mqtt *m)
{
    int err = 0;
    while (!err && !m->failed && m->count < DELIVERY_MESSAGES && m->bytes < DELIVERY_BYTES &&
           client_wait(m->client, 0))
        err = client_read(m->client);
    return err;
}

/* One step on the open connection. 0 or -EIO. */
static int mqtt_step(struct mqtt *m)
{
    int err = m->count ? 0 : acknowledge(m);
    if (!err && !m->count)
        client_wait(m->client, IDLE_MS);
    return err ? err : read_arrivals(m);
}

static int connect_client(struct mqtt *m)
{
    m->packet_count = 0;
    m->failed = false;
    int err = client_open(m->client);
    if (!err)
        frame_connected(&m->frame, MQTT_BROKER);
    return err;
}

static void disconnected(struct mqtt *m)
{
    const char *why = m->failed ? "out of memory" : client_why(m->client);
    client_close(m->client);
    if (!m->frame.stopping)
        frame_back_off(&m->frame, MQTT_BROKER, *why ? why : "the connection ended");
}

/* What was read is published first, whether or not the connection is there. */
static void serve(struct mqtt *m)
{
    while (!m->frame.stopping) {
        int err = 0;
        if (delivery_pending(m->frame.delivery))
            frame_wait(&m->frame, -1, 0, -1);
        else if (m->count)
            send_batch(m);
        else
            err = client_is_open(m->client) ? mqtt_step(m) : connect_client(m);
        if (err)
            disconnected(m);
    }
}

/* ---- start and end ---- */

static int create(struct mqtt *m, const char *password)
{
    const struct mqtt_options *o = m->options;
    const struct client_handler handler = {mqtt_on_message, on_new_session, m};
    char why[CLIENT_WHY];
    m->mapping = (struct mapping){.channel = o->channel ? o->channel : "",
                                  .event = o->event ? o->event : "",
                                  .payload = (enum mapping_payload)mapping_payload_of(o->payload),
                                  .name_field = "topic"};
    m->keyed = mqtt_keyed_of(o->keyed);
    m->frame.delivered = on_delivered;
    m->frame.stable_ms = STABLE_MS;
    m->frame.context = m;
    int err = packet_ids_open(&m->packet_ids, o->state, why);
    if (!err)
        err = client_new(&m->client, &m->frame, o, password, &handler, why);
    if (err)
        log_error("%s", why);
    return err;
}

static int mqtt_run(struct mqtt *m, const char *password)
{
    TAILQ_INIT(&m->queue);
    int err = create(m, password);
    if (!err)
        serve(m);
    client_free(&m->client);
    packet_ids_close(&m->packet_ids);
    while (m->count)
        drop_first(m);
    buf_release(&m->object);
    return err ? 1 : 0;
}

static int open_and_run(struct mqtt *m, const struct mqtt_options *o)
{
    char why[OPTION_WHY_MAX], *password = NULL;
    m->options = o;
    int status = frame_open(&m->frame, &mqtt_program, &o->broker);
    if (status == 0 && o->password_file &&
        frame_read_secret("password-file", o->password_file, &password, why) != 0) {
        log_error("%s", why);
        status = 2;
    }
    if (status == 0)
        status = mqtt_run(m, password);
    free(password);
    frame_close(&m->frame);
    return status;
}

int mqtt_main(int argc, char **argv)
{
    struct mqtt_options options = {0};
    enum option_result result = option_load(&mqtt_program, argc, argv, &options, NULL);
    if (result != OPTION_RUN)
        return result == OPTION_EXIT ? 0 : 2;

    struct mqtt *m = calloc(1, sizeof *m);
    int status = m ? open_and_run(m, &options) : 1;
    free(m);
    option_release(&mqtt_program, &options);
    return status;
}
