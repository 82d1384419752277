/* pgsql_options.h - the options of ssecast-pgsql. */
#ifndef SSECAST_PGSQL_OPTIONS_H
#define SSECAST_PGSQL_OPTIONS_H

#include "frame/frame.h"
#include "frame/mapping.h"

struct pgsql_options {
    struct frame_options broker;
    char *dsn;
    char *password_file; /* NULL: none */
    uint64_t statement_timeout_ms;
    struct option_list notify;
    char *payload, *channel, *event;
    uint64_t pending_bytes;
    char *outbox; /* NULL: none */
    char *outbox_notify;
    char *id_prefix; /* NULL: "pg-TABLE-" */
    uint64_t poll_ms;
};

#define PGSQL_PREFIX_MAX 200u

extern const struct option_program pgsql_program;

/* What own ids of rows begin with. */
void pgsql_id_prefix(const struct pgsql_options *o, char out[PGSQL_PREFIX_MAX + 1]);

#endif
