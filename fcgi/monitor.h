/* monitor.h - who may see how the system is: healthz, metrics, status.
 *
 * Those from certain addresses, and those who bring the token. Where a request comes from is what the web server says (REMOTE_ADDR);
 * behind a proxy that is the proxy, unless the web server was told to believe it. The token is not one of a reader (a JWT) but a secret
 * of the operator's, in a file of its own; programs bring it as a bearer token, browsers as the password of HTTP's basic scheme. It never appears in the log.
 *
 * Ownership: monitor_new() copies the list; the file's name stays the caller's.
 */
#ifndef SSECAST_MONITOR_H
#define SSECAST_MONITOR_H

#include <stdbool.h>

#include "option.h"
#include "params.h"

struct monitor;

#define MONITOR_TOKEN_MIN 16u /* characters */
#define MONITOR_TOKEN_MAX 512u

/* NULL when value is an item of the list of addresses, else what is accepted. */
const char *monitor_check_from(const char *value);

/* from: checked items. token_file may be NULL: no token. NULL with a line in the log when the file cannot be used. */
struct monitor *monitor_new(const struct option_list *from, const char *token_file);

/* Read the token's file again (SIGHUP). When that fails the token stays, and a line in the log says why. */
void monitor_reload(struct monitor *m);

/* Safe on NULL. Sets *m to NULL. */
void monitor_free(struct monitor **m);

/* May whoever sent this request see? Nobody may when m is NULL. The time it takes says nothing about the token. */
bool monitor_allows(const struct monitor *m, const struct params *params);

/* Is there a token that somebody who was refused could bring? */
bool monitor_asks(const struct monitor *m);

#endif
