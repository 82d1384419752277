/* event_index.h - finds a name in a list of an event. Where the lists have many names, these are
 * found by their hash: a replay asks every event whether it excludes the reader, and each reader of
 * a private event asks whether it is named.
 *
 * For the files that make and ask an event; it does not know who reads.
 *
 * Ownership: the index stands in the event's own allocation.
 */
#ifndef SSECAST_EVENT_INDEX_H
#define SSECAST_EVENT_INDEX_H

#include "codec/event.h"

/* The number of slots for this number of names in all lists: 0, or a power of two. */
uint32_t event_index_slots(size_t names);

/* Fill the index, when there is one: the entry is whole by now. */
void event_index_fill(struct event *e);

/* True when the list has this name. With an index the time does not depend on its length. */
bool event_index_has(const struct event *e, enum event_list list, struct slice name);

/* Bytes of memory of e's index, beside its struct and its entry. */
size_t event_index_bytes(const struct event *e);

#endif
