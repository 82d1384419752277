#include "auth/claims.h"

#include "auth/token.h"
#include "base/name.h"
#include "support.h"

#define NOW INT64_C(1763710000000) /* unix time, ms */

static struct option_list audience;
static struct token_rules rules;
static struct token token;

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void setup(void)
{
    audience.count = 0;
    rules = (struct token_rules){.audience = &audience};
}

static void teardown(void)
{
    token_release(&token);
}

/* What is wrong with a token of these claims; NULL: nothing. */
static const char *judge(const char *claims)
{
    token_release(&token);
    token.claims = json_in_parse(slice_of(claims));
    ck_assert_ptr_nonnull(token.claims);
    return claims_judge(&rules, NOW, &token);
}

static void assert_good(const char *claims)
{
    const char *fault = judge(claims);
    ck_assert_msg(!fault, "%s: %s", claims, fault);
}

static const struct {
    const char *claims;
    bool good;
} times[] = {
    {"{\"exp\":1763710001}", true},
    {"{\"exp\":1763710000.5}", true},
    {"{\"exp\":1763710000}", true},
    {"{\"exp\":1763709999}", true},
    {"{\"exp\":0}", true},
    {"{\"exp\":-1}", true},
    {"{\"exp\":1e300}", false},
    {"{\"exp\":\"1763710001\"}", false},
    {"{\"exp\":null}", false},
    {"{\"nbf\":1763710000}", true},
    {"{\"nbf\":1763710001}", false},
    {"{\"nbf\":1763710001,\"exp\":1763709999}", false},
    {"{\"nbf\":true}", false},
    {"{\"iat\":1863710000}", true},
    {"{\"exp\":100000000000}", true},
    {"{\"exp\":1763710001000}", false}, /* milliseconds */
    {"{\"nbf\":1763709999000}", false},
};

START_TEST(a_token_has_its_time)
{
    ck_assert_int_eq(!judge(times[_i].claims), times[_i].good);
}
END_TEST

START_TEST(clocks_may_differ_by_the_leeway)
{
    rules.leeway_ms = 5000;
    assert_good("{\"exp\":1763709996,\"nbf\":1763710005}");
    ck_assert_int_eq(token.expires_ms, INT64_C(1763709996000));
    ck_assert_ptr_nonnull(judge("{\"nbf\":1763710006}"));
}
END_TEST

static const struct {
    const char *issuer, *audience[2], *claims;
    bool good;
} parties[] = {
    {NULL, {NULL}, "{\"iss\":\"x\",\"aud\":\"y\"}", true},
    {NULL, {NULL}, "{\"aud\":[\"x\",\"y\"]}", true},
    {NULL, {NULL}, "{\"aud\":[]}", true},
    {NULL, {NULL}, "{\"iss\":7}", false},
    {NULL, {NULL}, "{\"iss\":null}", false},
    {NULL, {NULL}, "{\"iss\":[\"x\"]}", false},
    {NULL, {NULL}, "{\"aud\":7}", false},
    {NULL, {NULL}, "{\"aud\":{\"0\":\"x\"}}", false},
    {NULL, {NULL}, "{\"aud\":[\"x\",7]}", false},
    {NULL, {"push"}, "{\"aud\":[\"push\",null]}", false},
    {"https://id", {NULL}, "{\"iss\":\"https://id\"}", true},
    {"https://id", {NULL}, "{\"iss\":\"https://id/\"}", false},
    {"https://id", {NULL}, "{\"iss\":[\"https://id\"]}", false},
    {"https://id", {NULL}, "{}", false},
    {NULL, {"push"}, "{\"aud\":\"push\"}", true},
    {NULL, {"push"}, "{\"aud\":[\"web\",\"push\"]}", true},
    {NULL, {"push", "events"}, "{\"aud\":[\"web\",\"events\"]}", true},
    {NULL, {"push"}, "{\"aud\":\"web\"}", false},
    {NULL, {"push"}, "{\"aud\":[\"web\",7]}", false},
    {NULL, {"push"}, "{\"aud\":[]}", false},
    {NULL, {"push"}, "{}", false},
    {NULL, {"push"}, "{\"aud\":\"web\",\"exp\":1}", false},
    {NULL, {"push"}, "{\"aud\":\"push\",\"exp\":1}", true},
};

