#include "model/history.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "codec/audience.h"
#include "codec/event_index.h"
#include "sanitized.h"
#include "support.h"

/* The sanitizers' malloc() tells nothing of the memory that it has given. */
#if SANITIZED
#define MALLOC_TELLS false
#else
#define MALLOC_TELLS true
#endif

static const struct history_limits wide = {1000000, UINT64_MAX, UINT64_MAX};
static struct history *history;

static void begin(const struct history_limits *limits, uint64_t position)
{
    history = history_new(limits, position);
    ck_assert_ptr_nonnull(history);
}

static void teardown(void)
{
    history_free(&history);
    ck_assert_ptr_null(history);
    history_free(&history);
}

static int try_append(const struct event_spec *spec)
{
    struct event *e = event_new(spec);
    ck_assert_ptr_nonnull(e);
    int err = history_append(history, e);
    event_unref(&e);
    history_evict(history);
    return err;
}

static void append(uint64_t seq)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .time_ms = (int64_t)seq};
    ck_assert_int_eq(try_append(&spec), 0);
}

static void append_range(uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        append(seq);
}

static void append_to(uint64_t seq, enum event_list list, const char *name)
{
    struct slice names[] = {slice_of(name)};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .has_to = list < EXCEPT_SESSIONS};
    spec.lists[list] = (struct names){names, 1};
    ck_assert_int_eq(try_append(&spec), 0);
}

static void append_id(uint64_t seq, const char *id)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .id = slice_of(id)};
    ck_assert_int_eq(try_append(&spec), 0);
}

/* Published with an id by one publisher; shown or not. */
static void append_own(uint64_t seq, const char *publisher, const char *id, bool shown)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .id = slice_of(id),
                              .seq_as_id = !shown,
                              .publisher = slice_of(publisher)};
    ck_assert_int_eq(try_append(&spec), 0);
}

/* The seq of what this publisher published with this id; 0: nothing is retained. */
static uint64_t published(const char *publisher, const char *id)
{
    const struct event *e = history_published(history, slice_of(publisher), slice_of(id));
    return e ? e->seq : 0;
}

#define AMBIGUOUS UINT64_MAX

/* The seq that a cursor names; 0: unknown. */
static uint64_t named(const char *id)
{
    uint64_t seq = 0;
    enum id_cursor what = history_find_cursor(history, slice_of(id), &seq);
    if (what == CURSOR_EXACT)
        ck_assert_uint_ne(seq, 0);
    return what == CURSOR_AMBIGUOUS ? AMBIGUOUS : what == CURSOR_UNKNOWN ? 0 : seq;
}

static void assert_positions(uint64_t complete, uint64_t oldest, uint64_t head)
{
    ck_assert_uint_eq(history_complete(history), complete);
    ck_assert_uint_eq(history_oldest(history), oldest);
    ck_assert_uint_eq(history_head(history), head);
}

/* Exactly the cursors from first to last are known, among those near them. */
static void assert_known(uint64_t first, uint64_t last)
{
    for (uint64_t cursor = first; cursor <= last; cursor++)
        ck_assert_msg(history_knows(history, cursor), "%" PRIu64 " is not known", cursor);
    ck_assert_msg(!first || !history_knows(history, first - 1), "%" PRIu64 " is known", first - 1);
    ck_assert_msg(!history_knows(history, last + 1), "%" PRIu64 " is known", last + 1);
}

/* Read one page and compare: "3 5 7" and upto. */
static void assert_read(const struct audience *who, uint64_t after, size_t max, size_t max_bytes,
                        const char *seqs, uint64_t should_be_upto)
{
    struct event *out[64];
    char text[512] = "";
    uint64_t upto = 0;
    size_t count = history_read(history, &(struct history_filter){.who = who}, after, out, max,
                                max_bytes, &upto);
    for (size_t i = 0, len = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s%" PRIu64, i ? " " : "", out[i]->seq);
    ck_assert_str_eq(text, seqs);
    ck_assert_uint_eq(upto, should_be_upto);
}

START_TEST(cursors_before_a_hole_are_doubted)
{
    begin(&wide, 100);
    append_range(101, 105);
    ck_assert_int_eq(history_advance(history, 200), 0);
    append_range(201, 202);
    history_doubt(history, 205); /* nothing begins after it */
    assert_known(200, 202);
    ck_assert(history_knows(history, 103));
    history_doubt(history, 150);
    assert_positions(200, 101, 202);
    assert_known(200, 202);
    ck_assert(!history_knows(history, 103));
    assert_read(NULL, 0, 10, 100000, "101 102 103 104 105 201 202", 202);
}
END_TEST

START_TEST(a_fresh_one_knows_only_where_it_stands)
{
    begin(&wide, 100);
    assert_positions(100, 101, 100);
    assert_known(100, 100);
    assert_read(NULL, 100, 10, 1000, "", 100);
}
END_TEST

START_TEST(what_is_appended_is_retained)
{
    begin(&wide, 100);
    append_range(101, 105);
    assert_positions(100, 101, 105);
    assert_known(100, 105);
    ck_assert_uint_eq(history_count(history), 5);
    assert_read(NULL, 0, 10, 100000, "101 102 103 104 105", 105);
    assert_read(NULL, 103, 10, 100000, "104 105", 105);
    assert_read(NULL, 105, 10, 100000, "", 105);
}
END_TEST

START_TEST(a_seq_that_is_not_greater_is_refused)
{
    begin(&wide, 100);
    append(101);
    ck_assert_int_eq(try_append(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 101}), -EINVAL);
    ck_assert_int_eq(try_append(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 7}), -EINVAL);
    assert_positions(100, 101, 101);
    ck_assert_uint_eq(history_count(history), 1);
}
END_TEST

/* --- limits --- */

START_TEST(the_count_is_limited)
{
    begin(&(struct history_limits){3, UINT64_MAX, UINT64_MAX}, 0);
    append_range(1, 5);
    assert_positions(2, 3, 5);
    assert_known(2, 5);
    ck_assert_uint_eq(history_count(history), 3);
}
END_TEST

START_TEST(what_was_rolled_back_has_evicted_nothing)
{
    begin(&(struct history_limits){3, UINT64_MAX, UINT64_MAX}, 0);
    append_range(1, 3);
    for (uint64_t seq = 4; seq <= 6; seq++) {
        struct event *e = event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq});
        ck_assert_int_eq(history_append(history, e), 0);
        event_unref(&e);
    }
    history_rollback(history, 3);
    history_evict(history);
    assert_positions(0, 1, 3);
}
END_TEST

