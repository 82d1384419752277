/* A batch stays pending until an answer to one of its own sends decides it. */
#include "log/journal_offer.h"

#include "support.h"

#define BROKER 77u
#define NOW 10000

static const struct jetstream_reply stored = {.sequence = 42}, other = {.sequence = 43};
static const struct jetstream_reply overtaken = {.code = 400,
                                                 .error = JETSTREAM_WRONG_LAST_SEQUENCE};
static const struct jetstream_reply rejected = {.code = 400, .error = 10054},
                                    broken = {.code = 503};

/* A batch that follows offset 41, and was sent once; returns the number of that. */
static uint64_t offer(struct journal_offer *o)
{
    struct buf message = {0};
    struct batch t = {.offset = 41, .predecessor = {BROKER, 3}}, read;
    char head[BATCH_HEADER_LEN] = {0};

    buf_put(&message, head, sizeof head);
    buf_put(&message, "entries", 7);
    offer_begin(o, &message, &t, BROKER, 5);
    ck_assert_ptr_null(message.data);
    ck_assert(offer_pending(o));
    ck_assert_int_eq(batch_get(buf_slice(&o->message), &read), 0);
    ck_assert(batch_same_name(&read.name, &o->name));
    ck_assert_uint_eq(read.offset, 41);
    assert_slice(read.entries, S("entries"));

    uint64_t number = offer_next_send(o);
    offer_note_send(o, true, NOW);
    return number;
}

START_TEST(each_batch_has_a_name_of_its_own)
{
    struct journal_offer o = {0};

    offer(&o);
    ck_assert_uint_eq(o.name.broker, BROKER);
    ck_assert_uint_eq(o.name.number, 1);
    offer_end(&o);
    ck_assert(!offer_pending(&o));
    offer(&o);
    ck_assert_uint_eq(o.name.number, 2);
    offer_end(&o);
}
END_TEST

START_TEST(the_offset_behind_is_stored)
{
    struct journal_offer o = {0};
    uint64_t number = offer(&o);

    ck_assert_int_eq(offer_judge(&o, number, &stored, NOW), OFFER_STORED);
    ck_assert(offer_pending(&o)); /* its caller ends it */
    offer_end(&o);
}
END_TEST

START_TEST(an_error_of_the_server_is_final)
{
    struct journal_offer o = {0};
    uint64_t number = offer(&o);

    ck_assert_int_eq(offer_judge(&o, number, &rejected, NOW), OFFER_REFUSED);
    offer_end(&o);
}
END_TEST

START_TEST(answers_to_an_earlier_batch_decide_nothing)
{
    struct journal_offer o = {0};
    uint64_t number = offer(&o);

    offer_end(&o);
    ck_assert_int_eq(offer_judge(&o, number, &stored, NOW), OFFER_UNDECIDED);
    offer(&o);
    ck_assert_int_eq(offer_judge(&o, number, &stored, NOW), OFFER_UNDECIDED);
    ck_assert_int_eq(offer_judge(&o, number, &rejected, NOW), OFFER_UNDECIDED);
    ck_assert(!offer_due(&o, NOW));
    offer_end(&o);
}
END_TEST

START_TEST(any_send_of_a_batch_may_be_the_one_that_is_stored)
{
    struct journal_offer o = {0};
    uint64_t first = offer(&o), second = offer_next_send(&o);

    offer_note_send(&o, true, NOW);
    ck_assert_uint_gt(second, first);
    ck_assert_int_eq(offer_judge(&o, first, &stored, NOW), OFFER_STORED);
    offer_end(&o);
}
END_TEST

START_TEST(an_error_decides_nothing_when_another_send_may_be_stored)
{
    struct journal_offer o = {0};
    uint64_t first = offer(&o), second = offer_next_send(&o);

    offer_note_send(&o, true, NOW);
    ck_assert_int_eq(offer_judge(&o, second, &rejected, NOW), OFFER_DOUBTED);
    ck_assert_int_eq(offer_judge(&o, first, &rejected, NOW), OFFER_DOUBTED);
    ck_assert(offer_due(&o, NOW + OFFER_RESEND_MS));
    ck_assert_int_eq(offer_judge(&o, first, &stored, NOW), OFFER_STORED);
    offer_end(&o);
    ck_assert_int_eq(offer_judge(&o, offer(&o), &rejected, NOW), OFFER_REFUSED); /* the next one */
    offer_end(&o);
}
END_TEST

START_TEST(a_send_that_had_no_connection_leaves_no_doubt)
{
    struct journal_offer o = {0};
    struct batch t = {.offset = 41};
    struct buf message = {0};
    char head[BATCH_HEADER_LEN] = {0};

    buf_put(&message, head, sizeof head);
    offer_begin(&o, &message, &t, BROKER, 5);
    offer_next_send(&o);
    offer_note_send(&o, false, NOW);
    uint64_t second = offer_next_send(&o);
    offer_note_send(&o, true, NOW);
    ck_assert_int_eq(offer_judge(&o, second, &rejected, NOW), OFFER_REFUSED);
    offer_end(&o);
}
END_TEST

