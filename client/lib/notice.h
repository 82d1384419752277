/* notice.h - what the broker says of one connection: a message of the presence socket, or a row of a presence page.
 *
 * Taken apart by reply.c, which knows jansson.
 */
#ifndef SSECAST_NOTICE_H
#define SSECAST_NOTICE_H

#include "base/slice.h"
#include "lib/ssecast.h"

#define NOTICE_CHANNELS_MAX 1024u

/* Everything belongs to the message or page it came from. Texts end with NUL. */
struct notice {
    enum ssecast_presence_type type; /* a row's is SSECAST_CONNECTED */
    const char *run;                 /* a message's; else "" */
    uint64_t n;                      /* a message's */
    const char *connection, *session, *cause;
    const char *channels[NOTICE_CHANNELS_MAX];
    size_t channel_count;
    int64_t at;         /* unix ms; a row's: since when it is connected */
    struct slice whole; /* as it came, one JSON object */
};

/* A page of the snapshot, beside its rows. */
struct notice_page {
    const char *run;
    uint64_t n;
    bool settled, more;
};

/* Take a message apart and show it to see. 0; -EBADMSG when it is no presence message; -ENOMEM. */
int notice_read(struct slice text, void (*see)(void *context, const struct notice *notice), void *context);

/* The same with each row of a reply to `presence`; *page is valid as long as the reply. 0; -EBADMSG when it is no such reply; -ENOMEM. */
int notice_read_page(const struct ssecast_reply *reply, struct notice_page *page,
                     void (*see)(void *context, const struct notice *notice), void *context);

#endif
