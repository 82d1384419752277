/* Which endpoints and addresses are accepted. */
#include "ops/endpoint.h"

#include <errno.h>
#include <unistd.h>

#include "support.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const good[] = {"tcp://127.0.0.1:5570",
                                   "tcp://[::1]:65535",
                                   "tcp://host.example:80",
                                   "tcp://eth0:1",
                                   "tcp://a_b-c:1",
                                   "tcp://[fe80::1%eth0]:1",
                                   "tcp://[::ffff:1.2.3.4]:1",
                                   "ipc:///run/x.sock",
                                   "ipc://@abstract",
                                   "ipc://relative"};

static const char *const only_to_bind[] = {"tcp://*:1", "tcp://*:0", "tcp://*:*",
                                           "tcp://127.0.0.1:0", "tcp://[::]:*"};

static const char *const bad[] = {"",
                                  "tcp://",
                                  "tcp://:1",
                                  "tcp://a",
                                  "tcp://a:",
                                  "tcp://a:65536",
                                  "tcp://a:1x",
                                  "tcp://a:0x",
                                  "tcp://*:0x",
                                  "tcp://a:00",
                                  "tcp://a:-1",
                                  "tcp://a:+1",
                                  "tcp://a: 1",
                                  "tcp://a b:1",
                                  "tcp://a/b:1",
                                  "tcp://a*:1",
                                  "tcp://**:1",
                                  "tcp://a:b:1",
                                  "tcp://::1:1",
                                  "tcp://[::1:1",
                                  "tcp://[::1]",
                                  "tcp://[::1]1",
                                  "tcp://[a]:1",
                                  "tcp://[]:1",
                                  "tcp://[::1%]:1",
                                  "tcp://[::1%a b]:1",
                                  "tcp://\xc3\xa4:1",
                                  "tcp://a\n:1",
                                  "ipc://",
                                  "inproc://a",
                                  "nats://a:1",
                                  "127.0.0.1:5570",
                                  "TCP",
                                  "tcp://a:99999999999",
                                  "tcp://a:18446744073709551617"};

START_TEST(a_valid_endpoint_is_accepted_by_both_sides)
{
    ck_assert_msg(!endpoint_check_connect(good[_i]), "'%s' is refused", good[_i]);
    ck_assert_msg(!endpoint_check_bind(good[_i]), "'%s' is refused", good[_i]);
}
END_TEST

START_TEST(wildcards_are_for_binding)
{
    ck_assert_msg(endpoint_check_connect(only_to_bind[_i]) != NULL, "'%s' is accepted",
                  only_to_bind[_i]);
    ck_assert_msg(!endpoint_check_bind(only_to_bind[_i]), "'%s' is refused", only_to_bind[_i]);
}
END_TEST

START_TEST(an_invalid_endpoint_is_refused_by_both_sides)
{
    ck_assert_msg(endpoint_check_connect(bad[_i]) != NULL, "'%s' is accepted", bad[_i]);
    ck_assert_msg(endpoint_check_bind(bad[_i]) != NULL, "'%s' is accepted", bad[_i]);
}
END_TEST

START_TEST(a_path_fits_into_an_address)
{
    char longest[6 + 108 + 1] = "ipc://";
    memset(longest + 6, 'x', 108);
    ck_assert_ptr_nonnull(endpoint_check_bind(longest));
    ck_assert_ptr_nonnull(strstr(endpoint_check_connect(longest), "107 bytes"));
    longest[6 + 107] = '\0';
    ck_assert_ptr_null(endpoint_check_bind(longest));
    ck_assert_ptr_null(endpoint_check_connect(longest));
}
END_TEST

static void splits(const char *text, const char *host, const char *port)
{
    struct slice h, p;
    ck_assert_msg(endpoint_split(slice_of(text), &h, &p), "'%s' is refused", text);
    ck_assert_msg(slice_equal(h, slice_of(host)), "the host of '%s' is %.*s", text, (int)h.len,
                  h.data);
    ck_assert_msg(slice_equal(p, slice_of(port)) && !p.data == !port, "the port of '%s'", text);
}

START_TEST(addresses_are_split)
{
    splits("h", "h", NULL);
    splits("h:", "h", "");
    splits("h:x", "h", "x");
    splits("[::1]", "::1", NULL);
    splits("[::1]:5", "::1", "5");
    splits("*:5", "*", "5");
}
END_TEST

/* A slice is not read beyond its end. */
START_TEST(parts_of_a_text_are_judged)
{
    struct slice h, p;
    for (size_t len = 0; len <= 10; len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, "[::1]:4222", len);
        bool whole = endpoint_split((struct slice){exact, len}, &h, &p);
        ck_assert_int_eq(whole, len >= 5);
        if (len == 10)
            ck_assert(endpoint_port_valid(p));
        free(exact);
    }
    ck_assert(!endpoint_port_valid((struct slice){0}) && endpoint_port_valid(slice_of("65535")));
}
END_TEST

START_TEST(a_socket_that_cannot_be_used_is_known)
{
    struct own_folder folder;
    char endpoint[100];
    own_folder_make(&folder, "socket");
    snprintf(endpoint, sizeof endpoint, "ipc://%s", folder.file);
    ck_assert_int_eq(endpoint_access(endpoint), -ENOENT);
    make_file(folder.file, slice_of(""), 0660);
    ck_assert_int_eq(endpoint_access(endpoint), 0);

    if (geteuid() == 0) { /* it may use everything */
        ck_assert_int_eq(seteuid(65534), 0);
        int err = endpoint_access(endpoint);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(err, -EACCES);
    }
    own_folder_remove(&folder);
    ck_assert_int_eq(endpoint_access("tcp://127.0.0.1:1"), 0);
    ck_assert_int_eq(endpoint_access("ipc://@nobody-here"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("endpoint");
    TCase *tests = one_case(suite, "endpoint");
    tcase_add_loop_test(tests, a_valid_endpoint_is_accepted_by_both_sides, 0, (int)COUNT(good));
    tcase_add_loop_test(tests, wildcards_are_for_binding, 0, (int)COUNT(only_to_bind));
    tcase_add_loop_test(tests, an_invalid_endpoint_is_refused_by_both_sides, 0, (int)COUNT(bad));
    tcase_add_test(tests, a_path_fits_into_an_address);
    tcase_add_test(tests, addresses_are_split);
    tcase_add_test(tests, parts_of_a_text_are_judged);
    tcase_add_test(tests, a_socket_that_cannot_be_used_is_known);
    return run_suite(suite);
}
