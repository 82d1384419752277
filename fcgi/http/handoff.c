/* Each offer has a listening socket of its own, its listener, because mod_proxy_fdpass says nothing
 * but the name of the socket. With the first peer that may connect, the listener gets another random
 * name, and the peer's connection has until the offer's deadline.
 *
 * Making and removing a socket file costs most of a hand-off. So a listener through which a browser's
 * socket has come is used again: no peer asks for its former names. One whose offer has expired is
 * not used again: Apache may still be about to connect to it. */
#include "http/handoff.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/must.h"
#include "ops/stats.h"

#define LOG_SUBSYSTEM "handoff"
#include "ops/log.h"

#define DESCRIPTORS 8  /* looked at in one message; the kernel closes more */
#define SPARES_MAX 256 /* as many offers as Apache has threads, which ask at the same time */
#define TOKEN_BYTES (HANDOFF_TOKEN_LEN / 2)
#define RANDOM_BYTES (32 * TOKEN_BYTES) /* that one system call fetches */
#define HEX "0123456789abcdef"

/* Probes of a browser that is silent, because no web server looks after the socket any more:
 * seconds of silence, between two probes, and unanswered probes. */
#define PROBE_AFTER_S 60
#define PROBE_EVERY_S 15
#define PROBES 4

_Static_assert(HANDOFF_FOLDER_MAX + 1 + HANDOFF_TOKEN_LEN < sizeof(((struct sockaddr_un *)0)->sun_path),
               "the path of an offer is one of a unix socket");

struct handoff_listener {
    struct loop_watch watch; /* of the listening socket */
    struct handoffs *set;
    struct handoff *offer; /* NULL: it is spare, or closed */
    char token[HANDOFF_TOKEN_LEN + 1];
    TAILQ_ENTRY(handoff_listener) link; /* in spare, or in closed */
};

TAILQ_HEAD(listener_list, handoff_listener);

struct handoff {
    struct loop_watch watch; /* of the peer's connection */
    struct handoffs *set;
    void *owner;
    int64_t deadline;
    struct handoff_listener *listener; /* NULL: it is closed */
    bool has_peer;                     /* one that may connect has done so; the token works no more */
    char token[HANDOFF_TOKEN_LEN + 1];
    TAILQ_ENTRY(handoff) link;
};

struct handoffs {
    struct loop *loop;
    const struct handoff_hooks *hooks;
    uint64_t *counters;
    TAILQ_HEAD(handoff_list, handoff) offers; /* in the order of their deadlines */
    size_t count;
    struct listener_list spare; /* the longest first */
    size_t spare_count;
    struct listener_list closed; /* events may refer to them until the end of the turn */
    struct loop_timer timer;
    unsigned char random[RANDOM_BYTES]; /* for tokens; each byte is used once */
    size_t random_left;
    uid_t peer;
    int64_t user_timeout_ms;
    int folder_fd;
    char folder[HANDOFF_FOLDER_MAX + 1];
};

/* --- the directory --- */

static bool is_token(const char *name)
{
    return strlen(name) == HANDOFF_TOKEN_LEN && strspn(name, HEX) == HANDOFF_TOKEN_LEN;
}

