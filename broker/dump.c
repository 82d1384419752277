#include "dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/event_json.h"
#include "log/store.h"

static const struct grant everything = {.roles = ROLE_OPERATOR};

struct dump {
    FILE *out;
    struct buf line;
    uint64_t events, first, last; /* count; seqs of the oldest and the newest, 0: none */
    uint64_t ids;                 /* own ids of forgotten events */
    uint64_t kept;                /* forgotten events that were the newest of their keys */
};

/* False when the line cannot be written. */
static bool end_line(struct dump *d)
{
    bool written = !d->line.failed && fwrite(d->line.data, 1, d->line.len, d->out) == d->line.len &&
                   putc('\n', d->out) != EOF;

    d->line.len = 0;
    return written;
}

static bool dump_event(void *context, struct event *e)
{
    struct dump *d = context;

    d->events++;
    d->last = e->seq;
    if (!d->first)
        d->first = e->seq;
    return event_json_put(&d->line, e, &everything) == 0 && end_line(d);
}

/* A later event of the same key may follow. */
static bool dump_kept(void *context, struct event *e)
{
    struct dump *d = context;
    struct buf event = {0};
    int err = event_json_put(&event, e, &everything);

    d->kept++;
    json_begin_object(&d->line, NULL);
    json_put_raw(&d->line, "kept", (struct slice){event.data, event.len});
    json_end_object(&d->line);
    d->line.failed = d->line.failed || event.failed;
    buf_release(&event);
    return err == 0 && end_line(d);
}

static bool dump_epoch(void *context, uint64_t position, bool incomplete)
{
    struct dump *d = context;

    json_begin_object(&d->line, NULL);
    json_put_count(&d->line, "started_at", position);
    json_put_flag(&d->line, "incomplete", incomplete);
    json_end_object(&d->line);
    return end_line(d);
}

/* An id is stored as a hash, which is of no use in the output. */
static bool count_id(void *context, uint64_t hash, uint64_t seq)
{
    struct dump *d = context;
    (void)hash;
    (void)seq;

    d->ids++;
    return true;
}

static bool dump_summary(struct dump *d, const struct store *s)
{
    json_begin_object(&d->line, NULL);
    json_put_count(&d->line, "events", d->events);
    json_put_count(&d->line, "first", d->first);
    json_put_count(&d->line, "last", d->last);
    json_put_count(&d->line, "trimmed", store_trimmed(s));
    json_put_count(&d->line, "past_ids", d->ids);
    json_put_count(&d->line, "kept", d->kept);
    json_put_flag(&d->line, "sound", true);
    json_end_object(&d->line);
    return end_line(d);
}

/* store_open() would create a missing store. */
static bool has_store(const char *dir)
{
    char *file;

    if (asprintf(&file, "%s/data.mdb", dir) < 0)
        return false;

    bool found = access(file, R_OK) == 0;
    if (!found)
        fprintf(stderr, "--dump-store %s: no store found (%s: %s)\n", dir, file, strerror(errno));
    free(file);
    return found;
}

int dump_store(const char *dir, FILE *out)
{
    struct dump d = {.out = out};
    struct store_loader loader = {dump_event, dump_epoch, count_id, dump_kept, &d};
    struct store *store = NULL;
    char why[STORE_WHY_MAX];

    if (!has_store(dir))
        return 1;

    int err = store_open(dir, &store, why);
    err = err ? err : store_load(store, &loader, why);
    if (!err && (!dump_summary(&d, store) || fflush(out) != 0)) {
        err = errno ? errno : EIO;
        snprintf(why, sizeof why, "cannot write: %s", strerror(err));
    }
    if (err)
        fprintf(stderr, "--dump-store: %s\n", why);

    store_free(&store);
    buf_release(&d.line);
    return err ? 1 : 0;
}
