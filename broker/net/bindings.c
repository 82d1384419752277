#define LOG_SUBSYSTEM "sockets"

#include "net/bindings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/must.h"
#include "net/endpoint_lock.h"
#include "ops/endpoint.h"
#include "ops/log.h"

#define ATTEMPTS_LOGGED 200 /* attempts to bind it again before a failure is logged */

int bindings_init(struct bindings *b, size_t max)
{
    *b = (struct bindings){.items = calloc(max, sizeof *b->items), .max = max};
    return b->items ? 0 : -ENOMEM;
}

void bindings_release(struct bindings *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].lock != ENDPOINT_LOCK_NONE)
            close(b->items[i].lock);
    free(b->items);
    *b = (struct bindings){0};
}

static int bindings_lock(const char *option, const char *endpoint, int *lock)
{
    char why[FOLDER_WHY_MAX];
    int err = endpoint_lock(endpoint, lock);
    if (err == -EWOULDBLOCK)
        log_error("--%s %s: another broker uses this endpoint (it holds its lock file)", option,
                  endpoint);
    else if (err == -ENOTSOCK)
        log_error("--%s %s: this file is no socket; it was left as it is", option, endpoint);
    else if (err)
        log_error("--%s %s: cannot lock its lock file: %s", option, endpoint,
                  folder_problem(endpoint + strlen("ipc://"), -err, why));
    return err;
}

/* The umask ensures that the file of an ipc endpoint never has more permissions than mode. */
static int bind_with_mode(struct zsock *socket, const char *endpoint, mode_t mode)
{
    mode_t before = umask(0777 & ~mode);
    int err = zsock_bind(socket, endpoint);
    umask(before);
    return err;
}

int bindings_add(struct bindings *b, const char *option, const char *endpoint, mode_t mode,
                 struct zsock *socket, struct znotice *notice)
{
    MUST(b->count < b->max);
    struct binding *bound = &b->items[b->count];
    size_t len = sizeof bound->endpoint;
    *bound = (struct binding){.socket = socket, .notice = notice, .option = option};
    if (bindings_lock(option, endpoint, &bound->lock) != 0)
        return -1;

    int err = bind_with_mode(socket, endpoint, mode);
    if (err) {
        log_error("--%s %s: cannot bind: %s", option, endpoint, zmq_strerror(-err));
        if (bound->lock != ENDPOINT_LOCK_NONE)
            close(bound->lock);
        return -1;
    }
    zmq_getsockopt(socket->socket, ZMQ_LAST_ENDPOINT, bound->endpoint, &len);
    b->count++;
    return 0;
}

void bindings_cut(struct bindings *b, const struct zsock *socket)
{
    for (size_t i = 0; i < b->count; i++) {
        struct binding *bound = &b->items[i];
        if (bound->socket != socket || !endpoint_is_tcp(bound->endpoint) || bound->attempts)
            continue;
        if (zmq_unbind(socket->socket, bound->endpoint) == 0)
            bound->attempts = 1;
        znotice_used(bound->notice);
    }
}

static void binding_restore(struct binding *bound)
{
    int err = zsock_bind(bound->socket, bound->endpoint);
    znotice_used(bound->notice);
    if (!err)
        bound->attempts = 0;
    else if (++bound->attempts == ATTEMPTS_LOGGED)
        log_error("--%s %s: rebind failed: %s; retrying", bound->option, bound->endpoint,
                  zmq_strerror(-err));
}

bool bindings_restore(struct bindings *b)
{
    bool missing = false;
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].attempts)
            binding_restore(&b->items[i]);
        missing = missing || b->items[i].attempts;
    }
    return missing;
}