/* Remove the sockets that a dead worker has left behind. */
static void clean_folder(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat found;

    while (folder && (entry = readdir(folder)))
        if (is_token(entry->d_name) && fstatat(folder_fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(found.st_mode))
            unlinkat(folder_fd, entry->d_name, 0);

    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
}

/* What is wrong with the directory; NULL: nothing. */
static const char *check_folder(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return strerror(errno);
    if (found.st_uid != geteuid())
        return "belongs to another user; accepted: a directory of the worker's user";
    if (fchmod(fd, (found.st_mode & S_ISGID) | 0710) != 0)
        return strerror(errno);
    return NULL;
}

/* The web server's group enters through the directory's group. */
static void give_to_group(const struct handoffs *set, gid_t group)
{
    struct stat found;
    if (fstat(set->folder_fd, &found) == 0 && found.st_gid == group)
        return;

    if (fchown(set->folder_fd, (uid_t)-1, group) != 0 && set->peer != geteuid())
        log_warn("handoff %s: cannot give the directory to group %lu (%s); the web server must be in its group",
                 set->folder, (unsigned long)group, strerror(errno));
}

/* Remove what dead workers left, unless another worker uses the directory. The lock is held as
 * long as folder_fd is open. */
static void lock_and_clean(int folder_fd)
{
    if (flock(folder_fd, LOCK_EX | LOCK_NB) == 0)
        clean_folder(folder_fd);
    flock(folder_fd, LOCK_SH);
}

static bool open_folder(struct handoffs *set, const struct handoff_config *config)
{
    const char *problem = NULL;
    char why[FOLDER_WHY_MAX];

    if (mkdir(set->folder, 0710) != 0 && errno != EEXIST)
        problem = folder_problem(set->folder, errno, why);
    if (!problem) {
        set->folder_fd = open(set->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        problem = set->folder_fd < 0 ? strerror(errno) : check_folder(set->folder_fd);
    }
    if (problem) {
        log_error("--handoff %s: %s", set->folder, problem);
        return false;
    }

    give_to_group(set, config->group);
    lock_and_clean(set->folder_fd);
    return true;
}

/* --- listeners --- */

/* The next random bytes of a token; NULL: there are none yet, early at boot. */
static const unsigned char *take_random(struct handoffs *set)
{
    if (!set->random_left) {
        if (getrandom(set->random, sizeof set->random, GRND_NONBLOCK) != (ssize_t)sizeof set->random)
            return NULL;
        set->random_left = sizeof set->random;
    }

    MUST(set->random_left >= TOKEN_BYTES);
    set->random_left -= TOKEN_BYTES;
    return set->random + set->random_left;
}

static bool make_token(struct handoffs *set, char token[HANDOFF_TOKEN_LEN + 1])
{
    const unsigned char *random = take_random(set);
    if (!random)
        return false;

    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        token[2 * i] = HEX[random[i] >> 4];
        token[2 * i + 1] = HEX[random[i] & 15];
    }
    token[HANDOFF_TOKEN_LEN] = '\0';
    return true;
}

/* A listening socket for the token; -1 on failure. Who can enter the directory can connect. */
static int listen_for(const struct handoffs *set, const char *token)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", set->folder, token);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;

    mode_t mask = umask(0111);
    bool bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(mask);
    if (bound && listen(fd, 1) == 0)
        return fd;
    if (bound)
        unlinkat(set->folder_fd, token, 0);
    close(fd);
    return -1;
}

static void listener_ready(void *context, uint32_t events);

static struct handoff_listener *new_listener(struct handoffs *set)
{
    struct handoff_listener *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;

    l->set = set;
    l->watch = (struct loop_watch){-1, listener_ready, l};
    if (make_token(set, l->token))
        l->watch.fd = listen_for(set, l->token);
    if (l->watch.fd >= 0 && loop_add(set->loop, &l->watch, EPOLLIN) == 0)
        return l;

    if (l->watch.fd >= 0) {
        unlinkat(set->folder_fd, l->token, 0);
        close(l->watch.fd);
    }
    free(l);
    return NULL;
}

static void free_closed(struct handoffs *set)
{
    struct handoff_listener *l;
    while ((l = TAILQ_FIRST(&set->closed))) {
        TAILQ_REMOVE(&set->closed, l, link);
        free(l);
    }
}

/* l is in no list. Its memory lasts until the timer fires, behind the events of this turn. */
static void close_listener(struct handoff_listener *l)
{
    struct handoffs *set = l->set;

    MUST(!l->offer);
    unlinkat(set->folder_fd, l->token, 0);
    loop_close(&l->watch);
    TAILQ_INSERT_TAIL(&set->closed, l, link);
    loop_timer_set(set->loop, &set->timer, loop_now(set->loop));
}

