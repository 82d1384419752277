/* suspect.h - a row that cannot be read, for a reason that may be the row's or the server's: when
 * it is read again, and when it is judged.
 *
 * Some failures do not tell whether the row or the server is the reason: too little memory, no
 * answer in time, a connection that is lost. Such a row is a suspect. It is read again, alone and
 * later each time. After SUSPECT_TRIES failures another row, the witness, is read: when the server
 * can read that, the suspect is the reason. So it holds up others for about SUSPECT_TRIES + 2 times
 * the statement timeout.
 *
 * One row is remembered: the first of the table. Pure: it reads nothing.
 */
#ifndef SSECAST_SUSPECT_H
#define SSECAST_SUSPECT_H

#include "base/backoff.h"
#include "pgsql/database.h"
#include "pgsql/outbox_sql.h"

#define SUSPECT_TRIES 4u
#define SUSPECT_WITNESSES 100u /* rows behind the suspect that are read in turn */

/* Zeroed: no row is suspected. */
struct suspect {
    struct row_key row;
    uint32_t tries;         /* failures so far; 0: no row is suspected */
    bool cut;               /* the last try cost the connection; no witness was read since */
    char why[DATABASE_WHY]; /* of the last try */
    size_t witness;         /* how many rows behind it to skip for the next witness */
};

bool suspect_is(const struct suspect *s, const struct row_key *row);

/* The row failed. cut: there is no connection any more. Another row that was suspected is
 * forgotten. */
void suspect_note_failure(struct suspect *s, const struct row_key *row, bool cut, const char *why);

/* A row was read, or the suspect is refused. */
void suspect_clear(struct suspect *s);

/* The suspect has had its tries: read a witness. */
bool suspect_is_due(const struct suspect *s);

/* failed: the witness could not be read. Otherwise it was read, or the table has no other row.
 * Several rows may be unreadable, so after a failure the next witness is another row. */
void suspect_note_witness(struct suspect *s, bool failed);

/* Milliseconds until the suspect is read again. b: base and cap. */
uint64_t suspect_wait(const struct suspect *s, struct backoff b);

#endif
