/* endpoint.h - ZeroMQ endpoints as texts: their properties, and which are accepted. Other addresses
 * with a host and a port are judged by the same rules.
 *
 * It looks no name up: a name may have no address.
 */
#ifndef SSECAST_ENDPOINT_H
#define SSECAST_ENDPOINT_H

#include <stdbool.h>
#include <string.h>

#include "base/slice.h"

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

/* NULL when value can be connected to, or bound: tcp://HOST:PORT or ipc://PATH. Else what is
 * accepted. To bind, the host may be *, and the port 0 or * for one that the system chooses. */
const char *endpoint_check_connect(const char *value);
const char *endpoint_check_bind(const char *value);

/* May this process connect to the socket of an ipc endpoint? 0, or -errno: -EACCES without
 * permission, -ENOENT when there is no socket. 0 for other endpoints. It does not connect. */
int endpoint_access(const char *endpoint);

/* Split HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. An absent port has no data; a port is not looked
 * at. The host may be *. False when that is not a valid host. */
bool endpoint_split(struct slice text, struct slice *host, struct slice *port);

/* Digits from 1 to 65535. */
bool endpoint_port_valid(struct slice port);

#endif
