#include "codec/event.h"

#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "support.h"

static struct slice some_names[] = {S_INIT("a"), S_INIT("room:7"), S_INIT("\xc3\xa9t\xc3\xa9"), S_INIT("")};

/* An event that uses every field. */
static struct event_spec full_spec(void)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE,
        .seq = 42,
        .time_ms = 1700000000123,
        .id = S("order-17"),
        .event = S("m"),
        .publisher = S("key:shop"),
        .data = S("two\nlines"),
        .has_retry = true,
        .retry = 3000,
        .has_to = true,
        .ttl_s = 60,
    };
    for (int list = 0; list < EVENT_LISTS; list++)
        spec.lists[list] = (struct names){some_names, (size_t)list % 4};
    return spec;
}

static struct event *make(const struct event_spec *spec)
{
    struct event *e = event_new(spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

static void assert_lists(const struct event *e, const struct event_spec *spec)
{
    for (enum event_list list = 0; list < EVENT_LISTS; list++) {
        size_t cursor = 0, count = 0;
        struct slice name;
        while (event_next_name(e, list, &cursor, &name)) {
            ck_assert_uint_lt(count, spec->lists[list].count);
            assert_slice(name, spec->lists[list].items[count++]);
        }
        ck_assert_uint_eq(count, spec->lists[list].count);
    }
}

static void assert_same(const struct event *e, const struct event_spec *spec, struct slice text)
{
    ck_assert_uint_eq(e->seq, spec->seq);
    ck_assert_int_eq(e->time_ms, spec->time_ms);
    ck_assert_int_eq(e->kind, spec->kind);
    ck_assert_uint_eq(e->block_s, spec->block_s);
    ck_assert_uint_eq(e->ttl_s, spec->ttl_s);
    ck_assert(e->remove == spec->remove);
    assert_slice(e->key, spec->key);
    ck_assert(e->has_to == spec->has_to);
    ck_assert_uint_eq(e->refs, 1);
    assert_slice(e->id, spec->id);
    assert_slice(e->publisher, spec->publisher);
    ck_assert(e->seq_as_id == spec->seq_as_id);
    assert_slice(e->text, text);
    assert_lists(e, spec);
}

START_TEST(an_event_is_encoded_once)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec);
    assert_same(e, &spec, S("id: order-17\nevent: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    event_unref(&e);
    ck_assert_ptr_null(e);
    event_unref(&e);
}
END_TEST

START_TEST(without_an_id_of_its_own_the_seq_is_shown)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = UINT64_MAX, .data = S("x")};
    struct event *e = make(&spec);
    assert_same(e, &spec, S("id: 18446744073709551615\ndata: x\n\n"));
    event_unref(&e);
}
END_TEST

