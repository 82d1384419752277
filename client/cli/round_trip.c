/* With --json a refusal is written to both outputs: programs read the code on stdout, people the
 * message on stderr. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/show.h"
#include "cli/verb.h"
#include "ops/endpoint.h"

#define SETTLE_MS 100 /* until a new socket has its permissions */

int complain(const struct verb_call *call, int status, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "ssecast %s: ", call->verb->name);
    show_text(stderr, slice_of(line));
    fputc('\n', stderr);
    return status;
}

/* The broker's socket that usually has the endpoint's port, when it is not that of commands;
 * else "". */
static const char *usual_of(const char *endpoint)
{
    static const char *const usual[][2] = {{":5571", " (5571 is usually the broker's feed)"},
                                           {":5572", " (5572 is usually the broker's sync)"},
                                           {":5573", " (5573 is usually the broker's presence)"}};
    const char *port = strrchr(endpoint, ':');
    for (size_t i = 0; port && i < sizeof usual / sizeof usual[0]; i++)
        if (strcmp(port, usual[i][0]) == 0)
            return usual[i][1];
    return "";
}

/* A socket that this user may not use: no wait for the broker changes that. A broker that starts
 * sets the permissions just after it made the socket. */
static int check_access(const struct verb_call *call, const char *endpoint)
{
    if (endpoint_access(endpoint) != -EACCES)
        return STATUS_OK;

    poll(NULL, 0, SETTLE_MS);
    if (endpoint_access(endpoint) != -EACCES)
        return STATUS_OK;
    return complain(call, STATUS_FAILED,
                    "cannot connect to %s: %s; accepted: a member of the socket's group", endpoint,
                    strerror(EACCES));
}

static int no_broker(const struct verb_call *call)
{
    const struct settings *s = call->settings;
    const char *missing = endpoint_access(s->commands) == -ENOENT ? ": no such socket" : "";
    return complain(call, STATUS_FAILED,
                    "no answer from %s within %g s%s: is ssecast-broker running there?%s",
                    s->commands, (double)s->timeout_ms / 1000, missing, usual_of(s->commands));
}

/* problem: the library's explanation; "": none. */
static int failed(const struct verb_call *call, int err, const char *problem)
{
    const struct settings *s = call->settings;
    if (err == -EHOSTUNREACH && *problem)
        return complain(call, STATUS_FAILED, "cannot connect to %s: %s%s", s->commands, problem,
                        usual_of(s->commands));
    if (err == -EHOSTUNREACH)
        return no_broker(call);
    if (err == -ETIMEDOUT)
        return complain(
            call, STATUS_FAILED,
            "no answer from %s within %g s, although a ZeroMQ socket accepted the request: is it "
            "busy, or is this the broker's sync endpoint?%s",
            s->commands, (double)s->timeout_ms / 1000, usual_of(s->commands));
    if (err == -EBADMSG)
        return complain(call, STATUS_FAILED, "the peer at %s is not ssecast-broker", s->commands);
    return complain(call, STATUS_FAILED, "cannot use %s: %s", s->commands, strerror(-err));
}

static int written(const struct verb_call *call)
{
    if (fflush(stdout) || ferror(stdout))
        return complain(call, STATUS_FAILED, "cannot write the output: %s", strerror(errno));
    return STATUS_OK;
}

/* Say how to request the rest of the list. */
static void note_more(const struct verb_call *call, struct slice reply)
{
    if (call->verb->view.more) {
        fprintf(stderr, "(there is more: %s)\n", call->verb->view.more);
        return;
    }

    struct tree *t = tree_parse(reply);
    fprintf(stderr, "(there is more: --after ");
    show_word(stderr, tree_text(t, "next"));
    fprintf(stderr, ", or --limit)\n");
    tree_free(&t);
}

/* A list lacks what only these brokers know. Other replies show them as a field. */
static void note_missing(const struct verb_call *call, struct slice reply)
{
    struct tree *t = call->verb->view.list ? tree_parse(reply) : NULL;
    const struct tree *missing = tree_at(t, "missing");
    for (size_t i = 0; i < tree_length(missing); i++) {
        fprintf(stderr, "(incomplete: broker ");
        show_text(stderr, tree_text_at(missing, i));
        fprintf(stderr, " is missing)\n");
    }
    tree_free(&t);
}

