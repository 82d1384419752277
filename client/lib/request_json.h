/* request_json.h - encodes requests to the broker as JSON.
 *
 * Pure: structs of ssecast.h in, one JSON object out, with our own "ref" at its end. The broker
 * validates names and fields. Input that would change the meaning of the request is refused here.
 */
#ifndef SSECAST_REQUEST_JSON_H
#define SSECAST_REQUEST_JSON_H

#include "base/json_out.h"
#include "lib/ssecast.h"

#define REQUEST_EVENTS_MAX 10000u

/* Generates unique ids: 96 random bits and a counter. */
struct request_ids {
    bool enabled;
    char prefix[26];
    uint64_t count;
};

/* 0, or -errno when the system provides no random bytes. */
int request_ids_begin(struct request_ids *ids);

/* Append the request to out. *repeatable: sending it twice has the same effect as once. 0;
 * -EINVAL, -EILSEQ or -ENOMEM: out is then invalid. The caller sends a payload in bytes as the
 * next frame. */
int request_publish(struct buf *out, const struct ssecast_event *event, struct request_ids *ids,
                    uint64_t ref, bool *repeatable);
int request_batch(struct buf *out, const struct ssecast_event *events, size_t count,
                  struct request_ids *ids, uint64_t ref, bool *repeatable);
int request_shutdown(struct buf *out, const struct ssecast_shutdown *shutdown, uint64_t ref);

/* Use json, one object without "ref", as the request. */
int request_query(struct buf *out, const char *json, uint64_t ref, bool *repeatable);

#endif
