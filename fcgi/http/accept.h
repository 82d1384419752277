/* accept.h - accepts requests: the listening socket, and connections until their request is
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
#define ACCEPT_KEEP_MS 90000 /* until the next request on a connection; nginx closes it after 60 s */
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

/* Was this process started as a plain CGI program, without a listening socket and with
 * GATEWAY_INTERFACE set? */
bool accept_is_cgi(void);

/* Read the body of a plain CGI program from descriptor 0, until the timeout (ms) or until
 * stop_fd is readable. */
void accept_cgi_body(const struct accept_hooks *hooks, void *context, int timeout_ms, int stop_fd,
                     struct params *params);

/* The listening socket that this process was started with: descriptor 3 from systemd (LISTEN_FDS
 * and LISTEN_PID), else descriptor 0 from a web server. -1: none; -EINVAL with a line in the
 * log: systemd passed anything other than one listening stream socket. The parent process owns
 * the socket and its file. */
int accept_handed(void);

/* The same for SCGI: only from systemd, and of this name (LISTEN_FDNAMES). accept_handed() does not
 * count it. */
int accept_handed_scgi(void);

#define ACCEPT_SCGI_NAME "handoff"

/* Open a listening socket: a unix socket path (with this mode) or HOST:PORT. A stale unix socket
 * is replaced; one in use is not. The descriptor, or -1 with a line in the log that names the
 * option. */
int accept_listen(const char *option, const char *where, unsigned mode);

/* Can other hosts connect to `where`? FastCGI has no authentication: a peer names the user of
 * each request. */
bool accept_exposed(const char *where);

/* NULL when `where` is a unix socket path or HOST:PORT, else what is accepted. The second one
 * accepts no HOST:PORT. */
const char *accept_check_listen(const char *where);
const char *accept_check_socket(const char *where);

/* Accept on listen_fd (taken over) from now on. room: bytes held for all incomplete requests.
 * max_requests: reported to a web server that asks for the limit. timeout_ms: for a whole
 * request to arrive; for a body that is read, from one piece to the next. libfcgi installs
 * signal handlers here: install yours afterwards. NULL on failure (listen_fd is still the
 * caller's). */
struct acceptor *acceptor_new(struct loop *loop, int listen_fd, size_t room, uint64_t max_requests, int timeout_ms,
                              const struct accept_hooks *hooks, void *context);

/* Wait for another request on fd (taken over), whose web server keeps its connections: for
 * ACCEPT_KEEP_MS. It is closed at once if ACCEPT_KEPT_MAX connections wait, and after
 * acceptor_stop(). */
void acceptor_keep(struct acceptor *a, int fd);

/* Close the listening socket and kept connections; incomplete requests go on. sweep: first
 * accept the connections in the backlog, for a socket that no other process accepts on. */
void acceptor_stop(struct acceptor *a, bool sweep);

/* Close all connections without a complete request. */
void acceptor_free(struct acceptor **a);

#endif
