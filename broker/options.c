#include "options.h"

#include <string.h>

#include "log.h"

/* The least that history may keep: something. */
#define HISTORY_BYTES_MIN 4096

static const char *check_store(const char *value)
{
    return strcmp(value, "memory") == 0 ? NULL : "memory (a directory for durable history is not supported yet)";
}

#define FIELD(name) offsetof(struct broker_config, name)

static const struct option_row rows[] = {
    {.name = "commands",
     .arg = "ENDPOINT",
     .fallback = "tcp://127.0.0.1:5570",
     .help = "Where services publish and operate (ROUTER); may be given more than once",
     .type = OPTION_LIST,
     .offset = FIELD(commands),
     .check = option_check_endpoint},
    {.name = "feed",
     .arg = "ENDPOINT",
     .fallback = "tcp://127.0.0.1:5571",
     .help = "The ordered event stream to workers (XPUB)",
     .type = OPTION_TEXT,
     .offset = FIELD(feed),
     .check = option_check_endpoint},
    {.name = "sync",
     .arg = "ENDPOINT",
     .fallback = "tcp://127.0.0.1:5572",
     .help = "Where workers say hello, fetch replay and report presence (ROUTER)",
     .type = OPTION_TEXT,
     .offset = FIELD(sync),
     .check = option_check_endpoint},
    {.name = "store",
     .arg = "PLACE",
     .fallback = "memory",
     .help = "Where history is kept: memory",
     .type = OPTION_TEXT,
     .offset = FIELD(store),
     .check = check_store},
    {.name = "history-events",
     .arg = "N",
     .fallback = "100000",
     .help = "Keep at most so many events; beyond, the oldest go",
     .type = OPTION_COUNT,
     .offset = FIELD(history_events),
     .min = 1},
    {.name = "history-age",
     .arg = "TIME",
     .fallback = "24h",
     .help = "Keep events for so long at most",
     .type = OPTION_SECONDS,
     .offset = FIELD(history_age_ms),
     .min = 1},
    {.name = "history-bytes",
     .arg = "SIZE",
     .fallback = "256M",
     .help = "Keep at most so many bytes of events",
     .type = OPTION_SIZE,
     .offset = FIELD(history_bytes),
     .min = HISTORY_BYTES_MIN},
    {.name = "max-event-bytes",
     .arg = "SIZE",
     .fallback = "1M",
     .help = "Refuse events with larger data",
     .type = OPTION_SIZE,
     .offset = FIELD(max_event_bytes),
     .min = 1,
     .max = 256u << 20},
    {.name = "log-level",
     .arg = "LEVEL",
     .fallback = "info",
     .help = "What is logged: error, warn, info or debug",
     .type = OPTION_TEXT,
     .offset = FIELD(log_level),
     .check = log_check_level},
};

const struct option_program broker_program = {
    .name = "ssecast-broker",
    .summary = "Takes events from services over ZeroMQ, orders and keeps them, and feeds them to the workers.",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};
