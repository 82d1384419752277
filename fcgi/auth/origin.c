/* Browsers serialize an origin in one way only: scheme and host in lower case, a host of ASCII,
 * no port that is the scheme's own, and nothing behind it. A pattern in any other spelling would
 * never match, so it is refused. */
#include "auth/origin.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATTERN_MAX 255
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define HOST_BYTES LOWER DIGITS "-._"
#define ACCEPTED                                                                                   \
    "https://example.org, with :PORT where it is not the scheme's own, "                           \
    "https://*.example.org for all subdomains, or *"

static const struct {
    const char *scheme, *port;
} own_ports[] = {{"http", "80"}, {"https", "443"}, {"ftp", "21"}, {"ws", "80"}, {"wss", "443"}};

/* Where the host begins; NULL: there is no scheme. */
static const char *host_of(const char *origin)
{
    const char *end = strstr(origin, "://");
    return end ? end + 3 : NULL;
}

static bool scheme_valid(const char *pattern, size_t len)
{
    return len > 0 && strchr(LOWER, pattern[0]) && strspn(pattern, LOWER DIGITS "+-.") == len;
}

/* Bytes of the host, which may be an IPv6 address in brackets. */
static size_t host_length(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : NULL;
    return end ? (size_t)(end + 1 - host) : strcspn(host, ":");
}

/* An address has one spelling too. */
static bool address_valid(int family, const char *text, size_t len)
{
    char given[INET6_ADDRSTRLEN] = "", canonical[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    if (len >= sizeof given)
        return false;

    memcpy(given, text, len);
    return inet_pton(family, given, address) == 1 &&
           inet_ntop(family, address, canonical, sizeof canonical) && strcmp(given, canonical) == 0;
}

/* Browsers read a host whose last label is a number as an IPv4 address. */
static bool ends_in_number(const char *host, size_t len)
{
    size_t begin = len;
    while (begin > 0 && host[begin - 1] != '.')
        begin--;

    const char *label = host + begin;
    return strspn(label, DIGITS) == len - begin || strncmp(label, "0x", 2) == 0;
}

static bool labels_valid(const char *host, size_t len)
{
    for (size_t i = 0, label = 0; i <= len; i++) {
        bool end = i == len || host[i] == '.';
        if (end && !label)
            return false;
        label = end ? 0 : label + 1;
    }
    return true;
}

static bool host_valid(const char *host, size_t len)
{
    if (*host == '[')
        return len > 2 && !memchr(host, '.', len) && address_valid(AF_INET6, host + 1, len - 2);
    if (!len || strspn(host, HOST_BYTES) < len || !labels_valid(host, len))
        return false;
    return !ends_in_number(host, len) || address_valid(AF_INET, host, len);
}

static bool port_valid(const char *port)
{
    size_t len = strspn(port, DIGITS);
    return len > 0 && len <= 5 && !port[len] && port[0] != '0' && atoi(port) <= 65535;
}

static bool is_own_port(const char *pattern, size_t scheme_len, const char *port)
{
    for (size_t i = 0; i < sizeof own_ports / sizeof own_ports[0]; i++) {
        const char *scheme = own_ports[i].scheme;
        if (strlen(scheme) == scheme_len && memcmp(scheme, pattern, scheme_len) == 0)
            return strcmp(own_ports[i].port, port) == 0;
    }
    return false;
}

/* The rule that the rest of an origin, from its host on, breaks. NULL: it breaks none. */
static const char *find_surplus(const char *host)
{
    if (strpbrk(host, "/?#"))
        return "an origin without a path, not even a / at its end: " ACCEPTED;
    if (strchr(host, '@'))
        return "an origin without a user: " ACCEPTED;
    if (strpbrk(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return "in lower case, as browsers send it: " ACCEPTED;
    for (const char *at = host; *at; at++)
        if ((unsigned char)*at > 126)
            return "in ASCII, as browsers send it (xn--...): " ACCEPTED;
    return NULL;
}

static const char *check_parts(const char *pattern, const char *host)
{
    size_t scheme_len = (size_t)(host - pattern) - 3;
    bool subdomains = strncmp(host, "*.", 2) == 0;
    if (subdomains)
        host += 2;

    size_t len = host_length(host);
    if (!scheme_valid(pattern, scheme_len) || !host_valid(host, len))
        return ACCEPTED;
    if (subdomains && (*host == '[' || ends_in_number(host, len)))
        return "*. before a name, not before an address: " ACCEPTED;
    if (!host[len])
        return NULL;
    if (host[len] != ':' || !port_valid(host + len + 1))
        return ACCEPTED;
    if (is_own_port(pattern, scheme_len, host + len + 1))
        return "without the scheme's own port, which browsers leave out: " ACCEPTED;
    return NULL;
}

const char *origin_check(const char *pattern)
{
    const char *host = host_of(pattern);
    if (strcmp(pattern, "*") == 0)
        return NULL;
    if (strcmp(pattern, "null") == 0)
        return "an origin: any page in a sandbox has null, of any author; " ACCEPTED;
    if (!host)
        return "an origin with its scheme: " ACCEPTED;
    if (strlen(pattern) > PATTERN_MAX)
        return "at most 255 bytes: " ACCEPTED;

    const char *surplus = find_surplus(host);
    return surplus ? surplus : check_parts(pattern, host);
}

/* What stands for the `*`: labels, and nothing that could end a host or begin another one. */
static bool is_subdomain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZ", text[i]))
            return false;
    return labels_valid(text, len);
}

bool origin_matches(const char *pattern, const char *origin)
{
    const char *host = host_of(pattern);
    if (!host || strncmp(host, "*.", 2) != 0)
        return strcasecmp(pattern, origin) == 0;

    size_t scheme_len = (size_t)(host - pattern), suffix_len = strlen(host + 1),
           len = strlen(origin);
    if (len <= scheme_len + suffix_len || strncasecmp(pattern, origin, scheme_len) != 0)
        return false;

    size_t subdomain_len = len - scheme_len - suffix_len;
    return strcasecmp(origin + scheme_len + subdomain_len, host + 1) == 0 &&
           is_subdomain(origin + scheme_len, subdomain_len);
}
