/* Packed: u16 length and the subscriber; for each subscription u8 form, u16 length of the matcher,
 * u16 length of the payload (SAME: that of the one before), and the two. */
#include "codec/subscription.h"

#include "base/bytes.h"

#define HEAD 5u
#define SAME 0xffffu
#define ACTIVE "\"active\":true"
#define OLD_BEGIN "{\"@context\":"

static const char *const types[] = {[SUBSCRIPTION_0_X] = "",
                                    [SUBSCRIPTION_EXACT] = "exact",
                                    [SUBSCRIPTION_URL_PATTERN] = "urlpattern"};

/* --- topics --- */

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

char *subscription_encode(char *at, const char *limit, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        size_t len = is_unreserved(c) ? 1 : 3;
        if ((size_t)(limit - at) < len)
            return NULL;
        if (len == 1) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return at;
}

static char *add_segment(char *at, const char *limit, struct slice text)
{
    if (!at || at == limit)
        return NULL;
    *at++ = '/';
    return subscription_encode(at, limit, text);
}

struct slice subscription_topic(const struct subscription *s, char out[NAME_BYTES_MAX])
{
    MUST(s->form < SUBSCRIPTION_FORMS);
    const char *limit = out + NAME_BYTES_MAX;
    char *at = put_slice(out, slice_of(HUB_RESERVED));
    if (s->form != SUBSCRIPTION_0_X)
        at = add_segment(at, limit, slice_of(types[s->form]));
    at = add_segment(at, limit, s->match);
    at = add_segment(at, limit, s->subscriber);
    return at ? (struct slice){out, (size_t)(at - out)} : (struct slice){0};
}

bool subscription_is_topic(struct slice topic)
{
    size_t len = strlen(HUB_RESERVED);
    return slice_begins(topic, slice_of(HUB_RESERVED)) &&
           (topic.len == len || topic.data[len] == '/');
}

struct slice subscription_relative(struct slice text)
{
    const char *found =
        text.len ? memmem(text.data, text.len, HUB_RESERVED, strlen(HUB_RESERVED)) : NULL;
    size_t before = found ? (size_t)(found - text.data) : 0;
    if (!before || memchr(text.data, '{', before) || memchr(text.data, '?', before))
        return text;
    return (struct slice){found, text.len - before};
}

/* --- packing --- */

/* The payload of what was packed last, and that all before it fit. */
static struct slice last_payload(struct slice packed)
{
    struct subscription s = {0};
    while (subscription_next(&packed, &s))
        continue;
    return s.payload;
}

bool subscription_pack(struct buf *out, const struct subscription *s)
{
    char head[HEAD], topic[NAME_BYTES_MAX];
    struct slice payload =
        s->payload.len <= SUBSCRIPTION_PAYLOAD_MAX ? s->payload : (struct slice){0};
    if (out->failed || !subscription_topic(s, topic).len)
        return false;

    bool same = payload.len && slice_equal(payload, last_payload(buf_slice(out)));
    size_t more = HEAD + s->match.len + (same ? 0 : payload.len);
    if (out->len + 2 + s->subscriber.len + more > SUBSCRIPTIONS_BYTES_MAX)
        return false;
    if (!out->len) {
        put_u16(head, (uint16_t)s->subscriber.len);
        buf_put(out, head, 2);
        buf_put_slice(out, s->subscriber);
    }

    head[0] = (char)s->form;
    put_u16(head + 1, (uint16_t)s->match.len);
    put_u16(head + 3, same ? SAME : (uint16_t)payload.len);
    buf_put(out, head, HEAD);
    buf_put_slice(out, s->match);
    if (!same)
        buf_put_slice(out, payload);
    return !out->failed;
}

/* Take len bytes off. False when there are fewer. */
static bool subscription_take(struct slice *from, size_t len, struct slice *out)
{
    if (from->len < len)
        return false;
    *out = (struct slice){from->data, len};
    *from = (struct slice){from->data + len, from->len - len};
    return true;
}

bool subscription_next(struct slice *packed, struct subscription *s)
{
    struct slice head;
    if (!s->subscriber.len && (!subscription_take(packed, 2, &head) ||
                               !subscription_take(packed, get_u16(head.data), &s->subscriber)))
        return false;
    if (!s->subscriber.len || !subscription_take(packed, HEAD, &head) ||
        (unsigned char)head.data[0] >= SUBSCRIPTION_FORMS)
        return false;

    size_t payload = get_u16(head.data + 3);
    s->form = (enum subscription_form)head.data[0];
    return subscription_take(packed, get_u16(head.data + 1), &s->match) &&
           (payload == SAME || subscription_take(packed, payload, &s->payload));
}

static bool is_line(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ')
            return false;
    return text.len <= SUBSCRIPTION_PAYLOAD_MAX;
}

bool subscriptions_valid(struct slice packed)
{
    struct subscription s = {0};
    if (packed.len > SUBSCRIPTIONS_BYTES_MAX)
        return false;
    while (packed.len)
        if (!subscription_next(&packed, &s) || !name_valid(s.subscriber) || !name_valid(s.match) ||
            !is_line(s.payload))
            return false;
    return true;
}

/* --- documents --- */

void subscription_put(struct buf *out, const struct subscription *s)
{
    char topic[NAME_BYTES_MAX];
    bool old = s->form == SUBSCRIPTION_0_X;
    json_begin_object(out, NULL);
    if (old)
        json_put_text(out, "@context", slice_of("https://mercure.rocks/"));
    json_put_text(out, "id", subscription_topic(s, topic));
    json_put_text(out, "type", slice_of(old ? "Subscription" : "subscription"));
    if (!old)
        json_put_text(out, "match_type", slice_of(types[s->form]));
    json_put_text(out, old ? "topic" : "match", s->match);
    json_put_text(out, "subscriber", s->subscriber);
    json_put_flag(out, "active", true);
    if (s->payload.len)
        json_put_raw(out, "payload", s->payload);
    json_end_object(out);
}

/* A quote inside of a text is escaped, and the payload stands behind: so the first one is meant. */
void subscription_put_ended(struct buf *out, struct slice document)
{
    const char *at =
        document.len ? memmem(document.data, document.len, ACTIVE, strlen(ACTIVE)) : NULL;
    if (!at) {
        buf_put_slice(out, document);
        return;
    }

    size_t before = (size_t)(at - document.data), behind = before + strlen(ACTIVE);
    buf_put(out, document.data, before);
    buf_put_slice(out, slice_of("\"active\":false"));
    buf_put(out, document.data + behind, document.len - behind);
}

bool subscription_is_old(struct slice document)
{
    return slice_begins(document, slice_of(OLD_BEGIN));
}
