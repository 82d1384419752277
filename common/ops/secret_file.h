/* secret_file.h - a file whose first line is a secret: a password, a token, a key of an HMAC.
 *
 * The secret is the first line without blanks at its end: spaces, tabs, carriage returns. So an
 * editor's line break, CRLF or a second line do not change it. client/php/ssecast.php and the
 * examples read such files in the same way.
 */
#ifndef SSECAST_SECRET_FILE_H
#define SSECAST_SECRET_FILE_H

#include <stddef.h>

#include "base/slice.h"

#define SECRET_FILE_WHY 128

/* The secret in the text of a file; empty when its first line is. */
struct slice secret_file_first_line(struct slice text);

/* Read the secret of 1 to max bytes. *out: malloc()ed, *len bytes and a NUL. 0; or -EINVAL with
 * what is wrong in why, without the file's name. */
int secret_file_read(const char *path, size_t max, char **out, size_t *len,
                     char why[SECRET_FILE_WHY]);

/* The same for a secret that is a C string: a NUL byte in it is refused. */
int secret_file_read_text(const char *path, size_t max, char **out, char why[SECRET_FILE_WHY]);

#endif
