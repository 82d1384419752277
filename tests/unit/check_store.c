/* The store on a directory: what was appended is there after opening again,
 * and nothing damaged is taken for whole. */
#include "log/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "log/store_dir.h"
#include "model/past_ids.h"
#include "support.h"

static char dir[64], path[128];
static char why[STORE_WHY_MAX];

static void make_place(void)
{
    strcpy(dir, "/tmp/ssecast-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/data.mdb", dir);
}

static void remove_place(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "ssecast.lock"};
    char name[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, names[i]);
        unlink(name);
    }
    rmdir(dir);
}

static struct store *open_store(void)
{
    struct store *s;
    ck_assert_msg(store_open(dir, &s, why) == 0, "%s", why);
    return s;
}

static int refused(void)
{
    struct store *s;
    int err = store_open(dir, &s, why);
    ck_assert_ptr_null(s);
    return err;
}

static void append(struct store *s, uint64_t first, size_t count, uint64_t trim, struct slice data)
{
    struct event **events = calloc(count ? count : 1, sizeof *events);
    for (size_t i = 0; i < count; i++) {
        events[i] = event_new(&(struct event_spec){
            .kind = EVENT_MESSAGE, .seq = first + i, .event = S("m"), .data = data});
        ck_assert_ptr_nonnull(events[i]);
    }
    ck_assert_int_eq(store_append(s, events, count, trim), 0);
    for (size_t i = 0; i < count; i++)
        event_unref(&events[i]);
    free(events);
}

/* What a load gave, as text: "5 6 r10 11". */
struct loaded {
    char text[512];
    size_t count;
    uint64_t bytes, last;
};

static void note(struct loaded *l, const char *mark, uint64_t number)
{
    size_t len = strlen(l->text);
    if (len < 400)
        snprintf(l->text + len, sizeof l->text - len, "%s%s%" PRIu64, len ? " " : "", mark, number);
}

static bool take_event(void *context, struct event *e)
{
    struct loaded *l = context;
    note(l, "", e->seq);
    l->count++;
    l->bytes += e->entry.len;
    l->last = e->seq;
    return true;
}

static bool take_kept(void *context, struct event *e)
{
    note(context, "k", e->seq);
    return true;
}

static bool take_run(void *context, uint64_t position, bool doubted)
{
    note(context, doubted ? "?" : "r", position);
    return true;
}

static bool take_id(void *context, uint64_t hash, uint64_t seq)
{
    char mark[20];
    for (int i = 0; i < 4000; i++) { /* which id has that hash? */
        snprintf(mark, sizeof mark, "id-%d", i);
        if (past_id_hash(slice_of(mark)) == hash) {
            snprintf(mark, sizeof mark, "%d@", i);
            note(context, mark, seq);
            return true;
        }
    }
    note(context, "other id@", seq);
    return true;
}

static struct loaded load(struct store *s)
{
    struct loaded l = {0};
    struct store_loader loader = {take_event, take_run, take_id, take_kept, &l};
    ck_assert_msg(store_load(s, &loader, why) == 0, "%s", why);
    return l;
}

static void assert_holds(const char *text, uint64_t trimmed)
{
    struct store *s = open_store();
    struct loaded l = load(s);
    ck_assert_str_eq(l.text, text);
    ck_assert_uint_eq(store_trimmed(s), trimmed);
    store_free(&s);
}

START_TEST(memory_keeps_nothing_and_succeeds)
{
    struct store *s;
    ck_assert_int_eq(store_open("memory", &s, why), 0);
    ck_assert_ptr_null(s);
    append(s, 1, 3, 0, S("x"));
    ck_assert_uint_eq(load(s).count, 0);
    store_free(&s);
}
END_TEST

START_TEST(what_was_appended_is_there_again)
{
    struct store *s = open_store();
    ck_assert_int_eq(store_begin_epoch(s, 4), 0);
    append(s, 5, 2, 0, S("x"));
    ck_assert_int_eq(store_begin_epoch(s, 10), 0);
    ck_assert_int_eq(store_begin_epoch(s, 20), 0);
    append(s, 21, 1, 0, S("x"));
    ck_assert_int_eq(store_mark_incomplete(s, 10), 0);
    store_free(&s);
    assert_holds("r4 5 6 ?10 r20 21", 0);
}
END_TEST

