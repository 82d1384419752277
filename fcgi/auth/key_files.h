/* key_files.h - the files of keys that tokens are signed with: one of secrets, and one of public
 * keys.
 *
 * A file is read at the start, again when it changes, and when an operator asks. When that fails
 * the keys from before stay. A file never changes its kind. jwks.h says what a file may hold.
 *
 * It judges no token; signature.h does, with the keys.
 *
 * Ownership: the paths are the caller's and live as long. The keys belong to the files; a look or a
 * reload may replace them.
 */
#ifndef SSECAST_KEY_FILES_H
#define SSECAST_KEY_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "auth/jwks.h"

struct key_files;

/* Could the keys be read? A path that is NULL is no file. 0, or -errno with a line in why. */
int key_files_check(const char *secret_file, const char *public_file, char *why, size_t size);

/* Log a warning when every user of the machine can read the file of secrets. NULL is no file. */
void key_files_warn(const char *secret_file);

/* Read the keys, of one file at least. NULL with a line in the log. */
struct key_files *key_files_new(const char *secret_file, const char *public_file);

/* Safe on NULL; sets *k to NULL. */
void key_files_free(struct key_files **k);

/* Read the files that have changed. now_ms is unix time; when the last look was less than a second
 * ago, nothing happens. */
void key_files_look(struct key_files *k, int64_t now_ms);

/* Read the files again, changed or not (SIGHUP). When that fails their keys stay, and a line in
 * the log says why. */
void key_files_reload(struct key_files *k);

/* The keys of one kind; without a file of it there are none.
 * Valid until the next look or reload. */
const struct jwks *key_files_keys(const struct key_files *k, enum jwks_kind kind);

#endif
