/* Values that are kept of requests: packed and unpacked, addresses in few bytes, nothing lost. */
#include "codec/meta.h"

#include "support.h"

/* Pack each of the texts; return how many bytes it took. */
static size_t pack_all(const char *const *texts, size_t count, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += meta_pack(slice_of(texts[i]), out + len);
    return len;
}

START_TEST(what_was_packed_comes_back)
{
    static const char *const texts[] = {
        "Mozilla/5.0",      "",           "127.0.0.1",   "::1",
        "::ffff:192.0.2.1", "127.0.0.01", "2001:DB8::1", "2001:db8::1"};
    char packed[META_PACKED_MAX], scratch[META_VALUE_MAX];
    struct slice rest = {packed, pack_all(texts, 8, packed)}, value;
    ck_assert(meta_valid(rest));
    for (size_t i = 0; i < 8; i++) {
        ck_assert(meta_next(&rest, scratch, &value));
        assert_slice(value, slice_of(texts[i]));
    }
    ck_assert(!meta_next(&rest, scratch, &value));
}
END_TEST

START_TEST(addresses_take_few_bytes)
{
    char packed[META_VALUE_MAX + 1];
    ck_assert_uint_eq(meta_pack(S("192.168.100.200"), packed), 5);
    ck_assert_uint_eq(meta_pack(S("2001:db8:1:2:3:4:5:6"), packed), 17);
    ck_assert_uint_eq(meta_pack(S(""), packed), 1);
}
END_TEST

START_TEST(a_long_value_is_cut_between_characters)
{
    char text[META_VALUE_MAX + 10], packed[META_VALUE_MAX + 1], scratch[META_VALUE_MAX];
    struct slice value;
    memset(text, 'x', sizeof text);
    memcpy(text + META_VALUE_MAX - 2, "\xe2\x82\xac", 3); /* its last byte is the first beyond */
    struct slice rest = {packed, meta_pack((struct slice){text, sizeof text}, packed)};
    ck_assert(meta_valid(rest));
    ck_assert(meta_next(&rest, scratch, &value));
    ck_assert_uint_eq(value.len, META_VALUE_MAX - 2);
    memset(text, 'x', sizeof text);
    ck_assert_uint_eq(meta_pack((struct slice){text, sizeof text}, packed), META_VALUE_MAX + 1);
}
END_TEST

START_TEST(what_is_not_packed_is_seen)
{
    ck_assert(meta_valid(S("")));
    ck_assert(!meta_valid(S("\x05"
                            "four")));
    ck_assert(!meta_valid(S("\xfe\x7f\x00\x00")));
    ck_assert(!meta_valid(S("\xff\x7f\x00\x00\x01")));
    ck_assert(!meta_valid(S("\xfb")));
    ck_assert(meta_valid(S("\0\0\0\0\0\0\0\0")));
    ck_assert(!meta_valid(S("\0\0\0\0\0\0\0\0\0")));
}
END_TEST

START_TEST(labels_are_plain)
{
    char longest[META_LABEL_MAX + 1];
    memset(longest, 'a', sizeof longest);
    ck_assert(meta_label_valid(S("user_agent")));
    ck_assert(meta_label_valid((struct slice){longest, META_LABEL_MAX}));
    ck_assert(!meta_label_valid((struct slice){longest, META_LABEL_MAX + 1}));
    ck_assert(!meta_label_valid(S("")));
    ck_assert(!meta_label_valid(S("a b")));
    ck_assert(!meta_label_valid(S("a\0")));
    ck_assert(!meta_label_valid(S("\"")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meta");
    TCase *tests = one_case(suite, "meta");
    tcase_add_test(tests, what_was_packed_comes_back);
    tcase_add_test(tests, addresses_take_few_bytes);
    tcase_add_test(tests, a_long_value_is_cut_between_characters);
    tcase_add_test(tests, what_is_not_packed_is_seen);
    tcase_add_test(tests, labels_are_plain);
    return run_suite(suite);
}
