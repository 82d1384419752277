/* A signal handler has no context, hence the static variables. */
#include "guard.h"

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf before;
static volatile sig_atomic_t watching;

void guard_fail(void)
{
    if (watching)
        siglongjmp(before, 1);
}

/* A fault of our own happens again when the handler returns, and then ends the program as it would have. */
static void faulted(int number)
{
    guard_fail();
    signal(number, SIG_DFL);
}

/* Apart, so that it has no variables that a jump could spoil. */
static int attempt(int (*read)(void *context), void *context, const int *failed)
{
    if (sigsetjmp(before, 1) != 0)
        return *failed;
    watching = 1;
    return read(context);
}

int guard_read(int (*read)(void *context), void *context, int failed)
{
    struct sigaction ours = {.sa_handler = faulted, .sa_flags = SA_NODEFER}, segv, bus;
    sigaction(SIGSEGV, &ours, &segv);
    sigaction(SIGBUS, &ours, &bus);
    int result = attempt(read, context, &failed);
    watching = 0;
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return result;
}

void guard_watch(bool on)
{
    watching = on;
}