static void remove_spare(struct handoffs *set, struct handoff_listener *l)
{
    MUST(set->spare_count);
    TAILQ_REMOVE(&set->spare, l, link);
    set->spare_count--;
}

static struct handoff_listener *take_spare(struct handoffs *set)
{
    struct handoff_listener *l = TAILQ_FIRST(&set->spare);
    MUST((l == NULL) == (set->spare_count == 0));
    if (l)
        remove_spare(set, l);
    return l;
}

static void close_spares(struct handoffs *set)
{
    struct handoff_listener *l;
    while ((l = take_spare(set)))
        close_listener(l);
}

/* The name of l works no more; the next one is not known to any peer. */
static bool rename_listener(struct handoff_listener *l)
{
    struct handoffs *set = l->set;
    char next[HANDOFF_TOKEN_LEN + 1];

    if (!make_token(set, next) || renameat(set->folder_fd, l->token, set->folder_fd, next) != 0)
        return false;
    memcpy(l->token, next, sizeof next);
    return true;
}

/* The offer needs its listener no more. */
static void release_listener(struct handoff *h, bool reuse)
{
    struct handoffs *set = h->set;
    struct handoff_listener *l = h->listener;
    if (!l)
        return;

    MUST(l->offer == h && (h->has_peer || !reuse));
    h->listener = NULL;
    l->offer = NULL;
    if (!reuse || set->spare_count >= SPARES_MAX) {
        close_listener(l);
        return;
    }
    TAILQ_INSERT_TAIL(&set->spare, l, link);
    set->spare_count++;
}

/* Who connected to l is not for its offer. False: some of them still wait, for want of descriptors. */
static bool refuse_peers(struct handoff_listener *l)
{
    int fd;
    while ((fd = accept4(l->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        l->set->counters[HANDOFFS_REFUSED]++;
        close(fd);
    }
    return errno == EAGAIN;
}

/* Peers wait that cannot be accepted. They would wake the loop without end, and be taken for those of
 * a later offer. */
static void give_up_listener(struct handoff_listener *l)
{
    if (l->offer) {
        release_listener(l->offer, false);
        return;
    }
    remove_spare(l->set, l);
    close_listener(l);
}

/* Has no peer connected? To look costs half as much as to accept in vain. */
static bool is_unvisited(const struct handoff_listener *l)
{
    return poll(&(struct pollfd){.fd = l->watch.fd, .events = POLLIN}, 1, 0) == 0;
}

/* A listener that no peer knows yet; NULL on failure. */
static struct handoff_listener *find_listener(struct handoffs *set)
{
    struct handoff_listener *l = take_spare(set);
    if (!l)
        return new_listener(set);
    if (is_unvisited(l) || refuse_peers(l))
        return l;

    close_listener(l);
    return new_listener(set);
}

/* --- offers --- */

static void set_timer(struct handoffs *set)
{
    struct handoff *first = TAILQ_FIRST(&set->offers);
    if (first && !set->timer.due)
        loop_timer_set(set->loop, &set->timer, first->deadline);
}

void handoff_withdraw(struct handoff **h)
{
    if (!*h)
        return;
    struct handoffs *set = (*h)->set; // NOLINT(clang-analyzer-unix.Malloc): offers are unlinked before they are freed

    MUST(set->count);
    set->count--;
    TAILQ_REMOVE(&set->offers, *h, link);
    release_listener(*h, false);
    loop_close(&(*h)->watch);
    free(*h);
    *h = NULL;
}

/* The offer is over: free it, and tell its owner. fd -1: no descriptor came. */
static void handoff_settle(struct handoff *h, int fd)
{
    const struct handoff_hooks *hooks = h->set->hooks;
    void *owner = h->owner;

    release_listener(h, fd >= 0);
    handoff_withdraw(&h);
    if (fd < 0)
        hooks->lost(owner);
    else
        hooks->arrived(owner, fd);
}

static void expire_due(void *context, int64_t now)
{
    struct handoffs *set = context;
    struct handoff *first;

    while ((first = TAILQ_FIRST(&set->offers)) && first->deadline <= now) {
        set->counters[HANDOFFS_EXPIRED]++;
        if (!first->has_peer)
            close_spares(set); /* their files may be gone */
        handoff_settle(first, -1);
    }
    free_closed(set);
    set_timer(set);
}

/* --- the descriptor --- */

/* Is this the browser's end: a connected TCP socket? */
static bool is_tcp_connection(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0 || protocol != IPPROTO_TCP)
        return false;
    return getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

static void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        log_event(LOG_DEBUG, "socket option refused", log_count("option", (uint64_t)name));
}

/* Notice a browser that vanished without a word. */
static void prepare(const struct handoffs *set, int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S);
    if (set->user_timeout_ms)
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)set->user_timeout_ms); /* it decides, not the count */
    else
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* The descriptors that came with a message. */
struct passed_descriptors {
    int fds[DESCRIPTORS];
    size_t count;
    bool others; /* something else came along, or there was no room for all */
};

