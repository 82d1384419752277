/* decoder.h - the decoder's side that only source.c sees. */
#ifndef SSECAST_DECODER_H
#define SSECAST_DECODER_H

#include <stdatomic.h>

#include "lib/ssecast.h"

/* The event of which an application is told its id alone. */
#define CHECKPOINT "ssecast.checkpoint"

/* From the moment *stop is true nothing more is told, the last event id stays where it is, and feeding gives -ECANCELED. */
void decoder_stop_on(struct ssecast_decoder *d, const atomic_bool *stop);

/* Checkpoints are told as messages too, after `id`. */
void decoder_tell_checkpoints(struct ssecast_decoder *d);

#endif
