/* record.h - FastCGI record framing: what we write, and how much of a request has arrived.
 *
 * Source: FastCGI Specification 1.0, sections 3.3, 5.1 to 5.5. Bytes in, bytes out. The parameters themselves are parsed by
 * libfcgi (accept.c).
 */
#ifndef SSECAST_RECORD_H
#define SSECAST_RECORD_H

#include <stdint.h>

#include "slice.h"

#define RECORD_HEADER_LEN 8u
#define RECORD_END_LEN 24u

/* The header of a FCGI_STDOUT record whose content has len bytes (0 to 65535; 0 ends the stream of output). */
void record_stdout(char out[RECORD_HEADER_LEN], uint16_t request, uint16_t len);

/* What ends a response: an empty FCGI_STDOUT record and FCGI_END_REQUEST (request complete, status 0). */
void record_end(char out[RECORD_END_LEN], uint16_t request);

enum record_progress {
    RECORD_PARTIAL,  /* not all of the request is here yet */
    RECORD_PARAMS,   /* all parameters are here, the body is not */
    RECORD_COMPLETE, /* parameters and body are here */
    RECORD_BAD,      /* not a request: another version, role or order of records */
};

/* How much of one request, from its FCGI_BEGIN_REQUEST on, the bytes hold. */
enum record_progress record_scan(struct slice bytes);

#endif
