/* top.h - the reply to `status` as one frame of text for a terminal of a given size. Pure: what
 * goes in decides what comes out.
 *
 * Lines are cut at the terminal's width, and lists get the remaining height. Untrusted text is made
 * harmless.
 */
#ifndef SSECAST_TOP_H
#define SSECAST_TOP_H

#include <stdio.h>

#include "cli/view.h"

#define TOP_COLUMNS_MIN 20u
#define TOP_COLUMNS_MAX 1000u

struct top_size {
    size_t columns, lines; /* lines 0: no limit */
};

struct top_frame {
    const struct tree *status; /* the last reply; NULL: none yet */
    const char *endpoint;      /* the broker's */
    const char *trouble;       /* why there is no newer reply; NULL: no problem */
    struct top_size size;
    bool styled; /* with the terminal's bold and reverse */
};

/* Write the lines, each ended by a line feed; styled: by what clears the rest of the line and CR
 * LF, and the rest of the screen at the end (where there is one). */
void top_write(const struct top_frame *frame, FILE *out);

#endif
