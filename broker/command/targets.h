/* targets.h - the targets of a request: lists of sessions, channels and connections. */
#ifndef SSECAST_TARGETS_H
#define SSECAST_TARGETS_H

#include "codec/grant.h"
#include "codec/json.h"

#define TARGET_LISTS 3 /* in the order of enum event_list, for `to` as for `except` */

/* Read the fields sessions, channels and connections of o into lists. 0, or -EINVAL with *fault
 * set. */
int targets_read(const struct json_object *o, struct names lists[TARGET_LISTS],
                 struct json_fault *fault);

/* Read the object called name in o. Other fields in it are an error. *present: it exists. 0, or
 * -EINVAL with *fault set. */
int targets_read_in(const struct json_object *o, const char *name, struct names lists[TARGET_LISTS],
                    bool *present, struct json_fault *fault);

/* Check that a caller with this grant may send to these lists (present: there is a `to`; else
 * everyone). 0, or -EINVAL with a fault of code forbidden. A limited caller may address sessions
 * and channels, but neither everyone nor a connection. */
int targets_check(const struct grant *grant, bool present, const struct names lists[TARGET_LISTS],
                  struct json_fault *fault);

/* The same for `except` of an event, which may name any connection. */
int targets_check_except(const struct grant *grant, const struct names lists[TARGET_LISTS],
                         struct json_fault *fault);

/* Check the number of names in the lists of an event (to and except) or of a shutdown (o) against
 * limit (0: none). 0, or -EINVAL with a fault of code too_large. */
int targets_check_count(uint64_t limit, const struct json_object *o,
                        const struct names lists[EVENT_LISTS], struct json_fault *fault);

/* Check that a caller with this grant may query this session or channel (empty: none is named). As
 * targets_check(). */
int targets_check_names(const struct grant *grant, struct slice session, struct slice channel,
                        struct json_fault *fault);

/* The number of names in all three lists. */
size_t targets_count(const struct names lists[TARGET_LISTS]);

/* Write the non-empty lists of e, from list first on, as an object called name. A limited caller
 * sees only names that match its grant. */
void targets_put(struct buf *out, const char *name, const struct event *e, enum event_list first,
                 const struct grant *grant);

#endif
