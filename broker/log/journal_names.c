#include "log/journal_names.h"

#include <ctype.h>
#include <string.h>

#include "log/nats_link.h"
#include "ops/endpoint.h"

#define STREAM_NAME_MAX 64u /* bytes */

static size_t scheme_len(const char *one)
{
    return strncmp(one, "nats://", 7) == 0 ? 7 : strncmp(one, "tls://", 6) == 0 ? 6 : 0;
}

/* A server URL: a host, perhaps with a scheme and a user before it, and a port behind it. */
static bool is_server(const char *one, size_t len)
{
    size_t scheme = scheme_len(one);
    struct slice rest = {one + scheme, len - scheme}, host, port;
    if (len <= scheme || memchr(rest.data, ' ', rest.len) || memchr(rest.data, '/', rest.len))
        return false;

    const char *user_end = memrchr(rest.data, '@', rest.len);
    size_t user = user_end ? (size_t)(user_end + 1 - rest.data) : 0;
    if (!endpoint_split((struct slice){rest.data + user, rest.len - user}, &host, &port) ||
        *host.data == '*')
        return false;
    return !port.data || endpoint_port_valid(port);
}

const char *journal_check_servers(const char *where)
{
    static const char *const accepted =
        "nats://HOST:PORT or tls://HOST:PORT, with commas between several";
    size_t count = 0;
    if (!scheme_len(where))
        return accepted;

    for (const char *at = where; *at;) {
        size_t len = strcspn(at, ",");
        if (!is_server(at, len) || ++count > NATS_LINK_SERVERS_MAX)
            return accepted;
        at += len + (at[len] == ',');
    }
    return NULL;
}

const char *journal_check_stream(const char *name)
{
    static const char *const accepted = "letters, digits, - and _, at most 64";
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return accepted;
    return *name && strlen(name) <= STREAM_NAME_MAX ? NULL : accepted;
}
