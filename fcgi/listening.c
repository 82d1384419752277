#include "listening.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "http/listen_socket.h"
#include "ops/log.h"

/* The process that handed the socket over keeps it open: no request is refused when this worker
 * ends. */
static int take_socket(int fd, int *out)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *out = fd;
    return 0;
}

static int take_handed(struct listening *l)
{
    int fd = listen_socket_handed();
    if (fd == -1)
        log_error("no socket for requests: "
                  "use --listen SOCKET, or start this program from a web server or systemd");
    if (fd < 0)
        return 2;
    return take_socket(fd, &l->fd);
}

/* With --listen descriptor 0 may be anything. A socket from systemd is an error: this worker would
 * not accept on it, and web servers would wait without end. */
static int listen_ourselves(struct listening *l, const struct options *o)
{
    int handed = listen_socket_handed();
    if (handed > STDIN_FILENO)
        log_error("--listen %s: systemd passed a socket, too; remove one of them", o->listen);
    if (handed > STDIN_FILENO || handed == -EINVAL)
        return 2;
    l->fd = listen_socket_open("listen", o->listen, (unsigned)o->listen_mode);
    l->own_path = l->fd >= 0 && strchr(o->listen, '/');
    return l->fd < 0 ? 1 : 0;
}

/* The socket of Apache's hand-off, beside that of FastCGI. 0, or the exit status. */
static int listen_for_handoff(struct listening *l, const struct options *o)
{
    int handed = listen_socket_handed_scgi();
    bool scgi = handed >= 0 || o->handoff_listen;

    if (handed == -EINVAL)
        return 2;
    if (scgi != (o->handoff != NULL)) {
        log_error(
            "%s",
            scgi ? "systemd passed a socket named handoff, which needs --handoff DIR"
                 : "--handoff needs --handoff-listen SOCKET, or a socket of systemd named handoff");
        return 2;
    }
    if (!o->handoff_listen)
        return scgi ? take_socket(handed, &l->scgi_fd) : 0;
    if (handed >= 0) {
        log_error(
            "--handoff-listen %s: systemd passed a socket named handoff, too; remove one of them",
            o->handoff_listen);
        return 2;
    }
    l->scgi_fd = listen_socket_open("handoff-listen", o->handoff_listen, (unsigned)o->listen_mode);
    l->own_scgi_path = l->scgi_fd >= 0;
    return l->scgi_fd < 0 ? 1 : 0;
}

int listening_open(struct listening *l, const struct options *o)
{
    *l = (struct listening){.fd = -1, .scgi_fd = -1};
    l->cgi = !o->listen && listen_socket_is_cgi();
    if (l->cgi)
        return 0;
    int status = o->listen ? listen_ourselves(l, o) : take_handed(l);
    return status ? status : listen_for_handoff(l, o);
}

static void remove_file(bool *own, const char *path)
{
    if (*own)
        unlink(path);
    *own = false;
}

void listening_remove(struct listening *l, const struct options *o)
{
    remove_file(&l->own_path, o->listen);
    remove_file(&l->own_scgi_path, o->handoff_listen);
}

void listening_close(struct listening *l)
{
    if (l->fd >= 0)
        close(l->fd);
    if (l->scgi_fd >= 0)
        close(l->scgi_fd);
    l->fd = l->scgi_fd = -1;
}
