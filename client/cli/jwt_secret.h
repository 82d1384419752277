/* jwt_secret.h - a file of secrets that tokens are signed with (HS256): a JWKS of keys of kty oct, one on each line, as the worker's option
 * jwt-secret-file takes it.
 *
 * A file is replaced as a whole, so that no worker ever reads half of it. It keeps its owner and its mode; a new one has mode 0600.
 */
#ifndef SSECAST_JWT_SECRET_H
#define SSECAST_JWT_SECRET_H

#include <stddef.h>

#define JWT_SECRETS_MAX 64u /* of one file: as many as a worker takes */
#define JWT_KID_MAX 32u

/* What was made. */
struct jwt_secret_made {
    char kid[JWT_KID_MAX];
    size_t count; /* secrets in the file, this one included */
};

/* Add a fresh secret to the file, which is made when it is not there. A file with one secret as plain text becomes a JWKS of that one, without a
 * kid, and the new one. 0; or -EINVAL, -errno with a line in why: the file is as it was. */
int jwt_secret_add(const char *path, struct jwt_secret_made *made, char *why, size_t size);

#endif
