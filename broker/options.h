/* options.h - the broker's options: their rows, and what they are read into. */
#ifndef SSECAST_BROKER_OPTIONS_H
#define SSECAST_BROKER_OPTIONS_H

#include <stdbool.h>

#include "ops/option.h"

/* The default of --presence. A broker that cannot bind it starts without. */
#define PRESENCE_DEFAULT "tcp://127.0.0.1:5573"

struct broker_config {
    struct option_list commands;
    char *feed, *sync, *presence;
    char *curve_key_file, *keys; /* NULL: without CURVE */
    bool allow_insecure;
    uint64_t ipc_mode;
    char *store;
    char *store_stream, *store_credentials, *store_tls_ca, *store_tls_cert, *store_tls_key;
    uint64_t store_replicas, store_timeout_ms;
    uint64_t history_events, history_age_ms, history_bytes;
    uint64_t state_events, state_bytes;
    uint64_t max_event_bytes, max_batch, max_targets, max_bans, max_name_bytes, max_json_depth;
    uint64_t max_in_flight, handshake_ms, max_retry_ms, presence_settle_ms, worker_lease_ms;
    struct option_list presence_channels;
    uint64_t presence_grace_ms, presence_members;
    uint64_t max_subscriptions;
    char *log_level, *log_format;
    char *dump_store; /* NULL: run the broker */
};

extern const struct option_program broker_program;

/* Log a warning for each endpoint that more than its users can reach. */
void broker_options_warn(const struct broker_config *config);

#endif
