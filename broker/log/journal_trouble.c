#include "log/journal_trouble.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/log.h"

void trouble_report(struct journal_trouble *t, const char *why)
{
    if (strcmp(t->why, why) == 0)
        return;

    if (t->why[0])
        log_warn("store unavailable: %s", why); /* reasons may alternate with each try */
    else
        log_each(LOG_WARN, "store unavailable: %s", why);
    snprintf(t->why, sizeof t->why, "%s", why);
}

void trouble_refused(struct journal_trouble *t, const char *what, const struct jetstream_reply *r)
{
    char line[NATS_LINK_WHY_MAX];
    bool small = r->error == JETSTREAM_NO_REPLICAS || r->error == JETSTREAM_NO_PEERS;

    snprintf(line, sizeof line, "%s: %.150s%s", what, r->why[0] ? r->why : "no reason given",
             small ? "; --store-replicas asks for more servers with JetStream than there are" : "");
    t->hopeless = r->error == JETSTREAM_NO_REPLICAS || r->error == JETSTREAM_NO_ACCOUNT ||
                  r->error == JETSTREAM_NOT_ENABLED;
    trouble_report(t, line);
}

void trouble_silence(struct journal_trouble *t)
{
    trouble_report(
        t, "the server does not answer JetStream requests: not enabled, not permitted, or not yet");
}

void trouble_note(struct journal_trouble *t, const char *why)
{
    snprintf(t->why, sizeof t->why, "%.200s", why);
}

void trouble_end(struct journal_trouble *t)
{
    if (t->why[0])
        log_each(LOG_INFO, "store available again");
    t->why[0] = '\0';
}

/* The stream's limits are 0 where it has none. */
static bool holds_less(const struct jetstream_reply *r, const struct history_limits *l)
{
    return (r->max_messages && r->max_messages < l->events) ||
           (r->max_bytes && r->max_bytes < l->bytes) ||
           (r->max_age_ms && r->max_age_ms < l->age_ms);
}

void trouble_compare(struct journal_trouble *t, const struct jetstream_reply *r,
                     const struct journal_wants *wants)
{
    if (t->compared)
        return;

    t->compared = true;
    if (r->replicas < wants->replicas)
        log_warn("stream %s has %" PRIu64 " replica(s), --store-replicas is %" PRIu64,
                 wants->stream, r->replicas, wants->replicas);
    if (holds_less(r, wants->limits))
        log_warn("stream %s holds less than --history-events, --history-bytes or --history-age; "
                 "a broker that starts loads only that",
                 wants->stream);
}
