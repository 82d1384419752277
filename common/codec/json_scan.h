/* json_scan.h - finds the spans of values in the text of valid JSON. It decodes nothing.
 *
 * json_tree_read() has accepted the text before, so no errors are reported. On other text the
 * functions stay within its bounds, and their results are undefined.
 */
#ifndef SSECAST_JSON_SCAN_H
#define SSECAST_JSON_SCAN_H

#include "base/slice.h"

/* The text between the brackets of an object, for the walk below. */
struct slice json_inside(struct slice text);

/* Walk an object's fields: key with its quotes, value without white space around it. false at
 * the end. */
bool json_next_field(struct slice *rest, struct slice *key, struct slice *value);

/* Replace valid JSON that jansson cannot represent, in place and without changing lengths.
 * Numbers beyond its range become zeros, and the NUL escape in a key becomes another character.
 * Invalid JSON stays invalid. */
void json_soften(char *text, size_t len);

#endif
