#include "ops/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 512

/* The address of NOTIFY_SOCKET's value. Its length, or 0 when it is none. */
static socklen_t parse_address(const char *where, struct sockaddr_un *address)
{
    size_t len = strlen(where);
    if ((where[0] != '/' && where[0] != '@') || len < 2 || len >= sizeof address->sun_path)
        return 0;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, where, len);
    if (where[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int send_to(const struct sockaddr_un *address, socklen_t address_len, const char *message)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent = sendto(fd, message, strlen(message), MSG_NOSIGNAL,
                          (const struct sockaddr *)address, address_len);
    int err = sent < 0 ? -errno : 0;
    close(fd);
    return err;
}

int notify_send(const char *format, ...)
{
    struct sockaddr_un address = {0};
    char message[MESSAGE_MAX];
    const char *where = getenv("NOTIFY_SOCKET");
    if (!where || !*where)
        return 0;
    socklen_t len = parse_address(where, &address);
    if (!len)
        return -EINVAL;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return send_to(&address, len, message);
}
