/* json_out.h - writes JSON as text, straight into a buffer.
 *
 * There is no tree: most replies are a handful of bytes, and the broker writes more than a hundred thousand a second. The caller opens and
 * closes what it writes in the right order; strings are escaped here and are always valid UTF-8.
 *
 * Ownership: the caller frees the buffer with json_out_release().
 */
#ifndef SSECAST_JSON_OUT_H
#define SSECAST_JSON_OUT_H

#include <stdint.h>

#include "base/slice.h"

/* A text being written. Start with a zeroed one, and set len to 0 to write the next into the same memory. A failed allocation is
 * remembered in failed and everything after it is ignored. */
struct json_out {
    char *data;
    size_t len, cap; /* bytes */
    bool failed;
};

void json_out_release(struct json_out *out);

/* The pieces. name is the field's name (plain ASCII, not escaped), or NULL inside a list and at the top. Commas come by themselves. */
void json_begin_object(struct json_out *out, const char *name);
void json_end_object(struct json_out *out);
void json_begin_list(struct json_out *out, const char *name);
void json_end_list(struct json_out *out);
void json_put_text(struct json_out *out, const char *name, struct slice text); /* what is not UTF-8 becomes U+FFFD */
void json_put_count(struct json_out *out, const char *name, uint64_t value);
void json_put_int(struct json_out *out, const char *name, int64_t value);
void json_put_flag(struct json_out *out, const char *name, bool value);
void json_put_null(struct json_out *out, const char *name);
void json_put_raw(struct json_out *out, const char *name, struct slice json); /* verbatim */

#endif
