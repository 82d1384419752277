#include "options.h"

#include <stdbool.h>
#include <string.h>

#include "log.h"
#include "store.h"

/* The least that history may keep: something. */
#define HISTORY_BYTES_MIN 4096
#define EVENT_BYTES_MAX (256u << 20)

/* Where to bind: an endpoint, or a tcp one whose port the system chooses. */
static const char *check_bind(const char *value)
{
    const char *wrong = option_check_endpoint(value), *port = strrchr(value, ':');
    bool any_port = port && (strcmp(port, ":0") == 0 || strcmp(port, ":*") == 0);
    bool tcp = strncmp(value, "tcp://", 6) == 0 && port > value + 6;
    return wrong && tcp && any_port ? NULL : wrong;
}

#define AT(field) offsetof(struct broker_config, field)

static const struct option_row rows[] = {
    {"commands", "ENDPOINT", "tcp://127.0.0.1:5570", "where services publish and operate", OPTION_LIST, AT(commands), 0,
     0, check_bind},
    {"feed", "ENDPOINT", "tcp://127.0.0.1:5571", "the ordered event stream, to workers", OPTION_TEXT, AT(feed), 0, 0,
     check_bind},
    {"sync", "ENDPOINT", "tcp://127.0.0.1:5572", "where workers say hello, fetch replay and report presence",
     OPTION_TEXT, AT(sync), 0, 0, check_bind},
    {"presence", "ENDPOINT", PRESENCE_DEFAULT, "who comes and goes, told to services that subscribe", OPTION_TEXT,
     AT(presence), 0, 0, check_bind},
    {"store", "PLACE", "memory", "where history is kept: memory, or a directory whose events outlive the broker",
     OPTION_TEXT, AT(store), 0, 0, store_check},
    {"history-events", "N", "100000", "events kept at most; beyond, the oldest go", OPTION_COUNT, AT(history_events), 1,
     0, NULL},
    {"history-age", "DURATION", "24h", "how long an event is kept at most", OPTION_SECONDS, AT(history_age_ms), 1, 0,
     NULL},
    {"history-bytes", "SIZE", "256M", "bytes of events kept at most", OPTION_SIZE, AT(history_bytes), HISTORY_BYTES_MIN,
     0, NULL},
    {"max-event-bytes", "SIZE", "1M", "an event with more data is refused", OPTION_SIZE, AT(max_event_bytes), 1,
     EVENT_BYTES_MAX, NULL},
    {"log-level", "LEVEL", "info", "error, warn, info or debug", OPTION_TEXT, AT(log_level), 0, 0, log_check_level},
    {"log-format", "FORMAT", "text", "text, or json: an object on each line", OPTION_TEXT, AT(log_format), 0, 0,
     log_check_format},
};

const struct option_program broker_program = {
    .name = "ssecast-broker",
    .summary = "takes events from services over ZeroMQ, gives each its id, keeps history and feeds the workers",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};
