/* guard.h - reads what may be damaged: a fault in a mapped file, or a failed assertion of the library that reads it, becomes an error.
 *
 * LMDB trusts its pages. Where one is damaged it follows pointers to nowhere, or aborts. At the start, before anybody relies on this
 * process, that must end in a message and not in a crash. For one thread, one guard at a time; it knows no LMDB.
 */
#ifndef SSECAST_GUARD_H
#define SSECAST_GUARD_H

#include <stdbool.h>

/* Call read(context) and give its result; `failed` when it was ended by SIGSEGV, SIGBUS or guard_fail(). What it had allocated by then is
 * lost, so cleaning up is the caller's. */
int guard_read(int (*read)(void *context), void *context, int failed);

/* Our own code runs in between (false) and is over (true): its faults are not the file's. */
void guard_watch(bool on);

/* End the read under way. Returns when there is none, or when it is not watched. */
void guard_fail(void);

#endif
