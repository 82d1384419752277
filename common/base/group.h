/* group.h - a group and its members: a list that counts, the newest member first.
 *
 * It knows no names. A table keeps groups under theirs, and its owner removes a group that has no
 * members any more.
 *
 * Ownership: the memory of groups and memberships belongs to the callers. Neither may move while
 * there are members.
 */
#ifndef SSECAST_GROUP_H
#define SSECAST_GROUP_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed: no member of a group. */
struct membership {
    void *member;
    struct group *group; /* NULL: none */
    struct membership *prev, *next;
};

/* Zeroed: without members. */
struct group {
    struct membership *first, *last; /* the newest, the oldest */
    uint32_t count;
    uint32_t kind; /* of the owner's own */
};

/* Make m, which is in no group, the newest member of g. */
void group_enter(struct group *g, struct membership *m);

/* Take m out of its group. Safe on one that is in none. Returns the group, for its owner to look at
 * the count; NULL: it was in none. */
struct group *group_leave(struct membership *m);

#endif