START_TEST(without_an_answer_it_is_sent_again)
{
    struct journal_offer o = {0};

    offer(&o);
    ck_assert(!offer_due(&o, NOW + OFFER_RESEND_MS - 1));
    ck_assert(offer_due(&o, NOW + OFFER_RESEND_MS));
    offer_end(&o);
    ck_assert(!offer_due(&o, NOW + OFFER_RESEND_MS));
}
END_TEST

START_TEST(it_is_sent_again_soon_when_no_server_could_store_it)
{
    struct journal_offer o = {0};
    uint64_t first = offer(&o);

    ck_assert_int_eq(offer_judge(&o, first, NULL, NOW), OFFER_UNDECIDED);
    ck_assert(offer_due(&o, NOW + OFFER_UNAVAILABLE_MS));
    ck_assert(!offer_due(&o, NOW + OFFER_UNAVAILABLE_MS - 1));

    uint64_t second = offer_next_send(&o);
    offer_note_send(&o, true, NOW);
    /* A newer send is on its way. */
    ck_assert_int_eq(offer_judge(&o, first, &broken, NOW), OFFER_UNDECIDED);
    ck_assert(!offer_due(&o, NOW + OFFER_UNAVAILABLE_MS));
    ck_assert_int_eq(offer_judge(&o, second, &broken, NOW), OFFER_UNDECIDED);
    ck_assert(offer_due(&o, NOW + OFFER_UNAVAILABLE_MS));
    offer_end(&o);
}
END_TEST

static void check_overtaken(const struct jetstream_reply *answer)
{
    struct journal_offer o = {0};
    uint64_t number = offer(&o);

    ck_assert_int_eq(offer_judge(&o, number, answer, NOW), OFFER_UNDECIDED);
    ck_assert(!offer_due(&o, INT64_MAX - 1));
    ck_assert(!offer_is_stuck(&o, NOW + OFFER_OVERTAKEN_MS - 1));
    ck_assert(offer_is_stuck(&o, NOW + OFFER_OVERTAKEN_MS));

    /* The first time counts. */
    ck_assert_int_eq(offer_judge(&o, number, answer, NOW + 100), OFFER_UNDECIDED);
    ck_assert(offer_is_stuck(&o, NOW + OFFER_OVERTAKEN_MS));
    offer_hurry(&o, NOW);
    ck_assert(!offer_due(&o, NOW));
    offer_wait_again(&o, NOW + 200);
    ck_assert(!offer_is_stuck(&o, NOW + OFFER_OVERTAKEN_MS));
    offer_end(&o);
    ck_assert(!offer_is_stuck(&o, INT64_MAX));
}

START_TEST(who_is_overtaken_waits_for_the_message_that_was_first)
{
    check_overtaken(&overtaken);
    check_overtaken(&other);
}
END_TEST

START_TEST(a_new_connection_sends_at_once)
{
    struct journal_offer o = {0};

    offer_hurry(&o, NOW);
    ck_assert(!offer_due(&o, NOW)); /* there is none */
    offer(&o);
    offer_hurry(&o, NOW + 1);
    ck_assert(offer_due(&o, NOW + 1));
    offer_end(&o);
}
END_TEST

START_TEST(it_is_remembered_whether_it_was_ever_sent)
{
    struct journal_offer o = {0};

    offer(&o);
    offer_next_send(&o);
    offer_note_send(&o, false, NOW);
    ck_assert(o.sent);
    offer_end(&o);
    ck_assert(o.sent);
}
END_TEST

START_TEST(a_message_behind_the_offset_decides)
{
    struct journal_offer o = {0};

    ck_assert(!offer_meets(&o, 42));
    offer(&o);
    ck_assert(!offer_meets(&o, 41));
    ck_assert(offer_meets(&o, 42));
    ck_assert(offer_meets(&o, 43));
    offer_end(&o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_offer");
    TCase *tests = one_case(suite, "journal_offer");
    tcase_add_test(tests, each_batch_has_a_name_of_its_own);
    tcase_add_test(tests, the_offset_behind_is_stored);
    tcase_add_test(tests, an_error_of_the_server_is_final);
    tcase_add_test(tests, answers_to_an_earlier_batch_decide_nothing);
    tcase_add_test(tests, any_send_of_a_batch_may_be_the_one_that_is_stored);
    tcase_add_test(tests, an_error_decides_nothing_when_another_send_may_be_stored);
    tcase_add_test(tests, a_send_that_had_no_connection_leaves_no_doubt);
    tcase_add_test(tests, without_an_answer_it_is_sent_again);
    tcase_add_test(tests, it_is_sent_again_soon_when_no_server_could_store_it);
    tcase_add_test(tests, who_is_overtaken_waits_for_the_message_that_was_first);
    tcase_add_test(tests, a_new_connection_sends_at_once);
    tcase_add_test(tests, it_is_remembered_whether_it_was_ever_sent);
    tcase_add_test(tests, a_message_behind_the_offset_decides);
    return run_suite(suite);
}
