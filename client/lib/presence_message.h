/* presence_message.h - one connection as the broker describes it: a message of the presence socket,
 * or a row of a presence page.
 *
 * Parsed by reply_json.c, the user of jansson.
 */
#ifndef SSECAST_PRESENCE_MESSAGE_H
#define SSECAST_PRESENCE_MESSAGE_H

#include "base/slice.h"
#include "lib/ssecast.h"

#define PRESENCE_CHANNELS_MAX 1024u

/* Pointers refer to the message or page it was parsed from. Texts end with NUL. */
struct presence_message {
    enum ssecast_presence_type type; /* a row's is SSECAST_CONNECTED */
    const char *run;                 /* a message's; else "" */
    uint64_t n;                      /* a message's */
    const char *connection, *session, *cause;
    const char *channels[PRESENCE_CHANNELS_MAX];
    size_t channel_count;
    int64_t at;         /* unix ms; of a row: when it connected */
    struct slice whole; /* its text, one JSON object */
};

/* A page of a snapshot, without its rows. */
struct presence_page {
    const char *run;
    uint64_t n;
    bool settled, more;
};

/* Parse a message and pass it to see. 0; -EBADMSG when it is not a presence message; -ENOMEM. */
int presence_message_read(struct slice text,
                          void (*see)(void *context, const struct presence_message *message),
                          void *context);

/* Parse a reply to `presence` and pass each row to see. *page is valid as long as the reply. 0;
 * -EBADMSG when it is not such a reply; -ENOMEM. */
int presence_page_read(const struct ssecast_reply *reply, struct presence_page *page,
                       void (*see)(void *context, const struct presence_message *message),
                       void *context);

#endif
