/* What the library asks of the broker. */
#include "lib/request_json.h"

#include <errno.h>

#include "support.h"

static struct buf out;
static struct request_ids no_ids;
static bool repeatable;

static void is(int err, const char *wanted)
{
    ck_assert_int_eq(err, 0);
    assert_slice(((struct slice){out.data, out.len}), slice_of(wanted));
    buf_release(&out);
}

static void refused(int err, int wanted)
{
    ck_assert_int_eq(err, wanted);
    buf_release(&out);
}

static int publish(struct ssecast_event e)
{
    return request_publish(&out, &e, &no_ids, 5, &repeatable);
}

START_TEST(an_event_is_written)
{
    is(publish((struct ssecast_event){0}), "{\"op\":\"publish\",\"data\":null,\"ref\":5}");
    ck_assert(!repeatable);
    is(publish((struct ssecast_event){.event = "m", .json = " 0.10 "}),
       "{\"op\":\"publish\",\"event\":\"m\",\"data\": 0.10 ,\"ref\":5}");
    is(publish((struct ssecast_event){.event = "", .text = "a\"\n"}),
       "{\"op\":\"publish\",\"text\":\"a\\\"\\n\",\"ref\":5}");
    is(publish((struct ssecast_event){.bytes = "x", .bytes_len = 1}),
       "{\"op\":\"publish\",\"ref\":5}");
    is(publish((struct ssecast_event){.id = "o-1", .has_retry = true}),
       "{\"op\":\"publish\",\"data\":null,\"id\":\"o-1\",\"retry\":0,\"ref\":5}");
    ck_assert(repeatable);
}
END_TEST

START_TEST(a_key_and_a_ttl_are_written)
{
    is(publish((struct ssecast_event){.key = "price:\"B", .json = "1", .ttl_s = 30}),
       "{\"op\":\"publish\",\"data\":1,\"key\":\"price:\\\"B\",\"ttl\":30,\"ref\":5}");
    ck_assert(!repeatable);
    is(publish((struct ssecast_event){.key = "k", .remove = true}),
       "{\"op\":\"publish\",\"data\":null,\"key\":\"k\",\"remove\":true,\"ref\":5}");
    is(publish((struct ssecast_event){.key = "k", .is_private = true}),
       "{\"op\":\"publish\",\"data\":null,\"key\":\"k\",\"private\":true,\"ref\":5}");
    is(publish((struct ssecast_event){.key = ""}),
       "{\"op\":\"publish\",\"data\":null,\"key\":\"\",\"ref\":5}");
    refused(publish((struct ssecast_event){.key = "\xff"}), -EILSEQ);

    const struct ssecast_event two[] = {{.key = "a", .ttl_s = 1}, {.key = "a", .remove = true}};
    is(request_batch(&out, two, 2, &no_ids, 1, &repeatable),
       "{\"op\":\"publish\",\"events\":[{\"data\":null,\"key\":\"a\",\"ttl\":1},"
       "{\"data\":null,\"key\":\"a\",\"remove\":true}],\"ref\":1}");
}
END_TEST

START_TEST(a_private_event_says_so)
{
    const char *names[] = {"a"};
    const struct ssecast_target to = {.channels = {names, 1}};
    is(publish((struct ssecast_event){.to = &to, .is_private = true}),
       "{\"op\":\"publish\",\"data\":null,"
       "\"to\":{\"channels\":[\"a\"]},\"private\":true,\"ref\":5}");
}
END_TEST

START_TEST(a_target_that_is_empty_stays_one)
{
    const char *names[] = {"a", "b"};
    const struct ssecast_target nobody = {0},
                                some = {.sessions = {names, 2}, .connections = {names, 1}};
    is(publish((struct ssecast_event){.to = &nobody, .except = &some}),
       "{\"op\":\"publish\",\"data\":null,"
       "\"to\":{},\"except\":{\"sessions\":[\"a\",\"b\"],\"connections\":[\"a\"]},\"ref\":5}");
}
END_TEST

START_TEST(what_would_be_another_request_is_refused)
{
    const char *names[] = {"\xff", NULL};
    const struct ssecast_target wrong = {.channels = {names, 1}},
                                none = {.channels = {names + 1, 1}};
    refused(publish((struct ssecast_event){.json = "1,\"to\":{}"}), -EINVAL);
    refused(publish((struct ssecast_event){.json = ""}), -EINVAL);
    refused(publish((struct ssecast_event){.json = "1", .text = "1"}), -EINVAL);
    refused(publish((struct ssecast_event){.text = "1", .bytes = "1", .bytes_len = 1}), -EINVAL);
    refused(publish((struct ssecast_event){.text = "\xc3"}), -EILSEQ);
    refused(publish((struct ssecast_event){.event = "\xff"}), -EILSEQ);
    refused(publish((struct ssecast_event){.id = "\xff"}), -EILSEQ);
    refused(publish((struct ssecast_event){.to = &wrong}), -EILSEQ);
    refused(publish((struct ssecast_event){.except = &none}), -EINVAL);
}
END_TEST

