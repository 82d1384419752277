#include "stream/beginning.h"

#include "support.h"

static struct start start;
static char why[START_WHY_MAX];

static enum start_verdict read_query(const char *query)
{
    char text[400];
    struct params params = {0};
    snprintf(text, sizeof text, "QUERY_STRING=%s", query);
    ck_assert_int_eq(params_copy(&params, (char *[]){text, NULL}), 0);
    enum start_verdict verdict = start_read(&params, &start, why);
    params_release(&params);
    return verdict;
}

static const struct {
    const char *query;
    enum start_kind kind;
    uint64_t value;
} good[] = {
    {"", START_AFTER, 0},
    {"a=last&xlast=0", START_AFTER, 0},
    {"from=earliest", START_EARLIEST, 0},
    {"last=1", START_LAST, 1},
    {"last=1000", START_LAST, 1000},
    {"last=0042", START_LAST, 42},
    {"since=0", START_SINCE, 0},
    {"since=9007199254740991", START_SINCE, START_SINCE_MAX},
    {"since=1970-01-01T00:00:00Z", START_SINCE, 0},
    {"since=1970-01-01T00:00:01.5Z", START_SINCE, 1500},
    {"since=1969-12-31T23:59:59Z", START_SINCE, 0},
    {"since=0000-01-01T00:00:00Z", START_SINCE, 0},
    {"since=2026-11-21t10:15:02.0019z", START_SINCE, 1795256102001},
    {"since=2026-11-21T11:15:02%2B01:00", START_SINCE, 1795256102000},
    {"since=2026-11-21T11:15:02+01:00", START_SINCE, 1795256102000},
    {"since=2026-11-21T04:45:02-05:30", START_SINCE, 1795256102000},
    {"since=2016-12-31T23:59:60Z", START_SINCE, 1483228800000},
    {"since=2017-01-01T00:59:60%2B01:00", START_SINCE, 1483228800000},
    {"since=2024-02-29T00:00:00Z", START_SINCE, 1709164800000},
    {"since=2000-02-29T00:00:00Z", START_SINCE, 951782400000},
    {"since=9999-12-31T23:59:59.999Z", START_SINCE, 253402300799999},
};

START_TEST(a_valid_start_is_read)
{
    ck_assert_msg(read_query(good[_i].query) == START_READ, "%s: %s", good[_i].query, why);
    ck_assert_int_eq(start.kind, good[_i].kind);
    ck_assert_uint_eq(start.value, good[_i].value);
}
END_TEST

static const char *const bad[] = {
    "from=",
    "from=EARLIEST",
    "from=latest",
    "last=",
    "last=0",
    "last=1001",
    "last=-1",
    "last=1e3",
    "last=%EF%BC%95",
    "last=+1",
    "last=1%00",
    "last=00001",
    "since=",
    "since=-1",
    "since=9e99",
    "since=9007199254740992",
    "since=99999999999999999",
    "since=2026-11-21",
    "since=2026-11-21T10:15:02",
    "since=2026-11-21 10:15:02Z",
    "since=2026-02-29T00:00:00Z",
    "since=1900-02-29T00:00:00Z",
    "since=2026-00-01T00:00:00Z",
    "since=2026-01-00T00:00:00Z",
    "since=2026-11-21T24:00:00Z",
    "since=2026-11-21T10:60:00Z",
    "since=2026-11-21T10:15:60Z",
    "since=2026-11-21T23:59:61Z",
    "since=2026-11-21T10:15:02.Z",
    "since=2026-11-21T10:15:02%2B24:00",
    "since=2026-11-21T10:15:02%2B0100",
    "since=2026-11-21T10:15:02Zx",
    "since=02026-11-21T10:15:02Z",
    "from=earliest&last=1",
    "last=1&since=0",
    "from=earliest&since=0",
};

START_TEST(an_invalid_start_is_refused_with_what_is_accepted)
{
    ck_assert_int_eq(read_query(bad[_i]), START_BAD);
    ck_assert_ptr_nonnull(strstr(why, "accepted: "));
}
END_TEST

static const char *const repeated[] = {"last=1&last=1",
                                       "from=earliest&from=", "since=&a=b&since=0"};

START_TEST(a_start_given_twice_is_refused)
{
    ck_assert_int_eq(read_query(repeated[_i]), START_REPEATED);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("beginning");
    TCase *tests = one_case(suite, "start");
    tcase_add_loop_test(tests, a_valid_start_is_read, 0, COUNT(good));
    tcase_add_loop_test(tests, an_invalid_start_is_refused_with_what_is_accepted, 0, COUNT(bad));
    tcase_add_loop_test(tests, a_start_given_twice_is_refused, 0, COUNT(repeated));
    return run_suite(suite);
}
