#include "codec/event.h"

#include "events.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(an_entry_makes_the_same_event)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    size_t used = 7;
    struct event *again = event_parse(e->entry, &used);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(used, e->entry.len);
    assert_same(again, &spec, e->text);
    assert_slice(again->entry, e->entry);
    ck_assert_ptr_ne(again->entry.data, e->entry.data);
    event_unref(&e);
    event_unref(&again);
}
END_TEST

START_TEST(entries_stand_one_after_the_other)
{
    char bytes[1024];
    size_t len = 0, at = 0, used;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .data = {"xxxx", (size_t)seq}};
        struct event *e = make(&spec);
        memcpy(bytes + len, e->entry.data, e->entry.len);
        len += e->entry.len;
        event_unref(&e);
    }
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct event *e = event_parse((struct slice){bytes + at, len - at}, &used);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->seq, seq);
        at += used;
        event_unref(&e);
    }
    ck_assert_uint_eq(at, len);
}
END_TEST

/* What a store or a journal may hold that no publisher can send. */
START_TEST(names_are_not_empty_and_times_are_possible)
{
    struct slice anna = S("a");
    struct event_spec spec = {.kind = EVENT_SHUTDOWN, .seq = 1, .has_to = true, .block_s = 60};
    spec.lists[TO_SESSIONS] = (struct names){&anna, 1};
    struct event *e = make(&spec);
    char entry[200];
    size_t len = e->entry.len;

    ck_assert_uint_le(len, sizeof entry);
    memcpy(entry, e->entry.data, len);
    event_unref(&e);
    ck_assert(parses(entry, len));
    put_u64(entry + 16, (uint64_t)INT64_MAX);
    ck_assert(!parses(entry, len));
    put_u64(entry + 16, (uint64_t)-1);
    ck_assert(!parses(entry, len));

    put_u64(entry + 16, 0);
    memmove(entry + 50, entry + 51, len - 51); /* the name's only byte goes */
    put_u16(entry + 48, 0);
    put_u32(entry, (uint32_t)len - 1);
    ck_assert(!parses(entry, len - 1));
}
END_TEST

START_TEST(a_part_of_an_entry_is_none)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    for (size_t len = 0; len < e->entry.len; len++)
        ck_assert(!parses(e->entry.data, len));
    ck_assert(parses(e->entry.data, e->entry.len));
    event_unref(&e);
}
END_TEST

START_TEST(a_shortened_size_is_refused)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    char bytes[1000];
    ck_assert_uint_le(e->entry.len, sizeof bytes);
    memcpy(bytes, e->entry.data, e->entry.len);
    for (uint32_t size = 0; size < e->entry.len; size++) {
        put_u32(bytes, size);
        ck_assert(!parses(bytes, e->entry.len));
    }
    put_u32(bytes, UINT32_MAX);
    ck_assert(!parses(bytes, e->entry.len));
    event_unref(&e);
}
END_TEST

static const struct {
    size_t at;
    char byte;
    const char *what;
} damages[] = {
    {4, 0, "no kind"},
    {4, EVENT_TEXT, "text does not travel"},
    {4, 9, "an unknown kind"},
    {6, 100, "a longer id"},
    {7, 1, "an id that is too long"},
    {6, 0, "a publisher without an id"},
    {44, 100, "a longer publisher"},
    {45, 2, "a publisher that is too long"},
    {46, 1, "a key beside several targets"},
    {47, 1, "a key that is too long"},
    {5, 5, "removed without a key"},
    {27, 1, "a ttl that is too long"},
    {28, 1, "a shorter text"},
    {31, 1, "a huge text"},
    {32, 1, "one more name"},
    {43, 1, "names beyond the end"},
};

START_TEST(a_damaged_entry_is_refused)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    char *bytes = malloc(e->entry.len);
    memcpy(bytes, e->entry.data, e->entry.len);
    bytes[damages[_i].at] = damages[_i].byte;
    ck_assert_msg(!parses(bytes, e->entry.len), "%s is accepted", damages[_i].what);
    memcpy(bytes, e->entry.data, e->entry.len);
    memset(bytes + 8, 0, 8);
    ck_assert_msg(!parses(bytes, e->entry.len), "seq 0 is accepted");
    free(bytes);
    event_unref(&e);
}
END_TEST

START_TEST(a_name_that_is_too_long_is_refused)
{
    static char text[NAME_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    struct slice name = {text, NAME_BYTES_MAX};
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = 1, .has_to = true, .lists = {{&name, 1}}};
    struct event *e = make(&spec);
    ck_assert(parses(e->entry.data, e->entry.len));
    event_unref(&e);
    name.len++;
    e = make(&spec);
    ck_assert(!parses(e->entry.data, e->entry.len));
    event_unref(&e);
}
END_TEST

START_TEST(random_damage_never_reads_outside)
{
    struct dice dice = dice_new();
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    char *bytes = malloc(e->entry.len);
    printf("event: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, e->entry.data, e->entry.len);
        for (uint64_t i = 0, n = 1 + roll(&dice, 4); i < n; i++)
            bytes[4 + roll(&dice, e->entry.len - 4)] = (char)roll(&dice, 256);
        parses(bytes, e->entry.len);
    }
    free(bytes);
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_parse");
    TCase *tests = one_case(suite, "event_parse");
    tcase_add_test(tests, an_entry_makes_the_same_event);
    tcase_add_test(tests, entries_stand_one_after_the_other);
    tcase_add_test(tests, names_are_not_empty_and_times_are_possible);
    tcase_add_test(tests, a_part_of_an_entry_is_none);
    tcase_add_test(tests, a_shortened_size_is_refused);
    tcase_add_loop_test(tests, a_damaged_entry_is_refused, 0, COUNT(damages));
    tcase_add_test(tests, a_name_that_is_too_long_is_refused);
    tcase_add_test(tests, random_damage_never_reads_outside);
    return run_suite(suite);
}
