/* event_entry.h - an entry's format (event.h has the table), for the files that write and read it.
 *
 * Ownership: as in event.h.
 */
#ifndef SSECAST_EVENT_ENTRY_H
#define SSECAST_EVENT_ENTRY_H

#include "base/bytes.h"
#include "codec/event.h"

enum entry_flag { ENTRY_HAS_TO = 1, ENTRY_SEQ_AS_ID = 2, ENTRY_REMOVE = 4, ENTRY_PRIVATE = 8 };

#define ENTRY_MAX ((size_t)UINT32_MAX) /* bytes */
#define ENTRY_NAME_MIN 3u              /* bytes of a name in an entry: its length and a character */

/* An event with room for an entry of this size that has this number of names in its lists.
 * NULL when out of memory. */
struct event *event_room(size_t entry_size, size_t names);

/* The name at this offset of the entry. */
static inline struct slice event_name_at(const struct event *e, size_t offset)
{
    return (struct slice){e->bytes + offset + 2, get_u16(e->bytes + offset)};
}

/* The offset behind the last name of the list. */
static inline size_t event_list_end(const struct event *e, enum event_list list)
{
    return list + 1 < EVENT_LISTS ? e->offsets[list + 1] : (size_t)(e->text.data - e->bytes);
}

/* An event for everyone cannot be private: there is no target to grant. */
static inline bool event_may_be_private(const struct event *e)
{
    return e->kind == EVENT_MESSAGE && e->has_to;
}

#endif
