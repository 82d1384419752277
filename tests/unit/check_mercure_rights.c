#include "auth/mercure_rights.h"

#include <stdlib.h>
#include <string.h>

#include "codec/json_in.h"
#include "support.h"

#define DETAIL(actions, topics)                                                                    \
    "{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[" actions               \
    "],\"topics\":[" topics "]}"
#define ACCESS(details)                                                                            \
    "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1763710060,\"authorization_details\":[" details "]}"

static struct json_in *claims;
static struct mercure_rights rights;
static char fault[200];

static void teardown(void)
{
    mercure_rights_release(&rights);
    mercure_rights_release(&rights);
    json_in_free(&claims);
}

static bool read_rights(const char *text, bool access)
{
    teardown();
    claims = json_in_parse(slice_of(text));
    ck_assert_ptr_nonnull(claims);
    return mercure_rights_read(claims, access, S("hub.example"), &rights, fault, sizeof fault);
}

static bool read_claim(const char *text)
{
    return read_rights(text, false);
}

static bool read_access(const char *text)
{
    return read_rights(text, true);
}

START_TEST(patterns_of_the_hub_s_tokens_grant)
{
    ck_assert(read_claim("{\"mercure\":{\"publish\":[\"/a/{id}\"],\"subscribe\":[\"/b{/x*}\"]}}"));
    ck_assert(selectors_match(&rights.publish, S("/a/1")) &&
              !selectors_match(&rights.publish, S("/b/1")));
    ck_assert(selectors_match(&rights.subscribe, S("/b/1/2")));

    /* The spelling of another draft of the protocol. */
    const char *access = (ACCESS(DETAIL(
        "\"publish\"",
        "{\"match\":\"/a/:id\",\"matchType\":\"URLPattern\"},{\"match\":\"/{b}\",\"matchType\":"
        "\"Exact\"}")));
    ck_assert(read_access(access));
    ck_assert(selectors_match(&rights.publish, S("/a/1")) &&
              !selectors_match(&rights.publish, S("/b")));
    ck_assert(selectors_match(&rights.publish, S("/{b}")) && !rights.subscribe.count);
}
END_TEST

START_TEST(the_hub_s_claim_grants)
{
    const char *good =
        "{\"mercure\":{\"publish\":[\"a\"],\"subscribe\":[\"b\",\"*\",\"/{id}\"],\"payload\":1}}";
    ck_assert(read_claim(good));
    ck_assert(selectors_match(&rights.publish, S("a")) &&
              !selectors_match(&rights.publish, S("b")));
    ck_assert(rights.subscribe.count == 3);

    ck_assert(read_claim("{\"https://mercure.rocks/\":{\"publish\":[\"a\"]}}"));
    ck_assert(rights.publish.count == 1 && rights.subscribe.count == 0);
    ck_assert(read_claim("{\"sub\":\"anna\",\"publish\":true}"));
    ck_assert(!rights.publish.count);
}
END_TEST

START_TEST(null_in_the_hub_s_claim_is_none)
{
    ck_assert(read_claim("{\"mercure\":{\"publish\":[\"a\"],\"subscribe\":null}}"));
    ck_assert(rights.publish.count == 1 && !rights.subscribe.count);
    ck_assert(read_claim("{\"mercure\":{\"publish\":null,\"subscribe\":[\"a\"]}}"));
    ck_assert(!rights.publish.count && rights.subscribe.count == 1);
    ck_assert(read_claim("{\"mercure\":null}") && !rights.publish.count && !rights.subscribe.count);
    ck_assert(read_claim("{\"mercure\":null,\"https://mercure.rocks/\":{\"publish\":[\"a\"]}}"));
    ck_assert(rights.publish.count == 1);
    ck_assert(!read_claim("{\"mercure\":{\"publish\":[null]}}"));
    ck_assert(!read_access(
        "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1763710060,\"authorization_details\":null}"));
}
END_TEST

