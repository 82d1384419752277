/* accept.h - takes requests in: the listening socket, and who has connected to it until there is a request.
 *
 * No thread and no blocking read: a descriptor waits in the event loop until intake.c has all of its request. A peer that connects and
 * says nothing costs a descriptor for a time-out; one that says half of it, some memory too, which is bounded for all together.
 *
 * Ownership: the handler takes the descriptor and the parameters over.
 */
#ifndef SSECAST_ACCEPT_H
#define SSECAST_ACCEPT_H

#include "base/loop.h"
#include "http/params.h"

#define ACCEPT_BODY_MS 60000 /* for a body that somebody wants, in all */
#define ACCEPT_KEEP_MS 90000 /* for the next request on a connection; nginx closes its own end after 60 s */
#define ACCEPT_KEPT_MAX 1024 /* connections that wait for their next request */

struct acceptor;

struct accept_hooks {
    /* A request was read from fd (non-blocking); params is the hook's to release. */
    void (*request)(void *context, int fd, struct params *params);
    /* How many bytes of its body this request is worth. 0: it wants none. */
    size_t (*body_max)(void *context, struct params *params);
    /* A connection never became a request. */
    void (*dropped)(void *context);
};

/* Was this process started as a plain CGI program: no listening socket was handed over, and GATEWAY_INTERFACE is set. */
bool accept_is_cgi(void);

/* A plain CGI program's body, from its descriptor 0; the time-out (ms) and a readable stop_fd make an end of waiting for it. */
void accept_cgi_body(const struct accept_hooks *hooks, void *context, int timeout_ms, int stop_fd,
                     struct params *params);

/* The listening socket that this process was started with: descriptor 3 from systemd (LISTEN_FDS and LISTEN_PID say so), else descriptor 0
 * from a web server. -1: none; -EINVAL with a line in the log: systemd passed something else than one listening stream socket.
 * It belongs to who handed it over: others hold it too, and its file is theirs to remove. */
int accept_handed(void);

/* Open a listening socket: a unix socket path (with this mode) or HOST:PORT. A stale unix socket is replaced; one that somebody listens
 * on is not. The descriptor, or -1 with a line in the log. */
int accept_listen(const char *where, unsigned mode);

/* Can others than this machine connect to `where`? Who can, says who a request is from: FastCGI has no protection of its own. */
bool accept_exposed(const char *where);

/* NULL when `where` is a unix socket path or HOST:PORT, else what is accepted. */
const char *accept_check_listen(const char *where);

/* Accept on listen_fd (taken over) from now on. room: bytes that may be held for all requests that are not complete.
 * max_requests: how many requests at a time a web server is told to expect, when it asks. timeout_ms: for a
 * whole request to arrive; for a body that somebody wants, from one piece to the next. libfcgi installs signal handlers here: install yours
 * afterwards. NULL on failure (listen_fd is still the caller's). */
struct acceptor *acceptor_new(struct loop *loop, int listen_fd, size_t room, uint64_t max_requests, int timeout_ms,
                              const struct accept_hooks *hooks, void *context);

/* Wait for another request on fd (taken over), whose web server keeps its connections: for ACCEPT_KEEP_MS. It is closed at once when
 * ACCEPT_KEPT_MAX wait already, or after acceptor_stop(). */
void acceptor_keep(struct acceptor *a, int fd);

/* Close the listening socket, and connections that are kept; requests that are half there go on. sweep: first take in what is in the backlog, which nobody else
 * would. */
void acceptor_stop(struct acceptor *a, bool sweep);

/* Close everything that has not become a request. */
void acceptor_free(struct acceptor **a);

#endif
