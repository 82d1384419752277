/* webhook_queue.h - the messages that a webhook has not taken yet, in a folder.
 *
 * Each message gets a number, one more than the one before, which is never given out again: not
 * after a crash, a power loss or a full disk. One process at a time uses a folder. Without a folder
 * the messages are lost with the process.
 *
 * Not thread-safe. Ownership: texts are copied.
 */
#ifndef SSECAST_WEBHOOK_QUEUE_H
#define SSECAST_WEBHOOK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct webhook_queue;

#define WEBHOOK_QUEUE_WHY 512
#define WEBHOOK_BATCH 100u /* messages */
#define WEBHOOK_QUEUE_BYTES ((size_t)64 << 20)
/* A queue that is never empty is written again at this size. */
#define WEBHOOK_FILE_BYTES (2 * WEBHOOK_QUEUE_BYTES)

/* folder: made if missing; NULL: none. 0; or -errno with a line in why. */
int webhook_queue_open(const char *folder, struct webhook_queue **out, char why[WEBHOOK_QUEUE_WHY]);

/* Safe on NULL. */
void webhook_queue_free(struct webhook_queue **q);

bool webhook_queue_is_empty(const struct webhook_queue *q);

/* Add a message, a JSON object. 0; -ENOSPC: WEBHOOK_QUEUE_BYTES are waiting; -ENOMEM;
 * or -errno of the folder. */
int webhook_queue_add(struct webhook_queue *q, struct slice object);

/* Have the disk store what was added. 0 or -errno. */
int webhook_queue_sync(struct webhook_queue *q);

/* Replace body by the first messages: {"messages":[...]}. The number of the last one. */
uint64_t webhook_queue_batch(const struct webhook_queue *q, struct buf *body);

/* Forget the messages up to this number: they are taken. 0 or -errno of the folder. */
int webhook_queue_forget(struct webhook_queue *q, uint64_t number);

/* Forget all messages. 0 or -errno of the folder. */
int webhook_queue_clear(struct webhook_queue *q);

#endif
