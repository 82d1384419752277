#include "log/nats_link.h"

#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_MS 2000
#define RECONNECT_MS 250 /* between two attempts */
#define PING_MS 1000     /* a server that misses two of them is considered dead */
#define PINGS_OUT 2
#define WRITE_MS 2000 /* a server that reads nothing for this time is considered dead */
#define CLOSE_MS 2000

struct queued {
    struct queued *next;
    enum nats_link_news news;
    natsMsg *msg;
    int64_t listener;
};

/* libnats delivers each subscription's messages in a thread of its own. A subscription is destroyed
 * only after that thread has said that it is done with it. */
struct nats_listener {
    struct nats_link *link;
    struct nats_listener *next;
    natsSubscription *subscription;
    int64_t id;
    bool retired;
    bool complete; /* under the link's lock */
};

struct nats_link {
    struct nats_listener *listeners;
    int64_t last_id;
    natsConnection *connection;
    natsInbox *inbox;
    int fd; /* an eventfd */
    pthread_mutex_t lock;
    struct queued *first, **end; /* under lock */
    natsMsg *current;            /* given last */
    bool closed;                 /* libnats has called closed(): under lock */
    pthread_cond_t closing;
};

/* --- the queue, filled by libnats' threads --- */

static void enqueue(struct nats_link *l, enum nats_link_news news, natsMsg *msg, int64_t listener)
{
    struct queued *q = calloc(1, sizeof *q);
    if (!q) { /* the count of the server then shows a hole, and it is read again */
        natsMsg_Destroy(msg);
        return;
    }
    *q = (struct queued){.news = news, .msg = msg, .listener = listener};
    pthread_mutex_lock(&l->lock);
    bool wake = !l->first;
    *l->end = q;
    l->end = &q->next;
    pthread_mutex_unlock(&l->lock);
    if (wake)
        eventfd_write(l->fd, 1);
}

static struct queued *dequeue(struct nats_link *l)
{
    eventfd_t ignored;
    pthread_mutex_lock(&l->lock);
    struct queued *q = l->first;
    if (q)
        l->first = q->next;
    if (!l->first) {
        l->end = &l->first;
        eventfd_read(l->fd, &ignored);
    }
    pthread_mutex_unlock(&l->lock);
    return q;
}

static void nats_link_on_message(natsConnection *connection, natsSubscription *subscription,
                                 natsMsg *msg, void *context)
{
    struct nats_listener *s = context;
    (void)connection;
    (void)subscription;
    enqueue(s->link, NATS_LINK_MESSAGE, msg, s->id);
}

static void on_complete(void *context)
{
    struct nats_listener *s = context;
    struct nats_link *l = s->link;
    pthread_mutex_lock(&l->lock);
    s->complete = true;
    pthread_cond_broadcast(&l->closing);
    pthread_mutex_unlock(&l->lock);
}

static void on_disconnected(natsConnection *connection, void *context)
{
    (void)connection;
    enqueue(context, NATS_LINK_DOWN, NULL, 0);
}

static void on_reconnected(natsConnection *connection, void *context)
{
    (void)connection;
    enqueue(context, NATS_LINK_UP, NULL, 0);
}

static void on_closed(natsConnection *connection, void *context)
{
    struct nats_link *l = context;
    (void)connection;
    enqueue(l, NATS_LINK_CLOSED, NULL, 0);
    pthread_mutex_lock(&l->lock);
    l->closed = true;
    pthread_cond_broadcast(&l->closing);
    pthread_mutex_unlock(&l->lock);
}

/* Without a handler libnats writes to stderr. Other errors that matter are detected elsewhere. */
static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus err,
                     void *context)
{
    (void)connection;
    (void)subscription;
    if (err == NATS_NOT_PERMITTED)
        enqueue(context, NATS_LINK_DENIED, NULL, 0);
}

/* --- opening --- */

static natsStatus set_servers(natsOptions *o, const char *list)
{
    const char *servers[NATS_LINK_SERVERS_MAX];
    int count = 0;
    char *copy = strdup(list), *rest = copy, *one;
    if (!copy)
        return NATS_NO_MEMORY;
    while (count < (int)NATS_LINK_SERVERS_MAX && (one = strsep(&rest, ",")))
        if (*one)
            servers[count++] = one;
    natsStatus s = natsOptions_SetServers(o, servers, count);
    free(copy);
    return s;
}

