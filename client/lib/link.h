/* link.h - the sockets to the broker: the only user of libzmq in the library.
 *
 * It sends messages and receives texts. Which reply belongs to which request, and how long to wait, is its caller's business.
 * Of several endpoints one is used as long as it is there, so that what is sent keeps its order; then the next.
 */
#ifndef SSECAST_LINK_H
#define SSECAST_LINK_H

#include "base/slice.h"
#include "lib/ssecast.h"

/* A message that can be sent again and again: JSON, and a payload behind it or none. Both are copied once, here. */
struct link_message;

/* payload NULL: none. NULL when out of memory. */
struct link_message *link_message_new(struct slice json, const struct slice *payload);
void link_message_free(struct link_message **p);
struct slice link_message_json(const struct link_message *p);

struct link;

/* Connect to each endpoint of the options. 0; -EINVAL for a key or an endpoint that cannot be one; another -errno. */
int link_new(struct link **out, const struct ssecast_publisher_options *options);

/* At once; what was not sent by then is lost. */
void link_free(struct link **l);

/* Readable (level-triggered) when there may be something to receive, when sending may go on, or when the wakeup was woken. */
int link_fd(const struct link *l);

/* Make the descriptor readable until link_clear_wakeup(). */
void link_wake(struct link *l);
void link_clear_wakeup(struct link *l);
bool link_is_woken(const struct link *l);

/* Send without waiting. 0; -EAGAIN when no endpoint takes more now; another -errno. */
int link_send(struct link *l, struct link_message *p);

/* See how connecting goes; an endpoint that refused us is tried again, at most once a second. */
void link_look(struct link *l, int64_t now);

/* When link_look() has something to do, clock_ms(); INT64_MAX: never. */
int64_t link_due(const struct link *l);

/* Why the endpoint in use cannot be connected to, in words; NULL: nothing is known to be wrong. */
const char *link_problem(const struct link *l);

/* The endpoint in use does not answer: use the next one that is there from now on. Replies from the others are still received. */
void link_move(struct link *l);

/* Take the next message: 1, and *text is its first frame that is not empty, valid until the next call; 0 when there is none; -errno. */
int link_receive(struct link *l, struct slice *text);

/* A socket that hears everything that is told at one endpoint (SUB). */
struct subscriber;

/* 0; -EINVAL for a key or an endpoint that cannot be one; another -errno. */
int subscriber_new(struct subscriber **out, const char *endpoint, const struct ssecast_curve *curve);
void subscriber_free(struct subscriber **e);

/* Wait until a message is there or fd is readable, for ms at most. */
void subscriber_wait(struct subscriber *e, int fd, int64_t ms);

/* As link_receive(). */
int subscriber_receive(struct subscriber *e, struct slice *text);

#endif
