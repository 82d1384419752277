/* accept.h - takes requests in: the listening socket, and libfcgi reading the parameters. The only user of libfcgi.
 *
 * No thread and no blocking read: a descriptor waits in the event loop until one whole request is in its socket buffer (seen
 * with MSG_PEEK), then libfcgi reads it at once. A peer that connects and says nothing costs a descriptor for ACCEPT_TIMEOUT_MS.
 *
 * Ownership: the handler takes the descriptor and the parameters over.
 */
#ifndef SSECAST_ACCEPT_H
#define SSECAST_ACCEPT_H

#include "loop.h"
#include "params.h"

#define ACCEPT_TIMEOUT_MS 10000 /* for a whole request to arrive */

struct acceptor;

/* A request was read from fd (non-blocking); params is the handler's to release. */
typedef void accept_handler(void *context, int fd, struct params *params);

/* Was this process started as a plain CGI program: no listening socket was handed over, and GATEWAY_INTERFACE is set. */
bool accept_is_cgi(void);

/* The listening socket that this process was started with: descriptor 3 from systemd (LISTEN_FDS and LISTEN_PID say so), else descriptor 0
 * from a web server. -1: none; -EINVAL with a line in the log: systemd passed something else than one listening stream socket.
 * It belongs to who handed it over: others hold it too, and its file is theirs to remove. */
int accept_handed(void);

/* Open a listening socket: a unix socket path (with this mode) or HOST:PORT. A stale unix socket is replaced; one that somebody listens
 * on is not. The descriptor, or -1 with a line in the log. */
int accept_listen(const char *where, unsigned mode);

/* NULL when `where` is a unix socket path or HOST:PORT, else what is accepted. */
const char *accept_check_listen(const char *where);

/* Accept on listen_fd (taken over) from now on. libfcgi installs signal handlers here: install yours afterwards. NULL on failure
 * (listen_fd is still the caller's). */
struct acceptor *acceptor_new(struct loop *loop, int listen_fd, accept_handler *handler, void *context);

/* Close the listening socket; requests that are half there go on. sweep: first take in what is in the backlog, which nobody else
 * would. */
void acceptor_stop(struct acceptor *a, bool sweep);

/* Close everything that has not become a request. */
void acceptor_free(struct acceptor **a);

#endif
