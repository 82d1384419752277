#include "auth/token.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ops/log.h"
#include "signing.h"
#include "support.h"

#define NOW INT64_C(1763710000000) /* unix time, ms */

static struct test_key rsa, other_rsa, ec;
static struct own_folder folder;
static const char *const file = folder.file;
static char text[16384], jwk[2][4096];
static struct option_list audience;
static struct token_rules rules;
static struct tokens *tokens;
static struct token token;
static int64_t now;

static void begin(void)
{
    rsa = make_rsa(2048);
    other_rsa = make_rsa(2048);
    ec = make_ec("P-256");
    own_folder_make(&folder, "key");
}

static void end(void)
{
    free_key(&rsa);
    free_key(&other_rsa);
    free_key(&ec);
    own_folder_remove(&folder);
}

static void setup(void)
{
    rules = (struct token_rules){.audience = &audience, .cookie = "ssecast_token"};
    static int64_t minutes;
    audience.count = 0;
    now = NOW;
    log_tick(++minutes * 61000); /* what an earlier test logged is no repetition */
}

static void teardown(void)
{
    token_release(&token);
    token_release(&token);
    tokens_free(&tokens);
    tokens_free(&tokens);
}

static void use(const char *secret_file, const char *key_file)
{
    rules.secret_file = secret_file;
    rules.key_file = key_file;
    tokens_free(&tokens);
    tokens = tokens_new(&rules);
    ck_assert_ptr_nonnull(tokens);
}

static void use_secret(const char *secret)
{
    write_key_file(file, secret);
    use(file, NULL);
}

/* Public keys. */
static void use_key(const char *key)
{
    write_key_file(file, key);
    use(NULL, file);
}

static void assert_verdict(const char *signed_text, enum token_verdict verdict)
{
    token_release(&token);
    ck_assert_int_eq(tokens_verify(tokens, signed_text, now, &token), verdict);
    ck_assert_int_eq(token.verdict, verdict);
    if (verdict != TOKEN_GOOD)
        ck_assert(!token.sub.len && !token.may_publish && !token.channels.count);
}

/* --- keys and algorithms --- */

START_TEST(a_token_signed_by_the_key_is_good)
{
    use_secret(SECRET "\n");
    assert_verdict(sign("{\"sub\":\"anna\"}"), TOKEN_GOOD);
    assert_slice(token.sub, S("anna"));
    ck_assert(!token.has_channels && !token.may_publish && token.expires_ms == 0);
    use_key(rsa.public);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_GOOD);
    use_key(ec.public);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, "any", "{\"sub\":\"anna\"}"), TOKEN_GOOD);
}
END_TEST

