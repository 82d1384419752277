#include "model/merge.h"

#include "base/must.h"

void merge_init(struct merge *m)
{
    m->count = 0;
    m->state = MERGE_FILLS;
}

void merge_add(struct merge *m, const struct deque *deque, uint64_t after)
{
    if (!deque)
        return;

    MUST(m->count < MERGE_DEQUES_MAX && m->state == MERGE_FILLS);
    m->items[m->count++] = (struct merge_source){.deque = deque, .at = deque_after(deque, after)};
}

static void look(const struct merge *m, struct merge_source *source)
{
    if (m->state == MERGE_FORWARD)
        source->next = deque_at(source->deque, source->at);
    else
        source->next = source->at ? deque_at(source->deque, source->at - 1) : NULL;

    source->rank = UINT64_MAX;
    if (source->next)
        source->rank =
            m->state == MERGE_FORWARD ? source->next->seq : UINT64_MAX - source->next->seq;
}

/* An event that is in several deques is at the root several times in a row, also when another event
 * has its seq. */
static bool is_before(const struct merge_source *a, const struct merge_source *b)
{
    return a->rank != b->rank ? a->rank < b->rank : (uintptr_t)a->next < (uintptr_t)b->next;
}

static void sift_down(struct merge *m, size_t place)
{
    struct merge_source moved = m->items[place];

    for (size_t child; (child = 2 * place + 1) < m->count; place = child) {
        if (child + 1 < m->count && is_before(&m->items[child + 1], &m->items[child]))
            child++;
        if (!is_before(&m->items[child], &moved))
            break;
        m->items[place] = m->items[child];
    }
    m->items[place] = moved;
}

static void merge_begin(struct merge *m, enum merge_state direction)
{
    m->state = direction;
    for (size_t i = 0; i < m->count; i++)
        look(m, &m->items[i]);
    for (size_t i = m->count / 2; i-- > 0;)
        sift_down(m, i);
}

static struct event *merge_take(struct merge *m)
{
    struct merge_source *root = &m->items[0];
    struct event *e = m->count ? root->next : NULL;

    while (e && root->next == e) {
        if (m->state == MERGE_FORWARD)
            root->at++;
        else
            root->at--;
        look(m, root);
        sift_down(m, 0);
    }
    return e;
}

struct event *merge_next(struct merge *m)
{
    if (m->state == MERGE_FILLS)
        merge_begin(m, MERGE_FORWARD);
    MUST(m->state == MERGE_FORWARD);
    return merge_take(m);
}

struct event *merge_previous(struct merge *m)
{
    if (m->state == MERGE_FILLS)
        merge_begin(m, MERGE_BACKWARD);
    MUST(m->state == MERGE_BACKWARD);
    return merge_take(m);
}
