/* Addresses of MQTT brokers. */
#include "mqtt/mqtt_options.h"
#include "support.h"

static struct mqtt_address a;

static void is(const char *server, bool tls, const char *host, int port)
{
    ck_assert_msg(mqtt_address(server, tls, &a), "'%s' is refused", server);
    ck_assert_str_eq(a.host, host);
    ck_assert_int_eq(a.port, port);
}

START_TEST(an_address_has_a_host_and_perhaps_a_port)
{
    is("h", false, "h", 1883);
    is("h", true, "h", 8883);
    is("h.example:1", true, "h.example", 1);
    is("[::1]", false, "::1", 1883);
    is("[::1]:65535", false, "::1", 65535);
}
END_TEST

START_TEST(other_texts_are_no_address)
{
    static const char *const bad[] = {"",       ":1",  "h:",   "h:0", "h:65536",
                                      "h:x",    "::1", "[::1", "[]",  "[::1]1",
                                      "[::1]:", "a b", "[h]",  "*",   "h:01883x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!mqtt_address(bad[i], false, &a), "'%s' is accepted", bad[i]);

    char longest[300];
    memset(longest, 'h', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ck_assert(!mqtt_address(longest, false, &a));
    longest[255] = '\0';
    ck_assert(mqtt_address(longest, false, &a));
}
END_TEST

START_TEST(which_messages_are_state)
{
    ck_assert_int_eq(mqtt_keyed_of("retained"), KEYED_RETAINED);
    ck_assert_int_eq(mqtt_keyed_of("all"), KEYED_ALL);
    ck_assert_int_eq(mqtt_keyed_of("none"), KEYED_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mqtt_options");
    TCase *tests = one_case(suite, "mqtt_options");
    tcase_add_test(tests, an_address_has_a_host_and_perhaps_a_port);
    tcase_add_test(tests, other_texts_are_no_address);
    tcase_add_test(tests, which_messages_are_state);
    return run_suite(suite);
}