START_TEST(trimming_forgets_events_and_runs)
{
    struct store *s = open_store();
    store_begin_epoch(s, 4);
    append(s, 5, 4, 0, S("x"));
    append(s, 9, 1, 6, S("x"));
    store_free(&s);
    assert_holds("7 8 9", 6);
}
END_TEST

START_TEST(everything_can_be_trimmed)
{
    struct store *s = open_store();
    append(s, 5, 3, 0, S("x"));
    append(s, 0, 0, 7, S("x"));
    store_free(&s);
    assert_holds("", 7);
}
END_TEST

START_TEST(much_is_trimmed_in_steps)
{
    struct store *s = open_store();
    append(s, 1, 25000, 0, S("x"));
    for (int i = 0; i < 3; i++)
        append(s, 0, 0, 24999, S("x"));
    ck_assert_uint_eq(load(s).count, 1);
    ck_assert_uint_eq(store_trimmed(s), 24999);
    store_free(&s);
}
END_TEST

/* Events that show id-<seq>, those with an even seq only as duplicates. */
static void append_ids(struct store *s, uint64_t first, size_t count, uint64_t trim)
{
    struct event *events[100] = {NULL};
    char id[20];
    for (size_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "id-%" PRIu64, first + i);
        events[i] = event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                   .seq = first + i,
                                                   .id = slice_of(id),
                                                   .seq_as_id = (first + i) % 2 == 0,
                                                   .publisher = S("key:shop")});
    }
    ck_assert_int_eq(store_append(s, events, count, trim), 0);
    for (size_t i = 0; i < count; i++)
        event_unref(&events[i]);
}

START_TEST(ids_that_were_shown_outlive_their_events)
{
    struct store *s = open_store();
    store_remember_ids(s, 3);
    append_ids(s, 1, 5, 0);
    ck_assert_str_eq(load(s).text, "1 2 3 4 5");
    append_ids(s, 6, 1, 4);
    ck_assert_str_eq(load(s).text, "1@1 3@3 5 6");
    append(s, 7, 1, 6, S("no id"));
    store_free(&s);
    assert_holds("1@1 3@3 5@5 7", 6);
    s = open_store();
    store_remember_ids(s, 3);
    append_ids(s, 8, 5, 9);
    ck_assert_str_eq(load(s).text, "3@3 5@5 9@9 10 11 12");
    append(s, 13, 1, 12, S("x"));
    ck_assert_str_eq(load(s).text, "5@5 9@9 11@11 13");
    store_remember_ids(s, 1);
    append(s, 14, 1, 13, S("x"));
    store_free(&s);
    assert_holds("11@11 14", 13);
}
END_TEST

START_TEST(an_id_that_is_damaged_is_refused)
{
    struct store *s = open_store();
    struct loaded l = {0};
    struct store_loader loader = {take_event, take_run, take_id, take_kept, &l};
    char key[8], bytes[1 << 16];
    append_ids(s, 1, 1, 0);
    append(s, 2, 1, 1, S("x"));
    store_free(&s);
    uint64_t hash = past_id_hash(S("id-1"));
    put_u64(key, hash);
    int fd = open(path, O_RDWR);
    ssize_t len = pread(fd, bytes, sizeof bytes, 0);
    const char *at = memmem(bytes, (size_t)len, key, sizeof key);
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(pwrite(fd, "!", 1, at - bytes), 1);
    close(fd);
    s = open_store();
    ck_assert_int_eq(store_load(s, &loader, why), -EBADMSG);
    store_free(&s);
}
END_TEST

/* --- events that are kept for their keys --- */

static struct event *keyed(uint64_t seq, const char *key, bool remove)
{
    struct event *e = event_new(&(struct event_spec){.kind = EVENT_MESSAGE,
                                                     .seq = seq,
                                                     .key = slice_of(key),
                                                     .remove = remove,
                                                     .data = S("value")});
    ck_assert_ptr_nonnull(e);
    return e;
}

/* Append an event with a key, as a broker does. What store_append() says; after a failure the state
 * is as before. */
