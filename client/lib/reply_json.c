#include "lib/reply_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json_scan.h"
#include "codec/surrogate.h"
#include "lib/presence_message.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct ssecast_reply {
    atomic_uint references;
    json_t *tree;
    char *text; /* as it came, without our ref */
    size_t len;
};

/* The broker writes the ref last and as we did. */
static void remove_ref(struct ssecast_reply *r, uint64_t ref)
{
    char tail[40];
    int n = snprintf(tail, sizeof tail, ",\"ref\":%" PRIu64 "}", ref);
    if (n <= 0 || r->len < (size_t)n || memcmp(r->text + r->len - n, tail, (size_t)n) != 0)
        return;
    r->len -= (size_t)n - 1;
    memcpy(r->text + r->len - 1, "}", 2);
}

static int reply_json_parse(struct ssecast_reply *r, struct slice text, uint64_t *ref)
{
    json_error_t error;
    r->text = malloc(text.len + 1);
    if (!r->text)
        return -ENOMEM;
    if (text.len > 0)
        memcpy(r->text, text.data, text.len);
    r->text[text.len] = 0;
    r->len = text.len;
    r->tree = json_loadb(r->text, r->len, JSON_ALLOW_NUL, &error);
    if (!r->tree && json_error_code(&error) == json_error_out_of_memory)
        return -ENOMEM;
    if (!json_is_boolean(json_object_get(r->tree, "ok")))
        return -EBADMSG;
    json_int_t number = json_integer_value(json_object_get(r->tree, "ref"));
    *ref = number > 0 ? (uint64_t)number : 0;
    if (*ref)
        remove_ref(r, *ref);
    return 0;
}

int reply_parse(struct slice text, struct ssecast_reply **reply, uint64_t *ref)
{
    *ref = 0;
    *reply = calloc(1, sizeof **reply);
    if (!*reply)
        return -ENOMEM;
    atomic_init(&(*reply)->references, 1);
    int err = reply_json_parse(*reply, text, ref);
    if (err)
        ssecast_reply_free(reply);
    return err;
}

struct ssecast_reply *ssecast_reply_ref(struct ssecast_reply *r)
{
    if (r)
        atomic_fetch_add(&r->references, 1);
    return r;
}

void ssecast_reply_free(struct ssecast_reply **reply)
{
    struct ssecast_reply *r = *reply;
    *reply = NULL;
    if (!r || atomic_fetch_sub(&r->references, 1) != 1)
        return;
    json_decref(r->tree);
    free(r->text);
    free(r);
}

/* ---- what it says ---- */

static const char *text_or_empty(const struct ssecast_reply *r, const char *name)
{
    const char *text = json_string_value(json_object_get(r->tree, name));
    return text ? text : "";
}

bool ssecast_reply_ok(const struct ssecast_reply *r)
{
    return json_is_true(json_object_get(r->tree, "ok"));
}

const char *ssecast_reply_code(const struct ssecast_reply *r)
{
    return text_or_empty(r, "error");
}

const char *ssecast_reply_message(const struct ssecast_reply *r)
{
    return text_or_empty(r, "message");
}

static uint64_t seq_of(const json_t *value)
{
    json_int_t seq = json_integer_value(value);
    return seq > 0 ? (uint64_t)seq : 0;
}

uint64_t ssecast_reply_seq(const struct ssecast_reply *r)
{
    return seq_of(json_object_get(r->tree, "seq"));
}

bool ssecast_reply_duplicate(const struct ssecast_reply *r)
{
    return json_is_true(json_object_get(r->tree, "duplicate"));
}

size_t ssecast_reply_seqs(const struct ssecast_reply *r, uint64_t *seqs, size_t max)
{
    const json_t *list = json_object_get(r->tree, "seqs");
    for (size_t i = 0; i < json_array_size(list) && i < max; i++)
        seqs[i] = seq_of(json_array_get(list, i));
    return json_array_size(list);
}

int ssecast_reply_number(const struct ssecast_reply *r, const char *name, int64_t *value)
{
    const json_t *found = json_object_get(r->tree, name);
    if (!json_is_integer(found) && !json_is_boolean(found))
        return -ENOENT;
    *value = json_is_integer(found) ? json_integer_value(found) : json_is_true(found);
    return 0;
}

const char *ssecast_reply_json(const struct ssecast_reply *r, size_t *len)
{
    if (len)
        *len = r->len;
    return r->text;
}

/* ---- requests ---- */

static bool is_question(const char *op)
{
    static const char *const questions[] = {"online",  "sessions", "connections", "history",
                                            "workers", "stats",    "metrics",     "status",
                                            "ping",    "presence", "bans",        "state"};
    for (size_t i = 0; op && i < COUNT(questions); i++)
        if (!strcmp(op, questions[i]))
            return true;
    return false;
}