START_TEST(an_id_that_was_used_before_is_kept_and_not_shown)
{
    struct event_spec spec = full_spec();
    spec.seq_as_id = true;
    size_t used;
    struct event *e = make(&spec), *again = event_parse(e->entry, &used);
    assert_same(e, &spec, S("id: 42\nevent: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    ck_assert_ptr_nonnull(again);
    assert_same(again, &spec, e->text);
    ck_assert(!event_shows_id(e) && !event_shows_id(again));
    event_unref(&e);
    event_unref(&again);
    spec.seq_as_id = false;
    e = make(&spec);
    ck_assert(event_shows_id(e));
    event_unref(&e);
}
END_TEST

START_TEST(without_an_id_there_is_no_publisher)
{
    struct event_spec spec = full_spec();
    spec.id = (struct slice){0};
    spec.seq_as_id = true;
    struct event *e = make(&spec);
    ck_assert_uint_eq(e->publisher.len, 0);
    ck_assert(!e->seq_as_id && !event_shows_id(e));
    event_unref(&e);
}
END_TEST

START_TEST(a_publisher_has_a_longest_name)
{
    static char name[EVENT_PUBLISHER_MAX + 1];
    memset(name, 'x', sizeof name);
    struct event_spec spec = full_spec();
    spec.publisher = (struct slice){name, EVENT_PUBLISHER_MAX};
    size_t used;
    struct event *e = make(&spec), *again = event_parse(e->entry, &used);
    assert_slice(again->publisher, spec.publisher);
    event_unref(&e);
    event_unref(&again);
    spec.publisher.len++;
    ck_assert_ptr_null(event_new(&spec));
}
END_TEST

START_TEST(a_shutdown_shows_no_id)
{
    struct event_spec spec = full_spec();
    spec.kind = EVENT_SHUTDOWN;
    spec.has_retry = false;
    struct event *e = make(&spec);
    assert_slice(e->text, S("event: m\ndata: two\ndata: lines\n\n"));
    assert_slice(e->id, S("order-17"));
    event_unref(&e);
}
END_TEST

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

static bool parses(const char *bytes, size_t len);

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

static bool parses(const char *bytes, size_t len)
{
    size_t used = 7;
    char *copy = malloc(len + !len); /* of its own size, so that a sanitizer sees a read past its end */
    if (len)
        memcpy(copy, bytes, len);
    struct event *e = event_parse((struct slice){copy, len}, &used);
    ck_assert_uint_eq(used, e ? get_u32(copy) : 0);
    bool parsed = e != NULL;
    struct slice name;
    for (enum event_list list = 0; e && list < EVENT_LISTS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);)
            slice_equal(name, S("a"));
    event_unref(&e);
    free(copy);
    return parsed;
}

/* The sessions, channels, connections and excepted names of a target. */
static bool key_allowed(bool has_to, size_t sessions, size_t channels, size_t connections, size_t excepted)
{
    struct names lists[EVENT_LISTS] = {{some_names, sessions}, {some_names, channels}, {some_names, connections}};
    lists[EXCEPT_CHANNELS] = (struct names){some_names, excepted};
    return event_key_allows(has_to, lists);
}

START_TEST(a_key_needs_one_target)
{
    ck_assert(key_allowed(false, 0, 0, 0, 0) && key_allowed(true, 1, 0, 0, 0) && key_allowed(true, 0, 1, 0, 0));
    ck_assert(!key_allowed(true, 0, 0, 0, 0) && !key_allowed(true, 0, 0, 1, 0) && !key_allowed(true, 1, 1, 0, 0));
    ck_assert(!key_allowed(true, 2, 0, 0, 0) && !key_allowed(true, 1, 0, 0, 1) && !key_allowed(false, 0, 0, 0, 1));
}
END_TEST

START_TEST(a_key_travels_with_its_event)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = 1,
                              .id = S("i"),
                              .key = S("price:BTC"),
                              .data = S("x"),
                              .remove = true,
                              .ttl_s = EVENT_TTL_MAX,
                              .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){some_names, 1};
    struct event *e = make(&spec);
    size_t used;
    struct event *again = event_parse(e->entry, &used);
    struct slice target;

    assert_same(again, &spec, e->text);
    ck_assert_int_eq(event_key_target(again, &target), TARGET_CHANNEL);
    assert_slice(target, S("a"));
    ck_assert_int_eq(event_expires_ms(again), spec.time_ms + (int64_t)EVENT_TTL_MAX * 1000);
    event_unref(&e);
    event_unref(&again);
}
END_TEST

START_TEST(the_text_of_the_state_has_no_id_line)
{
    struct event_spec spec = full_spec();
    struct event *e = make(&spec), *text = event_without_id(e);
    assert_slice(text->text, S("event: m\nretry: 3000\ndata: two\ndata: lines\n\n"));
    event_unref(&e);
    event_unref(&text);
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
    char *bytes = malloc(e->entry.len);
    memcpy(bytes, e->entry.data, e->entry.len);
    for (uint32_t size = 0; size < e->entry.len; size++) {
        put_u32(bytes, size);
        ck_assert(!parses(bytes, e->entry.len));
    }
    put_u32(bytes, UINT32_MAX);
    ck_assert(!parses(bytes, e->entry.len));
    free(bytes);
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
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true, .lists = {{&name, 1}}};
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