static int set_key(struct store *s, struct state *state, uint64_t seq, const char *key, bool remove,
                   uint64_t trim)
{
    struct event *e = keyed(seq, key, remove);
    const struct state_change *c;
    ck_assert_int_eq(state_apply(state, e), 0);
    ck_assert_int_eq(store_reserve(s, 1), 0);
    int err = store_append(s, &e, 1, trim);
    if (err)
        state_rollback(state, seq - 1);
    else if ((c = state_change(state, 0)) && c->before)
        store_drop_kept(s, c->before->seq);
    state_settle(state);
    event_unref(&e);
    return err;
}

static struct state *keep_state(struct store *s)
{
    struct state *state = state_new();
    ck_assert_ptr_nonnull(state);
    state_hold(state);
    store_keep_state(s, state);
    return state;
}

START_TEST(the_newest_event_of_a_key_outlives_trimming)
{
    struct store *s = open_store();
    struct state *state = keep_state(s);
    set_key(s, state, 1, "a", false, 0);
    set_key(s, state, 2, "b", false, 0);
    set_key(s, state, 3, "a", false, 0);
    append(s, 4, 1, 3, S("x"));
    ck_assert_str_eq(load(s).text, "k2 k3 4");
    set_key(s, state, 5, "b", false, 0);
    ck_assert_str_eq(load(s).text, "k2 k3 4 5"); /* until the next change */
    append(s, 6, 1, 0, S("x"));
    ck_assert_str_eq(load(s).text, "k3 4 5 6");
    set_key(s, state, 7, "a", true, 0);
    append(s, 8, 1, 7, S("x"));
    store_free(&s);
    state_free(&state);
    assert_holds("k5 8", 7);
}
END_TEST

START_TEST(a_key_that_expired_is_dropped_without_an_event)
{
    struct store *s = open_store();
    struct state *state = keep_state(s);
    set_key(s, state, 1, "a", false, 0);
    append(s, 2, 1, 1, S("x"));
    ck_assert_int_eq(store_reserve(s, 1), 0);
    store_drop_kept(s, 1);
    ck_assert_int_eq(store_append(s, NULL, 0, 0), 0);
    ck_assert_str_eq(load(s).text, "2");
    store_free(&s);
    state_free(&state);
}
END_TEST

START_TEST(the_space_of_what_was_trimmed_is_used_again)
{
    static char data[1000];
    memset(data, 'x', sizeof data);
    struct store *s = open_store();
    uint64_t seq = 1;
    for (int round = 0; round < 100; round++, seq += 1000)
        append(s, seq, 1000, seq > 5000 ? seq - 5000 : 0, (struct slice){data, sizeof data});
    ck_assert_uint_lt(store_stats(s).file_bytes, 30u << 20); /* 5 to 6 of 100 MB are retained */
    store_free(&s);
}
END_TEST

START_TEST(it_grows_beyond_its_first_map)
{
    static char data[1u << 20];
    memset(data, 'x', sizeof data);
    struct store *s = open_store();
    for (uint64_t seq = 1; seq <= 90; seq += 10)
        append(s, seq, 10, 0, (struct slice){data, sizeof data});
    store_free(&s);
    s = open_store();
    struct loaded l = load(s);
    ck_assert_uint_eq(l.count, 90);
    ck_assert_uint_gt(l.bytes, 90u << 20);
    store_free(&s);
}
END_TEST

START_TEST(a_map_is_never_larger_than_the_address_space)
{
    ck_assert_uint_eq(store_dir_next_map(64u << 20), 128u << 20);
    ck_assert_uint_eq(store_dir_next_map(SIZE_MAX / 4 + 1), SIZE_MAX / 2 + 1);
    ck_assert_uint_eq(store_dir_next_map(SIZE_MAX / 2 + 1), 0);
}
END_TEST

/* Enough for inner pages, where LMDB compares keys in another way than in leaves. */
START_TEST(positions_of_more_than_32_bits_keep_their_order)
{
    const uint64_t first = ((uint64_t)3 << 32) - 2000;
    struct store *s = open_store();
    append(s, first, 4000, 0, S("some text that takes its place"));
    append(s, first + 4000, 1, first + 1999, S("x"));
    store_free(&s);
    s = open_store();
    struct loaded l = load(s);
    ck_assert_uint_eq(l.count, 2001);
    ck_assert_uint_eq(l.last, first + 4000);
    ck_assert_uint_eq(store_trimmed(s), first + 1999);
    for (uint64_t i = 0; i < 600; i++)
        ck_assert_int_eq(store_begin_epoch(s, ((uint64_t)4 << 32) - 300 + i), 0);
    load(s);
    store_free(&s);
}
END_TEST

