/* healthz: does this worker run, and would it serve a stream that is opened now?
 *
 * A load balancer asks whether to send streams here: 200 or 503. A supervisor asks with ?live=1,
 * which is 200 as long as the worker answers at all: without a broker, or full, it must not be
 * restarted, since that would end the streams it holds. A broker that cannot store is no reason for
 * 503: streams are served, and all workers would be out of service at once. */
#include <stdlib.h>

#include "base/json_out.h"
#include "service/service.h"

/* Is there live=1 in the query? */
static bool only_live(const struct params *params)
{
    const char *place = NULL;
    char *value;
    bool live = false;

    while (!live && (value = params_query_next(params, "live", &place))) {
        live = strcmp(value, "1") == 0;
        free(value);
    }
    return live;
}

/* Adds the reasons why a stream would not be served. */
static void put_reasons(struct buf *out, const struct streams *set)
{
    if (!set->window)
        json_put_text(out, NULL, slice_of("no broker"));
    else if (!upstream_connected(set->upstream))
        json_put_text(out, NULL, slice_of("broker silent"));
    else if (upstream_feed_is_silent(set->upstream))
        json_put_text(out, NULL, slice_of("feed silent"));
    if (upstream_turned_away(set->upstream))
        json_put_text(out, NULL, slice_of("broker handshake"));
    if (set->draining)
        json_put_text(out, NULL, slice_of("stopping"));
    if (registry_count(set->registry) >= set->limits.connections)
        json_put_text(out, NULL, slice_of("full"));
}

static void healthz_begin(struct call *c, struct params *params)
{
    struct buf out = {0}, reasons = {0};
    json_begin_list(&reasons, NULL);
    put_reasons(&reasons, c->services->streams);
    json_end_list(&reasons);
    bool ready = !reasons.failed && reasons.len == 2;
    json_begin_object(&out, NULL);
    json_put_flag(&out, "live", true);
    json_put_flag(&out, "ready", ready);
    json_put_raw(&out, "reasons",
                 reasons.failed ? slice_of("[]") : (struct slice){reasons.data, reasons.len});
    json_end_object(&out);
    call_answer(c, ready || only_live(params) ? 200 : 503, "", "application/json",
                (struct slice){out.data, out.failed ? 0 : out.len});
    buf_release(&out);
    buf_release(&reasons);
}

const struct service service_healthz = {
    .name = "healthz", .methods = "GET, HEAD", .monitors = true, .begin = healthz_begin};
