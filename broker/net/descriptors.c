#include "net/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

#include "base/clock.h"

#define COUNT_US 1000000 /* between two counts at least ... */
#define COUNT_SHARE 100  /* ... and this multiple of the time of one count */

/* 0: unknown. Counting needs a descriptor: when none is free, max are open. */
static uint64_t count_open(uint64_t max)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return errno == EMFILE || errno == ENFILE ? max : 0;

    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

static void descriptors_count(struct descriptors *d, int64_t now_us)
{
    int64_t before = clock_us();
    d->open = count_open(d->max);
    d->opened = 0;
    int64_t pause = (clock_us() - before) * COUNT_SHARE;
    d->count_at = now_us + (pause > COUNT_US ? pause : COUNT_US);
}

void descriptors_init(struct descriptors *d)
{
    struct rlimit files;
    *d = (struct descriptors){0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        getrlimit(RLIMIT_NOFILE, &files);
    d->max = files.rlim_cur;
}

void descriptors_opened(struct descriptors *d, uint64_t count)
{
    d->opened += count;
}

static bool few_left(const struct descriptors *d, uint64_t share)
{
    uint64_t used = d->open + d->opened;
    return d->max && used >= d->max - d->max / share;
}

bool descriptors_look(struct descriptors *d, int64_t now_us)
{
    bool before = d->scarce;
    if (now_us >= d->count_at || (!d->scarce && d->opened && few_left(d, 8)))
        descriptors_count(d, now_us);
    d->scarce = few_left(d, d->scarce ? 4 : 8);
    return d->scarce != before;
}
