/* What brokers that share a stream read from it and from each other: batches, gossip in parts, and
 * what JetStream replies. What is accepted encodes to itself; what was cut into parts comes
 * together again, and only then; text is kept within its bounds.
 *
 * Input: a first byte `t`, then a batch; `g`, then parts of gossip, each behind a u16 length; `c`,
 * then a size of parts (u8) and a body to be cut; `r`, then a reply of JetStream's; `d`, then the
 * subject of a delivery. */
#include <errno.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "log/batch.h"
#include "log/jetstream.h"
#include "presence/gossip.h"

static struct slice bytes_of(const struct buf *b)
{
    must(!b->failed);
    return (struct slice){b->data, b->len};
}

static bool within(struct slice part, struct slice whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_batch(struct slice message)
{
    struct batch once, again;
    char head[BATCH_HEADER_LEN];
    if (batch_get(message, &once) != 0)
        return;
    must(within(once.entries, message) && once.entries.len == message.len - BATCH_HEADER_LEN);
    batch_put_header(head, &once);
    must(batch_get((struct slice){head, sizeof head}, &again) == 0 && again.entries.len == 0);
    must(batch_same_name(&once.name, &again.name) &&
         batch_same_name(&once.predecessor, &again.predecessor));
    must(once.offset == again.offset && once.position == again.position &&
         once.incomplete == again.incomplete);
    must(once.begins == again.begins);
}

/* --- gossip --- */

static void is_a_message(const struct gossip *m)
{
    must(m->type >= GOSSIP_HERE && m->type <= GOSSIP_BYE);
    must(m->name.len <= NAME_BYTES_MAX && m->body.len <= GOSSIP_BYTES_MAX);
}

/* Whole again in as many parts as there are, and not before. */
static void comes_together(const struct gossip *m, size_t max)
{
    struct gossip_whole whole = {0};
    struct buf b = {0};
    struct gossip out;
    uint64_t run;
    unsigned parts = 1;
    for (unsigned part = 0; part < parts; part++) {
        b.len = 0;
        parts = gossip_put(&b, m, part, max);
        must(parts > 0 && b.len <= max);
        must(gossip_sender(bytes_of(&b), &run) == 0 && run == m->epoch);
        must(gossip_join(&whole, bytes_of(&b), &out) == (part + 1 == parts ? 0 : -EAGAIN));
    }
    must(out.type == m->type && out.epoch == m->epoch && out.number == m->number);
    must(slice_equal(out.name, m->name) && slice_equal(out.body, m->body));
    buf_release(&whole.body);
    buf_release(&b);
}

static void cut(struct slice rest)
{
    struct gossip m = {.type = GOSSIP_WORKER, .epoch = 7, .number = 1 + rest.len};
    size_t max = GOSSIP_HEAD_LEN + NAME_BYTES_MAX + 1 + next_byte(&rest);
    m.name = (struct slice){rest.data, rest.len < 9 ? rest.len : 9};
    m.body = rest;
    comes_together(&m, max);
}

static void gossip(struct slice rest)
{
    struct gossip_whole whole = {0};
    struct gossip m;
    uint64_t run;
    while (rest.len >= 2) {
        size_t len = get_u16(rest.data);
        len = len < rest.len - 2 ? len : rest.len - 2;
        struct slice part = {rest.data + 2, len};
        part.data = exact_copy(part);
        int err = gossip_join(&whole, part, &m);
        must(err != 0 || gossip_sender(part, &run) == 0);
        if (err == 0) {
            is_a_message(&m);
            comes_together(&m, GOSSIP_HEAD_LEN + NAME_BYTES_MAX + 1 + 100);
        }
        free((char *)part.data);
        rest = (struct slice){rest.data + 2 + len, rest.len - 2 - len};
    }
    buf_release(&whole.body);
}

/* --- JetStream --- */

static void reply(struct slice text)
{
    struct jetstream_reply r;
    if (jetstream_get_reply(text, &r) != 0)
        return;
    must(strnlen(r.why, JETSTREAM_WHY_MAX) < JETSTREAM_WHY_MAX);
    must(strnlen(r.created, JETSTREAM_TIME_MAX) < JETSTREAM_TIME_MAX);
}

static void delivery(struct slice text)
{
    struct jetstream_delivery d;
    char *subject = string_copy(text);
    if (jetstream_get_delivery(subject, &d))
        must(strncmp(subject, "$JS.ACK.", 8) == 0);
    free(subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size};
    uint8_t mode = next_byte(&rest);
    rest.data = exact_copy(rest);
    if (mode == 't')
        check_batch(rest);
    else if (mode == 'g')
        gossip(rest);
    else if (mode == 'c')
        cut(rest);
    else if (mode == 'r')
        reply(rest);
    else
        delivery(rest);
    free((char *)rest.data);
    return 0;
}
