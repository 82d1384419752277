/* monitor.h - access to healthz, metrics and status.
 *
 * A client has access by its address or with the monitor token. An address alone is no proof for a
 * browser: a page of any site can make its own host name resolve to this web server (DNS
 * rebinding) and read the answer. So metrics and status need, with an address, a host name that is
 * an IP address, localhost or in the option monitor-host. The address of a client is REMOTE_ADDR.
 * Behind a proxy that is the proxy's, unless the web server is configured to trust it.
 *
 * The token is a secret of the operator's in a file of its own, not a JWT. Programs send it as a
 * bearer token, browsers as the password of HTTP Basic. It never appears in the log.
 *
 * Ownership: monitor_new() copies the list; the file's name stays the caller's.
 */
#ifndef SSECAST_MONITOR_H
#define SSECAST_MONITOR_H

#include <stdbool.h>

#include "http/params.h"
#include "ops/option.h"

struct monitor;

#define MONITOR_TOKEN_MIN 16u /* characters */
#define MONITOR_TOKEN_MAX 512u

/* NULL when value is an item of the list of addresses, else what is accepted. */
const char *monitor_check_from(const char *value);

/* NULL when value is a host name, else what is accepted. */
const char *monitor_check_host(const char *value);

/* Can the token in this file be used? 0, or -EINVAL with a line in why. */
int monitor_check_token(const char *path, char why[OPTION_WHY_MAX]);

/* from: checked items. hosts: names under which it is shown by address; stays the caller's.
 * token_file may be NULL: no token. NULL with a line in the log when the file cannot be used. */
struct monitor *monitor_new(const struct option_list *from, const struct option_list *hosts,
                            const char *token_file);

/* Read the token's file again (SIGHUP). When that fails the token stays, and a line in the log
 * says why. */
void monitor_reload(struct monitor *m);

/* Safe on NULL. Sets *m to NULL. */
void monitor_free(struct monitor **m);

enum monitor_verdict {
    MONITOR_SHOWN,  /* the sender may see */
    MONITOR_TOKEN,  /* by its token, if monitor_token_good() */
    MONITOR_HOST,   /* its address may, but not under this host name */
    MONITOR_HIDDEN, /* it may not */
};

/* Has the client of this request access? Never when m is NULL. guarded: what is shown depends
 * on the host name. A token is not looked at yet. */
enum monitor_verdict monitor_judge(const struct monitor *m, const struct params *params,
                                   bool guarded);

/* Does the request bring the token? The time it takes says nothing about the token. */
bool monitor_token_good(const struct monitor *m, const struct params *params);

/* Is there a token, which a client that was refused could send? */
bool monitor_asks(const struct monitor *m);

#endif
