/* keys.h - who may come in: the broker's file of public keys, and what each of them may do.
 *
 * A line for each key, in the manner of ssh's authorized_keys:
 *
 *     # comment
 *     publisher KEY NAME [sessions=PATTERN,...] [channels=PATTERN,...]
 *
 * It is read as a whole or not at all. Nothing here knows sockets.
 *
 * Ownership: what is found belongs to the table.
 */
#ifndef SSECAST_KEYS_H
#define SSECAST_KEYS_H

#include "codec/grant.h"
#include "ops/curve_key.h"

struct keys;

struct key {
    struct curve_key text; /* the public key */
    struct slice name;     /* for people */
    struct grant grant;
};

#define KEYS_WHY_MAX 480

/* Read the text of a file. NULL with a line in why: file and line, what is wrong, what is accepted. */
struct keys *keys_parse(const char *file, struct slice text, char why[KEYS_WHY_MAX]);

/* Read the file. */
struct keys *keys_load(const char *file, char why[KEYS_WHY_MAX]);

/* Sets *k to NULL. Safe on NULL. */
void keys_free(struct keys **k);

/* The key with this text, or NULL. */
const struct key *keys_find(const struct keys *k, struct slice text);

size_t keys_count(const struct keys *k);
const struct key *keys_at(const struct keys *k, size_t i);

/* "worker", "publisher" or "operator". */
const char *keys_role_name(unsigned role);

#endif
