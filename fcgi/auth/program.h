/* program.h - matches a text with a sequence of steps: what URI templates and URL patterns become.
 *
 * All places of the text that the steps so far can have reached are kept as one set of bits. A step
 * moves the whole set. So nothing is tried twice, and the time is proportional to the length of the
 * program, whatever the text is: at most PROGRAM_TEXT_MAX + PROGRAM_STEPS_MAX moves of four words,
 * and a repeated group at most once for each byte that it can move on.
 *
 * Ownership: a program is a value without pointers.
 */
#ifndef SSECAST_PROGRAM_H
#define SSECAST_PROGRAM_H

#include <stdint.h>

#include "base/name.h"

#define PATTERN_BYTES_MAX 512u /* of the text of a pattern */
#define PROGRAM_STEPS_MAX 128u
#define PROGRAM_TEXT_MAX 800u /* bytes of all literal texts */

/* Sets of characters that a step may pass. */
enum char_class {
    /* of values in expansions of URI templates: %XX is one character */
    CLASS_VALUE,          /* unreserved characters, and the comma of lists */
    CLASS_EXPLODED,       /* also = */
    CLASS_EXPLODED_SLASH, /* also = and / */
    CLASS_EXPLODED_SEMI,  /* also = and ; */
    CLASS_EXPLODED_AND,   /* also = and & */
    CLASS_RESERVED,       /* also every reserved character */
    /* of the components of URLs */
    CLASS_SCHEME,
    CLASS_HOST,
    CLASS_LABEL, /* of a host, without the dot */
    CLASS_PORT,
    CLASS_PATH,
    CLASS_SEGMENT, /* of a path, without the slash */
    CLASS_SEARCH,
    CLASS_ANY,
    CLASSES
};

enum step_kind {
    STEP_TEXT,  /* len bytes of the program's text, from at */
    STEP_CLASS, /* characters of a class: any number of them, or one at least */
    STEP_GROUP, /* the next len steps: once, or as repeat says */
    /* The next len steps, which are variables: each of them or none, in their order; the first one
     * is behind `first`, others are behind `separator` (0: behind nothing). */
    STEP_LIST,
    STEP_VARIABLE, /* of a list: the next len steps */
};

/* How often a group occurs. */
enum repeat { ONCE, AT_MOST_ONCE, ANY_NUMBER, AT_LEAST_ONCE };

struct step {
    uint8_t kind;  /* enum step_kind */
    uint8_t class; /* STEP_CLASS: enum char_class */
    uint8_t some;  /* STEP_CLASS: one character at least */
    uint8_t repeat;
    char first, separator;
    uint16_t at, len;
};

struct program {
    uint16_t count, text_len;
    uint16_t mark;   /* steps before it stay as they are */
    bool overflowed; /* it is too long: of no use */
    struct step steps[PROGRAM_STEPS_MAX];
    char text[PROGRAM_TEXT_MAX];
};

/* --- writing; p begins as zeroed --- */

/* Texts one after the other become one step,
 * and those of adjacent steps are adjacent in p->text. */
void program_put_text(struct program *p, struct slice text);

/* Characters of a class: any number of them, or at least one. */
void program_put_any(struct program *p, enum char_class class);
void program_put_some(struct program *p, enum char_class class);

/* Open a group, a list or a variable; the steps until program_close() are in it.
 * Returns its place. */
size_t program_open(struct program *p, struct step step);
void program_close(struct program *p, size_t place);

/* The place of the next step, which will be one of its own. */
size_t program_mark(struct program *p);

/* The literal text that steps begin with, from this step on, before the step `end`. */
struct slice program_prefix(const struct step *steps, size_t from, size_t end, const char *text);

/* --- matching --- */

/* Places of a text: before its first byte, and behind each byte. */
#define PLACES_WORDS 4u
struct places {
    uint64_t words[PLACES_WORDS];
};

_Static_assert(NAME_BYTES_MAX < 64 * PLACES_WORDS,
               "a place for each byte of a topic, and one more");

/* A text, prepared for any number of programs: where each byte and each class is. */
struct text_view {
    size_t len;
    struct places bytes[256], classes[CLASSES];
    struct places inside; /* within a %XX */
};

/* text has at most NAME_BYTES_MAX bytes. */
void text_view_make(struct text_view *v, struct slice text);

/* Do these steps match the whole text? */
bool text_view_matches(const struct text_view *v, const struct step *steps, size_t from, size_t end,
                       const char *text);

/* The same for the text from this place on. */
bool text_view_matches_from(const struct text_view *v, size_t place, const struct step *steps,
                            size_t from, size_t end, const char *text);

#endif
