/* json.h - parses requests and writes replies. It does not know the commands.
 *
 * A request is parsed once. Getters take values by name and type. A wrong type becomes an error
 * message such as "`limit` must be a whole number from 1 to 1000, not \"x\"". The values of `ref`
 * and `data` are passed on as the request's own bytes (json_tree.h), so that numbers keep their
 * digits. Replies are written as text (json_out.h).
 *
 * Ownership: a struct json owns everything that the getters return, until json_free(). The
 * request's bytes belong to the caller and must live as long.
 */
#ifndef SSECAST_JSON_H
#define SSECAST_JSON_H

#include <stdint.h>

#include "base/json_out.h"
#include "codec/event.h"

struct json;
struct json_node;

/* An error of a request. code is an error code of replies; message is UTF-8 as far as the
 * request was. */
struct json_fault {
    const char *code; /* "bad_json", "bad_request", or a caller's own */
    char message[384];
    bool unknown; /* it is not known whether the request took effect */
    bool placed;  /* message begins with the path of what is wrong */
};

/* An object within a request. Plain to copy; parent and json must outlive it. */
struct json_object {
    struct json *json;
    const struct json_node *value;    /* json_tree.h */
    const struct json_object *parent; /* NULL: the request itself */
    const char *name;                 /* its field's name in the parent */
    long index;                       /* in the parent's list of that name; -1: not in a list */
};

/* Parse one request. NULL with *fault set: bad_json (with the position) when text is not valid
 * JSON: invalid UTF-8, a name twice in one object, more than about 2,000 levels; bad_request
 * when it is JSON but not an object, or out of memory. */
struct json *json_parse(struct slice text, struct json_fault *fault);

/* Limits below what json_parse() accepts; 0: no further limit. */
struct json_limits {
    size_t name_bytes; /* of a session, channel or connection */
    size_t depth;      /* objects and lists within each other, the request's own object included */
    size_t values;     /* without those in `data` and `ref` */
};

/* The same within limits. Nesting too deep is bad_json; too many values are too_large. */
struct json *json_parse_within(struct slice text, const struct json_limits *limits,
                               struct json_fault *fault);

/* The `ref` of a request as it was sent; empty when there is none, or when the request is not
 * JSON. */
struct slice json_ref(struct slice text);

/* Free and set *j to NULL. Safe on NULL. */
void json_free(struct json **j);

/* The request itself. */
const struct json_object *json_root(const struct json *j);

/* Set *fault to code and a message. Always returns -EINVAL, for `return json_fault(...)`. */
int json_fault(struct json_fault *fault, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same as bad_request about a field of o: the message begins with the field's path in
 * backquotes, as in "`events[3].to` ". */
int json_fault_at(struct json_fault *fault, const struct json_object *o, const char *name,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same about o as a whole: "`events[3]` ", or "it " when o is the request itself. */
int json_fault_of(struct json_fault *fault, const struct json_object *o, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool json_has(const struct json_object *o, const char *name);

/* The source text of a field's value, without the white space around it; empty when there is no
 * such field. For ref and data. */
struct slice json_raw(const struct json_object *o, const char *name);

/* Check that each field is in accepted (ended by NULL). 0, or -EINVAL: the fault names the field
 * and those accepted. */
int json_check_fields(const struct json_object *o, const char *const *accepted,
                      struct json_fault *fault);

/* The getters. 0, or -EINVAL with *fault set. A missing field is no fault and leaves *out
 * unchanged: set the default before, and use json_has() for required fields. null is not missing,
 * and the slice of an empty text is not NULL. They refuse `data` and `ref` of a request, which
 * json_raw() reads. */

/* Any text, NUL included. */
int json_get_text(const struct json_object *o, const char *name, struct slice *out,
                  struct json_fault *fault);

/* A session, channel or connection: what name_valid() accepts. */
int json_get_name(const struct json_object *o, const char *name, struct slice *out,
                  struct json_fault *fault);

/* A list of names, at most EVENT_LIST_MAX; may be empty. */
int json_get_names(const struct json_object *o, const char *name, struct names *out,
                   struct json_fault *fault);

/* A whole number; min and max are inclusive, at most INT64_MAX. */
int json_get_count(const struct json_object *o, const char *name, uint64_t min, uint64_t max,
                   uint64_t *out, struct json_fault *fault);

int json_get_flag(const struct json_object *o, const char *name, bool *out,
                  struct json_fault *fault);

/* An object, such as `to`. out->value is NULL when it is missing. */
int json_get_object(const struct json_object *o, const char *name, struct json_object *out,
                    struct json_fault *fault);

/* The number of values of the list under name; 0 when it is missing or no list. */
size_t json_list_length(const struct json_object *o, const char *name);

/* A list of objects, such as `events`: at most max. */
int json_get_objects(const struct json_object *o, const char *name, size_t max,
                     const struct json_object **out, size_t *count, struct json_fault *fault);

/* Write {"ok":true. The caller adds the reply's fields. json_reply_end() adds "ref" (unless
 * empty) and the closing brace. */
void json_reply_begin(struct buf *out);
void json_reply_end(struct buf *out, struct slice ref);

/* Write a complete {"ok":false,...}. ref may be empty. Replaces what out held before. */
void json_reply_fault(struct buf *out, const struct json_fault *fault, struct slice ref);

#endif
