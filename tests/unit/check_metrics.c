#include "ops/metrics.h"

#include <string.h>

#include "command/gauges.h"
#include "support.h"

static struct metrics metrics;

static void begin(void)
{
    ck_assert_int_eq(metrics_begin(&metrics), 0);
}

static void end(void)
{
    metrics_release(&metrics);
    ck_assert_ptr_null(metrics.data);
    metrics_release(&metrics);
}

static void assert_text(const char *should)
{
    assert_slice(metrics_end(&metrics), slice_of(should));
}

/* Is this one of the lines? */
static bool has_line(struct slice text, const char *line)
{
    char wanted[200];
    size_t len = (size_t)snprintf(wanted, sizeof wanted, "\n%s\n", line);
    return memmem(text.data, text.len, wanted, len) ||
           (text.len > len && !memcmp(text.data, wanted + 1, len - 1));
}

START_TEST(a_row_is_a_family)
{
    static const struct stat_row rows[] = {
        {.name = "things", .help = "things that were"},
        {.name = "depth", .help = "how deep", .gauge = true},
        {.name = "took_us", .help = "time", .family = "ssecast_took_seconds_total", .decimals = 6},
        {.name = "hidden", .help = "is not told", .family = METRIC_NONE},
        {.name = "single", .help = "has no sum", .gauge = true, .no_sum = true},
    };
    const uint64_t numbers[] = {UINT64_MAX, 3, 1000042, 5, 6};
    metrics_rows(&metrics, rows, 5, numbers);
    assert_text("# HELP ssecast_things_total things that were\n"
                "# TYPE ssecast_things_total counter\n"
                "ssecast_things_total 18446744073709551615\n"
                "# HELP ssecast_depth how deep\n"
                "# TYPE ssecast_depth gauge\n"
                "ssecast_depth 3\n"
                "# HELP ssecast_took_seconds_total time\n"
                "# TYPE ssecast_took_seconds_total counter\n"
                "ssecast_took_seconds_total 1.000042\n");
}
END_TEST

START_TEST(samples_of_a_family_stand_together)
{
    static const struct stat_row rows[] = {
        {.name = "a",
         .help = "one",
         .family = "ssecast_ends_total",
         .labels = "x=\"a\"",
         .family_help = "all"},
        {.name = "other", .help = "other"},
        {.name = "b", .help = "two", .family = "ssecast_ends_total", .labels = "x=\"b\""},
    };
    const uint64_t numbers[] = {1, 2, 3};
    metrics_rows(&metrics, rows, 3, numbers);
    assert_text("# HELP ssecast_ends_total all\n"
                "# TYPE ssecast_ends_total counter\n"
                "ssecast_ends_total{x=\"a\"} 1\n"
                "ssecast_ends_total{x=\"b\"} 3\n"
                "# HELP ssecast_other_total other\n"
                "# TYPE ssecast_other_total counter\n"
                "ssecast_other_total 2\n");
}
END_TEST

