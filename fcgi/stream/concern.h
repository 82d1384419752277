/* concern.h - which events concern a stream: those that are addressed to it, and that it may be
 * sent.
 *
 * The channels, the session, the patterns and the connection of a stream say what is addressed to
 * it. What it may be sent depends on the grants of its token, and for a shutdown on when it was
 * opened. Nothing here changes a stream or sends anything.
 */
#ifndef SSECAST_CONCERN_H
#define SSECAST_CONCERN_H

#include "stream/stream.h"

/* The names of s. channels is room for REQUEST_CHANNELS_MAX names, id for the connection's; both
 * stay valid as long as s. */
struct audience concern_audience(const struct stream *s, struct slice *channels,
                                 char id[REGISTRY_ID_MAX]);

/* What a stream reads of the history or the state: room for its names, and the filter. */
struct concern_reader {
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    const struct stream *stream;
    struct audience own; /* the stream's */
    struct audience who; /* the filter's */
    struct history_filter filter;
};

/* Fill in reader for s; it must stay where it is. Where s selects by patterns, the audience is that
 * of every channel: the filter picks what s is to be sent. */
void concern_read_as(const struct stream *s, struct concern_reader *reader);

/* May s be sent e, which was routed to it? Not an event that needs a grant which
 * it does not have: private ones, and in the hub those about members. */
bool concern_permits(const struct stream *s, const struct event *e);

/* Is e, which was routed to s, to be sent to it? What concern_permits() says, and a shutdown only
 * if s was opened before it; records never. */
bool concern_includes(const struct stream *s, const struct event *e);

#endif
