/* Why so thorough: what libzmq binds to is an address, a name of an interface, or a wildcard,
 * and each of them may or may not be loopback. */
#include "ops/exposure.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "ops/endpoint.h"

#define TCP "tcp://"
#define ABSTRACT "ipc://@"
#define HOST_MAX 256

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
               IN_LOOPBACKNET;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(six))
        return six->s6_addr[12] == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(six);
}

static bool has_address(const struct ifaddrs *i)
{
    return i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
}

/* Is name an interface with an address? Then *exposed: one of its addresses is not loopback. */
static bool find_interface(const char *name, bool *exposed)
{
    struct ifaddrs *all;
    bool found = false;
    *exposed = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (strcmp(i->ifa_name, name) == 0 && has_address(i)) {
            found = true;
            *exposed = *exposed || !is_loopback(i->ifa_addr);
        }
    freeifaddrs(all);
    return found;
}

static bool host_exposed(const char *host)
{
    struct addrinfo *all, hints = {.ai_socktype = SOCK_STREAM};
    bool exposed = false;
    if (getaddrinfo(host, NULL, &hints, &all) != 0)
        return true;
    for (const struct addrinfo *a = all; a; a = a->ai_next)
        exposed = exposed || !is_loopback(a->ai_addr);
    freeaddrinfo(all);
    return exposed;
}

bool endpoint_exposed(const char *endpoint)
{
    if (endpoint_is_tcp(endpoint))
        return host_port_exposed(endpoint + strlen(TCP));
    return strncmp(endpoint, ABSTRACT, strlen(ABSTRACT)) == 0;
}

bool host_port_exposed(const char *host_port)
{
    char host[HOST_MAX];
    const char *begin = host_port, *end = strrchr(begin, ':');
    size_t len = end ? (size_t)(end - begin) : strlen(begin);
    if (len > 2 && begin[0] == '[' && begin[len - 1] == ']') {
        begin++;
        len -= 2;
    }
    if (len >= sizeof host)
        return true;
    memcpy(host, begin, len);
    host[len] = '\0';
    bool exposed;
    if (strcmp(host, "*") == 0)
        return true;
    return find_interface(host, &exposed) ? exposed : host_exposed(host);
}
