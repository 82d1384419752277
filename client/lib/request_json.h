/* request_json.h - what is asked of the broker, as JSON text.
 *
 * Pure: structs of ssecast.h in, one JSON object out, with our own "ref" at its end. What the broker can tell better (a name that is too
 * long, a field that is unknown) is left to it; what would make another request of this one is refused here.
 */
#ifndef SSECAST_REQUEST_JSON_H
#define SSECAST_REQUEST_JSON_H

#include "base/json_out.h"
#include "lib/ssecast.h"

#define REQUEST_EVENTS_MAX 10000u

/* Makes ids that nobody made before: 96 random bits and a count. */
struct request_ids {
    bool enabled;
    char prefix[26];
    uint64_t count;
};

/* 0, or -errno when there is no randomness to be had. */
int request_ids_begin(struct request_ids *ids);

/* Append the request to out. *repeatable: sending it twice does no more than sending it once. 0; -EINVAL, -EILSEQ or -ENOMEM, out is then
 * of no use. A payload in bytes is left to the caller to send behind it. */
int request_publish(struct buf *out, const struct ssecast_event *event, struct request_ids *ids, uint64_t ref,
                    bool *repeatable);
int request_batch(struct buf *out, const struct ssecast_event *events, size_t count, struct request_ids *ids,
                  uint64_t ref, bool *repeatable);
int request_shutdown(struct buf *out, const struct ssecast_shutdown *shutdown, uint64_t ref);

/* The request that json is. It is one object without "ref". */
int request_query(struct buf *out, const char *json, uint64_t ref, bool *repeatable);

#endif
