/* mqtt_options.h - the options of ssecast-mqtt. */
#ifndef SSECAST_MQTT_OPTIONS_H
#define SSECAST_MQTT_OPTIONS_H

#include "frame/frame.h"
#include "frame/mapping.h"

enum mqtt_keyed { KEYED_RETAINED, KEYED_ALL, KEYED_NONE };

struct mqtt_options {
    struct frame_options broker;
    char *server;
    char *tls_ca, *tls_cert, *tls_key; /* NULL: none */
    char *username, *password_file;    /* NULL: none */
    char *client_id;
    struct option_list topics;
    uint64_t qos, keepalive_ms, session_expiry_ms;
    char *payload, *channel, *event, *keyed;
    char *state; /* NULL: in memory only */
};

extern const struct option_program mqtt_program;

#define MQTT_SYSTEM_CA "system"

enum mqtt_keyed mqtt_keyed_of(const char *name);

struct mqtt_address {
    char host[256];
    int port;
};

/* Read HOST, HOST:PORT or [IPV6]:PORT. tls: the port is 8883 when none is given, else 1883. False
 * when it is no such address; out is undefined then. */
bool mqtt_address(const char *server, bool tls, struct mqtt_address *out);

#endif