static bool given(const char *text)
{
    return text && *text;
}

static natsStatus set_security(natsOptions *o, const struct nats_link_config *config)
{
    natsStatus s = NATS_OK;
    if (given(config->ca))
        s = natsOptions_LoadCATrustedCertificates(o, config->ca);
    if (s == NATS_OK && given(config->certificate))
        s = natsOptions_LoadCertificatesChain(o, config->certificate, config->key);
    if (s == NATS_OK && (given(config->ca) || strstr(config->servers, "tls://")))
        s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK && given(config->credentials))
        s = natsOptions_SetUserCredentialsFromFiles(o, config->credentials, NULL);
    return s;
}

static natsStatus set_callbacks(natsOptions *o, struct nats_link *l)
{
    natsStatus s = natsOptions_SetDisconnectedCB(o, on_disconnected, l);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectedCB(o, on_reconnected, l);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(o, on_closed, l);
    return s == NATS_OK ? natsOptions_SetErrorHandler(o, on_error, l) : s;
}

static natsStatus set_times(natsOptions *o)
{
    natsStatus s = natsOptions_SetTimeout(o, CONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(o, PING_MS);
    if (s == NATS_OK)
        s = natsOptions_SetMaxPingsOut(o, PINGS_OUT);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(o, -1);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(o, RECONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetWriteDeadline(o, WRITE_MS);
    return s == NATS_OK ? natsOptions_SetSendAsap(o, true) : s;
}

static natsStatus connect_to(struct nats_link *l, const struct nats_link_config *config)
{
    natsOptions *o = NULL;
    natsStatus s = natsOptions_Create(&o);
    if (s == NATS_OK)
        s = set_servers(o, config->servers);
    if (s == NATS_OK)
        s = natsOptions_SetName(o, config->name);
    if (s == NATS_OK)
        s = set_security(o, config);
    if (s == NATS_OK)
        s = set_callbacks(o, l);
    if (s == NATS_OK)
        s = set_times(o);
    if (s == NATS_OK)
        s = natsConnection_Connect(&l->connection, o);
    natsOptions_Destroy(o);
    return s == NATS_OK ? natsInbox_Create(&l->inbox) : s;
}

/* Whether a retry may succeed. */
static bool worth_trying_again(natsStatus s)
{
    return s == NATS_NO_SERVER || s == NATS_TIMEOUT || s == NATS_IO_ERROR ||
           s == NATS_STALE_CONNECTION || s == NATS_CONNECTION_CLOSED ||
           s == NATS_CONNECTION_DISCONNECTED;
}

static int explain(natsStatus s, char why[NATS_LINK_WHY_MAX])
{
    const char *detail = nats_GetLastError(NULL);
    snprintf(why, NATS_LINK_WHY_MAX, "%s%s%s%s", natsStatus_GetText(s), given(detail) ? " (" : "",
             given(detail) ? detail : "", given(detail) ? ")" : "");
    return worth_trying_again(s) ? -EAGAIN : -EINVAL;
}

int nats_link_open(const struct nats_link_config *config, struct nats_link **out,
                   char why[NATS_LINK_WHY_MAX])
{
    struct nats_link *l = calloc(1, sizeof *l);
    *out = NULL;
    if (!l) {
        snprintf(why, NATS_LINK_WHY_MAX, "out of memory");
        return -ENOMEM;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->closing, NULL);
    l->end = &l->first;
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    natsStatus s = l->fd < 0 ? NATS_SYS_ERROR : connect_to(l, config);
    if (s != NATS_OK) {
        int err = explain(s, why);
        nats_link_free(&l);
        return err;
    }
    *out = l;
    return 0;
}

static bool is_quiet(const struct nats_link *l)
{
    for (const struct nats_listener *s = l->listeners; s; s = s->next)
        if (!s->complete)
            return false;
    return l->closed;
}

enum reaping { REAP_RETIRED, REAP_ALL };

/* Destroy the ended subscriptions, or all, whose threads are done. */
static void reap_listeners(struct nats_link *l, enum reaping which)
{
    struct nats_listener **at = &l->listeners, *s;
    while ((s = *at)) {
        pthread_mutex_lock(&l->lock);
        bool done = s->complete && (which == REAP_ALL || s->retired);
        pthread_mutex_unlock(&l->lock);
        if (!done) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        natsSubscription_Destroy(s->subscription);
        free(s);
    }
}

/* libnats calls on_closed() from a thread of its own, some time after natsConnection_Close(). */
static void close_connection(struct nats_link *l)
{
    struct timespec until;
    natsConnection_Close(l->connection);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_MS / 1000;
    pthread_mutex_lock(&l->lock);
    while (!is_quiet(l) && pthread_cond_timedwait(&l->closing, &l->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&l->lock);
    reap_listeners(l, REAP_ALL);
    natsConnection_Destroy(l->connection);
}

void nats_link_free(struct nats_link **l)
{
    struct queued *q;
    if (!*l)
        return;
    if ((*l)->connection)
        close_connection(*l);
    while ((q = dequeue(*l))) {
        natsMsg_Destroy(q->msg);
        free(q);
    }
    natsMsg_Destroy((*l)->current);
    natsInbox_Destroy((*l)->inbox);
    if ((*l)->fd >= 0)
        close((*l)->fd);
    pthread_cond_destroy(&(*l)->closing);
    pthread_mutex_destroy(&(*l)->lock);
    free(*l);
    *l = NULL;
}

/* --- in --- */

int nats_link_fd(const struct nats_link *l)
{
    return l->fd;
}

static struct slice data_of(natsMsg *msg)
{
    return (struct slice){natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)};
}

/* A message without data may be a status of the server. */
static int status_of(natsMsg *msg)
{
    const char *status = NULL;
    if (natsMsg_GetDataLength(msg) > 0 || natsMsgHeader_Get(msg, "Status", &status) != NATS_OK ||
        !status)
        return 0;
    return atoi(status);
}

bool nats_link_receive(struct nats_link *l, struct nats_link_message *m)
{
    struct queued *q = dequeue(l);
    natsMsg_Destroy(l->current);
    l->current = NULL;
    if (!q)
        return false;
    *m = (struct nats_link_message){.news = q->news, .listener = q->listener};
    l->current = q->msg;
    if (q->msg) {
        m->subject = natsMsg_GetSubject(q->msg);
        m->reply = natsMsg_GetReply(q->msg);
        m->data = data_of(q->msg);
        m->status = status_of(q->msg);
        m->handle = q->msg;
    }
    free(q);
    return true;
}

const char *nats_link_header(const struct nats_link_message *m, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(m->handle, name, &value) == NATS_OK ? value : NULL;
}

/* --- out --- */

int nats_link_send(struct nats_link *l, const char *subject, const char *reply, const char *header,
                   const char *value, struct slice data)
{
    natsMsg *msg = NULL;
    if (!nats_link_connected(l))
        return -EIO;
    natsStatus s = natsMsg_Create(&msg, subject, reply, data.data, (int)data.len);
    if (s == NATS_OK && header)
        s = natsMsgHeader_Set(msg, header, value);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(l->connection, msg);
    natsMsg_Destroy(msg);
    return s == NATS_OK ? 0 : -EIO;
}

/* --- subscriptions --- */

struct nats_listener *nats_link_listen(struct nats_link *l, const char *subject)
{
    struct nats_listener *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    reap_listeners(l, REAP_RETIRED);
    *s = (struct nats_listener){.link = l, .next = l->listeners, .id = ++l->last_id};
    if (natsConnection_Subscribe(&s->subscription, l->connection, subject, nats_link_on_message,
                                 s) != NATS_OK) {
        free(s);
        return NULL;
    }
    l->listeners = s;
    natsSubscription_SetOnCompleteCB(s->subscription, on_complete, s);
    /* nats_link_on_message() takes them at once. */
    natsSubscription_SetPendingLimits(s->subscription, -1, -1);
    return s;
}

void nats_link_unlisten(struct nats_listener **s)
{
    if (*s) {
        (*s)->retired = true;
        natsSubscription_Unsubscribe((*s)->subscription);
    }
    *s = NULL;
}

/* --- state --- */

int64_t nats_link_listener_id(const struct nats_listener *s)
{
    return s->id;
}

const char *nats_link_inbox(const struct nats_link *l)
{
    return (const char *)l->inbox;
}

bool nats_link_connected(const struct nats_link *l)
{
    return natsConnection_Status(l->connection) == NATS_CONN_STATUS_CONNECTED;
}

size_t nats_link_max_message(const struct nats_link *l)
{
    int64_t max = natsConnection_GetMaxPayload(l->connection);
    return max > 0 ? (size_t)max : 0;
}
