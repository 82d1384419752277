/* endpoint.h - what an endpoint's text says. */
#ifndef SSECAST_ENDPOINT_H
#define SSECAST_ENDPOINT_H

#include <stdbool.h>
#include <string.h>

/* An IPv6 address in brackets: only then is ZMQ_IPV6 set. With it libzmq would look names and interfaces up as IPv6 alone, and show every IPv4
 * address as a mapped one. */
static inline bool endpoint_is_ipv6(const char *endpoint)
{
    return strncmp(endpoint, "tcp://[", 7) == 0;
}

/* A name of the abstract namespace of unix sockets: no file, so no permissions; anybody on the machine may connect. */
static inline bool endpoint_is_abstract(const char *endpoint)
{
    return strncmp(endpoint, "ipc://@", 7) == 0;
}

#endif
