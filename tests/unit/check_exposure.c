/* Which endpoints others can reach. */
#include "ops/exposure.h"

#include "ops/endpoint.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include "support.h"

static const char *const kept[] = {
    "tcp://127.0.0.1:5570",       "tcp://127.1.2.3:1", "tcp://127.1:1",
    "tcp://[::1]:5570",           "tcp://lo:5570",     "tcp://localhost:5570",
    "tcp://[::ffff:127.0.0.1]:1", "ipc:///run/x",      "ipc://x@y"};

static const char *const open_[] = {"tcp://*:5570",
                                    "tcp://0.0.0.0:5570",
                                    "tcp://0:5570",
                                    "tcp://[::]:5570",
                                    "tcp://10.0.0.5:1",
                                    "tcp://128.0.0.1:1",
                                    "tcp://[fe80::1]:1",
                                    "tcp://192.168.1.1:*",
                                    "tcp://[2001:db8::1]:5",
                                    "tcp://host.invalid:1",
                                    "tcp://[::ffff:10.0.0.1]:1",
                                    "tcp://1270.0.0.1:1",
                                    "tcp://127.0.0.1.example.invalid:1",
                                    "ipc://@x"};

START_TEST(loopback_and_ipc_are_kept)
{
    ck_assert_msg(!endpoint_exposed(kept[_i]), "%s", kept[_i]);
}
END_TEST

START_TEST(other_endpoints_are_exposed)
{
    ck_assert_msg(endpoint_exposed(open_[_i]), "%s", open_[_i]);
}
END_TEST

START_TEST(interfaces_are_what_their_addresses_are)
{
    struct ifaddrs *all;
    char endpoint[64];
    ck_assert_int_eq(getifaddrs(&all), 0);
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        const struct sockaddr_in *address = (const void *)i->ifa_addr;
        snprintf(endpoint, sizeof endpoint, "tcp://%s:5570", i->ifa_name);
        if (ntohl(address->sin_addr.s_addr) >> 24 != 127)
            ck_assert_msg(endpoint_exposed(endpoint), "%s", endpoint);
    }
    freeifaddrs(all);
    ck_assert(host_port_exposed("0.0.0.0:80") && host_port_exposed("[::]:80") &&
              host_port_exposed("*:80"));
    ck_assert(!host_port_exposed("127.0.0.1:80") && !host_port_exposed("[::1]:80") &&
              !host_port_exposed("localhost:80"));
    ck_assert(!endpoint_is_tcp("ipc:///tcp://"));
    ck_assert(endpoint_is_tcp("tcp://lo:1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exposure");
    TCase *tests = one_case(suite, "exposure");
    tcase_add_loop_test(tests, loopback_and_ipc_are_kept, 0, (int)(sizeof kept / sizeof *kept));
    tcase_add_loop_test(tests, other_endpoints_are_exposed, 0, (int)(sizeof open_ / sizeof *open_));
    tcase_add_test(tests, interfaces_are_what_their_addresses_are);
    return run_suite(suite);
}
