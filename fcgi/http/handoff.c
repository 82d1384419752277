/* Each offer has a listening socket of its own, its listener, because mod_proxy_fdpass says nothing
 * but the name of the socket. With the first peer that may connect, the listener gets another
 * random name, and the peer's connection has until the offer's deadline.
 *
 * Making and removing a socket file costs most of a hand-off. So a listener through which a
 * browser's socket has come is used again: no peer asks for its former names. One whose offer has
 * expired is not used again: Apache may still be about to connect to it. */
#include "http/handoff.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "http/passed_socket.h"
#include "ops/stats.h"

#define LOG_SUBSYSTEM "handoff"
#include "ops/log.h"

#define SPARES_MAX 256 /* about the number of Apache's threads: all may ask at once */

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
    bool has_peer;                     /* one that may connect did so; the token works no more */
    char token[HANDOFF_TOKEN_LEN + 1];
    TAILQ_ENTRY(handoff) link;
};

struct handoffs {
    struct loop *loop;
    const struct handoff_hooks *hooks;
    uint64_t *counters;
    TAILQ_HEAD(handoff_list, handoff) offers; /* in the order of their deadlines */
    size_t count;
    struct listener_list spare; /* the one that was used longest ago is first */
    size_t spare_count;
    struct listener_list closed; /* events may refer to them until the end of the turn */
    struct loop_timer timer;
    struct handoff_folder folder;
    uid_t peer;
    int64_t user_timeout_ms;
};

/* --- listeners --- */

static void listener_ready(void *context, uint32_t events);

static struct handoff_listener *new_listener(struct handoffs *set)
{
    struct handoff_listener *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;

    l->set = set;
    l->watch = (struct loop_watch){-1, listener_ready, l};
    if (handoff_folder_token(&set->folder, l->token))
        l->watch.fd = handoff_folder_listen(&set->folder, l->token);
    if (l->watch.fd >= 0 && loop_add(set->loop, &l->watch, EPOLLIN) == 0)
        return l;

