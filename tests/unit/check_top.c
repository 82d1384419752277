#include "cli/top.h"

#include <stdlib.h>
#include <string.h>

#include "support.h"

static const char *const reply =
    "{\"ok\":true,\"latency\":{\"measured\":true,\"p95_ms\":25},\"version\":\"9.8.7\","
    "\"now\":0,\"uptime_ms\":7300000,\"head\":1,\"connections\":1234,\"sessions\":2,"
    "\"channels\":3,\"workers_count\":1,\"over_time\":{\"until\":0,\"connections\":[0,500,1000],"
    "\"events\":[10,10,10],\"deliveries\":[0,0,3000]},\"workers\":[{\"worker\":\"w\\u001b[31m1\","
    "\"connections\":1234,\"lag_events\":5,\"queued_bytes\":2048,"
    "\"slow_readers\":7,\"silent_ms\":100}],\"history\":{\"events\":50,\"events_max\":100,"
    "\"bytes\":1024,\"bytes_max\":2048,\"age_ms\":1000,\"age_max_ms\":86400000},"
    "\"store\":{\"kind\":\"directory\",\"failing\":false,\"file_bytes\":1048576,\"used_bytes\":1,"
    "\"commits\":2,\"commit_us\":3000,\"failures\":0},\"sessions_top\":[{\"session\":\"big\","
    "\"connections\":1000},{\"session\":\"small\",\"connections\":234}],\"ends\":[{\"at\":0,"
    "\"cause\":\"slow\",\"count\":3,\"session\":\"s\\nx\",\"worker\":\"w\"}],\"counters\":{}}";

static struct tree *status;
static char text[65536];

static void set_up(void)
{
    setenv("TZ", "UTC", 1);
    status = tree_parse(slice_of(reply));
    ck_assert_ptr_nonnull(status);
}

static void tear_down(void)
{
    tree_free(&status);
}

static const char *frame(size_t columns, size_t lines, bool styled, const char *trouble,
                         const struct tree *of)
{
    FILE *out = fmemopen(text, sizeof text, "w");
    struct top_frame f = {of, "tcp://here", trouble, {columns, lines}, styled};
    top_write(&f, out);
    fclose(out);
    return text;
}

static size_t count_lines(void)
{
    size_t n = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        n++;
    return n;
}

/* Columns of the longest line: characters, not bytes. */
static size_t widest(void)
{
    size_t most = 0, columns = 0;
    for (const char *at = text; *at; at++) {
        columns = *at == '\n' ? 0 : columns + ((*at & 0xc0) != 0x80);
        most = columns > most ? columns : most;
    }
    return most;
}

static void assert_has(const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in\n%s", part, text);
}

START_TEST(a_frame_tells_everything)
{
    frame(100, 0, false, NULL, status);
    assert_has("ssecast 9.8.7   up 2 h   00:00:00   tcp://here\n");
    assert_has("workers 1  sessions 2  channels 3  95 % written within 25 ms\n");
    assert_has("connections       1,000 ");
    assert_has("events   ##########.......... 50 of 100\n");
    assert_has("memory   ##########.......... 1.0 KiB of 2.0 KiB\n");
    assert_has("store    directory, fine, 1.0 MiB on the disk, a commit takes 1.50 ms\n");
    assert_has("big ");
    assert_has("00:00:00  reader too slow       3  s\\nx ");
    ck_assert_uint_le(widest(), 100);
}
END_TEST

START_TEST(rates_are_means_of_a_few_seconds)
{
    frame(100, 0, false, NULL, status);
    assert_has("deliveries/s      1,000 ");
    assert_has("events/s             10 ");
}
END_TEST

START_TEST(curves_end_at_the_right)
{
    frame(40, 0, false, NULL, status);
    assert_has(" ▄█\n"); /* 0, 500, 1000 */
}
END_TEST

START_TEST(names_give_the_terminal_no_orders)
{
    frame(100, 0, false, NULL, status);
    assert_has("w\\x1b[31m1");
    ck_assert_ptr_null(strchr(text, 0x1b));
}
END_TEST

START_TEST(no_line_is_wider_than_the_terminal)
{
    for (size_t columns = TOP_COLUMNS_MIN; columns < 200; columns++) {
        frame(columns, 0, false, "no answer from the broker", status);
        ck_assert_uint_le(widest(), columns);
    }
}
END_TEST

START_TEST(no_frame_is_higher_than_the_terminal)
{
    for (size_t lines = 1; lines < 60; lines++) {
        frame(80, lines, true, "no answer from the broker", status);
        ck_assert_uint_lt(count_lines(), lines); /* no line feed in the last: no scrolling */
    }
}
END_TEST

START_TEST(trouble_is_told_and_that_the_numbers_are_old)
{
    frame(100, 0, true, "no answer", status);
    assert_has("\x1b[7mno answer; these numbers are old\x1b[0m");
    frame(100, 0, false, "no answer", NULL);
    ck_assert_str_eq(text, "ssecast   tcp://here\nno answer\n");
}
END_TEST

START_TEST(a_reply_without_anything_in_it_is_shown_too)
{
    struct tree *empty = tree_parse(S("{\"workers\":7,\"over_time\":[],\"ends\":[3,null]}"));
    frame(80, 24, false, NULL, empty);
    assert_has("none: no streams are possible\n");
    tree_free(&empty);
    ck_assert_ptr_null(tree_parse(S("[1]")));
    ck_assert_ptr_null(tree_parse(S("nonsense")));
}
END_TEST

START_TEST(a_store_that_fails_stands_out)
{
    struct tree *failing = tree_parse(S("{\"store\":{\"kind\":\"directory\",\"failing\":true}}"));
    frame(100, 0, true, NULL, failing);
    assert_has("\x1b[7mstore    directory, WRITE FAILED");
    tree_free(&failing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("top");
    TCase *tests = one_case(suite, "top");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_frame_tells_everything);
    tcase_add_test(tests, rates_are_means_of_a_few_seconds);
    tcase_add_test(tests, curves_end_at_the_right);
    tcase_add_test(tests, names_give_the_terminal_no_orders);
    tcase_add_test(tests, no_line_is_wider_than_the_terminal);
    tcase_add_test(tests, no_frame_is_higher_than_the_terminal);
    tcase_add_test(tests, trouble_is_told_and_that_the_numbers_are_old);
    tcase_add_test(tests, a_reply_without_anything_in_it_is_shown_too);
    tcase_add_test(tests, a_store_that_fails_stands_out);
    return run_suite(suite);
}
