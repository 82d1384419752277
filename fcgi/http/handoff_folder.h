/* handoff_folder.h - the directory in which a worker offers sockets to Apache. The name of a socket
 * is a token, which cannot be guessed.
 *
 * It makes names and sockets, and removes them. It does not accept, and knows no offers
 * (handoff.h).
 *
 * Ownership: the struct is the caller's. handoff_folder_close() closes the directory, and so
 * releases the lock that keeps other workers from cleaning it.
 */
#ifndef SSECAST_HANDOFF_FOLDER_H
#define SSECAST_HANDOFF_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HANDOFF_TOKEN_LEN 32u /* hexadecimal digits: 128 random bits */
#define HANDOFF_TOKEN_BYTES (HANDOFF_TOKEN_LEN / 2)
#define HANDOFF_FOLDER_MAX 74u /* bytes of the directory's path: a socket's has 107 */

struct handoff_folder {
    int fd; /* -1: not open */
    char path[HANDOFF_FOLDER_MAX + 1];
    /* From one system call, for tokens; each byte is used once. */
    unsigned char random[32 * HANDOFF_TOKEN_BYTES];
    size_t random_left;
};

/* Make the directory, or check it: it must belong to this user. Its mode becomes 0710, and its
 * group that of the web server, whose user is peer. Sockets of dead workers in it are removed,
 * unless another worker uses the directory. False with a line in the log. */
bool handoff_folder_open(struct handoff_folder *f, const char *path, gid_t group, uid_t peer);
void handoff_folder_close(struct handoff_folder *f);

/* A new token. False early at boot, when there are no random bytes yet. */
bool handoff_folder_token(struct handoff_folder *f, char token[HANDOFF_TOKEN_LEN + 1]);

/* A listening socket of this name; -1 on failure. All who can enter the directory can connect. */
int handoff_folder_listen(const struct handoff_folder *f, const char *token);

/* Give the socket another name, which no peer knows yet. False: it has the name that it had. */
bool handoff_folder_rename(struct handoff_folder *f, char token[HANDOFF_TOKEN_LEN + 1]);

void handoff_folder_remove(const struct handoff_folder *f, const char *token);

/* NULL when value is the path of such a directory, else what is accepted. */
const char *handoff_folder_check(const char *value);

#endif