START_TEST(too_many_names_or_a_long_id_make_no_event)
{
    struct slice *many = calloc(EVENT_LIST_MAX + 1, sizeof *many);
    for (size_t i = 0; i <= EVENT_LIST_MAX; i++)
        many[i] = S("n");
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[EXCEPT_CHANNELS] = (struct names){many, EVENT_LIST_MAX};
    struct event *e = make(&spec);
    assert_lists(e, &spec);
    ck_assert(parses(e->entry.data, e->entry.len));
    event_unref(&e);
    spec.lists[EXCEPT_CHANNELS].count++;
    ck_assert_ptr_null(event_new(&spec));
    free(many);
    static char id[NAME_BYTES_MAX + 1];
    memset(id, 'x', sizeof id);
    spec = (struct event_spec){.kind = EVENT_MESSAGE, .seq = 1, .id = {id, sizeof id}};
    ck_assert_ptr_null(event_new(&spec));
}
END_TEST

START_TEST(references_are_counted)
{
    struct event *e = event_text(S("x")), *second = event_ref(e);
    ck_assert_ptr_eq(e, second);
    event_unref(&second);
    ck_assert_uint_eq(e->refs, 1);
    assert_slice(e->text, S("x"));
    ck_assert_uint_eq(e->entry.len, 0);
    event_unref(&e);
    e = event_text((struct slice){0});
    ck_assert_uint_eq(e->text.len, 0);
    event_unref(&e);
}
END_TEST

/* --- whom it concerns: session a, connection c, channels r and s --- */

static const struct {
    const char *to[3], *except[3]; /* sessions, channels, connections; comma-separated; NULL: not in the spec */
    bool has_to, concerns, excludes;
} concerned[] = {
    {{0}, {0}, false, true, false},
    {{0}, {0}, true, false, false}, /* an empty `to` is nobody */
    {{"a"}, {0}, true, true, false},
    {{"b"}, {0}, true, false, false},
    {{"b,a"}, {0}, true, true, false},
    {{"A"}, {0}, true, false, false},
    {{"aa,"}, {0}, true, false, false},
    {{NULL, "r"}, {0}, true, true, false},
    {{NULL, "q,s"}, {0}, true, true, false},
    {{NULL, "a,c"}, {0}, true, false, false}, /* no list is mistaken for another */
    {{"r,c"}, {0}, true, false, false},
    {{NULL, NULL, "c"}, {0}, true, true, false},
    {{NULL, NULL, "a,r"}, {0}, true, false, false},
    {{"b", "r", "d"}, {0}, true, true, false}, /* the union */
    {{"b", "q", "c"}, {0}, true, true, false},
    {{"b", "q", "d"}, {0}, true, false, false},
    {{0}, {"a"}, false, false, true},
    {{0}, {"b"}, false, true, false},
    {{0}, {NULL, "s"}, false, false, true},
    {{0}, {NULL, NULL, "c"}, false, false, true},
    {{0}, {"r,s,c", "a,c", "a,r"}, false, true, false},
    {{"a"}, {NULL, "r"}, true, false, true}, /* except wins */
    {{"a"}, {"b", "q", "d"}, true, true, false},
    {{"b"}, {"a"}, true, false, true},
};

static struct names split(const char *text, struct slice *out)
{
    size_t count = 0;
    while (text && *text) {
        out[count] = (struct slice){text, strcspn(text, ",")};
        text += out[count].len + (text[out[count].len] == ',');
        count++;
    }
    return (struct names){out, count};
}

