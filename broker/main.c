/* ssecast-broker: options, then the loop. Before that, functions that take the place of those of
 * libraries, for what libzmq cannot cope with (docs/adr/14-libzmq-is-guarded.md). */
#include <errno.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"
#include "dump.h"
#include "net/identity.h"
#include "ops/log.h"
#include "ops/privilege.h"
#include "ops/variables.h"
#include "ops/zguard.h"

/* In the place of the C library's, for libzmq: its ipc listener (4.3.4, 4.3.5) calls abort() on
 * EMFILE. On EAGAIN it tries again, so the client waits for a free descriptor. */
int accept4(int listener, __SOCKADDR_ARG address, socklen_t *restrict len, int flags)
{
    int fd = (int)syscall(SYS_accept4, listener, address.__sockaddr__, len, flags);
    if (fd < 0 && errno == EMFILE)
        errno = EAGAIN;
    return fd;
}

/* In the place of the C library's, for libzmq (zguard.h). */
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    return zguard_epoll_ctl(epoll, op, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    return zguard_epoll_wait(epoll, events, max, timeout_ms);
}

/* In the place of the C library's, for libzmq. It learns by reading that a peer is gone, and else
 * by a heartbeat without an answer. It sends no heartbeat while other bytes wait. So bytes for a
 * peer that is gone and not read from count as sent: else the connection would keep its descriptor
 * for ever. */
ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    ssize_t sent = syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
    if (sent >= 0 || errno == EAGAIN || errno == EINTR || !zguard_is_unread(fd))
        return sent;
    return (ssize_t)len;
}

#define INITIATE_NONCE "CurveZMQINITIATE"

/* In the place of libsodium's, for libzmq, which has no option for what identity.h does. */
int crypto_box_open(unsigned char *plain, const unsigned char *box, unsigned long long len,
                    const unsigned char *nonce, const unsigned char *public_key,
                    const unsigned char *secret_key)
{
    int err =
        crypto_box_curve25519xsalsa20poly1305_open(plain, box, len, nonce, public_key, secret_key);
    if (!err && len > crypto_box_ZEROBYTES &&
        memcmp(nonce, INITIATE_NONCE, strlen(INITIATE_NONCE)) == 0)
        identity_restrict(plain + crypto_box_ZEROBYTES, len - crypto_box_ZEROBYTES);
    return err;
}

int main(int argc, char **argv)
{
    struct broker_config config = {0};
    enum option_result result = option_load(&broker_program, argc, argv, &config, NULL);
    if (result != OPTION_RUN)
        return result == OPTION_EXIT ? 0 : 2;

    if (config.dump_store) {
        int status = dump_store(config.dump_store, stdout);
        option_release(&broker_program, &config);
        return status;
    }

    log_open(broker_program.name, log_level_of(config.log_level));
    log_set_format(config.log_format);
    privilege_warn();
    variables_warn(&broker_program);
    int status = broker_run(&config);
    option_release(&broker_program, &config);
    return status;
}
