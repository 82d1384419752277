/* endpoint.h - properties of a ZeroMQ endpoint, from its text. */
#ifndef SSECAST_ENDPOINT_H
#define SSECAST_ENDPOINT_H

#include <stdbool.h>
#include <string.h>

static inline bool endpoint_is_tcp(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", 6) == 0;
}

/* True for an IPv6 address in brackets. ZMQ_IPV6 is set only then: with it libzmq resolves names
 * and interfaces as IPv6 only, and shows IPv4 addresses as mapped ones. */
static inline bool endpoint_is_ipv6(const char *endpoint)
{
    return strncmp(endpoint, "tcp://[", 7) == 0;
}

/* True for a name in the abstract namespace of unix sockets. It has no file and so no
 * permissions: any local process may connect. */
static inline bool endpoint_is_abstract(const char *endpoint)
{
    return strncmp(endpoint, "ipc://@", 7) == 0;
}

#endif
