/* The file is mapped into memory, so it is up to date when the process is killed. It need not
 * survive a power failure: each process draws a random epoch for its own ids, so an old table can
 * only fail to find a message. */
#include "mqtt/packet_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/must.h"

#define PACKETS 65536u
#define MAGIC 0x3146546743737373u /* changes with the layout of the file */

/* A message that is not acknowledged; number 0: none. */
struct packet_entry {
    uint64_t content, epoch, number;
};

struct packet_table {
    uint64_t magic;
    struct packet_entry entries[PACKETS];
};

struct packet_ids {
    int fd; /* -1: none */
    struct packet_table *table;
    uint64_t epoch, number;
};

static int fail(char why[PACKET_IDS_WHY], const char *file, int err)
{
    snprintf(why, PACKET_IDS_WHY, "%.150s: %s", file ? file : "memory",
             err == -EWOULDBLOCK ? "another bridge uses it" : strerror(-err));
    return err;
}

static int open_file(struct packet_ids *f, const char *file)
{
    struct stat info;
    f->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0)
        return -errno;
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 || fstat(f->fd, &info) != 0)
        return -errno;
    if (info.st_size == (off_t)sizeof *f->table)
        return 0;
    if (ftruncate(f->fd, 0) != 0)
        return -errno;

    /* A full disk must not be found by a write to memory. */
    int err = posix_fallocate(f->fd, 0, (off_t)sizeof *f->table);
    return -err;
}

static int map(struct packet_ids *f)
{
    int flags = f->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *table = mmap(NULL, sizeof *f->table, PROT_READ | PROT_WRITE, flags, f->fd, 0);
    if (table == MAP_FAILED)
        return -errno;

    f->table = table;
    if (f->table->magic != MAGIC)
        packet_ids_clear(f);
    f->table->magic = MAGIC;
    return 0;
}

int packet_ids_open(struct packet_ids **out, const char *file, char why[PACKET_IDS_WHY])
{
    struct packet_ids *f = *out = calloc(1, sizeof **out);
    if (!f)
        return fail(why, file, -ENOMEM);

    f->fd = -1;
    int err = file ? open_file(f, file) : 0;
    if (!err)
        err = map(f);
    if (!err && getrandom(&f->epoch, sizeof f->epoch, 0) != (ssize_t)sizeof f->epoch)
        err = -EIO;
    if (!err)
        return 0;
    packet_ids_close(out);
    return fail(why, file, err);
}

void packet_ids_close(struct packet_ids **f)
{
    if (!*f)
        return;
    if ((*f)->table)
        munmap((*f)->table, sizeof *(*f)->table);
    if ((*f)->fd >= 0)
        close((*f)->fd);
    free(*f);
    *f = NULL;
}

static uint64_t content_of(struct slice topic, struct slice payload)
{
    struct hash_parts parts;
    char hex[HASH_PARTS_HEX];
    hash_parts_begin(&parts);
    hash_parts_add(&parts, topic);
    hash_parts_add(&parts, payload);
    hash_parts_end(&parts, hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

bool packet_ids_get(struct packet_ids *f, uint16_t packet, struct slice topic, struct slice payload,
                    char id[PACKET_IDS_ID])
{
    const uint64_t content = content_of(topic, payload);
    struct packet_entry entry = f->table->entries[packet];
    bool known = packet && entry.number && entry.content == content;
    if (!known)
        entry = (struct packet_entry){content, f->epoch, ++f->number};
    if (packet)
        f->table->entries[packet] = entry;
    MUST(entry.number);
    snprintf(id, PACKET_IDS_ID, "mqtt-%016llx-%llu", (unsigned long long)entry.epoch,
             (unsigned long long)entry.number);
    return known;
}

void packet_ids_remove(struct packet_ids *f, uint16_t packet)
{
    f->table->entries[packet] = (struct packet_entry){0};
}

void packet_ids_clear(struct packet_ids *f)
{
    memset(f->table->entries, 0, sizeof f->table->entries);
}
