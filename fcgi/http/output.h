/* output.h - the next bytes of a conn, as the pieces of one write, and what was written taken off
 * it.
 *
 * It builds the FastCGI records. It neither writes nor ends a conn: that is conn.h.
 */
#ifndef SSECAST_OUTPUT_H
#define SSECAST_OUTPUT_H

#include <sys/uio.h>

#include "http/conn.h"

/* The pieces of one write, and the framing bytes that two of them point to. */
struct output {
    struct iovec *pieces; /* the caller's */
    int room;             /* of pieces: at least 3 */
    int count;
    size_t bytes;
    char head[RECORD_HEADER_LEN];
    char tail[RECORD_END_LEN];
};

/* Is the text of c surrounded by records? */
bool output_has_records(const struct conn *c);

/* Is a record of c written in part? Its rest must be written before another one. */
bool output_is_begun(const struct conn *c);

/* Is nothing left to write? */
bool output_is_done(const struct conn *c);

/* Collect the next bytes of c: the rest of a record, or a new one; at the end of an ending
 * response, its tail. They are c's until output_account(). */
void output_gather(struct output *out, struct conn *c);

/* `written` of the collected bytes were written. Counts them, and how late the events were. */
void output_account(struct conn *c, size_t written);

#endif
