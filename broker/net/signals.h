/* signals.h - the signals that the broker knows, as a descriptor: SIGTERM and SIGINT ask to stop in order, SIGUSR1 changes the log's
 * level, SIGHUP has the keys read anew. While it stops, the second SIGTERM or SIGINT ends the program at once. */
#ifndef SSECAST_SIGNALS_H
#define SSECAST_SIGNALS_H

/* Block the signals (before any thread is started) and return a descriptor that becomes readable when one arrives; or
 * -errno. */
int signals_open(void);

/* The number of the next one that arrived; 0: none is left. */
int signals_next(int fd);

/* From now on they have their default effect. Closes fd. */
void signals_close(int fd);

#endif
