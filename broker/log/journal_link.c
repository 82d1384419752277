#include "log/journal_link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define API "$JS.API."
#define NUMBER_MAX 24u

/* --- opening and closing --- */

int journal_link_open(struct journal_link *l, const struct nats_link_config *config,
                      const char *stream, char why[NATS_LINK_WHY_MAX])
{
    char subject[JOURNAL_SUBJECT_MAX];
    MUST(!l->nats);
    l->stream = stream;
    int err = nats_link_open(config, &l->nats, why);
    if (err)
        return err;

    snprintf(l->inbox, sizeof l->inbox, "%.200s", nats_link_inbox(l->nats));
    snprintf(subject, sizeof subject, "%.200s.>", l->inbox);
    l->answers = nats_link_listen(l->nats, subject);
    return l->answers ? 0 : -ENOMEM;
}

void journal_link_close(struct journal_link *l)
{
    journal_link_unsubscribe(l);
    nats_link_unlisten(&l->answers);
    nats_link_free(&l->nats);
}

/* --- requests --- */

void journal_link_put_reply(const struct journal_link *l, enum journal_request kind,
                            uint64_t number, char subject[JOURNAL_SUBJECT_MAX])
{
    snprintf(subject, JOURNAL_SUBJECT_MAX, "%.200s.%c.%" PRIu64, l->inbox, (char)kind, number);
}

bool journal_link_read_reply(const struct journal_link *l, const char *subject,
                             enum journal_request *kind, uint64_t *number)
{
    size_t len = strlen(l->inbox);
    if (strncmp(subject, l->inbox, len) != 0 || subject[len] != '.' || !subject[len + 1] ||
        subject[len + 2] != '.')
        return false;
    *kind = (enum journal_request)subject[len + 1];
    *number = strtoull(subject + len + 3, NULL, 10);
    return true;
}

static const char *request_verb(enum journal_request kind)
{
    switch (kind) {
    case REQUEST_INSPECT:
    case REQUEST_END:
        return "STREAM.INFO";
    case REQUEST_MAKE:
        return "STREAM.CREATE";
    case REQUEST_CONSUMER:
        return "CONSUMER.CREATE";
    case REQUEST_MESSAGE:
        return "STREAM.MSG.GET";
    case REQUEST_APPEND:
        break;
    }
    MUST(!"a request without a verb");
    return "";
}

void journal_link_request(struct journal_link *l, enum journal_request kind, uint64_t number,
                          struct slice body)
{
    char subject[JOURNAL_SUBJECT_MAX], reply[JOURNAL_SUBJECT_MAX];
    if (!l->nats)
        return;
    journal_link_put_reply(l, kind, number, reply);
    snprintf(subject, sizeof subject, API "%s.%s", request_verb(kind), l->stream);
    nats_link_send(l->nats, subject, reply, NULL, NULL, body);
}

int journal_link_append(struct journal_link *l, uint64_t number, uint64_t offset,
                        struct slice message)
{
    char reply[JOURNAL_SUBJECT_MAX], expected[NUMBER_MAX];
    journal_link_put_reply(l, REQUEST_APPEND, number, reply);
    snprintf(expected, sizeof expected, "%" PRIu64, offset);
    return nats_link_send(l->nats, l->stream, reply, "Nats-Expected-Last-Sequence", expected,
                          message);
}

/* --- the consumer --- */

void journal_link_subscribe(struct journal_link *l, uint64_t number,
                            char subject[JOURNAL_SUBJECT_MAX])
{
    MUST(!l->deliveries);
    snprintf(subject, JOURNAL_SUBJECT_MAX, "%.200s-d.%" PRIu64, l->inbox, number);
    l->deliveries = nats_link_listen(l->nats, subject);
}

void journal_link_unsubscribe(struct journal_link *l)
{
    nats_link_unlisten(&l->deliveries);
}

bool journal_link_answer_status(struct journal_link *l, const struct nats_link_message *m,
                                uint64_t *count)
{
    const char *stalled = nats_link_header(m, "Nats-Consumer-Stalled");
    const char *sent = nats_link_header(m, "Nats-Last-Consumer");
    if (m->reply || stalled)
        nats_link_send(l->nats, m->reply ? m->reply : stalled, NULL, NULL, NULL, (struct slice){0});
    if (sent)
        *count = strtoull(sent, NULL, 10);
    return sent != NULL;
}

/* --- receiving --- */

static enum journal_link_news link_judge(const struct journal_link *l,
                                         struct journal_link_message *m)
{
    switch (m->nats.news) {
    case NATS_LINK_UP:
        return LINK_UP;
    case NATS_LINK_DOWN:
        return LINK_DOWN;
    case NATS_LINK_CLOSED:
        return LINK_CLOSED;
    case NATS_LINK_DENIED: /* requests then have no answer */
        return LINK_NOTHING;
    case NATS_LINK_MESSAGE:
        break;
    }

    if (!m->nats.listener)
        return LINK_NOTHING;
    if (m->nats.listener == nats_link_listener_id(l->answers))
        return journal_link_read_reply(l, m->nats.subject, &m->kind, &m->number) ? LINK_ANSWER
                                                                                 : LINK_NOTHING;
    if (l->deliveries && m->nats.listener == nats_link_listener_id(l->deliveries))
        return LINK_DELIVERY;
    return LINK_NOTHING; /* of an earlier consumer */
}

enum journal_link_news journal_link_receive(struct journal_link *l, struct journal_link_message *m)
{
    while (l->nats && nats_link_receive(l->nats, &m->nats)) {
        enum journal_link_news news = link_judge(l, m);
        if (news)
            return news;
    }
    return LINK_NOTHING;
}
