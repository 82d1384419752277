/* handoff.h - takes browsers' sockets over from Apache (mod_proxy_fdpass).
 *
 * An offer is a unix socket whose name cannot be guessed, in a directory that only the web server
 * can enter. Apache connects to it and passes the browser's TCP socket as a descriptor. An offer
 * works once, for HANDOFF_MS. It is over when a descriptor has come, when the peer that connected
 * sends anything else or closes, or when its time is up.
 *
 * Only the web server's user and the worker's own may connect; other peers are closed and change
 * nothing. A descriptor is taken only if it is the one descriptor of its message, and a connected
 * TCP socket.
 *
 * It knows no streams: an offer has an owner, which is notified of its end.
 *
 * Ownership: an offer belongs to its owner until one of the hooks is called for it; then it is
 * freed. The descriptor is the arrived hook's.
 */
#ifndef SSECAST_HANDOFF_H
#define SSECAST_HANDOFF_H

#include <sys/types.h>

#include "base/loop.h"
#include "http/handoff_folder.h"
#include "http/params.h"

#define HANDOFF_MS 5000    /* until the descriptor must have come */
#define HANDOFFS_MAX 1024u /* offers at a time */

struct handoffs;
struct handoff;

struct handoff_hooks {
    /* fd is a connected TCP socket, which may be blocking: Apache shares this state. */
    void (*arrived)(void *owner, int fd);
    /* No descriptor came, or none that is accepted. */
    void (*lost)(void *owner);
};

struct handoff_config {
    const char *folder;
    uid_t peer;              /* the web server's user */
    gid_t group;             /* its group, which the directory gets */
    int64_t user_timeout_ms; /* TCP_USER_TIMEOUT of each socket; 0: the kernel's */
};

/* No offers yet. The directory is made or checked, see handoff_folder_open(). counters:
 * WORKER_COUNTERS. NULL with a line in the log. */
struct handoffs *handoffs_new(struct loop *loop, const struct handoff_config *config,
                              const struct handoff_hooks *hooks, uint64_t *counters);

/* All offers are withdrawn. */
void handoffs_free(struct handoffs **set);

/* A new offer. NULL when there are HANDOFFS_MAX, or without memory or descriptors. */
struct handoff *handoff_offer(struct handoffs *set, void *owner);

/* Its token, which is its name in the directory: HANDOFF_TOKEN_LEN digits. */
const char *handoff_token(const struct handoff *h);

/* The owner no longer wants it; no hook is called. Sets *h to NULL; safe on NULL. Not while
 * the loop handles events, unless the offer is new: see loop.h. */
void handoff_withdraw(struct handoff **h);

/* May the client's socket be handed over? Only if the web server proves that it speaks plain
 * HTTP/1.0 or HTTP/1.1 to the client, and the request has no body. */
bool handoff_permitted(const struct params *params);

/* NULL when value is a path of this server's that ends with / (for the redirect to an offer), or
 * one without a query (for the redirect to FastCGI). Else what is accepted. */
const char *handoff_check_url(const char *value);
const char *handoff_check_fallback(const char *value);

#endif
