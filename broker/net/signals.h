/* signals.h - the signals of the broker as a descriptor.
 *
 * SIGTERM and SIGINT stop in order; a second one ends the program at once. SIGUSR1 toggles debug
 * logging. SIGHUP reloads the keys.
 */
#ifndef SSECAST_SIGNALS_H
#define SSECAST_SIGNALS_H

/* Block the signals (before any thread is started) and return a descriptor that becomes readable
 * when one arrives; or -errno. */
int signals_open(void);

/* The number of the next signal that has arrived; 0: none. */
int signals_next(int fd);

/* Restore the default effect of SIGTERM and SIGINT, and ignore the others. Closes fd. */
void signals_close(int fd);

#endif
