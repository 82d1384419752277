/* What was read is forgotten exactly when the stream no longer has it. */
#include "log/journal_position.h"

#include <string.h>

#include "support.h"

#define NOW 10000
#define AT 700000 /* ms */

static const struct batch_name first = {1, 7}, second = {2, 1}, third = {1, 8};

/* A stream with the messages 1 to last. */
static struct jetstream_reply stream_to(uint64_t last)
{
    struct jetstream_reply r = {.first = 1, .last = last, .messages = last};
    strcpy(r.created, "2026-11-21");
    return r;
}

/* Read to offset 5 of 5. */
static struct journal_position read_to_end(void)
{
    struct journal_position p = {0};
    struct jetstream_reply r = stream_to(5);
    ck_assert_ptr_null(position_compare(&p, &r));
    ck_assert_uint_eq(position_begin(&p, &r), 1);
    position_advance(&p, &first, 3, AT);
    position_skip(&p, 4, AT + 1);
    ck_assert(!position_at_target(&p));
    position_advance(&p, &second, 5, AT + 2);
    ck_assert(position_at_target(&p));
    return p;
}

static void assert_forgotten(const struct journal_position *p)
{
    struct batch_name none = {0};
    ck_assert_uint_eq(p->offset, 0);
    ck_assert_uint_eq(p->last_offset, 0);
    ck_assert_uint_eq(p->overlap, 0);
    ck_assert(batch_same_name(&p->last, &none));
}

static struct slice message_of(const struct batch_name *name, char head[BATCH_HEADER_LEN])
{
    struct batch t = {.name = *name};
    batch_put_header(head, &t);
    return (struct slice){head, BATCH_HEADER_LEN};
}

START_TEST(a_message_that_is_no_batch_moves_the_offset_alone)
{
    struct journal_position p = read_to_end();

    position_skip(&p, 6, AT + 3);
    ck_assert_uint_eq(p.offset, 6);
    ck_assert_uint_eq(p.last_offset, 5);
    ck_assert(batch_same_name(&p.last, &second));
    ck_assert(p.any);
    ck_assert_int_eq(p.last_at, AT + 3);
}
END_TEST

START_TEST(an_empty_stream_is_read_from_its_end)
{
    struct journal_position p = {0};
    struct jetstream_reply r = {.first = 10, .last = 9};

    ck_assert_ptr_null(position_compare(&p, &r));
    ck_assert_uint_eq(position_begin(&p, &r), 10);
    ck_assert(position_at_target(&p));
}
END_TEST

START_TEST(more_of_the_stream_moves_the_target)
{
    struct journal_position p = read_to_end();

    ck_assert(!position_extend(&p, 5));
    ck_assert(position_at_target(&p));
    ck_assert(position_extend(&p, 6));
    ck_assert(!position_at_target(&p));
}
END_TEST

START_TEST(a_stream_that_goes_on_begins_with_the_overlap)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply r = stream_to(8);
    char head[BATCH_HEADER_LEN];

    position_skip(&p, 6, AT);
    ck_assert_ptr_null(position_compare(&p, &r));
    ck_assert_uint_eq(position_begin(&p, &r), 5);
    ck_assert(!position_at_target(&p));
    ck_assert(position_overlaps(&p, 5, message_of(&second, head)));
    ck_assert_uint_eq(p.offset, 6);
}
END_TEST

START_TEST(a_batch_that_the_stream_forgot_is_no_overlap)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply r = stream_to(8);
    char head[BATCH_HEADER_LEN];

    r.first = 7;
    ck_assert_ptr_null(position_compare(&p, &r));
    ck_assert_uint_eq(position_begin(&p, &r), 6);
    ck_assert(position_overlaps(&p, 7, message_of(&third, head)));

    r.first = 5; /* forgotten only after the stream was inspected */
    ck_assert_uint_eq(position_begin(&p, &r), 5);
    ck_assert(position_overlaps(&p, 6, message_of(&third, head)));
    ck_assert_uint_eq(p.offset, 5);
}
END_TEST

START_TEST(another_batch_in_the_overlap_is_another_stream)
{
    char head[BATCH_HEADER_LEN];
    struct slice messages[] = {message_of(&third, head), S("no batch")};
    for (size_t i = 0; i < 2; i++) {
        struct journal_position p = read_to_end();
        struct jetstream_reply r = stream_to(5);
        position_begin(&p, &r);
        ck_assert(!position_overlaps(&p, 5, messages[i]));
        assert_forgotten(&p);
    }
}
END_TEST

START_TEST(the_overlap_is_compared_with_what_was_last_when_reading_began)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply r = stream_to(6);
    char head[BATCH_HEADER_LEN];

    position_begin(&p, &r);
    position_advance(&p, &third, 6, AT); /* an acknowledgement came first */
    ck_assert(position_overlaps(&p, 5, message_of(&second, head)));
}
END_TEST

static void check_difference(struct jetstream_reply r, const char *word)
{
    struct journal_position p = read_to_end();
    const char *how = position_compare(&p, &r);
    ck_assert_ptr_nonnull(how);
    ck_assert_ptr_nonnull(strstr(how, word));
    assert_forgotten(&p);
    ck_assert_ptr_null(position_compare(&p, &r)); /* it is the stream that is read now */
}

