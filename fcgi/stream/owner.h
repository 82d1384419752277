/* owner.h - an opaque value that stands for a session.
 *
 * A page compares two of them to find out whether its stream came back as another session's. The
 * value does not tell the session's name, which may be a cookie that no script may read. All
 * workers give the same value for a session.
 */
#ifndef SSECAST_OWNER_H
#define SSECAST_OWNER_H

#include "base/slice.h"

#define OWNER_LEN 32

/* Writes hexadecimal digits and a NUL. session may be empty. */
void owner_of(struct slice session, char out[OWNER_LEN + 1]);

#endif
