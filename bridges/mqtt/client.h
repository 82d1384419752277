/* client.h - a session with an MQTT broker, version 5 of the protocol: the only user of
 * libmosquitto.
 *
 * Messages are acknowledged by client_write(), and by nothing else. So the caller calls it when
 * every message that it was given is published. Pings are sent there too: an MQTT broker that
 * waits for them in vain closes the connection, and sends the messages again on the next one.
 */
#ifndef SSECAST_CLIENT_H
#define SSECAST_CLIENT_H

#include "mqtt/mqtt_options.h"

#define CLIENT_WHY 256

struct client;

struct client_message {
    uint16_t packet; /* its packet identifier; 0 with QoS 0 */
    struct slice topic, payload;
    bool retained;
};

struct client_handler {
    void (*message)(void *context, const struct client_message *message);
    /* The MQTT broker has no session of ours: it sends nothing again. */
    void (*new_session)(void *context);
    void *context;
};

/* password: NULL for none. 0, or -errno with a line in why. */
int client_new(struct client **out, struct frame *frame, const struct mqtt_options *o,
               const char *password, const struct client_handler *handler, char why[CLIENT_WHY]);

/* Safe on NULL. */
void client_free(struct client **c);

/* Connect, and subscribe to the topics. 0, or -EIO. A signal to stop ends the program here. */
int client_open(struct client *c);
bool client_is_open(const struct client *c);
void client_close(struct client *c);
const char *client_why(const struct client *c);

/* True when the other side has not closed the connection, as far as we know. */
bool client_alive(const struct client *c);

/* Wait until there is something to read, timeout_ms (-1: for ever) are over, or as frame_wait(). */
bool client_wait(struct client *c, int timeout_ms);

/* Read the next packet; its message, if it has one, goes to the handler. 0, or -EIO. */
int client_read(struct client *c);

/* Write what waits: acknowledgements, and a ping when it is due. 0, or -EIO. */
int client_write(struct client *c);

#endif
