#include "base/group.h"

#include "base/must.h"

void group_enter(struct group *g, struct membership *m)
{
    MUST(!m->group && g->count < UINT32_MAX);
    m->group = g;
    m->prev = NULL;
    m->next = g->first;

    if (g->first)
        g->first->prev = m;
    else
        g->last = m;
    g->first = m;
    g->count++;
}

struct group *group_leave(struct membership *m)
{
    struct group *g = m->group;
    if (!g)
        return NULL;

    if (m->prev)
        m->prev->next = m->next;
    else
        g->first = m->next;
    if (m->next)
        m->next->prev = m->prev;
    else
        g->last = m->prev;

    MUST(g->count > 0);
    g->count--;
    *m = (struct membership){.member = m->member};
    return g;
}
