/* keys.h - the keys file: the public keys that may connect, and the grant of each.
 *
 * A line for each key, similar to authorized_keys of ssh:
 *
 *     # comment
 *     publisher KEY NAME [sessions=PATTERN,...] [channels=PATTERN,...]
 *
 * A file with an error is refused as a whole. It does not know sockets.
 *
 * Ownership: keys belong to the table.
 */
#ifndef SSECAST_KEYS_H
#define SSECAST_KEYS_H

#include "codec/grant.h"
#include "ops/curve_key.h"

struct keys;

struct peer_key {
    struct curve_key text; /* the public key */
    struct slice name;     /* for the log; also the publisher identity */
    struct grant grant;
};

#define KEYS_WHY_MAX 480

/* Parse the text of a file. NULL with a line in why: file and line, the error, and what is
 * accepted. */
struct keys *keys_parse(const char *file, struct slice text, char why[KEYS_WHY_MAX]);

/* Read the file. */
struct keys *keys_load(const char *file, char why[KEYS_WHY_MAX]);

/* Sets *k to NULL. Safe on NULL. */
void keys_free(struct keys **k);

/* The key with this text, or NULL. */
const struct peer_key *keys_find(const struct keys *k, struct slice text);

size_t keys_count(const struct keys *k);

/* True when the file has blank lines at most. */
bool keys_is_blank(const struct keys *k);
const struct peer_key *keys_at(const struct keys *k, size_t i);

/* "worker", "publisher" or "operator". */
const char *keys_role_name(unsigned role);

#endif
