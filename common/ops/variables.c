#include "ops/variables.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "ops/log.h"

#define PREFIX "SSECAST_"
#define NAME_MAX_LEN 64u /* longer ones are cut */

/* The options of all programs (a test compares them), and at the end what the programs in
 * examples/ read. */
static const char *const known[] = {
    "allow-insecure",
    "broker-key",
    "broker-timeout",
    "channel",
    "channels-from",
    "client-id",
    "commands",
    "connect-rate",
    "cors-origin",
    "curve-key-file",
    "drain",
    "dsn",
    "dump-store",
    "event",
    "feed",
    "handoff",
    "handoff-fallback",
    "handoff-listen",
    "handoff-url",
    "handoff-user",
    "handshake-timeout",
    "header",
    "heartbeat",
    "history-age",
    "history-bytes",
    "history-events",
    "id-prefix",
    "io-uring",
    "ipc-mode",
    "jwt-audience",
    "jwt-cookie",
    "jwt-issuer",
    "jwt-key-file",
    "jwt-leeway",
    "jwt-secret-file",
    "keepalive",
    "keyed",
    "keys",
    "listen",
    "listen-mode",
    "log-format",
    "log-level",
    "max-bans",
    "max-batch",
    "max-channels",
    "max-connections",
    "max-event-bytes",
    "max-in-flight",
    "max-json-depth",
    "max-name-bytes",
    "max-per-address",
    "max-per-session",
    "max-retry",
    "max-subscriptions",
    "max-targets",
    "mercure",
    "mercure-anonymous",
    "mercure-max-patterns",
    "mercure-subscriptions",
    "meta",
    "monitor-from",
    "monitor-host",
    "monitor-token-file",
    "mount",
    "notify",
    "outbox",
    "outbox-notify",
    "password-file",
    "payload",
    "pending-bytes",
    "poll",
    "presence",
    "presence-channels",
    "presence-grace",
    "presence-members",
    "presence-settle",
    "publish",
    "publish-bytes",
    "qos",
    "queue-bytes",
    "request-timeout",
    "retry",
    "server",
    "session-expiry",
    "session-from",
    "state",
    "state-bytes",
    "state-events",
    "statement-timeout",
    "store",
    "store-credentials",
    "store-replicas",
    "store-stream",
    "store-timeout",
    "store-tls-ca",
    "store-tls-cert",
    "store-tls-key",
    "sync",
    "timeout",
    "tls-ca",
    "tls-cert",
    "tls-key",
    "topic",
    "username",
    "window-bytes",
    "worker-lease",
    "write-timeout",
    "config",
    "url",
    "token-file",
};

bool variables_known(const char *option)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], option) == 0)
            return true;
    return false;
}

static bool has_row(const struct option_program *program, const char *option)
{
    for (size_t i = 0; i < program->count; i++)
        if (strcmp(program->rows[i].name, option) == 0)
            return true;
    return false;
}

/* What Kubernetes and Docker set for a service that is called ssecast or ssecast-something. */
static bool is_of_a_service(const char *variable, const char *value)
{
    size_t len = strcspn(variable, "=");
    bool port = len > 5 && memcmp(variable + len - 5, "_PORT", 5) == 0;
    return memmem(variable, len, "_SERVICE_", 9) || memmem(variable, len, "_PORT_", 6) ||
           (port && strncmp(value, "tcp://", 6) == 0);
}

/* SSECAST_SESSION_FROM=... sets session-from. */
static void option_of(const char *variable, char out[NAME_MAX_LEN + 1])
{
    const char *name = variable + strlen(PREFIX);
    size_t len = 0;
    for (; name[len] && name[len] != '=' && len < NAME_MAX_LEN; len++)
        out[len] = name[len] == '_' ? '-' : (char)tolower((unsigned char)name[len]);
    out[len] = '\0';
}

static void variable_of(const char *option, char out[NAME_MAX_LEN + 1])
{
    size_t len = 0;
    for (; len < NAME_MAX_LEN && option[len]; len++)
        out[len] = option[len] == '-' ? '_' : (char)toupper((unsigned char)option[len]);
    out[len] = '\0';
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be added, taken out or replaced to make b of a. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], b_len = strlen(b);
    for (size_t k = 0; k <= b_len; k++)
        row[k] = k;

    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b_len; k++) {
            size_t above = row[k];
            row[k] = least(row[k - 1] + 1, above + 1, diagonal + (a[i - 1] != b[k - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

static void consider(const char *name, const char *option, const char **best, size_t *best_distance)
{
    size_t d = distance(name, option);
    if (d < *best_distance) {
        *best = option;
        *best_distance = d;
    }
}

/* The known name that is so near that it was meant; NULL: there is none. The program's own go
 * first. */
static const char *nearest(const struct option_program *program, const char *name)
{
    size_t limit = strlen(name) / 4 + 2;
    const char *best = NULL;
    for (size_t i = 0; i < program->count; i++)
        consider(name, program->rows[i].name, &best, &limit);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        consider(name, known[i], &best, &limit);
    return best;
}

static void describe(const struct option_program *program, const char *name,
                     char why[VARIABLES_WHY_MAX])
{
    const char *meant = nearest(program, name);
    char variable[NAME_MAX_LEN + 1], meant_variable[NAME_MAX_LEN + 1] = "";
    variable_of(name, variable);
    for (char *c = variable; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            *c = '?';

    if (meant)
        variable_of(meant, meant_variable);
    snprintf(why, VARIABLES_WHY_MAX, "environment " PREFIX "%s: no option has this name%s%s%s",
             variable, meant ? "; did you mean " PREFIX : "", meant_variable,
             meant ? "?" : "; --help lists the options");
}

/* A variable that is set but empty counts as not set. */
static bool is_unknown(const struct option_program *program, const char *variable,
                       char name[NAME_MAX_LEN + 1])
{
    const char *value = strchr(variable, '=');
    if (strncmp(variable, PREFIX, strlen(PREFIX)) != 0 || !value || !value[1] ||
        is_of_a_service(variable, value + 1))
        return false;

    option_of(variable, name);
    return !has_row(program, name) && !variables_known(name);
}

bool variables_next_unknown(const struct option_program *program, size_t *cursor,
                            char why[VARIABLES_WHY_MAX])
{
    char name[NAME_MAX_LEN + 1];
    while (environ && environ[*cursor])
        if (is_unknown(program, environ[(*cursor)++], name)) {
            describe(program, name, why);
            return true;
        }
    return false;
}

void variables_warn(const struct option_program *program)
{
    char why[VARIABLES_WHY_MAX];
    size_t cursor = 0;
    while (variables_next_unknown(program, &cursor, why))
        log_warn("%s", why);
}
