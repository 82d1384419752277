/* exposure.h - whether other machines, or any local user, can reach an endpoint. */
#ifndef SSECAST_EXPOSURE_H
#define SSECAST_EXPOSURE_H

#include <stdbool.h>

/* True for a tcp endpoint that is not limited to loopback: all addresses (*), an interface, an
 * address, a host name. A name that cannot be resolved counts as exposed. True for an abstract
 * socket (ipc://@name), which has no permissions. False for other ipc endpoints. */
bool endpoint_exposed(const char *endpoint);

/* The same for HOST:PORT. */
bool host_port_exposed(const char *host_port);

#endif
