#include "net/endpoint_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define IPC "ipc://"

/* The path of an ipc endpoint, or NULL. Abstract names and wildcards cannot be stolen. */
static const char *ipc_path(const char *endpoint)
{
    if (strncmp(endpoint, IPC, strlen(IPC)) != 0)
        return NULL;
    const char *path = endpoint + strlen(IPC);
    return *path == '@' || *path == '*' ? NULL : path;
}

/* libzmq removes what is at the path before it binds. */
static bool is_other_file(const char *path)
{
    struct stat is;
    return stat(path, &is) == 0 && !S_ISSOCK(is.st_mode);
}

static int lock_file(const char *path, int *lock)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    *lock = fd;
    return 0;
}

int endpoint_lock(const char *endpoint, int *lock)
{
    const char *path = ipc_path(endpoint);
    char *name;
    *lock = ENDPOINT_LOCK_NONE;
    if (!path)
        return 0;
    if (is_other_file(path))
        return -ENOTSOCK;
    if (asprintf(&name, "%s.lock", path) < 0)
        return -ENOMEM;
    int err = lock_file(name, lock);
    free(name);
    return err;
}
