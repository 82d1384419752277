/* FastCGI records are built here because libfcgi's writer blocks or fails, and makes one record of
 * each event. Here one record contains the queue (up to CONN_RECORD_MAX) and points at the shared
 * events. */
#include "http/output.h"

#include "base/clock.h"
#include "base/must.h"

bool output_has_records(const struct conn *c)
{
    return c->transport == CONN_RECORDS;
}

bool output_is_begun(const struct conn *c)
{
    bool gathered = c->head_left || c->record_left;
    return gathered && c->head_left != RECORD_HEADER_LEN;
}

bool output_is_done(const struct conn *c)
{
    return !queue_bytes(&c->queue) && !c->tail_left;
}

static void add_piece(struct output *out, char *bytes, size_t len)
{
    out->pieces[out->count++] = (struct iovec){bytes, len};
    out->bytes += len;
}

void output_gather(struct output *out, struct conn *c)
{
    MUST(out->room >= 3);
    bool records = output_has_records(c);
    size_t bytes = 0, limit = records ? c->record_left : SIZE_MAX;
    out->count = 0;
    out->bytes = 0;
    if (records && !c->record_left && queue_bytes(&c->queue)) {
        limit = queue_bytes(&c->queue) < CONN_RECORD_MAX ? queue_bytes(&c->queue) : CONN_RECORD_MAX;
        c->record_len = c->record_left = (uint16_t)limit;
        c->head_left = RECORD_HEADER_LEN;
    }
    if (c->head_left) {
        record_stdout(out->head, c->request, c->record_len);
        add_piece(out, out->head + RECORD_HEADER_LEN - c->head_left, c->head_left);
    }
    if (limit)
        out->count +=
            queue_gather(&c->queue, out->pieces + out->count, out->room - 2, limit, &bytes);
    out->bytes += bytes;
    if (c->tail_left && bytes == queue_bytes(&c->queue) && (!records || bytes == c->record_left)) {
        record_end(out->tail, c->request);
        add_piece(out, out->tail + RECORD_END_LEN - c->tail_left, c->tail_left);
    }
}

/* min(left, *written) bytes of a part went out: take them off both. */
static size_t part_written(size_t left, size_t *written)
{
    size_t done = left < *written ? left : *written;
    *written -= done;
    return done;
}

/* Count the time from the publish, by the broker's clock, to this write, by ours. A negative
 * time counts as zero. */
static void observe(uint64_t *counters, const struct event *e, int64_t now_ms)
{
    uint64_t took = now_ms > e->time_ms ? (uint64_t)(now_ms - e->time_ms) : 0,
             count = 1 + (uint64_t)e->further;
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS - 1 && took > latency_bounds_ms[bucket])
        bucket++;
    counters[LATENCY_FIRST + bucket] += count;
    counters[LATENCY_SUM_MS] += count * took;
}

/* len bytes of the queue were written. The clock is read once for each write, and only if an
 * event counts. */
static void consume(struct conn *c, size_t len)
{
    struct event *e;
    int64_t now_ms = 0;
    while ((e = queue_take(&c->queue, &len))) {
        if (e->seq > c->timed_after) {
            now_ms = now_ms ? now_ms : clock_unix_ms();
            observe(c->set->counters, e, now_ms);
        }
        event_unref(&e);
    }
}

void output_account(struct conn *c, size_t written)
{
    c->set->counters[WRITES]++;
    c->set->counters[BYTES_WRITTEN] += written;
    c->head_left = (uint8_t)(c->head_left - part_written(c->head_left, &written));
    size_t content =
        part_written(output_has_records(c) ? c->record_left : queue_bytes(&c->queue), &written);
    if (output_has_records(c))
        c->record_left = (uint16_t)(c->record_left - content);
    consume(c, content);
    c->tail_left = (uint8_t)(c->tail_left - part_written(c->tail_left, &written));
}
