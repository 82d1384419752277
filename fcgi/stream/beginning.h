/* beginning.h - where a stream begins that has no cursor: `from`, `last` and `since` in the query.
 * Pure.
 */
#ifndef SSECAST_BEGINNING_H
#define SSECAST_BEGINNING_H

#include "codec/wire.h"
#include "http/params.h"

#define START_LAST_MAX 1000u /* events */
/* ms: 2^53 - 1, the largest integer that is exact in JavaScript. */
#define START_SINCE_MAX 9007199254740991u
#define START_WHY_MAX 200u

enum start_verdict {
    START_READ,
    START_REPEATED, /* a parameter came twice */
    START_BAD,      /* a value is not accepted, or two parameters exclude each other */
};

/* Read `from=earliest`, `last=N` (1 to START_LAST_MAX) or `since=T` (unix time in ms, or RFC 3339).
 * Without any of them *out is START_AFTER. Unless START_READ is returned, why says what is
 * accepted. */
enum start_verdict start_read(const struct params *params, struct start *out,
                              char why[START_WHY_MAX]);

#endif
