/* passed_socket.h - a browser's socket, as a descriptor in a message of a unix socket.
 *
 * It does not decide which peers may pass one (handoff.h).
 *
 * Ownership: the descriptor is the caller's.
 */
#ifndef SSECAST_PASSED_SOCKET_H
#define SSECAST_PASSED_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Read a message of peer. False: nothing has come yet. *browser: the connected TCP socket that was
 * passed, which may be blocking; -1: the message is anything else than one such descriptor, or the
 * peer has closed. Other descriptors are closed. The socket notices a browser that is gone, after
 * user_timeout_ms (TCP_USER_TIMEOUT) if it is not 0. */
bool passed_socket_receive(int peer, int64_t user_timeout_ms, int *browser);

#endif
