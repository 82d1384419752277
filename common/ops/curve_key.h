/* curve_key.h - keys of CURVE, ZeroMQ's encryption: what is one, and the files that hold them.
 *
 * A key is 40 characters of Z85. A file holds it alone on a line, or is a certificate as `ssecast keygen` and other ZeroMQ tools write it,
 * with lines `public-key = "..."` and `secret-key = "..."`. Lines that begin with `#` and hold no key are comments. Nothing here encrypts.
 */
#ifndef SSECAST_CURVE_KEY_H
#define SSECAST_CURVE_KEY_H

#include "base/slice.h"

#define CURVE_KEY_LEN 40u   /* characters */
#define CURVE_KEY_BYTES 32u /* what they stand for */
#define CURVE_KEY_RULE "40 characters of Z85"
#define CURVE_KEY_WHY 320

enum curve_key_half { CURVE_PUBLIC, CURVE_SECRET };

/* One key as text, NUL-terminated. */
struct curve_key {
    char text[CURVE_KEY_LEN + 1];
};

bool curve_key_valid(struct slice text);

/* The text of so many raw bytes. */
void curve_key_encode(const unsigned char raw[CURVE_KEY_BYTES], struct curve_key *out);

/* The next line of *rest, without its end and the white space around it; false when there is none. */
bool curve_key_next_line(struct slice *rest, struct slice *line);

/* Find a key in the text of a file. 0; -ENOENT when there is none, -EINVAL when what stands in its place is no key. */
int curve_key_find(struct slice text, enum curve_key_half half, struct curve_key *out);

/* Read a key from a file; one with a secret key must not be open to everybody. 0, or -EINVAL with a line in why that names the file. */
int curve_key_load(const char *path, enum curve_key_half half, struct curve_key *out, char why[CURVE_KEY_WHY]);

/* A public key as an option gives it: the key itself, or the file it is in. As curve_key_load(). */
int curve_key_public(const char *value, struct curve_key *out, char why[CURVE_KEY_WHY]);

/* What a client of brokers needs: its own secret key, and the public keys of the brokers. Zeroed: no CURVE. */
struct curve_client {
    struct curve_key secret;
    struct curve_key *brokers; /* one for all, or one for each */
    size_t broker_count;
};

/* Read them: from a file (NULL: none), and from values as curve_key_public() takes them; brokers says how many there are. Without both it stays
 * zeroed. 0, or -EINVAL with a line in why that names the option. */
int curve_client_load(struct curve_client *c, const char *key_file, char *const *broker_keys, size_t key_count,
                      size_t brokers, char why[CURVE_KEY_WHY]);
void curve_client_release(struct curve_client *c);

/* Overwrite a key that is not needed any more. */
void curve_key_wipe(struct curve_key *key);

/* Read a whole file of at most max bytes into *out (malloc; NUL-terminated). 0 or -errno, -EFBIG when it is larger. */
int curve_key_read_file(const char *path, size_t max, char **out, size_t *len);

#endif
