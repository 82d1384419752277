#define LOG_SUBSYSTEM "stream"

#include "stream/open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/name.h"
#include "ops/log.h"
#include "stream/current.h"
#include "stream/heartbeat.h"
#include "stream/limits.h"
#include "stream/report.h"
#include "stream/resume.h"

/* --- admission --- */

enum admission {
    ADMIT,
    SHED_DRAINING,
    SHED_WORKER_FULL,
    SHED_ADDRESS_FULL,
    SHED_PATTERNS_FULL, /* the worker has mercure-max-patterns patterns */
    SHED_TOO_FAST,      /* more requests from this address than connect-rate allows */
};

/* The stream that makes way when one more of this session opens; NULL: there is room for both. */
static struct stream *displaced_by(const struct streams *set, struct slice session)
{
    uint64_t most = set->limits.per_session;
    if (!most || !session.len || registry_session_count(set->registry, session) < most)
        return NULL;

    return registry_session_oldest(set->registry, session);
}

/* Would there be more patterns than accepted, with those of r? A long one counts several times, so
 * that the limit bounds what an update costs. */
static bool patterns_full(const struct streams *set, const struct request *r)
{
    size_t more = r->patterns ? registry_new_pattern_weight(set->registry, r->patterns) : 0;
    return more && registry_pattern_weight(set->registry) + more > set->mercure.max_patterns;
}

/* Whether a new stream may open. The caller counts and logs a refusal. */
static enum admission admit(const struct streams *set, const struct request *r,
                            const struct address *address)
{
    const struct stream *displaced = displaced_by(set, slice_of(r->session));
    if (set->draining)
        return SHED_DRAINING;

    if (!displaced && registry_count(set->registry) >= set->limits.connections)
        return SHED_WORKER_FULL;

    bool same_address = displaced && limits_address(stream_own_limits(displaced)) == address;
    if (address && !same_address && address_full(set->addresses, address))
        return SHED_ADDRESS_FULL;

    if (patterns_full(set, r))
        return SHED_PATTERNS_FULL;

    return ADMIT;
}

static void count_shed(struct streams *set, enum admission why)
{
    set->counters[STREAMS_SHED]++;
    switch (why) {
    case SHED_WORKER_FULL:
        log_event(LOG_WARN, "streams refused: worker is full, raise max-connections or add workers",
                  log_count("max-connections", set->limits.connections));
        break;
    case SHED_ADDRESS_FULL:
        set->counters[SHED_ADDRESS]++;
        break;
    case SHED_PATTERNS_FULL:
        log_event(LOG_WARN,
                  "streams refused: too many patterns, raise mercure-max-patterns or add workers",
                  log_count("mercure-max-patterns", set->mercure.max_patterns));
        break;
    case SHED_TOO_FAST:
        set->counters[SHED_RATE]++;
        break;
    case ADMIT:
    case SHED_DRAINING:
        break;
    }
}

static struct event *shed(struct streams *set, const struct request *r, enum admission why)
{
    MUST(why != ADMIT);
    count_shed(set, why);
    return reply_come_back(&set->reply_rules, r, stream_jitter(set->limits.retry));
}

/* End s for a newer stream of its session. Its client reconnects late, so that two pages do not
 * replace each other in turn. */
static void replace(struct stream *s)
{
    uint64_t retry = (uint64_t)s->set->limits.retry * STREAM_REPLACED_FACTOR;

    exchange_send(&s->exchange,
                  reply_replaced(stream_jitter(retry < UINT32_MAX ? (uint32_t)retry : UINT32_MAX)));
    conn_end(&s->exchange.conn, END_REPLACED);
}

/* --- Apache's hand-off --- */

/* The request came over SCGI: a stream gets the browser's own socket. */
static bool is_handed(const struct incoming *in)
{
    return in->transport == CONN_SOCKET;
}

/* The longest query that is passed on to this path, with `more` bytes of parameters beside it. */
static size_t redirect_query_max(const char *path, size_t more)
{
    size_t taken = strlen(path) + more;
    return taken < REPLY_REDIRECT_MAX ? REPLY_REDIRECT_MAX - taken : 0;
}

