#include "fcgi/jwks.h"

#include <errno.h>

#include "keys.h"
#include "support.h"

static struct test_key rsa, ec;
static struct jwks set;
static const char *why;
static char text[32768], jwk[2][4096];

static void make_keys(void)
{
    rsa = make_rsa(2048);
    ec = make_ec("P-256");
}

static void free_keys(void)
{
    free_key(&rsa);
    free_key(&ec);
}

static void teardown(void)
{
    jwks_release(&set);
    jwks_release(&set);
}

static void reads(const char *file, size_t count)
{
    int err = jwks_read(slice_of(file), &set, &why);
    ck_assert_msg(err == 0, "refused: %s", why);
    ck_assert_uint_eq(set.count, count);
}

static void refuses(struct slice file, const char *part_of_why)
{
    ck_assert_int_eq(jwks_read(file, &set, &why), -EINVAL);
    ck_assert_msg(strstr(why, part_of_why), "it says: %s", why);
    ck_assert_ptr_null(set.keys);
    ck_assert_uint_eq(set.count, 0);
}

static void assert_public(size_t index, enum jwk_use use, const struct test_key *key)
{
    ck_assert_int_eq(set.keys[index].use, use);
    ck_assert_ptr_null(set.keys[index].data);
    ck_assert_int_eq(EVP_PKEY_eq(set.keys[index].public, key->pair), 1);
}

/* --- secrets --- */

#define BYTES31 "\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6\7\0\1\2\3\4\5\6"

static const struct {
    struct slice file;
    size_t lens[2]; /* 0: no second one */
} secrets[] = {
    {S_INIT("0123456789abcdef0123456789abcdef"), {32, 0}},
    {S_INIT("0123456789abcdef0123456789abcdef\n"), {32, 33}},
    {S_INIT("0123456789abcdef0123456789abcdef\r\n"), {32, 34}},
    {S_INIT("0123456789abcdef0123456789abcde\n\n"), {32, 33}},
    {S_INIT(BYTES31 "\7"), {32, 0}},
    {S_INIT(BYTES31 "\n"), {32, 0}}, /* by chance */
};

START_TEST(a_secret_is_the_file_s_bytes)
{
    ck_assert_int_eq(jwks_read(secrets[_i].file, &set, &why), 0);
    ck_assert_uint_eq(set.count, secrets[_i].lens[1] ? 2 : 1);
    for (size_t i = 0; i < set.count; i++) {
        ck_assert_int_eq(set.keys[i].use, JWK_HS256);
        ck_assert_ptr_null(set.keys[i].kid);
        assert_slice(((struct slice){(char *)set.keys[i].data, set.keys[i].len}),
                     ((struct slice){secrets[_i].file.data, secrets[_i].lens[i]}));
    }
}
END_TEST

START_TEST(a_short_secret_is_refused)
{
    refuses(S(""), "32 bytes");
    refuses(S("\n"), "32 bytes");
    refuses(S("0123456789abcdef0123456789abcde\n"), "32 bytes");
}
END_TEST

/* --- PEM --- */

START_TEST(public_keys_are_read_from_pem)
{
    reads(rsa.public, 1);
    assert_public(0, JWK_RS256, &rsa);
    jwks_release(&set);
    snprintf(text, sizeof text, "# two keys\n%s\n%s", ec.public, rsa.public);
    reads(text, 2);
    assert_public(0, JWK_ES256, &ec);
    assert_public(1, JWK_RS256, &rsa);
}
END_TEST

START_TEST(a_private_key_is_refused)
{
    refuses(slice_of(rsa.private), "private");
    snprintf(text, sizeof text, "%s%s", ec.public, ec.private);
    refuses(slice_of(text), "private");
}
END_TEST

START_TEST(a_private_jwk_is_refused)
{
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk_of(&ec, ",\"d\":\"AAAA\"", jwk[0]));
    refuses(slice_of(text), "private");
}
END_TEST

START_TEST(keys_of_other_kinds_are_refused)
{
    struct test_key small = make_rsa(1024), other = make_ec("P-384"),
                    edwards = take_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    refuses(slice_of(small.public), "2048");
    refuses(slice_of(other.public), "P-256");
    refuses(slice_of(edwards.public), "neither");
    snprintf(text, sizeof text, "%s%s", rsa.public, small.public);
    refuses(slice_of(text), "2048");
    free_key(&small);
    free_key(&other);
    free_key(&edwards);
}
END_TEST

