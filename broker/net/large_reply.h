/* large_reply.h - a large reply as a message of libzmq, whose bytes count while it waits to be
 * sent.
 *
 * libzmq bounds the messages that wait for a peer by their number. This bounds the bytes of the
 * large ones as well (unread.h). It does not send.
 *
 * Ownership: the message has a copy of the reply, which libzmq frees from any of its threads. All
 * messages are closed before the struct unread is freed.
 */
#ifndef SSECAST_LARGE_REPLY_H
#define SSECAST_LARGE_REPLY_H

#include <zmq.h>

#include "net/unread.h"

/* Make *out a message with body, for this peer. 0; -EAGAIN: too much waits for the peer; -ENOMEM.
 * On failure there is no message. */
int large_reply_make(struct unread *unread, struct slice peer, struct slice body, zmq_msg_t *out);

#endif