START_TEST(a_token_is_from_whom_and_for_whom_it_must_be)
{
    char *items[2];
    audience.items = items;
    for (int i = 0; i < 2 && parties[_i].audience[i]; i++)
        items[audience.count++] = (char *)parties[_i].audience[i];
    rules.issuer = parties[_i].issuer;
    ck_assert_int_eq(!judge(parties[_i].claims), parties[_i].good);
}
END_TEST

START_TEST(channels_limit)
{
    assert_good("{\"sub\":\"a\",\"channels\":[\"room:*\",\"news\"]}");
    ck_assert(token.has_channels);
    ck_assert(patterns_match(&token.channels, S("room:7")) &&
              patterns_match(&token.channels, S("news")));
    ck_assert(!patterns_match(&token.channels, S("newsletter")) &&
              !patterns_match(&token.channels, S("roo")));
    assert_good("{\"sub\":\"a\",\"channels\":[]}");
    ck_assert(token.has_channels && token.channels.count == 0);
}
END_TEST

START_TEST(publish_is_granted)
{
    assert_good("{\"publish\":true}");
    ck_assert(token.may_publish && !token.publish.limited);
    ck_assert_uint_eq(token.publish.roles, ROLE_PUBLISHER);
    assert_good(
        "{\"channels\":[\"x\"],\"publish\":{\"sessions\":[\"a\",\"b*\"],\"channels\":[\"c\"]}}");
    ck_assert(token.may_publish && token.publish.limited);
    ck_assert_uint_eq(token.channels.count, 1);
    ck_assert(patterns_match(&token.publish.sessions, S("bob")) &&
              !patterns_match(&token.publish.sessions, S("c")));
    ck_assert(patterns_match(&token.publish.channels, S("c")) &&
              !patterns_match(&token.publish.channels, S("x")));
    assert_good("{\"publish\":{}}");
    ck_assert(token.may_publish && token.publish.limited && token.publish.sessions.count == 0);
    assert_good("{\"publish\":false}");
    ck_assert(!token.may_publish);
}
END_TEST

static const char *const bad_claims[] = {
    "{\"sub\":7}",
    "{\"sub\":\"\"}",
    "{\"sub\":\"a\\nb\"}",
    "{\"channels\":\"room\"}",
    "{\"channels\":null}",
    "{\"channels\":{}}",
    "{\"channels\":[\"a\",7]}",
    "{\"channels\":[\"\"]}",
    "{\"publish\":{\"sessions\":\"a\"}}",
    "{\"publish\":{\"channels\":[1]}}",
    "{\"publish\":\"yes\"}",
    "{\"publish\":1}",
    "{\"publish\":[\"a\"]}",
    "{\"publish\":null}",
};

START_TEST(claims_that_are_not_what_they_must_be_give_nothing)
{
    ck_assert_ptr_nonnull(judge(bad_claims[_i]));
}
END_TEST

static const struct {
    const char *claims, *fault;
} faults[] = {
    {"{\"exp\":1763709999000}", "milliseconds"},
    {"{\"exp\":true}", "not a number"},
    {"{\"nbf\":1863709999}", "nbf"},
    {"{\"iss\":\"x\"}", "iss"},
    {"{\"iss\":\"https://id\",\"sub\":7}", "sub"},
};

START_TEST(a_refusal_has_its_reason)
{
    rules.issuer = "https://id";
    char claims[200];
    bool has_issuer = strstr(faults[_i].claims, "iss");
    snprintf(claims, sizeof claims, has_issuer ? "%s" : "{\"iss\":\"https://id\",%s",
             faults[_i].claims + !has_issuer);
    const char *fault = judge(claims);
    ck_assert_msg(fault && strstr(fault, faults[_i].fault), "it says: %s", fault);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("claims");
    TCase *tests = one_case(suite, "claims");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_token_has_its_time, 0, COUNT(times));
    tcase_add_test(tests, clocks_may_differ_by_the_leeway);
    tcase_add_loop_test(tests, a_token_is_from_whom_and_for_whom_it_must_be, 0, COUNT(parties));
    tcase_add_test(tests, channels_limit);
    tcase_add_test(tests, publish_is_granted);
    tcase_add_loop_test(tests, claims_that_are_not_what_they_must_be_give_nothing, 0,
                        COUNT(bad_claims));
    tcase_add_loop_test(tests, a_refusal_has_its_reason, 0, COUNT(faults));
    return run_suite(suite);
}