START_TEST(pem_that_is_damaged_is_refused)
{
    refuses(S("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"), "public key");
    refuses(S("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "public key");
    snprintf(text, sizeof text, "%.100s", rsa.public);
    refuses(slice_of(text), "public key");
    snprintf(text, sizeof text, "%s%.100s", ec.public, rsa.public);
    refuses(slice_of(text), "public key");
}
END_TEST

/* --- JWKS --- */

START_TEST(a_set_holds_keys_by_their_names)
{
    snprintf(
        text, sizeof text,
        " {\"keys\":[%s,%s,{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}",
        jwk_of(&rsa, ",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]", jwk[0]),
        jwk_of(&ec, "", jwk[1]));
    reads(text, 3);
    assert_public(0, JWK_RS256, &rsa);
    ck_assert_str_eq(set.keys[0].kid, "r");
    assert_public(1, JWK_ES256, &ec);
    ck_assert_ptr_null(set.keys[1].kid);
    ck_assert_int_eq(set.keys[2].use, JWK_HS256);
    ck_assert_uint_eq(set.keys[2].len, 32);
    ck_assert_uint_eq(set.keys[2].data[31], 31);
}
END_TEST

START_TEST(a_single_jwk_will_do)
{
    reads(jwk_of(&ec, ",\"kid\":\"e\"", jwk[0]), 1);
    assert_public(0, JWK_ES256, &ec);
    ck_assert_str_eq(set.keys[0].kid, "e");
}
END_TEST

static const char *const others[] = {",\"use\":\"enc\"",       ",\"alg\":\"RS512\"",
                                     ",\"alg\":\"PS256\"",     ",\"alg\":\"RSA-OAEP\"",
                                     ",\"alg\":\"HS256\"",     ",\"key_ops\":[\"sign\",\"encrypt\"]",
                                     ",\"key_ops\":\"verify\""};

START_TEST(keys_for_something_else_are_left_out)
{
    snprintf(text, sizeof text, "{\"keys\":[%s,{\"kty\":\"OKP\"},{},7,%s]}", jwk_of(&rsa, others[_i], jwk[0]),
             jwk_of(&ec, "", jwk[1]));
    reads(text, 1);
    assert_public(0, JWK_ES256, &ec);
    jwks_release(&set);
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk[0]);
    refuses(slice_of(text), "none of its keys");
}
END_TEST

static const char *const bad_sets[] = {
    "{",
    "{}",
    "{\"keys\":{}}",
    "{\"keys\":[]}",
    "{\"keys\":[{\"kty\":\"RSA\"}]}",
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}", /* not on the curve */
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+/\"}]}", /* not base64url */
    "{\"keys\":[{\"kty\":\"oct\",\"k\":7}]}",
};

START_TEST(a_bad_set_is_refused)
{
    refuses(slice_of(bad_sets[_i]), "");
}
END_TEST

START_TEST(there_are_not_too_many_keys)
{
    char *at = stpcpy(text, "{\"keys\":[");
    for (unsigned i = 0; i < JWKS_KEYS_MAX; i++)
        at = stpcpy(at, "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},");
    strcpy(at - 1, "]}");
    reads(text, JWKS_KEYS_MAX);
    jwks_release(&set);
    strcpy(at, "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}");
    at[-1] = ',';
    ck_assert_int_eq(jwks_read(slice_of(text), &set, &why), -ENOMEM);
    ck_assert_uint_eq(set.count, 0);
}
END_TEST

/* Any bytes: read or refused, never more. */
START_TEST(random_changes_do_no_harm)
{
    struct dice dice = dice_new();
    snprintf(text, sizeof text, "{\"keys\":[%s,%s]}", jwk_of(&rsa, ",\"kid\":\"r\"", jwk[0]), jwk_of(&ec, "", jwk[1]));
    size_t len = strlen(text);
    for (int i = 0; i < 3000; i++) {
        size_t at = roll(&dice, len);
        char was = text[at];
        text[at] = (char)roll(&dice, 256);
        if (jwks_read((struct slice){text, len}, &set, &why) == 0)
            jwks_release(&set);
        text[at] = was;
    }
}
END_TEST

/* --- signatures --- */

