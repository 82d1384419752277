/* Notifications and rows share one delivery: a batch is of the one or of the other. While the
 * database is away, notifications that wait are published on. */
#define LOG_SUBSYSTEM "pgsql"
#include "pgsql/pgsql.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"
#include "pgsql/database.h"
#include "pgsql/notifications.h"
#include "pgsql/outbox_table.h"
#include "pgsql/pgsql_options.h"

#define DATABASE "PostgreSQL"

enum pgsql_batch { BATCH_NONE, BATCH_NOTIFICATIONS, BATCH_ROWS, BATCH_ROWS_DELIVERED };

struct pgsql {
    const struct pgsql_options *options;
    struct frame frame;
    struct mapping mapping;
    struct database *db;
    struct notifications *notifications;
    struct outbox_table *outbox; /* NULL: none */
    bool held;                   /* this bridge works on the table */
    bool look;                   /* there may be rows */
    int64_t look_at;             /* look by then anyway */
    int64_t retry_at;            /* do not look before; the first row could not be read */
    enum pgsql_batch batch;
    bool rows_next; /* notifications had their turn */
};

/* ---- batches ---- */

static bool rows_due(const struct pgsql *p)
{
    int64_t now = clock_ms();
    return p->outbox && database_is_open(p->db) && now >= p->retry_at &&
           (p->look || now >= p->look_at);
}

static void send_notifications(struct pgsql *p)
{
    if (p->batch != BATCH_NONE || !notifications_count(p->notifications) ||
        (p->rows_next && rows_due(p)))
        return;

    notifications_send(p->notifications);
    p->batch = delivery_pending(p->frame.delivery) ? BATCH_NOTIFICATIONS : BATCH_NONE;
    p->rows_next = true;
}

static void on_delivered(void *context)
{
    struct pgsql *p = context;
    MUST(p->batch == BATCH_NOTIFICATIONS || p->batch == BATCH_ROWS);
    if (p->batch == BATCH_ROWS) {
        outbox_table_delivered(p->outbox);
        p->batch = BATCH_ROWS_DELIVERED;
    } else {
        notifications_delivered(p->notifications);
        p->batch = BATCH_NONE;
    }
    delivery_end(p->frame.delivery);
    send_notifications(p);
}

/* Rows that were refused before they were sent have their outcome at once. */
static int read_rows(struct pgsql *p)
{
    bool more = false;
    uint64_t wait_ms = 0;
    p->rows_next = false;
    p->look = false;
    p->look_at = clock_ms() + (int64_t)p->options->poll_ms;
    if (!p->held) {
        int err = outbox_table_lock(p->outbox, p->db, &p->held);
        if (err || !p->held)
            return err;
    }

    /* Nothing else may use the delivery while the query waits. */
    p->batch = BATCH_ROWS_DELIVERED;
    int err = outbox_table_read(p->outbox, p->db, &more, &wait_ms);
    p->look = more;
    if (wait_ms)
        p->retry_at = clock_ms() + (int64_t)wait_ms;
    if (err == -EAGAIN) {
        p->batch = BATCH_NONE;
        return 0;
    }
    if (err || !more)
        p->batch = BATCH_NONE;
    else if (delivery_count(p->frame.delivery)) {
        p->batch = BATCH_ROWS;
        delivery_begin(p->frame.delivery);
    }
    return err;
}

static int settle_rows(struct pgsql *p)
{
    bool stuck = false;
    int err = outbox_table_settle(p->outbox, p->db, &stuck);
    p->batch = BATCH_NONE;
    if (stuck)
        p->look = false; /* until the next notification or poll */
    return err;
}

/* ---- the database ---- */

static void on_notification(void *context, struct slice channel, struct slice payload)
{
    struct pgsql *p = context;
    const struct option_list *names = &p->options->notify;
    if (p->outbox && slice_equal(channel, slice_of(p->options->outbox_notify)))
        p->look = true;
    for (size_t i = 0; i < names->count; i++)
        if (slice_equal(channel, slice_of(names->items[i]))) {
            notifications_add(p->notifications, channel, payload);
            return;
        }
}

