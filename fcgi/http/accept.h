/* accept.h - accepts connections on a listening socket, and keeps them until their request is
 * complete.
 *
 * There is no thread and no blocking read: a descriptor waits in the event loop until intake.c has
 * its whole request. A silent peer costs a descriptor until the timeout. A peer that sends half a
 * request also costs memory, which is bounded for all peers together.
 *
 * Ownership: the request hook takes the descriptor and the parameters over.
 */
#ifndef SSECAST_ACCEPT_H
#define SSECAST_ACCEPT_H

#include "base/loop.h"
#include "http/params.h"

#define ACCEPT_BODY_MS 60000 /* for a whole body that is read */
#define ACCEPT_KEEP_MS 90000 /* until the next request on a connection; nginx: 60 s */
#define ACCEPT_KEPT_MAX 1024 /* connections that wait for their next request */

struct acceptor;

struct accept_hooks {
    bool scgi; /* peers speak SCGI, not FastCGI */
    /* A request was read from fd (non-blocking); params is the hook's to release. */
    void (*request)(void *context, int fd, struct params *params);
    /* The largest body accepted for this request. 0: its body is not read. */
    size_t (*body_max)(void *context, struct params *params);
    /* A connection ended without a request. */
    void (*dropped)(void *context);
};

/* Read the body of a plain CGI program from descriptor 0, until the timeout (ms) or until
 * stop_fd is readable. */
void accept_cgi_body(const struct accept_hooks *hooks, void *context, int timeout_ms, int stop_fd,
                     struct params *params);

/* Accept on listen_fd (taken over) from now on. room: bytes held for all incomplete requests.
 * max_requests: reported to a web server that asks for the limit. timeout_ms: for a whole
 * request to arrive; for a body that is read, from one piece to the next. libfcgi installs
 * signal handlers here: install yours afterwards. NULL on failure (listen_fd is still the
 * caller's). */
struct acceptor *acceptor_new(struct loop *loop, int listen_fd, size_t room, uint64_t max_requests,
                              int timeout_ms, const struct accept_hooks *hooks, void *context);

/* Wait for another request on fd (taken over), whose web server keeps its connections: for
 * ACCEPT_KEEP_MS. It is closed at once if ACCEPT_KEPT_MAX connections wait, and after
 * acceptor_stop(). */
void acceptor_keep(struct acceptor *a, int fd);

/* Accept the connections in the backlog. Call it before acceptor_stop() for a socket that no other
 * process accepts on: the backlog ends with it. */
void acceptor_take_backlog(struct acceptor *a);

/* Close the listening socket and kept connections; incomplete requests go on. */
void acceptor_stop(struct acceptor *a);

/* Close all connections without a complete request. */
void acceptor_free(struct acceptor **a);

#endif
