/* A request's nodes: what jansson accepts is read and nothing else, `data` and `ref` are handed on,
 * and the rest is counted. */
#include "codec/json_tree.h"

#include <jansson.h>

#include "codec/json_scan.h"
#include "support.h"

static struct json_tree tree = {.nodes = tree.few};

static enum json_verdict read_within(struct slice text, size_t levels, size_t values)
{
    json_tree_release(&tree);
    return json_tree_read(text, &(struct json_bounds){.levels = levels, .values = values}, &tree);
}

static enum json_verdict read_tree(struct slice text)
{
    return read_within(text, 0, 0);
}

/* Write the nodes as JSON without white space and escapes in keys; 0 for what is handed on. */
static void write_node(const struct json_node *node, struct buf *out)
{
    struct slice source = json_tree_source(&tree, node);
    char first = node->raw ? '0' : *source.data;
    if (first != '{' && first != '[') {
        buf_put_slice(out, node->raw ? S("0") : source);
        ck_assert_uint_eq(node->count, 0);
        ck_assert_ptr_eq(json_tree_next(&tree, node), node + 1);
        return;
    }

    buf_put(out, &first, 1);
    const struct json_node *value = json_tree_first(node);
    for (uint32_t i = 0; i < node->count; i++, value = json_tree_next(&tree, value)) {
        if (i)
            buf_put(out, ",", 1);
        if (first == '{') {
            buf_put(out, "\"", 1);
            buf_put_slice(out, json_tree_key(&tree, &value->key));
            buf_put(out, "\":", 2);
        }
        write_node(value, out);
    }
    ck_assert_ptr_eq(json_tree_next(&tree, node), value);
    ck_assert_int_eq(source.data[source.len - 1], first + 2);
    buf_put(out, first == '{' ? "}" : "]", 1);
}

static void becomes(const char *text, const char *wanted)
{
    struct buf out = {0};
    ck_assert_msg(read_tree(slice_of(text)) == JSON_GOOD, "%s: %s", text, tree.what);
    write_node(tree.nodes, &out);
    ck_assert_ptr_nonnull(out.data);
    assert_slice(buf_slice(&out), slice_of(wanted));
    buf_release(&out);
}

static void field_is(const char *name, struct slice wanted)
{
    const struct json_node *node = json_tree_find(&tree, tree.nodes, name);
    ck_assert_ptr_nonnull(node);
    assert_slice(json_tree_source(&tree, node), wanted);
}

START_TEST(data_and_ref_are_handed_on)
{
    becomes("{\"data\":[[],{\"data\":1}],\"op\":\"publish\"}", "{\"data\":0,\"op\":\"publish\"}");
    becomes(" { \"ref\" : {\"a\":[]} , \"data\":\"text\\n\" } ", "{\"ref\":0,\"data\":0}");
    field_is("ref", S("{\"a\":[]}"));
    becomes("{\"d\\u0061ta\":[1],\"\\u0072ef\":7}", "{\"data\":0,\"ref\":0}");
    field_is("ref", S("7"));
    becomes("{\"events\":[{\"data\":[1,2],\"id\":\"x\"},{\"id\":\"y\",\"data\":{}}]}",
            "{\"events\":[{\"data\":0,\"id\":\"x\"},{\"id\":\"y\",\"data\":0}]}");
    ck_assert_ptr_null(json_tree_find(&tree, tree.nodes, "ref"));
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
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"{\"a\":1,\"a\":2}", "a"},
        {"{\"a\":1,\"\\u0061\":2}", ""},
        {"{\"data\":{\"x\":[{\"b\":1,\"c\":2,\"b\":3}]}}", "b"},
        {"{\"data\":{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}}", "\xf0\x9f\x98\x80"},
        {"{\"data\":{\"\\ud83d\":1,\"\\uD83D\":2}}", ""},
        {"{\"ref\":1,\"ref\":2}", "ref"},
        {"{\"1\":1,\"2\":1,\"3\":1,\"4\":1,"
         "\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1,\"3\":1}",
         "3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(read_tree(slice_of(cases[i].text)) == JSON_BAD, "%s", cases[i].text);
        ck_assert_str_eq(tree.what, "duplicate field in this object");
        assert_slice(tree.field, slice_of(cases[i].field));
    }
    becomes("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}",
            "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}");
    becomes("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1}",
            "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1}");
}
END_TEST

START_TEST(data_may_have_halves_of_surrogate_pairs)
{
    becomes("{\"data\":\"cut \\ud83d\"}", "{\"data\":0}");
    becomes("{\"data\":[\"\\ude00\\ud83d\",{\"\\ud83d\":1,\"\\ud83e\":2}]}", "{\"data\":0}");
    becomes("{\"data\":\"\\ud83d\\ud83d\\ude00 \\ud83d\\n\"}", "{\"data\":0}");
    becomes("{\"events\":[{\"data\":\"\\ud83d\"},{\"data\":1}]}",
            "{\"events\":[{\"data\":0},{\"data\":0}]}");
}
END_TEST

