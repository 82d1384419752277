/* Why a refusal goes to both outputs with --json: a program reads the code on stdout, a person the message on stderr. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "ask.h"
#include "show.h"
#include "verb.h"

int complain(const struct call *call, int status, const char *format, ...)
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

static int no_answer(const struct call *call, int err)
{
    const struct settings *s = call->settings;
    if (err == -ETIMEDOUT)
        return complain(call, STATUS_FAILED, "no answer from %s within %g s: is ssecast-broker running there?",
                        s->commands, (double)s->timeout_ms / 1000);
    return complain(call, STATUS_FAILED, "cannot use %s: %s", s->commands, strerror(-err));
}

static int written(const struct call *call)
{
    if (fflush(stdout) || ferror(stdout))
        return complain(call, STATUS_FAILED, "cannot write the output: %s", strerror(errno));
    return STATUS_OK;
}

static void show_verbatim(struct slice text)
{
    fwrite(text.data, 1, text.len, stdout);
    fputc('\n', stdout);
}

static int show_reply(const struct call *call, const struct reply *r)
{
    if (reply_show(r, &call->verb->view, stdout))
        return complain(call, STATUS_FAILED, "out of memory");
    if (reply_more(r))
        fprintf(stderr, "(there is more: %s)\n", call->verb->view.more);
    return STATUS_OK;
}

static int judge(const struct call *call, struct slice text, const struct reply *r)
{
    if (!r)
        return complain(call, STATUS_FAILED, "what answers at %s is not ssecast-broker", call->settings->commands);
    if (call->settings->json)
        show_verbatim(text);
    if (!reply_ok(r))
        return complain(call, STATUS_FAILED, "%s: %s", reply_error(r), reply_message(r));
    int status = call->settings->json ? STATUS_OK : show_reply(call, r);
    return status == STATUS_OK ? written(call) : status;
}

static int ask_and_show(const struct call *call, const struct question *q)
{
    struct answer a;
    int err = ask(q, &a);
    if (err)
        return no_answer(call, err);
    struct slice text = {a.data, a.len};
    struct reply *r = reply_parse(text);
    int status = judge(call, text, r);
    reply_free(&r);
    answer_release(&a);
    return status;
}

int exchange(const struct call *call, struct json_out *request, const struct slice *payload)
{
    struct question q = {.endpoint = call->settings->commands,
                         .timeout_ms = call->settings->timeout_ms,
                         .request = {request->data, request->len},
                         .has_payload = payload != NULL};
    if (payload)
        q.payload = *payload;
    int status = request->failed ? complain(call, STATUS_FAILED, "out of memory") : ask_and_show(call, &q);
    json_out_release(request);
    return status;
}
