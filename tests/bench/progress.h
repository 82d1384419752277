/* progress.h - how far the readers are, in a file that load and publish map: a publisher that goes
 * flat out stays a bounded number of events ahead of what arrives, so that no server has to throw
 * anything away.
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct progress {
    _Atomic uint64_t received; /* events, by all readers together */
    _Atomic uint64_t readers;  /* that are open */
};

/* Map the file, made when it is not there. NULL on failure. */
static inline struct progress *progress_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    void *map = MAP_FAILED;
    if (ftruncate(fd, sizeof(struct progress)) == 0)
        map = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

#endif