/* Let Apache ask again over FastCGI: nothing was decided yet. */
static void redirect_to_fastcgi(struct streams *set, const struct incoming *in)
{
    const char *path = set->redirects.fallback, *query = params_get(in->params, "QUERY_STRING");
    size_t len = slice_of(query).len, most = redirect_query_max(path, 0);
    struct request r = {0};

    if (len <= most) {
        exchange_answer(set->exchanges, in, reply_redirect(path, NULL, query));
        return;
    }
    request_refuse_query(&r, len, most);
    set->counters[STREAMS_REFUSED]++;
    exchange_answer(set->exchanges, in, reply_refused(&set->reply_rules, &r));
}

/* Can this request for a stream be handed over? */
static bool can_be_handed(const struct streams *set, const struct params *params)
{
    const char *query = params_get(params, "QUERY_STRING");
    size_t most =
        redirect_query_max(set->redirects.handoff, REPLY_HEAD_PARAMETERS_MAX + HANDOFF_TOKEN_LEN);

    return handoff_permitted(params) && slice_of(query).len <= most;
}

/* Where Apache passes the socket of s. */
static struct event *handoff_redirect(const struct stream *s, const struct incoming *in,
                                      const struct request *r)
{
    const struct streams *set = s->set;
    char id[REGISTRY_ID_MAX], *path = NULL;
    char *parameters = reply_head_parameters(&set->reply_rules, r,
                                             registry_id(set->registry, stream_entry(s), id));
    struct event *text = NULL;

    if (asprintf(&path, "%s%s", set->redirects.handoff, handoff_token(s->exchange.handoff)) < 0)
        path = NULL;
    if (parameters && path)
        text = reply_redirect(path, parameters, params_get(in->params, "QUERY_STRING"));
    free(parameters);
    free(path);
    return text;
}

/* --- opening --- */

/* The client's cursor as it gave it: the hub's own ids are a # and digits. */
static struct slice shown_cursor(enum hub_dialect hub, const char *last_id, char digits[24])
{
    size_t len = strlen(last_id);
    if (hub == HUB_NONE || strspn(last_id, "0123456789") < len || len > 20)
        return slice_of(last_id);
    return (struct slice){digits, (size_t)snprintf(digits, 24, "#%s", last_id)};
}

/* The first block has no id: line in three cases. The position is unknown (also that of another
 * start), the client's cursor is not valid in such a line, or the current state comes first. Then
 * the first checkpoint follows when the stream has a position. */
static struct event *first_block(struct stream *s, const struct request *r)
{
    char digits[24], connection[REGISTRY_ID_MAX];
    struct block block = {.padding = r->padding, .has_retry = true, .retry = s->set->limits.retry};

    if (r->last_id && cursor_valid(slice_of(r->last_id)))
        /* Not the head: a disconnect during the replay would skip events. */
        block.id = shown_cursor(r->hub, r->last_id, digits);
    else if (!r->last_id && r->start.kind == START_AFTER && s->set->window &&
             !current_concerns(s, history_head(s->set->window)))
        block.id = stream_digits(s, history_head(s->set->window), digits);

    if (block.id.len)
        stream_mark_place(s, &block, connection);
    return reply_block(&block);
}

/* What only a stream of the hub has. 0 or -ENOMEM. */
static int new_of_hub(struct stream *s, struct request *r)
{
    if (!r->hub && !r->patterns && !r->grants)
        return 0;

    s->of_hub = calloc(1, sizeof *s->of_hub);
    if (!s->of_hub)
        return -ENOMEM;
    s->of_hub->grants = r->grants;
    r->grants = NULL;
    s->of_hub->subscriptions = buf_slice(&r->subscriptions);
    r->subscriptions = (struct buf){0};
    return 0;
}

/* The exchange s becomes a stream. 0 or -ENOMEM (it stays what it is). */
static int become_stream(struct stream *s, struct request *r, struct address *address)
{
    struct streams *set = s->set;
    if (limits_new(s, r->expires_ms, address, &s->own_limits) != 0)
        return -ENOMEM;

    s->entry = registry_add(set->registry, s, slice_of(r->session),
                            (struct names){r->channels, r->channel_count},
                            (struct slice){r->meta, r->meta_len});
    if (s->entry && r->patterns && registry_add_patterns(set->registry, s->entry, r->patterns) != 0)
        registry_remove(set->registry, &s->entry);
    if (s->entry && r->every_channel && registry_add_to_all(set->registry, s->entry) != 0)
        registry_remove(set->registry, &s->entry);
    if (s->entry && new_of_hub(s, r) != 0)
        registry_remove(set->registry, &s->entry);
    if (!s->entry) {
        limits_free(&s->own_limits);
        return -ENOMEM;
    }

    s->hub = r->hub;
    exchange_become(&s->exchange, EXCHANGE_STREAM, &stream_conn_hooks);
    TAILQ_INSERT_TAIL(&set->unconfirmed, s, unconfirmed);
    return 0;
}

