/* frame.h - what the bridges share as programs: options of the broker, log, signals, state for the
 * service manager.
 *
 * A bridge does one thing at a time in one thread. Whenever it has to wait, it does so in
 * frame_wait(), which serves the delivery and takes signals meanwhile.
 */
#ifndef SSECAST_FRAME_H
#define SSECAST_FRAME_H

#include "base/backoff.h"
#include "frame/delivery.h"
#include "ops/endpoint.h"
#include "ops/option.h"

/* A part of each bridge's options struct, filled by FRAME_ROWS(). */
struct frame_options {
    char *commands;
    char *curve_key_file; /* NULL: without CURVE */
    char *broker_key;
    uint64_t timeout_ms;
    uint64_t max_event_bytes;
    char *log_level, *log_format;
};

/* The rows of the options that all bridges have. field: where struct frame_options is in config. */
#define FRAME_ROWS(config, field)                                                                  \
    {"commands",                                                                                   \
     "ENDPOINT",                                                                                   \
     "tcp://127.0.0.1:5570",                                                                       \
     "the broker's commands endpoint",                                                             \
     OPTION_TEXT,                                                                                  \
     offsetof(config, field.commands),                                                             \
     0,                                                                                            \
     0,                                                                                            \
     endpoint_check_connect},                                                                      \
        {"curve-key-file",                                                                         \
         "FILE",                                                                                   \
         NULL,                                                                                     \
         "your secret key for CURVE; needs broker-key",                                            \
         OPTION_TEXT,                                                                              \
         offsetof(config, field.curve_key_file),                                                   \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"broker-key",                                                                             \
         "KEY",                                                                                    \
         NULL,                                                                                     \
         "the broker's public key, or its file",                                                   \
         OPTION_TEXT,                                                                              \
         offsetof(config, field.broker_key),                                                       \
         0,                                                                                        \
         0,                                                                                        \
         NULL},                                                                                    \
        {"timeout",                                                                                \
         "TIME",                                                                                   \
         "5s",                                                                                     \
         "timeout for the broker's reply",                                                         \
         OPTION_SECONDS,                                                                           \
         offsetof(config, field.timeout_ms),                                                       \
         1,                                                                                        \
         86400000,                                                                                 \
         NULL},                                                                                    \
        {"max-event-bytes",                                                                        \
         "SIZE",                                                                                   \
         "1M",                                                                                     \
         "refuse larger messages",                                                                 \
         OPTION_SIZE,                                                                              \
         offsetof(config, field.max_event_bytes),                                                  \
         1,                                                                                        \
         64 << 20,                                                                                 \
         NULL},                                                                                    \
        {"log-level",                                                                              \
         "LEVEL",                                                                                  \
         "info",                                                                                   \
         "log at error, warn, info or debug",                                                      \
         OPTION_TEXT,                                                                              \
         offsetof(config, field.log_level),                                                        \
         0,                                                                                        \
         0,                                                                                        \
         log_check_level},                                                                         \
    {                                                                                              \
        "log-format", "FORMAT", "text", "log as text or json", OPTION_TEXT,                        \
            offsetof(config, field.log_format), 0, 0, log_check_format                             \
    }

struct frame {
    struct delivery *delivery;
    /* Called in frame_wait() when every message of the batch has its outcome. It reads them, and
     * calls delivery_end(). */
    void (*delivered)(void *context);
    void *context;
    int signals; /* a descriptor */
    bool stopping;
    struct backoff backoff; /* of the other system */
    /* A connection that ends earlier is one more failure in a row; 0: none is. */
    int64_t stable_ms;
    int64_t connected_at; /* clock_ms(); 0: not since the last failure */
    uint64_t refused;     /* messages that were refused here */
    uint64_t dropped;     /* messages that were dropped because too much waited */
    int64_t status_at;
    struct delivery_counts shown;
};

/* For option_program.check: whether the key files can be read. */
int frame_check(const struct frame_options *o, char why[OPTION_WHY_MAX]);

/* Read a secret (ops/secret_file.h) from a file that is not world-readable. *out: malloc()ed. 0, or
 * -EINVAL with a line in why that names the option. */
int frame_read_secret(const char *option, const char *file, char **out, char why[OPTION_WHY_MAX]);

/* Open the log, block the signals, create the delivery. The caller sets `delivered` afterwards. 0,
 * or an exit status after a log line. */
int frame_open(struct frame *f, const struct option_program *program,
               const struct frame_options *o);

/* Log what was done, and release everything. */
void frame_close(struct frame *f);

/* Wait until fd (-1: none) has one of the events, `delivered` was called, a signal says to stop, or
 * timeout_ms (-1: for ever) are over. Returns the events of fd, 0 for none. */
short frame_wait(struct frame *f, int fd, short events, int timeout_ms);

/* Wait after a failure of the other system, longer each time until a connection has lasted for
 * stable_ms. Log the first failure of a row.
 * what: "database", "MQTT broker". */
void frame_back_off(struct frame *f, const char *what, const char *why);

/* The other system is connected. */
void frame_connected(struct frame *f, const char *what);

/* Count and log a message that was refused. name: where it came from. */
void frame_refused(struct frame *f, struct slice name, const char *why);

#endif
