/* json_out.h - writes JSON as text, straight into a buffer.
 *
 * There is no tree: most replies are a handful of bytes, and the broker writes more than a hundred
 * thousand a second. The caller opens and closes objects and lists in the right order. Strings are
 * escaped here and are always valid UTF-8.
 *
 * Ownership: the caller's buffer, see buf.h.
 */
#ifndef SSECAST_JSON_OUT_H
#define SSECAST_JSON_OUT_H

#include <stdint.h>

#include "base/buf.h"

/* Each writes one piece. name is the field's name (plain ASCII, not escaped), or NULL inside a
 * list and at the top level. Commas are added automatically. */
void json_begin_object(struct buf *out, const char *name);
void json_end_object(struct buf *out);
void json_begin_list(struct buf *out, const char *name);
void json_end_list(struct buf *out);
void json_put_text(struct buf *out, const char *name, struct slice text); /* bad UTF-8: U+FFFD */
void json_put_count(struct buf *out, const char *name, uint64_t value);
void json_put_int(struct buf *out, const char *name, int64_t value);
void json_put_flag(struct buf *out, const char *name, bool value);
void json_put_null(struct buf *out, const char *name);
void json_put_raw(struct buf *out, const char *name, struct slice json); /* verbatim */

#endif