/* A request, whose `data` may have halves of surrogate pairs, and numbers of any size. */
static json_t *read_request(struct slice text)
{
    char *softened = surrogate_softened(text);
    if (softened)
        json_soften(softened, text.len);
    json_t *tree =
        softened ? json_loadb(softened, text.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL)
                 : NULL;
    free(softened);
    return tree;
}

bool reply_is_request(struct slice text, bool *empty, bool *repeatable)
{
    json_t *tree = read_request(text);
    bool is = json_is_object(tree) && !json_object_get(tree, "ref");
    *empty = json_object_size(tree) == 0;
    *repeatable = is_question(json_string_value(json_object_get(tree, "op"))) ||
                  json_is_string(json_object_get(tree, "id"));
    json_decref(tree);
    return is;
}

bool reply_readable(struct slice request)
{
    json_t *tree = read_request(request);
    bool readable = tree != NULL;
    json_decref(tree);
    return readable;
}

/* ---- presence ---- */

static int type_of(const char *name, enum ssecast_presence_type *type)
{
    static const char *const names[] = {
        [SSECAST_CONNECTED] = "connected",
        [SSECAST_DISCONNECTED] = "disconnected",
        [SSECAST_SESSION_ONLINE] = "session_online",
        [SSECAST_SESSION_OFFLINE] = "session_offline",
    };
    for (size_t i = 0; name && i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0) {
            *type = (enum ssecast_presence_type)i;
            return 0;
        }
    return -EBADMSG;
}

/* A name; "" for a connection without a session, which is described with null. NULL: neither. */
static const char *session_of(const json_t *object)
{
    const json_t *session = json_object_get(object, "session");
    return json_is_null(session) ? "" : json_string_value(session);
}

/* What messages and rows have in common. */
static int read_who(const json_t *object, const char *time, struct presence_message *n)
{
    const json_t *channels = json_object_get(object, "channels");
    n->connection = json_string_value(json_object_get(object, "connection"));
    n->session = session_of(object);
    n->at = json_integer_value(json_object_get(object, time));
    n->channel_count = 0;
    for (size_t i = 0; i < json_array_size(channels) && i < PRESENCE_CHANNELS_MAX; i++) {
        const char *channel = json_string_value(json_array_get(channels, i));
        if (channel)
            n->channels[n->channel_count++] = channel;
    }
    return n->connection && n->session ? 0 : -EBADMSG;
}

static int read_message(const json_t *tree, struct presence_message *n)
{
    int err = type_of(json_string_value(json_object_get(tree, "type")), &n->type);
    const char *run = json_string_value(json_object_get(tree, "run"));
    const char *cause = json_string_value(json_object_get(tree, "cause"));
    n->run = run ? run : "";
    n->n = seq_of(json_object_get(tree, "n"));
    n->cause = cause ? cause : "";
    return err || !run || !n->n ? -EBADMSG : read_who(tree, "at", n);
}

int presence_message_read(struct slice text,
                          void (*see)(void *context, const struct presence_message *message),
                          void *context)
{
    json_error_t error;
    struct presence_message n = {.whole = text};
    json_t *tree = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);
    if (!tree)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
    int err = read_message(tree, &n);
    if (!err)
        see(context, &n);
    json_decref(tree);
    return err;
}

static int see_row(const json_t *row,
                   void (*see)(void *context, const struct presence_message *message),
                   void *context)
{
    struct presence_message n = {.type = SSECAST_CONNECTED, .run = "", .cause = ""};
    char *text = json_dumps(row, JSON_COMPACT);
    int err = text ? read_who(row, "since", &n) : -ENOMEM;
    n.whole = slice_of(text);
    if (!err)
        see(context, &n);
    free(text);
    return err;
}

int presence_page_read(const struct ssecast_reply *r, struct presence_page *page,
                       void (*see)(void *context, const struct presence_message *message),
                       void *context)
{
    const json_t *rows = json_object_get(r->tree, "connections"),
                 *n = json_object_get(r->tree, "n");
    page->run = json_string_value(json_object_get(r->tree, "run"));
    page->n = seq_of(n);
    page->settled = json_is_true(json_object_get(r->tree, "settled"));
    page->more = json_is_true(json_object_get(r->tree, "more"));
    if (!page->run || !json_is_integer(n) || !json_is_array(rows))
        return -EBADMSG;
    int err = 0;
    for (size_t i = 0; i < json_array_size(rows) && !err; i++)
        err = see_row(json_array_get(rows, i), see, context);
    return err;
}
