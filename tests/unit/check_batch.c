/* A batch comes out of the journal as it went in, and what is no batch is not taken for one. */
#include "log/batch.h"

#include <errno.h>

#include "support.h"

static const struct batch sample = {
    .name = {0x1122334455667788, 9},
    .predecessor = {0x99aabbccddeeff00, 8},
    .offset = 41,
    .position = 1795259625623971,
    .incomplete = 17,
    .begins = true,
};

START_TEST(what_was_written_is_read)
{
    char message[BATCH_HEADER_LEN + 5] = {0};
    struct batch t;
    batch_put_header(message, &sample);
    memcpy(message + BATCH_HEADER_LEN, "after", 5);
    ck_assert_int_eq(batch_get((struct slice){message, sizeof message}, &t), 0);
    ck_assert(batch_same_name(&t.name, &sample.name) &&
              batch_same_name(&t.predecessor, &sample.predecessor));
    ck_assert_uint_eq(t.offset, 41);
    ck_assert_uint_eq(t.position, sample.position);
    ck_assert_uint_eq(t.incomplete, 17);
    ck_assert(t.begins);
    assert_slice(t.entries, S("after"));
}
END_TEST

START_TEST(the_layout_is_the_one_of_format_1)
{
    char head[BATCH_HEADER_LEN];
    batch_put_header(head, &sample);
    assert_slice(((struct slice){head, 16}), S("SSCL\x01\x01\0\0\x88\x77\x66\x55\x44\x33\x22\x11"));
    assert_slice(((struct slice){head + 40, 8}), S("\x29\0\0\0\0\0\0\0"));
}
END_TEST

START_TEST(a_header_without_entries_is_a_batch)
{
    char head[BATCH_HEADER_LEN];
    struct batch t;
    batch_put_header(head, &(struct batch){.position = 5});
    ck_assert_int_eq(batch_get((struct slice){head, sizeof head}, &t), 0);
    ck_assert(!t.begins && t.entries.len == 0);
}
END_TEST

START_TEST(what_is_cut_or_of_another_kind_is_no_batch)
{
    char head[BATCH_HEADER_LEN];
    struct batch t;
    batch_put_header(head, &sample);
    for (size_t len = 0; len < sizeof head; len++)
        ck_assert_int_eq(batch_get((struct slice){head, len}, &t), -EPROTO);
    for (size_t i = 0; i < 5; i++) {
        head[i]++;
        ck_assert_int_eq(batch_get((struct slice){head, sizeof head}, &t), -EPROTO);
        head[i]--;
    }
    ck_assert_int_eq(batch_get((struct slice){head, sizeof head}, &t), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tests = one_case(suite, "batch");
    tcase_add_test(tests, what_was_written_is_read);
    tcase_add_test(tests, the_layout_is_the_one_of_format_1);
    tcase_add_test(tests, a_header_without_entries_is_a_batch);
    tcase_add_test(tests, what_is_cut_or_of_another_kind_is_no_batch);
    return run_suite(suite);
}