START_TEST(the_key_decides_the_algorithm)
{
    use_secret(SECRET);
    assert_verdict(sign_as(JWT_ALG_NONE, NULL, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS512, SECRET, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    use_key(rsa.public);
    assert_verdict(sign_as(JWT_ALG_NONE, NULL, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    /* The classic forgery. */
    assert_verdict(sign_as(JWT_ALG_HS256, rsa.public, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_RS512, rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    use_key(ec.public);
    assert_verdict(sign_as(JWT_ALG_HS256, ec.public, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
}
END_TEST

START_TEST(every_changed_character_is_noticed)
{
    char changed[1024];
    use_secret(SECRET);
    snprintf(changed, sizeof changed, "%s", sign("{\"sub\":\"anna\",\"exp\":1763710060}"));
    assert_verdict(changed, TOKEN_GOOD);
    for (size_t i = 0; changed[i]; i++) {
        char was = changed[i];
        changed[i] = was == 'A' ? 'B' : 'A';
        assert_verdict(changed, TOKEN_INVALID);
        changed[i] = was;
    }
    for (size_t len = strlen(changed); len; len--) {
        changed[len - 1] = '\0';
        assert_verdict(changed, TOKEN_INVALID);
    }
}
END_TEST

static const char *const no_tokens[] = {"",
                                        ".",
                                        "..",
                                        "...",
                                        "a.b.c",
                                        "eyJhbGciOiJIUzI1NiJ9",
                                        "e30.e30.",
                                        "eyJhbGciOiJub25lIn0.e30.",
                                        "\xff\xff.\xff.\xff",
                                        " . . "};

START_TEST(what_is_no_token_is_invalid)
{
    use_secret(SECRET);
    assert_verdict(no_tokens[_i], TOKEN_INVALID);
}
END_TEST

START_TEST(no_token_is_missing_and_a_long_one_invalid)
{
    static char claims[12000];
    use_secret(SECRET);
    assert_verdict(NULL, TOKEN_MISSING);
    snprintf(claims, sizeof claims, "{\"sub\":\"anna\",\"more\":\"%010000d\"}", 0);
    assert_verdict(sign(claims), TOKEN_INVALID);
}
END_TEST

/* --- claims --- */

static const struct {
    const char *claims;
    enum token_verdict verdict;
} ends[] = {
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":1763710001}", TOKEN_GOOD},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":1763710000.5}", TOKEN_GOOD},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":1763710000}", TOKEN_EXPIRED},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":1763709999}", TOKEN_EXPIRED},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":0}", TOKEN_EXPIRED},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"exp\":-1}", TOKEN_EXPIRED},
    {"{\"sub\":\"anna\",\"aud\":\"web\",\"exp\":1}", TOKEN_INVALID},
    {"{\"sub\":7,\"aud\":\"push\",\"exp\":1}", TOKEN_INVALID},
    {"{\"sub\":\"anna\",\"aud\":\"push\",\"nbf\":1763710001,\"exp\":1763709999}", TOKEN_INVALID},
};

/* A claim that is wrong counts before the end. */
START_TEST(a_token_has_an_end)
{
    char *items[] = {"push"};
    audience = (struct option_list){items, 1};
    use_secret(SECRET);
    assert_verdict(sign(ends[_i].claims), ends[_i].verdict);
    if (ends[_i].verdict == TOKEN_EXPIRED)
        ck_assert_str_eq(token.fault, "it has expired");
}
END_TEST

START_TEST(clocks_may_differ_by_the_leeway)
{
    rules.leeway_ms = 5000;
    use_secret(SECRET);
    assert_verdict(sign("{\"exp\":1763709996,\"nbf\":1763710005}"), TOKEN_GOOD);
    ck_assert_int_eq(token.expires_ms, INT64_C(1763710001000));
    assert_verdict(sign("{\"exp\":1763709995}"), TOKEN_EXPIRED);
    assert_verdict(sign("{\"nbf\":1763710006}"), TOKEN_INVALID);
}
END_TEST

START_TEST(a_token_that_may_publish_has_a_publisher)
{
    use_secret(SECRET);
    assert_verdict(sign("{\"sub\":\"anna\",\"publish\":true}"), TOKEN_GOOD);
    ck_assert(token.may_publish);
    ck_assert_uint_eq(token.publish.publisher.len, 6 + 32);
    assert_verdict(sign("{\"sub\":\"anna\"}"), TOKEN_GOOD);
    ck_assert(!token.may_publish);
    ck_assert_uint_eq(token.publish.publisher.len, 0);
}
END_TEST

START_TEST(a_header_that_must_be_understood_is_not)
{
    jwt_t *jwt;
    use_secret(SECRET);
    ck_assert_int_eq(jwt_new(&jwt), 0);
    ck_assert_int_eq(jwt_add_headers_json(jwt, "{\"crit\":[\"b64\"],\"b64\":true}"), 0);
    ck_assert_int_eq(jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)SECRET, 32), 0);
    char *made = jwt_encode_str(jwt);
    assert_verdict(made, TOKEN_INVALID);
    free(made);
    jwt_free(jwt);
}
END_TEST

/* --- the file changes --- */

START_TEST(a_reload_on_demand_does_not_wait)
{
    use_secret(SECRET);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    write_key_file(file, OTHER_SECRET);
    tokens_reload(tokens);
    assert_verdict(sign("{}"), TOKEN_INVALID);
    now -= 3600 * 1000; /* a clock that was set back does not keep us from looking */
    write_key_file(file, SECRET ".");
    assert_verdict(sign_as(JWT_ALG_HS256, SECRET ".", NULL, "{}"), TOKEN_GOOD);
}
END_TEST

