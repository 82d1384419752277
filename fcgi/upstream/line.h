/* line.h - a socket to a broker, feed (SUB) or sync (DEALER): messages in, messages out, and why it does not come about. The only user of
 * libzmq.
 *
 * libzmq connects and reconnects in the background; the loop is woken when something may have come. It knows nothing of what messages say.
 *
 * Ownership: a received message belongs to the line and is valid until its next line_receive().
 */
#ifndef SSECAST_LINE_H
#define SSECAST_LINE_H

#include "base/loop.h"
#include "base/slice.h"
#include "ops/curve_key.h"

/* What all lines of a worker share. */
struct lines;
struct line;

enum line_kind { LINE_FEED, LINE_SYNC };

struct lines_config {
    struct loop *loop;
    const char *name;                 /* of this worker, its routing id; stays valid */
    const struct curve_client *curve; /* keys for tcp endpoints; NULL or zeroed: without CURVE */
};

/* NULL on failure. */
struct lines *lines_new(const struct lines_config *config);

/* Every line is closed. What was sent last has half a second to leave. Safe on NULL. */
void lines_free(struct lines **l);

/* Begin to connect. broker: which of the configured keys is its, when there are several. NULL with a line in the log. */
struct line *line_open(struct lines *l, enum line_kind kind, const char *endpoint, size_t broker);

/* Safe on NULL. */
void line_close(struct line **l);

/* Send without waiting. 0 or -errno: there is no connection (nothing piles up for a broker that is away), or no line (NULL). */
int line_send(struct line *l, struct slice message);

/* The next message, if one is there. False on NULL. */
bool line_receive(struct line *l, struct slice *message);

/* Each second: tell, once, why there is no connection, and connect anew where libzmq would not. Safe on NULL. */
void line_tick(struct line *l, int64_t now);

/* It was told that the broker does not let us in, or something of that kind. False on NULL. */
bool line_turned_away(const struct line *l);

#endif
