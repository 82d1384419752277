#include "auth/url.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The length of the scheme at the beginning of text, with its colon; 0: there is none. */
static size_t scheme_length(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = lower(text.data[i]);
        bool letter = c >= 'a' && c <= 'z',
             other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (c == ':')
            return i ? i + 1 : 0;
        if (!letter && (!i || !other))
            return 0;
    }
    return 0;
}

bool url_default_port(struct slice scheme, struct slice port)
{
    static const struct {
        const char *scheme, *port;
    } rows[] = {{"http:", "80"}, {"https:", "443"}, {"ws:", "80"}, {"wss:", "443"}, {"ftp:", "21"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_equal(scheme, slice_of(rows[i].scheme)))
            return slice_equal(port, slice_of(rows[i].port));
    return false;
}

/* Where the host at the beginning of rest ends, with its port. */
static size_t host_length(struct slice rest)
{
    size_t len = 0;
    while (len < rest.len && !strchr("/?#", rest.data[len]))
        len++;
    return len;
}

/* The host without a port that the scheme has anyway. */
static struct slice without_port(struct slice scheme, struct slice host)
{
    const char *colon = host.len ? memrchr(host.data, ':', host.len) : NULL;
    if (!colon)
        return host;

    struct slice port = {colon + 1, host.len - (size_t)(colon + 1 - host.data)};
    bool left_out = !port.len || url_default_port(scheme, port);
    return left_out ? (struct slice){host.data, (size_t)(colon - host.data)} : host;
}

static bool url_put(char *out, size_t max, size_t *len, struct slice text, bool lowered)
{
    if (text.len > max - *len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        out[(*len)++] = lowered ? lower(text.data[i]) : text.data[i];
    return true;
}

size_t url_tidy(struct slice text, char *out, size_t max, size_t *scheme)
{
    size_t len = 0, at = *scheme = scheme_length(text);
    if (!at || !url_put(out, max, &len, (struct slice){text.data, at}, true))
        return 0;

    struct slice rest = {text.data + at, text.len - at};
    if (!slice_begins(rest, slice_of("//")))
        return url_put(out, max, &len, rest, false) ? len : 0;

    rest = (struct slice){rest.data + 2, rest.len - 2};
    struct slice host = {rest.data, host_length(rest)};
    struct slice path = {rest.data + host.len, rest.len - host.len};
    host = without_port((struct slice){out, *scheme}, host);
    bool no_path = !path.len || path.data[0] != '/';
    bool fits = url_put(out, max, &len, slice_of("//"), false) &&
                url_put(out, max, &len, host, true) &&
                url_put(out, max, &len, slice_of(no_path ? "/" : ""), false) &&
                url_put(out, max, &len, path, false);
    return fits ? len : 0;
}
