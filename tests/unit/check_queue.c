#include "http/queue.h"

#include <errno.h>

#include "support.h"

static struct queue queue;

static void teardown(void)
{
    queue_release(&queue);
    ck_assert_uint_eq(queue_bytes(&queue), 0);
    queue_release(&queue);
}

static int push_within(const char *text, size_t budget)
{
    struct event *e = event_text(slice_of(text));
    int err = queue_push(&queue, e, budget);
    ck_assert_uint_eq(e->refs, err ? 1 : 2);
    event_unref(&e);
    return err;
}

static void push(const char *text)
{
    ck_assert_int_eq(push_within(text, SIZE_MAX), 0);
}

/* What it shows, as one text with a bar between pieces. */
static void assert_shows(int max, size_t max_bytes, const char *should)
{
    struct iovec pieces[16];
    char text[256] = "";
    size_t bytes = 99, sum = 0, len = 0;
    int count = queue_gather(&queue, pieces, max, max_bytes, &bytes);
    for (int i = 0; i < count; i++) {
        len += (size_t)sprintf(text + len, "%s%.*s", i ? "|" : "", (int)pieces[i].iov_len,
                               (char *)pieces[i].iov_base);
        sum += pieces[i].iov_len;
    }
    ck_assert_str_eq(text, should);
    ck_assert_uint_eq(bytes, sum);
}

START_TEST(an_empty_queue_shows_nothing)
{
    assert_shows(16, SIZE_MAX, "");
    queue_consume(&queue, 0);
}
END_TEST

START_TEST(events_come_out_in_order)
{
    push("one");
    push("two");
    push("three");
    assert_shows(16, SIZE_MAX, "one|two|three");
    ck_assert_uint_eq(queue_bytes(&queue), 11);
    assert_shows(2, SIZE_MAX, "one|two");
    assert_shows(16, 8, "one|two|th");
    assert_shows(16, 6, "one|two");
    assert_shows(1, 1, "o");
}
END_TEST

START_TEST(a_part_of_an_event_may_go_out)
{
    push("one");
    push("two");
    queue_consume(&queue, 1);
    assert_shows(16, SIZE_MAX, "ne|two");
    ck_assert_uint_eq(queue_bytes(&queue), 5);
    queue_consume(&queue, 1);
    assert_shows(16, SIZE_MAX, "e|two");
    assert_shows(16, 2, "e|t");
    queue_consume(&queue, 2);
    assert_shows(16, SIZE_MAX, "wo");
    queue_consume(&queue, 2);
    assert_shows(16, SIZE_MAX, "");
    ck_assert_uint_eq(queue_bytes(&queue), 0);
    ck_assert_uint_eq(queue.ring->offset, 0);
}
END_TEST

START_TEST(an_event_is_given_up_with_its_last_byte)
{
    struct event *e = event_text(S("one"));
    queue_push(&queue, e, SIZE_MAX);
    push("two");
    queue_consume(&queue, 2);
    ck_assert_uint_eq(e->refs, 2);
    queue_consume(&queue, 1);
    ck_assert_uint_eq(e->refs, 1);
    event_unref(&e);
}
END_TEST

START_TEST(the_budget_is_kept)
{
    ck_assert_int_eq(push_within("12345", 10), 0);
    ck_assert_int_eq(push_within("12345", 10), 0);
    ck_assert_int_eq(push_within("1", 10), -ENOSPC);
    ck_assert_uint_eq(queue_bytes(&queue), 10);
    assert_shows(16, SIZE_MAX, "12345|12345");
    queue_consume(&queue, 1);
    ck_assert_int_eq(push_within("1", 10), 0);
}
END_TEST

START_TEST(an_empty_queue_takes_an_event_of_any_size)
{
    ck_assert_int_eq(push_within("more than the budget", 3), 0);
    ck_assert_int_eq(push_within("x", 3), -ENOSPC);
}
END_TEST

