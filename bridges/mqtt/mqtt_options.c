#include "mqtt/mqtt_options.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "ops/endpoint.h"
#include "ops/log.h"

#define CLIENT_ID_MAX 128u
#define PLAIN_PORT 1883
#define TLS_PORT 8883

static const char *const keyed_names[] = {
    [KEYED_RETAINED] = "retained", [KEYED_ALL] = "all", [KEYED_NONE] = "none"};

enum mqtt_keyed mqtt_keyed_of(const char *name)
{
    for (int i = KEYED_RETAINED; i < KEYED_NONE; i++)
        if (strcmp(keyed_names[i], name) == 0)
            return (enum mqtt_keyed)i;
    return KEYED_NONE;
}

static const char *check_keyed(const char *value)
{
    bool known = mqtt_keyed_of(value) != KEYED_NONE || strcmp(value, keyed_names[KEYED_NONE]) == 0;
    return known ? NULL : "retained, all or none";
}

static const char *check_payload(const char *value)
{
    return mapping_payload_of(value) < 0 ? "text, json, base64, wrapped or message" : NULL;
}

static const char *check_topic(const char *value)
{
    return mosquitto_sub_topic_check(value) == MOSQ_ERR_SUCCESS
               ? NULL
               : "an MQTT topic filter, such as home/+/state";
}

bool mqtt_address(const char *server, bool tls, struct mqtt_address *out)
{
    struct slice host, port;
    if (!endpoint_split(slice_of(server), &host, &port) || *host.data == '*' ||
        host.len >= sizeof out->host)
        return false;

    memcpy(out->host, host.data, host.len);
    out->host[host.len] = '\0';
    out->port = tls ? TLS_PORT : PLAIN_PORT;
    if (!port.data)
        return true;
    if (!endpoint_port_valid(port))
        return false;

    out->port = atoi(port.data);
    return true;
}

static const char *check_server(const char *value)
{
    struct mqtt_address address;
    return mqtt_address(value, false, &address) ? NULL : "HOST, HOST:PORT or [IPV6]:PORT";
}

static const char *check_client_id(const char *value)
{
    bool valid = name_valid(slice_of(value)) && strlen(value) <= CLIENT_ID_MAX;
    return valid ? NULL : "1 to 128 bytes of UTF-8 without control characters";
}

#define AT(field) offsetof(struct mqtt_options, field)

static const struct option_row rows[] = {
    {"server", "HOST", "127.0.0.1", "connect to the MQTT broker at HOST or HOST:PORT", OPTION_TEXT,
     AT(server), 0, 0, check_server},
    {"tls-ca", "FILE", NULL, "use TLS and trust this CA, or " MQTT_SYSTEM_CA, OPTION_TEXT,
     AT(tls_ca), 0, 0, NULL},
    {"tls-cert", "FILE", NULL, "present this client certificate (PEM)", OPTION_TEXT, AT(tls_cert),
     0, 0, NULL},
    {"tls-key", "FILE", NULL, "use this key of the client certificate", OPTION_TEXT, AT(tls_key), 0,
     0, NULL},
    {"username", "NAME", NULL, "log in to the MQTT broker so", OPTION_TEXT, AT(username), 0, 0,
     NULL},
    {"password-file", "FILE", NULL, "read the MQTT password from FILE", OPTION_TEXT,
     AT(password_file), 0, 0, NULL},
    {"client-id", "ID", "ssecast-mqtt", "name the session; each bridge needs its own", OPTION_TEXT,
     AT(client_id), 0, 0, check_client_id},
    {"topic", "FILTER", NULL, "subscribe to this topic; + and # are wildcards", OPTION_LIST,
     AT(topics), 0, 0, check_topic},
    {"qos", "N", "1", "subscribe with at most this quality of service", OPTION_COUNT, AT(qos), 0, 1,
     NULL},
    {"keepalive", "DURATION", "60s", "check an idle connection this often", OPTION_SECONDS,
     AT(keepalive_ms), 5000, 3600000, NULL},
    {"session-expiry", "DURATION", "7d", "let messages wait for the bridge this long",
     OPTION_SECONDS, AT(session_expiry_ms), 1000, UINT64_C(31536000000), NULL},
    {"payload", "KIND", "text", "read messages as text, json, base64, wrapped or message",
     OPTION_TEXT, AT(payload), 0, 0, check_payload},
    {"channel", "NAME", MAPPING_NAME, "publish to this channel; " MAPPING_NAME " is the topic",
     OPTION_TEXT, AT(channel), 0, 0, mapping_check},
    {"event", "NAME", "mqtt", "name events so; " MAPPING_NAME " is the topic", OPTION_TEXT,
     AT(event), 0, 0, mapping_check_event},
    {"keyed", "WHICH", "retained", "publish retained, all or none as current state", OPTION_TEXT,
     AT(keyed), 0, 0, check_keyed},
    {"state", "FILE", NULL, "keep own ids of unacknowledged messages in FILE", OPTION_TEXT,
     AT(state), 0, 0, NULL},
    FRAME_ROWS(struct mqtt_options, broker),
};

static int check_login(const struct mqtt_options *o, char why[OPTION_WHY_MAX])
{
    char *password = NULL;
    if (o->password_file && !o->username) {
        snprintf(why, OPTION_WHY_MAX, "--password-file needs --username");
        return -EINVAL;
    }
    int err =
        o->password_file ? frame_read_secret("password-file", o->password_file, &password, why) : 0;
    free(password);
    return err;
}

static int check_tls_files(const struct mqtt_options *o, char why[OPTION_WHY_MAX])
{
    bool system = o->tls_ca && strcmp(o->tls_ca, MQTT_SYSTEM_CA) == 0;
    int err = option_check_file("tls-ca", system ? NULL : o->tls_ca, why);
    err = err ? err : option_check_file("tls-cert", o->tls_cert, why);
    return err ? err : option_check_file("tls-key", o->tls_key, why);
}

static int mqtt_options_check(const void *config, char why[OPTION_WHY_MAX])
{
    const struct mqtt_options *o = config;
    const char *missing = NULL;
    if (!o->topics.count)
        missing = "nothing to publish: set --topic";
    else if (!o->tls_cert != !o->tls_key)
        missing = "--tls-cert and --tls-key need each other";
    else if (o->tls_cert && !o->tls_ca)
        missing = "--tls-cert needs --tls-ca";
    if (missing) {
        snprintf(why, OPTION_WHY_MAX, "%s", missing);
        return -EINVAL;
    }
    int err = check_login(o, why);
    err = err ? err : check_tls_files(o, why);
    return err ? err : frame_check(&o->broker, why);
}

const struct option_program mqtt_program = {
    .name = "ssecast-mqtt",
    .summary = "publishes the messages of MQTT topics",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = mqtt_options_check,
};
