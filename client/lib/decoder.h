/* decoder.h - functions of the decoder for source.c only. */
#ifndef SSECAST_DECODER_H
#define SSECAST_DECODER_H

#include <stdatomic.h>

#include "lib/ssecast.h"

/* The event of which only the id is reported to applications. */
#define CHECKPOINT "ssecast.checkpoint"

/* While *stop is true nothing is reported, the last event id does not change, and feeding returns
 * -ECANCELED. */
void decoder_stop_on(struct ssecast_decoder *d, const atomic_bool *stop);

/* Report checkpoints as messages too, after `id`. */
void decoder_tell_checkpoints(struct ssecast_decoder *d);

#endif