START_TEST(a_claim_of_the_hub_that_is_none)
{
    static const char *const bad[] = {"{\"mercure\":[]}",
                                      "{\"mercure\":\"*\"}",
                                      "{\"mercure\":{\"publish\":\"*\"}}",
                                      "{\"mercure\":{\"subscribe\":[1]}}",
                                      "{\"mercure\":{\"publish\":{}}}",
                                      "{\"mercure\":{\"publish\":[\"{a}\",\"{b\"]}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!read_claim(bad[i]), "%s", bad[i]);
    ck_assert_ptr_nonnull(
        strstr(fault, "a selector is not valid: a { is not closed (byte 1); accepted:"));
}
END_TEST

START_TEST(an_access_token_grants)
{
    const char *good = (ACCESS(DETAIL("\"publish\",\"subscribe\"", "{\"match\":\"a\"}") "," DETAIL(
        "\"subscribe\"", "{\"match\":\"/:x\",\"match_type\":\"urlpattern\"},"
                         "{\"match\":\"*\",\"match_type\":\"exact\"}") ",{\"type\":"
                                                                       "\"other\"}"));
    ck_assert(read_access(good));
    ck_assert(rights.publish.count == 1 && rights.subscribe.count == 3);
    ck_assert(selectors_match(&rights.publish, S("a")) &&
              !selectors_match(&rights.publish, S("/1")));
    ck_assert_int_eq(rights.subscribe.items[1].kind, SELECTOR_PATTERN);
    ck_assert(selectors_match(&rights.subscribe, S("/1")));
}
END_TEST

START_TEST(an_access_token_that_is_not_whole)
{
    static const char *const bad[] = {
        "{\"aud\":\"a\",\"exp\":1763710060}",
        "{\"iss\":\"i\",\"exp\":1763710060}",
        "{\"iss\":\"i\",\"aud\":\"a\"}",
        "{\"iss\":\"i\",\"aud\":[],\"exp\":1763710060}",
        ACCESS("1"),
        ACCESS("{}"),
        ACCESS(DETAIL("", "{\"match\":\"a\"}")),
        ACCESS(DETAIL("\"read\"", "{\"match\":\"a\"}")),
        ACCESS(DETAIL("\"publish\"", "{}")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"a\"}") "," DETAIL("\"publish\"", "")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"a\",\"match_type\":\"regexp\"}")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"/(x)\",\"match_type\":\"urlpattern\"}")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"a\"}") "," DETAIL("\"publish\"", "1"))};
    ck_assert(read_access(ACCESS("")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!read_access(bad[i]) && *fault, "%s", bad[i]);
}
END_TEST

#define PAYLOAD(topics, payload)                                                                   \
    "{\"type\":\"https://mercure.rocks/authorization-detail\","                                    \
    "\"actions\":[\"subscribe\"],\"topics\":[" topics "],\"payload\":" payload "}"

/* The payload of a subscription with this matcher, compared with what it should be; NULL: none. */
static void assert_payload(bool access, const char *matcher, const char *should)
{
    char *is = mercure_rights_payload(claims, access, S("hub.example"), slice_of(matcher));
    ck_assert_pstr_eq(is, should);
    free(is);
}

START_TEST(a_claim_has_one_payload)
{
    ck_assert(read_claim("{\"mercure\":{\"subscribe\":[\"a\"],\"payload\":{\"user\":1}}}"));
    assert_payload(false, "a", "{\"user\":1}");
    assert_payload(false, "b", "{\"user\":1}");
    ck_assert(read_claim("{\"mercure\":{}}"));
    assert_payload(false, "a", NULL);
}
END_TEST

START_TEST(the_first_detail_that_matches_has_the_payload)
{
    ck_assert(read_access(ACCESS(PAYLOAD("{\"match\":\"a\"}", "1") "," PAYLOAD(
        "{\"match\":\"/:x\",\"match_type\":\"urlpattern\"}", "2") "," PAYLOAD("{\"match\":\"a\"}",
                                                                              "3"))));
    assert_payload(true, "a", "1");
    assert_payload(true, "/b", "2");
    assert_payload(true, "/:x", "2");
    assert_payload(true, "c", NULL);
}
END_TEST

START_TEST(rights_have_a_largest_number)
{
    static char text[MERCURE_RIGHTS_MAX * 8];
    for (unsigned more = 0; more < 2; more++) {
        char *at = stpcpy(text, "{\"mercure\":{\"publish\":[\"a\"");
        for (unsigned i = 1; i < MERCURE_RIGHTS_MAX + more; i++)
            at = stpcpy(at, ",\"a\"");
        stpcpy(at, "]}}");
        ck_assert_int_eq(read_claim(text), !more);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mercure_rights");
    TCase *tests = one_case(suite, "mercure_rights");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, patterns_of_the_hub_s_tokens_grant);
    tcase_add_test(tests, the_hub_s_claim_grants);
    tcase_add_test(tests, null_in_the_hub_s_claim_is_none);
    tcase_add_test(tests, a_claim_of_the_hub_that_is_none);
    tcase_add_test(tests, an_access_token_grants);
    tcase_add_test(tests, an_access_token_that_is_not_whole);
    tcase_add_test(tests, a_claim_has_one_payload);
    tcase_add_test(tests, the_first_detail_that_matches_has_the_payload);
    tcase_add_test(tests, rights_have_a_largest_number);
    return run_suite(suite);
}
