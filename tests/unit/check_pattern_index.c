#include "stream/pattern_index.h"

#include <string.h>

#include "base/must.h"
#include "support.h"

#define MANY 10000u

static struct pattern_index *index_of_all;
static struct indexed_pattern entries[MANY];
static struct pattern *patterns[MANY];
static size_t count;
static unsigned found[MANY];

static void setup(void)
{
    memset(entries, 0, sizeof entries);
    memset(patterns, 0, sizeof patterns);
    count = 0;
    index_of_all = pattern_index_new();
    ck_assert_ptr_nonnull(index_of_all);
}

static void take_out(size_t i)
{
    pattern_index_remove(index_of_all, &entries[i]);
    pattern_unref(&patterns[i]);
}

static void teardown(void)
{
    for (size_t i = 0; i < count; i++)
        take_out(i);
    ck_assert_uint_eq(pattern_index_count(index_of_all), 0);
    pattern_index_free(&index_of_all);
    pattern_index_free(&index_of_all);
}

static void add(enum pattern_kind kind, const char *text)
{
    char why[PATTERN_WHY_MAX];
    patterns[count] = pattern_new(kind, slice_of(text), S("hub"), why);
    ck_assert_msg(patterns[count], "%s: %s", text, why);
    ck_assert_int_eq(pattern_index_add(index_of_all, &entries[count], patterns[count]), 0);
    count++;
}

static void note(struct indexed_pattern *entry, void *context)
{
    ck_assert_ptr_null(context);
    found[entry - entries]++;
}

/* How many are found; each once. */
static size_t find(const char *text)
{
    struct topic topic;
    size_t all = 0;
    memset(found, 0, sizeof found);
    topic_begin(&topic, slice_of(text));
    pattern_index_match(index_of_all, &topic, note, NULL);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_le(found[i], 1);
        all += found[i];
    }
    return all;
}

START_TEST(each_form_of_a_topic_is_looked_up)
{
    add(PATTERN_TEMPLATE, "https://hub/{id}");
    add(PATTERN_TEMPLATE, "/{id}");
    add(PATTERN_TEMPLATE, "{+any}");
    add(PATTERN_URL, "https://hub/:id");
    add(PATTERN_URL, "/:id");
    add(PATTERN_URL, "*://*/*");
    ck_assert(find("https://hub/1") == 5 && !found[1]);
    ck_assert(find("/1") == 5 && !found[0]); /* relative to the hub */
    ck_assert(find("HTTPS://HUB:443/1") == 4 && !found[0] && !found[1]);
    ck_assert(find("https://other/1") == 2 && found[2] && found[5]);
    ck_assert(find("word") == 1 && found[2]);
    add(PATTERN_URL, "word:");
    ck_assert(find("word:") == 2 && found[2] && found[6]); /* nothing is behind the scheme */
    ck_assert(find("/{id}") == 4 && found[1] && !found[2]);
}
END_TEST

START_TEST(what_was_removed_is_not_found)
{
    add(PATTERN_TEMPLATE, "/a{x}");
    add(PATTERN_TEMPLATE, "/a{y}");
    add(PATTERN_URL, "/a:x");
    ck_assert_uint_eq(find("/ab"), 3);
    take_out(1);
    take_out(2);
    ck_assert_uint_eq(pattern_index_count(index_of_all), 1);
    ck_assert_uint_eq(find("/ab"), 1);
    take_out(0);
    ck_assert_uint_eq(find("/ab"), 0);
    take_out(0);
}
END_TEST

START_TEST(beginnings_of_all_lengths)
{
    char text[NAME_BYTES_MAX + 8];
    for (size_t len = 0; len <= NAME_BYTES_MAX; len++) {
        memset(text, 'a', len);
        strcpy(text + len, "{x}");
        add(PATTERN_TEMPLATE, text);
    }
    text[NAME_BYTES_MAX] = '\0';
    ck_assert_uint_eq(find(text), NAME_BYTES_MAX + 1);
    ck_assert_uint_eq(find("aaa"), 4);

    memset(text, 'a', NAME_BYTES_MAX + 1);
    strcpy(text + NAME_BYTES_MAX + 1, "{x}");
    add(PATTERN_TEMPLATE, text); /* of no topic */
    text[NAME_BYTES_MAX] = '\0';
    ck_assert_uint_eq(find(text), NAME_BYTES_MAX + 1);
}
END_TEST

START_TEST(ten_thousand_patterns)
{
    char text[64];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof text,
                 i % 2 ? "https://example.com/tenants/%u/books/{id}"
                       : "https://example.com/tenants/%u/:id",
                 i);
        add(i % 2 ? PATTERN_TEMPLATE : PATTERN_URL, text);
    }
    ck_assert_uint_eq(pattern_index_count(index_of_all), MANY);
    ck_assert(find("https://example.com/tenants/4711/books/1") == 1 && found[4711]);
    ck_assert(find("https://example.com/tenants/4712/1") == 1 && found[4712]);
    ck_assert_uint_eq(find("https://example.com/tenants/10001/books/1"), 0);
}
END_TEST

/* --- against trying all of them --- */

static void random_pattern(struct dice *dice, char *text)
{
    static const char *const parts[] = {"a", "b", "/", "{x}", "{/y}", "{+z}"};
    *text = '\0';
    for (size_t i = 1 + roll(dice, 5); i; i--)
        strcat(text, parts[roll(dice, 6)]);
}

START_TEST(it_finds_like_the_model)
{
    struct dice dice = dice_new();
    char text[64];
    struct topic topic;
    printf("pattern_index: SEED=%" PRIu64 "\n", dice.state);
    for (size_t i = 0; i < 300; i++) {
        random_pattern(&dice, text);
        add(PATTERN_TEMPLATE, text);
    }

    for (int round = 0; round < 2000; round++) {
        size_t len = 1 + roll(&dice, 7);
        for (size_t i = 0; i < len; i++)
            text[i] = "ab/"[roll(&dice, 3)];
        text[len] = '\0';
        if (roll(&dice, 4) == 0 && patterns[round % 300])
            take_out((size_t)round % 300);
        find(text);
        topic_begin(&topic, slice_of(text));
        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq(found[i] == 1,
                             patterns[i] && pattern_matches_topic(patterns[i], &topic));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern_index");
    TCase *tests = one_case(suite, "pattern_index");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_form_of_a_topic_is_looked_up);
    tcase_add_test(tests, what_was_removed_is_not_found);
    tcase_add_test(tests, beginnings_of_all_lengths);
    tcase_add_test(tests, ten_thousand_patterns);
    tcase_add_test(tests, it_finds_like_the_model);
    return run_suite(suite);
}
