/* decoder.h - the decoder's side that only source.c sees. */
#ifndef SSECAST_DECODER_H
#define SSECAST_DECODER_H

#include <stdatomic.h>

#include "ssecast.h"

/* From the moment *stop is true nothing more is told, the last event id stays where it is, and feeding gives -ECANCELED. */
void decoder_stop_on(struct ssecast_decoder *d, const atomic_bool *stop);

#endif
