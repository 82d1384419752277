#define LOG_SUBSYSTEM "notifications"
#include "pgsql/notifications.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "base/must.h"
#include "ops/log.h"

struct notification {
    TAILQ_ENTRY(notification) next;
    size_t len;
    char object[];
};

struct notifications {
    struct frame *frame;
    const struct mapping *mapping;
    uint64_t max_bytes, bytes;
    TAILQ_HEAD(notification_queue, notification) queue;
    size_t count;
    uint64_t epoch, number; /* of the last own id */
    struct buf object;
};

struct notifications *notifications_new(struct frame *frame, const struct mapping *mapping,
                                        uint64_t max_bytes)
{
    struct notifications *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct notifications){.frame = frame, .mapping = mapping, .max_bytes = max_bytes};
    TAILQ_INIT(&n->queue);
    if (getrandom(&n->epoch, sizeof n->epoch, 0) != (ssize_t)sizeof n->epoch)
        notifications_free(&n);
    return n;
}

static void drop_first(struct notifications *n)
{
    struct notification *first = TAILQ_FIRST(&n->queue);
    MUST(first && n->count &&
         n->bytes >= first->len); // NOLINT(clang-analyzer-unix.Malloc): unlinked before it is freed
    TAILQ_REMOVE(&n->queue, first, next);
    n->bytes -= first->len;
    n->count--;
    free(first);
}

void notifications_free(struct notifications **n)
{
    if (!*n)
        return;
    while (!TAILQ_EMPTY(&(*n)->queue))
        drop_first(*n);
    buf_release(&(*n)->object);
    free(*n);
    *n = NULL;
}

static bool enqueue(struct notifications *n, struct slice object)
{
    struct notification *one = NULL;
    if (n->bytes + object.len <= n->max_bytes)
        one = malloc(sizeof *one + object.len);
    if (!one)
        return false;

    one->len = object.len;
    memcpy(one->object, object.data, object.len);
    TAILQ_INSERT_TAIL(&n->queue, one, next);
    n->bytes += one->len;
    n->count++;
    return true;
}

void notifications_add(struct notifications *n, struct slice channel, struct slice payload)
{
    char id[64], why[MAPPING_WHY] = "out of memory";
    snprintf(id, sizeof id, "pg-%016llx-%llu", (unsigned long long)n->epoch,
             (unsigned long long)++n->number);
    const struct mapping_source source = {.name = channel, .payload = payload, .id = id};
    if (mapping_event(n->mapping, &source, &n->object, why) != 0) {
        n->object.failed = false;
        frame_refused(n->frame, channel, why);
        return;
    }

    if (enqueue(n, buf_slice(&n->object)))
        return;
    n->frame->dropped++;
    log_event(LOG_WARN, "notification dropped: pending-bytes wait already",
              log_text("from", channel));
}

size_t notifications_count(const struct notifications *n)
{
    return n->count;
}

void notifications_send(struct notifications *n)
{
    struct notification *one;
    TAILQ_FOREACH (one, &n->queue, next)
        if (!delivery_add(n->frame->delivery, (struct slice){one->object, one->len}))
            break;
    if (delivery_count(n->frame->delivery))
        delivery_begin(n->frame->delivery);
}

void notifications_delivered(struct notifications *n)
{
    MUST(delivery_count(n->frame->delivery) <= n->count);
    for (size_t i = 0; i < delivery_count(n->frame->delivery); i++) {
        const struct delivery_outcome *outcome = delivery_outcome(n->frame->delivery, i);
        if (outcome->refused)
            log_event(LOG_WARN, "broker refused a notification", log_name("reason", outcome->why));
        drop_first(n);
    }
}
