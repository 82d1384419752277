/* listen_socket.h - listening sockets: those that this process was started with, and our own.
 *
 * It does not accept (accept.h), and does not decide which sockets the options ask for
 * (listening.h).
 *
 * Ownership: a descriptor is the caller's.
 */
#ifndef SSECAST_LISTEN_SOCKET_H
#define SSECAST_LISTEN_SOCKET_H

#include <stdbool.h>

#define LISTEN_SOCKET_BACKLOG 4096 /* connections that wait to be accepted */

/* Was this process started as a plain CGI program, without a listening socket and with
 * GATEWAY_INTERFACE set? */
bool listen_socket_is_cgi(void);

/* The listening socket that this process was started with: descriptor 3 from systemd (LISTEN_FDS
 * and LISTEN_PID), else descriptor 0 from a web server. -1: none; -EINVAL with a line in the
 * log: systemd passed anything other than one listening stream socket. The parent process owns
 * the socket and its file. */
int listen_socket_handed(void);

/* The same for SCGI: only from systemd, and of this name (LISTEN_FDNAMES). listen_socket_handed()
 * does not count it. */
int listen_socket_handed_scgi(void);

#define LISTEN_SOCKET_SCGI "handoff"

/* Open a listening socket: a unix socket path (with this mode) or HOST:PORT. A stale unix socket
 * is replaced; one in use is not. The descriptor, or -1 with a line in the log that names the
 * option. */
int listen_socket_open(const char *option, const char *where, unsigned mode);

/* Can other hosts connect to `where`? FastCGI has no authentication: a peer names the user of
 * each request. */
bool listen_socket_exposed(const char *where);

/* NULL when `where` is a unix socket path or HOST:PORT, else what is accepted. The second one
 * accepts no HOST:PORT. */
const char *listen_socket_check(const char *where);
const char *listen_socket_check_path(const char *where);

#endif
