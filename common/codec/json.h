/* json.h - requests read, replies written: the only user of jansson.
 *
 * jansson builds the request without its `data` and `ref`, whose values stay the text that was sent (json_reduce.h).
 *
 * A request is parsed once. Its values are asked for by name and type; an answer that is not what was asked for is put into
 * words that a person can act upon ("`limit` must be a whole number from 1 to 1000, not \"x\""). What is to be handed on
 * unchanged (`ref`, `data`) is taken from the request's own bytes, so that numbers keep their digits.
 * Replies are written as text (json_out.h). Nothing here knows the commands.
 *
 * Ownership: a struct json owns everything that the getters give (names, texts, objects, lists); all of it lives until
 * json_free(). The request's bytes are the caller's and must live as long.
 */
#ifndef SSECAST_JSON_H
#define SSECAST_JSON_H

#include <stdint.h>

#include "base/json_out.h"
#include "codec/event.h"

struct json;

/* What was wrong. code is one of those a reply carries; message is UTF-8 as far as the request was. */
struct json_fault {
    const char *code; /* "bad_json", "bad_request", or a caller's own */
    char message[384];
    bool unknown; /* whether it was carried out nevertheless is not known */
};

/* An object within a request. Plain to copy; parent and json must outlive it. */
struct json_object {
    struct json *json;
    void *value;                      /* jansson's */
    struct slice text;                /* its source, from { to } */
    const struct json_object *parent; /* NULL: the request itself */
    const char *name;                 /* under which it stands in its parent */
    long index;                       /* in the parent's list of that name; -1: not in a list */
};

/* Parse one request. NULL with *fault set: bad_json (with the position) when text is not valid JSON: invalid UTF-8, a name
 * twice in one object, more than about 2,000 levels; bad_request when it is JSON but not an object, or out of memory. */
struct json *json_parse(struct slice text, struct json_fault *fault);

/* What is refused although it could be read; 0: what json_parse() accepts. */
struct json_limits {
    size_t name_bytes; /* of a session, channel or connection */
    size_t depth;      /* objects and lists within each other, the request's own object included */
    size_t values;     /* without those in `data` and `ref`, which are not built */
};

/* The same within limits. What is nested too deeply is bad_json, too many values are too_large. */
struct json *json_parse_within(struct slice text, const struct json_limits *limits, struct json_fault *fault);

/* The `ref` of a request, as it was sent, without building anything; empty when there is none, or when the request is not JSON. */
struct slice json_ref(struct slice text);

/* Free and set *j to NULL. Safe on NULL. */
void json_free(struct json **j);

/* The request itself. */
const struct json_object *json_root(const struct json *j);

/* Put code and a message into *fault. Always -EINVAL, for `return json_fault(...)`. */
int json_fault(struct json_fault *fault, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same as bad_request about a field of o: the message begins with the field's path in backquotes, as in "`events[3].to` ". */
int json_fault_at(struct json_fault *fault, const struct json_object *o, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same about o as a whole: "`events[3]` ", or "it " when o is the request itself. */
int json_fault_of(struct json_fault *fault, const struct json_object *o, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool json_has(const struct json_object *o, const char *name);

/* The source text of a field's value, without the white space around it; empty when there is no such field. For ref and data. */
struct slice json_raw(const struct json_object *o, const char *name);

/* Is each field among accepted (ended by NULL)? 0, or -EINVAL: the fault names the field and those accepted. */
int json_check_fields(const struct json_object *o, const char *const *accepted, struct json_fault *fault);

/* The getters. 0, or -EINVAL with *fault set. A field that is not there is no fault and leaves *out as it was: set the
 * default before, and use json_has() where it is required. null is not "not there". */

/* Any text, NUL included. */
int json_get_text(const struct json_object *o, const char *name, struct slice *out, struct json_fault *fault);

/* A session, channel or connection: what name_valid() accepts. */
int json_get_name(const struct json_object *o, const char *name, struct slice *out, struct json_fault *fault);

/* A list of names, at most EVENT_LIST_MAX; may be empty. */
int json_get_names(const struct json_object *o, const char *name, struct names *out, struct json_fault *fault);

/* A whole number; min and max are inclusive, at most INT64_MAX. */
int json_get_count(const struct json_object *o, const char *name, uint64_t min, uint64_t max, uint64_t *out,
                   struct json_fault *fault);

int json_get_flag(const struct json_object *o, const char *name, bool *out, struct json_fault *fault);

/* An object, such as `to`. When it is not there, out->value is NULL. */
int json_get_object(const struct json_object *o, const char *name, struct json_object *out, struct json_fault *fault);

/* How many values the list called name has; 0 when it is no list, or not there. */
size_t json_list_length(const struct json_object *o, const char *name);

/* A list of objects, such as `events`: at most max. */
int json_get_objects(const struct json_object *o, const char *name, size_t max, const struct json_object **out,
                     size_t *count, struct json_fault *fault);

/* {"ok":true ... then the fields of the reply, then json_reply_end() adds "ref" (left out when empty) and the brace. */
void json_reply_begin(struct buf *out);
void json_reply_end(struct buf *out, struct slice ref);

/* A whole {"ok":false,...}. ref may be empty. Anything written to out before is dropped. */
void json_reply_fault(struct buf *out, const struct json_fault *fault, struct slice ref);

#endif
