/* Addresses are compared as IPv6: a web server that listens on both reports an IPv4 client as
 * ::ffff:a.b.c.d, or as a.b.c.d, and means the same. But a range of IPv6 addresses never holds
 * IPv4 ones: ::/0 is not every client. */
#include "service/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/must.h"
#include "ops/log.h"

#define MAPPED_BITS 96 /* of ::ffff:0:0/96, which IPv4 addresses are put into */

struct ip_address {
    unsigned char bytes[16];
};

struct range {
    struct ip_address first;
    unsigned bits; /* that are the same in all of it */
};

struct monitor {
    struct range *ranges;
    size_t count;
    const struct option_list *hosts;
    const char *token_file; /* NULL: none */
    size_t token_len;       /* 0: there is none */
    char token[MONITOR_TOKEN_MAX];
};

/* --- addresses --- */

static const unsigned char mapped[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_mapped(const struct ip_address *a)
{
    return memcmp(a->bytes, mapped, sizeof mapped) == 0;
}

/* The first len characters of text; without what may follow a link-local one (%eth0). */
static bool read_address(const char *text, size_t len, struct ip_address *out, bool *dotted)
{
    char copy[INET6_ADDRSTRLEN];
    const char *scope = memchr(text, '%', len);
    if (scope)
        len = (size_t)(scope - text);
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *dotted = !strchr(copy, ':');
    if (!*dotted)
        return inet_pton(AF_INET6, copy, out->bytes) == 1;
    memcpy(out->bytes, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, out->bytes + sizeof mapped) == 1;
}

/* One to three digits, up to max. */
static bool read_bits(const char *text, unsigned max, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 3 || text[digits])
        return false;
    *out = (unsigned)atoi(text);
    return *out <= max;
}

static bool read_range(const char *text, struct range *out)
{
    size_t len = strcspn(text, "/");
    bool dotted;
    if (memchr(text, '%', len) || !read_address(text, len, &out->first, &dotted))
        return false;
    out->bits = 128;
    if (!text[len])
        return true;
    unsigned before = dotted ? MAPPED_BITS : 0;
    if (!read_bits(text + len + 1, 128 - before, &out->bits))
        return false;
    out->bits += before;
    return true;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (!rest || !((a[whole] ^ b[whole]) >> (8 - rest)));
}

static bool in_range(const struct range *r, const struct ip_address *a)
{
    return is_mapped(&r->first) == is_mapped(a) && same_bits(r->first.bytes, a->bytes, r->bits);
}

static bool is_none(const char *item)
{
    return strcmp(item, "none") == 0;
}

const char *monitor_check_from(const char *value)
{
    struct range range;
    return is_none(value) || read_range(value, &range)
               ? NULL
               : "an IPv4 or IPv6 address, a range of them (192.0.2.0/24, 2001:db8::/32), or none";
}

static bool from_there(const struct monitor *m, const char *text)
{
    struct ip_address address;
    bool dotted;
    if (!text || !read_address(text, strlen(text), &address, &dotted))
        return false;
    for (size_t i = 0; i < m->count; i++)
        if (in_range(&m->ranges[i], &address))
            return true;
    return false;
}

/* --- host names --- */

#define HOST_MAX 253u

const char *monitor_check_host(const char *value)
{
    static const char characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    size_t len = strlen(value);
    bool good = len && len <= HOST_MAX && strspn(value, characters) == len;
    return good ? NULL : "a host name, without a port: monitor.example.org";
}

/* The header's value without its port, and without the brackets of an IPv6 address. */
static struct slice host_of(const char *header)
{
    const char *bracket = *header == '[' ? strchr(header, ']') : NULL;
    if (bracket && (bracket[1] == ':' || !bracket[1]))
        return (struct slice){header + 1, (size_t)(bracket - header) - 1};
    return (struct slice){header, strcspn(header, ":")};
}

static bool is_host(struct slice host, const char *name)
{
    return host.len == strlen(name) && strncasecmp(host.data, name, host.len) == 0;
}

/* A name that no page can have made up. A request without one is not a page's: browsers send it. */
static bool host_known(const struct monitor *m, const char *header)
{
    struct ip_address address;
    bool dotted;
    if (!header || !*header)
        return true;
    struct slice host = host_of(header);
    if (is_host(host, "localhost") || read_address(host.data, host.len, &address, &dotted))
        return true;
    for (size_t i = 0; i < m->hosts->count; i++)
        if (is_host(host, m->hosts->items[i]))
            return true;
    return false;
}

/* --- the token --- */

#define PASSWORD_MAX (MONITOR_TOKEN_MAX + 260u) /* with a name before it */

/* What stands behind the scheme's name in the header; NULL: it is of another scheme. */
static const char *behind(const char *header, const char *scheme)
{
    size_t len = strlen(scheme);
    return strncasecmp(header, scheme, len) == 0 && header[len] == ' '
               ? header + len + strspn(header + len, " ")
               : NULL;
}

/* The token that the request brings, as it is or as a password; "" when it brings none.
 * password: room for one. */
