#include "auth/jwks.h"

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

static void reads_as(enum jwks_kind kind, struct slice file, size_t count)
{
    int err = jwks_read(kind, file, &set, &why);
    ck_assert_msg(err == 0, "refused: %s", why);
    ck_assert_uint_eq(set.count, count);
}

static void reads(const char *file, size_t count)
{
    reads_as(JWKS_PUBLIC, slice_of(file), count);
}

static void refuses_as(enum jwks_kind kind, struct slice file, const char *part_of_why)
{
    ck_assert_int_eq(jwks_read(kind, file, &set, &why), -EINVAL);
    ck_assert_msg(strstr(why, part_of_why), "it says: %s", why);
    ck_assert_ptr_null(set.keys);
    ck_assert_uint_eq(set.count, 0);
}

static void refuses(struct slice file, const char *part_of_why)
{
    refuses_as(JWKS_PUBLIC, file, part_of_why);
}

static void assert_public(size_t index, enum jwk_use use, const struct test_key *key)
{
    ck_assert_int_eq(set.keys[index].use, use);
    ck_assert_ptr_null(set.keys[index].data);
    ck_assert_int_eq(EVP_PKEY_eq(set.keys[index].public, key->pair), 1);
}

/* --- secrets --- */

#define BYTES31 "\1\2\3\4\5\6\7\xe0\1\2\3\4\5\6\7\xe0\1\2\3\4\5\6\7\xe0\1\2\3\4\5\6\7"
#define HEX32 "0123456789abcdef0123456789abcdef"

static const struct {
    struct slice file;
    size_t len;
} secrets[] = {
    {S_INIT(HEX32), 32},        {S_INIT(HEX32 "\n"), 32},        {S_INIT(HEX32 "\r\n"), 32},
    {S_INIT(BYTES31 "\7"), 32}, {S_INIT(BYTES31 " \xff\n"), 33}, /* a blank is a byte like others */
    {S_INIT("MI" HEX32), 34},   {S_INIT("0\x20" BYTES31), 33},
};

START_TEST(a_secret_is_the_file_s_bytes_less_a_line_break)
{
    reads_as(JWKS_SECRETS, secrets[_i].file, 1);
    ck_assert_int_eq(set.keys[0].use, JWK_HS256);
    ck_assert_ptr_null(set.keys[0].kid);
    assert_slice(((struct slice){(char *)set.keys[0].data, set.keys[0].len}),
                 ((struct slice){secrets[_i].file.data, secrets[_i].len}));
}
END_TEST

#define JWK_S "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"

/* Each of these was a secret once: that everybody knows, or that no token is signed with. */
static const struct {
    struct slice file;
    const char *why;
} no_secrets[] = {
    {S_INIT(""), "32 bytes"},
    {S_INIT("\n"), "32 bytes"},
    {S_INIT("0123456789abcdef0123456789abcde\n"), "32 bytes"},
    {S_INIT("0123456789abcdef0123456789abcde\n\n"), "several lines"},
    {S_INIT(HEX32 "\n\n"), "several lines"},
    {S_INIT(HEX32 "\n" HEX32 "\n"), "several lines"},
    {S_INIT(HEX32 "\r" HEX32), "several lines"},
    {S_INIT("\n" HEX32), "several lines"},
    {S_INIT(" " HEX32), "blanks"},
    {S_INIT(HEX32 " \n"), "blanks"},
    {S_INIT(HEX32 "\t"), "blanks"},
    {S_INIT(HEX32 " " HEX32), "spaces"},
    {S_INIT("\xef\xbb\xbf" HEX32 "\n"), "byte order mark"},
    {S_INIT("\xff\xfe" HEX32), "byte order mark"},
    {S_INIT(HEX32 "\0" HEX32), "NUL"},
    {S_INIT("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 anna@example"), "OpenSSH"},
    {S_INIT("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY"), "OpenSSH"},
    {S_INIT("<html><head><title>502BadGateway</title></head>"), "HTML"},
    {S_INIT("\r\n <?xml version='1.0'?><error>no such key</error>"), "HTML"},
    {S_INIT("[" JWK_S "]"), "JSON list"},
    {S_INIT("{\"error\":\"temporarily_unavailable\",\"code\":503}"), "JWKS"},
    {S_INIT("\"0123456789abcdef0123456789abcdef\""), "JSON text"},
    {S_INIT("\xef\xbb\xbf{\"keys\":[" JWK_S "]}"), "byte order mark"},
    {S_INIT("\x30\x82\x01\x22\x30\x0d\x06\x09" BYTES31 BYTES31), "DER"},
    {S_INIT("\x30\x21\x30\x13" BYTES31), "DER"},
    {S_INIT("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAQIDBA"
            "UGBwgJCgsMDQ4PEBESEx"
            "QVFhcYGRobHB0eHw==\n"),
     "DER"},
};