START_TEST(the_bytes_are_limited)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .data = S("0123456789")};
    struct event *e = event_new(&spec);
    uint64_t cost = e->entry.len + HISTORY_EVENT_COST;
    event_unref(&e);
    begin(&(struct history_limits){1000, 2 * cost, UINT64_MAX}, 0);
    for (; spec.seq <= 3; spec.seq++)
        ck_assert_int_eq(try_append(&spec), 0);
    assert_positions(1, 2, 3);
    ck_assert_uint_eq(history_bytes(history), 2 * cost);
}
END_TEST

START_TEST(an_event_over_the_limit_is_gone_at_once)
{
    begin(&(struct history_limits){1000, 10, UINT64_MAX}, 0);
    append(1);
    assert_positions(1, 2, 1);
    assert_known(1, 1);
    ck_assert_uint_eq(history_bytes(history), 0);
}
END_TEST

START_TEST(the_age_is_limited)
{
    begin(&(struct history_limits){1000, UINT64_MAX, 50}, 0);
    append_range(1, 100); /* each at its own millisecond */
    history_expire(history, 100);
    assert_positions(49, 50, 100);
    history_expire(history, 0); /* a clock that steps back evicts nothing */
    assert_positions(49, 50, 100);
    history_expire(history, 1000);
    assert_positions(100, 101, 100);
    assert_known(100, 100);
    append(101);
    assert_known(100, 101);
}
END_TEST

/* --- segments --- */

START_TEST(cursors_inside_a_jump_are_not_known)
{
    begin(&wide, 10);
    append_range(11, 12);
    append_range(20, 21);
    assert_known(10, 12);
    assert_known(19, 21);
    assert_positions(10, 11, 21);
    assert_read(NULL, 11, 10, 100000, "12 20 21", 21);
}
END_TEST

START_TEST(an_advance_misses_nothing)
{
    begin(&wide, 10);
    append(11);
    ck_assert_int_eq(history_advance(history, 20), 0);
    assert_positions(10, 11, 20);
    assert_known(10, 11);
    assert_known(20, 20);
    ck_assert_int_eq(history_advance(history, 20), 0);
    ck_assert_int_eq(history_advance(history, 5), 0);
    append(21);
    assert_known(20, 21);
    assert_known(10, 11);
}
END_TEST

START_TEST(a_break_forgets_the_cursors_before_it)
{
    begin(&wide, 10);
    append_range(11, 15);
    ck_assert_int_eq(history_break(history, 30), 0);
    assert_positions(30, 11, 30);
    assert_known(30, 30);
    ck_assert(!history_knows(history, 15));
    ck_assert_uint_eq(history_count(history), 5);
    append(31);
    assert_known(30, 31);
    assert_read(NULL, 13, 10, 100000, "14 15 31", 31);
}
END_TEST

START_TEST(a_break_where_it_stands_forgets_what_was_before)
{
    begin(&wide, 10);
    append_range(11, 15);
    ck_assert_int_eq(history_break(history, 15), 0);
    assert_known(15, 15);
    append(16);
    assert_known(15, 16);
}
END_TEST

START_TEST(a_break_into_the_past_drops_what_would_be_the_future)
{
    begin(&wide, 10);
    append_range(11, 15);
    ck_assert_int_eq(history_break(history, 5), 0);
    assert_positions(5, 6, 5);
    assert_known(5, 5);
    ck_assert(!history_knows(history, 15));
    append(6);
    assert_known(5, 6);
    ck_assert_uint_eq(history_count(history), 1);
}
END_TEST

START_TEST(evicted_segments_are_not_known)
{
    begin(&(struct history_limits){2, UINT64_MAX, UINT64_MAX}, 0);
    append(10);
    append(20);
    append(30);
    ck_assert(!history_knows(history, 0));
    ck_assert(!history_knows(history, 9));
    assert_known(10, 10); /* nothing was missed between 10 and 20 */
    assert_known(19, 20);
    assert_known(29, 30);
}
END_TEST

START_TEST(a_rollback_takes_back)
{
    struct slice names[] = {S("a")};
    struct audience who = {S("a"), S("c"), {0}, false, false};
    begin(&wide, 10);
    append_to(11, TO_SESSIONS, "a");
    append_id(12, "order-1");
    append_to(20, TO_SESSIONS, "a");
    append_id(21, "order-2");
    history_rollback(history, 12);
    assert_positions(10, 11, 12);
    assert_known(10, 12);
    ck_assert(!history_knows(history, 19));
    ck_assert_uint_eq(named("order-1"), 12);
    ck_assert_uint_eq(named("order-2"), 0);
    ck_assert_uint_eq(published("", "order-1"), 12);
    ck_assert_uint_eq(published("", "order-2"), 0);
    assert_read(&who, 0, 10, 100000, "11 12", 12);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = 13, .has_to = true, .lists = {{names, 1}}};
    ck_assert_int_eq(try_append(&spec), 0);
    assert_read(&who, 0, 10, 100000, "11 12 13", 13);
}
END_TEST

/* --- ids --- */

START_TEST(an_event_is_found_by_its_own_id)
{
    begin(&(struct history_limits){2, UINT64_MAX, UINT64_MAX}, 0);
    append_id(1, "order-1");
    append_id(2, "order-2");
    ck_assert_uint_eq(named("order-1"), 1);
    ck_assert_uint_eq(named("order-2"), 2);
    ck_assert_uint_eq(named("order-3"), 0);
    ck_assert_uint_eq(named("1"), 0);
    ck_assert_uint_eq(named(""), 0);
    ck_assert_uint_eq(published("", "order-1"), 1);
    ck_assert_uint_eq(published("", ""), 0);
    append(3);
    ck_assert_uint_eq(named("order-1"), 0); /* nothing is remembered, unless it is asked to */
    ck_assert_uint_eq(published("", "order-1"), 0);
    append_id(4, "order-1"); /* free again */
    ck_assert_uint_eq(published("", "order-1"), 4);
}
END_TEST

START_TEST(an_id_belongs_to_its_publisher)
{
    begin(&wide, 0);
    append_own(1, "key:a", "b", true);
    append_own(2, "key:ab", "", true);
    append_own(3, "", "key:ab", true);
    append_own(4, "token:1", "b", false);
    ck_assert_uint_eq(published("key:a", "b"), 1);
    ck_assert_uint_eq(published("token:1", "b"), 4);
    ck_assert_uint_eq(published("", "key:ab"), 3);
    ck_assert_uint_eq(published("", "b"), 0);
    ck_assert_uint_eq(published("key:ab", ""), 0);
    ck_assert_uint_eq(published("key:", "ab"), 0);
    ck_assert_uint_eq(published("b", "key:a"), 0);
    ck_assert_uint_eq(named("b"), 1); /* the other one shows its seq */
}
END_TEST

