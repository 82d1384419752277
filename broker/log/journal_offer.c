#include "log/journal_offer.h"

#include "base/must.h"

bool offer_pending(const struct journal_offer *o)
{
    return o->message.data != NULL;
}

void offer_begin(struct journal_offer *o, struct buf *message, struct batch *t, uint64_t broker,
                 int64_t now_us)
{
    MUST(!offer_pending(o) && message->len >= BATCH_HEADER_LEN);
    t->name = (struct batch_name){broker, ++o->offers};
    batch_put_header(message->data, t);

    o->message = *message;
    *message = (struct buf){0};
    o->name = t->name;
    o->offset = t->offset;
    o->first_send = o->sends + 1;
    o->sent = 0;
    o->began_us = now_us;
    o->overtaken_at = 0;
}

void offer_end(struct journal_offer *o)
{
    buf_release(&o->message);
}

uint64_t offer_next_send(struct journal_offer *o)
{
    MUST(offer_pending(o));
    return ++o->sends;
}

void offer_note_send(struct journal_offer *o, bool sent, int64_t now)
{
    MUST(o->sends >= o->first_send);
    o->sent += sent;
    o->resend_at = now + OFFER_RESEND_MS;
}

void offer_hurry(struct journal_offer *o, int64_t now)
{
    if (offer_pending(o) && !o->overtaken_at)
        o->resend_at = now;
}

bool offer_due(const struct journal_offer *o, int64_t now)
{
    return offer_pending(o) && now >= o->resend_at;
}

bool offer_is_stuck(const struct journal_offer *o, int64_t now)
{
    return offer_pending(o) && o->overtaken_at && now - o->overtaken_at >= OFFER_OVERTAKEN_MS;
}

void offer_wait_again(struct journal_offer *o, int64_t now)
{
    if (o->overtaken_at)
        o->overtaken_at = now;
}

/* The stream will deliver the message that was first. */
static void offer_overtaken(struct journal_offer *o, int64_t now)
{
    if (!o->overtaken_at)
        o->overtaken_at = now;
    o->resend_at = INT64_MAX;
}

enum offer_answer offer_judge(struct journal_offer *o, uint64_t number,
                              const struct jetstream_reply *r, int64_t now)
{
    if (!offer_pending(o) || number < o->first_send)
        return OFFER_UNDECIDED;

    if (!r || r->code >= 500) {
        if (number == o->sends)
            o->resend_at = now + OFFER_UNAVAILABLE_MS;
        return OFFER_UNDECIDED;
    }

    if (!r->code && r->sequence == o->offset + 1)
        return OFFER_STORED;
    if (r->code && r->error != JETSTREAM_WRONG_LAST_SEQUENCE)
        return o->sent > 1 ? OFFER_DOUBTED : OFFER_REFUSED;
    offer_overtaken(o, now);
    return OFFER_UNDECIDED;
}

bool offer_meets(const struct journal_offer *o, uint64_t sequence)
{
    return offer_pending(o) && sequence > o->offset;
}
