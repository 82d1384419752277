/* journal_trouble.h - log lines about a journal that makes no progress: each problem once, and its
 * end.
 *
 * It does not decide what is tried next (journal.h).
 *
 * Ownership: the struct is the caller's, zeroed at first.
 */
#ifndef SSECAST_JOURNAL_TROUBLE_H
#define SSECAST_JOURNAL_TROUBLE_H

#include "log/jetstream.h"
#include "log/nats_link.h"
#include "model/history.h"

struct journal_trouble {
    char why[NATS_LINK_WHY_MAX]; /* the last problem, for people; empty: there is none */
    bool hopeless;               /* the server refuses what no retry can change */
    bool compared;               /* trouble_compare() was called */
};

/* Log why there is no progress, unless it was said last. */
void trouble_report(struct journal_trouble *t, const char *why);

/* The same: the server refused a request. what: "cannot ..." */
void trouble_refused(struct journal_trouble *t, const char *what, const struct jetstream_reply *r);

/* The same: the server does not answer. */
void trouble_silence(struct journal_trouble *t);

/* Remember why, without a line in the log: publishers get it in their replies. */
void trouble_note(struct journal_trouble *t, const char *why);

/* There is progress. Logged if a problem was. */
void trouble_end(struct journal_trouble *t);

/* What the options say of the stream. */
struct journal_wants {
    const char *stream;
    uint64_t replicas;
    const struct history_limits *limits;
};

/* Warn if the stream, as the server describes it, is less than is wanted. Only the first call
 * does. */
void trouble_compare(struct journal_trouble *t, const struct jetstream_reply *r,
                     const struct journal_wants *wants);

#endif
