/* metrics: the numbers of the whole system for Prometheus, which the broker gathers; while it is
 * away, those of this worker alone.
 *
 * ssecast_up says which of the two it is. Numbers of one worker have their own names
 * (ssecast_worker_...), so that a series never changes its meaning. */
#include "codec/json_in.h"
#include "ops/metrics.h"
#include "service/service.h"

#define REQUEST "{\"op\":\"metrics\"}"

static void answer_text(struct call *c, struct slice text)
{
    if (text.len)
        call_answer(c, 200, "", METRICS_TYPE, text);
    else
        call_refuse(c, 503, "unavailable", "out of memory");
}

static void answer_own(struct call *c)
{
    struct streams *set = c->services->streams;
    uint64_t gauges[WORKER_GAUGES];
    struct metrics_worker self = {
        .name = slice_of(set->name), .counters = set->counters, .gauges = gauges};
    struct metrics m;
    struct slice text = {0};
    streams_measure(set, gauges);
    if (metrics_begin(&m) == 0) {
        metrics_up(&m, false);
        metrics_workers(&m, &self, 1);
        text = metrics_end(&m);
    }
    answer_text(c, text);
    metrics_release(&m);
}

/* Prometheus waits for 10 s at most, and for less where it asks more often: one that has missed
 * its announcements is not waited for. */
static void metrics_answer(struct call *c, struct params *params)
{
    (void)params;
    if (upstream_silence(c->services->streams->upstream) < 3 * (int64_t)WIRE_ANNOUNCE_MS)
        call_ask(c, &grant_everything, slice_of(REQUEST), true);
    else
        answer_own(c);
}

static void replied(struct call *c, struct slice json)
{
    struct json_in *reply = json_in_parse(json);
    struct slice text = json_in_text(json_in_member(reply, "text"));
    if (text.len)
        answer_text(c, text);
    else
        answer_own(c);
    json_in_free(&reply);
}

const struct service service_metrics = {
    .name = "metrics",
    .methods = "GET, HEAD",
    .monitors = true,
    .guarded = true,
    .begin = metrics_answer,
    .replied = replied,
    .unanswered = answer_own,
};
