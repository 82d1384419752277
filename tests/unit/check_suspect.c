/* A row is judged after SUSPECT_TRIES failures of its own. */
#include "pgsql/suspect.h"

#include "support.h"

static const struct row_key row = {"7", "100"}, changed = {"7", "101"}, other = {"8", "100"};

START_TEST(no_row_is_suspected_at_first)
{
    struct suspect s = {0};
    struct row_key none = {0};

    ck_assert(!suspect_is(&s, &none));
    ck_assert(!suspect_is_due(&s));
}
END_TEST

START_TEST(a_row_is_judged_after_its_tries)
{
    struct suspect s = {0};

    for (unsigned i = 1; i < SUSPECT_TRIES; i++) {
        suspect_note_failure(&s, &row, false, "out of memory");
        ck_assert(suspect_is(&s, &row));
        ck_assert(!suspect_is_due(&s));
    }
    suspect_note_failure(&s, &row, true, "connection lost");
    ck_assert(suspect_is_due(&s));
    ck_assert(s.cut);
    ck_assert_str_eq(s.why, "connection lost");

    suspect_clear(&s);
    ck_assert(!suspect_is(&s, &row));
    ck_assert(!suspect_is_due(&s));
}
END_TEST

START_TEST(another_row_or_version_begins_again)
{
    const struct row_key *const rows[] = {&changed, &other};
    for (size_t i = 0; i < 2; i++) {
        struct suspect s = {0};
        for (unsigned tries = 0; tries < SUSPECT_TRIES; tries++)
            suspect_note_failure(&s, &row, false, "");
        suspect_note_witness(&s, true);
        suspect_note_failure(&s, rows[i], false, "");
        ck_assert(!suspect_is(&s, &row));
        ck_assert(suspect_is(&s, rows[i]));
        ck_assert_uint_eq(s.tries, 1);
        ck_assert_uint_eq(s.witness, 0);
    }
}
END_TEST

START_TEST(each_witness_that_fails_makes_room_for_the_next)
{
    struct suspect s = {0};

    suspect_note_failure(&s, &row, false, "");
    for (unsigned i = 1; i < SUSPECT_WITNESSES; i++) {
        suspect_note_witness(&s, true);
        ck_assert_uint_eq(s.witness, i);
    }
    suspect_note_witness(&s, true);
    ck_assert_uint_eq(s.witness, 0);

    suspect_note_witness(&s, true);
    suspect_note_failure(&s, &row, false, ""); /* the same row keeps its place among them */
    ck_assert_uint_eq(s.witness, 1);
    suspect_note_witness(&s, false);
    ck_assert_uint_eq(s.witness, 0);
}
END_TEST

START_TEST(it_is_read_again_later_each_time)
{
    struct suspect s = {0};
    struct backoff b = {.retry_ms = 100, .max_ms = 300, .failures = 9};
    uint64_t waits[4];
    for (size_t i = 0; i < 4; i++) {
        suspect_note_failure(&s, &row, false, "");
        waits[i] = suspect_wait(&s, b);
    }
    ck_assert_uint_eq(waits[0], 100);
    ck_assert_uint_eq(waits[1], 200);
    ck_assert_uint_eq(waits[2], 300);
    ck_assert_uint_eq(waits[3], 300);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("suspect");
    TCase *tests = one_case(suite, "suspect");
    tcase_add_test(tests, no_row_is_suspected_at_first);
    tcase_add_test(tests, a_row_is_judged_after_its_tries);
    tcase_add_test(tests, another_row_or_version_begins_again);
    tcase_add_test(tests, each_witness_that_fails_makes_room_for_the_next);
    tcase_add_test(tests, it_is_read_again_later_each_time);
    return run_suite(suite);
}
