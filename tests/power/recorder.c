/* recorder.c - an LD_PRELOAD library that records what a broker does to its store's file, and what
 * it tells publishers meanwhile.
 *
 * The file POWER_LOG gets one record for each operation on the file data.mdb, in the order in which
 * they returned, and for each reply that was handed to ZeroMQ. tests/support/power.py reads it and
 * builds the disk as a power failure may leave it.
 *
 * A record is u8 kind, u64 offset, u32 length, and the bytes (native byte order).
 *   W  a write          P  a write through O_DSYNC: it is on the disk when it returns
 *   S  a sync           T  the file was cut or extended to offset
 *   C  the file was made          Y  a directory was synced (its path)
 *   R  a reply (JSON)
 *
 * POWER_SKIP_SYNC=N plants a fault: from the Nth sync on, none is recorded, as if the program did
 * not call it. While the file named by POWER_FAIL exists, its first byte says what fails: w: writes
 * (ENOSPC), s: syncs (EIO), m: writes through O_DSYNC, which commit (EIO). h: syncs hang, and
 * succeed later.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int log_fd = -1;
static unsigned long syncs;

static void __attribute__((constructor)) open_log(void)
{
    const char *path = getenv("POWER_LOG");

    if (path)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                              0600);
}

/* The whole record in one write, so that those of a child process do not mix with ours. */
static void record(char kind, uint64_t offset, const struct iovec *pieces, int count)
{
    struct iovec all[1026];
    char head[13] = {kind};
    uint32_t len = 0;

    if (log_fd < 0 || count > 1024)
        return;
    for (int i = 0; i < count; i++) {
        all[i + 1] = pieces[i];
        len += (uint32_t)pieces[i].iov_len;
    }
    memcpy(head + 1, &offset, sizeof offset);
    memcpy(head + 9, &len, sizeof len);
    all[0] = (struct iovec){head, sizeof head};
    if (syscall(SYS_writev, log_fd, all, count + 1) < 0)
        abort();
}

static void record_bytes(char kind, uint64_t offset, const void *bytes, size_t len)
{
    record(kind, offset, &(struct iovec){(void *)bytes, len}, 1);
}

static const char *path_of(int fd, char path[4096])
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, 4095);
    path[len > 0 ? len : 0] = '\0';
    return path;
}

static int is_data(int fd)
{
    char path[4096];
    size_t len = strlen(path_of(fd, path));

    return log_fd >= 0 && len > 9 && strcmp(path + len - 9, "/data.mdb") == 0;
}

/* Is this what POWER_FAIL says fails at the moment? */
static int fails(char what)
{
    const char *path = getenv("POWER_FAIL");
    char now = 0;
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0) : -1;

    if (fd < 0)
        return 0;
    if (syscall(SYS_read, fd, &now, 1) < 0)
        now = 0;
    syscall(SYS_close, fd);
    return now == what;
}

/* --- writes --- */

static void record_write(int fd, off_t offset, const struct iovec *pieces, int count,
                         ssize_t written)
{
    struct iovec whole[1024];
    size_t left = written > 0 ? (size_t)written : 0;
    int used = 0;

    for (; used < count && used < 1024 && left; used++) {
        whole[used] = pieces[used];
        if (whole[used].iov_len > left)
            whole[used].iov_len = left;
        left -= whole[used].iov_len;
    }
    if (used)
        record(fcntl(fd, F_GETFL) & O_DSYNC ? 'P' : 'W', (uint64_t)offset, whole, used);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    int data = is_data(fd);

    if (data && fails('w'))
        return errno = ENOSPC, -1;
    if (data && fails('m') && fcntl(fd, F_GETFL) & O_DSYNC)
        return errno = EIO, -1;
    ssize_t written = NEXT(pwritev)(fd, pieces, count, offset);
    if (data)
        record_write(fd, offset, pieces, count, written);
    return written;
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return pwritev(fd, pieces, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwritev(fd, &(struct iovec){(void *)bytes, len}, 1, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    return pwrite(fd, bytes, len, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    int data = is_data(fd);
    off_t offset = data ? lseek(fd, 0, SEEK_CUR) : 0;

    if (data && fails('w'))
        return errno = ENOSPC, -1;
    ssize_t written = NEXT(writev)(fd, pieces, count);
    if (data)
        record_write(fd, offset, pieces, count, written);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (is_data(fd))
        return writev(fd, &(struct iovec){(void *)bytes, len}, 1);
    return NEXT(write)(fd, bytes, len);
}

/* --- syncs --- */

static int synced(int fd, int (*sync)(int))
{
    const char *skip = getenv("POWER_SKIP_SYNC");
    struct stat st;
    char path[4096];

    if (is_data(fd)) {
        if (fails('s'))
            return errno = EIO, -1;
        while (fails('h'))
            usleep(5000);
        int result = sync(fd);
        if (result == 0 && (!skip || ++syncs < strtoul(skip, NULL, 10)))
            record('S', 0, NULL, 0);
        return result;
    }

    int result = sync(fd);
    if (result == 0 && log_fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        path_of(fd, path);
        record_bytes('Y', 0, path, strlen(path));
    }
    return result;
}

int fdatasync(int fd)
{
    return synced(fd, NEXT(fdatasync));
}

int fsync(int fd)
{
    return synced(fd, NEXT(fsync));
}

int ftruncate(int fd, off_t len)
{
    int result = NEXT(ftruncate)(fd, len);

    if (result == 0 && is_data(fd))
        record('T', (uint64_t)len, NULL, 0);
    return result;
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}

/* --- the file's making --- */

static int opened(const char *path, int flags, mode_t mode, int (*next)(const char *, int, ...))
{
    size_t len = strlen(path);
    int data = len > 9 && strcmp(path + len - 9, "/data.mdb") == 0 && access(path, F_OK) != 0;
    int fd = next(path, flags, mode);

    if (fd >= 0 && data)
        record('C', 0, NULL, 0);
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return opened(path, flags, mode, NEXT(open));
}

int open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return opened(path, flags, mode, NEXT(open64));
}

/* --- replies --- */

int zmq_send(void *socket, const void *bytes, size_t len, int flags);

int zmq_send(void *socket, const void *bytes, size_t len, int flags)
{
    if (len > 6 && memcmp(bytes, "{\"ok\":", 6) == 0)
        record_bytes('R', 0, bytes, len);
    return NEXT(zmq_send)(socket, bytes, len, flags);
}
