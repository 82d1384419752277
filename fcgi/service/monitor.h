/* monitor.h - who may see how the system is: healthz, metrics, status.
 *
 * Those from certain addresses, and those who bring the token. An address alone is no proof when a
 * browser stands there: a page of any site can have its own name lead to this web server (DNS
 * rebinding), and would read the answer as its own. So what tells more than a word is shown by
 * address under an address, localhost, and names of the option monitor-host only. Where a request
 * comes from is what the web server says (REMOTE_ADDR); behind a proxy that is the proxy, unless
 * the web server was told to believe it. The token is not one of a reader (a JWT) but a secret of
 * the operator's, in a file of its own; programs bring it as a bearer token, browsers as the
 * password of HTTP's basic scheme. It never appears in the log.
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

/* from: checked items. hosts: names under which it is shown by address; stays the caller's.
 * token_file may be NULL: no token. NULL with a line in the log when the file cannot be used. */
struct monitor *monitor_new(const struct option_list *from, const struct option_list *hosts, const char *token_file);

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

/* May the sender of this request see? Nobody may when m is NULL. guarded: what is shown depends
 * on the host name. A token is not looked at yet. */
enum monitor_verdict monitor_judge(const struct monitor *m, const struct params *params, bool guarded);

/* Does the request bring the token? The time it takes says nothing about the token. */
bool monitor_token_good(const struct monitor *m, const struct params *params);

/* Is there a token that somebody who was refused could bring? */
bool monitor_asks(const struct monitor *m);

#endif
