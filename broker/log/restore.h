/* restore.h - loads a sequence from a store.
 *
 * Ownership: both stay the caller's. The store keeps a pointer to the state of the sequence.
 */
#ifndef SSECAST_RESTORE_H
#define SSECAST_RESTORE_H

#include "log/sequence.h"
#include "log/store.h"

/* Load the whole store, NULL: nothing. Call it before the first append. progress may be NULL and is
 * called now and then with the number of events so far. 0 or -errno with a line in why; then only
 * sequence_free() is allowed. */
int restore_sequence(struct sequence *s, struct store *store, void (*progress)(uint64_t events),
                     char why[STORE_WHY_MAX]);

#endif
