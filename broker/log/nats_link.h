/* nats_link.h - a connection to one of several NATS servers: sends and receives messages. The only
 * user of libnats.
 *
 * The threads of libnats put messages and connection events into one queue in order, and a
 * descriptor becomes readable. All functions are called by one thread. Only nats_link_open() and
 * nats_link_free() block. It reconnects without a limit. It does not know JetStream.
 *
 * Ownership: the result of nats_link_receive() is valid until its next call.
 */
#ifndef SSECAST_NATS_LINK_H
#define SSECAST_NATS_LINK_H

#include <stdint.h>

#include "base/slice.h"

struct nats_link;

struct nats_link_config {
    /* nats://HOST:PORT or tls://HOST:PORT, with commas between them. */
    const char *servers;
    const char *name;                   /* of this client, shown by the server */
    const char *credentials;            /* a file as `nsc` writes it; NULL or empty: none */
    const char *ca, *certificate, *key; /* PEM files; NULL or empty: none */
};

#define NATS_LINK_WHY_MAX 256u
#define NATS_LINK_SERVERS_MAX 64u

/* 0; -EAGAIN when no server could be reached: retry; -EINVAL when a server refused the connection,
 * or a setting is wrong. why has a line for the log. */
int nats_link_open(const struct nats_link_config *config, struct nats_link **out,
                   char why[NATS_LINK_WHY_MAX]);

/* Safe on NULL. */
void nats_link_free(struct nats_link **l);

/* Readable when nats_link_receive() has something. */
int nats_link_fd(const struct nats_link *l);

enum nats_link_news {
    NATS_LINK_MESSAGE,
    NATS_LINK_DOWN,   /* reconnecting */
    NATS_LINK_UP,     /* reconnected: subscriptions are active, messages in between are lost */
    NATS_LINK_DENIED, /* a subject is not permitted; of a publish each time */
    NATS_LINK_CLOSED, /* the server refused the connection for good: open another link */
};

struct nats_listener;

struct nats_link_message {
    enum nats_link_news news;
    int64_t listener;    /* nats_link_listener_id() of its listener */
    const char *subject; /* as sent; a consumer keeps the subject of a message */
    const char *reply;   /* subject of the reply; NULL: none */
    struct slice data;
    int status; /* 0: an ordinary message; else a status of the server: 100, 503 */
    void *handle;
};

bool nats_link_receive(struct nats_link *l, struct nats_link_message *m);

/* The value of a header in the last message received. NULL when the message lacks it. */
const char *nats_link_header(const struct nats_link_message *m, const char *name);

/* Send data; reply and header may be NULL. 0, or -EIO when it was not sent. A sent message may
 * still be lost. */
int nats_link_send(struct nats_link *l, const char *subject, const char *reply, const char *header,
                   const char *value, struct slice data);

/* Subscribe to subject. NULL when out of memory. */
struct nats_listener *nats_link_listen(struct nats_link *l, const char *subject);

/* Unsubscribe; messages in the queue are still received. Sets *s to NULL; safe on NULL. */
void nats_link_unlisten(struct nats_listener **s);

/* Unique for a connection; never 0. */
int64_t nats_link_listener_id(const struct nats_listener *s);

/* A subject for this connection alone, without a dot at its end. */
const char *nats_link_inbox(const struct nats_link *l);

bool nats_link_connected(const struct nats_link *l);

/* The limit of the server on a message, headers included. */
size_t nats_link_max_message(const struct nats_link *l);

#endif
