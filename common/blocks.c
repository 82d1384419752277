#include "blocks.h"

#include <errno.h>
#include <stdlib.h>

#include "table.h"

struct blocks {
    struct table *sessions; /* name -> int64_t, unix ms */
};

struct blocks *blocks_new(void)
{
    struct blocks *b = calloc(1, sizeof *b);
    if (b)
        b->sessions = table_new(sizeof(int64_t));
    if (b && !b->sessions) {
        free(b);
        return NULL;
    }
    return b;
}

void blocks_free(struct blocks **b)
{
    if (!*b)
        return;
    table_free(&(*b)->sessions);
    free(*b);
    *b = NULL;
}

int blocks_add(struct blocks *b, struct slice session, int64_t until_ms)
{
    int64_t *until = table_insert(b->sessions, session);
    if (!until)
        return -ENOMEM;
    if (*until < until_ms)
        *until = until_ms;
    return 0;
}

int blocks_add_event(struct blocks *b, const struct event *e)
{
    size_t cursor = 0;
    struct slice session;
    int err = 0;
    while (e->kind == EVENT_SHUTDOWN && e->block_s && !err && event_next_name(e, TO_SESSIONS, &cursor, &session))
        err = blocks_add(b, session, e->time_ms + (int64_t)e->block_s * 1000);
    return err;
}

bool blocks_active(const struct blocks *b, struct slice session, int64_t now_ms)
{
    const int64_t *until = table_find(b->sessions, session);
    return until && *until > now_ms;
}

void blocks_expire(struct blocks *b, int64_t now_ms)
{
    int64_t *next;
    for (int64_t *until = table_next(b->sessions, NULL); until; until = next) {
        next = table_next(b->sessions, until);
        if (*until <= now_ms)
            table_remove(b->sessions, until);
    }
}

const void *blocks_next(const struct blocks *b, const void *cursor, struct slice *session, int64_t *until_ms)
{
    const int64_t *until = table_next(b->sessions, cursor);
    if (until) {
        *session = table_name(until);
        *until_ms = *until;
    }
    return until;
}
