/* journal_names.h - which servers and streams of NATS a journal accepts in options.
 *
 * Text only: nothing is resolved or connected to.
 */
#ifndef SSECAST_JOURNAL_NAMES_H
#define SSECAST_JOURNAL_NAMES_H

/* NULL when where names 1 to NATS_LINK_SERVERS_MAX servers ("nats://HOST:PORT,..."),
 * else the accepted form. */
const char *journal_check_servers(const char *where);

/* NULL when name is a valid stream name, else the accepted form. */
const char *journal_check_stream(const char *name);

#endif