static void handoff_collect(struct msghdr *message, struct passed_descriptors *out)
{
    out->others = message->msg_flags & (MSG_CTRUNC | MSG_TRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            out->others = true;
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        MUST(out->count + count <= DESCRIPTORS);
        memcpy(out->fds + out->count, CMSG_DATA(c), count * sizeof(int));
        out->count += count;
    }
}

/* The one acceptable descriptor of a message; -1: there is none, and all of them are closed. */
static int choose(const struct passed_descriptors *d)
{
    if (d->count == 1 && !d->others && is_tcp_connection(d->fds[0]))
        return d->fds[0];

    for (size_t i = 0; i < d->count; i++)
        close(d->fds[i]);
    return -1;
}

/* Read what the peer sent. False: nothing yet. *browser becomes the browser's socket; -1: none came. */
static bool handoff_receive(const struct handoffs *set, int peer, int *browser)
{
    char byte;
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes};
    struct passed_descriptors received = {0};

    ssize_t n = recvmsg(peer, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n >= 0)
        handoff_collect(&message, &received);

    *browser = choose(&received);
    if (*browser >= 0)
        prepare(set, *browser);
    set->counters[*browser >= 0 ? HANDOFFS : HANDOFFS_REFUSED]++;
    return true;
}

/* --- the peer --- */

static bool peer_permitted(const struct handoffs *set, int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    return peer.uid == set->peer || peer.uid == geteuid();
}

/* What the peer sends is there already, usually. */
static void take_peer(struct handoff *h, int fd)
{
    struct handoffs *set = h->set;
    int browser = -1;

    h->has_peer = true;
    if (!rename_listener(h->listener))
        release_listener(h, false);

    if (handoff_receive(set, fd, &browser)) {
        close(fd);
        handoff_settle(h, browser);
        return;
    }

    h->watch.fd = fd;
    if (loop_add(set->loop, &h->watch, EPOLLIN) != 0)
        handoff_settle(h, -1);
}

/* Another peer than the web server changes nothing. */
static void listener_ready(void *context, uint32_t events)
{
    struct handoff_listener *l = context;
    (void)events;
    if (!l->offer || l->offer->has_peer) {
        if (!refuse_peers(l))
            give_up_listener(l);
        return;
    }

    int fd = accept4(l->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN)
            handoff_settle(l->offer, -1);
        return;
    }
    if (peer_permitted(l->set, fd)) {
        take_peer(l->offer, fd);
        return;
    }
    log_warn("hand-off refused: the peer is neither handoff-user nor the worker's own user");
    l->set->counters[HANDOFFS_REFUSED]++;
    close(fd);
}

static void peer_ready(void *context, uint32_t events)
{
    struct handoff *h = context;
    int browser = -1;

    (void)events;
    if (handoff_receive(h->set, h->watch.fd, &browser))
        handoff_settle(h, browser);
}

/* --- life --- */

