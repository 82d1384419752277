#include "stream/addresses.h"

#include "support.h"

static struct addresses *table;
static struct address *address;
static int64_t now;

static void setup(void)
{
    now = 1000000;
    table = addresses_new(2, 10);
    ck_assert_ptr_nonnull(table);
}

static void teardown(void)
{
    addresses_free(&table);
    addresses_free(&table);
}

static bool admit(const char *remote)
{
    return addresses_admit(table, remote, now, &address);
}

static struct address *address_of(const char *remote)
{
    admit(remote);
    return address;
}

START_TEST(so_many_at_once_and_then_at_the_rate)
{
    for (int i = 0; i < 10; i++)
        ck_assert(admit("192.0.2.1"));
    ck_assert(!admit("192.0.2.1"));
    ck_assert(admit("192.0.2.2")); /* others have their own */
    now += 100;
    ck_assert(admit("192.0.2.1"));
    ck_assert(!admit("192.0.2.1"));
    now += 5000; /* what was not used is not saved up */
    for (int i = 0; i < 10; i++)
        ck_assert(admit("192.0.2.1"));
    ck_assert(!admit("192.0.2.1"));
}
END_TEST

START_TEST(a_refused_knock_costs_nothing)
{
    for (int i = 0; i < 1000; i++)
        admit("192.0.2.1");
    now += 100;
    ck_assert(admit("192.0.2.1"));
}
END_TEST

START_TEST(streams_are_counted)
{
    struct address *one = address_of("192.0.2.1");
    address_open(table, one);
    ck_assert(!address_full(table, one));
    address_open(table, one);
    ck_assert(address_full(table, one));
    ck_assert(!address_full(table, address_of("192.0.2.2")));
    ck_assert_ptr_eq(address_of("192.0.2.1"), one);
    address_close(table, one);
    ck_assert(!address_full(table, one));
    address_close(table, one);
}
END_TEST

static const struct {
    const char *one, *other;
    bool same;
} pairs[] = {
    {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
    {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1", "::ffff:192.0.2.1", true},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
    {"fe80::1%eth0", "fe80::2%eth1", true},
    {"::1", "127.0.0.1", false},
};

START_TEST(addresses_are_told_apart)
{
    struct address *one = address_of(pairs[_i].one);
    ck_assert_ptr_nonnull(one);
    ck_assert((one == address_of(pairs[_i].other)) == pairs[_i].same);
}
END_TEST

static const char *const none[] = {"",
                                   "unix:",
                                   "localhost",
                                   "192.0.2",
                                   "192.0.2.1:80",
                                   "[::1]",
                                   "%eth0",
                                   "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};

START_TEST(what_is_no_address_is_not_limited)
{
    for (int i = 0; i < 100; i++)
        ck_assert(admit(none[_i]) && !address);
    ck_assert(admit(NULL) && !address);
    ck_assert_uint_eq(addresses_count(table), 0);
}
END_TEST

static const char *numbered(unsigned n)
{
    static char text[32];
    snprintf(text, sizeof text, "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
    return text;
}

START_TEST(what_does_not_matter_any_more_is_forgotten)
{
    for (unsigned n = 0; n < 1000; n++)
        admit(numbered(n));
    ck_assert_uint_eq(addresses_count(table), 1000);
    now += 1000;
    for (int i = 0; i < 300; i++)
        admit("192.0.2.1");
    ck_assert_uint_eq(addresses_count(table), 1);
}
END_TEST

START_TEST(not_too_many_are_remembered)
{
    struct address *kept = address_of("192.0.2.1");
    address_open(table, kept);
    for (unsigned n = 0; n < ADDRESSES_IDLE_MAX + 5000; n++)
        admit(numbered(n));
    ck_assert_uint_le(addresses_count(table), ADDRESSES_IDLE_MAX + 2);
    ck_assert_ptr_eq(address_of("192.0.2.1"), kept); /* with a stream it stays */
    address_close(table, kept);
}
END_TEST

START_TEST(without_limits_there_are_none)
{
    addresses_free(&table);
    table = addresses_new(0, 0);
    for (int i = 0; i < 10000; i++) {
        ck_assert(admit("192.0.2.1"));
        address_open(table, address);
    }
    ck_assert(!address_full(table, address));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("addresses");
    TCase *tests = one_case(suite, "addresses");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, so_many_at_once_and_then_at_the_rate);
    tcase_add_test(tests, a_refused_knock_costs_nothing);
    tcase_add_test(tests, streams_are_counted);
    tcase_add_loop_test(tests, addresses_are_told_apart, 0, COUNT(pairs));
    tcase_add_loop_test(tests, what_is_no_address_is_not_limited, 0, COUNT(none));
    tcase_add_test(tests, what_does_not_matter_any_more_is_forgotten);
    tcase_add_test(tests, not_too_many_are_remembered);
    tcase_add_test(tests, without_limits_there_are_none);
    return run_suite(suite);
}
