/* json_scan.h - where things stand in the text of valid JSON.
 *
 * Finds spans and decodes nothing. json_reduce() has accepted the text before, so there are no errors to
 * report; on text that is not JSON the functions stay within it and find something or nothing.
 */
#ifndef SSECAST_JSON_SCAN_H
#define SSECAST_JSON_SCAN_H

#include "base/slice.h"

/* What is between the brackets of an object or list, to be walked. */
struct slice json_inside(struct slice text);

/* Walk an object's fields: key with its quotes, value without white space around it. false at the end. */
bool json_next_field(struct slice *rest, struct slice *key, struct slice *value);

/* Walk a list's values. false at the end. */
bool json_next_item(struct slice *rest, struct slice *value);

/* Replace, in place and each by as many bytes, what is valid JSON and jansson cannot hold: numbers beyond its range become a
 * zero, and the NUL escape in an object's key becomes another character. Text that is not valid JSON stays so. */
void json_soften(char *text, size_t len);

#endif
