/* What the broker said, as the library tells it. */
#include "lib/reply_json.h"

#include <errno.h>

#include "support.h"

static struct ssecast_reply *parse(const char *text, uint64_t wanted_ref)
{
    struct ssecast_reply *r;
    uint64_t ref;
    ck_assert_int_eq(reply_parse(slice_of(text), &r, &ref), 0);
    ck_assert_uint_eq(ref, wanted_ref);
    return r;
}

START_TEST(what_is_no_reply_is_refused)
{
    static const char *const bad[] = {"",    "{", "[]", "1", "{}", "{\"ok\":1}", "{\"ok\":true}x",
                                      "\xff"};
    struct ssecast_reply *r = NULL;
    uint64_t ref;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(reply_parse(slice_of(bad[i]), &r, &ref), -EBADMSG);
        ck_assert_ptr_null(r);
        ck_assert_uint_eq(ref, 0);
    }
}
END_TEST

START_TEST(our_number_is_taken_out)
{
    size_t len;
    struct ssecast_reply *r = parse("{\"ok\":true,\"seq\":9,\"ref\":17}", 17);
    ck_assert_str_eq(ssecast_reply_json(r, &len), "{\"ok\":true,\"seq\":9}");
    ck_assert_uint_eq(len, 19);
    ssecast_reply_free(&r);
    r = parse("{\"ref\":3,\"ok\":true}", 3);
    ck_assert_str_eq(ssecast_reply_json(r, NULL), "{\"ref\":3,\"ok\":true}");
    ssecast_reply_free(&r);
    r = parse("{\"ok\":true,\"ref\":\"x\"}", 0);
    ck_assert_str_eq(ssecast_reply_json(r, NULL), "{\"ok\":true,\"ref\":\"x\"}");
    ssecast_reply_free(&r);
    r = parse("{\"ok\":true,\"ref\":-1}", 0);
    ssecast_reply_free(&r);
}
END_TEST

START_TEST(a_publish_tells_its_seq)
{
    struct ssecast_reply *r =
        parse("{\"ok\":true,\"seq\":1763710000000042,\"online\":3,\"duplicate\":true}", 0);
    int64_t number = -1;
    ck_assert(ssecast_reply_ok(r));
    ck_assert_uint_eq(ssecast_reply_seq(r), 1763710000000042u);
    ck_assert(ssecast_reply_duplicate(r));
    ck_assert_int_eq(ssecast_reply_number(r, "online", &number), 0);
    ck_assert_int_eq(number, 3);
    ck_assert_int_eq(ssecast_reply_number(r, "duplicate", &number), 0);
    ck_assert_int_eq(number, 1);
    ck_assert_int_eq(ssecast_reply_number(r, "closed", &number), -ENOENT);
    ck_assert_int_eq(number, 1);
    ck_assert_str_eq(ssecast_reply_code(r), "");
    ck_assert_uint_eq(ssecast_reply_seqs(r, NULL, 0), 0);
    ssecast_reply_free(&r);
}
END_TEST

START_TEST(a_batch_tells_all_of_them)
{
    struct ssecast_reply *r = parse("{\"ok\":true,\"seqs\":[4,5,6]}", 0);
    uint64_t seqs[3] = {0};
    ck_assert_uint_eq(ssecast_reply_seqs(r, seqs, 2), 3);
    ck_assert_uint_eq(seqs[1], 5);
    ck_assert_uint_eq(seqs[2], 0);
    ck_assert_uint_eq(ssecast_reply_seq(r), 0);
    ssecast_reply_free(&r);
}
END_TEST

START_TEST(a_refusal_says_why)
{
    struct ssecast_reply *r =
        parse("{\"ok\":false,\"error\":\"too_large\",\"message\":\"5\",\"ref\":1}", 1);
    ck_assert(!ssecast_reply_ok(r));
    ck_assert_str_eq(ssecast_reply_code(r), "too_large");
    ck_assert_str_eq(ssecast_reply_message(r), "5");
    ssecast_reply_free(&r);
}
END_TEST

START_TEST(it_lives_as_long_as_somebody_keeps_it)
{
    struct ssecast_reply *r = parse("{\"ok\":true}", 0), *kept = ssecast_reply_ref(r);
    ssecast_reply_free(&r);
    ck_assert_ptr_null(r);
    ck_assert(ssecast_reply_ok(kept));
    ssecast_reply_free(&kept);
    ssecast_reply_free(&kept);
    ck_assert_ptr_null(ssecast_reply_ref(NULL));
}
END_TEST

START_TEST(requests_are_looked_at)
{
    bool empty, repeatable;
    ck_assert(reply_is_request(S("{\"op\":\"stats\"}"), &empty, &repeatable) && repeatable &&
              !empty);
    ck_assert(reply_is_request(S("{\"op\":\"state\"}"), &empty, &repeatable) && repeatable);
    ck_assert(reply_is_request(S("{\"op\":\"bans\"}"), &empty, &repeatable) && repeatable);
    ck_assert(reply_is_request(S("{\"op\":\"shutdown\"}"), &empty, &repeatable) && !repeatable);
    ck_assert(reply_is_request(S("{}"), &empty, &repeatable) && !repeatable && empty);
    ck_assert(!reply_is_request(S("{\"ref\":null}"), &empty, &repeatable));
    ck_assert(reply_readable(S("{\"a\":1}")));
    ck_assert(!reply_readable(S("{\"a\":1,\"a\":2}")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reply_json");
    TCase *tests = one_case(suite, "reply_json");
    tcase_add_test(tests, what_is_no_reply_is_refused);
    tcase_add_test(tests, our_number_is_taken_out);
    tcase_add_test(tests, a_publish_tells_its_seq);
    tcase_add_test(tests, a_batch_tells_all_of_them);
    tcase_add_test(tests, a_refusal_says_why);
    tcase_add_test(tests, it_lives_as_long_as_somebody_keeps_it);
    tcase_add_test(tests, requests_are_looked_at);
    return run_suite(suite);
}
