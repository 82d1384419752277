/* The rules are those of libzmq for what it connects to, and a little narrower: libzmq leaves some
 * mistakes to the first attempt to connect, which only the log mentions. */
#include "ops/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#define TCP "tcp://"
#define IPC "ipc://"
#define IPC_RULE "ipc://PATH with a path of at most 107 bytes"
#define TCP_RULE "tcp://HOST:PORT with a port of 1 to 65535 (an IPv6 address in brackets)"
#define PATH_MAX_BYTES 107u

_Static_assert(PATH_MAX_BYTES == sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
               "the rule has the kernel's limit");

/* --- hosts and ports --- */

bool endpoint_port_valid(struct slice port)
{
    unsigned long value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9' || value > 65535)
            return false;
        value = 10 * value + (unsigned long)(port.data[i] - '0');
    }
    return port.len <= 5 && value >= 1 && value <= 65535;
}

static bool is_host_byte(char c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool is_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!is_host_byte(host.data[i]))
            return false;
    return host.len > 0;
}

/* An IPv6 address, perhaps with a zone (fe80::1%eth0). */
static bool is_ipv6(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    const char *zone = host.len ? memchr(host.data, '%', host.len) : NULL;
    size_t len = zone ? (size_t)(zone - host.data) : host.len;
    if (len >= sizeof text || (zone && !is_name((struct slice){zone + 1, host.len - len - 1})))
        return false;

    memcpy(text, host.data, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool endpoint_split(struct slice text, struct slice *host, struct slice *port)
{
    bool bracket = text.len && text.data[0] == '[';
    const char *begin = text.data + bracket, *end = text.data + text.len;
    const char *stop = text.len ? memchr(begin, bracket ? ']' : ':', text.len - bracket) : NULL;
    if (bracket && !stop)
        return false;

    *host = (struct slice){begin, (size_t)((stop ? stop : end) - begin)};
    const char *rest = stop ? stop + bracket : end;
    *port = rest < end ? (struct slice){rest + 1, (size_t)(end - rest - 1)} : (struct slice){0};
    if (rest < end && *rest != ':')
        return false;
    return bracket ? is_ipv6(*host) : is_name(*host) || slice_equal(*host, slice_of("*"));
}

/* --- endpoints --- */

static const char *check_ipc(const char *path)
{
    size_t len = strlen(path);
    return len && len <= PATH_MAX_BYTES ? NULL : IPC_RULE;
}

/* binds: a wildcard is a host then, and the system may choose the port. */
static const char *endpoint_check(const char *value, bool binds)
{
    struct slice host, port;
    if (strncmp(value, IPC, strlen(IPC)) == 0)
        return check_ipc(value + strlen(IPC));
    if (!endpoint_is_tcp(value))
        return "tcp://HOST:PORT or ipc://PATH";
    if (!endpoint_split(slice_of(value + strlen(TCP)), &host, &port))
        return TCP_RULE;

    bool any_host = slice_equal(host, slice_of("*"));
    bool any_port = slice_equal(port, slice_of("*")) || slice_equal(port, slice_of("0"));
    if (any_host && !binds)
        return TCP_RULE "; * is no host to connect to";
    return endpoint_port_valid(port) || (any_port && binds) ? NULL : TCP_RULE;
}

const char *endpoint_check_connect(const char *value)
{
    return endpoint_check(value, false);
}

const char *endpoint_check_bind(const char *value)
{
    return endpoint_check(value, true);
}

int endpoint_access(const char *endpoint)
{
    if (strncmp(endpoint, IPC, strlen(IPC)) != 0 || endpoint_is_abstract(endpoint))
        return 0;
    return faccessat(AT_FDCWD, endpoint + strlen(IPC), W_OK, AT_EACCESS) == 0 ? 0 : -errno;
}
