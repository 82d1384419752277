#include "auth/signature.h"

#include "auth/jwks.h"
#include "auth/jws.h"
#include "signing.h"
#include "support.h"

static struct test_key rsa, other_rsa, ec;
static char text[16384], jwk[2][4096];
static struct jwks keys;

static void begin(void)
{
    rsa = make_rsa(2048);
    other_rsa = make_rsa(2048);
    ec = make_ec("P-256");
}

static void end(void)
{
    free_key(&rsa);
    free_key(&other_rsa);
    free_key(&ec);
}

static void teardown(void)
{
    jwks_release(&keys);
}

static void use(enum jwks_kind kind, const char *of)
{
    const char *why = "";
    jwks_release(&keys);
    ck_assert_msg(jwks_read(kind, slice_of(of), &keys, &why) == 0, "%s", why);
}

static void use_secret(const char *secret)
{
    use(JWKS_SECRETS, secret);
}

/* Public keys. */
static void use_key(const char *key)
{
    use(JWKS_PUBLIC, key);
}

/* What the keys know of a token that is signed so. */
static enum signature found(jwt_alg_t algorithm, const char *key, const char *kid)
{
    struct jws token;
    ck_assert_ptr_null(jws_read(sign_as(algorithm, key, kid, "{\"sub\":\"anna\"}"), &token));
    return signature_find(&keys, &token);
}

/* Why the log says that such a token is refused. */
static const char *fault(jwt_alg_t algorithm, const char *key, const char *kid)
{
    static char why[200];
    struct jws token;
    ck_assert_ptr_null(jws_read(sign_as(algorithm, key, kid, "{}"), &token));
    signature_fault(signature_find(&keys, &token), &token, why, sizeof why);
    return why;
}

START_TEST(a_token_signed_by_the_key_is_good)
{
    use_secret(SECRET "\n");
    ck_assert_int_eq(found(JWT_ALG_HS256, SECRET, NULL), SIGNATURE_GOOD);
    use_key(rsa.public);
    ck_assert_int_eq(found(JWT_ALG_RS256, rsa.private, NULL), SIGNATURE_GOOD);
    use_key(ec.public);
    ck_assert_int_eq(found(JWT_ALG_ES256, ec.private, "any"), SIGNATURE_GOOD);
}
END_TEST

START_TEST(one_signed_by_another_key_is_not)
{
    use_secret(SECRET);
    ck_assert_int_ne(found(JWT_ALG_HS256, OTHER_SECRET, NULL), SIGNATURE_GOOD);
    use_key(rsa.public);
    ck_assert_int_ne(found(JWT_ALG_RS256, other_rsa.private, NULL), SIGNATURE_GOOD);
    ck_assert_int_ne(found(JWT_ALG_ES256, ec.private, NULL), SIGNATURE_GOOD);
}
END_TEST

START_TEST(the_key_decides_the_algorithm)
{
    use_secret(SECRET);
    ck_assert_int_ne(found(JWT_ALG_HS512, SECRET, NULL), SIGNATURE_GOOD);
    use_key(rsa.public);
    ck_assert_int_ne(found(JWT_ALG_HS256, rsa.public, NULL), SIGNATURE_GOOD); /* the classic */
    ck_assert_int_ne(found(JWT_ALG_RS512, rsa.private, NULL), SIGNATURE_GOOD);
    use_key(ec.public);
    ck_assert_int_ne(found(JWT_ALG_HS256, ec.public, NULL), SIGNATURE_GOOD);
}
END_TEST

START_TEST(kid_chooses_among_a_set_s_keys)
{
    snprintf(text, sizeof text, "{\"keys\":[%s,%s]}", jwk_of(&rsa, ",\"kid\":\"old\"", jwk[0]),
             jwk_of(&other_rsa, ",\"kid\":\"new\"", jwk[1]));
    use_key(text);
    ck_assert_int_eq(found(JWT_ALG_RS256, rsa.private, "old"), SIGNATURE_GOOD);
    ck_assert_int_eq(found(JWT_ALG_RS256, other_rsa.private, "new"), SIGNATURE_GOOD);
    ck_assert_int_eq(found(JWT_ALG_RS256, other_rsa.private, NULL), SIGNATURE_GOOD);
    ck_assert_int_ne(found(JWT_ALG_RS256, other_rsa.private, "old"), SIGNATURE_GOOD);
    ck_assert_int_ne(found(JWT_ALG_RS256, rsa.private, "gone"), SIGNATURE_GOOD);
}
END_TEST

START_TEST(a_refusal_names_the_algorithm_and_the_kid)
{
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk_of(&rsa, ",\"kid\":\"r\"", jwk[0]));
    use_key(text);
    ck_assert_str_eq(fault(JWT_ALG_RS256, rsa.private, "x"), "no key has its kid x");
    ck_assert_str_eq(fault(JWT_ALG_RS256, other_rsa.private, "r"),
                     "its RS256 signature is not that of a key");
    ck_assert_str_eq(fault(JWT_ALG_HS512, SECRET, NULL), "no key is for its algorithm HS512");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signature");
    TCase *tests = one_case(suite, "signature");
    tcase_add_unchecked_fixture(tests, begin, end);
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, a_token_signed_by_the_key_is_good);
    tcase_add_test(tests, one_signed_by_another_key_is_not);
    tcase_add_test(tests, the_key_decides_the_algorithm);
    tcase_add_test(tests, kid_chooses_among_a_set_s_keys);
    tcase_add_test(tests, a_refusal_names_the_algorithm_and_the_kid);
    return run_suite(suite);
}
