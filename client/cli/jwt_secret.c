#include "cli/jwt_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"

#define SECRET_BYTES 32u
#define FILE_MAX (1024u * 1024u)

/* --- what is in the file --- */

/* A JWK of these bytes; kid may be NULL. NULL without memory. */
static json_t *jwk_of(const unsigned char *bytes, size_t len, const char *kid)
{
    size_t size = BASE64_LEN(len) + 1;
    char *text = malloc(size);
    if (!text)
        return NULL;

    json_t *jwk =
        json_pack("{s:s,s:s,s:s,s:s*,s:s}", "kty", "oct", "alg", "HS256", "use", "sig", "kid", kid,
                  "k", base64_encode(BASE64_URL, (struct slice){(const char *)bytes, len}, text));
    sodium_memzero(text, size);
    free(text);
    return jwk;
}

static bool is_secret(const json_t *jwk)
{
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    return type && strcmp(type, "oct") == 0 && json_is_string(json_object_get(jwk, "k"));
}

/* The keys of a JWKS, or of a single JWK. NULL: it is neither, or holds something that is no
 * secret. */
static json_t *keys_of_json(const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL),
           *list = json_object_get(root, "keys");
    json_t *jwk, *keys = NULL;
    size_t i;
    if (json_is_array(list))
        keys = json_incref(list);
    else if (is_secret(root))
        keys = json_pack("[O]", root);

    bool good = keys != NULL;
    json_array_foreach(keys, i, jwk) good = good && is_secret(jwk);
    json_decref(root);
    if (good)
        return keys;
    json_decref(keys);
    return NULL;
}

/* One line without blanks. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return len >= SECRET_BYTES && !strchr("{[<\"", text[0]);
}

/* What the file's text holds, as a list of JWKs. NULL with why. */
static json_t *read_keys(const char *text, size_t len, const char **why)
{
    size_t line = len;
    while (line && (text[line - 1] == '\n' || text[line - 1] == '\r'))
        line--;

    json_t *keys = keys_of_json(text, len);
    if (!keys && is_plain(text, line))
        keys = json_pack("[o]", jwk_of((const unsigned char *)text, line, NULL));
    *why = "it holds no secrets; accepted: a JWKS of kty oct, or one secret as text";
    if (keys && json_array_size(keys) >= JWT_SECRETS_MAX) {
        *why = "it holds 64 secrets, which is the most a worker takes: "
               "remove those that are no longer used";
        json_decref(keys);
        keys = NULL;
    }
    return keys;
}

/* --- a new one --- */

static void make_kid(char kid[JWT_KID_MAX])
{
    time_t now = time(NULL);
    struct tm date;
    char day[16];
    gmtime_r(&now, &date);
    strftime(day, sizeof day, "%Y-%m-%d", &date);
    snprintf(kid, JWT_KID_MAX, "%s-%08x", day, (unsigned)randombytes_random());
}

static int add_new(json_t *keys, struct jwt_secret_made *made)
{
    unsigned char secret[SECRET_BYTES];
    randombytes_buf(secret, sizeof secret);
    make_kid(made->kid);
    int err = json_array_append_new(keys, jwk_of(secret, sizeof secret, made->kid)) ? -ENOMEM : 0;
    sodium_memzero(secret, sizeof secret);
    made->count = json_array_size(keys);
    return err;
}

/* --- the file --- */

/* All of a file. The text, of *len bytes; NULL with errno. */
static char *read_text(int fd, size_t *len)
{
    char *text = malloc(FILE_MAX);
    ssize_t n = 1;
    *len = 0;
    while (text && n > 0 && *len < FILE_MAX) {
        n = read(fd, text + *len, FILE_MAX - *len);
        *len += n > 0 ? (size_t)n : 0;
    }
    if (text && n == 0 && *len < FILE_MAX)
        return text;
    if (n > 0)
        errno = EFBIG;
    free(text);
    return NULL;
}

/* A key on each line, so that one can be taken out. */
static int put_keys(FILE *out, json_t *keys)
{
    size_t i;
    json_t *jwk;
    fputs("{\"keys\":[\n", out);
    json_array_foreach(keys, i, jwk)
    {
        if (json_dumpf(jwk, out, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0)
            return -EIO;
        fputs(i + 1 < json_array_size(keys) ? ",\n" : "\n", out);
    }
    fputs("]}\n", out);
    return ferror(out) || fflush(out) != 0 || fsync(fileno(out)) != 0 ? -errno : 0;
}

/* Write the keys to fd (taken over), with the owner and mode of the old file. */
static int write_keys(int fd, const struct stat *old, json_t *keys)
{
    int err = 0;
    if (old && (fchown(fd, old->st_uid, old->st_gid) != 0 || fchmod(fd, old->st_mode & 07777) != 0))
        err = -errno;

    FILE *out = fdopen(fd, "w");
    if (!out) {
        close(fd);
        return -ENOMEM;
    }
    err = err ? err : put_keys(out, keys);
    if (fclose(out) != 0 && !err)
        err = -errno;
    return err;
}

/* Write the keys to a file beside path, like the old one, and put it in its place. */
static int replace(const char *path, const struct stat *old, json_t *keys)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof name, "%s.XXXXXX", path) >= (int)sizeof name)
        return -ENAMETOOLONG;
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;

    int err = write_keys(fd, old, keys);
    if (!err && (old ? rename(name, path) : link(name, path)) != 0)
        err = -errno;
    if (err || !old)
        unlink(name);
    return err;
}

static int add_to(const char *path, int fd, struct jwt_secret_made *made, const char **why)
{
    struct stat old;
    size_t len = 0;
    char *text = fd >= 0 && fstat(fd, &old) == 0 ? read_text(fd, &len) : NULL;
    *why = strerror(errno);
    if (fd >= 0 && !text)
        return -EINVAL;

    json_t *keys = text ? read_keys(text, len, why) : json_array();
    if (text)
        sodium_memzero(text, len);
    free(text);
    if (!keys)
        return -EINVAL;

    int err = add_new(keys, made);
    err = err ? err : replace(path, fd >= 0 ? &old : NULL, keys);
    if (err)
        *why = strerror(-err);
    json_decref(keys);
    return err;
}

int jwt_secret_add(const char *path, struct jwt_secret_made *made, char *why, size_t size)
{
    const char *reason = "";
    char *real = realpath(path, NULL); /* a link stays one */
    const char *file = real ? real : path;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
        err = fd < 0 && errno != ENOENT ? -errno : 0;

    if (err)
        reason = strerror(-err);
    else if (sodium_init() < 0)
        err = -EIO;
    else
        err = add_to(file, fd, made, &reason);
    if (err)
        snprintf(why, size, "%s", reason);
    if (fd >= 0)
        close(fd);
    free(real);
    return err;
}
