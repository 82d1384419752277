#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Into out, which has room for max + 2 bytes. */
static int file_read_all(int fd, size_t max, char *out, size_t *len)
{
    ssize_t got;
    *len = 0;
    do
        got = read(fd, out + *len, max + 1 - *len);
    while (got > 0 && (*len += (size_t)got) <= max);
    if (got < 0)
        return -errno;
    return got > 0 ? -EFBIG : 0;
}

static int file_read_open(int fd, size_t max, char *out, size_t *len, struct stat *is)
{
    if (is && fstat(fd, is) != 0)
        return -errno;
    return file_read_all(fd, max, out, len);
}

/* A pipe without a writer is at its end: it must not keep us. The descriptor or -errno. */
static int file_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_SETFL, O_RDONLY) == 0)
        return fd;

    int err = -errno;
    close(fd);
    return err;
}

int file_read(const char *path, size_t max, char **out, size_t *len, struct stat *is)
{
    *len = 0;
    *out = calloc(1, max + 2);
    if (!*out)
        return -ENOMEM;

    int fd = file_open(path);
    int err = fd < 0 ? fd : file_read_open(fd, max, *out, len, is);
    if (fd >= 0)
        close(fd);
    if (!err)
        return 0;

    explicit_bzero(*out, *len);
    free(*out);
    *out = NULL;
    *len = 0;
    return err;
}
