/* Log lines about a journal that makes no progress: each problem once, and its end. */
#include "log/journal_trouble.h"

#include "capture.h"
#include "ops/log.h"
#include "support.h"

static struct journal_trouble trouble;
static struct capture log_lines;

static void begin(void)
{
    trouble = (struct journal_trouble){0};
    capture_begin(&log_lines, STDERR_FILENO);
}

/* How many lines of the log have this text. Lines after that are captured for the next call. */
static size_t logged(const char *text)
{
    size_t count = 0;
    for (const char *at = capture_end(&log_lines); (at = strstr(at, text)); at++)
        count++;
    capture_begin(&log_lines, STDERR_FILENO);
    return count;
}

static void end(void)
{
    capture_end(&log_lines);
}

START_TEST(a_problem_is_logged_once_and_the_next_one_too)
{
    trouble_report(&trouble, "no connection");
    trouble_report(&trouble, "no connection");
    ck_assert_uint_eq(logged("store unavailable: no connection"), 1);
    trouble_silence(&trouble);
    trouble_silence(&trouble);
    ck_assert_uint_eq(logged("store unavailable: the server does not answer"), 1);
    ck_assert_ptr_nonnull(strstr(trouble.why, "does not answer"));
}
END_TEST

START_TEST(the_end_of_a_problem_is_logged_once)
{
    trouble_end(&trouble);
    ck_assert_uint_eq(logged("again"), 0);
    trouble_report(&trouble, "no connection");
    trouble_end(&trouble);
    trouble_end(&trouble);
    ck_assert_uint_eq(logged("store available again"), 1);
    ck_assert_str_eq(trouble.why, "");
}
END_TEST

START_TEST(a_problem_that_comes_back_within_a_minute_is_logged_again)
{
    for (int i = 0; i < 2; i++) {
        trouble_report(&trouble, "connection refused");
        trouble_end(&trouble);
    }
    trouble_report(&trouble, "connection refused");
    ck_assert_uint_eq(logged("store unavailable: connection refused"), 3);
}
END_TEST

START_TEST(a_refusal_that_no_retry_can_change_is_hopeless)
{
    struct jetstream_reply r = {.code = 503, .error = JETSTREAM_NO_PEERS};
    trouble_refused(&trouble, "cannot create the stream", &r);
    ck_assert(!trouble.hopeless); /* servers may be starting */
    ck_assert_uint_eq(
        logged("cannot create the stream: no reason given; --store-replicas asks for more"), 1);

    r.error = JETSTREAM_NOT_ENABLED;
    strcpy(r.why, "JetStream not enabled");
    trouble_refused(&trouble, "cannot create the stream", &r);
    ck_assert(trouble.hopeless);
    ck_assert_str_eq(trouble.why, "cannot create the stream: JetStream not enabled");
}
END_TEST

START_TEST(what_is_only_noted_is_not_logged)
{
    trouble_note(&trouble, "maximum bytes exceeded");
    ck_assert_str_eq(trouble.why, "maximum bytes exceeded");
    ck_assert_uint_eq(logged("maximum"), 0);
}
END_TEST

START_TEST(a_stream_that_is_less_than_wanted_is_logged_at_first)
{
    const struct history_limits limits = {.events = 100, .bytes = 1000, .age_ms = 60000};
    const struct journal_wants wants = {"events", 3, &limits};
    const struct jetstream_reply enough = {.replicas = 3, .max_messages = 100},
                                 less = {.replicas = 1, .max_bytes = 999};
    trouble_compare(&trouble, &enough, &wants);
    trouble_compare(&trouble, &less, &wants);
    ck_assert_uint_eq(logged("stream events"), 0);

    trouble = (struct journal_trouble){0};
    trouble_compare(&trouble, &less, &wants);
    ck_assert_uint_eq(logged("stream events"), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_trouble");
    TCase *tests = one_case(suite, "journal_trouble");
    log_open("test", LOG_INFO);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_problem_is_logged_once_and_the_next_one_too);
    tcase_add_test(tests, the_end_of_a_problem_is_logged_once);
    tcase_add_test(tests, a_problem_that_comes_back_within_a_minute_is_logged_again);
    tcase_add_test(tests, a_refusal_that_no_retry_can_change_is_hopeless);
    tcase_add_test(tests, what_is_only_noted_is_not_logged);
    tcase_add_test(tests, a_stream_that_is_less_than_wanted_is_logged_at_first);
    return run_suite(suite);
}