START_TEST(appending_out_of_order_changes_nothing)
{
    struct store *s = open_store();
    append(s, 5, 2, 0, S("x"));
    struct event *events[2];
    /* Positions 7 and 3. */
    for (size_t i = 0; i < 2; i++)
        events[i] = event_new(
            &(struct event_spec){.kind = EVENT_MESSAGE, .seq = 7 - 4 * i, .data = S("x")});
    ck_assert_int_ne(store_append(s, events, 2, 0), 0);
    for (size_t i = 0; i < 2; i++)
        event_unref(&events[i]);
    append(s, 7, 1, 0, S("x")); /* and it goes on */
    store_free(&s);
    assert_holds("5 6 7", 0);
}
END_TEST

/* A disk that is full, as far as this process is concerned. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_changes_nothing_and_may_get_room_again)
{
    static char data[100000];
    memset(data, 'x', sizeof data);
    struct store *s = open_store();
    append(s, 5, 1, 0, S("x"));
    struct event *e = event_new(
        &(struct event_spec){.kind = EVENT_MESSAGE, .seq = 6, .data = {data, sizeof data}});
    limit_files((rlim_t)store_stats(s).file_bytes);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(store_append(s, &e, 1, 0), -EFBIG);
    limit_files(RLIM_INFINITY);
    event_unref(&e);
    store_free(&s);
    assert_holds("5", 0);
    s = open_store();
    append(s, 6, 1, 0, (struct slice){data, sizeof data});
    store_free(&s);
    assert_holds("5 6", 0);
}
END_TEST

/* A disk whose writes fail, in place of libc's: LMDB writes through these. The file's first two
 * pages say which change was the last. */
static enum { DISK_FINE, DISK_FAILS, DISK_FAILS_AFTER_HEAD } disk;
static int64_t data_written_to;

static ssize_t write_to(int fd, const void *bytes, size_t len, int64_t offset)
{
    return pwritev(fd, &(struct iovec){(void *)bytes, len}, 1, (off_t)offset);
}

static ssize_t write_to_disk(int fd, const void *bytes, size_t len, int64_t offset)
{
    bool head = offset < 2 * sysconf(_SC_PAGESIZE);
    if (disk == DISK_FAILS || (disk == DISK_FAILS_AFTER_HEAD && head)) {
        /* The first write is done, and yet an error. */
        if (disk == DISK_FAILS_AFTER_HEAD && data_written_to != offset)
            write_to(fd, bytes, len, offset);
        data_written_to = offset;
        errno = EIO;
        return -1;
    }
    return write_to(fd, bytes, len, offset);
}

/* LMDB may have been compiled for files of 32 bits where this test is not.
 * So libc has two names. */
ssize_t short_pwrite(int fd, const void *bytes, size_t len, long offset) __asm__("pwrite");
ssize_t long_pwrite(int fd, const void *bytes, size_t len, int64_t offset) __asm__("pwrite64");

ssize_t short_pwrite(int fd, const void *bytes, size_t len, long offset)
{
    return write_to_disk(fd, bytes, len, offset);
}

ssize_t long_pwrite(int fd, const void *bytes, size_t len, int64_t offset)
{
    return write_to_disk(fd, bytes, len, offset);
}

