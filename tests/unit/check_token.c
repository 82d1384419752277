#include "auth/token.h"

#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "keys.h"
#include "ops/log.h"
#include "support.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "fedcba9876543210fedcba9876543210"
#define NOW INT64_C(1763710000000) /* unix time, ms */

static struct test_key rsa, other_rsa, ec;
static char folder[] = "/tmp/check-token-XXXXXX", file[64], text[16384], jwk[2][4096];
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
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/key", folder);
}

static void end(void)
{
    free_key(&rsa);
    free_key(&other_rsa);
    free_key(&ec);
    unlink(file);
    rmdir(folder);
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

static void write_key(const char *key)
{
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    fputs(key, out);
    fclose(out);
    chmod(file, 0600);
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
    write_key(secret);
    use(file, NULL);
}

/* Public keys. */
static void use_key(const char *key)
{
    write_key(key);
    use(NULL, file);
}

/* A token with these claims, signed so. Valid until the next one. */
static const char *sign_as(jwt_alg_t algorithm, const char *key, const char *kid, const char *claims)
{
    static char *made;
    jwt_t *jwt;
    free(made);
    ck_assert_int_eq(jwt_new(&jwt), 0);
    if (kid)
        ck_assert_int_eq(jwt_add_header(jwt, "kid", kid), 0);
    ck_assert_int_eq(jwt_add_grants_json(jwt, claims), 0);
    ck_assert_int_eq(jwt_set_alg(jwt, algorithm, (const unsigned char *)key, key ? (int)strlen(key) : 0), 0);
    made = jwt_encode_str(jwt);
    ck_assert_ptr_nonnull(made);
    jwt_free(jwt);
    return made;
}

static const char *sign(const char *claims)
{
    return sign_as(JWT_ALG_HS256, SECRET, NULL, claims);
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

START_TEST(one_signed_by_another_key_is_not)
{
    use_secret(SECRET);
    assert_verdict(sign_as(JWT_ALG_HS256, OTHER_SECRET, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    use_key(rsa.public);
    assert_verdict(sign_as(JWT_ALG_RS256, other_rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
}
END_TEST

START_TEST(the_key_decides_the_algorithm)
{
    use_secret(SECRET);
    assert_verdict(sign_as(JWT_ALG_NONE, NULL, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS512, SECRET, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    use_key(rsa.public);
    assert_verdict(sign_as(JWT_ALG_NONE, NULL, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS256, rsa.public, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID); /* the classic */
    assert_verdict(sign_as(JWT_ALG_RS512, rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    use_key(ec.public);
    assert_verdict(sign_as(JWT_ALG_HS256, ec.public, NULL, "{\"sub\":\"anna\"}"), TOKEN_INVALID);
}
END_TEST

START_TEST(kid_chooses_among_a_set_s_keys)
{
    snprintf(text, sizeof text, "{\"keys\":[%s,%s]}", jwk_of(&rsa, ",\"kid\":\"old\"", jwk[0]),
             jwk_of(&other_rsa, ",\"kid\":\"new\"", jwk[1]));
    use_key(text);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, "old", "{\"sub\":\"anna\"}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_RS256, other_rsa.private, "new", "{\"sub\":\"anna\"}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_RS256, other_rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_RS256, other_rsa.private, "old", "{\"sub\":\"anna\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, "gone", "{\"sub\":\"anna\"}"), TOKEN_INVALID);
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
} times[] = {
    {"{\"exp\":1763710001}", TOKEN_GOOD},
    {"{\"exp\":1763710000.5}", TOKEN_GOOD},
    {"{\"exp\":1763710000}", TOKEN_EXPIRED},
    {"{\"exp\":1763709999}", TOKEN_EXPIRED},
    {"{\"exp\":0}", TOKEN_EXPIRED},
    {"{\"exp\":-1}", TOKEN_EXPIRED},
    {"{\"exp\":1e300}", TOKEN_INVALID},
    {"{\"exp\":\"1763710001\"}", TOKEN_INVALID},
    {"{\"exp\":null}", TOKEN_INVALID},
    {"{\"nbf\":1763710000}", TOKEN_GOOD},
    {"{\"nbf\":1763710001}", TOKEN_INVALID},
    {"{\"nbf\":1763710001,\"exp\":1763709999}", TOKEN_INVALID},
    {"{\"nbf\":true}", TOKEN_INVALID},
    {"{\"iat\":1863710000}", TOKEN_GOOD},
    {"{\"exp\":100000000000}", TOKEN_GOOD},
    {"{\"exp\":1763710001000}", TOKEN_INVALID}, /* milliseconds */
    {"{\"nbf\":1763709999000}", TOKEN_INVALID},
};

START_TEST(a_token_has_its_time)
{
    use_secret(SECRET);
    assert_verdict(sign(times[_i].claims), times[_i].verdict);
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

static const struct {
    const char *issuer, *audience[2], *claims;
    enum token_verdict verdict;
} parties[] = {
    {NULL, {NULL}, "{\"iss\":\"x\",\"aud\":\"y\"}", TOKEN_GOOD},
    {"https://id", {NULL}, "{\"iss\":\"https://id\"}", TOKEN_GOOD},
    {"https://id", {NULL}, "{\"iss\":\"https://id/\"}", TOKEN_INVALID},
    {"https://id", {NULL}, "{\"iss\":[\"https://id\"]}", TOKEN_INVALID},
    {"https://id", {NULL}, "{}", TOKEN_INVALID},
    {NULL, {"push"}, "{\"aud\":\"push\"}", TOKEN_GOOD},
    {NULL, {"push"}, "{\"aud\":[\"web\",\"push\"]}", TOKEN_GOOD},
    {NULL, {"push", "events"}, "{\"aud\":[\"web\",\"events\"]}", TOKEN_GOOD},
    {NULL, {"push"}, "{\"aud\":\"web\"}", TOKEN_INVALID},
    {NULL, {"push"}, "{\"aud\":[\"web\",7]}", TOKEN_INVALID},
    {NULL, {"push"}, "{\"aud\":[]}", TOKEN_INVALID},
    {NULL, {"push"}, "{}", TOKEN_INVALID},
    {NULL, {"push"}, "{\"aud\":\"web\",\"exp\":1}", TOKEN_INVALID},
    {NULL, {"push"}, "{\"aud\":\"push\",\"exp\":1}", TOKEN_EXPIRED},
};

START_TEST(a_token_is_from_whom_and_for_whom_it_must_be)
{
    char *items[2];
    audience.items = items;
    for (int i = 0; i < 2 && parties[_i].audience[i]; i++)
        items[audience.count++] = (char *)parties[_i].audience[i];
    rules.issuer = parties[_i].issuer;
    use_secret(SECRET);
    assert_verdict(sign(parties[_i].claims), parties[_i].verdict);
}
END_TEST

START_TEST(channels_limit)
{
    use_secret(SECRET);
    assert_verdict(sign("{\"sub\":\"a\",\"channels\":[\"room:*\",\"news\"]}"), TOKEN_GOOD);
    ck_assert(token.has_channels);
    ck_assert(patterns_match(&token.channels, S("room:7")) && patterns_match(&token.channels, S("news")));
    ck_assert(!patterns_match(&token.channels, S("newsletter")) && !patterns_match(&token.channels, S("roo")));
    assert_verdict(sign("{\"sub\":\"a\",\"channels\":[]}"), TOKEN_GOOD);
    ck_assert(token.has_channels && token.channels.count == 0);
}
END_TEST

START_TEST(publish_is_granted)
{
    use_secret(SECRET);
    assert_verdict(sign("{\"publish\":true}"), TOKEN_GOOD);
    ck_assert(token.may_publish && !token.publish.limited);
    ck_assert_uint_eq(token.publish.roles, ROLE_PUBLISHER);
    assert_verdict(sign("{\"channels\":[\"x\"],\"publish\":{\"sessions\":[\"a\",\"b*\"],\"channels\":[\"c\"]}}"),
                   TOKEN_GOOD);
    ck_assert(token.may_publish && token.publish.limited);
    ck_assert_uint_eq(token.channels.count, 1);
    ck_assert(patterns_match(&token.publish.sessions, S("bob")) && !patterns_match(&token.publish.sessions, S("c")));
    ck_assert(patterns_match(&token.publish.channels, S("c")) && !patterns_match(&token.publish.channels, S("x")));
    assert_verdict(sign("{\"publish\":{}}"), TOKEN_GOOD);
    ck_assert(token.may_publish && token.publish.limited && token.publish.sessions.count == 0);
    assert_verdict(sign("{\"publish\":false}"), TOKEN_GOOD);
    ck_assert(!token.may_publish);
}
END_TEST

/* The identity of the bearer of such a token. */
static const char *publisher_of(const char *claims)
{
    static char out[8][64];
    static int next;
    char *text_out = out[next++ % 8];
    assert_verdict(sign(claims), TOKEN_GOOD);
    snprintf(text_out, 64, "%.*s", (int)token.publish.publisher.len, token.publish.publisher.data);
    return text_out;
}

START_TEST(a_publisher_is_its_issuer_and_subject)
{
    use_secret(SECRET);
    const char *anna = publisher_of("{\"iss\":\"a\",\"sub\":\"anna\",\"publish\":true,\"exp\":1763710001}");
    ck_assert_int_eq(strncmp(anna, "token:", 6), 0);
    ck_assert_uint_eq(strlen(anna), 6 + 32);
    ck_assert_uint_eq(strspn(anna + 6, "0123456789abcdef"), 32);
    ck_assert_str_eq(anna, publisher_of("{\"publish\":{\"sessions\":[\"x\"]},\"sub\":\"anna\",\"iss\":\"a\"}"));
    ck_assert_str_ne(anna, publisher_of("{\"iss\":\"a\",\"sub\":\"bert\",\"publish\":true}"));
    ck_assert_str_ne(anna, publisher_of("{\"iss\":\"b\",\"sub\":\"anna\",\"publish\":true}"));
    ck_assert_str_ne(anna, publisher_of("{\"sub\":\"anna\",\"publish\":true}"));
    ck_assert_str_ne(publisher_of("{\"iss\":\"\",\"sub\":\"anna\",\"publish\":true}"),
                     publisher_of("{\"sub\":\"anna\",\"publish\":true}"));
    ck_assert_str_ne(publisher_of("{\"iss\":\"aa\",\"sub\":\"nna\",\"publish\":true}"), anna);
    assert_verdict(sign("{\"sub\":\"anna\"}"), TOKEN_GOOD);
    ck_assert_uint_eq(token.publish.publisher.len, 0); /* it may not publish */
}
END_TEST

START_TEST(without_a_subject_a_publisher_is_what_it_may_publish)
{
    use_secret(SECRET);
    const char *all = publisher_of("{\"publish\":true}");
    ck_assert_str_eq(all, publisher_of("{\"publish\":true,\"exp\":1763710001,\"channels\":[\"c\"]}"));
    const char *some = publisher_of("{\"publish\":{\"sessions\":[\"a\",\"b*\"],\"channels\":[\"c\"]}}");
    ck_assert_str_ne(all, some);
    ck_assert_str_eq(some, publisher_of("{\"publish\":{\"channels\":[\"c\"],\"sessions\":[\"b*\",\"a\",\"a\"]}}"));
    ck_assert_str_ne(some, publisher_of("{\"publish\":{\"sessions\":[\"a\",\"b*\",\"c\"]}}"));
    ck_assert_str_ne(some, publisher_of("{\"publish\":{\"channels\":[\"a\",\"b*\"],\"sessions\":[\"c\"]}}"));
    ck_assert_str_ne(publisher_of("{\"publish\":{}}"), all);
    ck_assert_str_ne(publisher_of("{\"publish\":{\"sessions\":[\"a\"],\"channels\":[\"b\"]}}"),
                     publisher_of("{\"publish\":{\"channels\":[\"a\",\"b\"]}}"));
    ck_assert_str_ne(some,
                     publisher_of("{\"iss\":\"i\",\"publish\":{\"sessions\":[\"a\",\"b*\"],\"channels\":[\"c\"]}}"));
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
    use_secret(SECRET);
    assert_verdict(sign(bad_claims[_i]), TOKEN_INVALID);
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

START_TEST(changed_keys_are_read_again_within_a_second)
{
    use_secret(SECRET);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    write_key(OTHER_SECRET "-and-more");
    now += 500;
    assert_verdict(sign("{}"), TOKEN_GOOD); /* not looked at yet */
    now += 500;
    assert_verdict(sign("{}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS256, OTHER_SECRET "-and-more", NULL, "{}"), TOKEN_GOOD);
}
END_TEST

START_TEST(a_reload_on_demand_does_not_wait)
{
    use_secret(SECRET);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    write_key(OTHER_SECRET);
    tokens_reload(tokens);
    assert_verdict(sign("{}"), TOKEN_INVALID);
    now -= 3600 * 1000; /* a clock that was set back does not keep us from looking */
    write_key(SECRET ".");
    assert_verdict(sign_as(JWT_ALG_HS256, SECRET ".", NULL, "{}"), TOKEN_GOOD);
}
END_TEST

static unsigned lines_with(const char *log, const char *part)
{
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

START_TEST(keys_that_cannot_be_read_leave_the_old_ones)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key("short");
    for (int i = 0; i < 5; i++, now += 2000)
        assert_verdict(sign("{}"), TOKEN_GOOD);
    unlink(file);
    for (int i = 0; i < 5; i++, now += 2000)
        assert_verdict(sign("{}"), TOKEN_GOOD);
    const char *log = capture_end(&err);
    ck_assert_uint_eq(lines_with(log, "keeping the previous keys"), 1);
    write_key(OTHER_SECRET);
    assert_verdict(sign("{}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS256, OTHER_SECRET, NULL, "{}"), TOKEN_GOOD);
}
END_TEST

START_TEST(without_keys_there_is_nothing_to_begin_with)
{
    static struct capture err;
    unlink(file);
    rules.secret_file = file;
    capture_begin(&err, STDERR_FILENO);
    ck_assert_ptr_null(tokens_new(&rules));
    write_key("short");
    ck_assert_ptr_null(tokens_new(&rules));
    const char *log = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(log, "No such file"));
    ck_assert_ptr_nonnull(strstr(log, "32 bytes"));
}
END_TEST

/* A reload in which the file's public text was taken for a secret let everybody sign. */
static const char *const planted[] = {
    "[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx anna",
    "<html><head><title>502 Bad Gateway</title></head></html>",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAECAwQFBgcICQoLDA0ODxAREhM",
    "0123456789abcdef0123456789abcdef0123456789abcdef",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}",
};

START_TEST(a_file_of_public_keys_never_becomes_a_secret)
{
    static struct capture err;
    use_key(rsa.public);
    capture_begin(&err, STDERR_FILENO);
    write_key(planted[_i]);
    tokens_reload(tokens);
    assert_verdict(sign_as(JWT_ALG_HS256, planted[_i], NULL, "{\"sub\":\"victim\"}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, NULL, "{\"sub\":\"anna\"}"), TOKEN_GOOD);
    const char *log = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(log, "jwt-key-file"));
    ck_assert_ptr_nonnull(strstr(log, "keeping the previous keys"));
}
END_TEST

START_TEST(a_file_of_secrets_never_takes_public_keys)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key(rsa.public);
    tokens_reload(tokens);
    assert_verdict(sign_as(JWT_ALG_RS256, rsa.private, NULL, "{}"), TOKEN_INVALID);
    assert_verdict(sign_as(JWT_ALG_HS256, rsa.public, NULL, "{}"), TOKEN_INVALID);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    ck_assert_ptr_nonnull(strstr(capture_end(&err), "jwt-secret-file"));
}
END_TEST

START_TEST(both_files_may_be_given)
{
    char other[80];
    snprintf(other, sizeof other, "%s/secret", folder);
    write_key(SECRET);
    ck_assert_int_eq(rename(file, other), 0);
    write_key(ec.public);
    use(other, file);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, NULL, "{}"), TOKEN_GOOD);
    write_key(rsa.public);
    tokens_reload(tokens);
    assert_verdict(sign("{}"), TOKEN_GOOD);
    assert_verdict(sign_as(JWT_ALG_ES256, ec.private, NULL, "{}"), TOKEN_INVALID);
    ck_assert_str_eq(token.fault, "no key is for its algorithm ES256");
    unlink(other);
}
END_TEST

/* Of the same size, in the same file, and most times within one tick of the file system's clock. */
START_TEST(a_change_that_does_not_show_in_the_times_is_noticed)
{
    use_secret(SECRET);
    for (int i = 0; i < 20; i++) {
        write_key(i % 2 ? SECRET : OTHER_SECRET);
        now += 1000;
        assert_verdict(sign_as(JWT_ALG_HS256, i % 2 ? SECRET : OTHER_SECRET, NULL, "{}"), TOKEN_GOOD);
    }
}
END_TEST

START_TEST(the_log_says_how_many_keys_there_are_and_what_everybody_can_read)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key(OTHER_SECRET "\n");
    chmod(file, 0644);
    tokens_reload(tokens);
    tokens_reload(tokens);
    const char *log = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(log, "reloaded, 1 key"));
    ck_assert_ptr_nonnull(strstr(log, "every user of this host can read this secret"));
    chmod(file, 0600);
}
END_TEST

static const struct {
    const char *claims, *fault;
} faults[] = {
    {"{\"exp\":1763709999}", "expired"}, {"{\"exp\":1763709999000}", "milliseconds"},
    {"{\"exp\":true}", "not a number"},  {"{\"nbf\":1863709999}", "nbf"},
    {"{\"iss\":\"x\"}", "iss"},          {"{\"iss\":\"https://id\",\"sub\":7}", "sub"},
};

START_TEST(a_refusal_has_its_reason)
{
    rules.issuer = "https://id";
    use_secret(SECRET);
    char claims[200];
    bool has_issuer = strstr(faults[_i].claims, "iss");
    snprintf(claims, sizeof claims, has_issuer ? "%s" : "{\"iss\":\"https://id\",%s", faults[_i].claims + !has_issuer);
    ck_assert_int_ne(tokens_verify(tokens, sign(claims), now, &token), TOKEN_GOOD);
    ck_assert_msg(strstr(token.fault, faults[_i].fault), "it says: %s", token.fault);
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

/* --- where a token stands in a request --- */

static const struct {
    char *params[5];
    const char *token; /* NULL: none */
} requests[] = {
    {{"HTTP_AUTHORIZATION=Bearer abc"}, "abc"},
    {{"HTTP_AUTHORIZATION=bearer  abc"}, "abc"},
    {{"HTTP_AUTHORIZATION=Basic abc"}, NULL},
    {{"HTTP_AUTHORIZATION=Bearer"}, NULL},
    {{"HTTP_AUTHORIZATION=Bearer "}, NULL},
    {{"HTTP_COOKIE=a=b; ssecast_token=abc"}, "abc"},
    {{"HTTP_COOKIE=token=abc"}, NULL},
    {{"QUERY_STRING=a=b&token=abc"}, "abc"},
    {{"QUERY_STRING=token="}, NULL},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token=c", "HTTP_AUTHORIZATION=Bearer h"}, "h"},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token=c", "HTTP_AUTHORIZATION=Basic h"}, "c"},
    {{"QUERY_STRING=token=q", "HTTP_COOKIE=ssecast_token="}, "q"},
    {{"HTTP_AUTHORIZATION=Bearer a", "HTTP_AUTHORIZATION=Bearer b"}, NULL},
    {{"HTTP_COOKIE=ssecast_token=a", "HTTP_COOKIE=ssecast_token=b"}, NULL},
    {{"X=1"}, NULL},
};

START_TEST(a_token_is_found_in_its_request)
{
    struct params params = {0};
    use_secret(SECRET);
    ck_assert_int_eq(params_copy(&params, requests[_i].params), 0);
    char *found = token_in_request(tokens, &params, 0);
    if (requests[_i].token)
        ck_assert_str_eq(found, requests[_i].token);
    else
        ck_assert_ptr_null(found);
    free(found);
    ck_assert_int_eq(tokens_verify_request(tokens, &params, now, &token),
                     requests[_i].token ? TOKEN_INVALID : TOKEN_MISSING);
    params_release(&params);
}
END_TEST

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
        {"HTTP_COOKIE=ssecast_token=1; ssecast_token=2; ssecast_token=3; ssecast_token=4; ssecast_token=%s",
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
    snprintf(cookies, sizeof cookies, "HTTP_COOKIE=ssecast_token=x; ssecast_token=%s; ssecast_token=y", expired);
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(tokens_verify_request(tokens, &params, now, &token), TOKEN_EXPIRED);
    params_release(&params);
}
END_TEST

START_TEST(a_refusal_tells_no_more_than_it_may)
{
    ck_assert_str_eq(token_refusal(TOKEN_MISSING)->error, "missing_token");
    ck_assert_str_eq(token_refusal(TOKEN_EXPIRED)->error, "token_expired");
    ck_assert_str_eq(token_refusal(TOKEN_INVALID)->error, "invalid_token");
    ck_assert_ptr_nonnull(strstr(token_refusal(TOKEN_EXPIRED)->challenge, "Bearer"));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- the hub --- */

#define DETAIL(actions, topics)                                                                                        \
    "{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[" actions "],\"topics\":[" topics "]}"
#define ACCESS(details) "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1763710060,\"authorization_details\":[" details "]}"

/* An access token with these claims: libjwt writes no other typ than JWT. */
static const char *sign_access(const char *claims)
{
    static char made[4096];
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}";
    unsigned char mac[32];
    unsigned len = sizeof mac;

    char *end = put_base64url(made, (const unsigned char *)header, sizeof header - 1);
    *end++ = '.';
    end = put_base64url(end, (const unsigned char *)claims, strlen(claims));
    HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (unsigned char *)made, (size_t)(end - made), mac, &len);
    *end++ = '.';
    *put_base64url(end, mac, len) = '\0';
    return made;
}

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

START_TEST(patterns_of_the_hub_s_tokens_grant)
{
    use_secret(SECRET);
    ck_assert_int_eq(hub_verdict(HEADER, sign("{\"mercure\":{\"publish\":[\"/a/{id}\"],\"subscribe\":[\"/b{/x*}\"]}}")),
                     TOKEN_GOOD);
    ck_assert(selectors_match(&token.mercure.publish, S("/a/1")) &&
              !selectors_match(&token.mercure.publish, S("/b/1")));
    ck_assert(selectors_match(&token.mercure.subscribe, S("/b/1/2")));

    /* The spelling of another draft of the protocol. */
    const char *access = sign_access(ACCESS(
        DETAIL("\"publish\"", "{\"match\":\"/a/:id\",\"matchType\":\"URLPattern\"},{\"match\":\"/{b}\",\"matchType\":"
                              "\"Exact\"}")));
    ck_assert_int_eq(hub_verdict(HEADER, access), TOKEN_GOOD);
    ck_assert(selectors_match(&token.mercure.publish, S("/a/1")) && !selectors_match(&token.mercure.publish, S("/b")));
    ck_assert(selectors_match(&token.mercure.publish, S("/{b}")) && !token.mercure.subscribe.count);
}
END_TEST

START_TEST(the_hub_s_claim_grants)
{
    use_secret(SECRET);
    const char *good = sign("{\"mercure\":{\"publish\":[\"a\"],\"subscribe\":[\"b\",\"*\",\"/{id}\"],\"payload\":1}}");
    ck_assert_int_eq(hub_verdict(HEADER, good), TOKEN_GOOD);
    ck_assert(selectors_match(&token.mercure.publish, S("a")) && !selectors_match(&token.mercure.publish, S("b")));
    ck_assert(token.mercure.subscribe.count == 3 && token.publish.publisher.len && !token.may_publish);
    ck_assert(!token.access && !token.from_cookie);

    ck_assert_int_eq(hub_verdict(HEADER, sign("{\"https://mercure.rocks/\":{\"publish\":[\"a\"]}}")), TOKEN_GOOD);
    ck_assert(token.mercure.publish.count == 1 && token.mercure.subscribe.count == 0);
    ck_assert_int_eq(hub_verdict(HEADER, sign("{\"sub\":\"anna\",\"publish\":true}")), TOKEN_GOOD);
    ck_assert(!token.mercure.publish.count);
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
    use_secret(SECRET);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(hub_verdict(HEADER, sign(bad[i])), TOKEN_INVALID);
    ck_assert_ptr_nonnull(strstr(token.fault, "a selector is not valid: a { is not closed (byte 1); accepted:"));
}
END_TEST

START_TEST(an_access_token_grants)
{
    use_secret(SECRET);
    const char *good = sign_access(ACCESS(DETAIL("\"publish\",\"subscribe\"", "{\"match\":\"a\"}") "," DETAIL(
        "\"subscribe\"",
        "{\"match\":\"/:x\",\"match_type\":\"urlpattern\"},{\"match\":\"*\",\"match_type\":\"exact\"}") ",{\"type\":"
                                                                                                        "\"other\"}"));
    ck_assert_int_eq(hub_verdict(HEADER, good), TOKEN_GOOD);
    ck_assert(token.access && token.mercure.publish.count == 1 && token.mercure.subscribe.count == 3);
    ck_assert(selectors_match(&token.mercure.publish, S("a")) && !selectors_match(&token.mercure.publish, S("/1")));
    ck_assert_int_eq(token.mercure.subscribe.items[1].kind, SELECTOR_PATTERN);
    ck_assert(selectors_match(&token.mercure.subscribe, S("/1")));
    assert_verdict(good, TOKEN_INVALID); /* for a stream */
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
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"a\",\"match_type\":\"regexp\"}")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"/(x)\",\"match_type\":\"urlpattern\"}")),
        ACCESS(DETAIL("\"publish\"", "{\"match\":\"a\"}") "," DETAIL("\"publish\"", "1"))};
    use_secret(SECRET);
    ck_assert_int_eq(hub_verdict(HEADER, sign_access(ACCESS(""))), TOKEN_GOOD);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(hub_verdict(HEADER, sign_access(bad[i])) == TOKEN_INVALID, "%s", bad[i]);
    now += 60000;
    ck_assert_int_eq(hub_verdict(HEADER, sign_access(ACCESS(""))), TOKEN_EXPIRED);
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
    ck_assert_int_eq(hub_verdict("HTTP_COOKIE=mercureAuthorization=x; __Secure-mercure_access_token=%s", access),
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
    tcase_add_test(tests, patterns_of_the_hub_s_tokens_grant);
    tcase_add_test(tests, a_claim_of_the_hub_that_is_none);
    tcase_add_test(tests, an_access_token_grants);
    tcase_add_test(tests, an_access_token_that_is_not_whole);
    tcase_add_test(tests, where_the_hub_looks);
    tcase_add_test(tests, a_token_signed_by_the_key_is_good);
    tcase_add_test(tests, one_signed_by_another_key_is_not);
    tcase_add_test(tests, the_key_decides_the_algorithm);
    tcase_add_test(tests, kid_chooses_among_a_set_s_keys);
    tcase_add_test(tests, every_changed_character_is_noticed);
    tcase_add_loop_test(tests, what_is_no_token_is_invalid, 0, COUNT(no_tokens));
    tcase_add_test(tests, no_token_is_missing_and_a_long_one_invalid);
    tcase_add_loop_test(tests, a_token_has_its_time, 0, COUNT(times));
    tcase_add_test(tests, clocks_may_differ_by_the_leeway);
    tcase_add_loop_test(tests, a_token_is_from_whom_and_for_whom_it_must_be, 0, COUNT(parties));
    tcase_add_test(tests, channels_limit);
    tcase_add_test(tests, publish_is_granted);
    tcase_add_test(tests, a_publisher_is_its_issuer_and_subject);
    tcase_add_test(tests, without_a_subject_a_publisher_is_what_it_may_publish);
    tcase_add_loop_test(tests, claims_that_are_not_what_they_must_be_give_nothing, 0, COUNT(bad_claims));
    tcase_add_test(tests, a_header_that_must_be_understood_is_not);
    tcase_add_test(tests, changed_keys_are_read_again_within_a_second);
    tcase_add_test(tests, a_reload_on_demand_does_not_wait);
    tcase_add_test(tests, keys_that_cannot_be_read_leave_the_old_ones);
    tcase_add_test(tests, without_keys_there_is_nothing_to_begin_with);
    tcase_add_loop_test(tests, a_file_of_public_keys_never_becomes_a_secret, 0, COUNT(planted));
    tcase_add_test(tests, a_file_of_secrets_never_takes_public_keys);
    tcase_add_test(tests, both_files_may_be_given);
    tcase_add_test(tests, a_change_that_does_not_show_in_the_times_is_noticed);
    tcase_add_test(tests, the_log_says_how_many_keys_there_are_and_what_everybody_can_read);
    tcase_add_loop_test(tests, a_refusal_has_its_reason, 0, COUNT(faults));
    tcase_add_test(tests, a_refusal_names_the_algorithm_and_the_kid);
    tcase_add_test(tests, of_several_cookies_a_good_one_counts);
    tcase_add_loop_test(tests, a_token_is_found_in_its_request, 0, COUNT(requests));
    tcase_add_test(tests, a_refusal_tells_no_more_than_it_may);
    return run_suite(suite);
}
