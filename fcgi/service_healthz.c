/* healthz: is this worker there, and can a stream that is opened now be served at once? */
#include "json_out.h"
#include "service.h"

static void begin(struct call *c, const struct params *params)
{
    const struct streams *set = c->stream->set;
    bool broker = set->window && upstream_connected(set->upstream);
    bool ready = broker && !set->draining;
    struct json_out out = {0};
    (void)params;
    json_begin_object(&out, NULL);
    json_put_flag(&out, "live", true);
    json_put_flag(&out, "ready", ready);
    json_begin_list(&out, "reasons");
    if (!broker)
        json_put_text(&out, NULL, slice_of("no broker"));
    if (set->draining)
        json_put_text(&out, NULL, slice_of("stopping"));
    json_end_list(&out);
    json_end_object(&out);
    call_answer(c, ready ? 200 : 503, "", "application/json", (struct slice){out.data, out.failed ? 0 : out.len});
    json_out_release(&out);
}

const struct service service_healthz = {.name = "healthz", .methods = "GET, HEAD", .begin = begin};