struct handoff *handoff_offer(struct handoffs *set, void *owner)
{
    struct handoff *h = set->count < HANDOFFS_MAX ? calloc(1, sizeof *h) : NULL;
    struct handoff_listener *l = h ? find_listener(set) : NULL;
    if (!l) {
        free(h);
        return NULL;
    }

    MUST(!l->offer);
    l->offer = h;
    *h = (struct handoff){.watch = {-1, peer_ready, h}, .set = set, .owner = owner, .listener = l};
    memcpy(h->token, l->token, sizeof h->token);
    h->deadline = loop_now(set->loop) + HANDOFF_MS;
    MUST(TAILQ_EMPTY(&set->offers) || TAILQ_LAST(&set->offers, handoff_list)->deadline <= h->deadline);
    TAILQ_INSERT_TAIL(&set->offers, h, link);
    set->count++;
    set_timer(set);
    return h;
}

const char *handoff_token(const struct handoff *h)
{
    return h->token;
}

struct handoffs *handoffs_new(struct loop *loop, const struct handoff_config *config, const struct handoff_hooks *hooks,
                              uint64_t *counters)
{
    struct handoffs *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;

    MUST(strlen(config->folder) <= HANDOFF_FOLDER_MAX);
    *set = (struct handoffs){.loop = loop,
                             .hooks = hooks,
                             .counters = counters,
                             .peer = config->peer,
                             .user_timeout_ms = config->user_timeout_ms,
                             .folder_fd = -1};
    TAILQ_INIT(&set->offers);
    TAILQ_INIT(&set->spare);
    TAILQ_INIT(&set->closed);
    set->timer = (struct loop_timer){.fire = expire_due, .context = set};
    snprintf(set->folder, sizeof set->folder, "%s", config->folder);
    if (!open_folder(set, config))
        handoffs_free(&set);
    return set;
}

void handoffs_free(struct handoffs **set)
{
    if (!*set)
        return;

    struct handoff *h;
    while ((h = TAILQ_FIRST(&(*set)->offers)))
        handoff_withdraw(&h);
    MUST((*set)->count == 0);
    close_spares(*set);
    free_closed(*set);
    if ((*set)->folder_fd >= 0)
        close((*set)->folder_fd);
    free(*set);
    *set = NULL;
}

/* --- requests --- */

/* Is it said once, and is it this? */
static bool says(const struct params *params, const char *name, const char *expected)
{
    const char *value = params_get(params, name);
    return value && strcmp(value, expected) == 0;
}

bool handoff_permitted(const struct params *params)
{
    bool plain_http = says(params, "REQUEST_SCHEME", "http") &&
                      (says(params, "SERVER_PROTOCOL", "HTTP/1.1") || says(params, "SERVER_PROTOCOL", "HTTP/1.0"));
    bool no_tls = !params_repeated(params, "HTTPS") && (!params_get(params, "HTTPS") || says(params, "HTTPS", "off"));
    bool no_body = params_content_length(params) == 0 && !params_get(params, "HTTP_TRANSFER_ENCODING") &&
                   !params_repeated(params, "HTTP_TRANSFER_ENCODING");

    return plain_http && no_tls && no_body;
}

/* --- options --- */

static bool is_plain_path(const char *value)
{
    size_t len = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-");
    return value[0] == '/' && !value[len] && len <= 200;
}

const char *handoff_check_folder(const char *value)
{
    bool valid = value[0] == '/' && strlen(value) <= HANDOFF_FOLDER_MAX;
    return valid ? NULL : "the absolute path of a directory, of at most 74 bytes";
}

const char *handoff_check_url(const char *value)
{
    bool valid = is_plain_path(value) && value[strlen(value) - 1] == '/';
    return valid ? NULL : "a path of letters, digits and /_.- that begins and ends with /, as /handoff/";
}

const char *handoff_check_fallback(const char *value)
{
    return is_plain_path(value) ? NULL : "a path of letters, digits and /_.- that begins with /, as /sse-fcgi";
}