START_TEST(buckets_add_up)
{
    uint64_t counters[WORKER_COUNTERS] = {[LATENCY_1] = 1,
                                          [LATENCY_5] = 20,
                                          [LATENCY_5000] = 300,
                                          [LATENCY_MORE] = 4000,
                                          [LATENCY_SUM_MS] = 12345};
    metrics_latency(&metrics, counters);
    struct slice text = metrics_end(&metrics);
    ck_assert(has_line(text, "# TYPE ssecast_publish_to_write_seconds histogram"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"0.001\"} 1"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"0.002\"} 1"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"0.005\"} 21"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"2.5\"} 21"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"5\"} 321"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_bucket{le=\"+Inf\"} 4321"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_count 4321"));
    ck_assert(has_line(text, "ssecast_publish_to_write_seconds_sum 12.345"));
}
END_TEST

START_TEST(each_worker_has_its_own_series)
{
    uint64_t counters[2][WORKER_COUNTERS] = {{[DELIVERIES] = 7},
                                             {[DELIVERIES] = 8, [ENDS_SLOW] = 9}};
    uint64_t gauges[2][WORKER_GAUGES] = {{[GAUGE_STREAMS] = 5},
                                         {[GAUGE_STARTED_MS] = 1700000000123}};
    const struct metrics_worker workers[] = {
        {.name = S("one"), .counters = counters[0], .gauges = gauges[0]},
        {.name = S("t\"w\\o\n\xff"), /* what a name may not hold */
         .counters = counters[1],
         .gauges = gauges[1],
         .heard = true,
         .silent_ms = -1,
         .lag_events = 3,
         .lag_ms = 1500},
    };
    metrics_workers(&metrics, workers, 2);
    struct slice text = metrics_end(&metrics);
    ck_assert(has_line(text, "ssecast_worker_deliveries_total{worker=\"one\"} 7"));
    ck_assert(has_line(text, "ssecast_worker_deliveries_total{worker=\"t?w?o??\"} 8"));
    ck_assert(has_line(text, "ssecast_worker_streams{worker=\"one\"} 5"));
    ck_assert(
        has_line(text, "ssecast_worker_start_time_seconds{worker=\"t?w?o??\"} 1700000000.123"));
    ck_assert(has_line(text, "ssecast_worker_feed_lag_events{worker=\"t?w?o??\"} 3"));
    ck_assert(has_line(text, "ssecast_worker_feed_lag_seconds{worker=\"t?w?o??\"} 1.500"));
    ck_assert(has_line(text, "ssecast_worker_silent_seconds{worker=\"t?w?o??\"} 0.000"));
    ck_assert(!has_line(text, "ssecast_worker_feed_lag_events{worker=\"one\"} 0")); /* not known */
    /* It is told in all only. */
    ck_assert_ptr_null(memmem(text.data, text.len, "ends", 4));
}
END_TEST

START_TEST(it_says_whose_numbers_these_are)
{
    metrics_up(&metrics, true);
    metrics_build(&metrics);
    struct slice text = metrics_end(&metrics);
    ck_assert(has_line(text, "ssecast_up 1"));
    ck_assert(has_line(text, "ssecast_build_info{version=\"" SSECAST_VERSION "\"} 1"));
}
END_TEST

/* --- the rows there are --- */

static bool names_a_metric(const char *family, bool gauge)
{
    size_t len = strlen(family), valid = strspn(family, "abcdefghijklmnopqrstuvwxyz_");
    bool total = len > 6 && strcmp(family + len - 6, "_total") == 0;
    return len == valid && strncmp(family, "ssecast_", 8) == 0 && total == !gauge;
}

static void check_row(const struct stat_row *row)
{
    ck_assert_ptr_nonnull(row->name);
    ck_assert_ptr_nonnull(row->help);
    ck_assert_msg(!row->family || !*row->family || names_a_metric(row->family, row->gauge), "%s",
                  row->family);
    ck_assert_msg(!row->labels || row->family, "%s: labels without a family", row->name);
}

START_TEST(every_row_is_well_named)
{
    for (int i = 0; i < WORKER_COUNTERS; i++)
        check_row(&worker_counter_rows[i]);
    for (int i = 0; i < WORKER_GAUGES; i++)
        check_row(&worker_gauge_rows[i]);
    for (int i = 0; i < BROKER_COUNTERS; i++)
        check_row(&broker_counter_rows[i]);
    for (int i = 0; i < BROKER_GAUGES; i++)
        check_row(&broker_gauge_rows[i]);
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        ck_assert_str_eq(worker_counter_rows[LATENCY_FIRST + i].family, METRIC_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = one_case(suite, "metrics");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_row_is_a_family);
    tcase_add_test(tests, samples_of_a_family_stand_together);
    tcase_add_test(tests, buckets_add_up);
    tcase_add_test(tests, each_worker_has_its_own_series);
    tcase_add_test(tests, it_says_whose_numbers_these_are);
    tcase_add_test(tests, every_row_is_well_named);
    return run_suite(suite);
}
