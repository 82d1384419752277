/* nats_link.h - a connection to a NATS server, or to one of several: messages out, messages in. The only user of libnats.
 *
 * libnats has threads of its own. What they bring (messages, and news of the connection) is put into one queue in its order, and a
 * descriptor becomes readable; everything else here is called by one thread and does not wait, but nats_link_open() and
 * nats_link_free(). It connects again by itself, for ever. It does not know JetStream.
 *
 * Ownership: what nats_link_receive() gives is valid until its next call.
 */
#ifndef SSECAST_NATS_LINK_H
#define SSECAST_NATS_LINK_H

#include <stdint.h>

#include "base/slice.h"

struct nats_link;

struct nats_link_config {
    const char *servers;                /* nats://HOST:PORT or tls://HOST:PORT, with commas between them */
    const char *name;                   /* of this client, for people who look at the server */
    const char *credentials;            /* a file as `nsc` writes it; NULL or empty: none */
    const char *ca, *certificate, *key; /* files, PEM; likewise */
};

#define NATS_LINK_WHY_MAX 256u

/* 0; -EAGAIN when no server could be reached, so that trying again makes sense; -EINVAL when one refused us, or a setting is wrong: why has a
 * line for people. */
int nats_link_open(const struct nats_link_config *config, struct nats_link **out, char why[NATS_LINK_WHY_MAX]);

/* Safe on NULL. */
void nats_link_free(struct nats_link **l);

/* Readable when nats_link_receive() has something. */
int nats_link_fd(const struct nats_link *l);

enum nats_link_news {
    NATS_LINK_MESSAGE,
    NATS_LINK_DOWN,   /* connecting again */
    NATS_LINK_UP,     /* connected again: subscriptions are in force, but what was sent meanwhile is lost */
    NATS_LINK_CLOSED, /* it gave up: the server refused us. Open another */
};

struct nats_listener;

struct nats_link_message {
    enum nats_link_news news;
    int64_t listener;    /* whose it is: nats_link_listener_id() */
    const char *subject; /* as it was sent; a reader in the server keeps the subject of what it hands on */
    const char *reply;   /* subject to answer to; NULL: none */
    struct slice data;
    int status; /* 0: an ordinary message; else what the server says instead: 100, 503 */
    void *handle;
};

bool nats_link_receive(struct nats_link *l, struct nats_link_message *m);

/* A header of the message received last; NULL: it has none of that name. */
const char *nats_link_header(const struct nats_link_message *m, const char *name);

/* Send data; reply and header may be NULL. 0 or -EIO: it was not sent. What was sent may be lost all the same. */
int nats_link_send(struct nats_link *l, const char *subject, const char *reply, const char *header, const char *value,
                   struct slice data);

/* Receive what is sent to subject. NULL when out of memory. */
struct nats_listener *nats_link_listen(struct nats_link *l, const char *subject);

/* No more of it, once what is queued was received. Sets *s to NULL; safe on NULL. */
void nats_link_unlisten(struct nats_listener **s);

/* No two of a connection have the same; never 0. */
int64_t nats_link_listener_id(const struct nats_listener *s);

/* A subject that nobody else uses, without a dot at its end. */
const char *nats_link_inbox(const struct nats_link *l);

bool nats_link_connected(const struct nats_link *l);

/* The server's limit on a message, headers included. */
size_t nats_link_max_message(const struct nats_link *l);

#endif
