#include "http/write_ring.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/must.h"
#include "ops/log.h"

#define UNWRITTEN (-EINPROGRESS) /* the result of an item that the kernel has not answered yet */

struct write_ring {
    struct io_uring uring;
    bool failed; /* the kernel refused to go on */
};

int write_ring_new(struct write_ring **ring)
{
    struct io_uring_params params = {0};
    struct write_ring *r = calloc(1, sizeof *r);
    *ring = NULL;
    if (!r)
        return -ENOMEM;

    int err = io_uring_queue_init_params(WRITE_RING_MAX, &r->uring, &params);
    if (err) {
        free(r);
        return err;
    }

    *ring = r;
    /* Since Linux 5.6: messages are known, and read when they are submitted. */
    if (params.features & IORING_FEAT_RW_CUR_POS)
        return 0;
    write_ring_free(ring);
    return -ENOSYS;
}

void write_ring_free(struct write_ring **ring)
{
    if (!*ring)
        return;
    io_uring_queue_exit(&(*ring)->uring);
    free(*ring);
    *ring = NULL;
}

/* With send() where that is enough: the kernel takes less time for it. */
ssize_t write_ring_one(int fd, const struct msghdr *message)
{
    const struct iovec *first = message->msg_iov;
    ssize_t n = message->msg_iovlen == 1 ? send(fd, first->iov_base, first->iov_len, WRITE_FLAGS)
                                         : sendmsg(fd, message, WRITE_FLAGS);
    return n < 0 ? -errno : n;
}

/* Take what the kernel has answered. Returns how many answers these were. */
static size_t take_results(struct io_uring *uring)
{
    struct io_uring_cqe *answer;
    unsigned head, count = 0;

    io_uring_for_each_cqe(uring, head, answer)
    {
        struct write_ring_item *item = io_uring_cqe_get_data(answer);
        item->result = answer->res;
        count++;
    }
    io_uring_cq_advance(uring, count);
    return count;
}

/* Submit what is prepared, and wait for an answer to each item. A signal interrupts, and one item
 * that is refused at once holds up those behind it, so this may take several calls. False: the
 * kernel refuses to go on, but has answered what it took. */
static bool submit(struct io_uring *uring, size_t count)
{
    size_t submitted = 0, answered = 0;
    while (answered < count) {
        int n = io_uring_submit_and_wait(uring, (unsigned)(count - answered));
        if (n > 0)
            submitted += (size_t)n;
        answered += take_results(uring);
        MUST(answered <= submitted && submitted <= count);
        if (n < 0 && n != -EINTR && answered == submitted)
            return false;
    }
    return true;
}

/* One piece needs no message around it. */
static void prepare(struct io_uring_sqe *entry, struct write_ring_item *item)
{
    const struct iovec *first = item->message.msg_iov;
    if (item->message.msg_iovlen == 1)
        io_uring_prep_send(entry, item->fd, first->iov_base, first->iov_len, WRITE_FLAGS);
    else
        io_uring_prep_sendmsg(entry, item->fd, &item->message, WRITE_FLAGS);
    io_uring_sqe_set_data(entry, item);
    item->result = UNWRITTEN;
}

static void write_together(struct write_ring *ring, struct write_ring_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
        MUST(entry);
        prepare(entry, &items[i]);
    }

    ring->failed = !submit(&ring->uring, count);
    if (ring->failed)
        log_error("io_uring failed: streams are written one by one");
}

void write_ring_run(struct write_ring *ring, struct write_ring_item *items, size_t count)
{
    MUST(count <= WRITE_RING_MAX);
    bool together = count > 1 && !ring->failed;

    if (together)
        write_together(ring, items, count);
    for (size_t i = 0; i < count; i++)
        if (!together || items[i].result == UNWRITTEN)
            items[i].result = write_ring_one(items[i].fd, &items[i].message);
}