START_TEST(an_id_that_two_events_showed_names_neither)
{
    begin(&(struct history_limits){2, UINT64_MAX, UINT64_MAX}, 0);
    append_id(1, "again");
    append_id(2, "again");
    ck_assert_uint_eq(named("again"), AMBIGUOUS);
    ck_assert_uint_eq(published("", "again"), 2);
    history_rollback(history, 1);
    ck_assert_uint_eq(named("again"), 1);
    ck_assert_uint_eq(published("", "again"), 1);
    append_id(2, "again");
    append(3); /* which evicts the first: a client may still have its id */
    ck_assert_uint_eq(named("again"), AMBIGUOUS);
    ck_assert_uint_eq(published("", "again"), 2);
    append(4);
    ck_assert_uint_eq(named("again"), 0);
    append_id(5, "again");
    ck_assert_uint_eq(named("again"), 5);
}
END_TEST

START_TEST(an_id_that_was_evicted_is_remembered_with_its_seq)
{
    begin(&(struct history_limits){1, UINT64_MAX, UINT64_MAX}, 0);
    ck_assert_int_eq(history_remember_ids(history, 2), 0);
    append_own(1, "key:a", "x", true);
    append_own(2, "key:b", "y", false); /* of which no client has the id */
    append(3);
    ck_assert_uint_eq(named("x"), 1);
    ck_assert_uint_eq(named("y"), 0);
    append_own(4, "", "x", true); /* by a broker that did not know */
    ck_assert_uint_eq(named("x"), AMBIGUOUS);
    append(5);
    ck_assert_uint_eq(named("x"), AMBIGUOUS);
    append_id(6, "z");
    append(7);
    ck_assert_uint_eq(named("x"), 4); /* there is room for two */
    ck_assert_uint_eq(named("z"), 6);
}
END_TEST

START_TEST(what_was_rolled_back_leaves_no_id_and_what_was_revoked_does)
{
    begin(&wide, 0);
    history_remember_ids(history, 10);
    append_id(1, "kept");
    append_id(2, "x");
    history_rollback(history, 1);
    ck_assert_uint_eq(named("x"), 0);
    append_id(2, "x");
    append_own(3, "", "hidden", false);
    history_revoke(history, 1);
    ck_assert_uint_eq(named("x"), 2);
    ck_assert_uint_eq(named("hidden"), 0);
    ck_assert_uint_eq(published("", "x"), 0);
    append_id(2, "x"); /* the same event again */
    ck_assert_uint_eq(named("x"), 2);
    history_revoke(history, 1);
    append_id(5, "x"); /* another */
    ck_assert_uint_eq(named("x"), AMBIGUOUS);
}
END_TEST

START_TEST(ids_outlive_a_break_and_a_history_that_is_replaced)
{
    begin(&wide, 100);
    history_remember_ids(history, 10);
    append_id(101, "x");
    ck_assert_int_eq(history_break(history, 50), 0); /* drops the event */
    ck_assert_uint_eq(history_count(history), 0);
    ck_assert_uint_eq(named("x"), 101);
    append_id(51, "y");
    struct history *next = history_new(&wide, 0);
    history_remember_ids(next, 10);
    history_inherit_ids(next, history);
    history_free(&history);
    history = next;
    ck_assert_uint_eq(named("x"), 101);
    ck_assert_uint_eq(named("y"), 51);
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 7, .id = S("z")});
    ck_assert_int_eq(history_miss(history, e), 0);
    event_unref(&e);
    ck_assert_uint_eq(named("z"), 7);
    ck_assert_uint_eq(history_head(history), 7);
    ck_assert_uint_eq(history_complete(history), 7);
}
END_TEST

/* --- reading --- */

START_TEST(a_reader_gets_what_concerns_it)
{
    struct slice channels[] = {S("r"), S("s")};
    struct audience who = {S("a"), S("c"), {channels, 2}, false, false};
    begin(&wide, 0);
    append(1);
    append_to(2, TO_SESSIONS, "a");
    append_to(3, TO_SESSIONS, "b");
    append_to(4, TO_CHANNELS, "s");
    append_to(5, TO_CHANNELS, "a");
    append_to(6, TO_CONNECTIONS, "c");
    append_to(7, EXCEPT_SESSIONS, "a");
    append_to(8, EXCEPT_SESSIONS, "b");
    append_to(9, EXCEPT_CONNECTIONS, "c");
    append_to(10, TO_SESSIONS, "b");
    assert_read(&who, 0, 10, 100000, "1 2 4 6 8", 10);
    assert_read(&who, 4, 10, 100000, "6 8", 10);
    assert_read(&who, 9, 10, 100000, "", 10);
    assert_read(NULL, 7, 10, 100000, "8 9 10", 10);
}
END_TEST

START_TEST(a_reader_of_every_channel_gets_what_is_for_any)
{
    struct audience who = {.connection = S("c"), .every_channel = true};
    begin(&wide, 0);
    append(1);
    append_to(2, TO_SESSIONS, "a");
    append_to(3, TO_CHANNELS, "x");
    append_to(4, TO_CONNECTIONS, "d");
    append_to(5, TO_CONNECTIONS, "c");
    append_to(6, TO_CHANNELS, "y");
    append_to(7, EXCEPT_CONNECTIONS, "c");
    assert_read(&who, 0, 10, 100000, "1 3 5 6", 7);
    assert_read(&who, 3, 1, 100000, "5", 5);
}
END_TEST

START_TEST(a_reader_of_every_channel_looks_at_a_bounded_number_of_events)
{
    struct audience who = {.connection = S("c"), .every_channel = true};
    uint64_t upto, last = HISTORY_SCAN_MAX + 2;
    struct event *e;
    begin(&wide, 0);
    for (uint64_t seq = 1; seq < last; seq++)
        append_to(seq, TO_SESSIONS, "a");
    append_to(last, TO_CHANNELS, "x");

    struct history_filter filter = {.who = &who};
    ck_assert_uint_eq(history_read(history, &filter, 0, &e, 1, 1, &upto), 0);
    ck_assert_uint_eq(upto, HISTORY_SCAN_MAX);
    ck_assert_uint_eq(history_read(history, &filter, upto, &e, 1, 1, &upto), 1);
    ck_assert(e->seq == last && upto == last);
}
END_TEST

