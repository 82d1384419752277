/* verb.h - the verbs of the command line: a row for each.
 *
 * cli.c parses the command line and calls run(). A verb builds its request; round_trip() sends it
 * and shows the reply. A new verb is a file and a row in cli.c.
 */
#ifndef SSECAST_VERB_H
#define SSECAST_VERB_H

#include "base/json_out.h"
#include "cli/flags.h"
#include "cli/view.h"
#include "lib/ssecast.h"
#include "ops/curve_key.h"

/* Exit statuses. */
enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* The program's options. */
struct settings {
    char *commands, *presence;         /* the broker's endpoints */
    char *curve_key_file, *broker_key; /* NULL: no CURVE */
    uint64_t timeout_ms;
    bool json;         /* print JSON */
    bool check_config; /* --check-config: judge the key files too */
};

/* One call of a verb. */
struct verb_call {
    const struct verb *verb;
    const struct settings *settings;
    const void *flags; /* the verb's struct */
    char **args;
    int count;
};

struct verb {
    const char *name;
    const char *args;    /* "EVENT [DATA|-]" */
    const char *summary; /* one line, no full stop */
    const char *more;    /* further paragraphs of --help, each ends with \n; NULL: none */
    struct flags flags;
    size_t flags_size; /* of the verb's struct, bytes */
    int min_args, max_args;
    struct view view;                         /* how a reply is shown without --json */
    int (*run)(const struct verb_call *call); /* an exit status */
};

extern const struct verb verb_publish, verb_shutdown, verb_online, verb_sessions, verb_connections,
    verb_workers, verb_history, verb_stats, verb_ping, verb_tail, verb_log_level, verb_keygen,
    verb_top, verb_watch, verb_bans, verb_unban, verb_state, verb_members;

/* One line on stderr: "ssecast VERB: ..." with control characters escaped. Returns status. */
int complain(const struct verb_call *call, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Send the request and release it, wait for the reply, and show it: as received with --json,
 * else by the verb's view. Returns an exit status. */
int round_trip(const struct verb_call *call, struct buf *request);

/* Show a reply that came in another way: as round_trip() does. */
int show_answer(const struct verb_call *call, struct slice json);

/* The same in two steps, around a call of the library: open a publisher; then show the reply,
 * and release both. */
int open_publisher(const struct verb_call *call, struct ssecast_publisher **publisher);
int open_presence(const struct verb_call *call, struct ssecast_presence_options *options,
                  struct ssecast_presence **presence);
int close_publisher(const struct verb_call *call, struct ssecast_publisher **publisher, int err,
                    struct ssecast_reply **reply);

#endif
