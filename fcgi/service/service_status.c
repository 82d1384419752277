/* status: a page for people, and the stream that feeds it.
 *
 * The page is one file without external resources (status.html), so it works without internet
 * access. Its data comes from the broker: while there are viewers, this worker requests it once a
 * second and sends all of them the same text. Without a reply, viewers get an `away` event, so that
 * they receive an event each second. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "ops/log.h"
#include "service/service.h"

#define EACH_MS 1000
#define REPLY_TIMEOUT_MS 3000 /* for the broker's answer; then it is asked again */
#define WATCHERS_MAX 200
#define SECONDS_FIRST 300 /* of the past, for whom it is new */
#define SECONDS_AGAIN 5   /* for all others: more than one, should an answer be lost */
#define RETRY_MS 2000

/* --- the page --- */

extern const char status_page[]; /* a string */

__asm__(".section .rodata\n"
        ".global status_page\n"
        "status_page:\n"
        ".incbin \"fcgi/service/status.html\"\n"
        ".byte 0\n"
        ".previous\n");

#define NONCE_MARK "{{nonce}}" /* in the page, where this answer's nonce goes */

/* A new one for each answer, so that no script or style but the page's own is ever obeyed. */
static bool make_nonce(char out[33])
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    return true;
}

static void write_page(FILE *out, const char *nonce)
{
    const char *at = status_page, *mark;
    while ((mark = strstr(at, NONCE_MARK))) {
        fwrite(at, 1, (size_t)(mark - at), out);
        fputs(nonce, out);
        at = mark + sizeof NONCE_MARK - 1;
    }
    fputs(at, out);
}

static void answer_page(struct call *c)
{
    char nonce[33], headers[512], *text = NULL;
    size_t len = 0;
    FILE *out = make_nonce(nonce) ? open_memstream(&text, &len) : NULL;
    if (out)
        write_page(out, nonce);
    if (!out || fclose(out) != 0) {
        call_refuse(c, 503, "unavailable", "out of memory");
        free(text);
        return;
    }
    snprintf(headers, sizeof headers,
             "Content-Security-Policy: default-src 'none'; "
             "script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
             "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
             "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n",
             nonce, nonce);
    call_answer(c, 200, headers, "text/html; charset=utf-8", (struct slice){text, len});
    free(text);
}

/* --- viewers --- */

struct watcher {
    struct call *call;
    LIST_ENTRY(watcher) link;
    bool fresh; /* was not sent the past yet */
};

struct watch {
    struct services *set;
    LIST_HEAD(, watcher) watchers;
    size_t count;
    struct call *asker; /* the call of the pending request to the broker; NULL: there is none */
    int64_t asked_at;
    bool whole; /* the request is for the past too */
    struct loop_timer timer;
};

static void each_second(void *context, int64_t now);

static struct watch *watch_of(struct services *set)
{
    if (!set->watch)
        set->watch = calloc(1, sizeof *set->watch);
    if (set->watch) {
        set->watch->set = set;
        set->watch->timer.fire = each_second;
        set->watch->timer.context = set->watch;
    }
    return set->watch;
}

void status_release(struct services *set)
{
    if (set->watch)
        loop_timer_stop(&set->watch->timer);
    free(set->watch);
    set->watch = NULL;
}

static bool add_watcher(struct watch *watch, struct call *c)
{
    struct watcher *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    *w = (struct watcher){.call = c, .fresh = true};
    LIST_INSERT_HEAD(&watch->watchers, w, link);
    watch->count++;
    c->state = w; /* freed with the call */
    return true;
}

static void closed(struct call *c)
{
    struct watch *watch = c->services->watch;
    struct watcher *w = c->state;
    if (!w)
        return;

    LIST_REMOVE(w, link);
    watch->count--;
    if (watch->asker == c)
        watch->asker = NULL;
}

/* --- updates --- */

/* Send the text to all viewers; whole: it has the past too. A slow reader is cut, as of any
 * stream. */
