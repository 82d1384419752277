/* link.h - the sockets to the broker.
 *
 * It sends messages and receives texts. The caller matches replies to requests and keeps timeouts.
 * Of several endpoints one is used as long as it is reachable, so that messages keep their order;
 * then the next one.
 */
#ifndef SSECAST_LINK_H
#define SSECAST_LINK_H

#include "base/slice.h"
#include "lib/ssecast.h"

/* A message that can be sent repeatedly: JSON, and optionally a payload. Both are copied once. */
struct link_message;

/* payload NULL: none. NULL when out of memory. */
struct link_message *link_message_new(struct slice json, const struct slice *payload);
void link_message_free(struct link_message **p);
struct slice link_message_json(const struct link_message *p);

struct link;

/* Start to connect to each endpoint of the options. 0; -EINVAL for an invalid key or endpoint;
 * another -errno. */
int link_new(struct link **out, const struct ssecast_publisher_options *options);

/* Free without waiting; unsent messages are lost. */
void link_free(struct link **l);

/* A descriptor that is readable (level-triggered) when a message may have arrived, when sending may
 * continue, or after link_wake(). */
int link_fd(const struct link *l);

/* Make the descriptor readable until link_clear_wakeup(). */
void link_wake(struct link *l);
void link_clear_wakeup(struct link *l);
bool link_is_woken(const struct link *l);

/* Send without waiting. 0; -EAGAIN when no endpoint accepts more now; another -errno. */
int link_send(struct link *l, struct link_message *p);

/* Process handshake events. An endpoint that refused us is retried at most once a second. */
void link_look(struct link *l, int64_t now);

/* When link_look() has work, clock_ms(); INT64_MAX: never. */
int64_t link_due(const struct link *l);

/* Why the current endpoint cannot be reached, as a line; NULL: no problem is known. */
const char *link_problem(const struct link *l);

/* The current endpoint does not answer: switch to the next reachable one. Replies from the
 * others are still received. */
void link_move(struct link *l);

/* Receive the next message: 1, and *text is its first frame that is not empty, valid until the
 * next call; 0 when there is none; or -errno. */
int link_receive(struct link *l, struct slice *text);

/* Is there a message, or (to_send) would an endpoint accept one? The descriptor may be silent about
 * both after link_send() and link_receive(). */
bool link_can_proceed(const struct link *l, bool to_send);

/* A SUB socket that receives every message of one endpoint. */
struct subscriber;

/* 0; -EINVAL for an invalid key or endpoint; another -errno. */
int subscriber_new(struct subscriber **out, const char *endpoint,
                   const struct ssecast_curve *curve);
void subscriber_free(struct subscriber **e);

/* Wait for the first connection, or until fd is readable, for at most ms. True: it was made, and
 * the subscription was sent. */
bool subscriber_wait_connected(struct subscriber *e, int fd, int64_t ms);

/* Wait for a message, or until fd is readable, for at most ms. */
void subscriber_wait(struct subscriber *e, int fd, int64_t ms);

/* As link_receive(). */
int subscriber_receive(struct subscriber *e, struct slice *text);

#endif
