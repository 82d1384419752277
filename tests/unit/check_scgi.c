#include "http/scgi.h"

#include <stdlib.h>

#include "support.h"

#define MAX 1000u

/* A request of these pairs, with NUL written as '|', and this body. */
static struct {
    char bytes[4096];
    size_t len;
} wire;

static void put_pairs(const char *pairs, const char *behind)
{
    size_t len = strlen(pairs);
    int n = snprintf(wire.bytes, sizeof wire.bytes, "%zu:", len);
    for (size_t i = 0; i < len; i++)
        wire.bytes[(size_t)n + i] = (char)(pairs[i] == '|' ? 0 : pairs[i]);
    wire.len = (size_t)n + len + strlen(behind);
    memcpy(wire.bytes + (size_t)n + len, behind, strlen(behind));
}

static enum scgi_progress scan(size_t len, struct scgi_head *head)
{
    char *copy = malloc(len + !len); /* exact size, so that a sanitizer sees a read past it */
    memcpy(copy, wire.bytes, len);
    enum scgi_progress progress = scgi_scan((struct slice){copy, len}, MAX, head);
    free(copy);
    return progress;
}

static enum scgi_progress judge(const char *pairs)
{
    struct scgi_head head;
    put_pairs(pairs, ",");
    return scan(wire.len, &head);
}

#define PAIRS "CONTENT_LENGTH|4|SCGI|1|REQUEST_METHOD|POST|EMPTY||"

START_TEST(a_request_is_seen_to_arrive_byte_by_byte)
{
    struct scgi_head head;
    put_pairs(PAIRS, ",body");
    size_t head_len = wire.len - 4;
    for (size_t len = 0; len < head_len; len++)
        ck_assert_msg(scan(len, &head) == SCGI_PARTIAL, "at %zu", len);
    for (size_t len = head_len; len <= wire.len; len++)
        ck_assert_int_eq(scan(len, &head), SCGI_COMPLETE);
    ck_assert_uint_eq(head.len, head_len);
    ck_assert_uint_eq(head.body_len, 4);
}
END_TEST

START_TEST(its_headers_become_parameters)
{
    struct scgi_head head;
    struct params params = {0};
    put_pairs(PAIRS, ",body");
    ck_assert_int_eq(scgi_scan((struct slice){wire.bytes, wire.len}, MAX, &head), SCGI_COMPLETE);
    ck_assert_int_eq(scgi_params(&head, &params), 0);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
    ck_assert_str_eq(params_get(&params, "EMPTY"), "");
    ck_assert_uint_eq(params_content_length(&params), 4);
    ck_assert_ptr_null(params_get(&params, "OTHER"));
    params_release(&params);
}
END_TEST

START_TEST(a_length_is_digits_and_a_colon)
{
    static const char *const bad[] = {"x", ":", "01:", "12x", "99999999", "-1:", " 1:", "1001:"};
    struct scgi_head head;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(scgi_scan(slice_of(bad[i]), MAX, &head) == SCGI_BAD, "%s", bad[i]);
    ck_assert_int_eq(scgi_scan(slice_of("9999999"), MAX, &head), SCGI_PARTIAL);
    ck_assert_int_eq(scgi_scan(slice_of("9999999:"), MAX, &head), SCGI_BAD);
}
END_TEST

START_TEST(what_is_no_list_of_pairs_is_refused)
{
    static const char *const bad[] = {
        "",
        "CONTENT_LENGTH|0|SCGI|1",       /* no NUL at the end */
        "CONTENT_LENGTH|0|SCGI|1|NAME|", /* no value */
        "SCGI|1|CONTENT_LENGTH|0|",      /* in another order */
        "CONTENT_LENGTH|0|",             /* no SCGI */
        "CONTENT_LENGTH|0|SCGI|2|",      /* another version */
        "CONTENT_LENGTH||SCGI|1|",       /* no length */
        "CONTENT_LENGTH|-1|SCGI|1|",
        "CONTENT_LENGTH|99999999999999999999|SCGI|1|",
        "CONTENT_LENGTH|0|SCGI|1|CONTENT_LENGTH|1|",
        "CONTENT_LENGTH|0|SCGI|1||value|", /* no name */
        "CONTENT_LENGTH|0|SCGI|1|A=B|value|",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(judge(bad[i]) == SCGI_BAD, "%s", bad[i]);
    ck_assert_int_eq(judge("CONTENT_LENGTH|0|SCGI|1|"), SCGI_COMPLETE);
    ck_assert_int_eq(judge("CONTENT_LENGTH|0|SCGI|1|SERVER_SIGNATURE|<address>Apache</address>\n|"),
                     SCGI_COMPLETE);
}
END_TEST

START_TEST(a_comma_ends_the_headers)
{
    struct scgi_head head;
    put_pairs(PAIRS, ";");
    ck_assert_int_eq(scan(wire.len, &head), SCGI_BAD);
}
END_TEST

START_TEST(random_bytes_never_read_outside)
{
    struct scgi_head head;
    uint32_t state = 1;
    for (int round = 0; round < 20000; round++) {
        put_pairs(PAIRS, ",body");
        for (int k = 0; k < 3; k++) {
            state = state * 1664525 + 1013904223;
            wire.bytes[(state >> 8) % wire.len] = (char)(state >> 24);
        }
        scan((state >> 4) % (wire.len + 1), &head);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scgi");
    TCase *tests = one_case(suite, "scgi");
    tcase_add_test(tests, a_request_is_seen_to_arrive_byte_by_byte);
    tcase_add_test(tests, its_headers_become_parameters);
    tcase_add_test(tests, a_length_is_digits_and_a_colon);
    tcase_add_test(tests, what_is_no_list_of_pairs_is_refused);
    tcase_add_test(tests, a_comma_ends_the_headers);
    tcase_add_test(tests, random_bytes_never_read_outside);
    return run_suite(suite);
}
