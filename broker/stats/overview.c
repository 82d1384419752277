#include "stats/overview.h"

/* --- seconds --- */

#define RING (OVERVIEW_SAMPLES + 1)

void overview_sample(struct overview *o, const struct overview_sample *sample)
{
    o->samples[o->sampled++ % RING] = *sample;
}

/* The growth of a total per second: samples may be more than a second apart. */
static uint64_t per_second(uint64_t before, uint64_t after, int64_t ms)
{
    return after > before && ms > 0 ? ((after - before) * 1000 + (uint64_t)ms / 2) / (uint64_t)ms
                                    : 0;
}

size_t overview_read(const struct overview *o, struct overview_second *out, size_t max,
                     int64_t *until_ms)
{
    uint64_t known = o->sampled < RING ? o->sampled : RING;
    size_t count = known ? (size_t)known - 1 : 0;
    if (count > max)
        count = max;
    for (size_t i = 0; i < count; i++) {
        const struct overview_sample *after = &o->samples[(o->sampled - count + i) % RING];
        const struct overview_sample *before = &o->samples[(o->sampled - count + i - 1) % RING];
        int64_t ms = after->at_ms - before->at_ms;
        out[i] = (struct overview_second){after->connections,
                                          per_second(before->events, after->events, ms),
                                          per_second(before->deliveries, after->deliveries, ms)};
    }
    *until_ms = known ? o->samples[(o->sampled - 1) % RING].at_ms : 0;
    return count;
}

/* --- latency --- */

/* The count of each bucket in the last minute. Returns their sum. */
static uint64_t recent_latency(const struct overview *o, uint64_t out[LATENCY_BUCKETS])
{
    uint64_t known = o->sampled < RING ? o->sampled : RING, sum = 0;
    uint64_t back = known && known - 1 < OVERVIEW_LATENCY ? known - 1 : OVERVIEW_LATENCY;
    if (!known)
        return 0;
    const struct overview_sample *last = &o->samples[(o->sampled - 1) % RING];
    const struct overview_sample *first = &o->samples[(o->sampled - 1 - back) % RING];
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        out[i] = last->latency[i] > first->latency[i] ? last->latency[i] - first->latency[i] : 0;
        sum += out[i];
    }
    return sum;
}

uint32_t overview_latency(const struct overview *o, unsigned percent)
{
    uint64_t buckets[LATENCY_BUCKETS], sum = recent_latency(o, buckets), below = 0;
    if (!sum)
        return 0;
    for (int i = 0; i < LATENCY_BUCKETS - 1; i++) {
        below += buckets[i];
        if (below * 100 >= sum * percent)
            return latency_bounds_ms[i];
    }
    return UINT32_MAX;
}

/* --- ends --- */

static size_t copy_name(char *out, struct slice name)
{
    size_t len = name.len < NAME_BYTES_MAX ? name.len : NAME_BYTES_MAX;
    if (len)
        memcpy(out, name.data, len);
    return len;
}

/* Whether a new end belongs to this one. */
static bool together(const struct overview_end *end, int64_t at_ms, const char *cause,
                     struct slice worker)
{
    return strcmp(end->cause, cause) == 0 && at_ms - end->at_ms <= OVERVIEW_TOGETHER_MS &&
           slice_equal((struct slice){end->worker, end->worker_len}, worker);
}

/* Make the i-th newest end the newest. */
static struct overview_end *renew(struct overview *o, size_t i)
{
    struct overview_end kept = *overview_end(o, i);
    for (; i > 0; i--)
        o->ends[(o->ended - 1 - i) % OVERVIEW_ENDS] = o->ends[(o->ended - i) % OVERVIEW_ENDS];
    struct overview_end *newest = &o->ends[(o->ended - 1) % OVERVIEW_ENDS];
    *newest = kept;
    return newest;
}

/* The end that a new one belongs to, now the newest; NULL: none is recent enough. */
static struct overview_end *find_together(struct overview *o, int64_t at_ms, const char *cause,
                                          struct slice worker)
{
    const struct overview_end *end;
    for (size_t i = 0; (end = overview_end(o, i)) && at_ms - end->at_ms <= OVERVIEW_TOGETHER_MS;
         i++)
        if (together(end, at_ms, cause, worker))
            return renew(o, i);
    return NULL;
}

void overview_ended(struct overview *o, int64_t at_ms, const char *cause, struct slice session,
                    struct slice worker, uint64_t count)
{
    struct overview_end *end = find_together(o, at_ms, cause, worker);
    if (!end) {
        end = &o->ends[o->ended++ % OVERVIEW_ENDS];
        end->cause = cause;
        end->count = 0;
        end->worker_len = copy_name(end->worker, worker);
    }
    end->at_ms = at_ms;
    end->count += count;
    end->session_len = copy_name(end->session, session);
}

const struct overview_end *overview_end(const struct overview *o, size_t i)
{
    uint64_t known = o->ended < OVERVIEW_ENDS ? o->ended : OVERVIEW_ENDS;
    return i < known ? &o->ends[(o->ended - 1 - i) % OVERVIEW_ENDS] : NULL;
}