static void tell_all(struct watch *watch, struct slice text, bool whole)
{
    struct event *e = event_text(text);
    struct watcher *next;
    for (struct watcher *w = LIST_FIRST(&watch->watchers); e && w; w = next) {
        next = LIST_NEXT(w, link); /* sending may end it */
        w->fresh = w->fresh && !whole;
        conn_send(&w->call->exchange.conn, e);
    }
    event_unref(&e);
}

/* The broker's answer as an event; it has no line breaks in it. */
static void replied(struct call *c, struct slice json)
{
    struct watch *watch = c->services->watch;
    char *text = malloc(json.len + 16);
    watch->asker = NULL;
    if (!text)
        return;
    int len = snprintf(text, json.len + 16, "data: %.*s\n\n", (int)json.len, json.data);
    tell_all(watch, (struct slice){text, (size_t)len}, watch->whole);
    free(text);
}

static void status_ask(struct watch *watch, int64_t now)
{
    char json[64];
    bool whole = false;
    const struct watcher *w;
    LIST_FOREACH(w, &watch->watchers, link)
    whole = whole || w->fresh;
    int len = snprintf(json, sizeof json, "{\"op\":\"status\",\"seconds\":%d}",
                       whole ? SECONDS_FIRST : SECONDS_AGAIN);
    struct call *c = LIST_FIRST(&watch->watchers)->call;
    c->pending = upstream_command(watch->set->streams->upstream, c, &grant_everything,
                                  (struct slice){json, (size_t)len}, false);
    watch->asker = c->pending ? c : NULL;
    watch->asked_at = now;
    watch->whole = whole;
}

static void end_all(struct watch *watch)
{
    struct watcher *w;
    while ((w = LIST_FIRST(&watch->watchers)))
        conn_end(&w->call->exchange.conn, END_ANSWERED);
}

static void each_second(void *context, int64_t now)
{
    struct watch *watch = context;
    if (watch->set->streams->draining)
        end_all(watch);
    if (LIST_EMPTY(&watch->watchers))
        return;
    if (watch->asker && now - watch->asked_at >= REPLY_TIMEOUT_MS) {
        upstream_forget(watch->set->streams->upstream, &watch->asker->pending);
        watch->asker = NULL;
    }
    if (!upstream_connected(watch->set->streams->upstream) ||
        now - watch->asked_at >= REPLY_TIMEOUT_MS)
        tell_all(watch, slice_of("event: away\ndata: {}\n\n"), false);
    if (!LIST_EMPTY(&watch->watchers) && !watch->asker &&
        upstream_connected(watch->set->streams->upstream))
        status_ask(watch, now); /* telling them may have ended the last one */
    loop_timer_set(watch->set->streams->loop, &watch->timer, now + EACH_MS);
}

static void begin_stream(struct call *c)
{
    struct services *set = c->services;
    struct watch *watch = watch_of(set);
    if (!watch || watch->count >= WATCHERS_MAX || !add_watcher(watch, c)) {
        call_refuse(c, 503, "unavailable", "too many viewers of the status page");
        return;
    }
    c->streams = true;
    exchange_send(&c->exchange,
                  reply_stream(&set->streams->reply_rules, &(struct request){0}, NULL));
    exchange_send(&c->exchange, reply_block(&(struct block){.has_retry = true, .retry = RETRY_MS}));
    if (!watch->timer.due)
        watch->asked_at = loop_now(set->streams->loop);
    loop_timer_set(set->streams->loop, &watch->timer, loop_now(set->streams->loop));
}

/* --- the request --- */

static bool wants_stream(const struct params *params)
{
    const char *accept = params_get(params, "HTTP_ACCEPT");
    char *asked = params_query(params, "stream");
    bool wants = asked || (accept && strstr(accept, "text/event-stream"));
    free(asked);
    return wants;
}

static void status_begin(struct call *c, struct params *params)
{
    if (wants_stream(params) && !c->head)
        begin_stream(c);
    else
        answer_page(c);
}

const struct service service_status = {.name = "status",
                                       .methods = "GET, HEAD",
                                       .monitors = true,
                                       .guarded = true,
                                       .asks = true,
                                       .begin = status_begin,
                                       .replied = replied,
                                       .closed = closed};