START_TEST(what_is_evidently_no_secret_is_refused)
{
    refuses_as(JWKS_SECRETS, no_secrets[_i].file, no_secrets[_i].why);
}
END_TEST

START_TEST(public_keys_are_no_secrets)
{
    refuses_as(JWKS_SECRETS, slice_of(rsa.public), "PEM");
    refuses_as(JWKS_SECRETS, slice_of(ec.private), "PEM");
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk_of(&rsa, "", jwk[0]));
    refuses_as(JWKS_SECRETS, slice_of(text), "no secret");
    snprintf(text, sizeof text, "{\"keys\":[" JWK_S ",%s]}", jwk_of(&ec, ",\"kid\":\"e\"", jwk[0]));
    refuses_as(JWKS_SECRETS, slice_of(text), "no secret");
    refuses_as(JWKS_SECRETS, S("{\"keys\":[7]}"), "no secret");
}
END_TEST

START_TEST(secrets_are_no_public_keys)
{
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        refuses(secrets[i].file, "accepted: public keys");
    refuses(S("{\"keys\":[" JWK_S "]}"), "oct");
    refuses(S(JWK_S), "oct");
    snprintf(text, sizeof text, "{\"keys\":[%s,{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AA\"}]}",
             jwk_of(&ec, "", jwk[0]));
    refuses(slice_of(text), "oct");
}
END_TEST

START_TEST(what_is_no_public_key_is_named)
{
    for (size_t i = 0; i < sizeof no_secrets / sizeof no_secrets[0]; i++)
        refuses(no_secrets[i].file, "");
    refuses(S("<html>502</html>"), "HTML");
    refuses(S("ssh-rsa AAAA"), "OpenSSH");
    refuses(S("[]"), "JSON list");
    refuses(S(""), "empty");
    refuses(S("\x30\x82\x01\x22\x30\x0d\x06\x09" BYTES31 BYTES31), "DER");
    snprintf(text, sizeof text, "\xef\xbb\xbf{\"keys\":[%s]}", jwk_of(&ec, "", jwk[0]));
    refuses(slice_of(text), "byte order mark");
}
END_TEST

START_TEST(several_secrets_are_a_set)
{
    reads_as(JWKS_SECRETS,
             S("{\"keys\":[" JWK_S ",{\"kty\":\"oct\",\"kid\":\"new\",\"alg\":\"HS256\","
               "\"use\":\"sig\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9f\"},"
               "{\"kty\":\"oct\",\"alg\":\"HS512\"}]}"),
             2);
    ck_assert_ptr_null(set.keys[0].kid);
    ck_assert_uint_eq(set.keys[0].len, 32);
    ck_assert_uint_eq(set.keys[0].data[31], 31);
    ck_assert_str_eq(set.keys[1].kid, "new");
    ck_assert_uint_eq(set.keys[1].len, 33);
    jwks_release(&set);
    reads_as(JWKS_SECRETS, S(JWK_S), 1);
}
END_TEST

START_TEST(a_digest_tells_texts_apart)
{
    unsigned char a[JWKS_DIGEST], b[JWKS_DIGEST];
    jwks_digest(S("one"), a);
    jwks_digest(S("two"), b);
    ck_assert(memcmp(a, b, sizeof a) != 0);
    jwks_digest(S("one"), b);
    ck_assert_mem_eq(a, b, sizeof a);
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
    snprintf(text, sizeof text, " {\"keys\":[%s,%s]}",
             jwk_of(&rsa,
                    ",\"kid\":\"r\",\"alg\":\"RS256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]",
                    jwk[0]),
             jwk_of(&ec, "", jwk[1]));
    reads(text, 2);
    assert_public(0, JWK_RS256, &rsa);
    ck_assert_str_eq(set.keys[0].kid, "r");
    assert_public(1, JWK_ES256, &ec);
    ck_assert_ptr_null(set.keys[1].kid);
}
END_TEST

START_TEST(a_single_jwk_will_do)
{
    reads(jwk_of(&ec, ",\"kid\":\"e\"", jwk[0]), 1);
    assert_public(0, JWK_ES256, &ec);
    ck_assert_str_eq(set.keys[0].kid, "e");
}
END_TEST

static const char *const others[] = {
    ",\"use\":\"enc\"",       ",\"alg\":\"RS512\"", ",\"alg\":\"PS256\"",
    ",\"alg\":\"RSA-OAEP\"",  ",\"alg\":\"HS256\"", ",\"key_ops\":[\"sign\",\"encrypt\"]",
    ",\"key_ops\":\"verify\""};

