/* The reply subject says which request an answer is for. A link that is closed does nothing. */
#include "log/journal_link.h"

#include "support.h"

static struct journal_link named = {.inbox = "_INBOX.abc"};

START_TEST(a_reply_subject_names_kind_and_number)
{
    char subject[JOURNAL_SUBJECT_MAX];
    enum journal_request kind;
    uint64_t number;

    journal_link_put_reply(&named, REQUEST_CONSUMER, UINT64_MAX, subject);
    ck_assert_str_eq(subject, "_INBOX.abc.o.18446744073709551615");
    ck_assert(journal_link_read_reply(&named, subject, &kind, &number));
    ck_assert_int_eq(kind, REQUEST_CONSUMER);
    ck_assert_uint_eq(number, UINT64_MAX);
}
END_TEST

START_TEST(other_subjects_are_no_answers)
{
    static const char *const others[] = {"",
                                         "_INBOX.abc",
                                         "_INBOX.abc.",
                                         "_INBOX.abc.o",
                                         "_INBOX.abd.o.1",
                                         "_INBOX.abcd.o.1",
                                         "_INBOX.abc.oo.1"};
    enum journal_request kind;
    uint64_t number;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!journal_link_read_reply(&named, others[i], &kind, &number), "%s", others[i]);
}
END_TEST

START_TEST(a_long_inbox_is_cut)
{
    struct journal_link l = {0};
    char subject[JOURNAL_SUBJECT_MAX];
    for (size_t i = 0; i < JOURNAL_SUBJECT_MAX - 1; i++)
        l.inbox[i] = 'x';
    journal_link_put_reply(&l, REQUEST_APPEND, UINT64_MAX, subject);
    ck_assert_str_eq(subject + 200, ".a.18446744073709551615");
}
END_TEST

START_TEST(a_closed_link_has_no_news)
{
    struct journal_link l = {0};
    struct journal_link_message m;

    journal_link_request(&l, REQUEST_INSPECT, 1, (struct slice){0});
    ck_assert_int_eq(journal_link_receive(&l, &m), LINK_NOTHING);
    journal_link_unsubscribe(&l);
    journal_link_close(&l);
    ck_assert_ptr_null(l.nats);
}
END_TEST

START_TEST(a_link_that_cannot_be_opened_may_be_closed)
{
    struct journal_link l = {0};
    struct nats_link_config config = {.servers = "nats://127.0.0.1:1", .name = "check"};
    char why[NATS_LINK_WHY_MAX] = "";

    ck_assert_int_lt(journal_link_open(&l, &config, "ssecast", why), 0);
    ck_assert_str_ne(why, "");
    journal_link_close(&l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_link");
    TCase *tests = one_case(suite, "journal_link");
    tcase_add_test(tests, a_reply_subject_names_kind_and_number);
    tcase_add_test(tests, other_subjects_are_no_answers);
    tcase_add_test(tests, a_long_inbox_is_cut);
    tcase_add_test(tests, a_closed_link_has_no_news);
    tcase_add_test(tests, a_link_that_cannot_be_opened_may_be_closed);
    return run_suite(suite);
}
