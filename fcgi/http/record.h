/* record.h - FastCGI record framing: what we write, how much of a request has arrived, and its body
 * without the records around it.
 *
 * Source: FastCGI Specification 1.0, sections 3.3, 5.1 to 5.5. Bytes in, bytes out. The parameters
 * themselves are parsed by libfcgi (intake.c), which believes every length; so the lengths are
 * checked here.
 */
#ifndef SSECAST_RECORD_H
#define SSECAST_RECORD_H

#include <stdint.h>

#include "base/slice.h"

#define RECORD_HEADER_LEN 8u
#define RECORD_END_LEN 24u

/* The header of a FCGI_STDOUT record whose content has len bytes (0 to 65535; 0 ends the stream
 * of output). */
void record_stdout(char out[RECORD_HEADER_LEN], uint16_t request, uint16_t len);

/* What ends a response: an empty FCGI_STDOUT record and FCGI_END_REQUEST (request complete,
 * status 0). */
void record_end(char out[RECORD_END_LEN], uint16_t request);

enum record_progress {
    RECORD_PARTIAL,  /* not all of the request is here yet */
    RECORD_PARAMS,   /* all parameters are here, the body is not */
    RECORD_COMPLETE, /* parameters and body are here */
    /* Not a request: wrong version, role or order of records,
     * or a parameter longer than they are. */
    RECORD_BAD,
    /* A whole management record stands before the request:
     * answer it with record_answer(), and drop it. */
    RECORD_MANAGEMENT,
};

#define RECORD_ANSWER_MAX 128u /* bytes */

/* The answer to the management record at the start of bytes, which record_scan() reported:
 * FCGI_GET_VALUES_RESULT with the values that were asked for and are known, or
 * FCGI_UNKNOWN_TYPE. max_requests is how many connections and requests the worker accepts at a
 * time; each connection carries one request. *used becomes the size of the management record.
 * Returns the answer's size, at most RECORD_ANSWER_MAX. */
size_t record_answer(char out[RECORD_ANSWER_MAX], struct slice bytes, uint64_t max_requests,
                     size_t *used);

/* Where the parameters stand, which go on from one record to the next: each is two lengths of
 * one or four bytes, a name and a value. */
struct record_pairs {
    size_t skip;    /* bytes of name and value yet to come */
    size_t length;  /* the lengths of this pair, together, as far as they are known */
    size_t reading; /* a length of which some bytes are here */
    unsigned bytes; /* how many are yet to come */
    unsigned known; /* lengths of this pair */
};

/* How much of a request the bytes hold. Begin with a zeroed one; it may be asked again when
 * there are more bytes, and goes on where it was. */
struct record_scan {
    size_t at;         /* where the next record begins */
    size_t params_end; /* bytes of the request up to the end of its parameters; 0: incomplete */
    unsigned request;
    bool begun, params_done, body_done;
    /* Of the record that begins the request or ends the parameters: libfcgi does not skip it. */
    bool odd_padding;
    bool keep; /* FCGI_KEEP_CONN: the connection stays open after the response */
    struct record_pairs pairs;
};

/* bytes are all of one request so far, from its FCGI_BEGIN_REQUEST on. After RECORD_MANAGEMENT
 * begin with a zeroed scan again. */
enum record_progress record_scan(struct record_scan *s, struct slice bytes);

/* Remove the padding of len bytes of whole records, in place. Returns how many bytes are left. */
size_t record_strip(char *bytes, size_t len);

/* The body of one request being taken out of its FCGI_STDIN records. Begin with a zeroed one but
 * for the request. */
struct record_body {
    unsigned request;
    unsigned char header[RECORD_HEADER_LEN]; /* of the record that has begun */
    size_t header_len;                       /* bytes of it that are here */
    size_t content_left, padding_left;       /* of that record, still to come */
    bool last;                               /* it is the one that ends the body */
    size_t behind;                           /* bytes that were given behind the end of the body */
};

/* Take the *len bytes that came next. What of them is the body's is moved to the front of bytes,
 * and *len becomes how much that is. RECORD_COMPLETE at the body's end, whatever follows;
 * RECORD_BAD when a record is not the body's. */
enum record_progress record_unframe(struct record_body *b, char *bytes, size_t *len);

#endif
