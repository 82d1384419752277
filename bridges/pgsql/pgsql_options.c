#include "pgsql/pgsql_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "ops/log.h"
#include "pgsql/database.h"

#define IDENTIFIER_MAX 63u /* bytes that PostgreSQL keeps of a name */

static const char *check_identifier(const char *value)
{
    return *value && strlen(value) <= IDENTIFIER_MAX ? NULL : "1 to 63 bytes";
}

static const char *check_payload(const char *value)
{
    int payload = mapping_payload_of(value);
    return payload < 0 || payload == PAYLOAD_BASE64 ? "text, json, wrapped or message" : NULL;
}

#define AT(field) offsetof(struct pgsql_options, field)

static const struct option_row rows[] = {
    {"dsn", "STRING", NULL, "connect to PostgreSQL with this connection string", OPTION_TEXT,
     AT(dsn), 0, 0, NULL},
    {"password-file", "FILE", NULL, "read the database password from FILE", OPTION_TEXT,
     AT(password_file), 0, 0, NULL},
    {"statement-timeout", "DURATION", "10s", "give up connecting or a statement after this",
     OPTION_SECONDS, AT(statement_timeout_ms), 100, 3600000, NULL},
    {"notify", "NAME", NULL, "publish notifications of this PostgreSQL channel", OPTION_LIST,
     AT(notify), 0, 0, check_identifier},
    {"payload", "KIND", "text", "read notifications as text, json, wrapped or message", OPTION_TEXT,
     AT(payload), 0, 0, check_payload},
    {"channel", "NAME", MAPPING_NAME,
     "publish to this channel; " MAPPING_NAME " is the notification's", OPTION_TEXT, AT(channel), 0,
     0, mapping_check},
    {"event", "NAME", MAPPING_NAME,
     "name events so; " MAPPING_NAME " is the notification's channel", OPTION_TEXT, AT(event), 0, 0,
     mapping_check_event},
    {"pending-bytes", "SIZE", "16M", "drop notifications when more waits", OPTION_SIZE,
     AT(pending_bytes), 1024, 0, NULL},
    {"outbox", "TABLE", NULL, "publish and delete the rows of this table", OPTION_TEXT, AT(outbox),
     0, 0, NULL},
    {"outbox-notify", "NAME", "ssecast_outbox",
     "read the table when this PostgreSQL channel notifies", OPTION_TEXT, AT(outbox_notify), 0, 0,
     check_identifier},
    {"id-prefix", "TEXT", NULL, "begin own ids so; the default is pg-TABLE-", OPTION_TEXT,
     AT(id_prefix), 0, 0, NULL},
    {"poll", "DURATION", "10s", "read the table this often without a notification", OPTION_SECONDS,
     AT(poll_ms), 100, 86400000, NULL},
    FRAME_ROWS(struct pgsql_options, broker),
};

void pgsql_id_prefix(const struct pgsql_options *o, char out[PGSQL_PREFIX_MAX + 1])
{
    if (o->id_prefix)
        snprintf(out, PGSQL_PREFIX_MAX + 1, "%s", o->id_prefix);
    else
        snprintf(out, PGSQL_PREFIX_MAX + 1, "pg-%s-", o->outbox);
}

static int check_prefix(const struct pgsql_options *o, char why[OPTION_WHY_MAX])
{
    char prefix[PGSQL_PREFIX_MAX + 1], id[PGSQL_PREFIX_MAX + 8];
    size_t len = o->id_prefix ? strlen(o->id_prefix) : strlen(o->outbox) + 4;
    pgsql_id_prefix(o, prefix);
    snprintf(id, sizeof id, "%s1-1", prefix);
    if (len <= PGSQL_PREFIX_MAX && own_id_valid(slice_of(id)))
        return 0;
    snprintf(
        why, OPTION_WHY_MAX,
        "--id-prefix '%.100s': must be the beginning of an own id: at most %u bytes, not a number",
        prefix, PGSQL_PREFIX_MAX);
    return -EINVAL;
}

static int check_password(const struct pgsql_options *o, char why[OPTION_WHY_MAX])
{
    char *password = NULL;
    int err =
        o->password_file ? frame_read_secret("password-file", o->password_file, &password, why) : 0;
    free(password);
    return err;
}

static int pgsql_options_check(const void *config, char why[OPTION_WHY_MAX])
{
    const struct pgsql_options *o = config;
    if (!o->notify.count && !o->outbox) {
        snprintf(why, OPTION_WHY_MAX, "nothing to publish: set --notify or --outbox");
        return -EINVAL;
    }

    int err = database_check(o->dsn ? o->dsn : "", why);
    if (!err)
        err = check_password(o, why);
    if (!err && o->outbox)
        err = check_prefix(o, why);
    return err ? err : frame_check(&o->broker, why);
}

const struct option_program pgsql_program = {
    .name = "ssecast-pgsql",
    .summary = "publishes what PostgreSQL notifies, and the rows of an outbox table",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = pgsql_options_check,
};
