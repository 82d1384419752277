/* capture.h - what a function writes to a standard descriptor, as text. */
#ifndef SSECAST_TESTS_CAPTURE_H
#define SSECAST_TESTS_CAPTURE_H

#include <check.h>
#include <stdio.h>
#include <unistd.h>

struct capture {
    int fd;    /* the descriptor that is captured */
    int saved; /* what it was */
    FILE *file;
    char text[16384];
};

static inline void capture_begin(struct capture *c, int fd)
{
    fflush(NULL);
    c->fd = fd;
    c->saved = dup(fd);
    c->file = tmpfile();
    ck_assert_ptr_nonnull(c->file);
    ck_assert_int_ge(dup2(fileno(c->file), fd), 0);
}

/* What was written since; valid as long as c. */
static inline const char *capture_end(struct capture *c)
{
    fflush(NULL);
    ck_assert_int_ge(dup2(c->saved, c->fd), 0);
    close(c->saved);
    rewind(c->file);
    c->text[fread(c->text, 1, sizeof c->text - 1, c->file)] = '\0';
    fclose(c->file);
    return c->text;
}

#endif
