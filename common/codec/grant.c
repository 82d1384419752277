#include "codec/grant.h"

#include "base/name.h"

const struct grant grant_everything = {.roles = ROLE_WORKER | ROLE_PUBLISHER | ROLE_OPERATOR};

bool grant_is_empty(const struct grant *grant)
{
    return grant->limited && !grant->sessions.count && !grant->channels.count;
}

/* Rounded up: 0 can mean "unlimited". */
uint64_t grant_limited_part(uint64_t bound)
{
    return bound - bound / 4;
}

bool pattern_valid(struct slice pattern)
{
    return name_valid(pattern);
}

bool pattern_matches(struct slice pattern, struct slice name)
{
    bool open = pattern.len && pattern.data[pattern.len - 1] == '*';
    size_t fixed = pattern.len - open;
    if (!open)
        return slice_equal(pattern, name);
    return name.len >= fixed && (fixed == 0 || memcmp(pattern.data, name.data, fixed) == 0);
}

bool patterns_match(const struct names *patterns, struct slice name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (pattern_matches(patterns->items[i], name))
            return true;
    return false;
}
