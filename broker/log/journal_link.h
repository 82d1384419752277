/* journal_link.h - a journal's connection to JetStream: requests about one stream, and which
 * request an answer is for.
 *
 * A request has a number, which its reply subject names beside the kind of the request. So an
 * answer that comes late is recognized. A lost request is not repeated. Bodies are not read.
 *
 * Ownership: as nats_link.h.
 */
#ifndef SSECAST_JOURNAL_LINK_H
#define SSECAST_JOURNAL_LINK_H

#include "log/nats_link.h"

#define JOURNAL_SUBJECT_MAX 256u

/* The letter of a request in its reply subject. */
enum journal_request {
    REQUEST_INSPECT = 'i', /* the state of the stream */
    REQUEST_MAKE = 'm',    /* a stream */
    REQUEST_CONSUMER = 'o',
    REQUEST_MESSAGE = 'g', /* one message, of the leader */
    REQUEST_END = 'e',     /* the state of the stream, too */
    REQUEST_APPEND = 'a',
};

/* Zeroed: closed. */
struct journal_link {
    struct nats_link *nats; /* NULL: closed */
    const char *stream;
    struct nats_listener *answers, *deliveries;
    char inbox[JOURNAL_SUBJECT_MAX];
};

/* Open a closed link about this stream. As nats_link_open(), or -ENOMEM.
 * Close it after a failure, too. */
int journal_link_open(struct journal_link *l, const struct nats_link_config *config,
                      const char *stream, char why[NATS_LINK_WHY_MAX]);

/* Safe when it is closed. */
void journal_link_close(struct journal_link *l);

/* Send a request, except REQUEST_APPEND. Nothing happens when the link is closed. */
void journal_link_request(struct journal_link *l, enum journal_request kind, uint64_t number,
                          struct slice body);

/* Append message to the stream right behind this offset, or not at all. 0, or -EIO when it was not
 * sent. */
int journal_link_append(struct journal_link *l, uint64_t number, uint64_t offset,
                        struct slice message);

/* Subscribe to the subject of a consumer with this number, which is put into subject. One consumer
 * at a time. */
void journal_link_subscribe(struct journal_link *l, uint64_t number,
                            char subject[JOURNAL_SUBJECT_MAX]);

/* Messages of the consumer are no longer received. Safe without one. */
void journal_link_unsubscribe(struct journal_link *l);

enum journal_link_news {
    LINK_NOTHING,
    LINK_UP,       /* as nats_link.h */
    LINK_DOWN,     /* likewise */
    LINK_CLOSED,   /* likewise: close it */
    LINK_ANSWER,   /* to the request of this kind and number */
    LINK_DELIVERY, /* from the consumer: a message of the stream, or a status of the server */
};

struct journal_link_message {
    struct nats_link_message nats;
    enum journal_request kind; /* of an answer */
    uint64_t number;           /* likewise */
};

/* The next news. LINK_NOTHING: nothing has come, or the link is closed. */
enum journal_link_news journal_link_receive(struct journal_link *l, struct journal_link_message *m);

/* Answer a status of the server, which may be waiting for that. True when it says how many messages
 * the consumer was sent. */
bool journal_link_answer_status(struct journal_link *l, const struct nats_link_message *m,
                                uint64_t *count);

/* The reply subject of a request. */
void journal_link_put_reply(const struct journal_link *l, enum journal_request kind,
                            uint64_t number, char subject[JOURNAL_SUBJECT_MAX]);

/* False when it is no reply subject of this link. */
bool journal_link_read_reply(const struct journal_link *l, const char *subject,
                             enum journal_request *kind, uint64_t *number);

#endif
