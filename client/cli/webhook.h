/* webhook.h - posts messages to a web server: in order, in batches, again until they are taken.
 *
 * Each message gets a number, one more than the one before. A batch is posted as
 * {"messages":[...]} with the HMAC of the body under a shared secret. It is posted again, later and
 * later, until the answer is a 2xx; then the next batch follows. A folder keeps what was not taken
 * and the last number, so another process goes on there. So a message may come twice, with the same
 * number.
 *
 * A thread posts. webhook_add() does not wait for the web server.
 *
 * Ownership: texts are copied.
 */
#ifndef SSECAST_WEBHOOK_H
#define SSECAST_WEBHOOK_H

#include <stdint.h>

#include "base/slice.h"
#include "cli/webhook_queue.h"

struct webhook;

#define WEBHOOK_WHY (WEBHOOK_QUEUE_WHY + 16) /* with the name of the option */
#define WEBHOOK_SECRET_SHORT 16u             /* bytes; a shorter secret is warned of */

struct webhook_config {
    const char *url;
    const char *secret_file; /* see ops/secret_file.h */
    const char *folder;      /* made if missing; NULL: undelivered messages are lost at the end */
    uint64_t timeout_ms;     /* of one post */
    uint64_t retry_ms;       /* the longest wait between two posts of a batch */
    void (*note)(void *context, const char *message); /* for people; called by the thread */
    void *context;
};

/* 0; or -errno with a line in why: -EINVAL for a bad URL or secret. */
int webhook_open(const struct webhook_config *config, struct webhook **out, char why[WEBHOOK_WHY]);

/* Add a message, a JSON object. 0; -ENOSPC: WEBHOOK_QUEUE_BYTES are waiting; -ENOMEM; or -errno of
 * the folder. */
int webhook_add(struct webhook *w, struct slice object);

/* Forget the messages that wait. Their numbers are not used again. 0 or -errno of the folder. */
int webhook_clear(struct webhook *w);

/* Wait until all is taken, then end the thread. Safe on NULL. */
void webhook_close(struct webhook **w);

#endif