static int set_up(struct pgsql *p)
{
    int err = database_open(p->db);
    for (size_t i = 0; i < p->options->notify.count && !err; i++)
        err = database_listen(p->db, p->options->notify.items[i]);
    if (err || !p->outbox)
        return err;

    err = database_listen(p->db, p->options->outbox_notify);
    return err ? err : outbox_table_open(p->outbox, p->db);
}

static int connect_database(struct pgsql *p)
{
    int err = set_up(p);
    p->held = false;
    p->look = true;
    if (err)
        return err;
    frame_connected(&p->frame, DATABASE);
    return 0;
}

static int until_look(const struct pgsql *p)
{
    if (!p->outbox || p->batch != BATCH_NONE)
        return -1; /* the end of the batch ends the wait */
    int64_t at = p->look ? p->retry_at : p->look_at;
    int64_t rest = (at > p->retry_at ? at : p->retry_at) - clock_ms();
    return rest > 0 ? (int)rest : 0;
}

/* One step on the open connection. 0 or -EIO. */
static int pgsql_step(struct pgsql *p)
{
    int err = database_receive(p->db, on_notification, p);
    send_notifications(p);
    if (!err && p->batch == BATCH_ROWS_DELIVERED)
        return settle_rows(p);
    if (!err && p->batch == BATCH_NONE && rows_due(p))
        return read_rows(p);
    if (err)
        return err;

    frame_wait(&p->frame, database_fd(p->db), POLLIN, until_look(p));
    return 0;
}

/* The outcomes of rows are lost with the connection: the rows are read again. */
static void disconnected(struct pgsql *p)
{
    database_close(p->db);
    p->held = false;
    if (p->batch == BATCH_ROWS_DELIVERED)
        p->batch = BATCH_NONE;
    if (!p->frame.stopping)
        frame_back_off(&p->frame, DATABASE, database_why(p->db));
}

static void serve(struct pgsql *p)
{
    while (!p->frame.stopping) {
        int err = database_is_open(p->db) ? pgsql_step(p) : connect_database(p);
        if (err)
            disconnected(p);
    }
}

/* ---- start and end ---- */

static bool create(struct pgsql *p, const char *password)
{
    const struct pgsql_options *o = p->options;
    char prefix[PGSQL_PREFIX_MAX + 1];
    p->mapping = (struct mapping){.channel = o->channel ? o->channel : "",
                                  .event = o->event ? o->event : "",
                                  .payload = (enum mapping_payload)mapping_payload_of(o->payload),
                                  .name_field = "channel"};
    p->frame.delivered = on_delivered;
    p->frame.context = p;
    p->db = database_new(&p->frame, o->dsn ? o->dsn : "", password, o->statement_timeout_ms);
    p->notifications = notifications_new(&p->frame, &p->mapping, o->pending_bytes);
    if (o->outbox) {
        pgsql_id_prefix(o, prefix);
        p->outbox = outbox_table_new(&p->frame, o->outbox, prefix, o->broker.max_event_bytes);
    }
    return p->db && p->notifications && (p->outbox || !o->outbox);
}

static int pgsql_run(struct pgsql *p, const char *password)
{
    bool created = create(p, password);
    if (created)
        serve(p);
    else
        log_error("out of memory");
    outbox_table_free(&p->outbox);
    notifications_free(&p->notifications);
    database_free(&p->db);
    return created ? 0 : 1;
}

static int open_and_run(const struct pgsql_options *o)
{
    struct pgsql p = {.options = o};
    char why[OPTION_WHY_MAX], *password = NULL;
    int status = frame_open(&p.frame, &pgsql_program, &o->broker);
    if (status == 0 && o->password_file &&
        frame_read_secret("password-file", o->password_file, &password, why) != 0) {
        log_error("%s", why);
        status = 2;
    }
    if (status == 0)
        status = pgsql_run(&p, password);
    free(password);
    frame_close(&p.frame);
    return status;
}

int pgsql_main(int argc, char **argv)
{
    struct pgsql_options options = {0};
    enum option_result result = option_load(&pgsql_program, argc, argv, &options, NULL);
    if (result != OPTION_RUN)
        return result == OPTION_EXIT ? 0 : 2;

    int status = open_and_run(&options);
    option_release(&pgsql_program, &options);
    return status;
}
