/* name.h - what a session, channel or connection may be called: 1 to NAME_BYTES_MAX bytes of UTF-8 without control characters. */
#ifndef SSECAST_NAME_H
#define SSECAST_NAME_H

#include "base/slice.h"

#define NAME_BYTES_MAX 255u
#define NAME_RULE "1 to 255 bytes of UTF-8 without control characters"

bool name_valid(struct slice name);

/* Cursors come back in an HTTP header. Web servers refuse control characters there and cut off blanks at both ends. */
#define CURSOR_RULE                                                                                                    \
    "1 to 255 bytes of UTF-8 without control characters (a tab inside is fine) and without a space or tab at either "  \
    "end"

/* Can this text be a client's cursor, and come back as it was? */
bool cursor_valid(struct slice text);

#define OWN_ID_RULE CURSOR_RULE ", not a number (digits, or a sign before a digit)"

/* May a publisher use this id? A number could be taken for a seq. */
bool own_id_valid(struct slice id);

/* The name of a key's owner, in the broker's file of keys: a word in a line whose other words have a `=`. */
#define KEY_NAME_RULE "1 to 255 bytes of UTF-8 without spaces, control characters and `=`"

bool key_name_valid(struct slice name);

/* The length of the valid UTF-8 sequence at the start of text (1 to 4 bytes), or 0 when there is none. text is not empty. */
size_t utf8_sequence(struct slice text);

/* May this valid UTF-8 sequence of len bytes be put on a terminal? Not control characters, which it would obey, nor those that
 * change the direction of what follows, with which a text can read as another. */
bool utf8_harmless(const char *sequence, size_t len);

#endif
