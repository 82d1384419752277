#include "base/folder.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAMED_MAX 200u /* bytes of a path; sockets have 107 at most */

/* The part of path before its last slash. False: there is none, or it is too long to be named. */
static bool folder_of(const char *path, char out[NAMED_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!len || len >= NAMED_MAX)
        return false;

    memcpy(out, path, len);
    out[len] = '\0';
    return true;
}

/* The user that this process runs as. */
static const char *user_name(char out[32])
{
    struct passwd entry, *user = NULL;
    char room[1024];
    if (getpwuid_r(geteuid(), &entry, room, sizeof room, &user) == 0 && user)
        snprintf(out, 32, "%s", user->pw_name);
    else
        snprintf(out, 32, "%u", (unsigned)geteuid());
    return out;
}

const char *read_problem(int err)
{
    static _Thread_local char text[96];
    char user[32];
    if (err != EACCES)
        return strerror(err);

    snprintf(text, sizeof text, "%s for the user %s", strerror(err), user_name(user));
    return text;
}

const char *folder_problem(const char *path, int err, char out[FOLDER_WHY_MAX])
{
    char folder[NAMED_MAX], user[32];
    bool named = folder_of(path, folder);

    if (named && err == ENOENT && access(folder, F_OK) != 0)
        snprintf(out, FOLDER_WHY_MAX,
                 "its directory %s does not exist; make it, as root: install -d -m 0750 -o %s %s",
                 folder, user_name(user), folder);
    else if (named && err == EACCES && access(folder, W_OK) != 0)
        snprintf(out, FOLDER_WHY_MAX, "its directory %s is not writable for the user %s", folder,
                 user_name(user));
    else
        snprintf(out, FOLDER_WHY_MAX, "%s", strerror(err));
    return out;
}
