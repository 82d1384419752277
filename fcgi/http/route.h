/* route.h - what a request's path names: the mount point of the streams, a service behind it, or
 * nothing.
 *
 * The path is that of REQUEST_URI as the client wrote it, byte by byte, behind the server's name if
 * the client sends that too. Web servers tidy paths up in ways of their own, and a path that would
 * need it names nothing here. A rule of the web server for MOUNT/SERVICE then covers every way to
 * reach that service.
 *
 *     .../.well-known/mercure  the hub, whatever is before it, where it is configured
 *     .../.well-known/mercure/subscriptions, and below: the hub's list
 *     MOUNT, MOUNT/        the streams
 *     MOUNT/NAME           the service of that name; one segment
 *     anything else        nothing
 *
 * MOUNT is one of the option mount. Without that option it is what the web server says
 * (SCRIPT_NAME, where that is known to be right: behind lighttpd, and in a CGI program), else one
 * segment without %, or none: /sse and /.
 */
#ifndef SSECAST_ROUTE_H
#define SSECAST_ROUTE_H

#include "http/params.h"
#include "ops/option.h"

#define ROUTE_HUB "/.well-known/mercure"

struct route_rules {
    const struct option_list *mounts; /* NULL or empty: not said */
    bool mercure;                     /* paths that end with ROUTE_HUB are the hub's */
    bool cgi;                         /* this is a CGI program: SCRIPT_NAME is the mount point */
};

enum route_kind {
    ROUTE_NOTHING,
    ROUTE_STREAMS,
    ROUTE_SERVICE,       /* if there is one of that name; else nothing */
    ROUTE_MERCURE,       /* the hub */
    ROUTE_SUBSCRIPTIONS, /* the hub's list of subscriptions */
    ROUTE_EITHER,        /* a service if there is one of that name; else the streams */
};

struct route {
    enum route_kind kind;
    struct slice name; /* ROUTE_SERVICE, ROUTE_EITHER: of the service; ROUTE_SUBSCRIPTIONS: the path
                           behind it; into params */
    struct slice hub;  /* ROUTE_SUBSCRIPTIONS: the path of the hub; into params */
};

struct route route_find(const struct route_rules *rules, const struct params *params);

/* Is lighttpd the web server? */
bool route_lighttpd(const struct params *params);

/* NULL when value is a mount point, else what is accepted. */
const char *route_check_mount(const char *value);

#endif
