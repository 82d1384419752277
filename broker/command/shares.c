#include "command/shares.h"

#include "base/must.h"

void shares_begin(struct shares *s)
{
    *s = (struct shares){0};
}

static bool has_left(const struct share *one)
{
    if (one->empty)
        return false;
    if (one->requests == 0)
        return true;
    return one->requests < SHARE_REQUESTS && one->bytes < SHARE_BYTES && one->us < SHARE_US;
}

bool shares_has_left(const struct shares *s, enum source from)
{
    return has_left(&s->of[from]);
}

bool shares_next(const struct shares *s, enum source *from)
{
    bool services = has_left(&s->of[FROM_SERVICES]), workers = has_left(&s->of[FROM_WORKERS]);
    *from = services ? FROM_SERVICES : FROM_WORKERS;
    if (services && workers && s->of[FROM_WORKERS].bytes < s->of[FROM_SERVICES].bytes)
        *from = FROM_WORKERS;
    return services || workers;
}

void shares_use(struct shares *s, enum source from, size_t bytes, int64_t us)
{
    struct share *one = &s->of[from];
    MUST(has_left(one));
    one->requests++;
    one->bytes += bytes;
    one->us += us > 0 ? us : 0;
}

void shares_empty(struct shares *s, enum source from)
{
    s->of[from].empty = true;
}

bool shares_more(const struct shares *s)
{
    return !s->of[FROM_SERVICES].empty || !s->of[FROM_WORKERS].empty;
}
