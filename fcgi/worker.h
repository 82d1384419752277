/* worker.h - the worker: start and stop in order, its loop, signals.
 *
 * It takes requests from a listening socket: --listen, descriptor 3 from systemd, or descriptor 0
 * from the web server. Or it is a plain CGI program that streams its one request to stdout. SIGTERM
 * and SIGINT end it: streams are closed one after the other over the `drain` time, each with a time
 * of its own to come back. A second signal ends it at once.
 */
#ifndef SSECAST_WORKER_H
#define SSECAST_WORKER_H

/* Run the program. Its exit status: 0, 1 for a failure and 2 for a wrong option (one line on
 * stderr says which). */
int worker_main(int argc, char **argv);

#endif
