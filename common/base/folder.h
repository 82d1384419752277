/* folder.h - why a file cannot be made where it should be, for people who install the programs. */
#ifndef SSECAST_FOLDER_H
#define SSECAST_FOLDER_H

#define FOLDER_WHY_MAX 640

/* The file at path could not be made, because of err (positive errno). What is wrong with its folder, and how to mend it; else what err
 * says. Returns out. */
const char *folder_problem(const char *path, int err, char out[FOLDER_WHY_MAX]);

#endif
