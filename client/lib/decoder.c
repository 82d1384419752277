/* The public interface of common/codec/sse.c. It adds the committed last event id, and converts
 * slices to NUL-terminated texts. */
#include "lib/decoder.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/sse.h"

#define MAX_EVENT_BYTES (16u << 20)

struct ssecast_decoder {
    struct ssecast_decoder_handler handler;
    struct sse_decoder *sse;
    char *last_id;
    size_t last_id_len;
    size_t max_event_bytes;
    bool tells_checkpoints;
    const atomic_bool *stop; /* NULL: never */
    int err;
};

static int keep_id(struct ssecast_decoder *d, struct slice id)
{
    char *copy = malloc(id.len + 1);
    if (!copy)
        return -ENOMEM;
    if (id.len > 0)
        memcpy(copy, id.data, id.len);
    copy[id.len] = 0;
    free(d->last_id);
    d->last_id = copy;
    d->last_id_len = id.len;
    return 0;
}

static bool stopped(struct ssecast_decoder *d)
{
    if (!d->err && d->stop && atomic_load(d->stop))
        d->err = -ECANCELED;
    return d->err != 0;
}

static void decoder_on_event(void *context, const struct sse_event *event)
{
    struct ssecast_decoder *d = context;
    if (stopped(d))
        return;
    if (!slice_equal(event->id, (struct slice){d->last_id, d->last_id_len}))
        d->err = keep_id(d, event->id);
    if (d->err)
        return;
    const struct ssecast_message message = {
        .type = event->type.data,
        .type_len = event->type.len,
        .data = event->data.data,
        .data_len = event->data.len,
        .id = d->last_id ? d->last_id : "",
        .id_len = d->last_id_len,
    };
    bool checkpoint = slice_equal(event->type, slice_of(CHECKPOINT));
    if (d->handler.id && (checkpoint || !event->has_data))
        d->handler.id(d->handler.context, message.id, message.id_len);
    if (event->has_data && (!checkpoint || d->tells_checkpoints))
        d->handler.message(d->handler.context, &message);
}

static void on_retry(void *context, uint64_t ms)
{
    struct ssecast_decoder *d = context;
    if (!stopped(d) && d->handler.retry)
        d->handler.retry(d->handler.context, ms);
}

static void on_comment(void *context, struct slice text)
{
    struct ssecast_decoder *d = context;
    if (!stopped(d) && d->handler.comment)
        d->handler.comment(d->handler.context, text.data, text.len);
}

/* A new decoder with the last event id. */
static int decoder_begin(struct ssecast_decoder *d)
{
    const struct sse_handler handler = {decoder_on_event, on_retry, on_comment, d};
    sse_decoder_free(&d->sse);
    d->sse = sse_decoder_new(&handler);
    if (!d->sse)
        return -ENOMEM;
    sse_decoder_limit(d->sse, d->max_event_bytes);
    return sse_decoder_set_id(d->sse, (struct slice){d->last_id, d->last_id_len});
}

int ssecast_decoder_new(struct ssecast_decoder **decoder,
                        const struct ssecast_decoder_handler *handler, size_t max_event_bytes)
{
    struct ssecast_decoder *d = *decoder = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->handler = *handler;
    d->max_event_bytes = max_event_bytes ? max_event_bytes : MAX_EVENT_BYTES;
    int err = decoder_begin(d);
    if (err)
        ssecast_decoder_free(decoder);
    return err;
}

void ssecast_decoder_free(struct ssecast_decoder **decoder)
{
    if (!*decoder)
        return;
    sse_decoder_free(&(*decoder)->sse);
    free((*decoder)->last_id);
    free(*decoder);
    *decoder = NULL;
}

int ssecast_decoder_feed(struct ssecast_decoder *d, const void *bytes, size_t len)
{
    int err = d->err ? d->err : sse_decoder_feed(d->sse, bytes, len);
    if (!d->err)
        d->err = err;
    return d->err;
}

void ssecast_decoder_reset(struct ssecast_decoder *d)
{
    d->err = decoder_begin(d);
}

const char *ssecast_decoder_last_id(const struct ssecast_decoder *d)
{
    return d->last_id ? d->last_id : "";
}

int ssecast_decoder_set_last_id(struct ssecast_decoder *d, const char *id)
{
    if (strpbrk(id, "\r\n"))
        return -EINVAL;
    int err = keep_id(d, slice_of(id));
    return err || !d->sse ? err : sse_decoder_set_id(d->sse, slice_of(id));
}

void decoder_stop_on(struct ssecast_decoder *d, const atomic_bool *stop)
{
    d->stop = stop;
}

void decoder_tell_checkpoints(struct ssecast_decoder *d)
{
    d->tells_checkpoints = true;
}
