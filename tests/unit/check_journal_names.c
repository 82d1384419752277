/* Servers are URLs with a port that can be, and streams have plain names. */
#include "log/journal_names.h"

#include <string.h>

#include "base/buf.h"
#include "log/nats_link.h"
#include "support.h"

START_TEST(servers_are_urls_with_commas_between)
{
    static const char *const good[] = {"nats://127.0.0.1:4222",
                                       "nats://host",
                                       "tls://host:4222",
                                       "nats://[::1]:4222",
                                       "nats://user:pw@host:4222",
                                       "nats://a:1,nats://b:2",
                                       "nats://a:1,b:2,tls://c:65535",
                                       "nats://a:1,"};
    static const char *const bad[] = {
        "",           "host:4222",    "http://host:4222", "nats://",     "nats://*:4222",
        "nats://a:0", "nats://a:x",   "nats://a:65536",   "nats://a/b",  "nats://a b:1",
        "nats://,",   "nats://a:1,,", "nats://a:1, b:2",  "nats://user@"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(!journal_check_servers(good[i]), "%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(journal_check_servers(bad[i]) != NULL, "%s is accepted", bad[i]);
}
END_TEST

START_TEST(the_number_of_servers_is_limited)
{
    struct buf text = {0};
    for (unsigned i = 0; i < NATS_LINK_SERVERS_MAX; i++)
        buf_put_slice(&text, slice_of(i ? ",nats://a:1" : "nats://a:1"));
    buf_terminate(&text);
    ck_assert_ptr_null(journal_check_servers(text.data));

    buf_put_slice(&text, slice_of(",nats://a:1"));
    buf_terminate(&text);
    ck_assert_ptr_nonnull(journal_check_servers(text.data));
    buf_release(&text);
}
END_TEST

START_TEST(a_stream_has_a_plain_name)
{
    char longest[66];
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    ck_assert_ptr_null(journal_check_stream("ssecast"));
    ck_assert_ptr_null(journal_check_stream("A-b_9"));
    ck_assert_ptr_null(journal_check_stream(longest));

    longest[64] = 'x';
    longest[65] = '\0';
    ck_assert_ptr_nonnull(journal_check_stream(longest));
    ck_assert_ptr_nonnull(journal_check_stream(""));
    ck_assert_ptr_nonnull(journal_check_stream("a.b"));
    ck_assert_ptr_nonnull(journal_check_stream("a b"));
    ck_assert_ptr_nonnull(journal_check_stream("a*"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_names");
    TCase *tests = one_case(suite, "journal_names");
    tcase_add_test(tests, servers_are_urls_with_commas_between);
    tcase_add_test(tests, the_number_of_servers_is_limited);
    tcase_add_test(tests, a_stream_has_a_plain_name);
    return run_suite(suite);
}