    if (l->watch.fd >= 0) {
        handoff_folder_remove(&set->folder, l->token);
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
    handoff_folder_remove(&set->folder, l->token);
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

enum listener_fate { LISTENER_CLOSED, LISTENER_REUSED };

/* The offer needs its listener no more. */
static void release_listener(struct handoff *h, enum listener_fate fate)
{
    struct handoffs *set = h->set;
    struct handoff_listener *l = h->listener;
    if (!l)
        return;

    MUST(l->offer == h && (h->has_peer || fate == LISTENER_CLOSED));
    h->listener = NULL;
    l->offer = NULL;
    if (fate == LISTENER_CLOSED || set->spare_count >= SPARES_MAX) {
        close_listener(l);
        return;
    }
    TAILQ_INSERT_TAIL(&set->spare, l, link);
    set->spare_count++;
}

/* Close the connections of the peers that wait at l, which are not for its offer. False: some still
 * wait, because there are no descriptors. */
static bool refuse_peers(struct handoff_listener *l)
{
    int fd;
    while ((fd = accept4(l->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        l->set->counters[HANDOFFS_REFUSED]++;
        close(fd);
    }
    return errno == EAGAIN;
}

/* Close l, at which peers wait that cannot be accepted: they would wake the loop without end, and a
 * later offer would take them for its own. */
static void give_up_listener(struct handoff_listener *l)
{
    if (l->offer) {
        release_listener(l->offer, LISTENER_CLOSED);
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
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): offers are unlinked before they are freed
    struct handoffs *set = (*h)->set;

    MUST(set->count);
    set->count--;
    TAILQ_REMOVE(&set->offers, *h, link);
    release_listener(*h, LISTENER_CLOSED);
    loop_close(&(*h)->watch);
    free(*h);
    *h = NULL;
}

/* The offer is over: free it, and tell its owner. fd -1: no descriptor came. */
static void handoff_settle(struct handoff *h, int fd)
{
    const struct handoff_hooks *hooks = h->set->hooks;
    void *owner = h->owner;

    release_listener(h, fd >= 0 ? LISTENER_REUSED : LISTENER_CLOSED);
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

/* --- the peer --- */

/* As passed_socket_receive(). */
static bool receive_browser(const struct handoffs *set, int peer, int *browser)
{
    if (!passed_socket_receive(peer, set->user_timeout_ms, browser))
        return false;

    set->counters[*browser >= 0 ? HANDOFFS : HANDOFFS_REFUSED]++;
    return true;
}

static bool peer_permitted(const struct handoffs *set, int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    return peer.uid == set->peer || peer.uid == geteuid();
}

/* A peer that may connect has done so. Usually its message has come already, so it is read at
 * once. */
static void take_peer(struct handoff *h, int fd)
{
    struct handoffs *set = h->set;
    int browser = -1;

    h->has_peer = true;
    if (!handoff_folder_rename(&set->folder, h->listener->token))
        release_listener(h, LISTENER_CLOSED);

    if (receive_browser(set, fd, &browser)) {
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
    if (receive_browser(h->set, h->watch.fd, &browser))
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
    MUST(TAILQ_EMPTY(&set->offers) ||
         TAILQ_LAST(&set->offers, handoff_list)->deadline <= h->deadline);
    TAILQ_INSERT_TAIL(&set->offers, h, link);
    set->count++;
    set_timer(set);
    return h;
}

const char *handoff_token(const struct handoff *h)
{
    return h->token;
}

struct handoffs *handoffs_new(struct loop *loop, const struct handoff_config *config,
                              const struct handoff_hooks *hooks, uint64_t *counters)
{
    struct handoffs *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;

    *set = (struct handoffs){.loop = loop,
                             .hooks = hooks,
                             .counters = counters,
                             .peer = config->peer,
                             .user_timeout_ms = config->user_timeout_ms};
    TAILQ_INIT(&set->offers);
    TAILQ_INIT(&set->spare);
    TAILQ_INIT(&set->closed);
    set->timer = (struct loop_timer){.fire = expire_due, .context = set};
    if (!handoff_folder_open(&set->folder, config->folder, config->group, config->peer))
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
    handoff_folder_close(&(*set)->folder);
    free(*set);
    *set = NULL;
}

/* --- requests --- */

/* Is the parameter there once, with this value? */
static bool param_is(const struct params *params, const char *name, const char *expected)
{
    const char *value = params_get(params, name);
    return value && strcmp(value, expected) == 0;
}

bool handoff_permitted(const struct params *params)
{
    bool plain_http = param_is(params, "REQUEST_SCHEME", "http") &&
                      (param_is(params, "SERVER_PROTOCOL", "HTTP/1.1") ||
                       param_is(params, "SERVER_PROTOCOL", "HTTP/1.0"));
    bool no_tls = !params_repeated(params, "HTTPS") &&
                  (!params_get(params, "HTTPS") || param_is(params, "HTTPS", "off"));
    bool no_body = params_content_length(params) == 0 &&
                   !params_get(params, "HTTP_TRANSFER_ENCODING") &&
                   !params_repeated(params, "HTTP_TRANSFER_ENCODING");

    return plain_http && no_tls && no_body;
}

/* --- options --- */

static bool is_plain_path(const char *value)
{
    size_t len =
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-");
    return value[0] == '/' && !value[len] && len <= 200;
}

const char *handoff_check_url(const char *value)
{
    bool valid = is_plain_path(value) && value[strlen(value) - 1] == '/';
    return valid ? NULL
                 : "a path of letters, digits and /_.- that begins and ends with /, as /handoff/";
}

const char *handoff_check_fallback(const char *value)
{
    return is_plain_path(value)
               ? NULL
               : "a path of letters, digits and /_.- that begins with /, as /sse-fcgi";
}
