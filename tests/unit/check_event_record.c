#include "codec/event_record.h"

#include <sys/resource.h>

#include "codec/audience.h"
#include "events.h"

static size_t put_entry(char *out, uint64_t seq, const char *key, bool remove)
{
    struct event *e = make(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                .seq = seq,
                                                .key = slice_of(key),
                                                .remove = remove,
                                                .data = S("value")});
    size_t len = e->entry.len;
    memcpy(out, e->entry.data, len);
    event_unref(&e);
    return len;
}

/* A record at seq 100 with this text. Is it taken for one? */
static bool is_record(const char *text, size_t len)
{
    struct event *e =
        make(&(struct event_spec){.kind = EVENT_STATE, .seq = 100, .data = {text, len}});
    bool valid = parses(e->entry.data, e->entry.len);
    event_unref(&e);
    return valid;
}

START_TEST(a_record_has_the_events_of_keys)
{
    char text[1000];
    size_t len = put_entry(text, 7, "a", false), used, cursor = 0;
    len += put_entry(text + len, 5, "b", false);
    struct event *e = make(
        &(struct event_spec){.kind = EVENT_STATE, .seq = 100, .time_ms = 3, .data = {text, len}});
    struct event *copy = event_parse(e->entry, &used), *one;
    ck_assert(copy && event_is_record(copy) && !event_concerns(copy, &(struct audience){0}));
    for (uint64_t seq = 7; seq > 3; seq -= 2) {
        one = event_next_entry(copy, &cursor);
        ck_assert(one && one->seq == seq && one->key.len == 1);
        event_unref(&one);
    }
    ck_assert_ptr_null(event_next_entry(copy, &cursor));
    ck_assert_uint_eq(cursor, len);
    event_unref(&copy);
    event_unref(&e);
}
END_TEST

#define DEEP 3000u
#define DEEP_KB_MAX 65536 /* of memory; each level with a copy of its own would take 216 MB */

static long peak_kb(void)
{
    struct rusage usage;
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Anyone who may write to a shared log chooses this. */
START_TEST(records_within_records_are_not_followed)
{
    size_t len = (size_t)DEEP * EVENT_ENTRY_MIN;
    char *bytes = calloc(1, len);
    for (size_t at = 0; at < len; at += EVENT_ENTRY_MIN) {
        put_u32(bytes + at, (uint32_t)(len - at));
        bytes[at + 4] = EVENT_STATE;
        bytes[at + 5] = 1;
        put_u64(bytes + at + 8, len - at);
        put_u32(bytes + at + 28, (uint32_t)(len - at - EVENT_ENTRY_MIN));
    }
    ck_assert(parses(bytes + len - EVENT_ENTRY_MIN, EVENT_ENTRY_MIN));
    long before = peak_kb();
    ck_assert(!parses(bytes, len));
    ck_assert_int_lt(peak_kb() - before, DEEP_KB_MAX);
    free(bytes);
}
END_TEST

START_TEST(a_record_has_nothing_else)
{
    char text[1000];
    size_t len = put_entry(text, 7, "a", false);
    ck_assert(is_record(text, len) && is_record(text, 0));
    ck_assert(!is_record(text, len - 1) && !is_record(text, len + 1));
    ck_assert(!is_record(text, put_entry(text, 7, "a", true)));
    ck_assert(!is_record(text, put_entry(text, 7, NULL, false)));
    ck_assert(!is_record(text, put_entry(text, 100, "a", false)));
    ck_assert(is_record(text, put_entry(text, 99, "a", false)));

    struct event *record = make(&(struct event_spec){.kind = EVENT_STATE, .seq = 50});
    ck_assert(!is_record(record->entry.data, record->entry.len));
    event_unref(&record);
}
END_TEST

START_TEST(a_record_has_bans)
{
    char text[200];
    struct slice session;
    size_t len = event_ban_size(S("anna")), cursor = 0, used;
    int64_t until_ms;

    event_put_ban(text, S("anna"), 5000);
    event_put_ban(text + len, S("b"), 0);
    len += event_ban_size(S("b"));
    struct event *e =
        make(&(struct event_spec){.kind = EVENT_BANS, .seq = 100, .data = {text, len}});
    struct event *copy = event_parse(e->entry, &used);
    ck_assert(copy && event_record_is_whole(copy));

    ck_assert(event_next_ban(copy, &cursor, &session, &until_ms));
    assert_slice(session, S("anna"));
    ck_assert_int_eq(until_ms, 5000);
    ck_assert(event_next_ban(copy, &cursor, &session, &until_ms));
    assert_slice(session, S("b"));
    ck_assert_int_eq(until_ms, 0);
    ck_assert(!event_next_ban(copy, &cursor, &session, &until_ms));

    put_u16((char *)copy->text.data, 5); /* the first name is longer, so what follows is no ban */
    ck_assert(!event_record_is_whole(copy));
    event_unref(&copy);
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_record");
    TCase *tests = one_case(suite, "event_record");
    tcase_add_test(tests, a_record_has_the_events_of_keys);
    tcase_add_test(tests, records_within_records_are_not_followed);
    tcase_add_test(tests, a_record_has_nothing_else);
    tcase_add_test(tests, a_record_has_bans);
    return run_suite(suite);
}
