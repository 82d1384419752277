#include "http/listen_socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/folder.h"
#include "ops/endpoint.h"
#include "ops/exposure.h"

#define LOG_SUBSYSTEM "http"
#include "ops/log.h"

#define PASSED_FD 3 /* where systemd puts the first (sd_listen_fds) */

/* --- sockets that were handed over --- */

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* How many descriptors systemd passed to this very process (and not to one that started it). */
static long passed_descriptors(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    return pid && count && strtol(pid, NULL, 10) == getpid() ? strtol(count, NULL, 10) : 0;
}

/* Is this the name of the passed descriptor number i, from 0 on? */
static bool passed_as(long i, const char *name)
{
    const char *names = getenv("LISTEN_FDNAMES");
    while (names && i--) {
        names = strchr(names, ':');
        names = names ? names + 1 : NULL;
    }
    size_t len = strlen(name);
    return names && strncmp(names, name, len) == 0 && (!names[len] || names[len] == ':');
}

enum passed_kind { PASSED_FASTCGI, PASSED_SCGI };

/* The passed socket of this kind. -1: none; -EINVAL: more than one, or not a listening stream
 * socket. */
static int find_passed(long passed, enum passed_kind kind)
{
    int found = -1;
    for (long i = 0; i < passed; i++) {
        int fd = PASSED_FD + (int)i;
        if (passed_as(i, LISTEN_SOCKET_SCGI) != (kind == PASSED_SCGI))
            continue;
        if (found >= 0 || !is_listening(fd))
            return -EINVAL;
        found = fd;
    }
    return found;
}

int listen_socket_handed(void)
{
    long passed = passed_descriptors();
    int fd = find_passed(passed, PASSED_FASTCGI);
    if (!passed)
        return is_listening(STDIN_FILENO) ? STDIN_FILENO : -1;
    if (fd >= 0)
        return fd;
    log_error(
        "LISTEN_FDS=%ld: a worker takes one listening stream socket from systemd, and one named %s",
        passed, LISTEN_SOCKET_SCGI);
    return -EINVAL;
}

int listen_socket_handed_scgi(void)
{
    int fd = find_passed(passed_descriptors(), PASSED_SCGI);
    if (fd == -EINVAL)
        log_error("LISTEN_FDNAMES: a worker takes one listening stream socket named %s",
                  LISTEN_SOCKET_SCGI);
    return fd;
}

bool listen_socket_is_cgi(void)
{
    return !passed_descriptors() && !is_listening(STDIN_FILENO) && getenv("GATEWAY_INTERFACE");
}

/* --- sockets of our own --- */

static bool is_path(const char *where)
{
    return strchr(where, '/') != NULL;
}

const char *listen_socket_check(const char *where)
{
    struct slice host, port;
    if (where[0] == '@')
        return "a unix socket path (with a /) or HOST:PORT; an abstract socket has no permissions";
    if (strstr(where, "://") || strncmp(where, "unix:", 5) == 0 || strncmp(where, "unix/", 5) == 0)
        return "a unix socket path (with a /) or HOST:PORT, without unix: or tcp:// before it";
    if (is_path(where))
        return strlen(where) < sizeof(((struct sockaddr_un *)0)->sun_path)
                   ? NULL
                   : "a unix socket path of at most 107 bytes";
    if (!endpoint_split(slice_of(where), &host, &port) || *host.data == '*' || !port.data)
        return "a unix socket path (with a /) or HOST:PORT (an IPv6 address in brackets)";
    return endpoint_port_valid(port)
               ? NULL
               : "a unix socket path (with a /) or HOST:PORT, with a port of 1 to 65535";
}

const char *listen_socket_check_path(const char *where)
{
    return is_path(where) && where[0] != '@' ? listen_socket_check(where)
                                             : "a unix socket path (with a /)";
}

static int fail(int fd, const char *option, const char *where, const char *what)
{
    log_error("--%s %s: %s: %s", option, where, what, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Is there a file that is no socket? To connect() it looks like a socket without a listener. */
static bool is_other_file(const char *path)
{
    struct stat is;
    return stat(path, &is) == 0 && !S_ISSOCK(is.st_mode);
}

/* Is there a socket file without a listener? */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;

    bool stale = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                 errno == ECONNREFUSED;
    close(fd);
    return stale;
}

/* The file has this mode from the moment it appears. 0, or -1 with errno. */
static int bind_unix(int fd, const struct sockaddr_un *address, unsigned mode)
{
    mode_t mask = umask(0777 & ~mode);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof *address);
    umask(mask);
    return bound;
}

static int listen_unix(const char *option, const char *path, unsigned mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memccpy(address.sun_path, path, '\0', sizeof address.sun_path - 1);
    if (is_other_file(path)) {
        log_error("--%s %s: this file is no socket; it was left as it is", option, path);
        return -1;
    }
    if (is_stale(&address))
        unlink(path);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(fd, option, path, "socket");
    if (bind_unix(fd, &address, mode) != 0) {
        char why[FOLDER_WHY_MAX];
        if (errno == EADDRINUSE)
            return fail(fd, option, path, "another process listens on this socket");
        log_error("--%s %s: %s", option, path, folder_problem(path, errno, why));
        close(fd);
        return -1;
    }
    if (listen(fd, LISTEN_SOCKET_BACKLOG) != 0)
        return fail(fd, option, path, "listen");
    return fd;
}

static int listen_tcp(const char *option, const char *where)
{
    char host[256] = "";
    const char *colon = strrchr(where, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    size_t len = (size_t)(colon - where);
    bool bracketed = where[0] == '[' && len > 2 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len), where + bracketed);

    int err = getaddrinfo(host, colon + 1, &hints, &found);
    if (err) {
        log_error("--%s %s: %s", option, where, gai_strerror(err));
        return -1;
    }

    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
              listen(fd, LISTEN_SOCKET_BACKLOG) == 0;
    freeaddrinfo(found);
    return ok ? fd : fail(fd, option, where, "cannot listen");
}

bool listen_socket_exposed(const char *where)
{
    return !is_path(where) && host_port_exposed(where);
}

int listen_socket_open(const char *option, const char *where, unsigned mode)
{
    return is_path(where) ? listen_unix(option, where, mode) : listen_tcp(option, where);
}