START_TEST(an_event_that_concerns_a_reader_twice_comes_once)
{
    struct slice channels[] = {S("r"), S("s")}, connection = S("c"), sessions[] = {S("a"), S("a")};
    struct audience who = {S("a"), connection, {channels, 2}, false, false};
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = 1,
                              .has_to = true,
                              .lists = {{sessions, 2}, {channels, 2}, {&connection, 1}}};
    begin(&wide, 0);
    ck_assert_int_eq(try_append(&spec), 0);
    append(2);
    assert_read(&who, 0, 10, 100000, "1 2", 2);
    history_rollback(history, 0);
    assert_read(&who, 0, 10, 100000, "", 0);
}
END_TEST

START_TEST(a_page_ends_at_its_limits)
{
    struct audience who = {S("a"), S("c"), {0}, false, false};
    begin(&wide, 0);
    for (uint64_t seq = 1; seq <= 9; seq++)
        append_to(seq, TO_SESSIONS, seq % 2 ? "a" : "b");
    append(10);
    struct event *e;
    uint64_t upto;
    history_read(history, &(struct history_filter){.who = &who}, 0, &e, 1, 1, &upto);
    size_t size = e->entry.len;
    assert_read(&who, 0, 2, 100000, "1 3", 3);
    assert_read(&who, 3, 2, 100000, "5 7", 7);
    assert_read(&who, 7, 2, 100000, "9 10", 10); /* nothing is left: complete up to the head */
    assert_read(&who, 0, 10, 0, "1", 1);
    assert_read(&who, 0, 10, 2 * size, "1 3", 3);
    assert_read(&who, 0, 10, 3 * size - 1, "1 3", 3);
}
END_TEST

START_TEST(the_last_of_a_filtered_page_completes_up_to_the_head)
{
    struct audience who = {S("a"), S("c"), {0}, false, false};
    begin(&wide, 0);
    append_to(1, TO_SESSIONS, "a");
    append_to(2, TO_SESSIONS, "b");
    append_to(3, EXCEPT_SESSIONS, "a");
    assert_read(&who, 0, 1, 100000, "1", 3);
}
END_TEST

START_TEST(a_reader_may_have_many_channels)
{
    static char text[HISTORY_CHANNELS_MAX][8];
    struct slice channels[HISTORY_CHANNELS_MAX];
    struct audience who = {S("a"), S("c"), {channels, HISTORY_CHANNELS_MAX}, false, false};
    begin(&wide, 0);
    for (uint64_t i = 0; i < HISTORY_CHANNELS_MAX; i++) {
        snprintf(text[i], sizeof text[i], "%" PRIu64, i);
        channels[i] = slice_of(text[i]);
        append_to(i + 1, TO_CHANNELS, text[i]);
    }
    append_to(1025, TO_SESSIONS, "a");
    append_to(1026, TO_CONNECTIONS, "c");
    append(1027);
    assert_read(&who, 1022, 10, 100000, "1023 1024 1025 1026 1027", 1027);
}
END_TEST

/* --- memory --- */

#define MEMORY_LIMIT (8u << 20) /* bytes */

/* One mix of events. Sizes are of names and ids, in bytes; 0: none. */
struct mix {
    const char *what;
    size_t names; /* in each event */
    int name_len;
    bool same_names; /* in all events */
    int id_len;
    size_t data_len, every_other; /* data of the events, and of every second one if not 0 */
};

static const struct mix mixes[] = {
    {.what = "tiny events to everyone"},
    {.what = "tiny events with long ids", .id_len = 255},
    {.what = "tiny events with short ids", .id_len = 7},
    {.what = "short names, many at once", .names = 20000, .name_len = 7},
    {.what = "long names, many at once", .names = 2000, .name_len = 255},
    {.what = "a short name each", .names = 1, .name_len = 7},
    {.what = "a long name each", .names = 1, .name_len = 255},
    {.what = "the same name", .names = 1, .name_len = 1, .same_names = true},
    {.what = "the same names", .names = 100, .name_len = 3, .same_names = true},
    {.what = "large events", .data_len = 300000},
    {.what = "large and small events by turns", .data_len = 90000, .every_other = 10},
    {.what = "names, then none, by turns", .names = 1, .name_len = 8, .every_other = 40000},
};

static void append_of(const struct mix *mix, uint64_t seq)
{
    static char text[20000][NAME_BYTES_MAX + 1], id[NAME_BYTES_MAX + 1];
    static char data[300000];
    struct slice *names = calloc(mix->names + 1, sizeof *names);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .has_to = mix->names != 0,
                              .data = {data, mix->data_len}};
    memset(data, 'x', mix->data_len);
    for (size_t i = 0; i < mix->names; i++) {
        uint64_t number = mix->same_names ? i : seq * mix->names + i;
        snprintf(text[i], sizeof text[i], "%0*" PRIu64, mix->name_len, number);
        names[i] = slice_of(text[i]);
    }
    spec.lists[TO_SESSIONS] = (struct names){names, mix->names};
    if (mix->every_other && seq % 2)
        spec.data.len = mix->every_other;
    if (mix->id_len) {
        snprintf(id, sizeof id, "%0*" PRIu64, mix->id_len, seq);
        spec.id = slice_of(id);
    }
    ck_assert_int_eq(try_append(&spec), 0);
    free(names);
}

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Three times as many events as the limit holds:
 * malloc() has given no more than a fifth above what is counted. */
START_TEST(what_is_counted_is_what_memory_it_takes)
{
    const struct mix *mix = &mixes[_i];
    size_t before = allocated();
    uint64_t seq = 0;
    begin(&(struct history_limits){UINT64_MAX, MEMORY_LIMIT, UINT64_MAX}, 0);
    while (!history_complete(history))
        append_of(mix, ++seq);
    for (uint64_t last = 3 * seq; seq < last;)
        append_of(mix, ++seq);
    size_t taken = allocated() - before;
    ck_assert_uint_le(history_bytes(history), MEMORY_LIMIT);
    ck_assert_msg(taken <= history_bytes(history) * 6 / 5, "%s: %zu bytes for %" PRIu64 " counted",
                  mix->what, taken, history_bytes(history));
}
END_TEST

/* Bursts to one name after another, each of which is named once more:
 * an index that was long once is short again. */