static const char *token_brought(const struct params *params, char password[PASSWORD_MAX])
{
    const char *header = params_get(params, "HTTP_AUTHORIZATION");
    const char *token = header ? behind(header, "Bearer") : NULL,
               *pair = header ? behind(header, "Basic") : NULL;
    if (token || !pair)
        return token ? token : "";

    size_t len = base64_decode(BASE64_PLAIN, slice_of(pair), password, PASSWORD_MAX - 1);
    password[len] = '\0';
    const char *colon = strchr(password, ':');
    return colon ? colon + 1 : "";
}

/* Looks at every character of what was brought, whichever is wrong. */
static bool is_token(const struct monitor *m, const char *brought)
{
    size_t len = strlen(brought), different = len ^ m->token_len;
    for (size_t i = 0; m->token_len && i < len; i++)
        different |= (unsigned char)(brought[i] ^ m->token[i % m->token_len]);
    return m->token_len && !different;
}

struct monitor_token {
    char text[MONITOR_TOKEN_MAX + 3];
    size_t len;
};

/* NULL, or what is wrong with the file. */
static const char *read_token(FILE *file, struct monitor_token *out)
{
    struct stat about;
    char *text = out->text;
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode))
        return "it is not a regular file";
    if (about.st_mode & S_IRWXO)
        return "every user of this host may use it; remove that permission (chmod o= FILE)";
    size_t len = fread(text, 1, sizeof out->text, file);
    if (ferror(file))
        return "it cannot be read";
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return "it must hold one line without spaces, in ASCII";
    if (len < MONITOR_TOKEN_MIN || len > MONITOR_TOKEN_MAX)
        return "a token has 16 to 512 characters";
    out->len = len;
    return NULL;
}

/* NULL, or what is wrong. A file whose opening would block is no regular one. */
static const char *open_token(const char *path, struct monitor_token *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file)
        return strerror(errno);

    const char *wrong = read_token(file, out);
    fclose(file);
    return wrong;
}

int monitor_check_token(const char *path, char why[OPTION_WHY_MAX])
{
    struct monitor_token token = {0};
    const char *wrong = open_token(path, &token);
    explicit_bzero(&token, sizeof token);
    if (!wrong)
        return 0;
    snprintf(why, OPTION_WHY_MAX, "--monitor-token-file %.200s: %s", path, wrong);
    return -EINVAL;
}

static bool load_token(struct monitor *m)
{
    struct monitor_token token = {0};
    const char *wrong = open_token(m->token_file, &token);
    if (wrong) {
        log_each(LOG_ERROR, "--monitor-token-file %s: %s%s", m->token_file, wrong,
                 m->token_len ? "; keeping the previous token" : "");
        return false;
    }

    MUST(token.len <= sizeof m->token);
    memcpy(m->token, token.text, token.len);
    m->token_len = token.len;
    explicit_bzero(&token, sizeof token);
    return true;
}

/* --- life --- */

struct monitor *monitor_new(const struct option_list *from, const struct option_list *hosts,
                            const char *token_file)
{
    struct monitor *m = calloc(1, sizeof *m);
    if (m)
        m->ranges = calloc(from->count + 1, sizeof *m->ranges);
    if (!m || !m->ranges) {
        log_error("cannot start: out of memory");
        monitor_free(&m);
        return NULL;
    }
    for (size_t i = 0; i < from->count; i++)
        if (!is_none(from->items[i]) && read_range(from->items[i], &m->ranges[m->count]))
            m->count++;
    m->hosts = hosts;
    m->token_file = token_file;
    if (token_file && !load_token(m))
        monitor_free(&m);
    return m;
}

void monitor_reload(struct monitor *m)
{
    if (m->token_file && load_token(m))
        log_each(LOG_INFO, "monitor-token-file %s: reloaded", m->token_file);
}

void monitor_free(struct monitor **m)
{
    if (!*m)
        return;
    explicit_bzero((*m)->token, sizeof(*m)->token);
    free((*m)->ranges);
    free(*m);
    *m = NULL;
}

static bool brings_token(const struct params *params)
{
    char password[PASSWORD_MAX];
    bool brings = *token_brought(params, password);
    explicit_bzero(password, sizeof password);
    return brings;
}

enum monitor_verdict monitor_judge(const struct monitor *m, const struct params *params,
                                   bool guarded)
{
    if (!m)
        return MONITOR_HIDDEN;

    bool near = from_there(m, params_get(params, "REMOTE_ADDR"));
    if (near && (!guarded || host_known(m, params_get(params, "HTTP_HOST"))))
        return MONITOR_SHOWN;
    if (m->token_len && brings_token(params))
        return MONITOR_TOKEN;
    return near ? MONITOR_HOST : MONITOR_HIDDEN;
}

bool monitor_token_good(const struct monitor *m, const struct params *params)
{
    char password[PASSWORD_MAX];
    bool good = is_token(m, token_brought(params, password));
    explicit_bzero(password, sizeof password);
    return good;
}

bool monitor_asks(const struct monitor *m)
{
    return m && m->token_len;
}
