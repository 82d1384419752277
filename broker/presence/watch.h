/* watch.h - presence as messages: each change becomes one JSON object under the next number.
 *
 * Numbers count changes, told or not: who finds one missing knows that something happened, and takes a snapshot (cmd_presence.c). They
 * begin anew with each run of the broker, which every message names.
 *
 * Pure: it neither knows who is connected nor sends.
 */
#ifndef SSECAST_WATCH_H
#define SSECAST_WATCH_H

#include "presence/describe.h"

struct watch {
    uint64_t run;
    uint64_t n;     /* of the last change */
    int64_t now_ms; /* unix time, set by who turns the broker's loop */
    struct buf message;
    void (*send)(void *context, struct slice message); /* message is valid during the call */
    void *context;
};

/* The text by which messages and snapshots name a run: 16 hexadecimal digits and a NUL. Returns out. */
#define WATCH_RUN_LEN 17
const char *watch_run(const struct watch *w, char out[WATCH_RUN_LEN]);

/* For presence_observe(); context is the struct watch. */
void watch_change(void *context, const struct presence_change *change);

void watch_release(struct watch *w);

#endif
