#include "auth/jws.h"

#include "codec/json_in.h"
#include "support.h"

#define HS256 "eyJhbGciOiJIUzI1NiJ9" /* {"alg":"HS256"} */
#define NONE "e30"                   /* {} */

static struct jws jws;

START_TEST(a_token_has_three_parts)
{
    static const char text[] = HS256 "." NONE ".c2ln";
    ck_assert_ptr_null(jws_read(text, &jws));
    ck_assert_str_eq(jws.algorithm, "HS256");
    ck_assert_str_eq(jws.kid, "");
    ck_assert(!jws.access);
    ck_assert(slice_equal(jws.signed_text, S(HS256 "." NONE)));
    ck_assert(slice_equal(jws.signature, S("c2ln")));

    struct json_in *claims = jws_claims(&jws);
    ck_assert(json_in_is_object(claims));
    json_in_free(&claims);
}
END_TEST

static const struct {
    const char *token, *fault;
} faults[] = {
    {"", "three parts"},
    {"..", "no signature"},
    {"...", "no signature"},
    {"a.b", "three parts"},
    {"a.b.c.d", "three parts"},
    {HS256 "." NONE ".", "no signature"},
    {".e30.x", "header"},
    {"!!!.e30.x", "header"},
    {"e30=.e30.x", "header"},
    {"bnVsbA.e30.x", "header"},                                 /* null */
    {"W10.e30.x", "header"},                                    /* [] */
    {"eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ.e30.x", "header"}, /* alg twice */
    {"eyJjcml0IjpbXX0.e30.x", "crit"},
    {"eyJhbGciOjF9.e30.x", "alg"},
    {"eyJhbGciOiJhXHUwMDAwYiJ9.e30.x", "alg"}, /* a NUL in alg */
    {"eyJraWQiOjF9.e30.x", "kid"},
    {"eyJraWQiOiIifQ.e30.x", "kid"},
    {"eyJ0eXAiOiJKV0UifQ.e30.x", "typ"}, /* JWE */
    {"eyJ0eXAiOjF9.e30.x", "typ"},
};

START_TEST(what_is_wrong_is_named)
{
    const char *fault = jws_read(faults[_i].token, &jws);
    ck_assert_msg(fault && strstr(fault, faults[_i].fault), "%s: %s", faults[_i].token,
                  fault ? fault : "nothing");
}
END_TEST

static const struct {
    const char *header;
    bool access;
} types[] = {
    {NONE, false},
    {"eyJ0eXAiOiJKV1QifQ", false},                    /* JWT */
    {"eyJ0eXAiOiJqd3QifQ", false},                    /* jwt */
    {"eyJ0eXAiOiJhdCtqd3QifQ", true},                 /* at+jwt */
    {"eyJ0eXAiOiJhcHBsaWNhdGlvbi9BVCtKV1QifQ", true}, /* application/AT+JWT */
};

START_TEST(the_type_decides_what_it_is_for)
{
    char text[128];
    snprintf(text, sizeof text, "%s.e30.x", types[_i].header);
    ck_assert_ptr_null(jws_read(text, &jws));
    ck_assert(jws.access == types[_i].access);
}
END_TEST

START_TEST(a_token_has_at_most_8192_bytes)
{
    static char text[JWS_BYTES_MAX + 2];
    memset(text, 'x', sizeof text - 1);
    memcpy(text, NONE "." NONE ".", 8);
    ck_assert_ptr_nonnull(jws_read(text, &jws));
    text[JWS_BYTES_MAX] = '\0';
    ck_assert_ptr_null(jws_read(text, &jws));
}
END_TEST

START_TEST(claims_are_an_object)
{
    static const char *const none[] = {"e30.W10.x", "e30.bnVsbA.x", "e30..x", "e30.e3.x"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ck_assert_ptr_null(jws_read(none[i], &jws));
        ck_assert_ptr_null(jws_claims(&jws));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jws");
    TCase *tests = tcase_create("jws");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_token_has_three_parts);
    tcase_add_loop_test(tests, what_is_wrong_is_named, 0, sizeof faults / sizeof faults[0]);
    tcase_add_loop_test(tests, the_type_decides_what_it_is_for, 0, sizeof types / sizeof types[0]);
    tcase_add_test(tests, a_token_has_at_most_8192_bytes);
    tcase_add_test(tests, claims_are_an_object);
    return run_suite(suite);
}
