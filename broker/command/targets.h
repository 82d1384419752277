/* targets.h - whom a request names: lists of sessions, channels and connections. */
#ifndef SSECAST_TARGETS_H
#define SSECAST_TARGETS_H

#include "codec/grant.h"
#include "codec/json.h"

#define TARGET_LISTS 3 /* in the order of enum event_list, for `to` as for `except` */

/* Read the fields sessions, channels and connections of o into lists. 0, or -EINVAL with *fault set. */
int targets_read(const struct json_object *o, struct names lists[TARGET_LISTS], struct json_fault *fault);

/* Read the object called name in o, which may hold nothing but those fields. *present says whether it was there. 0,
 * or -EINVAL with *fault set. */
int targets_read_in(const struct json_object *o, const char *name, struct names lists[TARGET_LISTS], bool *present,
                    struct json_fault *fault);

/* May grant's holder send to these lists (present: there is a `to`; else everyone)? 0, or -EINVAL with a fault of code forbidden. A
 * limited grant names sessions and channels; it can address neither everyone nor a connection. */
int targets_check(const struct grant *grant, bool present, const struct names lists[TARGET_LISTS],
                  struct json_fault *fault);

/* The same for an event's `except`, of which a connection is no matter: who learns of its id may name it. */
int targets_check_except(const struct grant *grant, const struct names lists[TARGET_LISTS], struct json_fault *fault);

/* Are there more names in the lists of an event (to and except) or a shutdown (o) than limit (0: any number)? 0, or -EINVAL with a fault of code
 * too_large. */
int targets_check_count(uint64_t limit, const struct json_object *o, const struct names lists[EVENT_LISTS],
                        struct json_fault *fault);

/* May grant's holder ask about this session or channel (empty: none is named)? As targets_check(). */
int targets_check_names(const struct grant *grant, struct slice session, struct slice channel,
                        struct json_fault *fault);

/* The names in all three lists. */
size_t targets_count(const struct names lists[TARGET_LISTS]);

/* Write the lists of e that are not empty, beginning with list first, as an object called name; of a limited grant's only what it
 * matches. */
void targets_put(struct buf *out, const char *name, const struct event *e, enum event_list first,
                 const struct grant *grant);

#endif
