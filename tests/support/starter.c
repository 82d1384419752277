/* starter.c - `starter GID PROGRAM ARGUMENT...` becomes the program, as setpriv would, in a
 * fraction of setpriv's time.
 *
 * The program is killed when the tests that started it end. GID is the group it runs as; -:
 * unchanged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "starter: %s: %s\n", what, strerror(errno));
    return 127;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: starter GID|- PROGRAM ARGUMENT...\n");
        return 127;
    }

    /* A change of the group clears the signal. */
    gid_t group = (gid_t)strtoul(argv[1], NULL, 10);
    if (strcmp(argv[1], "-") != 0 && setregid(group, group) != 0)
        return fail(argv[1]);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return fail("PR_SET_PDEATHSIG");

    execvp(argv[2], argv + 2);
    return fail(argv[2]);
}
