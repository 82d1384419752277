/* folder.h - explains why a file cannot be created in its directory, or not be read. */
#ifndef SSECAST_FOLDER_H
#define SSECAST_FOLDER_H

#define FOLDER_WHY_MAX 640

/* The file at path could not be created because of err (a positive errno). Writes what is wrong
 * with its directory and how to fix it, or else the text of err. Returns out. */
const char *folder_problem(const char *path, int err, char out[FOLDER_WHY_MAX]);

/* A file could not be read because of err (a positive errno): the text of err, and for EACCES the
 * user of this process. Valid until the next call of this thread. */
const char *read_problem(int err);

#endif
