/* A store whose tables hold anything, as after damage that the sums and LMDB let pass: it is loaded
 * in order and whole, or refused; and what was loaded can be gone on with.
 *
 * Input: rows of u8 table (0 events, 1 runs, 2 meta, 3 ids; with 4: kept; with 0x80: without a good
 * sum), u8 key, u16 length and so many bytes. Keys of meta: 0 format, 1 trimmed. The store has its
 * format unless a row says otherwise. */
#include <ftw.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "codec/event_record.h"
#include "fuzz.h"
#include "log/store.h"

#define BAD_SUM 0x80

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* --- the tables as the input has them --- */

static MDB_dbi table(MDB_txn *txn, const char *name, unsigned flags)
{
    MDB_dbi dbi;
    must(mdb_dbi_open(txn, name, flags | MDB_CREATE, &dbi) == 0);
    return dbi;
}

static void put_event(MDB_txn *txn, MDB_dbi dbi, uint64_t seq, struct slice entry, bool good)
{
    char *value = malloc(entry.len + 8);
    must(value);
    if (entry.len)
        memcpy(value, entry.data, entry.len);
    put_u64(value + entry.len, XXH3_64bits(value, entry.len) + !good);
    mdb_put(txn, dbi, &(MDB_val){sizeof seq, &seq}, &(MDB_val){entry.len + 8, value}, 0);
    free(value);
}

static void put_id(MDB_txn *txn, MDB_dbi dbi, uint64_t seq, struct slice bytes, bool good)
{
    char both[16] = {0}, value[16];
    put_u64(both, seq);
    if (bytes.len)
        memcpy(both + 8, bytes.data, bytes.len < 8 ? bytes.len : 8);
    memcpy(value, both + 8, 8);
    put_u64(value + 8, XXH3_64bits(both, sizeof both) + !good);
    mdb_put(txn, dbi, &(MDB_val){sizeof seq, &seq},
            &(MDB_val){bytes.len < 16 ? sizeof value : 3, value}, 0);
}

static void put_row(MDB_txn *txn, uint8_t which, uint64_t key, struct slice bytes)
{
    MDB_dbi events = table(txn, "events", MDB_INTEGERKEY),
            runs = table(txn, "runs", MDB_INTEGERKEY);
    MDB_dbi ids = table(txn, "ids", MDB_INTEGERKEY), meta = table(txn, "meta", 0);
    MDB_dbi kept = table(txn, "kept", MDB_INTEGERKEY);
    MDB_val value = {bytes.len, (void *)bytes.data};
    if (which & 4)
        put_event(txn, kept, key, bytes, !(which & BAD_SUM));
    else if ((which & 3) == 0)
        put_event(txn, events, key, bytes, !(which & BAD_SUM));
    else if ((which & 3) == 1)
        mdb_put(txn, runs, &(MDB_val){sizeof key, &key}, &value, 0);
    else if ((which & 3) == 3)
        put_id(txn, ids, key, bytes, !(which & BAD_SUM));
    else
        mdb_put(txn, meta, key ? &(MDB_val){7, "trimmed"} : &(MDB_val){6, "format"}, &value, 0);
}

static void put_rows(MDB_txn *txn, struct slice rest)
{
    put_row(txn, 2, 0, (struct slice){"\4\0\0\0", 4});
    while (rest.len >= 4) {
        size_t len = get_u16(rest.data + 2);
        len = len < rest.len - 4 ? len : rest.len - 4;
        put_row(txn, (uint8_t)rest.data[0], (uint8_t)rest.data[1],
                (struct slice){rest.data + 4, len});
        rest = (struct slice){rest.data + 4 + len, rest.len - 4 - len};
    }
}

static void make_store(struct slice rows)
{
    MDB_env *env;
    MDB_txn *txn;
    strcpy(dir, "/dev/shm/ssecast-fuzz-XXXXXX");
    must(mkdtemp(dir));
    must(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 5) == 0);
    must(mdb_env_open(env, dir, MDB_NOTLS | MDB_NOSYNC, 0600) == 0);
    must(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    put_rows(txn, rows);
    must(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

/* --- what the store says --- */

struct loaded {
    uint64_t last_event, last_run, last_id, last_kept;
    size_t count;
};

static bool on_event(void *context, struct event *e)
{
    struct loaded *l = context;
    must(e->seq > l->last_event &&
         (e->kind == EVENT_MESSAGE || e->kind == EVENT_SHUTDOWN || event_is_record(e)));
    must(e->text.len <= e->entry.len);
    l->last_event = e->seq;
    l->count++;
    return true;
}

static bool on_kept(void *context, struct event *e)
{
    struct loaded *l = context;
    /* They come before. */
    must(e->seq > l->last_kept && e->key.len && !e->remove && !l->last_event && !l->last_run);
    l->last_kept = e->seq;
    return true;
}

static bool on_run(void *context, uint64_t position, bool doubted)
{
    struct loaded *l = context;
    (void)doubted;
    must(position > l->last_run && position >= l->last_event);
    l->last_run = position;
    return true;
}

static bool on_id(void *context, uint64_t hash, uint64_t seq)
{
    struct loaded *l = context;
    (void)hash;
    must(seq > l->last_id && !l->last_event && !l->last_run && !l->last_kept); /* they come first */
    l->last_id = seq;
    return true;
}

static void goes_on(struct store *s, const struct loaded *before)
{
    char why[STORE_WHY_MAX] = "";
    struct loaded after = {0};
    uint64_t next =
        (before->last_event > before->last_run ? before->last_event : before->last_run) + 1;
    if (next <= store_trimmed(s))
        next = store_trimmed(s) + 1;
    if (!next)
        return; /* no broker goes on behind the last position */
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = next, .data = {"x", 1}});
    must(e && store_append(s, &e, 1, 0) == 0);
    event_unref(&e);
    must(store_load(s, &(struct store_loader){on_event, on_run, on_id, on_kept, &after}, why) == 0);
    must(after.last_event == next && after.count == before->count + 1);
    must(store_append(s, NULL, 0, next) == 0);
    after = (struct loaded){0};
    must(store_load(s, &(struct store_loader){on_event, on_run, on_id, on_kept, &after}, why) == 0);
    must(after.count == 0 || store_trimmed(s) < next);
}

static void load(struct store *s)
{
    char why[STORE_WHY_MAX] = "";
    struct loaded loaded = {0};
    int err = store_load(s, &(struct store_loader){on_event, on_run, on_id, on_kept, &loaded}, why);
    must(err ? *why : true);
    if (!err)
        goes_on(s, &loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[STORE_WHY_MAX] = "";
    struct store *s;
    make_store((struct slice){(const char *)data, size});
    int err = store_open(dir, &s, why);
    must(err ? !s && *why && !strchr(why, '\n') : s != NULL);
    if (!err)
        load(s);
    store_free(&s);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
