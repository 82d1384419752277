/* name.h - the rules for names of sessions, channels and connections, for cursors and for own ids.
 *
 * A name has 1 to NAME_BYTES_MAX bytes of UTF-8 without control characters.
 */
#ifndef SSECAST_NAME_H
#define SSECAST_NAME_H

#include "base/slice.h"

#define NAME_BYTES_MAX 255u
#define NAME_RULE "1 to 255 bytes of UTF-8 without control characters"

bool name_valid(struct slice name);

/* A client sends its cursor back in an HTTP header. Web servers refuse control characters in
 * headers and strip blanks at both ends. */
#define CURSOR_RULE                                                                                \
    "1 to 255 bytes of UTF-8 without control characters (a tab inside is fine) "                   \
    "and without a space or tab at either end"

/* True when a client can send this text back unchanged as its cursor. */
bool cursor_valid(struct slice text);

#define OWN_ID_RULE                                                                                \
    CURSOR_RULE ", not a number (digits, or a sign before a digit) nor a list of numbers"

/* True when a publisher may use this id. A number is refused: it could be mistaken for a seq. */
bool own_id_valid(struct slice id);

/* The name of a key's owner in the broker's key file: the one word of a line that has no `=`. */
#define KEY_NAME_RULE "1 to 255 bytes of UTF-8 without spaces, control characters and `=`"

bool key_name_valid(struct slice name);

/* The length of the token of HTTP (RFC 9110) at the start of text: letters, digits and some signs.
 * Names of headers consist of one. 0: text does not begin with one. */
size_t http_token_len(const char *text);

/* True when a browser can send a cookie of this name: not empty, without control characters,
 * blanks, `=`, `,`, `;` and `"`. */
#define COOKIE_NAME_RULE "a name without blanks, control characters and =,;\""

bool cookie_name_valid(const char *name);

/* The length of the valid UTF-8 sequence at the start of text (1 to 4 bytes), or 0 when there is
 * none. text is not empty. */
size_t utf8_sequence(struct slice text);

/* True when every byte of text belongs to a valid UTF-8 sequence. */
bool utf8_valid(struct slice text);

/* True when this valid UTF-8 sequence of len bytes is safe to print on a terminal. Control
 * characters are not, and neither are characters that change the direction of text, which can
 * disguise it. */
bool utf8_harmless(const char *sequence, size_t len);

/* The columns that a terminal gives to this valid, harmless UTF-8 sequence of len bytes: 1, 2 for
 * East Asian characters and emoji, 0 for a mark on the character before. */
size_t utf8_columns(const char *sequence, size_t len);

/* True for UTF-8 that has neither control characters beyond ASCII (C1) nor format characters (the
 * category Cf). Those cannot be seen, so two texts that look alike could differ. */
bool utf8_visible(struct slice text);

#endif