START_TEST(ids_come_by_themselves_and_are_never_the_same)
{
    struct request_ids a = {0}, b = {0};
    ck_assert_int_eq(request_ids_begin(&a), 0);
    ck_assert_int_eq(request_ids_begin(&b), 0);
    ck_assert_str_ne(a.prefix, b.prefix);
    ck_assert_uint_eq(strlen(a.prefix), 25);
    ck_assert_int_eq(a.prefix[0], 'a');
    const struct ssecast_event events[] = {{.text = "x"}, {.id = "own"}, {.text = "y"}};
    ck_assert_int_eq(request_batch(&out, events, 3, &a, 1, &repeatable), 0);
    ck_assert(repeatable);
    char wanted[300];
    snprintf(wanted, sizeof wanted,
             "{\"op\":\"publish\",\"events\":[{\"text\":\"x\",\"id\":\"%s-1\"},"
             "{\"data\":null,\"id\":\"own\"},{\"text\":\"y\",\"id\":\"%s-2\"}],\"ref\":1}",
             a.prefix, a.prefix);
    is(0, wanted);
}
END_TEST

START_TEST(a_batch_has_bounds)
{
    static struct ssecast_event many[REQUEST_EVENTS_MAX + 1];
    const struct ssecast_event raw = {.bytes = "x", .bytes_len = 1}, mixed[] = {{.id = "x"}, {0}};
    refused(request_batch(&out, many, 0, &no_ids, 1, &repeatable), -EINVAL);
    refused(request_batch(&out, many, REQUEST_EVENTS_MAX + 1, &no_ids, 1, &repeatable), -EINVAL);
    refused(request_batch(&out, many, REQUEST_EVENTS_MAX, &no_ids, 1, &repeatable), 0);
    refused(request_batch(&out, &raw, 1, &no_ids, 1, &repeatable), -EINVAL);
    refused(request_batch(&out, mixed, 2, &no_ids, 1, &repeatable), 0);
    ck_assert(!repeatable);
}
END_TEST

START_TEST(a_shutdown_is_written)
{
    const char *name = "a";
    const struct ssecast_shutdown all = {.whose = {{&name, 1}, {&name, 1}, {&name, 1}},
                                         .reason = "x",
                                         .has_block = true,
                                         .block_s = 9};
    is(request_shutdown(&out, &(struct ssecast_shutdown){0}, 1), "{\"op\":\"shutdown\",\"ref\":1}");
    is(request_shutdown(&out, &all, 1),
       "{\"op\":\"shutdown\",\"sessions\":[\"a\"],\"channels\":[\"a\"],"
       "\"connections\":[\"a\"],\"reason\":\"x\",\"block\":9,\"ref\":1}");
    refused(request_shutdown(&out, &(struct ssecast_shutdown){.reason = "\xff"}, 1), -EILSEQ);
}
END_TEST

static int query(const char *json)
{
    return request_query(&out, json, 7, &repeatable);
}

START_TEST(a_request_of_ones_own_gets_a_number)
{
    is(query(" {\"op\":\"ping\" } \n"), " {\"op\":\"ping\" ,\"ref\":7}");
    ck_assert(repeatable);
    is(query("{\"op\":\"publish\",\"data\":{}}"), "{\"op\":\"publish\",\"data\":{},\"ref\":7}");
    ck_assert(!repeatable);
    is(query("{\"op\":\"publish\",\"data\":{},\"id\":\"x\"}"),
       "{\"op\":\"publish\",\"data\":{},\"id\":\"x\",\"ref\":7}");
    ck_assert(repeatable);
    is(query("{\"data\":[12345678901234567890,1e999]}"),
       "{\"data\":[12345678901234567890,1e999],\"ref\":7}");
    is(query("{ }"), "{\"ref\":7}");
    refused(query("{\"op\":\"ping\",\"ref\":1}"), -EINVAL);
    refused(query("[]"), -EINVAL);
    refused(query("{\"a\":1,\"a\":1}"), -EINVAL);
    refused(query("{\"op\":\"ping\"} {}"), -EINVAL);
    refused(query(""), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request_json");
    TCase *tests = one_case(suite, "request_json");
    tcase_add_test(tests, an_event_is_written);
    tcase_add_test(tests, a_key_and_a_ttl_are_written);
    tcase_add_test(tests, a_private_event_says_so);
    tcase_add_test(tests, a_target_that_is_empty_stays_one);
    tcase_add_test(tests, what_would_be_another_request_is_refused);
    tcase_add_test(tests, ids_come_by_themselves_and_are_never_the_same);
    tcase_add_test(tests, a_batch_has_bounds);
    tcase_add_test(tests, a_shutdown_is_written);
    tcase_add_test(tests, a_request_of_ones_own_gets_a_number);
    return run_suite(suite);
}
