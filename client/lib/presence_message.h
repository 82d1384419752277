/* presence_message.h - what the broker says of one connection: a message of the presence socket, or a row of a presence page.
 *
 * Taken apart by reply_json.c, which knows jansson.
 */
#ifndef SSECAST_PRESENCE_MESSAGE_H
#define SSECAST_PRESENCE_MESSAGE_H

#include "base/slice.h"
#include "lib/ssecast.h"

#define PRESENCE_CHANNELS_MAX 1024u

/* Everything belongs to the message or page it came from. Texts end with NUL. */
struct presence_message {
    enum ssecast_presence_type type; /* a row's is SSECAST_CONNECTED */
    const char *run;                 /* a message's; else "" */
    uint64_t n;                      /* a message's */
    const char *connection, *session, *cause;
    const char *channels[PRESENCE_CHANNELS_MAX];
    size_t channel_count;
    int64_t at;         /* unix ms; a row's: since when it is connected */
    struct slice whole; /* as it came, one JSON object */
};

/* A page of the snapshot, beside its rows. */
struct presence_page {
    const char *run;
    uint64_t n;
    bool settled, more;
};

/* Take a message apart and show it to see. 0; -EBADMSG when it is no presence message; -ENOMEM. */
int presence_message_read(struct slice text, void (*see)(void *context, const struct presence_message *message),
                          void *context);

/* The same with each row of a reply to `presence`; *page is valid as long as the reply. 0; -EBADMSG when it is no such reply; -ENOMEM. */
int presence_page_read(const struct ssecast_reply *reply, struct presence_page *page,
                       void (*see)(void *context, const struct presence_message *message), void *context);

#endif
