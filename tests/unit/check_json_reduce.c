/* The pass before jansson: it accepts what jansson accepts and nothing else, takes `data` and `ref` out, and counts what is left. */
#include "codec/json_reduce.h"

#include <jansson.h>

#include "codec/json_scan.h"
#include "support.h"

static struct json_reduced reduced;

static enum json_verdict reduce_within(struct slice text, size_t levels, size_t values)
{
    free(reduced.text);
    return json_reduce(text, &(struct json_bounds){levels, values}, &reduced);
}

static enum json_verdict reduce(struct slice text)
{
    return reduce_within(text, 0, 0);
}

static void becomes(const char *text, const char *wanted)
{
    ck_assert_msg(reduce(slice_of(text)) == JSON_GOOD, "%s: %s", text, reduced.what);
    if (reduced.text)
        assert_slice(((struct slice){reduced.text, reduced.len}), slice_of(wanted));
    else
        ck_assert_str_eq(text, wanted);
}

START_TEST(data_and_ref_become_a_zero)
{
    becomes("{\"data\":[[],{\"data\":1}],\"op\":\"publish\"}", "{\"data\":0,\"op\":\"publish\"}");
    becomes(" { \"ref\" : {\"a\":[]} , \"data\":\"text\\n\" } ", " { \"ref\" : 0 , \"data\":0 } ");
    assert_slice(reduced.ref, S("{\"a\":[]}"));
    becomes("{\"d\\u0061ta\":[1],\"\\u0072ef\":7}", "{\"d\\u0061ta\":0,\"\\u0072ef\":0}");
    assert_slice(reduced.ref, S("7"));
    becomes("{\"events\":[{\"data\":[1,2],\"id\":\"x\"},{\"id\":\"y\",\"data\":{}}]}",
            "{\"events\":[{\"data\":0,\"id\":\"x\"},{\"id\":\"y\",\"data\":0}]}");
    ck_assert_uint_eq(reduced.ref.len, 0);
}
END_TEST

