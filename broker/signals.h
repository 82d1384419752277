/* signals.h - SIGTERM and SIGINT as a descriptor; the first asks to stop in order, the second ends the program at
 * once. */
#ifndef SSECAST_SIGNALS_H
#define SSECAST_SIGNALS_H

/* Block the signals (before any thread is started) and return a descriptor that becomes readable when one arrives; or
 * -errno. */
int signals_open(void);

/* Take the one that arrived; from now on they have their default effect. Closes fd. Returns its number. */
int signals_take(int fd);

#endif