static int show_reply(const struct verb_call *call, struct slice text)
{
    bool more;
    int err = view_show(&call->verb->view, text, clock_unix_ms(), stdout, &more);
    if (err)
        return complain(call, STATUS_FAILED, "cannot show the reply: %s", strerror(-err));
    if (more)
        note_more(call, text);
    note_missing(call, text);
    return STATUS_OK;
}

static void show_verbatim(struct slice text)
{
    fwrite(text.data, 1, text.len, stdout);
    fputc('\n', stdout);
}

int show_answer(const struct verb_call *call, struct slice json)
{
    int status = STATUS_OK;
    if (call->settings->json)
        show_verbatim(json);
    else
        status = show_reply(call, json);
    return status == STATUS_OK ? written(call) : status;
}

static int round_trip_show(const struct verb_call *call, const struct ssecast_reply *reply)
{
    struct slice text;
    text.data = ssecast_reply_json(reply, &text.len);
    if (ssecast_reply_ok(reply))
        return show_answer(call, text);
    if (call->settings->json)
        show_verbatim(text);
    return complain(call, STATUS_FAILED, "%s: %s", ssecast_reply_code(reply),
                    ssecast_reply_message(reply));
}

/* The publisher's options, with these keys. */
static struct ssecast_publisher_options reach(const struct verb_call *call,
                                              const struct curve_client *keys)
{
    const struct settings *s = call->settings;
    struct ssecast_publisher_options options = {.endpoints = (const char *const *)&s->commands,
                                                .endpoint_count = 1,
                                                .timeout_ms = (uint32_t)s->timeout_ms,
                                                .retry_ms = UINT32_MAX};
    if (keys->broker_count)
        options.curve = (struct ssecast_curve){.server_key = keys->brokers[0].text,
                                               .secret_key = keys->secret.text};
    return options;
}

static int load_keys(const struct verb_call *call, struct curve_client *keys)
{
    char why[CURVE_KEY_WHY];
    char *broker = call->settings->broker_key;
    if (curve_client_load(keys, call->settings->curve_key_file, &broker, broker != NULL, 1, why) !=
        0)
        return complain(call, STATUS_USAGE, "%s", why);
    return STATUS_OK;
}

int open_publisher(const struct verb_call *call, struct ssecast_publisher **publisher)
{
    struct curve_client keys;
    int status = check_access(call, call->settings->commands);
    if (status == STATUS_OK)
        status = load_keys(call, &keys);
    if (status != STATUS_OK)
        return status;

    const struct ssecast_publisher_options options = reach(call, &keys);
    int err = ssecast_publisher_new(publisher, &options);
    curve_client_release(&keys);
    return err ? failed(call, err, "") : STATUS_OK;
}

int open_presence(const struct verb_call *call, struct ssecast_presence_options *options,
                  struct ssecast_presence **presence)
{
    struct curve_client keys;
    int status = check_access(call, call->settings->presence);
    if (status == STATUS_OK)
        status = check_access(call, call->settings->commands);
    if (status == STATUS_OK)
        status = load_keys(call, &keys);
    if (status != STATUS_OK)
        return status;

    options->endpoint = call->settings->presence;
    options->commands = reach(call, &keys);
    int err = ssecast_presence_new(presence, options);
    curve_client_release(&keys);
    return err ? complain(call, STATUS_FAILED, "cannot use %s and %s: %s", call->settings->presence,
                          call->settings->commands, strerror(-err))
               : STATUS_OK;
}

int close_publisher(const struct verb_call *call, struct ssecast_publisher **publisher, int err,
                    struct ssecast_reply **reply)
{
    int status = *reply ? round_trip_show(call, *reply)
                        : failed(call, err, ssecast_publisher_problem(*publisher));
    ssecast_reply_free(reply);
    ssecast_publisher_free(publisher);
    return status;
}

static int round_trip_ask(const struct verb_call *call, const char *request)
{
    struct ssecast_publisher *publisher = NULL;
    struct ssecast_reply *reply = NULL;
    int status = open_publisher(call, &publisher);
    if (status != STATUS_OK)
        return status;
    int err = ssecast_query(publisher, request, &reply);
    return close_publisher(call, &publisher, err, &reply);
}

int round_trip(const struct verb_call *call, struct buf *request)
{
    char *text = request->failed ? NULL : strndup(request->data, request->len);
    int status = text ? round_trip_ask(call, text) : complain(call, STATUS_FAILED, "out of memory");
    free(text);
    buf_release(request);
    return status;
}