START_TEST(what_only_looks_like_them_stays)
{
    static const char *const texts[] = {
        "{\"to\":{\"data\":[1],\"ref\":[2]}}",
        "{\"other\":[{\"data\":[1]}]}",
        "{\"events\":[{\"ref\":[1]}],\"x\":[{\"data\":[1]}]}",
        "{\"events\":[[{\"data\":[1]}]]}",
        "[{\"data\":[1]}]",
        "{\"op\":\"data\",\"x\":\"ref\"}",
        "{\"datas\":[1],\"dat\":[1]}",
        "7",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        becomes(texts[i], texts[i]);
}
END_TEST

START_TEST(a_field_twice_is_refused_anywhere)
{
    static const char *const texts[] = {
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"data\":{\"x\":[{\"b\":1,\"c\":2,\"b\":3}]}}",
        "{\"data\":{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}}",
        "{\"data\":{\"\\ud83d\":1,\"\\uD83D\":2}}",
        "{\"ref\":1,\"ref\":2}",
        "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1,\"3\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(reduce(slice_of(texts[i])) == JSON_BAD, "%s", texts[i]);
        ck_assert_str_eq(reduced.what, "duplicate field in this object");
    }
    becomes("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}", "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}");
    becomes("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1}",
            "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1}");
}
END_TEST

START_TEST(data_may_have_halves_of_surrogate_pairs)
{
    becomes("{\"data\":\"cut \\ud83d\"}", "{\"data\":0}");
    becomes("{\"data\":[\"\\ude00\\ud83d\",{\"\\ud83d\":1,\"\\ud83e\":2}]}", "{\"data\":0}");
    becomes("{\"data\":\"\\ud83d\\ud83d\\ude00 \\ud83d\\n\"}", "{\"data\":0}");
    becomes("{\"events\":[{\"data\":\"\\ud83d\"},{\"data\":1}]}", "{\"events\":[{\"data\":0},{\"data\":0}]}");
}
END_TEST

static void is_bad(struct slice text, size_t at, const char *what)
{
    ck_assert_int_eq(reduce(text), JSON_BAD);
    ck_assert_uint_eq(reduced.at, at);
    ck_assert_msg(strstr(reduced.what, what) != NULL, "%s is not %s", reduced.what, what);
    ck_assert_ptr_null(reduced.text);
}

START_TEST(what_is_wrong_has_its_place)
{
    is_bad(S(""), 0, "too early");
    is_bad(S("{"), 1, "too early");
    is_bad(S("{\"a\":1,}"), 8, "a field's name");
    is_bad(S("[1,]"), 4, "a value");
    is_bad(S("[1 2]"), 4, "`,` or `]`");
    is_bad(S("{} x"), 4, "the end");
    is_bad(S("{\"a\" 1}"), 6, "`:`");
    is_bad(S("\"\\x\""), 3, "escape");
    is_bad(S("\"\\ud800\""), 4, "\\u escape");
    is_bad(S("{\"text\":\"\\ud83d\"}"), 12, "\\u escape");
    is_bad(S("{\"ref\":\"\\ud83d\"}"), 11, "\\u escape");
    is_bad(S("{\"data\":1,\"text\":\"\\ud83d\"}"), 21, "\\u escape");
    is_bad(S("{\"to\":{\"data\":\"\\ud83d\"}}"), 18, "\\u escape");
    is_bad(S("{\"data\":\"\\ud83\"}"), 12, "\\u escape");
    is_bad(S("\"\xff\""), 2, "UTF-8");
    is_bad(S("\"\n\""), 2, "control");
    is_bad(S("[1\0]"), 3, "NUL");
    is_bad(S("[1.]"), 4, "digit");
    is_bad(S("[01]"), 3, "`,` or `]`");
}
END_TEST

START_TEST(levels_and_values_are_bounded)
{
    ck_assert_int_eq(reduce_within(S("{\"data\":[[1],[2],{\"b\":[]}]}"), 4, 0), JSON_GOOD);
    ck_assert_int_eq(reduce_within(S("{\"data\":[[1],[2],{\"b\":[]}]}"), 3, 0), JSON_TOO_DEEP);
    ck_assert_int_eq(reduce_within(S("{\"a\":\"[[[[[[\", \"b[\\\"[[[\":[]}"), 2, 0), JSON_GOOD);
    ck_assert_int_eq(reduce_within(S("{\"a\":[1,2,[]]}"), 0, 5), JSON_GOOD);
    ck_assert_int_eq(reduce_within(S("{\"a\":[1,2,[]]}"), 0, 4), JSON_TOO_MANY);
    ck_assert_int_eq(reduce_within(S("{\"data\":[1,2,[]],\"ref\":[1,2]}"), 0, 1), JSON_GOOD);
    ck_assert_int_eq(reduce_within(S("{\"events\":[{\"data\":[1,2,3]}]}"), 0, 3), JSON_GOOD);
    ck_assert_int_eq(reduce_within(S("{\"events\":[{\"data\":[1,2,3]}]}"), 0, 2), JSON_TOO_MANY);
}
END_TEST

/* --- what jansson says --- */

static bool jansson_accepts(struct slice text)
{
    char soft[512];
    ck_assert_uint_lt(text.len, sizeof soft);
    memcpy(soft, text.data, text.len);
    json_soften(soft, text.len);
    json_t *tree =
        json_loadb(soft, text.len, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &(json_error_t){0});
    json_decref(tree);
    return tree;
}

/* Pieces that make valid and nearly valid texts likely. */
static size_t random_text(struct dice *d, char *out, size_t size)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         "\"a\":",
                                         "\"b\":",
                                         "\"\\u0061\":",
                                         "\"data\":",
                                         "\"ref\":",
                                         ",",
                                         ",",
                                         "1",
                                         "-1.5",
                                         "1e5",
                                         "-",
                                         "0",
                                         "\"x\"",
                                         "\"\\\"\"",
                                         " ",
                                         "null",
                                         "tru",
                                         "false",
                                         "\\",
                                         "\"",
                                         "\"\xc3\xa9\"",
                                         "\xc3",
                                         "\t",
                                         "\"\x7f\"",
                                         "\"\\ud83d\\ude00\"",
                                         "[]",
                                         "{\"a\":",
                                         "\"events\":[{",
                                         "}]",
                                         "1}"};
    size_t len = 0;
    for (uint64_t n = 1 + roll(d, 12); n > 0; n--)
        len += (size_t)snprintf(out + len, size - len, "%s", pieces[roll(d, sizeof pieces / sizeof pieces[0])]);
    return len;
}

START_TEST(it_accepts_what_jansson_accepts)
{
    struct dice d = dice_new();
    uint64_t seed = d.state;
    for (int i = 0; i < 300000; i++) {
        char text[512];
        size_t len = random_text(&d, text, sizeof text);
        char *exact = malloc(len);
        memcpy(exact, text, len);
        enum json_verdict verdict = reduce((struct slice){exact, len});
        ck_assert_msg((verdict == JSON_GOOD) == jansson_accepts((struct slice){exact, len}),
                      "SEED=%" PRIu64 ": '%s': %s", seed, text, verdict == JSON_GOOD ? "accepted" : reduced.what);
        if (verdict == JSON_GOOD)
            ck_assert(!reduced.text ||
                      (jansson_accepts((struct slice){reduced.text, reduced.len}) && reduced.len <= len));
        else
            ck_assert_uint_le(reduced.at, len);
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_reduce");
    TCase *tests = one_case(suite, "json_reduce");
    tcase_add_test(tests, data_and_ref_become_a_zero);
    tcase_add_test(tests, what_only_looks_like_them_stays);
    tcase_add_test(tests, a_field_twice_is_refused_anywhere);
    tcase_add_test(tests, what_is_wrong_has_its_place);
    tcase_add_test(tests, data_may_have_halves_of_surrogate_pairs);
    tcase_add_test(tests, levels_and_values_are_bounded);
    tcase_add_test(tests, it_accepts_what_jansson_accepts);
    int status = run_suite(suite);
    free(reduced.text);
    return status;
}