START_TEST(an_index_does_not_keep_the_memory_it_had)
{
    size_t before = allocated();
    char name[16];
    uint64_t seq = 0;
    begin(&(struct history_limits){5000, UINT64_MAX, UINT64_MAX}, 0);
    for (int burst = 0; burst < 100; burst++) {
        snprintf(name, sizeof name, "%d", burst);
        for (int i = 0; i < 5000; i++)
            append_to(++seq, TO_SESSIONS, name);
        for (int back = 0; back <= burst; back++) {
            snprintf(name, sizeof name, "%d", back);
            append_to(++seq, TO_SESSIONS, name);
        }
    }
    size_t taken = allocated() - before;
    ck_assert_msg(taken <= history_bytes(history) * 6 / 5, "%zu bytes for %" PRIu64 " counted",
                  taken, history_bytes(history));
}
END_TEST

/* --- against a model that does everything the slow way --- */

#define NAMES 6
#define EVENTS 200000
#define PUBLISHERS 3
#define SHARED_IDS 12u /* ids that several publishers use, and again */
#define PAST_MAX 500u  /* more than events that show an id are ever retained */

struct model {
    struct event *events[EVENTS];
    size_t first, count;
    struct {
        uint64_t start, end;
    } segments[4096];
    size_t segment_count;
    uint64_t complete;
    struct history_limits limits;
    int64_t now;
    unsigned next_id;
    struct {
        uint64_t seq;
        char id[32];
    } past[20000];
    size_t past_first, past_count;
    bool ending;
};

static struct model model;
static const struct slice publishers[PUBLISHERS] = {S_INIT(""), S_INIT("key:a"), S_INIT("token:b")};
static struct slice sessions[NAMES], channels[NAMES], connections[NAMES];

static uint64_t model_head(void)
{
    return model.segments[model.segment_count - 1].end;
}

static void model_segment(uint64_t start)
{
    model.segments[model.segment_count].start = start;
    model.segments[model.segment_count++].end = start;
}

/* Which of a pool's names are in a bit mask. Names end in their place in the pool. */
static unsigned pool_bit(struct slice name)
{
    return 1u << (name.data[name.len - 1] - '0');
}

/* What an event's names in one list cost. seen: those that retained events named so far. */
static uint64_t model_names_bytes(const struct event *e, enum event_list list, unsigned *seen)
{
    uint64_t bytes = 0;
    unsigned own = 0;
    struct slice name;
    for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);) {
        unsigned bit = pool_bit(name);
        bytes += own & bit ? 0 : HISTORY_PLACE_COST; /* named twice, it is in its index once */
        bytes += *seen & bit ? 0 : HISTORY_NAME_COST + name.len;
        own |= bit;
        *seen |= bit;
    }
    return bytes;
}

/* What the own id of the event at i costs:
 * each index has a name once, whichever events it leads to. */
static uint64_t model_id_bytes(size_t i)
{
    const struct event *e = model.events[model.first + i];
    bool published = e->id.len > 0, shown = event_shows_id(e);
    uint64_t bytes = 0;

    for (size_t k = 0; k < i; k++) {
        const struct event *other = model.events[model.first + k];
        bool same = slice_equal(other->id, e->id);
        published = published && !(same && slice_equal(other->publisher, e->publisher));
        shown = shown && !(same && event_shows_id(other));
    }
    if (published)
        bytes += 1 + e->id.len + e->publisher.len + OWN_ID_COST;
    if (shown)
        bytes += e->id.len + OWN_ID_COST;
    return bytes;
}

static uint64_t model_bytes(void)
{
    unsigned seen[TO_CONNECTIONS + 1] = {0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < model.count; i++) {
        const struct event *e = model.events[model.first + i];
        bytes += e->entry.len + event_index_bytes(e) + HISTORY_EVENT_COST + model_id_bytes(i);
        for (enum event_list list = TO_SESSIONS; list <= TO_CONNECTIONS; list++)
            bytes += model_names_bytes(e, list, &seen[list]);
    }
    return bytes;
}

/* The naive memory: all ids that evicted events showed, of which the last PAST_MAX count. */
static void model_remember(const struct event *e)
{
    if (!event_shows_id(e))
        return;
    for (size_t i = model.past_first; i < model.past_count; i++)
        if (model.past[i].seq == e->seq && slice_equal(slice_of(model.past[i].id), e->id))
            return;
    ck_assert_uint_lt(model.past_count, sizeof model.past / sizeof *model.past);
    model.past[model.past_count].seq = e->seq;
    snprintf(model.past[model.past_count++].id, 32, "%.*s", (int)e->id.len, e->id.data);
    model.past_first += model.past_count - model.past_first > PAST_MAX;
}

static void model_evict(void)
{
    struct event **oldest = &model.events[model.first];
    if (model.complete < (*oldest)->seq)
        model.complete = (*oldest)->seq;
    if (!model.ending)
        model_remember(*oldest);
    ck_assert_uint_eq((*oldest)->refs, 1); /* the history has given it up */
    event_unref(oldest);
    model.first++;
    model.count--;
}

static void model_limit(void)
{
    while (model.count && (model.count > model.limits.events || model_bytes() > model.limits.bytes))
        model_evict();
}

static bool model_knows(uint64_t cursor)
{
    for (size_t i = 0; i < model.segment_count; i++)
        if (cursor >= model.segments[i].start && cursor <= model.segments[i].end)
            return cursor >= model.complete;
    return false;
}

/* Each list of its own randomness: mostly short. */
static struct names random_names(struct dice *dice, const struct slice *pool, struct slice *out)
{
    size_t count = roll(dice, 4);
    for (size_t i = 0; i < count; i++)
        out[i] = pool[roll(dice, NAMES)];
    return (struct names){out, count};
}

static struct event *random_event(struct dice *dice, uint64_t seq)
{
    static char data[200], id[32];
    static const struct slice *const pools[] = {sessions, channels, connections};
    struct slice names[EVENT_LISTS][4];
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = seq, .time_ms = model.now, .data = {data, roll(dice, 200)}};
    spec.has_to = roll(dice, 3) != 0;
    for (int list = 0; list < EVENT_LISTS; list++)
        if (list < EXCEPT_SESSIONS ? spec.has_to : roll(dice, 4) == 0)
            spec.lists[list] = random_names(dice, pools[list % 3], names[list]);
    if (roll(dice, 3) == 0) { /* mostly an id of its own, at times one that others have */
        snprintf(id, sizeof id, "id-%u",
                 roll(dice, 4) ? model.next_id++ : (unsigned)roll(dice, SHARED_IDS));
        spec.id = slice_of(id);
        spec.publisher = publishers[roll(dice, PUBLISHERS)];
        spec.seq_as_id = roll(dice, 3) == 0;
    }
    return event_new(&spec);
}

