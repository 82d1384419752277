/* What JetStream says, as a server of version 2.9 says it, and what it is asked. */
#include "log/jetstream.h"

#include <errno.h>

#include "support.h"

static struct jetstream_reply read_reply(const char *text)
{
    struct jetstream_reply r;
    ck_assert_int_eq(jetstream_get_reply(slice_of(text), &r), 0);
    return r;
}

START_TEST(an_acknowledgement_has_a_sequence)
{
    struct jetstream_reply r = read_reply("{\"stream\":\"ssecast\", \"seq\":18446744}");
    ck_assert_uint_eq(r.sequence, 18446744);
    ck_assert_uint_eq(r.code, 0);
}
END_TEST

START_TEST(an_error_has_a_code_a_number_and_a_reason)
{
    struct jetstream_reply r =
        read_reply("{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last "
                   "sequence: 7\"},\"stream\":\"ssecast\",\"seq\":0}");
    ck_assert_uint_eq(r.code, 400);
    ck_assert_uint_eq(r.error, JETSTREAM_WRONG_LAST_SEQUENCE);
    ck_assert_str_eq(r.why, "wrong last sequence: 7");
    ck_assert_uint_eq(read_reply("{\"error\":{}}").code, 500);
}
END_TEST

START_TEST(a_stream_s_state_and_settings_are_read)
{
    struct jetstream_reply r =
        read_reply("{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\","
                   "\"config\":{\"name\":\"ssecast\",\"max_msgs\":-1,"
                   "\"max_bytes\":268435456,\"max_age\":86400000000000,\"num_replicas\":3},"
                   "\"created\":\"2026-11-21T11:13:45.6Z\",\"state\":{\"messages\":3,"
                   "\"bytes\":400,\"first_seq\":5,\"last_seq\":7,\"consumer_count\":2}}");
    ck_assert_uint_eq(r.first, 5);
    ck_assert_uint_eq(r.last, 7);
    ck_assert_uint_eq(r.messages, 3);
    ck_assert_uint_eq(r.replicas, 3);
    ck_assert_uint_eq(r.max_messages, 0);
    ck_assert_uint_eq(r.max_bytes, 268435456);
    ck_assert_uint_eq(r.max_age_ms, 86400000);
    ck_assert_str_eq(r.created, "2026-11-21T11:13:45.6Z");
}
END_TEST

START_TEST(the_state_of_a_stream_without_a_leader_is_an_error)
{
    struct jetstream_reply r =
        read_reply("{\"state\":{\"last_seq\":7},\"cluster\":{\"name\":\"test\",\"replicas\":["
                   "{\"name\":\"nats2\",\"current\":false,\"active\":11077467358,\"lag\":85}]}}");
    ck_assert_uint_eq(r.code, JETSTREAM_UNAVAILABLE);
    ck_assert_str_eq(r.why, "it has no leader");

    const char *const others[] = {
        "{\"state\":{\"last_seq\":7},\"cluster\":{\"name\":\"test\",\"leader\":\"nats2\"}}",
        "{\"state\":{\"last_seq\":7},\"cluster\":null}",
        "{\"name\":\"a consumer\",\"cluster\":{\"name\":\"test\"}}",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_uint_eq(read_reply(others[i]).code, 0);
    ck_assert_uint_eq(read_reply("{\"state\":{},\"cluster\":{\"leader\":\"\"}}").code,
                      JETSTREAM_UNAVAILABLE);
}
END_TEST

START_TEST(a_message_begins_with_its_first_bytes)
{
    struct jetstream_reply r =
        read_reply("{\"message\":{\"subject\":\"ssecast\",\"seq\":7,\"data\":\"U1NDTAE=\"}}");
    ck_assert_uint_eq(r.begin_len, 5);
    ck_assert_mem_eq(r.begin, "SSCL\1", 5);

    char long_one[1000], expected[JETSTREAM_BEGIN_LEN];
    memset(expected, 'S', sizeof expected);
    char base64[4 * 30 + 1] = "";
    for (int i = 0; i < 30; i++)
        strcat(base64, "U1NT"); /* SSS */
    snprintf(long_one, sizeof long_one, "{\"message\":{\"data\":\"%s\"}}", base64);
    r = read_reply(long_one);
    ck_assert_uint_eq(r.begin_len, JETSTREAM_BEGIN_LEN);
    ck_assert_mem_eq(r.begin, expected, sizeof expected);
}
END_TEST

START_TEST(a_message_without_readable_data_begins_with_nothing)
{
    ck_assert_uint_eq(read_reply("{\"message\":{\"subject\":\"ssecast\",\"seq\":7}}").begin_len, 0);
    ck_assert_uint_eq(read_reply("{\"message\":{\"data\":\"\"}}").begin_len, 0);
    ck_assert_uint_eq(read_reply("{\"message\":{\"data\":\"?!\"}}").begin_len, 0);
    ck_assert_uint_eq(read_reply("{\"message\":{\"data\":\"U\"}}").begin_len, 0);
    ck_assert_uint_eq(read_reply("{\"message\":{\"data\":5}}").begin_len, 0);
    ck_assert_uint_eq(read_reply("{\"error\":{\"code\":404,\"err_code\":10037}}").error,
                      JETSTREAM_NO_MESSAGE);
}
END_TEST

START_TEST(what_is_no_object_is_refused)
{
    struct jetstream_reply r;
    ck_assert_int_eq(jetstream_get_reply(S(""), &r), -EPROTO);
    ck_assert_int_eq(jetstream_get_reply(S("[]"), &r), -EPROTO);
    ck_assert_int_eq(jetstream_get_reply(S("{\"seq\":"), &r), -EPROTO);
}
END_TEST

START_TEST(a_delivery_says_where_it_stands_whatever_the_server_s_age)
{
    struct jetstream_delivery d = {0};
    ck_assert(jetstream_get_delivery("$JS.ACK.ssecast.RyG7aBcD.1.120.7.1669028025627000000.3", &d));
    ck_assert_uint_eq(d.sequence, 120);
    ck_assert_uint_eq(d.count, 7);
    ck_assert_int_eq(d.unix_ms, 1669028025627);
    ck_assert(jetstream_get_delivery(
        "$JS.ACK.hub.ABCDEF.ssecast.RyG7aBcD.1.121.8.1669028025627000000.3.Xy", &d));
    ck_assert_uint_eq(d.sequence, 121);
    ck_assert_uint_eq(d.count, 8);
}
END_TEST

START_TEST(other_subjects_are_no_deliveries)
{
    struct jetstream_delivery d;
    static const char *const others[] = {"",
                                         "$JS.ACK",
                                         "$JS.ACK.a.b.1.2",
                                         "$JS.FC.ssecast.x.y.1.2.3.4",
                                         "$JS.ACK.ssecast.RyG7aBcD.1.0.0.1669028025627000000.3",
                                         "$JS.ACK.ssecast.RyG7aBcD.1.x.y.1669028025627000000.3"};
    ck_assert(!jetstream_get_delivery(NULL, &d));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!jetstream_get_delivery(others[i], &d), "%s", others[i]);
}
END_TEST

