/* zguard.h - epoll for libzmq, so that a reset connection does not end the process.
 *
 * libzmq stops reading from a peer when too many messages of it wait. It asks epoll for output
 * alone then, or for nothing. epoll reports the reset of the connection all the same. libzmq
 * (4.3.4, 4.3.5) keeps that in mind, and ends the process when a heartbeat of its own is due, or
 * when it reads on and has to answer one. It also reads twice when input and the reset are one
 * event, and may have stopped in between. Here a reset is reported only while libzmq wants to read
 * or write, and as what it wants.
 *
 * A program defines epoll_ctl() and epoll_wait() by these. It must not use them itself, but for
 * adding a descriptor to read from, and has to be linked dynamically with libzmq. Thread-safe.
 */
#ifndef SSECAST_ZGUARD_H
#define SSECAST_ZGUARD_H

#include <stdbool.h>
#include <sys/epoll.h>

/* As epoll_ctl(). */
int zguard_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);

/* As epoll_wait(). */
int zguard_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);

/* Has libzmq stopped reading from this descriptor? Not known, and false, from 2^20 on. */
bool zguard_is_unread(int fd);

#endif