/* An id names an event when one alone showed it. */
static uint64_t model_named(struct slice id)
{
    uint64_t seq = 0;
    bool several = false;
    for (size_t i = model.past_first; i < model.past_count; i++)
        if (slice_equal(slice_of(model.past[i].id), id)) {
            several = several || (seq && seq != model.past[i].seq);
            seq = model.past[i].seq;
        }
    for (size_t i = 0; i < model.count; i++) {
        const struct event *e = model.events[model.first + i];
        if (event_shows_id(e) && slice_equal(e->id, id)) {
            several = several || (seq && seq != e->seq);
            seq = e->seq;
        }
    }
    return several ? AMBIGUOUS : seq;
}

static uint64_t model_published(struct slice publisher, struct slice id)
{
    uint64_t seq = 0;
    for (size_t i = 0; i < model.count; i++) {
        const struct event *e = model.events[model.first + i];
        if (slice_equal(e->publisher, publisher) && slice_equal(e->id, id))
            seq = e->seq;
    }
    return seq;
}

static void assert_id(struct slice id)
{
    char text[40];
    snprintf(text, sizeof text, "%.*s", (int)id.len, id.data);
    ck_assert_msg(named(text) == model_named(id), "%s names %" PRIu64 ", not %" PRIu64, text,
                  named(text), model_named(id));
    for (int i = 0; i < PUBLISHERS; i++) {
        const struct event *e = history_published(history, publishers[i], id);
        ck_assert_uint_eq(e ? e->seq : 0, model_published(publishers[i], id));
    }
}

static void do_append(struct dice *dice)
{
    bool jump = roll(dice, 20) == 0;
    uint64_t seq = model_head() + 1 + (jump ? roll(dice, 50) : 0);
    struct event *e = random_event(dice, seq);
    if (seq != model_head() + 1)
        model_segment(seq - 1);
    model.segments[model.segment_count - 1].end = seq;
    model.events[model.first + model.count++] = e;
    ck_assert_int_eq(history_append(history, e), 0);
    history_evict(history);
    model_limit();
}

static void do_expire(void)
{
    history_expire(history, model.now);
    while (model.count &&
           model.now - model.events[model.first]->time_ms > (int64_t)model.limits.age_ms)
        model_evict();
}

static void do_advance(struct dice *dice)
{
    uint64_t position = model_head() + roll(dice, 30);
    ck_assert_int_eq(history_advance(history, position), 0);
    if (position > model_head())
        model_segment(position);
}

static void do_break(struct dice *dice)
{
    uint64_t back = roll(dice, 20), position = roll(dice, 4) && model_head() > back
                                                   ? model_head() - back
                                                   : model_head() + back;
    ck_assert_int_eq(history_break(history, position), 0);
    if (position < model_head()) {
        while (model.count)
            model_evict();
        model.segment_count = 0;
    }
    model_segment(position);
    model.complete = position;
}

static void do_rollback(struct dice *dice)
{
    uint64_t most = model_head() - model.complete,
             position = model_head() - (most ? roll(dice, most < 20 ? (size_t)most : 20) : 0);
    history_rollback(history, position);
    while (model.count && model.events[model.first + model.count - 1]->seq > position)
        event_unref(&model.events[model.first + --model.count]);
    while (model.segment_count > 1 && model.segments[model.segment_count - 1].start > position)
        model.segment_count--;
    if (model.segments[model.segment_count - 1].end > position)
        model.segments[model.segment_count - 1].end = position;
}

static void do_something(struct dice *dice)
{
    uint64_t what = roll(dice, 100);
    model.now += (int64_t)roll(dice, 20);
    if (what < 90)
        do_append(dice);
    else if (what < 93)
        do_expire();
    else if (what < 95)
        do_advance(dice);
    else if (what < 96)
        do_break(dice);
    else
        do_rollback(dice);
}

static void assert_page(struct dice *dice, const struct audience *who)
{
    struct event *out[40];
    uint64_t after = model.complete + roll(dice, 100), upto = 0;
    size_t max = 1 + roll(dice, 40), max_bytes = roll(dice, 4000), bytes = 0, at = 0;
    size_t count = history_read(history, &(struct history_filter){.who = who}, after, out, max,
                                max_bytes, &upto);
    for (size_t i = 0; i < model.count; i++) {
        struct event *e = model.events[model.first + i];
        if (e->seq <= after || (who && !event_concerns(e, who)))
            continue;
        if (at == max || (at && bytes + e->entry.len > max_bytes)) {
            ck_assert_uint_eq(count, at);
            ck_assert_uint_eq(upto, out[at - 1]->seq);
            return;
        }
        ck_assert_uint_lt(at, count);
        ck_assert_ptr_eq(out[at++], e);
        bytes += e->entry.len;
    }
    ck_assert_uint_eq(count, at);
    ck_assert_uint_eq(upto, model_head());
}

static void assert_like_model(struct dice *dice)
{
    struct slice own[3] = {channels[roll(dice, 2)], channels[2 + roll(dice, 2)],
                           channels[4 + roll(dice, 2)]};
    struct audience who = {sessions[roll(dice, NAMES)],
                           connections[roll(dice, NAMES)],
                           {own, roll(dice, 4)},
                           false,
                           false};
    uint64_t oldest = model.count ? model.events[model.first]->seq : model_head() + 1;
    ck_assert_uint_eq(history_count(history), model.count);
    ck_assert_uint_eq(history_bytes(history), model_bytes());
    assert_positions(model.complete, oldest, model_head());
    for (int i = 0; i < 10; i++) {
        uint64_t back = roll(dice, 120),
                 cursor = model_head() > back ? model_head() + 10 - back : 0;
        ck_assert_msg(history_knows(history, cursor) == model_knows(cursor), "cursor %" PRIu64,
                      cursor);
    }
    for (size_t i = 0; i < model.count; i++)
        if (model.events[model.first + i]->id.len)
            assert_id(model.events[model.first + i]->id);
    for (unsigned i = 0; i < SHARED_IDS; i++) {
        char id[32];
        snprintf(id, sizeof id, "id-%u", i);
        assert_id(slice_of(id));
    }
    assert_page(dice, &who);
    assert_page(dice, NULL);
}

static void name_all(void)
{
    static char text[3][NAMES][8];
    struct slice *pools[] = {sessions, channels, connections};
    for (int pool = 0; pool < 3; pool++)
        for (int i = 0; i < NAMES; i++) {
            snprintf(text[pool][i], 8, "%c%d", "sck"[pool], i);
            pools[pool][i] = slice_of(text[pool][i]);
        }
}