int fdatasync(int fd)
{
    if (disk == DISK_FAILS) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static int append_one(struct store *s, uint64_t seq)
{
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")});
    int err = store_append(s, &e, 1, 0);
    event_unref(&e);
    return err;
}

START_TEST(a_disk_that_fails_changes_nothing_and_may_work_again)
{
    struct store *s = open_store();
    append(s, 5, 1, 0, S("x"));
    disk = DISK_FAILS;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(append_one(s, 6), -EIO);
    disk = DISK_FINE;
    append(s, 6, 1, 0, S("x"));
    struct store_stats stats = store_stats(s);
    ck_assert_uint_eq(stats.failures, 3);
    ck_assert_uint_eq(stats.commits, 2);
    store_free(&s);
    assert_holds("5 6", 0);
}
END_TEST

START_TEST(what_was_written_and_reported_as_failed_is_taken_back)
{
    struct store *s = open_store();
    append(s, 5, 1, 0, S("x"));
    disk = DISK_FAILS_AFTER_HEAD;
    data_written_to = -1;
    ck_assert_int_eq(append_one(s, 6), -EIO);
    disk = DISK_FINE;
    ck_assert_int_eq(append_one(s, 6), 0);
    ck_assert_int_eq(append_one(s, 7), 0);
    store_free(&s);
    assert_holds("5 6 7", 0);
}
END_TEST

/* The change that failed trims the event that its own event replaces, and it is on the disk. */
START_TEST(what_was_written_and_reported_as_failed_loses_no_key)
{
    struct store *s = open_store();
    struct state *state = keep_state(s);
    set_key(s, state, 5, "a", false, 0);
    append(s, 6, 1, 0, S("x"));
    disk = DISK_FAILS_AFTER_HEAD;
    data_written_to = -1;
    ck_assert_int_eq(set_key(s, state, 7, "a", true, 5), -EIO);
    disk = DISK_FINE;
    append(s, 7, 1, 0, S("x"));
    ck_assert_str_eq(load(s).text, "k5 6 7");
    ck_assert_uint_eq(store_trimmed(s), 5);
    ck_assert_int_eq(set_key(s, state, 8, "a", true, 0), 0);
    append(s, 9, 1, 8, S("x"));
    store_free(&s);
    state_free(&state);
    assert_holds("9", 8);
}
END_TEST

START_TEST(it_says_how_it_is_doing)
{
    static char data[1000];
    struct store *s = open_store();
    memset(data, 'x', sizeof data);
    append(s, 1, 1000, 0, (struct slice){data, sizeof data});
    struct store_stats full = store_stats(s);
    ck_assert_uint_gt(full.used_bytes, 1000000);
    ck_assert_uint_ge(full.file_bytes, full.used_bytes);
    ck_assert_uint_eq(full.commits, 1);
    ck_assert_uint_eq(full.failures, 0);
    append(s, 0, 0, 990, S(""));
    struct store_stats empty = store_stats(s);
    ck_assert_uint_lt(empty.used_bytes, 100000);
    ck_assert_uint_ge(empty.file_bytes, full.file_bytes);
    ck_assert_uint_gt(empty.commit_us, full.commit_us);
    store_free(&s);
    ck_assert_uint_eq(store_stats(s).file_bytes, 0);
}
END_TEST

START_TEST(a_second_user_is_refused)
{
    struct store *s = open_store();
    ck_assert_int_eq(refused(), -EBUSY);
    ck_assert_ptr_nonnull(strstr(why, "in use"));
    ck_assert_ptr_nonnull(strstr(why, dir));
    store_free(&s);
    s = open_store();
    store_free(&s);
}
END_TEST

/* Damage: */

static off_t size_of_data(void)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_size;
}

static void fill_and_close(void)
{
    struct store *s = open_store();
    append(s, 5, 2000, 0, S("some text that takes its place"));
    store_free(&s);
}

static void overwrite(off_t at, size_t len, char with)
{
    int fd = open(path, O_WRONLY);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(pwrite(fd, &with, 1, at + (off_t)i), 1);
    close(fd);
}

START_TEST(an_emptied_file_is_refused)
{
    fill_and_close();
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(refused(), -EBADMSG);
    ck_assert_int_eq(size_of_data(), 0);
}
END_TEST

START_TEST(a_cut_file_is_refused)
{
    fill_and_close();
    off_t half = size_of_data() / 2;
    ck_assert_int_eq(truncate(path, half), 0);
    ck_assert_int_eq(refused(), -EBADMSG);
    ck_assert_int_eq(size_of_data(), half);
    ck_assert_ptr_nonnull(strstr(why, "left as it is"));
}
END_TEST

START_TEST(a_file_of_something_else_is_refused)
{
    fill_and_close();
    overwrite(0, 8192, 'x');
    ck_assert_int_eq(refused(), -EBADMSG);
}
END_TEST

/* Where text is in the file; -1: nowhere. */
static off_t find_next(const char *text)
{
    size_t size = (size_t)size_of_data();
    char *bytes = malloc(size);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(pread(fd, bytes, size, 0), (ssize_t)size);
    close(fd);
    const char *at = memmem(bytes, size, text, strlen(text));
    off_t offset = at ? at - bytes : -1;
    free(bytes);
    return offset;
}