START_TEST(another_stream_is_known_by_its_state)
{
    struct jetstream_reply again = stream_to(9), cut = stream_to(4), emptied = stream_to(6);

    strcpy(again.created, "2026-11-22");
    emptied.messages = 0;
    check_difference(again, "created again");
    check_difference(cut, "lost its end");
    check_difference(emptied, "emptied");
}
END_TEST

START_TEST(a_stream_that_is_behind_may_catch_up_for_a_while)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply less = stream_to(4), all = stream_to(5), other = stream_to(4);

    ck_assert(position_may_catch_up(&p, &less, NOW));
    ck_assert(position_may_catch_up(&p, &less, NOW + POSITION_CATCH_UP_MS - 1));
    ck_assert(!position_may_catch_up(&p, &less, NOW + POSITION_CATCH_UP_MS));

    ck_assert(!position_may_catch_up(&p, &all, NOW + POSITION_CATCH_UP_MS));
    ck_assert(position_may_catch_up(&p, &less, NOW + POSITION_CATCH_UP_MS));
    position_other_server(&p);
    ck_assert(position_may_catch_up(&p, &less, NOW + 2 * POSITION_CATCH_UP_MS));

    strcpy(other.created, "2026-11-22");
    ck_assert(!position_may_catch_up(&p, &other, NOW));
}
END_TEST

START_TEST(without_a_batch_the_leader_agrees)
{
    struct journal_position p = {0};

    ck_assert_uint_eq(position_begin_check(&p, NOW), 0);
    ck_assert(p.agreed);
}
END_TEST

/* A reply of the leader with the batch of this name. */
static struct jetstream_reply leader_has(const struct batch_name *name)
{
    struct jetstream_reply r = {.begin_len = BATCH_HEADER_LEN};
    message_of(name, r.begin);
    return r;
}

START_TEST(the_leader_is_asked_once_for_the_last_batch)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply same = leader_has(&second);

    position_skip(&p, 6, AT);
    ck_assert_uint_eq(position_begin_check(&p, NOW), 5);
    ck_assert_uint_eq(position_begin_check(&p, NOW), 0);
    ck_assert_int_eq(position_judge(&p, &same), POSITION_AGREED);
    ck_assert(p.agreed);
    ck_assert_uint_eq(position_begin_check(&p, NOW), 0);
    ck_assert_int_eq(position_judge(&p, &same), POSITION_UNDECIDED); /* a second answer */

    position_require_check(&p);
    ck_assert(!p.agreed);
    ck_assert_uint_eq(position_begin_check(&p, NOW), 5);
}
END_TEST

START_TEST(the_leader_is_asked_again_when_it_is_late)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply broken = {.code = 503};

    ck_assert(!position_end_late_check(&p, NOW));
    position_begin_check(&p, NOW);
    ck_assert_int_eq(position_judge(&p, &broken), POSITION_UNDECIDED);
    ck_assert(!position_end_late_check(&p, NOW + POSITION_CHECK_MS - 1));
    ck_assert(position_end_late_check(&p, NOW + POSITION_CHECK_MS));
    ck_assert_uint_eq(position_begin_check(&p, NOW + POSITION_CHECK_MS), 5);
}
END_TEST

START_TEST(the_leader_may_have_another_batch)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply differs = leader_has(&third);

    position_begin_check(&p, NOW);
    ck_assert_int_eq(position_judge(&p, &differs), POSITION_DIFFERS);
    ck_assert(!p.agreed);
    assert_forgotten(&p);
}
END_TEST

START_TEST(the_leader_may_have_forgotten_the_batch)
{
    struct journal_position p = read_to_end();
    struct jetstream_reply gone = {.code = 404, .error = JETSTREAM_NO_MESSAGE};

    position_begin_check(&p, NOW);
    ck_assert_int_eq(position_judge(&p, &gone), POSITION_AGREED);

    position_advance(&p, &third, 6, AT); /* the target is 5: the stream was not seen to have 6 */
    position_require_check(&p);
    position_begin_check(&p, NOW);
    ck_assert_int_eq(position_judge(&p, &gone), POSITION_UNKNOWN);
    ck_assert(!p.agreed);
    ck_assert_uint_eq(p.offset, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_position");
    TCase *tests = one_case(suite, "journal_position");
    tcase_add_test(tests, a_message_that_is_no_batch_moves_the_offset_alone);
    tcase_add_test(tests, an_empty_stream_is_read_from_its_end);
    tcase_add_test(tests, more_of_the_stream_moves_the_target);
    tcase_add_test(tests, a_stream_that_goes_on_begins_with_the_overlap);
    tcase_add_test(tests, a_batch_that_the_stream_forgot_is_no_overlap);
    tcase_add_test(tests, another_batch_in_the_overlap_is_another_stream);
    tcase_add_test(tests, the_overlap_is_compared_with_what_was_last_when_reading_began);
    tcase_add_test(tests, another_stream_is_known_by_its_state);
    tcase_add_test(tests, a_stream_that_is_behind_may_catch_up_for_a_while);
    tcase_add_test(tests, without_a_batch_the_leader_agrees);
    tcase_add_test(tests, the_leader_is_asked_once_for_the_last_batch);
    tcase_add_test(tests, the_leader_is_asked_again_when_it_is_late);
    tcase_add_test(tests, the_leader_may_have_another_batch);
    tcase_add_test(tests, the_leader_may_have_forgotten_the_batch);
    return run_suite(suite);
}
