#include "ops/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/must.h"

#define FILE_MAX ((size_t)1024 * 1024)

struct slice secret_file_first_line(struct slice text)
{
    const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
    if (end)
        text.len = (size_t)(end - text.data);

    while (text.len && strchr(" \t\r", text.data[text.len - 1]) && text.data[text.len - 1])
        text.len--;
    return text;
}

static int secret_file_check(size_t len, size_t max, char why[SECRET_FILE_WHY])
{
    if (len >= 1 && len <= max)
        return 0;

    if (len)
        snprintf(why, SECRET_FILE_WHY, "its first line is too long; accepted: 1 to %zu bytes", max);
    else
        snprintf(why, SECRET_FILE_WHY, "its first line is empty; accepted: 1 to %zu bytes", max);
    return -EINVAL;
}

static void secret_file_drop(char **text, size_t len)
{
    if (*text)
        explicit_bzero(*text, len);
    free(*text);
    *text = NULL;
}

int secret_file_read(const char *path, size_t max, char **out, size_t *len,
                     char why[SECRET_FILE_WHY])
{
    size_t size = 0;
    MUST(max < FILE_MAX);
    *len = 0;
    int err = file_read(path, FILE_MAX, out, &size, NULL);
    if (err) {
        snprintf(why, SECRET_FILE_WHY, "%s", strerror(-err));
        return -EINVAL;
    }

    struct slice secret = secret_file_first_line((struct slice){*out, size});
    MUST(secret.len <= size);
    explicit_bzero(*out + secret.len, size - secret.len);
    *len = secret.len;
    err = secret_file_check(secret.len, max, why);
    if (err)
        secret_file_drop(out, size);
    return err;
}

int secret_file_read_text(const char *path, size_t max, char **out, char why[SECRET_FILE_WHY])
{
    size_t len;
    int err = secret_file_read(path, max, out, &len, why);
    if (err || strlen(*out) == len)
        return err;

    snprintf(why, SECRET_FILE_WHY, "its first line holds a NUL byte; accepted: text");
    secret_file_drop(out, len);
    return -EINVAL;
}
