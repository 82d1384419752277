/* key_files.c - a file that changes is noticed by its times, or, while these are too fresh to tell,
 * by reading it. */
#include "auth/key_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/must.h"
#include "ops/log.h"

#define LOOK_MS 1000           /* between two looks at the key file */
#define FILE_MAX (1024 * 1024) /* bytes of it */
#define TICK_MS 2000           /* a file system's times may be as coarse as this */

/* A file of keys of one kind. */
struct key_file {
    const char *option, *path; /* path NULL: there is none */
    enum jwks_kind kind;
    struct jwks keys;
    struct stat seen;                  /* the file, as it was last read */
    unsigned char digest[JWKS_DIGEST]; /* of what it held */
    bool settled;                      /* a change after that reading shows in its times */
    bool failed;                       /* said so in the log already */
};

enum { SECRETS, PUBLIC_KEYS, FILES };

struct key_files {
    struct key_file files[FILES];
    int64_t look_at; /* unix time, ms: not before that */
};

/* All of fd, into a buffer of FILE_MAX bytes. The bytes, or -1 with errno. */
static ssize_t key_file_bytes(int fd, char *data)
{
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < FILE_MAX) {
        n = read(fd, data + len, FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (len == FILE_MAX)
        errno = EFBIG;
    return n < 0 || len == FILE_MAX ? -1 : (ssize_t)len;
}

/* Read the file's keys into *keys, and what it is into *is and digest. 0; else *why says what
 * was wrong. */
static int key_file_read(const struct key_file *file, struct jwks *keys, struct stat *is,
                         unsigned char digest[JWKS_DIGEST], const char **why)
{
    /* A pipe without a writer does not block. */
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *data = malloc(FILE_MAX);
    ssize_t len = fd < 0 || !data || fstat(fd, is) != 0 ? -1 : key_file_bytes(fd, data);
    int err = -EINVAL;
    if (len < 0) {
        *why = read_problem(errno);
    } else {
        jwks_digest((struct slice){data, (size_t)len}, digest);
        err = jwks_read(file->kind, (struct slice){data, (size_t)len}, keys, why);
    }
    if (fd >= 0)
        close(fd);
    if (len > 0)
        explicit_bzero(data, (size_t)len);
    free(data);
    return err;
}

static void key_files_name(struct key_file files[FILES], const char *secret_file,
                           const char *public_file)
{
    files[SECRETS] =
        (struct key_file){.option = "jwt-secret-file", .path = secret_file, .kind = JWKS_SECRETS};
    files[PUBLIC_KEYS] =
        (struct key_file){.option = "jwt-key-file", .path = public_file, .kind = JWKS_PUBLIC};
}

static int key_file_check(const struct key_file *file, char *why, size_t size)
{
    struct jwks keys = {0};
    struct stat is;
    unsigned char digest[JWKS_DIGEST];
    const char *fault = "";
    int err = key_file_read(file, &keys, &is, digest, &fault);
    if (err)
        snprintf(why, size, "--%s %s: %s", file->option, file->path, fault);
    jwks_release(&keys);
    return err;
}

int key_files_check(const char *secret_file, const char *public_file, char *why, size_t size)
{
    struct key_file files[FILES];
    int err = 0;

    key_files_name(files, secret_file, public_file);
    for (size_t i = 0; i < FILES && !err; i++)
        if (files[i].path)
            err = key_file_check(&files[i], why, size);
    return err;
}

static void warn_of_readers(const struct key_file *file, mode_t mode)
{
    if (file->kind == JWKS_SECRETS && (mode & S_IROTH))
        log_warn("%s %s: every user of this host can read this secret; accepted: a file without "
                 "permissions for others "
                 "(chmod o= FILE)",
                 file->option, file->path);
}

void key_files_warn(const char *secret_file)
{
    struct key_file files[FILES];
    struct stat is;

    key_files_name(files, secret_file, NULL);
    for (size_t i = 0; i < FILES; i++)
        if (files[i].path && stat(files[i].path, &is) == 0)
            warn_of_readers(&files[i], is.st_mode);
}

/* Was the file at rest long enough before it was read, so that a later change has other times? */
static bool is_settled(const struct stat *is)
{
    int64_t changed_ms = (int64_t)is->st_ctim.tv_sec * 1000 + is->st_ctim.tv_nsec / 1000000;
    return changed_ms + TICK_MS < clock_unix_ms();
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Keep the keys from before. Said in the log once, until the file is well again. */
static void keep_old(struct key_file *file, const char *why)
{
    if (!file->failed)
        log_each(LOG_ERROR, "%s %s: %s%s", file->option, file->path, why,
                 file->keys.count ? "; keeping the previous keys" : "");
    file->failed = true;
}

/* Why a file is read. An operator who asked for it finds a success in the log, too. */
enum load_reason { LOAD_ASKED_FOR, LOAD_CHANGED };

/* Read the file. False with a line in the log; the keys that were there stay. */
static bool key_file_load(struct key_file *file, enum load_reason reason)
{
    struct jwks keys = {0};
    struct stat is = {0};
    unsigned char digest[JWKS_DIGEST] = {0};
    const char *why = "";
    bool first = !file->keys.count;

    int err = key_file_read(file, &keys, &is, digest, &why);
    bool touched = !same_file(&is, &file->seen),
         changed = memcmp(digest, file->digest, JWKS_DIGEST) != 0;
    file->seen = is;
    file->settled = is_settled(&is);
    memcpy(file->digest, digest, JWKS_DIGEST);
    if (err) {
        keep_old(file, why);
        return false;
    }

    if (!first && (reason == LOAD_ASKED_FOR || changed || file->failed))
        log_each(LOG_INFO, "%s %s: reloaded, %zu key%s", file->option, file->path, keys.count,
                 keys.count == 1 ? "" : "s");
    jwks_release(&file->keys);
    file->keys = keys;
    file->failed = false;
    if (reason == LOAD_ASKED_FOR || touched || changed)
        warn_of_readers(file, file->seen.st_mode);
    return true;
}

/* A file that was replaced by one of the same size within a tick of the clock looks the same: it
 * is read until that is over. */
void key_files_look(struct key_files *k, int64_t now_ms)
{
    if (now_ms < k->look_at && k->look_at - now_ms <= LOOK_MS)
        return; /* the second part: the clock was set back */
    k->look_at = now_ms + LOOK_MS;

    for (size_t i = 0; i < FILES; i++) {
        struct key_file *file = &k->files[i];
        struct stat is = {0};
        if (!file->path)
            continue;
        if (stat(file->path, &is) != 0 || !same_file(&is, &file->seen) || !file->settled)
            key_file_load(file, LOAD_CHANGED);
    }
}

struct key_files *key_files_new(const char *secret_file, const char *public_file)
{
    struct key_files *k = calloc(1, sizeof *k);
    if (!k) {
        log_error("cannot start: out of memory");
        return NULL;
    }

    MUST(secret_file || public_file);
    key_files_name(k->files, secret_file, public_file);
    for (size_t i = 0; k && i < FILES; i++)
        if (k->files[i].path && !key_file_load(&k->files[i], LOAD_ASKED_FOR))
            key_files_free(&k);
    return k;
}

void key_files_free(struct key_files **k)
{
    if (!*k)
        return;
    for (size_t i = 0; i < FILES; i++)
        jwks_release(&(*k)->files[i].keys);
    free(*k);
    *k = NULL;
}

void key_files_reload(struct key_files *k)
{
    for (size_t i = 0; i < FILES; i++) {
        k->files[i].failed = false;
        if (k->files[i].path)
            key_file_load(&k->files[i], LOAD_ASKED_FOR);
    }
}

const struct jwks *key_files_keys(const struct key_files *k, enum jwks_kind kind)
{
    const struct key_file *file = &k->files[kind == JWKS_SECRETS ? SECRETS : PUBLIC_KEYS];
    MUST(file->kind == kind);
    return &file->keys;
}