/* The pair's signature of text, as a token has it. */
static struct slice sign(const struct test_key *key, const char *signed_text)
{
    static char out[1024];
    unsigned char bytes[512], raw[64];
    size_t len = sizeof bytes;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ck_assert_int_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pair), 1);
    ck_assert_int_eq(EVP_DigestSign(context, bytes, &len, (const unsigned char *)signed_text, strlen(signed_text)), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_get_base_id(key->pair) == EVP_PKEY_EC) {
        const unsigned char *at = bytes;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
        ECDSA_SIG_free(pair);
        memcpy(bytes, raw, len = 64);
    }
    put_base64url(out, bytes, len);
    return slice_of(out);
}

START_TEST(a_key_knows_its_signature)
{
    const struct test_key *keys[] = {&rsa, &ec};
    for (int i = 0; i < 2; i++) {
        reads(keys[i]->public, 1);
        struct slice signature = sign(keys[i], "text");
        ck_assert(jwk_signed(&set.keys[0], S("text"), signature));
        ck_assert(!jwk_signed(&set.keys[0], S("texts"), signature));
        ck_assert(!jwk_signed(&set.keys[0], S("text"), (struct slice){signature.data, signature.len - 4}));
        ck_assert(!jwk_signed(&set.keys[0], S("text"), sign(keys[!i], "text")));
        ck_assert(!jwk_signed(&set.keys[0], S("text"), S("")));
        jwks_release(&set);
    }
}
END_TEST

START_TEST(a_secret_knows_its_signature)
{
    static const char signature[] = "VCEt98b3JSED4ft_EhALDHX0UPp6-VVB_SgUhXjqe-Q";
    struct slice signed_text = S("text 2");
    reads("0123456789abcdef0123456789abcdef", 1);
    ck_assert(jwk_signed(&set.keys[0], signed_text, slice_of(signature)));
    ck_assert(!jwk_signed(&set.keys[0], S("other"), slice_of(signature)));
    ck_assert(!jwk_signed(&set.keys[0], signed_text, (struct slice){signature, 42}));
    ck_assert(!jwk_signed(&set.keys[0], signed_text,
                          S("VCEt98b3JSED4ft_EhALDHX0UPp6-VVB_SgUhXjqe-R"))); /* the same bytes, and bits to spare */
    ck_assert(!jwk_signed(&set.keys[0], signed_text, S("VCEt98b3JSED4ft/EhALDHX0UPp6+VVB/SgUhXjqe+Q")));
    ck_assert(!jwk_signed(&set.keys[0], signed_text, S("VCEt98b3JSED4ft_EhALDHX0UPp6-VVB_SgUhXjqe-Q=")));
}
END_TEST

START_TEST(a_signature_of_zeros_is_none)
{
    static const unsigned char zeros[256];
    char zero_text[512];
    put_base64url(zero_text, zeros, 64);
    reads(ec.public, 1);
    ck_assert(!jwk_signed(&set.keys[0], S("text"), slice_of(zero_text)));
    jwks_release(&set);
    put_base64url(zero_text, zeros, 256);
    reads(rsa.public, 1);
    ck_assert(!jwk_signed(&set.keys[0], S("text"), slice_of(zero_text)));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("jwks");
    TCase *tests = one_case(suite, "jwks");
    tcase_add_unchecked_fixture(tests, make_keys, free_keys);
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_loop_test(tests, a_secret_is_the_file_s_bytes, 0, COUNT(secrets));
    tcase_add_test(tests, a_short_secret_is_refused);
    tcase_add_test(tests, public_keys_are_read_from_pem);
    tcase_add_test(tests, a_private_key_is_refused);
    tcase_add_test(tests, a_private_jwk_is_refused);
    tcase_add_test(tests, keys_of_other_kinds_are_refused);
    tcase_add_test(tests, pem_that_is_damaged_is_refused);
    tcase_add_test(tests, a_set_holds_keys_by_their_names);
    tcase_add_test(tests, a_single_jwk_will_do);
    tcase_add_loop_test(tests, keys_for_something_else_are_left_out, 0, COUNT(others));
    tcase_add_loop_test(tests, a_bad_set_is_refused, 0, COUNT(bad_sets));
    tcase_add_test(tests, there_are_not_too_many_keys);
    tcase_add_test(tests, random_changes_do_no_harm);
    tcase_add_test(tests, a_key_knows_its_signature);
    tcase_add_test(tests, a_secret_knows_its_signature);
    tcase_add_test(tests, a_signature_of_zeros_is_none);
    return run_suite(suite);
}