/* Note the time, and the position if it is known. */
static void note_opening(struct stream *s)
{
    struct streams *set = s->set;
    s->since_ms = clock_unix_ms();
    s->opened_us = clock_us();
    if (set->window) {
        s->opened_at = history_head(set->window);
        return;
    }
    s->waited = true;
    if (!set->waiting_since)
        set->waiting_since = s->opened_us;
}

/* The cursor that the stream resumes from is the newer one of two. */
static void choose_cursor(const struct streams *set, struct request *r)
{
    if (r->last_id && r->other_id && resume_is_newer(set->window, r->last_id, r->other_id))
        request_swap_cursors(r);
}

/* The id of the event before the first one that follows, which the hub's clients read in the head.
 * `earliest` says that there may be a hole: also while only the broker knows. */
static void tell_cursor(const struct streams *set, struct request *r)
{
    const struct history *window = set->window;
    char digits[24];
    struct slice id = slice_of("earliest");

    if (!r->asks_cursor)
        return;
    MUST(r->hub != HUB_NONE);
    if (r->last_id && resume_is_known(window, r->last_id))
        id = shown_cursor(r->hub, r->last_id, digits);
    else if (!r->last_id && r->start.kind == START_AFTER && window)
        id = (struct slice){
            digits, (size_t)snprintf(digits, sizeof digits, "#%" PRIu64, history_head(window))};
    r->told_cursor = strndup(id.data, id.len);
}

/* The response's head and its first block. Apache has written the head to a socket that it
 * passed. */
static void send_beginning(struct stream *s, struct request *r)
{
    struct streams *set = s->set;
    char id[REGISTRY_ID_MAX];

    registry_id(set->registry, stream_entry(s), id);
    tell_cursor(set, r);
    if (s->exchange.conn.transport != CONN_SOCKET)
        exchange_send(&s->exchange, reply_stream(&set->reply_rules, r, id));
    if (stream_is_open(s))
        exchange_send(&s->exchange, first_block(s, r));
}

/* s has become a stream: send how it begins, and let it follow the sequence. */
static void begin_stream(struct stream *s, struct request *r)
{
    struct streams *set = s->set;

    set->counters[STREAMS_OPENED]++;
    note_opening(s);
    s->shows_checkpoints = r->checkpoints != CHECKPOINTS_OFF;
    s->shows_beats = r->checkpoints == CHECKPOINTS_ALWAYS;
    s->beaten_at = (uint32_t)loop_now(set->loop);

    choose_cursor(set, r);
    send_beginning(s, r);
    if (!stream_is_open(s))
        return;

    s->start = r->start.kind;
    s->chose_start = r->start.kind != START_AFTER;
    MUST(!r->last_id || !s->chose_start);
    if (s->chose_start) {
        s->from.value = r->start.value;
    } else {
        s->from.last_id = r->last_id;
        r->last_id = NULL;
    }
    report_stream(s, ITEM_OPENED);
    heartbeat_arm(set);
    if (set->window)
        resume_begin(s);
}

/* The request was admitted. */
static void open_stream(struct streams *set, const struct incoming *in, struct request *r,
                        struct address *address)
{
    struct stream *displaced = displaced_by(set, slice_of(r->session));
    bool handed = is_handed(in);
    struct stream *s = handed ? exchange_new_handed(set->exchanges, sizeof *s)
                              : exchange_new(set->exchanges, in, sizeof *s);
    if (!s && handed)
        redirect_to_fastcgi(set, in);
    if (!s)
        return;

    s->set = set;
    if (become_stream(s, r, address) != 0) {
        conn_cut(&s->exchange.conn, END_ANSWERED);
        if (handed)
            exchange_drop(in);
        return;
    }

    if (displaced)
        replace(displaced);
    if (handed)
        exchange_answer_now(set->exchanges, in, handoff_redirect(s, in, r));
    begin_stream(s, r);
}

/* --- short answers --- */

static enum worker_counter refusal_counter(int status)
{
    if (status == 401)
        return STREAMS_UNAUTHORIZED;

    return status == 403 ? STREAMS_FORBIDDEN : STREAMS_REFUSED;
}

