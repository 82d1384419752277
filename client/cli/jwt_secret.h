/* jwt_secret.h - the file of secrets that sign tokens (HS256), as the worker's option
 * jwt-secret-file reads it: a JWKS with one key (kty oct) on each line.
 *
 * The file is replaced atomically, so that no worker reads half of it. It keeps its owner and mode;
 * a new file has mode 0600.
 */
#ifndef SSECAST_JWT_SECRET_H
#define SSECAST_JWT_SECRET_H

#include <stddef.h>

#define JWT_SECRETS_MAX 64u /* of one file: the limit of a worker */
#define JWT_KID_MAX 32u

/* The new secret. */
struct jwt_secret_made {
    char kid[JWT_KID_MAX];
    size_t count; /* secrets in the file, including this one */
};

/* Add a new secret to the file, which is created if missing. A file with one secret as plain
 * text becomes a JWKS of that secret, without a kid, and the new one. 0; or -EINVAL or -errno
 * with a line in why: the file is unchanged. */
int jwt_secret_add(const char *path, struct jwt_secret_made *made, char *why, size_t size);

#endif
