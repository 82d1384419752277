/* broker.h - runs the broker: opens its parts, runs the loop, and closes them. */
#ifndef SSECAST_BROKER_H
#define SSECAST_BROKER_H

#include "options.h"

/* Serve until SIGTERM or SIGINT. Returns the exit status: 0, or 1 when it could not start (the log
 * says why). */
int broker_run(const struct broker_config *config);

#endif