static const struct history_limits model_limits[] = {{60, UINT64_MAX, UINT64_MAX / 4},
                                                     {1000, 30000, UINT64_MAX / 4},
                                                     {1000, UINT64_MAX, 600},
                                                     {40, 20000, 300},
                                                     {1, 3000, 10}};

static void assert_lag(uint64_t position, int64_t now_ms, uint64_t events, int64_t ms)
{
    struct history_lag lag = history_lag(history, position, now_ms);
    ck_assert_uint_eq(lag.events, events);
    ck_assert_int_eq(lag.ms, ms);
}

START_TEST(who_is_behind_misses_so_many_and_so_old_events)
{
    begin(&wide, 100);
    assert_lag(100, 5000, 0, 0);
    append_range(101, 105); /* each at its seq */
    assert_lag(105, 5000, 0, 0);
    assert_lag(103, 5000, 2, 5000 - 104);
    assert_lag(0, 5000, 0, 0);          /* it has heard of nothing */
    assert_lag(999, 5000, 0, 0);        /* it is ahead of us */
    assert_lag(7, 5000, 5, 5000 - 101); /* of another run: seqs jumped */
    assert_lag(103, 50, 2, 0);          /* the clock was set back */
}
END_TEST

/* Its position is the last one of the epoch before, and nothing was published since. */
START_TEST(who_has_everything_of_the_epoch_before_is_not_behind)
{
    begin(&wide, 100);
    append_range(101, 105);
    ck_assert_int_eq(history_advance(history, 5000), 0);
    assert_lag(105, 6000, 0, 0);
    append_range(5001, 5002);
    assert_lag(105, 6000, 2, 6000 - 5001);
    assert_lag(103, 6000, 4, 6000 - 104);
}
END_TEST

START_TEST(it_behaves_like_the_model)
{
    struct dice dice = dice_new();
    printf("history: SEED=%" PRIu64 "\n", dice.state);
    fflush(stdout);
    dice.state += (uint64_t)_i;
    name_all();
    model.limits = model_limits[_i];
    model.first = model.count = model.segment_count = 0;
    model.complete = 1000;
    model.now = 0;
    model.past_first = model.past_count = 0;
    model.ending = false;
    model_segment(1000);
    begin(&model_limits[_i], 1000);
    ck_assert_int_eq(history_remember_ids(history, PAST_MAX), 0);
    for (int round = 0; round < 15000; round++) {
        do_something(&dice);
        if (model.segment_count > 4000) { /* those that no cursor can be in */
            memmove(model.segments, model.segments + 3000, 1000 * sizeof model.segments[0]);
            model.segment_count -= 3000;
        }
        if (round % 7 == 0)
            assert_like_model(&dice);
    }
    history_free(&history);
    model.ending = true;
    while (model.count)
        model_evict();
}
END_TEST

/* --- where to begin --- */

static uint64_t before_last(size_t count, bool wanted_exact)
{
    struct slice mine[] = {S("x"), S("y")};
    const struct audience who = {.connection = S("c1"), .channels = {mine, 2}};
    bool exact;
    uint64_t position =
        history_before_last(history, &(struct history_filter){.who = &who}, count, &exact);
    ck_assert_int_eq(exact, wanted_exact);
    return position;
}

START_TEST(the_newest_events_of_a_reader_without_a_session)
{
    begin(&wide, 10);
    ck_assert_uint_eq(before_last(3, false), 10);
    append_to(11, TO_CHANNELS, "x");
    append_to(12, TO_SESSIONS, "a");
    append_to(13, TO_CHANNELS, "y");
    append_to(14, EXCEPT_CONNECTIONS, "c1");
    append(15);
    append_to(16, TO_CONNECTIONS, "c2");
    struct event_spec shutdown = {.kind = EVENT_SHUTDOWN, .seq = 17};
    ck_assert_int_eq(try_append(&shutdown), 0);
    ck_assert_uint_eq(before_last(1, true), 14);
    ck_assert_uint_eq(before_last(2, true), 12);
    ck_assert_uint_eq(before_last(3, true), 10);
    ck_assert_uint_eq(before_last(4, false), 10);
    ck_assert(history_knows(history, before_last(2, true)));
}
END_TEST

START_TEST(a_hidden_event_takes_no_place_of_another)
{
    struct slice channel = S("x");
    const struct audience who = {
        .connection = S("c1"), .channels = {&channel, 1}, .public_only = true};
    struct history_filter filter = {.who = &who};
    struct event_spec hidden = {
        .kind = EVENT_MESSAGE, .seq = 12, .has_to = true, .is_private = true};
    hidden.lists[TO_CHANNELS] = who.channels;
    bool exact;
    begin(&wide, 10);
    append_to(11, TO_CHANNELS, "x");
    ck_assert_int_eq(try_append(&hidden), 0);
    ck_assert_uint_eq(history_before_last(history, &filter, 1, &exact), 10);
    ck_assert(exact);
    assert_read(&who, 10, 10, 100000, "11", 12);
}
END_TEST

START_TEST(the_newest_events_are_not_looked_for_without_end)
{
    uint64_t last = HISTORY_SCAN_MAX + 2;
    struct slice mine[] = {S("x")};
    const struct audience who = {.connection = S("c1"), .channels = {mine, 1}};
    struct history_filter filter = {.who = &who, .now_ms = INT64_MAX / 4};
    struct event_spec over = {
        .kind = EVENT_MESSAGE, .has_to = true, .ttl_s = 1, .lists[TO_CHANNELS] = {mine, 1}};
    bool exact;
    begin(&wide, 0);
    append_to(1, TO_CHANNELS, "x");
    append_to(2, TO_CHANNELS, "x");
    for (over.seq = 3; over.seq <= last; over.seq++)
        ck_assert_int_eq(try_append(&over), 0);

    ck_assert_uint_eq(history_before_last(history, &filter, 10, &exact), last);
    ck_assert(exact);
    append_to(last + 1, TO_CHANNELS, "x");
    ck_assert_uint_eq(history_before_last(history, &filter, 10, &exact), last);
    ck_assert(exact);
    history_rollback(history, last - 1);
    /* With a limit of one more, all are looked at. */
    ck_assert_uint_eq(history_before_last(history, &filter, 10, &exact), 1);
}
END_TEST

