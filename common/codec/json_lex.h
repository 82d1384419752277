/* json_lex.h - the tokens of JSON (RFC 8259): strings, numbers and words, checked byte by byte.
 *
 * It knows no structure and decodes nothing. json_tree.c, json_scan.c and the library's
 * json_text.c read with it.
 */
#ifndef SSECAST_JSON_LEX_H
#define SSECAST_JSON_LEX_H

#include "base/slice.h"

struct json_lexer {
    const char *p, *end; /* p: the next byte */
    const char *what;    /* set by a function that returns false: what is wrong at p, for people */
};

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline void json_lex_space(struct json_lexer *l)
{
    while (l->p < l->end && json_is_space(*l->p))
        l->p++;
}

/* Take c if it is the next byte. False, without `what`, when it is another one or none. */
static inline bool json_lex_take(struct json_lexer *l, char c)
{
    if (l->p == l->end || *l->p != c)
        return false;
    l->p++;
    return true;
}

/* Take a string; the next byte is its opening quote. *inside is what the quotes enclose; *escaped:
 * there are backslashes in it. halves: halves of surrogate pairs are accepted (surrogate.h). */
bool json_lex_string(struct json_lexer *l, bool halves, struct slice *inside, bool *escaped);

bool json_lex_number(struct json_lexer *l);

/* A number, true, false or null. */
bool json_lex_scalar(struct json_lexer *l);

#endif