START_TEST(the_same_event_may_wait_in_many_queues)
{
    struct queue other = {0};
    struct event *e = event_text(S("shared"));
    queue_push(&queue, e, SIZE_MAX);
    queue_push(&other, e, SIZE_MAX);
    queue_push(&other, e, SIZE_MAX);
    ck_assert_uint_eq(e->refs, 4);
    queue_release(&other);
    ck_assert_uint_eq(e->refs, 2);
    event_unref(&e);
    assert_shows(16, SIZE_MAX, "shared");
}
END_TEST

START_TEST(a_grown_queue_gives_its_memory_back)
{
    for (int i = 0; i < 1000; i++)
        push("x");
    queue_consume(&queue, 999);
    assert_shows(16, SIZE_MAX, "x");
    queue_consume(&queue, 1);
    ck_assert_ptr_null(queue.ring);
    push("y");
    assert_shows(16, SIZE_MAX, "y");
}
END_TEST

START_TEST(an_empty_queue_can_rest)
{
    push("one");
    queue_consume(&queue, 3);
    ck_assert_ptr_nonnull(queue.ring);
    queue_rest(&queue);
    ck_assert_ptr_null(queue.ring);
    push("two");
    assert_shows(16, SIZE_MAX, "two");
}
END_TEST

START_TEST(every_byte_comes_out_once)
{
    struct dice dice = dice_new();
    size_t in = 0, out = 0; /* the text is the letters in turn */
    printf("queue: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t len = 1 + roll(&dice, 39), bytes, at = 0;
        struct iovec pieces[16];
        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + (in + i) % 26);
        struct event *e = event_text((struct slice){text, len});
        if (queue_push(&queue, e, 500) == 0)
            in += len;
        event_unref(&e);
        int count =
            queue_gather(&queue, pieces, 1 + (int)roll(&dice, 16), 1 + roll(&dice, 60), &bytes);
        for (int i = 0; i < count; i++)
            for (size_t j = 0; j < pieces[i].iov_len; j++)
                ck_assert_int_eq(((char *)pieces[i].iov_base)[j], 'a' + (char)((out + at++) % 26));
        ck_assert_uint_eq(at, bytes);
        size_t gone = roll(&dice, bytes + 1);
        queue_consume(&queue, gone);
        out += gone;
        ck_assert_uint_eq(queue_bytes(&queue), in - out);
    }
}
END_TEST

START_TEST(what_comes_behind_can_be_dropped)
{
    push("one");
    push("two");
    push("three");
    queue_consume(&queue, 1);
    queue_keep(&queue, 4);
    ck_assert_uint_eq(queue_bytes(&queue), 4);
    assert_shows(16, 4, "ne|tw");
    queue_consume(&queue, 4);
    ck_assert_uint_eq(queue_bytes(&queue), 0);
    queue_keep(&queue, 0);
    queue_release(&queue);
}
END_TEST

START_TEST(everything_can_be_dropped)
{
    push("one");
    push("two");
    queue_keep(&queue, 0);
    ck_assert_uint_eq(queue_bytes(&queue), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tests = one_case(suite, "queue");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, an_empty_queue_shows_nothing);
    tcase_add_test(tests, events_come_out_in_order);
    tcase_add_test(tests, a_part_of_an_event_may_go_out);
    tcase_add_test(tests, an_event_is_given_up_with_its_last_byte);
    tcase_add_test(tests, the_budget_is_kept);
    tcase_add_test(tests, an_empty_queue_takes_an_event_of_any_size);
    tcase_add_test(tests, the_same_event_may_wait_in_many_queues);
    tcase_add_test(tests, a_grown_queue_gives_its_memory_back);
    tcase_add_test(tests, what_comes_behind_can_be_dropped);
    tcase_add_test(tests, everything_can_be_dropped);
    tcase_add_test(tests, an_empty_queue_can_rest);
    tcase_add_test(tests, every_byte_comes_out_once);
    return run_suite(suite);
}
