#include "pgsql/suspect.h"

#include <stdio.h>
#include <string.h>

bool suspect_is(const struct suspect *s, const struct row_key *row)
{
    return s->tries && strcmp(s->row.id, row->id) == 0 && strcmp(s->row.version, row->version) == 0;
}

void suspect_note_failure(struct suspect *s, const struct row_key *row, bool cut, const char *why)
{
    if (!suspect_is(s, row))
        *s = (struct suspect){.row = *row};
    if (s->tries < UINT32_MAX)
        s->tries++;
    s->cut = cut;
    snprintf(s->why, sizeof s->why, "%s", why);
}

void suspect_clear(struct suspect *s)
{
    s->tries = 0;
}

bool suspect_is_due(const struct suspect *s)
{
    return s->tries >= SUSPECT_TRIES;
}

void suspect_note_witness(struct suspect *s, bool failed)
{
    s->witness = failed ? (s->witness + 1) % SUSPECT_WITNESSES : 0;
}

uint64_t suspect_wait(const struct suspect *s, struct backoff b)
{
    b.failures = s->tries;
    return backoff_wait(&b, 0);
}
