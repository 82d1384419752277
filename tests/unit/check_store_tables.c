/* The format of the store: what stands in the tables, byte by byte, and what is refused. */
#include "log/store_tables.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "model/past_ids.h"
#include "support.h"

static char folder[64];
static MDB_env *env;
static MDB_txn *txn;
static struct store_tables tables;

static void setup(void)
{
    strcpy(folder, "/tmp/ssecast-tables-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, STORE_TABLES), 0);
    ck_assert_int_eq(mdb_env_open(env, folder, MDB_NOSYNC, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(store_tables_open(&tables, txn, true), 0);
}

static void teardown(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char name[128];
    mdb_txn_abort(txn);
    mdb_env_close(env);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    rmdir(folder);
}

static void append(uint64_t seq, const char *id, const char *key)
{
    struct event *e = event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                     .seq = seq,
                                                     .time_ms = 1000,
                                                     .id = slice_of(id),
                                                     .key = slice_of(key),
                                                     .data = S("x")});
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(store_tables_append(&tables, txn, &e, 1), 0);
    event_unref(&e);
}

/* The value of a key; its length is 0 when there is none. */
static MDB_val value_of(MDB_dbi table, uint64_t key)
{
    MDB_val value = {0};
    int rc = mdb_get(txn, table, &(MDB_val){sizeof key, &key}, &value);
    ck_assert(rc == 0 || rc == MDB_NOTFOUND);
    return value;
}

static void put(MDB_dbi table, uint64_t key, const void *data, size_t len)
{
    ck_assert_int_eq(
        mdb_put(txn, table, &(MDB_val){sizeof key, &key}, &(MDB_val){len, (void *)data}, 0), 0);
}

/* "e1 e2 r5 r7? i1 k3": what a load passes on. */
static char loaded[200];

static bool note(const char *format, uint64_t number, const char *mark)
{
    size_t len = strlen(loaded);
    snprintf(loaded + len, sizeof loaded - len, format, len ? " " : "", number, mark);
    return true;
}

static bool on_event(void *context, struct event *e)
{
    (void)context;
    return note("%se%" PRIu64 "%s", e->seq, "");
}

static bool on_epoch(void *context, uint64_t position, bool incomplete)
{
    (void)context;
    return note("%sr%" PRIu64 "%s", position, incomplete ? "?" : "");
}

static bool on_id(void *context, uint64_t hash, uint64_t seq)
{
    (void)context;
    ck_assert_uint_eq(hash, past_id_hash(S("first")));
    return note("%si%" PRIu64 "%s", seq, "");
}

static bool on_kept(void *context, struct event *e)
{
    (void)context;
    return note("%sk%" PRIu64 "%s", e->seq, "");
}

/* Commit, and load what is there then. */
static int load(void)
{
    struct store_loader loader = {on_event, on_epoch, on_id, on_kept, NULL};
    MDB_txn *reading;
    uint64_t last;
    loaded[0] = '\0';
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &reading), 0);
    int rc = store_tables_load(&tables, reading, &loader, &last);
    mdb_txn_abort(reading);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    return rc;
}

START_TEST(an_entry_is_followed_by_its_sum)
{
    append(7, NULL, NULL);
    MDB_val value = value_of(tables.events, 7);
    size_t used;
    struct event *e = event_parse((struct slice){value.mv_data, value.mv_size}, &used);
    ck_assert_ptr_nonnull(e);
    ck_assert_uint_eq(used + 8, value.mv_size);
    event_unref(&e);

    uint64_t last;
    ck_assert_int_eq(store_tables_last(&tables, txn, &last), 0);
    ck_assert_uint_eq(last, 7);
    ck_assert_uint_eq(store_tables_format(&tables, txn), STORE_FORMAT);
    ck_assert_uint_gt(store_tables_bytes(&tables, txn), 0);
}
END_TEST

