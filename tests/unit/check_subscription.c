/* Subscriptions of a hub: packed, as topics, as documents. */
#include "codec/subscription.h"

#include "support.h"

static const struct subscription old = {
    .form = SUBSCRIPTION_0_X, .subscriber = {"urn:uuid:1", 10}, .match = {"a b/\xc3\xa9", 6}};

static struct subscription of(enum subscription_form form, const char *match, const char *payload)
{
    return (struct subscription){form, S("me"), slice_of(match), slice_of(payload)};
}

START_TEST(a_topic_is_encoded_once_and_is_at_most_a_name)
{
    char out[NAME_BYTES_MAX], text[NAME_BYTES_MAX + 1];
    struct subscription s = of(SUBSCRIPTION_EXACT, "*", ""), longest = of(SUBSCRIPTION_0_X, "", "");
    size_t room = NAME_BYTES_MAX - strlen(HUB_RESERVED "//me");

    assert_slice(subscription_topic(&old, out), S(HUB_RESERVED "/a%20b%2F%C3%A9/urn%3Auuid%3A1"));
    assert_slice(subscription_topic(&s, out), S(HUB_RESERVED "/exact/%2A/me"));
    s.form = SUBSCRIPTION_URL_PATTERN;
    assert_slice(subscription_topic(&s, out), S(HUB_RESERVED "/urlpattern/%2A/me"));

    memset(text, 'x', sizeof text);
    longest.match = (struct slice){text, room};
    ck_assert(subscription_topic(&longest, out).len == NAME_BYTES_MAX);
    longest.match.len++;
    ck_assert(subscription_topic(&longest, out).len == 0);
    text[room - 1] = '%';
    longest.match.len--;
    ck_assert(subscription_topic(&longest, out).len == 0);
}
END_TEST

START_TEST(the_hubs_own_path_is_left_out)
{
    ck_assert(subscription_is_topic(S(HUB_RESERVED)) &&
              subscription_is_topic(S(HUB_RESERVED "/a")));
    ck_assert(!subscription_is_topic(S(HUB_RESERVED "s")) &&
              !subscription_is_topic(S("/sse" HUB_RESERVED)));

    assert_slice(subscription_relative(S("/sse" HUB_RESERVED "/:a")), S(HUB_RESERVED "/:a"));
    assert_slice(subscription_relative(S("https://h/sse" HUB_RESERVED)), S(HUB_RESERVED));
    assert_slice(subscription_relative(S("{a}" HUB_RESERVED)), S("{a}" HUB_RESERVED));
    assert_slice(subscription_relative(S("/a?b=" HUB_RESERVED)), S("/a?b=" HUB_RESERVED));
    assert_slice(subscription_relative(S("news")), S("news"));
    ck_assert(subscription_relative((struct slice){0}).len == 0);
}
END_TEST

START_TEST(what_was_packed_comes_back)
{
    struct buf b = {0};
    char large[SUBSCRIPTION_PAYLOAD_MAX + 2];
    memset(large, '1', sizeof large);
    large[sizeof large - 1] = '\0';
    struct subscription rows[] = {
        of(SUBSCRIPTION_0_X, "a", "{\"x\":1}"), of(SUBSCRIPTION_0_X, "b", "{\"x\":1}"),
        of(SUBSCRIPTION_EXACT, "c", ""), of(SUBSCRIPTION_URL_PATTERN, "d", large)};
    for (size_t i = 0; i < 4; i++)
        ck_assert(subscription_pack(&b, &rows[i]));

    struct slice packed = buf_slice(&b);
    struct subscription s = {0};
    ck_assert(subscriptions_valid(packed));
    rows[3].payload = S("");
    for (size_t i = 0; i < 4; i++) {
        ck_assert(subscription_next(&packed, &s) && s.form == rows[i].form);
        assert_slice(s.subscriber, S("me"));
        assert_slice(s.match, rows[i].match);
        assert_slice(s.payload, rows[i].payload);
    }
    ck_assert(!subscription_next(&packed, &s));

    packed = buf_slice(&b);
    ck_assert(!subscriptions_valid((struct slice){packed.data, packed.len - 1}));
    ck_assert(!subscriptions_valid((struct slice){packed.data, 3}));
    ck_assert(!subscriptions_valid((struct slice){packed.data, 10}));
    ck_assert(subscriptions_valid((struct slice){0}));
    b.data[4] = SUBSCRIPTION_FORMS;
    ck_assert(!subscriptions_valid(buf_slice(&b)));
    b.data[4] = 0;
    b.data[11] = '\n';
    ck_assert(!subscriptions_valid(buf_slice(&b)));
    buf_release(&b);
}
END_TEST

START_TEST(what_has_no_room_is_left_out)
{
    struct buf b = {0};
    char text[120];
    memset(text, 'x', sizeof text);
    struct subscription s = {SUBSCRIPTION_0_X, S("me"), {text, sizeof text}, {0}};
    while (subscription_pack(&b, &s))
        ck_assert(b.len <= SUBSCRIPTIONS_BYTES_MAX);
    ck_assert(b.len > SUBSCRIPTIONS_BYTES_MAX - 200 && subscriptions_valid(buf_slice(&b)));
    buf_release(&b);
}
END_TEST

START_TEST(a_document_that_ends_says_so_once)
{
    struct buf b = {0}, ended = {0};
    struct subscription s = of(SUBSCRIPTION_EXACT, "\"active\":true", "{\"active\":true}");
    subscription_put(&b, &s);
    subscription_put_ended(&ended, buf_slice(&b));
    assert_slice(buf_slice(&ended),
                 S("{\"id\":\"" HUB_RESERVED
                   "/exact/%22active%22%3Atrue/me\",\"type\":\"subscription\","
                   "\"match_type\":\"exact\",\"match\":\"\\\"active\\\":true\","
                   "\"subscriber\":\"me\",\"active\":false,\"payload\":{\"active\":true}}"));
    ck_assert(!subscription_is_old(buf_slice(&b)));

    b.len = 0;
    subscription_put(&b, &old);
    ck_assert(subscription_is_old(buf_slice(&b)));
    buf_release(&b);
    buf_release(&ended);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("subscription");
    TCase *tests = one_case(suite, "subscription");
    tcase_add_test(tests, a_topic_is_encoded_once_and_is_at_most_a_name);
    tcase_add_test(tests, the_hubs_own_path_is_left_out);
    tcase_add_test(tests, what_was_packed_comes_back);
    tcase_add_test(tests, what_has_no_room_is_left_out);
    tcase_add_test(tests, a_document_that_ends_says_so_once);
    return run_suite(suite);
}