static void is_bad(struct slice text, size_t at, const char *what)
{
    ck_assert_int_eq(read_tree(text), JSON_BAD);
    ck_assert_uint_eq(tree.at, at);
    ck_assert_msg(strstr(tree.what, what) != NULL, "%s is not %s", tree.what, what);
    ck_assert_uint_eq(tree.count, 0);
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

START_TEST(a_text_may_be_a_value_of_data)
{
    static const struct json_bounds bounds = {.levels = 2, .data = true};
    json_tree_release(&tree);
    ck_assert_int_eq(
        json_tree_read(S(" [\"\\ud83d\",{\"a\":[]}] "), &(struct json_bounds){.data = true}, &tree),
        JSON_GOOD);
    ck_assert(tree.count == 1 && tree.nodes[0].raw);
    assert_slice(json_tree_source(&tree, tree.nodes), S("[\"\\ud83d\",{\"a\":[]}]"));
    ck_assert_int_eq(json_tree_read(S("[[[]]]"), &bounds, &tree), JSON_TOO_DEEP);
    ck_assert_int_eq(json_tree_read(S("{\"a\":1,\"a\":1}"), &bounds, &tree), JSON_BAD);
}
END_TEST

/* More nodes than a tree has room for, and more keys. */
START_TEST(large_texts_have_all_their_nodes)
{
    char text[20000];
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%c\"f%d\":[%d]", i ? ',' : '{', i, i);
    strcpy(text + len, "}");
    becomes(text, text);
    ck_assert_uint_eq(tree.count, 2001);
    field_is("f999", S("[999]"));
}
END_TEST

START_TEST(escapes_are_decoded)
{
    static const struct {
        struct slice inside, decoded;
    } rows[] = {
        {S_INIT("plain"), S_INIT("plain")},
        {S_INIT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), S_INIT("\"\\/\b\f\n\r\t")},
        {S_INIT("a\\u0000\\u007f\\u0080\\u07FF\\u0800\\uffffz"),
         S_INIT("a\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbfz")},
        {S_INIT("\\ud83d\\uDE00"), S_INIT("\xf0\x9f\x98\x80")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[64];
        assert_slice(((struct slice){out, json_tree_decode(rows[i].inside, out)}), rows[i].decoded);
    }
}
END_TEST

START_TEST(levels_and_values_are_bounded)
{
    ck_assert_int_eq(read_within(S("{\"data\":[[1],[2],{\"b\":[]}]}"), 4, 0), JSON_GOOD);
    ck_assert_int_eq(read_within(S("{\"data\":[[1],[2],{\"b\":[]}]}"), 3, 0), JSON_TOO_DEEP);
    ck_assert_int_eq(read_within(S("{\"a\":\"[[[[[[\", \"b[\\\"[[[\":[]}"), 2, 0), JSON_GOOD);
    ck_assert_int_eq(read_within(S("{\"a\":[1,2,[]]}"), 0, 5), JSON_GOOD);
    ck_assert_int_eq(read_within(S("{\"a\":[1,2,[]]}"), 0, 4), JSON_TOO_MANY);
    ck_assert_int_eq(read_within(S("{\"data\":[1,2,[]],\"ref\":[1,2]}"), 0, 1), JSON_GOOD);
    ck_assert_int_eq(read_within(S("{\"events\":[{\"data\":[1,2,3]}]}"), 0, 3), JSON_GOOD);
    ck_assert_int_eq(read_within(S("{\"events\":[{\"data\":[1,2,3]}]}"), 0, 2), JSON_TOO_MANY);
}
END_TEST

/* --- what jansson says --- */

static bool jansson_accepts(struct slice text)
{
    char soft[512];
    ck_assert_uint_lt(text.len, sizeof soft);
    memcpy(soft, text.data, text.len);
    json_soften(soft, text.len);
    json_t *value =
        json_loadb(soft, text.len, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
                   &(json_error_t){0});
    json_decref(value);
    return value;
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
        len += (size_t)snprintf(out + len, size - len, "%s",
                                pieces[roll(d, sizeof pieces / sizeof pieces[0])]);
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
        enum json_verdict verdict = read_tree((struct slice){exact, len});
        ck_assert_msg((verdict == JSON_GOOD) == jansson_accepts((struct slice){exact, len}),
                      "SEED=%" PRIu64 ": '%s': %s", seed, text,
                      verdict == JSON_GOOD ? "accepted" : tree.what);
        if (verdict == JSON_GOOD)
            ck_assert_uint_eq(tree.nodes[0].next, tree.count);
        else
            ck_assert_uint_le(tree.at, len);
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_tree");
    TCase *tests = one_case(suite, "json_tree");
    tcase_add_test(tests, data_and_ref_are_handed_on);
    tcase_add_test(tests, what_only_looks_like_them_stays);
    tcase_add_test(tests, a_field_twice_is_refused_anywhere);
    tcase_add_test(tests, what_is_wrong_has_its_place);
    tcase_add_test(tests, data_may_have_halves_of_surrogate_pairs);
    tcase_add_test(tests, a_text_may_be_a_value_of_data);
    tcase_add_test(tests, large_texts_have_all_their_nodes);
    tcase_add_test(tests, escapes_are_decoded);
    tcase_add_test(tests, levels_and_values_are_bounded);
    tcase_add_test(tests, it_accepts_what_jansson_accepts);
    int status = run_suite(suite);
    json_tree_release(&tree);
    return status;
}
