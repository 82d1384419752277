/* notify.h - reports the program's state to the service manager: the sd_notify protocol, without
 * libsystemd.
 *
 * One datagram to the socket that the environment variable NOTIFY_SOCKET names: a path, or an
 * abstract name written with '@' in front. Where the variable is not set (started by hand, or by a
 * web server) nothing is sent.
 */
#ifndef SSECAST_NOTIFY_H
#define SSECAST_NOTIFY_H

/* Send lines such as "READY=1\nSTATUS=..."; printf's formats. Cut at 511 bytes. Never waits. 0,
 * also when NOTIFY_SOCKET is not set, or -errno. Callers may ignore a failure. */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
