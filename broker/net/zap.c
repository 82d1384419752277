#include "net/zap.h"

#include "ops/curve_key.h"

#define VERSION "1.0"

enum { AT_VERSION, AT_ID, AT_DOMAIN, AT_ADDRESS, AT_IDENTITY, AT_MECHANISM, AT_CREDENTIALS };

bool zap_read(const struct slice *frames, size_t count, struct zap_request *out)
{
    if (count < AT_CREDENTIALS || !slice_equal(frames[AT_VERSION], slice_of(VERSION)))
        return false;
    bool curve = count > AT_CREDENTIALS && slice_equal(frames[AT_MECHANISM], slice_of("CURVE")) &&
                 frames[AT_CREDENTIALS].len == CURVE_KEY_BYTES;
    *out = (struct zap_request){
        .id = frames[AT_ID], .domain = frames[AT_DOMAIN], .address = frames[AT_ADDRESS]};
    if (curve)
        out->key = frames[AT_CREDENTIALS];
    return true;
}

void zap_reply(const struct zap_request *request, struct slice user,
               struct slice out[ZAP_REPLY_FRAMES])
{
    bool in = user.len > 0;
    out[0] = slice_of(VERSION);
    out[1] = request->id;
    out[2] = slice_of(in ? "200" : "400");
    out[3] = slice_of(in ? "OK" : "this key may not connect here");
    out[4] = user;
    out[5] = slice_of(""); /* metadata */
}
