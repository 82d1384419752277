#include "http/handoff_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/must.h"

#define LOG_SUBSYSTEM "handoff"
#include "ops/log.h"

#define HEX "0123456789abcdef"

_Static_assert(HANDOFF_FOLDER_MAX + 1 + HANDOFF_TOKEN_LEN <
                   sizeof(((struct sockaddr_un *)0)->sun_path),
               "the path of an offer is one of a unix socket");

/* --- the directory --- */

static bool is_token(const char *name)
{
    return strlen(name) == HANDOFF_TOKEN_LEN && strspn(name, HEX) == HANDOFF_TOKEN_LEN;
}

/* Remove the sockets that a dead worker has left behind. */
static void clean_folder(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat found;

    while (folder && (entry = readdir(folder)))
        if (is_token(entry->d_name) &&
            fstatat(folder_fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(found.st_mode))
            unlinkat(folder_fd, entry->d_name, 0);

    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
}

/* What is wrong with the directory; NULL: nothing. */
static const char *check_folder(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return strerror(errno);
    if (found.st_uid != geteuid())
        return "belongs to another user; accepted: a directory of the worker's user";
    if (fchmod(fd, (found.st_mode & S_ISGID) | 0710) != 0)
        return strerror(errno);
    return NULL;
}

/* The web server's group enters through the directory's group. */
static void give_to_group(const struct handoff_folder *f, gid_t group, uid_t peer)
{
    struct stat found;
    if (fstat(f->fd, &found) == 0 && found.st_gid == group)
        return;

    if (fchown(f->fd, (uid_t)-1, group) != 0 && peer != geteuid())
        log_warn("handoff %s: cannot give the directory to group %lu (%s); "
                 "the web server must be in its group",
                 f->path, (unsigned long)group, strerror(errno));
}

/* Remove what dead workers left, unless another worker uses the directory. The lock is held as
 * long as folder_fd is open. */
static void lock_and_clean(int folder_fd)
{
    if (flock(folder_fd, LOCK_EX | LOCK_NB) == 0)
        clean_folder(folder_fd);
    flock(folder_fd, LOCK_SH);
}

bool handoff_folder_open(struct handoff_folder *f, const char *path, gid_t group, uid_t peer)
{
    const char *problem = NULL;
    char why[FOLDER_WHY_MAX];

    MUST(strlen(path) <= HANDOFF_FOLDER_MAX);
    *f = (struct handoff_folder){.fd = -1};
    snprintf(f->path, sizeof f->path, "%s", path);
    if (mkdir(f->path, 0710) != 0 && errno != EEXIST)
        problem = folder_problem(f->path, errno, why);
    if (!problem) {
        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        problem = f->fd < 0 ? strerror(errno) : check_folder(f->fd);
    }
    if (problem) {
        log_error("--handoff %s: %s", f->path, problem);
        return false;
    }

    give_to_group(f, group, peer);
    lock_and_clean(f->fd);
    return true;
}

/* --- sockets in it --- */

/* The next random bytes of a token; NULL: there are none yet, early at boot. */
static const unsigned char *take_random(struct handoff_folder *f)
{
    if (!f->random_left) {
        if (getrandom(f->random, sizeof f->random, GRND_NONBLOCK) != (ssize_t)sizeof f->random)
            return NULL;
        f->random_left = sizeof f->random;
    }

    MUST(f->random_left >= HANDOFF_TOKEN_BYTES);
    f->random_left -= HANDOFF_TOKEN_BYTES;
    return f->random + f->random_left;
}

bool handoff_folder_token(struct handoff_folder *f, char token[HANDOFF_TOKEN_LEN + 1])
{
    const unsigned char *random = take_random(f);
    if (!random)
        return false;

    for (size_t i = 0; i < HANDOFF_TOKEN_BYTES; i++) {
        token[2 * i] = HEX[random[i] >> 4];
        token[2 * i + 1] = HEX[random[i] & 15];
    }
    token[HANDOFF_TOKEN_LEN] = '\0';
    return true;
}

int handoff_folder_listen(const struct handoff_folder *f, const char *token)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", f->path, token);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;

    mode_t mask = umask(0111);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (bound && listen(fd, 1) == 0)
        return fd;
    if (bound)
        unlinkat(f->fd, token, 0);
    close(fd);
    return -1;
}

void handoff_folder_remove(const struct handoff_folder *f, const char *token)
{
    unlinkat(f->fd, token, 0);
}

bool handoff_folder_rename(struct handoff_folder *f, char token[HANDOFF_TOKEN_LEN + 1])
{
    char next[HANDOFF_TOKEN_LEN + 1];
    if (!handoff_folder_token(f, next) || renameat(f->fd, token, f->fd, next) != 0)
        return false;

    memcpy(token, next, sizeof next);
    return true;
}

void handoff_folder_close(struct handoff_folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

const char *handoff_folder_check(const char *value)
{
    bool valid = value[0] == '/' && strlen(value) <= HANDOFF_FOLDER_MAX;
    return valid ? NULL : "the absolute path of a directory, of at most 74 bytes";
}