static off_t find(const char *text)
{
    off_t offset = find_next(text);
    ck_assert_int_ge(offset, 0);
    return offset;
}

START_TEST(a_damaged_event_is_refused)
{
    fill_and_close();
    overwrite(find("event: m") - 40, 8, '\xff'); /* in the entry's head */
    struct store *s = open_store();
    struct loaded l = {0};
    struct store_loader loader = {take_event, take_run, take_id, take_kept, &l};
    ck_assert_int_eq(store_load(s, &loader, why), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(why, "damaged"));
    store_free(&s);
}
END_TEST

START_TEST(a_damaged_kept_event_is_refused)
{
    struct store *s = open_store();
    struct state *state = keep_state(s);
    struct loaded l = {0};
    struct store_loader loader = {take_event, take_run, take_id, take_kept, &l};
    set_key(s, state, 1, "unusual key", false, 0);
    append(s, 2, 1, 1, S("x"));
    for (uint64_t seq = 3; seq < 40; seq++) /* the pages of the first change are written again */
        append(s, seq, 1, 0, S("x"));
    store_free(&s);
    state_free(&state);
    for (off_t at; (at = find_next("unusual key")) >= 0;)
        overwrite(at, 1, '!');
    s = open_store();
    ck_assert_int_eq(store_load(s, &loader, why), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(why, "damaged"));
    store_free(&s);
}
END_TEST

START_TEST(another_format_is_refused)
{
    fill_and_close();
    overwrite(find("format") + 6, 1, 9);
    ck_assert_int_eq(refused(), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(why, "format 9"));
}
END_TEST

START_TEST(a_place_that_cannot_be_is_refused)
{
    struct store *s;
    ck_assert_int_eq(store_open("/proc/no/such", &s, why), -ENOENT);
    ck_assert_int_eq(store_open("/dev/null", &s, why), -ENOTDIR);
    ck_assert_ptr_nonnull(store_check("nats://x"));
    ck_assert_ptr_nonnull(store_check("memry"));
    ck_assert_ptr_null(store_check("/var/lib/ssecast"));
    ck_assert_ptr_null(store_check("memory"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = one_case(suite, "store");
    tcase_add_checked_fixture(tests, make_place, remove_place);
    tcase_add_test(tests, memory_keeps_nothing_and_succeeds);
    tcase_add_test(tests, what_was_appended_is_there_again);
    tcase_add_test(tests, trimming_forgets_events_and_runs);
    tcase_add_test(tests, everything_can_be_trimmed);
    tcase_add_test(tests, much_is_trimmed_in_steps);
    tcase_add_test(tests, ids_that_were_shown_outlive_their_events);
    tcase_add_test(tests, an_id_that_is_damaged_is_refused);
    tcase_add_test(tests, the_newest_event_of_a_key_outlives_trimming);
    tcase_add_test(tests, a_key_that_expired_is_dropped_without_an_event);
    tcase_add_test(tests, what_was_written_and_reported_as_failed_loses_no_key);
    tcase_add_test(tests, a_damaged_kept_event_is_refused);
    tcase_add_test(tests, the_space_of_what_was_trimmed_is_used_again);
    tcase_add_test(tests, it_grows_beyond_its_first_map);
    tcase_add_test(tests, a_map_is_never_larger_than_the_address_space);
    tcase_add_test(tests, positions_of_more_than_32_bits_keep_their_order);
    tcase_add_test(tests, appending_out_of_order_changes_nothing);
    tcase_add_test(tests, a_full_disk_changes_nothing_and_may_get_room_again);
    tcase_add_test(tests, a_disk_that_fails_changes_nothing_and_may_work_again);
    tcase_add_test(tests, what_was_written_and_reported_as_failed_is_taken_back);
    tcase_add_test(tests, it_says_how_it_is_doing);
    tcase_add_test(tests, a_second_user_is_refused);
    tcase_add_test(tests, an_emptied_file_is_refused);
    tcase_add_test(tests, a_cut_file_is_refused);
    tcase_add_test(tests, a_file_of_something_else_is_refused);
    tcase_add_test(tests, a_damaged_event_is_refused);
    tcase_add_test(tests, another_format_is_refused);
    tcase_add_test(tests, a_place_that_cannot_be_is_refused);
    return run_suite(suite);
}
