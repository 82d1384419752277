#include "net/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/name.h"
#include "base/table.h"

#define LINE_RULE "a line is ROLE KEY NAME [sessions=PATTERN,...] [channels=PATTERN,...]"
#define FILE_MAX (4u << 20) /* bytes */
#define SHOWN 60            /* bytes of an invalid word that a message quotes */

static const struct {
    const char *name;
    enum role role;
} roles[] = {{"publisher", ROLE_PUBLISHER}, {"operator", ROLE_OPERATOR}, {"worker", ROLE_WORKER}};

#define ROLES (sizeof roles / sizeof *roles)

struct keys {
    char *text;             /* of the file; names and patterns point into it */
    struct peer_key *items; /* in the order of the file */
    struct slice *patterns; /* of all grants, one after the other */
    char *publishers;       /* the identities of all keys, one after the other */
    size_t count, pattern_count, publishers_len;
    bool has_lines;      /* that are not blank */
    struct table *index; /* text of the key -> its index in items + 1 (size_t) */
};

/* The state of reading a file. */
struct keys_reader {
    struct keys *keys;
    const char *file;
    size_t line;
    char *why;
};

const char *keys_role_name(unsigned role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return "none";
}

static int reader_error(const struct keys_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int reader_error(const struct keys_reader *r, const char *format, ...)
{
    va_list args;
    int n = snprintf(r->why, KEYS_WHY_MAX, "%s, line %zu: ", r->file, r->line);
    va_start(args, format);
    if (n > 0 && n < KEYS_WHY_MAX)
        vsnprintf(r->why + n, KEYS_WHY_MAX - (size_t)n, format, args);
    va_end(args);
    return -EINVAL;
}

static int shown(struct slice word)
{
    return word.len < SHOWN ? (int)word.len : SHOWN;
}

/* The next word of a line; empty: there is none. */
static struct slice next_word(struct slice *line)
{
    size_t skip = 0, len = 0;
    while (skip < line->len && (line->data[skip] == ' ' || line->data[skip] == '\t'))
        skip++;
    while (skip + len < line->len && line->data[skip + len] != ' ' &&
           line->data[skip + len] != '\t')
        len++;
    struct slice word = {line->data + skip, len};
    *line = (struct slice){line->data + skip + len, line->len - skip - len};
    return word;
}

static int read_role(const struct keys_reader *r, struct slice word, unsigned *role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (slice_equal(word, slice_of(roles[i].name))) {
            *role = roles[i].role;
            return 0;
        }
    return reader_error(
        r, "'%.*s' is no role; accepted: publisher, operator or worker; a line is ROLE KEY NAME",
        shown(word), word.data);
}

static int read_public_key(const struct keys_reader *r, struct slice word, struct curve_key *out)
{
    if (!curve_key_valid(word))
        return reader_error(r, "'%.*s' is no public key (" CURVE_KEY_RULE ")", shown(word),
                            word.data);
    memcpy(out->text, word.data, CURVE_KEY_LEN);
    return 0;
}

static int read_name(const struct keys_reader *r, struct slice word, struct slice *out)
{
    if (!word.len)
        return reader_error(r, "a name is missing; " LINE_RULE);
    if (!key_name_valid(word))
        return reader_error(r, "'%.*s' is no name (" KEY_NAME_RULE "); " LINE_RULE, shown(word),
                            word.data);
    *out = word;
    return 0;
}

/* Split a list of patterns at its commas, into the patterns of the table. */
static int read_patterns(const struct keys_reader *r, const char *what, struct slice list,
                         struct names *out)
{
    struct slice *items = r->keys->patterns + r->keys->pattern_count;
    if (out->items)
        return reader_error(r, "%s= is given twice", what);
    size_t count = 0;
    for (bool more = true; more;) {
        const char *comma = memchr(list.data, ',', list.len);
        struct slice one = {list.data, comma ? (size_t)(comma - list.data) : list.len};
        if (!pattern_valid(one))
            return reader_error(r, "'%.*s' in %s= is no pattern; accepted: " PATTERN_RULE,
                                shown(one), one.data, what);
        items[count++] = one;
        more = comma != NULL;
        if (more)
            list = (struct slice){comma + 1, list.len - one.len - 1};
    }
    *out = (struct names){items, count};
    r->keys->pattern_count += count;
    return 0;
}

static bool after(struct slice word, const char *prefix, struct slice *rest)
{
    size_t len = strlen(prefix);
    if (!slice_begins(word, slice_of(prefix)))
        return false;
    *rest = (struct slice){word.data + len, word.len - len};
    return true;
}

static int read_limit(const struct keys_reader *r, struct slice word, struct grant *grant)
{
    struct slice list;
    grant->limited = true;
    if (grant->roles == ROLE_WORKER)
        return reader_error(r, "a worker takes no limits, not '%.*s'", shown(word), word.data);
    if (after(word, "sessions=", &list))
        return read_patterns(r, "sessions", list, &grant->sessions);
    if (after(word, "channels=", &list))
        return read_patterns(r, "channels", list, &grant->channels);
    return reader_error(
        r, "unexpected '%.*s'; accepted after the name: sessions=PATTERN,... channels=PATTERN,...",
        shown(word), word.data);
}

/* The identity is "key:" and the name. So keys with the same name are one publisher, and a key can
 * be replaced. */
static void add_publisher(struct keys *k, struct peer_key *key)
{
    static const size_t prefix_len = sizeof PUBLISHER_KEY - 1;
    _Static_assert(sizeof PUBLISHER_KEY - 1 + NAME_BYTES_MAX <= EVENT_PUBLISHER_MAX,
                   "every key has an identity");
    char *at = k->publishers + k->publishers_len;
    memcpy(at, PUBLISHER_KEY, prefix_len);
    memcpy(at + prefix_len, key->name.data, key->name.len);
    key->grant.publisher = (struct slice){at, prefix_len + key->name.len};
    k->publishers_len += key->grant.publisher.len;
}

static int index_key(const struct keys_reader *r, const struct peer_key *key)
{
    size_t *place = table_insert(r->keys->index, (struct slice){key->text.text, CURVE_KEY_LEN});
    if (!place)
        return reader_error(r, "out of memory");
    if (*place)
        return reader_error(r, "duplicate key: it is already listed as '%.*s'",
                            shown(r->keys->items[*place - 1].name),
                            r->keys->items[*place - 1].name.data);
    *place = ++r->keys->count;
    return 0;
}

static int read_line(const struct keys_reader *r, struct slice line)
{
    struct peer_key *key = &r->keys->items[r->keys->count];
    int err = read_role(r, next_word(&line), &key->grant.roles);
    err = err ? err : read_public_key(r, next_word(&line), &key->text);
    err = err ? err : read_name(r, next_word(&line), &key->name);
    for (struct slice word = next_word(&line); word.len && !err; word = next_word(&line))
        err = read_limit(r, word, &key->grant);
    if (!err)
        add_publisher(r->keys, key);
    return err ? err : index_key(r, key);
}

static int read_lines(struct keys_reader *r, struct slice text)
{
    struct slice line;
    int err = 0;
    while (!err && curve_key_next_line(&text, &line)) {
        r->line++;
        r->keys->has_lines = r->keys->has_lines || line.len;
        if (line.len && *line.data != '#')
            err = read_line(r, line);
    }
    return err;
}

static size_t count_of(struct slice text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == c;
    return count;
}

/* Allocate for one key a line, and one pattern for each list and comma. */
static struct keys *keys_new(struct slice text)
{
    struct keys *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->text = malloc(text.len + 1);
    k->items = calloc(count_of(text, '\n') + 1, sizeof *k->items);
    k->patterns = calloc(count_of(text, '=') + count_of(text, ',') + 1, sizeof *k->patterns);
    k->publishers = malloc(text.len + 1); /* an identity is shorter than its line */
    k->index = table_new(sizeof(size_t));
    if (!k->text || !k->items || !k->patterns || !k->publishers || !k->index)
        keys_free(&k);
    else if (text.len)
        memcpy(k->text, text.data, text.len);
    return k;
}

struct keys *keys_parse(const char *file, struct slice text, char why[KEYS_WHY_MAX])
{
    struct keys *k = keys_new(text);
    if (!k) {
        snprintf(why, KEYS_WHY_MAX, "%s: out of memory", file);
        return NULL;
    }
    if (read_lines(&(struct keys_reader){.keys = k, .file = file, .why = why},
                   (struct slice){k->text, text.len}) != 0)
        keys_free(&k);
    return k;
}

struct keys *keys_load(const char *file, char why[KEYS_WHY_MAX])
{
    char *text;
    size_t len;
    int err = file_read(file, FILE_MAX, &text, &len, NULL);
    if (err) {
        snprintf(why, KEYS_WHY_MAX, "%s: %s", file, read_problem(-err));
        return NULL;
    }
    struct keys *k = keys_parse(file, (struct slice){text, len}, why);
    free(text);
    return k;
}

void keys_free(struct keys **k)
{
    if (!*k)
        return;
    table_free(&(*k)->index);
    free((*k)->publishers);
    free((*k)->patterns);
    free((*k)->items);
    free((*k)->text);
    free(*k);
    *k = NULL;
}

const struct peer_key *keys_find(const struct keys *k, struct slice text)
{
    const size_t *place = table_find(k->index, text);
    return place ? &k->items[*place - 1] : NULL;
}

bool keys_is_blank(const struct keys *k)
{
    return !k->has_lines;
}

size_t keys_count(const struct keys *k)
{
    return k->count;
}

const struct peer_key *keys_at(const struct keys *k, size_t i)
{
    return i < k->count ? &k->items[i] : NULL;
}