START_TEST(it_concerns_who_is_in_to_and_not_in_except)
{
    struct slice scratch[EVENT_LISTS][8], channels[] = {S("r"), S("s")};
    struct audience who = {S("a"), S("c"), {channels, 2}, false};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = concerned[_i].has_to};
    for (int i = 0; i < 3; i++) {
        spec.lists[TO_SESSIONS + i] = split(concerned[_i].to[i], scratch[TO_SESSIONS + i]);
        spec.lists[EXCEPT_SESSIONS + i] = split(concerned[_i].except[i], scratch[EXCEPT_SESSIONS + i]);
    }
    struct event *e = make(&spec);
    ck_assert(event_concerns(e, &who) == concerned[_i].concerns);
    ck_assert(event_excludes(e, &who) == concerned[_i].excludes);
    event_unref(&e);
}
END_TEST

START_TEST(a_private_event_stays_private)
{
    struct slice channel = S("r"), session = S("a");
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true, .is_private = true};
    spec.lists[TO_CHANNELS] = (struct names){&channel, 1};
    spec.lists[TO_SESSIONS] = (struct names){&session, 1};
    struct event *e = make(&spec);
    size_t used;
    struct event *again = event_parse(e->entry, &used);
    ck_assert(e->is_private && again && again->is_private);

    struct audience mine = {.session = session, .connection = S("c")};
    struct audience reader = {.connection = S("c"), .channels = {&channel, 1}};
    struct audience all = {.connection = S("c"), .every_channel = true};
    ck_assert(event_names_itself(e, &mine) && !event_names_channel(e, &mine));
    ck_assert(!event_names_itself(e, &reader) && event_names_channel(e, &reader));
    ck_assert(!event_names_itself(e, &all) && event_names_channel(e, &all) && event_concerns(e, &all));

    e->bytes[5] = 8; /* private without a `to` */
    ck_assert_ptr_null(event_parse(e->entry, &used));
    event_unref(&e);
    event_unref(&again);
}
END_TEST

START_TEST(its_text_can_have_another_id)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 7, .time_ms = 9, .event = S("m"), .data = S("id: x")};
    struct event *e = make(&spec), *other = event_with_id(e, S("#7"));
    ck_assert_ptr_nonnull(other);
    assert_slice(other->text, S("id: #7\nevent: m\ndata: id: x\n\n"));
    ck_assert(other->seq == 7 && other->time_ms == 9 && other->kind == EVENT_TEXT);
    event_unref(&e);
    event_unref(&other);
}
END_TEST

/* Is who in one of the `except` lists, found the plain way. */
static bool excludes_plainly(const struct event *e, const struct audience *who)
{
    struct slice name;
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);) {
            if (list == EXCEPT_SESSIONS && slice_equal(name, who->session))
                return true;
            if (list == EXCEPT_CHANNELS && slice_equal(name, who->channels.items[0]))
                return true;
            if (list == EXCEPT_CONNECTIONS && slice_equal(name, who->connection))
                return true;
        }
    return false;
}

/* Each list of a long `except` has other names, and some names twice; a name of one list excludes nobody by another. */
START_TEST(a_long_except_excludes_whom_a_short_one_excludes)
{
    static char text[3][400][8];
    static struct slice names[3][400];
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1};
    for (int list = 0; list < 3; list++) {
        for (int i = 0; i < 400; i++) {
            int len = snprintf(text[list][i], sizeof text[list][i], "n%d", i * (list + 2) % 900);
            names[list][i] = (struct slice){text[list][i], (size_t)len};
        }
        spec.lists[EXCEPT_SESSIONS + list] = (struct names){names[list], (size_t)_i};
    }
    struct event *e = make(&spec);
    size_t used;
    struct event *copy = event_parse(e->entry, &used);
    ck_assert((event_index_bytes(e) > 0) == (3 * _i >= 16));
    ck_assert_uint_eq(event_index_bytes(copy), event_index_bytes(e));

    for (int n = 0; n < 1300; n++) {
        char wanted[8];
        struct slice name = {wanted, (size_t)snprintf(wanted, sizeof wanted, "n%d", n)}, nobody = S("nobody");
        for (int which = 0; which < 3; which++) {
            struct slice asked[3] = {nobody, nobody, nobody};
            asked[which] = name;
            struct audience who = {.session = asked[0], .channels = {&asked[1], 1}, .connection = asked[2]};
            ck_assert(event_excludes(e, &who) == excludes_plainly(e, &who));
            ck_assert(event_excludes(copy, &who) == excludes_plainly(e, &who));
        }
    }
    event_unref(&copy);
    event_unref(&e);
}
END_TEST

