/* publisher_id.c - a hash of several parts, each with its length: no two bearers have the same. */
#include "auth/publisher_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "codec/json_in.h"

#define IDENTITY_DIGITS 32u /* of the hash: 128 bits */

static int compare_names(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Add patterns in one order, whatever order the token has them in, each once, and an empty part
 * behind the last: no pattern is empty. False when out of memory. */
static bool hash_patterns(struct hash_parts *hash, const struct names *patterns)
{
    struct slice *sorted = calloc(patterns->count + 1, sizeof *sorted);
    if (!sorted)
        return false;

    for (size_t i = 0; i < patterns->count; i++)
        sorted[i] = patterns->items[i];
    qsort(sorted, patterns->count, sizeof *sorted, compare_names);

    for (size_t i = 0; i < patterns->count; i++)
        if (i == 0 || !slice_equal(sorted[i], sorted[i - 1]))
            hash_parts_add(hash, sorted[i]);
    hash_parts_add(hash, (struct slice){0});
    free(sorted);
    return true;
}

static bool hash_grant(struct hash_parts *hash, const struct grant *grant)
{
    hash_parts_add(hash, slice_of(grant->limited ? "limited" : "everyone"));
    return hash_patterns(hash, &grant->sessions) && hash_patterns(hash, &grant->channels);
}

char *publisher_id(const struct json_in *issuer, struct slice sub, const struct grant *publish)
{
    char hex[HASH_PARTS_HEX], *out = NULL;
    struct hash_parts hash;

    hash_parts_begin(&hash);
    hash_parts_add(&hash, slice_of(json_in_is_text(issuer) ? "issuer" : "no issuer"));
    hash_parts_add(&hash, json_in_text(issuer));
    hash_parts_add(&hash, slice_of(sub.len ? "sub" : "publish"));
    if (sub.len)
        hash_parts_add(&hash, sub);
    else if (!hash_grant(&hash, publish))
        return NULL;
    hash_parts_end(&hash, hex);

    if (asprintf(&out, PUBLISHER_TOKEN "%.*s", (int)IDENTITY_DIGITS, hex) < 0)
        return NULL;
    return out;
}