/* The log line names the end of the ban, not the session: see log_slow(). */
static bool is_banned(const struct streams *set, const struct request *r)
{
    int64_t until_ms = bans_until(set->bans, slice_of(r->session), streams_broker_ms(set));

    if (until_ms)
        log_event(LOG_DEBUG, "request refused (204): session is banned",
                  log_count("until", (uint64_t)until_ms));
    return until_ms != 0;
}

/* The head that the stream of a GET would have, but for a connection's id. */
static struct event *head_alone(const struct streams *set, struct request *r)
{
    choose_cursor(set, r);
    tell_cursor(set, r);
    return reply_stream(&set->reply_rules, r, NULL);
}

/* The answer to a request that opens no stream. *answered is false if it opens one; the result
 * is then NULL. */
static struct event *short_answer(struct streams *set, struct request *r,
                                  const struct address *address, bool *answered)
{
    *answered = true;
    switch (r->kind) {
    case REQUEST_REFUSED:
        set->counters[refusal_counter(r->status)]++;
        return reply_refused(&set->reply_rules, r);
    case REQUEST_PREFLIGHT:
        return reply_preflight(&set->reply_rules, r->origin, REQUEST_METHODS, REQUEST_HEADERS);
    case REQUEST_HEAD:
    case REQUEST_STREAM:
        break;
    }

    if (is_banned(set, r)) {
        set->counters[STREAMS_BLOCKED]++;
        return reply_no_content(&set->reply_rules, r);
    }
    if (r->kind == REQUEST_HEAD)
        return head_alone(set, r);

    enum admission admission = admit(set, r, address);
    if (admission != ADMIT)
        return shed(set, r, admission);

    *answered = false;
    return NULL;
}

static void open_answer(struct streams *set, const struct incoming *in, struct request *r,
                        struct address *address)
{
    bool answered;
    struct event *text = short_answer(set, r, address, &answered);

    if (answered)
        exchange_answer(set->exchanges, in, text);
    else
        open_stream(set, in, r, address);
}

/* The request's token is verified first, where one is wanted. 0 or -ENOMEM. */
static int read_request(struct streams *set, const struct params *params, bool verify,
                        struct request *r)
{
    struct token token = {0};
    if (verify && set->tokens && request_wants_token(&set->request_rules))
        tokens_verify_request(set->tokens, params, clock_unix_ms(), &token);

    int err = request_read(params, &set->request_rules, &token, r);
    token_release(&token);
    return err;
}

/* The same for a request to the hub. */
static int read_mercure(struct streams *set, const struct params *params, bool verify,
                        struct request *r)
{
    struct token token = {0};
    if (verify && set->tokens)
        tokens_verify_mercure(set->tokens, params, clock_unix_ms(), &token);

    int err = mercure_read(params, &set->mercure, &token, r);
    token_release(&token);
    return err;
}

typedef int (*reader)(struct streams *set, const struct params *params, bool verify,
                      struct request *r);

/* judged: the request asks for a stream or its head. */
static void open_with(struct streams *set, const struct incoming *in, bool judged, reader read)
{
    struct address *address = NULL;
    struct request r = {0};

    if (is_handed(in) && request_is_stream(in->params) && !can_be_handed(set, in->params)) {
        redirect_to_fastcgi(set, in);
        return;
    }

    /* Count against the address's rate before the token is verified: verification is expensive. */
    bool in_time = !judged || limits_admit(set, in->params, &address);

    if (read(set, in->params, judged && in_time, &r) != 0)
        exchange_drop(in);
    else if (in_time)
        open_answer(set, in, &r, address);
    else
        exchange_answer(set->exchanges, in, shed(set, &r, SHED_TOO_FAST));
    request_release(&r);
}

void open_request(struct streams *set, const struct incoming *in)
{
    open_with(set, in, request_is_judged(in->params), read_request);
}

void open_mercure(struct streams *set, const struct incoming *in)
{
    if (is_handed(in))
        redirect_to_fastcgi(set, in); /* the cursor in the head would not survive the hand-off */
    else
        open_with(set, in, true, read_mercure);
}

bool open_refuse(struct streams *set, const struct incoming *in, bool found)
{
    struct request r = {0};
    if (!request_refuse_repeated(in->params, &set->request_rules, &r) && found)
        return false;

    if (!r.status)
        request_refuse_path(&r);
    r.origin = request_origin(in->params, set->reply_rules.cors_origins);
    set->counters[refusal_counter(r.status)]++;
    exchange_answer(set->exchanges, in, reply_refused(&set->reply_rules, &r));
    request_release(&r);
    return true;
}
