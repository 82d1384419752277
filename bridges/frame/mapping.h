/* mapping.h - makes the fields of a publish of what another system sends.
 *
 * Pure: bytes in, one JSON object out, as an item of `events` (docs/protocol.md, "publish"). Names
 * and limits are judged by the broker; what would change the meaning of the object is refused
 * here.
 */
#ifndef SSECAST_MAPPING_H
#define SSECAST_MAPPING_H

#include "base/buf.h"

#define MAPPING_WHY 160

enum mapping_payload {
    PAYLOAD_TEXT,    /* delivered as text; must be UTF-8 */
    PAYLOAD_JSON,    /* one JSON value, delivered as it is */
    PAYLOAD_BASE64,  /* any bytes, delivered as base64 */
    PAYLOAD_WRAPPED, /* {"name":...,"payload":...}: the source's name and the payload as a text */
    PAYLOAD_MESSAGE, /* an object with the fields of a publish, and `channel` and `session` */
};

struct mapping {
    const char *channel; /* a channel; MAPPING_NAME stands for the source's name. "": everyone */
    const char *event;   /* an event's name, with MAPPING_NAME likewise */
    enum mapping_payload payload;
    const char *name_field; /* PAYLOAD_WRAPPED: how the source's name is called */
};

#define MAPPING_NAME "%s"

/* What arrived. */
struct mapping_source {
    struct slice name; /* of a topic or channel there */
    struct slice payload;
    const char *id; /* our own id for it, used when a PAYLOAD_MESSAGE has none */
    bool keyed;     /* it is the state of its name */
    bool remove;    /* keyed: the state has gone; the payload is not read */
};

/* Write the object to out. 0; -EINVAL with a line in why; -ENOMEM. out is undefined after an
 * error. */
int mapping_event(const struct mapping *m, const struct mapping_source *s, struct buf *out,
                  char why[MAPPING_WHY]);

/* The columns of a table's row that mean something, with commas between them:
 * what a message may have, except `id`. */
#define MAPPING_ROW_FIELDS "channel,session,event,data,text,to,except,retry,key,remove,ttl,private"

/* The same of a table's row as a JSON object.
 * Members that are null or not in MAPPING_ROW_FIELDS are left out. */
int mapping_row(struct slice object, const char *id, struct buf *out, char why[MAPPING_WHY]);

/* The payload of that name; -1: none. */
int mapping_payload_of(const char *name);

/* NULL when value may be `channel`, else what is accepted. */
const char *mapping_check(const char *value);

/* The same of `event`: names that begin with EVENT_RESERVED are the broker's. */
const char *mapping_check_event(const char *value);

#endif
