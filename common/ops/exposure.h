/* exposure.h - can others than this machine reach an endpoint? */
#ifndef SSECAST_EXPOSURE_H
#define SSECAST_EXPOSURE_H

#include <stdbool.h>

/* True for a tcp endpoint on anything but loopback addresses: every address (*), the name of an interface, an address, a host name. One that
 * cannot be resolved counts as exposed. True for an abstract socket (ipc://@name), which has no permissions. False for other ipc. */
bool endpoint_exposed(const char *endpoint);

/* The same for HOST:PORT. */
bool host_port_exposed(const char *host_port);

bool endpoint_is_tcp(const char *endpoint);

#endif