START_TEST(everything_is_loaded_in_the_order_of_the_sequence)
{
    ck_assert_int_eq(store_tables_put_epoch(&tables, txn, 5, false), 0);
    ck_assert_int_eq(store_tables_put_epoch(&tables, txn, 8, true), 0);
    append(6, NULL, NULL);
    append(7, NULL, NULL);
    append(9, NULL, NULL);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "r5 e6 e7 r8? e9");

    ck_assert_int_eq(store_tables_revoke(&tables, txn, 6), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "r5 e6 r8?");
}
END_TEST

START_TEST(what_is_trimmed_leaves_its_id_and_its_key)
{
    struct state *state = state_new();
    uint64_t trimmed = 0;
    append(1, "first", NULL);
    append(2, NULL, "key");
    append(3, NULL, NULL);
    struct event *e = event_new(
        &(struct event_spec){.kind = EVENT_MESSAGE, .seq = 2, .key = S("key"), .data = S("x")});
    ck_assert_int_eq(state_apply(state, e), 0);
    ck_assert_int_eq(store_tables_trim(&tables, txn, 2, 10, state, &trimmed), 0);
    ck_assert_uint_eq(trimmed, 2);
    ck_assert_uint_eq(store_tables_trimmed(&tables, txn), 2);
    ck_assert_uint_eq(value_of(tables.ids, 1).mv_size, 16);
    ck_assert_uint_eq(get_u64(value_of(tables.ids, 1).mv_data), past_id_hash(S("first")));
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "i1 k2 e3");

    ck_assert_int_eq(store_tables_drop_kept(&tables, txn, (uint64_t[]){1, 2}, 2), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "i1 e3");
    event_unref(&e);
    state_free(&state);
}
END_TEST

START_TEST(what_was_trimmed_is_no_event)
{
    struct state *state = state_new();
    uint64_t trimmed = 0;
    append(1, NULL, NULL);
    ck_assert_int_eq(store_tables_trim(&tables, txn, 5, 10, state, &trimmed), 0);
    append(6, NULL, NULL);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(loaded, "e6");

    ck_assert_int_eq(store_tables_revoke(&tables, txn, 5), 0);
    append(5, NULL, NULL);
    ck_assert_int_eq(load(), MDB_CORRUPTED);
    state_free(&state);
}
END_TEST

START_TEST(what_is_not_of_the_format_is_refused)
{
    char entry[4096];
    append(1, NULL, NULL);
    MDB_val value = value_of(tables.events, 1);
    size_t len = value.mv_size;
    memcpy(entry, value.mv_data, len);
    for (size_t i = 0; i < len; i += 7) {
        entry[i] ^= 1;
        put(tables.events, 1, entry, len);
        ck_assert_int_eq(load(), MDB_CORRUPTED);
        entry[i] ^= 1;
    }
    put(tables.events, 2, entry, len); /* the entry of another seq */
    put(tables.events, 1, entry, len);
    ck_assert_int_eq(load(), MDB_CORRUPTED);
    ck_assert_int_eq(store_tables_revoke(&tables, txn, 1), 0);
    ck_assert_int_eq(load(), 0);

    put(tables.ids, 1, entry, 16);
    ck_assert_int_eq(load(), MDB_CORRUPTED);
}
END_TEST

START_TEST(an_event_is_kept_only_when_it_was_trimmed)
{
    append(4, NULL, "key");
    MDB_val value = value_of(tables.events, 4);
    char entry[4096];
    size_t len = value.mv_size;
    memcpy(entry, value.mv_data, len);
    put(tables.kept, 4, entry, len);
    ck_assert_int_eq(load(), MDB_CORRUPTED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_tables");
    TCase *tests = one_case(suite, "store_tables");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_entry_is_followed_by_its_sum);
    tcase_add_test(tests, everything_is_loaded_in_the_order_of_the_sequence);
    tcase_add_test(tests, what_is_trimmed_leaves_its_id_and_its_key);
    tcase_add_test(tests, what_was_trimmed_is_no_event);
    tcase_add_test(tests, what_is_not_of_the_format_is_refused);
    tcase_add_test(tests, an_event_is_kept_only_when_it_was_trimmed);
    return run_suite(suite);
}