/* --- records of keys --- */

static size_t put_entry(char *out, uint64_t seq, const char *key, bool remove)
{
    struct event *e = make(&(struct event_spec){
        .kind = EVENT_MESSAGE, .seq = seq, .key = slice_of(key), .remove = remove, .data = S("value")});
    size_t len = e->entry.len;
    memcpy(out, e->entry.data, len);
    event_unref(&e);
    return len;
}

/* A record at seq 100 with this text. Is it taken for one? */
static bool is_record(const char *text, size_t len)
{
    struct event *e = make(&(struct event_spec){.kind = EVENT_STATE, .seq = 100, .data = {text, len}});
    bool valid = parses(e->entry.data, e->entry.len);
    event_unref(&e);
    return valid;
}

START_TEST(a_record_has_the_events_of_keys)
{
    char text[1000];
    size_t len = put_entry(text, 7, "a", false), used, cursor = 0;
    len += put_entry(text + len, 5, "b", false);
    struct event *e = make(&(struct event_spec){.kind = EVENT_STATE, .seq = 100, .time_ms = 3, .data = {text, len}});
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

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tests = one_case(suite, "entry");
    tcase_add_test(tests, names_are_not_empty_and_times_are_possible);
    tcase_add_test(tests, an_event_is_encoded_once);
    tcase_add_test(tests, without_an_id_of_its_own_the_seq_is_shown);
    tcase_add_test(tests, an_id_that_was_used_before_is_kept_and_not_shown);
    tcase_add_test(tests, without_an_id_there_is_no_publisher);
    tcase_add_test(tests, a_publisher_has_a_longest_name);
    tcase_add_test(tests, a_shutdown_shows_no_id);
    tcase_add_test(tests, an_entry_makes_the_same_event);
    tcase_add_test(tests, entries_stand_one_after_the_other);
    tcase_add_test(tests, a_key_needs_one_target);
    tcase_add_test(tests, a_key_travels_with_its_event);
    tcase_add_test(tests, the_text_of_the_state_has_no_id_line);
    tcase_add_test(tests, a_record_has_the_events_of_keys);
    tcase_add_test(tests, records_within_records_are_not_followed);
    tcase_add_test(tests, a_record_has_nothing_else);
    tcase_add_test(tests, a_part_of_an_entry_is_none);
    tcase_add_test(tests, a_shortened_size_is_refused);
    tcase_add_loop_test(tests, a_damaged_entry_is_refused, 0, COUNT(damages));
    tcase_add_test(tests, a_name_that_is_too_long_is_refused);
    tcase_add_test(tests, random_damage_never_reads_outside);
    tcase_add_test(tests, too_many_names_or_a_long_id_make_no_event);
    tcase_add_test(tests, references_are_counted);
    tcase_add_test(tests, a_private_event_stays_private);
    tcase_add_test(tests, its_text_can_have_another_id);
    tcase_add_loop_test(tests, it_concerns_who_is_in_to_and_not_in_except, 0, COUNT(concerned));
    tcase_add_loop_test(tests, a_long_except_excludes_whom_a_short_one_excludes, 0, 7);
    tcase_add_loop_test(tests, a_long_except_excludes_whom_a_short_one_excludes, 399, 401);
    return run_suite(suite);
}