START_TEST(no_session_is_no_name_in_a_list)
{
    begin(&wide, 10);
    append_to(11, TO_SESSIONS, "");
    append_to(12, EXCEPT_SESSIONS, "");
    struct event *out[4];
    uint64_t upto;
    const struct audience who = {.connection = S("c1")};
    ck_assert_uint_eq(
        history_read(history, &(struct history_filter){.who = &who}, 10, out, 4, SIZE_MAX, &upto),
        1);
    ck_assert_uint_eq(out[0]->seq, 12);
}
END_TEST

START_TEST(nothing_before_a_break_is_counted)
{
    begin(&wide, 10);
    append_range(11, 13);
    ck_assert_int_eq(history_break(history, 20), 0);
    ck_assert_uint_eq(history_begin(history), 20);
    append_range(21, 22);
    ck_assert_uint_eq(before_last(2, true), 20);
    ck_assert_uint_eq(before_last(3, false), 20);
    ck_assert_uint_eq(history_before_time(history, 0), 20);
    ck_assert_uint_eq(history_before_time(history, 22), 21);
}
END_TEST

static void append_at(uint64_t seq, int64_t time_ms)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .time_ms = time_ms};
    ck_assert_int_eq(try_append(&spec), 0);
}

START_TEST(a_time_finds_the_first_event_of_it_or_later)
{
    begin(&wide, 10);
    ck_assert_uint_eq(history_before_time(history, 0), 10);
    append_at(11, 100);
    append_at(12, 300);
    append_at(13, 200); /* the clock was set back */
    append_at(20, 400); /* an epoch later */
    ck_assert_uint_eq(history_before_time(history, 50), 10);
    ck_assert_uint_eq(history_before_time(history, 100), 10);
    ck_assert_uint_eq(history_before_time(history, 101), 11);
    ck_assert_uint_eq(history_before_time(history, 300), 11);
    ck_assert_uint_eq(history_before_time(history, 301), 19);
    ck_assert_uint_eq(history_before_time(history, 401), 20);
    ck_assert(history_knows(history, 19));
}
END_TEST

/* Every answer is compared with that of a walk over all events. */
START_TEST(starts_are_those_of_a_plain_walk)
{
    const struct history_limits some = {700, UINT64_MAX, UINT64_MAX};
    struct dice dice = {(uint64_t)_i + 1};
    static int64_t at[20000];
    uint64_t head = 0;
    begin(&some, 0);

    for (int round = 0; round < 6000; round++) {
        if (roll(&dice, 400) == 0 && head > 5) {
            head -= roll(&dice, 3);
            history_rollback(history, head);
        }
        at[++head] = round + (int64_t)roll(&dice, 100) - (roll(&dice, 50) == 0 ? 500 : 0);
        append_at(head, at[head]);
        if (round % 13)
            continue;

        int64_t wanted = round - (int64_t)roll(&dice, 900);
        uint64_t seq = history_begin(history) + 1;
        while (seq <= head && at[seq] < wanted)
            seq++;
        ck_assert_uint_eq(history_before_time(history, wanted), seq - 1);
    }
}
END_TEST

static void add_stories(TCase *tests)
{
    tcase_add_test(tests, a_fresh_one_knows_only_where_it_stands);
    tcase_add_test(tests, cursors_before_a_hole_are_doubted);
    tcase_add_test(tests, what_is_appended_is_retained);
    tcase_add_test(tests, a_seq_that_is_not_greater_is_refused);
    tcase_add_test(tests, the_count_is_limited);
    tcase_add_test(tests, what_was_rolled_back_has_evicted_nothing);
    tcase_add_test(tests, the_bytes_are_limited);
    tcase_add_test(tests, an_event_over_the_limit_is_gone_at_once);
    tcase_add_test(tests, the_age_is_limited);
    tcase_add_test(tests, cursors_inside_a_jump_are_not_known);
    tcase_add_test(tests, an_advance_misses_nothing);
    tcase_add_test(tests, a_break_forgets_the_cursors_before_it);
    tcase_add_test(tests, a_break_where_it_stands_forgets_what_was_before);
    tcase_add_test(tests, a_break_into_the_past_drops_what_would_be_the_future);
    tcase_add_test(tests, evicted_segments_are_not_known);
    tcase_add_test(tests, a_rollback_takes_back);
    tcase_add_test(tests, an_event_is_found_by_its_own_id);
    tcase_add_test(tests, an_id_belongs_to_its_publisher);
    tcase_add_test(tests, an_id_that_two_events_showed_names_neither);
    tcase_add_test(tests, an_id_that_was_evicted_is_remembered_with_its_seq);
    tcase_add_test(tests, what_was_rolled_back_leaves_no_id_and_what_was_revoked_does);
    tcase_add_test(tests, ids_outlive_a_break_and_a_history_that_is_replaced);
    tcase_add_test(tests, a_reader_gets_what_concerns_it);
    tcase_add_test(tests, an_event_that_concerns_a_reader_twice_comes_once);
    tcase_add_test(tests, a_reader_of_every_channel_gets_what_is_for_any);
    tcase_add_test(tests, a_reader_of_every_channel_looks_at_a_bounded_number_of_events);
    tcase_add_test(tests, a_page_ends_at_its_limits);
    tcase_add_test(tests, the_last_of_a_filtered_page_completes_up_to_the_head);
    tcase_add_test(tests, a_reader_may_have_many_channels);
    tcase_add_test(tests, the_newest_events_of_a_reader_without_a_session);
    tcase_add_test(tests, a_hidden_event_takes_no_place_of_another);
    tcase_add_test(tests, the_newest_events_are_not_looked_for_without_end);
    tcase_add_test(tests, no_session_is_no_name_in_a_list);
    tcase_add_test(tests, nothing_before_a_break_is_counted);
    tcase_add_test(tests, a_time_finds_the_first_event_of_it_or_later);
    tcase_add_loop_test(tests, starts_are_those_of_a_plain_walk, 0, 5);
}

int main(void)
{
    Suite *suite = suite_create("history");
    TCase *tests = one_case(suite, "history");
    tcase_add_checked_fixture(tests, NULL, teardown);
    add_stories(tests);
    tcase_add_test(tests, who_is_behind_misses_so_many_and_so_old_events);
    tcase_add_test(tests, who_has_everything_of_the_epoch_before_is_not_behind);
    if (MALLOC_TELLS) {
        tcase_add_loop_test(tests, what_is_counted_is_what_memory_it_takes, 0,
                            (int)(sizeof mixes / sizeof mixes[0]));
        tcase_add_test(tests, an_index_does_not_keep_the_memory_it_had);
    }
    tcase_add_loop_test(tests, it_behaves_like_the_model, 0,
                        (int)(sizeof model_limits / sizeof model_limits[0]));
    return run_suite(suite);
}
