/* listening.h - the sockets on which requests arrive: our own (--listen, --handoff-listen), or
 * handed over by systemd or a web server; or none, in a CGI program.
 *
 * It does not accept: http/accept.c does.
 *
 * Ownership: the caller that takes a descriptor over sets it to -1.
 */
#ifndef SSECAST_LISTENING_H
#define SSECAST_LISTENING_H

#include "options.h"

struct listening {
    int fd;        /* for FastCGI; -1: none */
    int scgi_fd;   /* for Apache's hand-off; -1: none */
    bool own_path; /* the unix socket's file is ours to remove */
    bool own_scgi_path;
    bool cgi; /* the program's one request is in its environment */
};

/* Find or open them. 0, or the exit status with a line in the log: some of them may be open
 * then. */
int listening_open(struct listening *l, const struct options *o);

/* Remove the files of our own sockets, so that no web server connects any more. */
void listening_remove(struct listening *l, const struct options *o);

/* Close the sockets that no acceptor has taken over. */
void listening_close(struct listening *l);

#endif