START_TEST(keys_for_something_else_are_left_out)
{
    snprintf(text, sizeof text, "{\"keys\":[%s,{\"kty\":\"OKP\"},{},7,%s]}",
             jwk_of(&rsa, others[_i], jwk[0]), jwk_of(&ec, "", jwk[1]));
    reads(text, 1);
    assert_public(0, JWK_ES256, &ec);
    jwks_release(&set);
    snprintf(text, sizeof text, "{\"keys\":[%s]}", jwk[0]);
    refuses(slice_of(text), "none of its keys");
}
END_TEST

#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* 32 bytes in base64url */

static const char *const bad_sets[] = {
    "{",
    "{}",
    "{\"keys\":{}}",
    "{\"keys\":[]}",
    "{\"keys\":[{\"kty\":\"RSA\"}]}",
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    /* not on the curve: */
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" ZERO "\",\"y\":\"" ZERO "\"}]}",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}",
    /* Not base64url. */
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+/\"}]}",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":7}]}",
};

START_TEST(a_bad_set_is_refused)
{
    refuses(slice_of(bad_sets[_i]), "");
    refuses_as(JWKS_SECRETS, slice_of(bad_sets[_i]), "");
}
END_TEST

START_TEST(there_are_not_too_many_keys)
{
    char *at = stpcpy(text, "{\"keys\":[");
    for (unsigned i = 0; i < JWKS_KEYS_MAX; i++)
        at = stpcpy(at, "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"},");
    strcpy(at - 1, "]}");
    reads_as(JWKS_SECRETS, slice_of(text), JWKS_KEYS_MAX);
    jwks_release(&set);
    strcpy(at, "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}");
    at[-1] = ',';
    ck_assert_int_eq(jwks_read(JWKS_SECRETS, slice_of(text), &set, &why), -ENOMEM);
    ck_assert_uint_eq(set.count, 0);
}
END_TEST

/* Any bytes: read or refused, never more. */
START_TEST(random_changes_do_no_harm)
{
    struct dice dice = dice_new();
    snprintf(text, sizeof text, "{\"keys\":[%s,%s]}", jwk_of(&rsa, ",\"kid\":\"r\"", jwk[0]),
             jwk_of(&ec, "", jwk[1]));
    size_t len = strlen(text);
    for (int i = 0; i < 3000; i++) {
        size_t at = roll(&dice, len);
        char was = text[at];
        text[at] = (char)roll(&dice, 256);
        for (int kind = JWKS_PUBLIC; kind <= JWKS_SECRETS; kind++)
            if (jwks_read((enum jwks_kind)kind, (struct slice){text, len}, &set, &why) == 0)
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
    ck_assert_int_eq(EVP_DigestSign(context, bytes, &len, (const unsigned char *)signed_text,
                                    strlen(signed_text)),
                     1);
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
        ck_assert(!jwk_signed(&set.keys[0], S("text"),
                              (struct slice){signature.data, signature.len - 4}));
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
    reads_as(JWKS_SECRETS, S("0123456789abcdef0123456789abcdef"), 1);
    ck_assert(jwk_signed(&set.keys[0], signed_text, slice_of(signature)));
    ck_assert(!jwk_signed(&set.keys[0], S("other"), slice_of(signature)));
    ck_assert(!jwk_signed(&set.keys[0], signed_text, (struct slice){signature, 42}));
    /* The same bytes, and bits to spare. */
    ck_assert(
        !jwk_signed(&set.keys[0], signed_text, S("VCEt98b3JSED4ft_EhALDHX0UPp6-VVB_SgUhXjqe-R")));
    ck_assert(
        !jwk_signed(&set.keys[0], signed_text, S("VCEt98b3JSED4ft/EhALDHX0UPp6+VVB/SgUhXjqe+Q")));
    ck_assert(
        !jwk_signed(&set.keys[0], signed_text, S("VCEt98b3JSED4ft_EhALDHX0UPp6-VVB_SgUhXjqe-Q=")));
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
    tcase_add_loop_test(tests, a_secret_is_the_file_s_bytes_less_a_line_break, 0, COUNT(secrets));
    tcase_add_loop_test(tests, what_is_evidently_no_secret_is_refused, 0, COUNT(no_secrets));
    tcase_add_test(tests, public_keys_are_no_secrets);
    tcase_add_test(tests, secrets_are_no_public_keys);
    tcase_add_test(tests, what_is_no_public_key_is_named);
    tcase_add_test(tests, several_secrets_are_a_set);
    tcase_add_test(tests, a_digest_tells_texts_apart);
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
