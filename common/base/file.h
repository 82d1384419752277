/* file.h - reads a whole file into memory.
 *
 * Ownership: the text is the caller's, to be freed. The caller overwrites secrets.
 */
#ifndef SSECAST_FILE_H
#define SSECAST_FILE_H

#include <stddef.h>
#include <sys/stat.h>

/* Read a file of at most max bytes: *out (malloc) is its *len bytes and a NUL. *is: what fstat()
 * says of it; NULL: not wanted. 0 or -errno, -EFBIG when it is larger; then *out is NULL and *len
 * is 0. A pipe without a writer is empty. */
int file_read(const char *path, size_t max, char **out, size_t *len, struct stat *is);

#endif