START_TEST(requests_are_what_the_server_expects)
{
    struct buf out = {0};
    struct jetstream_stream s = {"ssecast", 3, 100000, 1 << 20, 1000};
    jetstream_put_stream(&out, &s);
    assert_slice(
        ((struct slice){out.data, out.len}),
        S("{\"name\":\"ssecast\",\"subjects\":[\"ssecast\"],\"retention\":\"limits\","
          "\"discard\":\"old\",\"storage\":\"file\",\"num_replicas\":3,\"max_consumers\":-1,"
          "\"max_msg_size\":-1,\"max_msgs\":100000,\"max_bytes\":1048576,\"max_age\":1000000000}"));
    out.len = 0;
    jetstream_put_consumer(&out, "ssecast", "_INBOX.a", 7, 1000);
    assert_slice(((struct slice){out.data, out.len}),
                 S("{\"stream_name\":\"ssecast\",\"config\":{\"deliver_subject\":\"_INBOX.a\","
                   "\"deliver_policy\":\"by_start_sequence\","
                   "\"opt_start_seq\":7,\"ack_policy\":\"none\",\"replay_policy\":\"instant\","
                   "\"max_deliver\":1,\"flow_control\":true,\"idle_heartbeat\":1000000000,"
                   "\"inactive_threshold\":5000000000,\"num_replicas\":1,\"mem_storage\":true}}"));
    out.len = 0;
    jetstream_put_get(&out, 7);
    assert_slice(((struct slice){out.data, out.len}), S("{\"seq\":7}"));
    buf_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jetstream");
    TCase *tests = one_case(suite, "jetstream");
    tcase_add_test(tests, an_acknowledgement_has_a_sequence);
    tcase_add_test(tests, an_error_has_a_code_a_number_and_a_reason);
    tcase_add_test(tests, a_stream_s_state_and_settings_are_read);
    tcase_add_test(tests, the_state_of_a_stream_without_a_leader_is_an_error);
    tcase_add_test(tests, a_message_begins_with_its_first_bytes);
    tcase_add_test(tests, a_message_without_readable_data_begins_with_nothing);
    tcase_add_test(tests, what_is_no_object_is_refused);
    tcase_add_test(tests, a_delivery_says_where_it_stands_whatever_the_server_s_age);
    tcase_add_test(tests, other_subjects_are_no_deliveries);
    tcase_add_test(tests, requests_are_what_the_server_expects);
    return run_suite(suite);
}