START_TEST(both_files_may_be_given)
{
    char other[80];
    snprintf(other, sizeof other, "%s/secret", folder.path);
    write_key_file(file, SECRET);
    ck_assert_int_eq(rename(file, other), 0);
    write_key_file(file, ec.public);
    use(other, file);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, NULL, "{}"), TOKEN_GOOD);
    write_key_file(file, rsa.public);
    tokens_reload(tokens);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, NULL, "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "no key is for its algorithm ES256");
    unlink(other);
}
END_TEST

START_TEST(a_refusal_names_the_algorithm_and_the_kid)
{
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk_of(&rsa, ",\"kid\":\"r\"", jwk[0]));
    use_key(text);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, "x", "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "no key has its kid x");
    assert_verdict(sign_as(JWT_ALG_RS256, other_rsa.private, "r", "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "its RS256 signature is not that of a key");
    assert_verdict(sign_as(JWT_ALG_HS512, SECRET, NULL, "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "no key is for its algorithm HS512");
    assert_verdict(sign_as(JWT_ALG_NONE, NULL, NULL, "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "it has no signature");
    assert_verdict("garbage", TOKEN_INVALID);
    ck_assert_ptr_nonnull(strstr(token.fault, "JWT of three parts"));
}
END_TEST

/* --- in a request --- */

/* Browsers send the cookie of the narrower path first, which may be an old one. */
START_TEST(of_several_cookies_a_good_one_counts)
{
    char cookies[2000], *list[] = {cookies, NULL}, good[400], expired[400];
    struct params params = {0};
    use_secret(SECRET);
    snprintf(good, sizeof good, "%s", sign("{\"sub\":\"anna\"}"));
    snprintf(expired, sizeof expired, "%s", sign("{\"sub\":\"anna\",\"exp\":1}"));
    const struct {
        const char *format;
        enum token_verdict verdict;
    } rows[] = {
        {"HTTP_COOKIE=ssecast_token=stale; ssecast_token=%s", TOKEN_GOOD},
        {"HTTP_COOKIE=ssecast_token=%s; ssecast_token=stale", TOKEN_GOOD},
        {"HTTP_COOKIE=ssecast_token=; a=b; ssecast_token=1;ssecast_token=\"%s\"", TOKEN_GOOD},
        {"HTTP_COOKIE=ssecast_token=1; "
         "ssecast_token=2; ssecast_token=3; ssecast_token=4; ssecast_token=%s",
         TOKEN_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(cookies, sizeof cookies, rows[i].format, good);
        ck_assert_int_eq(params_copy(&params, list), 0);
        ck_assert_int_eq(tokens_verify_request(tokens, &params, now, &token), rows[i].verdict);
        ck_assert_int_eq(token.verdict, rows[i].verdict);
        token_release(&token);
        params_release(&params);
    }
    snprintf(cookies, sizeof cookies,
             "HTTP_COOKIE=ssecast_token=x; ssecast_token=%s; ssecast_token=y", expired);
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(tokens_verify_request(tokens, &params, now, &token), TOKEN_EXPIRED);
    params_release(&params);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- the hub --- */

#define DETAIL(actions, topics)                                                                    \
    "{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[" actions               \
    "],\"topics\":[" topics "]}"
#define ACCESS(details)                                                                            \
    "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1763710060,\"authorization_details\":[" details "]}"

/* What the hub says of a request with this parameter; format has a %s for the token. */
static enum token_verdict hub_verdict(const char *format, const char *signed_text)
{
    struct params params = {0};
    snprintf(text, sizeof text, format, signed_text, signed_text);
    token_release(&token);
    ck_assert_int_eq(params_copy(&params, (char *[]){text, NULL}), 0);
    ck_assert(token_is_brought_to_mercure(&params));
    enum token_verdict v = tokens_verify_mercure(tokens, &params, now, &token);
    params_release(&params);
    return v;
}

#define HEADER "HTTP_AUTHORIZATION=Bearer %s"

START_TEST(the_hub_s_claim_grants)
{
    use_secret(SECRET);
    const char *good = sign(
        "{\"mercure\":{\"publish\":[\"a\"],\"subscribe\":[\"b\",\"*\",\"/{id}\"],\"payload\":1}}");
    ck_assert_int_eq(hub_verdict(HEADER, good), TOKEN_GOOD);
    ck_assert(selectors_match(&token.mercure.publish, S("a")) &&
              !selectors_match(&token.mercure.publish, S("b")));
    ck_assert(token.mercure.subscribe.count == 3 && token.publish.publisher.len &&
              !token.may_publish);
    ck_assert(!token.access && !token.from_cookie);

    ck_assert_int_eq(
        hub_verdict(HEADER, sign("{\"https://mercure.rocks/\":{\"publish\":[\"a\"]}}")),
        TOKEN_GOOD);
    ck_assert(token.mercure.publish.count == 1 && token.mercure.subscribe.count == 0);
    ck_assert_int_eq(hub_verdict(HEADER, sign("{\"sub\":\"anna\",\"publish\":true}")), TOKEN_GOOD);
    ck_assert(!token.mercure.publish.count);
}
END_TEST

START_TEST(an_access_token_grants)
{
    use_secret(SECRET);
    const char *good =
        sign_access(ACCESS(DETAIL("\"publish\",\"subscribe\"", "{\"match\":\"a\"}") "," DETAIL(
            "\"subscribe\"", "{\"match\":\"/:x\",\"match_type\":\"urlpattern\"},"
                             "{\"match\":\"*\",\"match_type\":\"exact\"}") ",{\"type\":"
                                                                           "\"other\"}"));
    ck_assert_int_eq(hub_verdict(HEADER, good), TOKEN_GOOD);
    ck_assert(token.access && token.mercure.publish.count == 1 &&
              token.mercure.subscribe.count == 3);
    ck_assert(selectors_match(&token.mercure.publish, S("a")) &&
              !selectors_match(&token.mercure.publish, S("/1")));
    ck_assert_int_eq(token.mercure.subscribe.items[1].kind, SELECTOR_PATTERN);
    ck_assert(selectors_match(&token.mercure.subscribe, S("/1")));
    assert_verdict(good, TOKEN_INVALID); /* for a stream */
}
END_TEST

START_TEST(where_the_hub_looks)
{
    char old[1024], access[1024];
    use_secret(SECRET);
    snprintf(old, sizeof old, "%s", sign("{\"mercure\":{}}"));
    snprintf(access, sizeof access, "%s", sign_access(ACCESS("")));
    ck_assert_int_eq(hub_verdict("QUERY_STRING=topic=a&authorization=%s", old), TOKEN_GOOD);
    ck_assert_int_eq(hub_verdict("QUERY_STRING=match=a&authorization=%s", access), TOKEN_INVALID);
    ck_assert_int_eq(hub_verdict("HTTP_COOKIE=mercureAuthorization=%s", old), TOKEN_GOOD);
    ck_assert(token.from_cookie);
    ck_assert_int_eq(
        hub_verdict("HTTP_COOKIE=mercureAuthorization=x; __Secure-mercure_access_token=%s", access),
        TOKEN_GOOD);
    ck_assert(token.from_cookie && token.access);
    ck_assert_int_eq(hub_verdict("HTTP_COOKIE=mercureAuthorization=x", old), TOKEN_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("token");
    TCase *tests = one_case(suite, "token");
    tcase_add_unchecked_fixture(tests, begin, end);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_hub_s_claim_grants);
    tcase_add_test(tests, an_access_token_grants);
    tcase_add_test(tests, where_the_hub_looks);
    tcase_add_test(tests, a_token_signed_by_the_key_is_good);
    tcase_add_test(tests, the_key_decides_the_algorithm);
    tcase_add_test(tests, every_changed_character_is_noticed);
    tcase_add_loop_test(tests, what_is_no_token_is_invalid, 0, COUNT(no_tokens));
    tcase_add_test(tests, no_token_is_missing_and_a_long_one_invalid);
    tcase_add_loop_test(tests, a_token_has_an_end, 0, COUNT(ends));
    tcase_add_test(tests, a_token_that_may_publish_has_a_publisher);
    tcase_add_test(tests, clocks_may_differ_by_the_leeway);
    tcase_add_test(tests, a_header_that_must_be_understood_is_not);
    tcase_add_test(tests, a_reload_on_demand_does_not_wait);
    tcase_add_test(tests, both_files_may_be_given);
    tcase_add_test(tests, a_refusal_names_the_algorithm_and_the_kid);
    tcase_add_test(tests, of_several_cookies_a_good_one_counts);
    return run_suite(suite);
}
