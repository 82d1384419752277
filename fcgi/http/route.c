#include "http/route.h"

#include <string.h>
#include <strings.h>

#include "base/must.h"
#include "codec/subscription.h"

#define MOUNT_MAX 255u

static struct slice behind(struct slice text, size_t len)
{
    MUST(len <= text.len);
    return (struct slice){text.data + len, text.len - len};
}

/* What stands behind the mount point is there, and names the streams, a service, or nothing. */
static struct route judge(struct slice rest)
{
    if (!rest.len || slice_equal(rest, slice_of("/")))
        return (struct route){.kind = ROUTE_STREAMS};

    struct slice name = behind(rest, 1);
    if (rest.data[0] != '/' || memchr(name.data, '/', name.len))
        return (struct route){.kind = ROUTE_NOTHING};
    return (struct route){.kind = ROUTE_SERVICE, .name = name};
}

static struct route behind_mount(struct slice path, struct slice mount)
{
    if (!slice_begins(path, mount))
        return (struct route){.kind = ROUTE_NOTHING};
    return judge(behind(path, mount.len));
}

/* A mount point as an option gives it; "/" is the root. */
static struct slice mount_of(const char *text)
{
    return strcmp(text, "/") == 0 ? (struct slice){text, 0} : slice_of(text);
}

static struct route find_configured(const struct option_list *mounts, struct slice path)
{
    struct route route = {.kind = ROUTE_NOTHING};
    for (size_t i = 0; i < mounts->count && route.kind == ROUTE_NOTHING; i++)
        route = behind_mount(path, mount_of(mounts->items[i]));
    return route;
}

/* The mount point is one segment, or the root. A % is none of its characters: the web server may
 * have decoded a / from it. */
static struct route find_usual(struct slice path)
{
    if (memchr(path.data, '%', path.len))
        return (struct route){.kind = ROUTE_NOTHING};

    const char *second = path.len > 1 ? memchr(path.data + 1, '/', path.len - 1) : NULL;
    if (second)
        return judge(behind(path, (size_t)(second - path.data)));
    if (path.len == 1)
        return (struct route){.kind = ROUTE_STREAMS};
    return (struct route){.kind = ROUTE_EITHER, .name = behind(path, 1)};
}

bool route_lighttpd(const struct params *params)
{
    const char *name = params_get(params, "SERVER_SOFTWARE");
    return name && strncmp(name, "lighttpd", 8) == 0;
}

/* The mount point that the web server says, where it can be believed; empty: it cannot. */
static struct slice said_mount(const struct route_rules *rules, const struct params *params)
{
    const char *script = params_get(params, "SCRIPT_NAME");
    if (!script || (!rules->cgi && !route_lighttpd(params)))
        return (struct slice){0};
    return slice_of(script);
}

/* A client may name the server as well: http://host/path. */
static struct slice path_of(const char *uri)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(uri, schemes[i], strlen(schemes[i])) == 0) {
            uri += strlen(schemes[i]);
            uri += strcspn(uri, "/?#");
            break;
        }
    return (struct slice){uri, strcspn(uri, "?#")};
}

/* Has it an empty segment, or . or .., which a web server would take out? The last segment may
 * be empty. */
static bool is_untidy(struct slice path)
{
    while (path.len) {
        struct slice rest = behind(path, 1);
        const char *end = memchr(rest.data, '/', rest.len);
        struct slice segment = {rest.data, end ? (size_t)(end - rest.data) : rest.len};
        if ((end && !segment.len) || slice_equal(segment, slice_of(".")) ||
            slice_equal(segment, slice_of("..")))
            return true;
        path = behind(rest, segment.len);
    }
    return false;
}

static bool ends_with_hub(struct slice path)
{
    struct slice end = slice_of(ROUTE_HUB);
    return path.len >= end.len && memcmp(path.data + path.len - end.len, end.data, end.len) == 0;
}

/* Is it the hub's path, as the client wrote it or as the web server maps it? */
static bool is_hub(const struct params *params, struct slice path)
{
    const char *info = params_get(params, "PATH_INFO");
    return ends_with_hub(path) || (info && ends_with_hub(slice_of(info)));
}

/* The list, or what is below it. False when path is neither. */
static bool find_subscriptions(struct slice path, struct route *route)
{
    const char *found = memmem(path.data, path.len, HUB_RESERVED, strlen(HUB_RESERVED));
    if (!found)
        return false;

    size_t before = (size_t)(found - path.data);
    struct slice rest = behind(path, before + strlen(HUB_RESERVED)),
                 hub = {path.data, before + strlen(ROUTE_HUB)};
    *route = (struct route){.kind = ROUTE_SUBSCRIPTIONS, .name = rest, .hub = hub};
    return !rest.len || rest.data[0] == '/';
}

struct route route_find(const struct route_rules *rules, const struct params *params)
{
    const char *uri = params_get(params, "REQUEST_URI");
    if (!uri)
        uri = params_get(params, "SCRIPT_NAME"); /* no web server leaves out both */
    if (!uri)
        return (struct route){.kind = ROUTE_STREAMS};

    struct slice path = path_of(uri), said = said_mount(rules, params);
    if (!path.len || path.data[0] != '/' || is_untidy(path))
        return (struct route){.kind = ROUTE_NOTHING};
    if (rules->mercure && is_hub(params, path))
        return (struct route){.kind = ROUTE_MERCURE};
    struct route list;
    if (rules->mercure && find_subscriptions(path, &list))
        return list;
    if (rules->mounts && rules->mounts->count)
        return find_configured(rules->mounts, path);
    if (said.len > 1 && slice_begins(path, said))
        return behind_mount(path, said);
    return find_usual(path);
}

const char *route_check_mount(const char *value)
{
    size_t len = strlen(value);
    bool root = strcmp(value, "/") == 0;
    bool good = value[0] == '/' && len <= MOUNT_MAX && value[len - 1] != '/' &&
                !strpbrk(value, "?# \t\\") && !is_untidy(slice_of(value));
    return root || good
               ? NULL
               : "a path as browsers ask for it, with a / before it and none behind it: /sse";
}
