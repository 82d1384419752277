/* notify.h - tells the service manager how this program is: systemd's sd_notify protocol, without its library.
 *
 * One datagram to the socket that the environment variable NOTIFY_SOCKET names: a path, or an abstract name written with '@' in
 * front. Where the variable is not set (started by hand, or by a web server) nothing is sent.
 */
#ifndef SSECAST_NOTIFY_H
#define SSECAST_NOTIFY_H

/* Send lines such as "READY=1\nSTATUS=..."; printf's formats. They are cut at 511 bytes. 0, also when nobody asked; or -errno: a program
 * goes on without being heard, so callers may leave it unchecked. Never waits. */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
