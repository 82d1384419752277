#include "stream/cursor.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/must.h"
#include "base/slice.h"

static const char blanks[] = " \t";

static struct slice trim(struct slice text)
{
    while (text.len && strchr(blanks, text.data[0]))
        text = (struct slice){text.data + 1, text.len - 1};
    while (text.len && strchr(blanks, text.data[text.len - 1]))
        text.len--;
    return text;
}

/* --- lists --- */

/* Is an item of a list a seq, or 0, which is before all of them? *seq is what it names then. */
static bool read_seq(struct slice item, enum cursor_seqs seqs, uint64_t *seq)
{
    char digits[24];
    if (seqs == CURSOR_SEQS_OF_HUB && item.len && item.data[0] == '#')
        item = (struct slice){item.data + 1, item.len - 1};
    if (!item.len || item.len >= sizeof digits)
        return false;

    memcpy(digits, item.data, item.len);
    digits[item.len] = '\0';
    if (strspn(digits, "0123456789") != item.len)
        return false;

    errno = 0;
    *seq = strtoull(digits, NULL, 10);
    return errno == 0;
}

/* The next item of a list with commas. *list moves behind it. False at the end of the list. */
static bool next_item(struct slice *list, struct slice *item)
{
    if (!list->data)
        return false;

    const char *comma = memchr(list->data, ',', list->len);
    size_t len = comma ? (size_t)(comma - list->data) : list->len;
    MUST(len <= list->len);

    *item = trim((struct slice){list->data, len});
    *list = comma ? (struct slice){comma + 1, list->len - len - 1} : (struct slice){0};
    return true;
}

/* The newest of the seqs that text lists; text itself if it is anything else. Empty items come from
 * empty lines. */
static struct slice newest(struct slice text, enum cursor_seqs seqs)
{
    struct slice list = text, item, found = text;
    uint64_t greatest = 0;

    while (next_item(&list, &item)) {
        uint64_t seq;
        if (!item.len)
            continue;
        if (!read_seq(item, seqs, &seq))
            return text;
        if (seq >= greatest) {
            greatest = seq;
            found = item;
        }
    }
    return found;
}

/* --- the places of a cursor --- */

char *cursor_from_header(const struct params *params, enum cursor_seqs seqs)
{
    const char *line;
    size_t place = 0;
    struct buf joined = {0};

    while ((line = params_get_next(params, "HTTP_LAST_EVENT_ID", &place))) {
        struct slice cursor = trim(slice_of(line));
        if (cursor.len && joined.len)
            buf_put(&joined, ", ", 2);
        buf_put_slice(&joined, cursor);
    }

    struct slice cursor = newest(buf_slice(&joined), seqs);
    char *text = NULL;
    if (cursor.data && cursor.len && !joined.failed)
        text = strndup(cursor.data, cursor.len);
    buf_release(&joined);
    return text;
}

/* The last value of this name that is not empty. */
static char *last_value(const struct params *params, const char *name)
{
    const char *place = NULL;
    char *found = NULL, *next;

    while ((next = params_query_next(params, name, &place)))
        if (*next) {
            free(found);
            found = next;
        } else {
            free(next);
        }
    return found;
}

char *cursor_from_query(const struct params *params, const char *const *names)
{
    char *found = NULL;
    while (!found && *names)
        found = last_value(params, *names++);
    return found;
}
