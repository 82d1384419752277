/* curve_key.h - CURVE keys (ZeroMQ's encryption) and the files that hold them. Nothing here
 * encrypts.
 *
 * A key is 40 characters of Z85. A file holds it alone on a line. Or it is a certificate, as
 * `ssecast keygen` and other ZeroMQ tools write it: lines `public-key = "..."` and `secret-key =
 * "..."`. Lines that begin with `#` and hold no key are comments.
 */
#ifndef SSECAST_CURVE_KEY_H
#define SSECAST_CURVE_KEY_H

#include "base/slice.h"

#define CURVE_KEY_LEN 40u   /* characters */
#define CURVE_KEY_BYTES 32u /* of the decoded key */
#define CURVE_KEY_RULE "40 characters of Z85"
#define CURVE_KEY_WHY 320

enum curve_key_half { CURVE_PUBLIC, CURVE_SECRET };

/* One key as text, NUL-terminated. */
struct curve_key {
    char text[CURVE_KEY_LEN + 1];
};

bool curve_key_valid(struct slice text);

/* Encode raw bytes as a key's text. */
void curve_key_encode(const unsigned char raw[CURVE_KEY_BYTES], struct curve_key *out);

/* Take the next line off *rest, without its line end and surrounding white space. False at the
 * end. */
bool curve_key_next_line(struct slice *rest, struct slice *line);

/* Find a key in the text of a file. 0; -ENOENT when there is none; -EINVAL when its value is not
 * a key. */
int curve_key_find(struct slice text, enum curve_key_half half, struct curve_key *out);

/* Read a key from a file. A file with a secret key must not be world-readable. 0, or -EINVAL with a
 * line in why that names the file. */
int curve_key_load(const char *path, enum curve_key_half half, struct curve_key *out,
                   char why[CURVE_KEY_WHY]);

/* Read a public key from an option's value: the key itself, or a file's name. Returns as
 * curve_key_load(). */
int curve_key_public(const char *value, struct curve_key *out, char why[CURVE_KEY_WHY]);

/* The keys of a client: its own secret key, and the public keys of its brokers. Zeroed: no
 * CURVE. */
struct curve_client {
    struct curve_key secret;
    struct curve_key *brokers; /* one key for all brokers, or one for each */
    size_t broker_count;
};

/* Read the secret key from key_file (NULL: none) and the public keys as curve_key_public() does.
 * brokers is the number of brokers. Without a file and keys, c stays zeroed. 0, or -EINVAL with
 * a line in why that names the option. */
int curve_client_load(struct curve_client *c, const char *key_file, char *const *broker_keys,
                      size_t key_count, size_t brokers, char why[CURVE_KEY_WHY]);
void curve_client_release(struct curve_client *c);

/* Overwrite a key in memory. */
void curve_key_wipe(struct curve_key *key);

#endif
