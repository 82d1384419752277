/* Requests without their payloads: what is left out, what is left to jansson; on random texts, never more lenient than jansson. */
#include "broker/json_abridge.h"

#include <jansson.h>

#include "broker/json_scan.h"
#include "support.h"

static void abridges(struct slice text, const char *wanted)
{
    char out[512];
    ck_assert_uint_le(json_abridged_max(text), sizeof out);
    size_t len = json_abridge(text, out);
    ck_assert_uint_le(len, json_abridged_max(text));
    assert_slice(((struct slice){out, len}), slice_of(wanted));
}

START_TEST(payloads_are_left_out)
{
    abridges(S("{\"op\":\"publish\",\"data\":{\"a\":[1,\"}\",null]},\"event\":\"m\"}"),
             "{\"op\":\"publish\",\"data\":0 ,\"event\":\"m\"}");
    abridges(S("{\"data\" :\n -1.5e3}"), "{\"data\" :\n 0 }");
    abridges(S("{\"events\":[{\"data\":true},{\"data\":\"\\u00e9\\n\xc3\xa9\"}]}"),
             "{\"events\":[{\"data\":0 },{\"data\":0 }]}");
    abridges(S("{\"op\":\"ping\"}"), "{\"op\":\"ping\"}");
}
END_TEST

START_TEST(only_names_count)
{
    abridges(S("{\"text\":\"\\\"data\\\":1\",\"event\":\"data\"}"), "{\"text\":\"\\\"data\\\":1\",\"event\":\"data\"}");
    abridges(S("{\"d\\u0061ta\":{}}"), "{\"d\\u0061ta\":{}}");
}
END_TEST

START_TEST(what_is_wrong_or_unusual_is_left_to_jansson)
{
    static const struct slice texts[] = {
        S_INIT("{\"data\":}"),
        S_INIT("{\"data\":tru}"),
        S_INIT("{\"data\":\"\x01\"}"),
        S_INIT("{\"data\":\"\xff\"}"),
        S_INIT("{\"data\":\"\xed\xa0\x80\"}"),
        S_INIT("{\"data\":\"\\ud83d\\ude00\"}"),
        S_INIT("{\"data\":\"\\x\"}"),
        S_INIT("{\"data\":{\"a\":1,\"a\":2}}"),
        S_INIT("{\"data\":{\"a\\n\":1}}"),
        S_INIT("{\"data\":[1,]}"),
        S_INIT("{\"data\":{\"a\":1,}}"),
        S_INIT("{\"data\":[1 2]}"),
        S_INIT("{\"data\":-}"),
        S_INIT("{\"data\":\"endless"),
        S_INIT("{\"data\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char out[512];
        ck_assert_msg(json_abridge(texts[i], out) == 0, "accepted: %.*s", (int)texts[i].len, texts[i].data);
    }
}
END_TEST

START_TEST(what_follows_a_payload_does_not_join_it)
{
    abridges(S("{\"data\":\"\".5}"), "{\"data\":0 .5}");
    abridges(S("{\"data\":[]e5}"), "{\"data\":0 e5}");
    abridges(S("{\"data\":01}"), "{\"data\":0 1}");
}
END_TEST

/* --- random texts --- */

struct text {
    char bytes[1024];
    size_t len;
};

static void add(struct text *t, const char *piece)
{
    size_t n = strlen(piece);
    if (t->len + n < sizeof t->bytes) {
        memcpy(t->bytes + t->len, piece, n);
        t->len += n;
    }
}

static void add_value(struct text *t, struct dice *d, unsigned depth)
{
    static const char *const scalars[] = {"0",        "-1.5e3",       "true",        "null",  "\"\"",
                                          "\"a\\n\"", "\"\xc3\xa9\"", "\"\\u00e9\"", "1e999", "\"data\""};
    static const char *const names[] = {"\"a\"", "\"b\"", "\"data\"", "\"\\u0061\"", "\"c d\""};
    uint64_t kind = depth ? roll(d, 4) : 0;
    if (kind < 2) {
        add(t, scalars[roll(d, sizeof scalars / sizeof scalars[0])]);
        return;
    }
    add(t, kind == 2 ? "[" : "{");
    for (uint64_t i = 0, count = roll(d, 4); i < count; i++) {
        add(t, i ? ", " : " ");
        if (kind == 3) {
            add(t, names[roll(d, sizeof names / sizeof names[0])]);
            add(t, ":");
        }
        add_value(t, d, depth - 1);
    }
    add(t, kind == 2 ? "]" : "}");
}

static void damage(struct text *t, struct dice *d)
{
    static const char bytes[] = "{}[]:,\"\\ \n0.e-tn\x01\xff\xc3";
    uint64_t at = roll(d, t->len);
    switch (roll(d, 3)) {
    case 0:
        t->bytes[at] = bytes[roll(d, sizeof bytes - 1)];
        break;
    case 1:
        memmove(t->bytes + at, t->bytes + at + 1, t->len - at - 1);
        t->len--;
        break;
    default:
        memmove(t->bytes + at + 1, t->bytes + at, t->len - at);
        t->bytes[at] = bytes[roll(d, sizeof bytes - 1)];
        t->len++;
    }
}

static bool jansson_accepts(char *text, size_t len)
{
    json_soften(text, len);
    json_t *tree = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    json_decref(tree);
    return tree != NULL;
}

START_TEST(never_more_lenient_than_jansson)
{
    struct dice d = dice_new();
    uint64_t seed = d.state, abridged = 0;
    for (int i = 0; i < 50000; i++) {
        struct text t = {.len = 0};
        char out[2048];
        add(&t, "{\"op\":1,\"data\":");
        add_value(&t, &d, 4);
        add(&t, "}");
        for (uint64_t n = roll(&d, 3); n && t.len + 1 < sizeof t.bytes; n--)
            damage(&t, &d);
        size_t len = json_abridge((struct slice){t.bytes, t.len}, out);
        if (!len || !jansson_accepts(out, len))
            continue;
        abridged++;
        ck_assert_msg(jansson_accepts(t.bytes, t.len), "SEED=%" PRIu64 ": %.*s", seed, (int)t.len, t.bytes);
    }
    ck_assert_uint_gt(abridged, 5000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_abridge");
    TCase *tests = one_case(suite, "json_abridge");
    tcase_add_test(tests, payloads_are_left_out);
    tcase_add_test(tests, only_names_count);
    tcase_add_test(tests, what_is_wrong_or_unusual_is_left_to_jansson);
    tcase_add_test(tests, what_follows_a_payload_does_not_join_it);
    tcase_add_test(tests, never_more_lenient_than_jansson);
    return run_suite(suite);
}
