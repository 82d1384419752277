#include "lib/presence_tracker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"

#define RUN_MAX 64

struct tracked_connection {
    char *texts; /* session ("": none), then the channels, each with its NUL */
    uint32_t channel_count;
    uint32_t seen; /* number of the last snapshot with it, or with a message after that */
};

/* Messages up to n are included in the page for connection ids up to last. */
struct snapshot_page {
    char *last; /* NULL: the last page */
    uint64_t n;
};

struct presence_tracker {
    void (*tell)(void *context, const struct tracker_change *change);
    void *context;
    struct table *members;  /* connection -> struct tracked_connection */
    struct table *sessions; /* -> size_t: number of connections */
    char run[RUN_MAX], former_run[RUN_MAX];
    uint64_t n;        /* of the last message */
    uint32_t snapshot; /* the number of the last one begun; 0: none yet */
    bool complete;     /* a snapshot was completed */
    bool settled;      /* the last snapshot was complete */
    bool doubts;
    struct snapshot_page *pages; /* of the last snapshot */
    size_t page_count;
    char *after; /* the last row's id */
};

/* ---- life ---- */

struct presence_tracker *
tracker_new(void (*tell)(void *context, const struct tracker_change *change), void *context)
{
    struct presence_tracker *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct presence_tracker){.tell = tell, .context = context};
    r->members = table_new(sizeof(struct tracked_connection));
    r->sessions = table_new(sizeof(size_t));
    if (!r->members || !r->sessions)
        tracker_free(&r);
    return r;
}

static void drop_pages(struct presence_tracker *r)
{
    for (size_t i = 0; i < r->page_count; i++)
        free(r->pages[i].last);
    free(r->pages);
    free(r->after);
    r->pages = NULL;
    r->page_count = 0;
    r->after = NULL;
}

void tracker_free(struct presence_tracker **r)
{
    struct tracked_connection *m = NULL;
    if (!*r)
        return;
    while ((*r)->members && (m = table_next((*r)->members, m)))
        free(m->texts);
    table_free(&(*r)->members);
    table_free(&(*r)->sessions);
    drop_pages(*r);
    free(*r);
    *r = NULL;
}

/* ---- reporting ---- */

/* Report a change of this type. */
static void tracker_tell(const struct presence_tracker *r, enum ssecast_presence_type type,
                         const struct tracked_connection *m, struct tracker_change how)
{
    const char *channels[PRESENCE_CHANNELS_MAX], *at = m->texts;
    how.type = type;
    how.session = at;
    for (uint32_t i = 0; i < m->channel_count; i++)
        channels[i] = at += strlen(at) + 1;
    how.channels = channels;
    how.channel_count = m->channel_count;
    r->tell(r->context, &how);
}

static char *copy_texts(const struct presence_message *n)
{
    size_t len = strlen(n->session) + 1;
    for (size_t i = 0; i < n->channel_count; i++)
        len += strlen(n->channels[i]) + 1;
    char *texts = malloc(len), *at = texts;
    if (!texts)
        return NULL;
    at = stpcpy(at, n->session) + 1;
    for (size_t i = 0; i < n->channel_count; i++)
        at = stpcpy(at, n->channels[i]) + 1;
    return texts;
}

static int tracker_add(struct presence_tracker *r, const struct presence_message *n,
                       enum tracker_source source)
{
    bool named = *n->session;
    size_t *session = named ? table_insert(r->sessions, slice_of(n->session)) : NULL;
    struct tracked_connection *m = table_insert(r->members, slice_of(n->connection));
    if (m)
        m->texts = copy_texts(n);
    if ((named && !session) || !m || !m->texts) {
        if (m)
            table_remove(r->members, m);
        if (session && !*session)
            table_remove(r->sessions, session);
        return -ENOMEM;
    }
    m->channel_count = (uint32_t)n->channel_count;
    m->seen = r->snapshot;
    const struct tracker_change how = {
        .source = source, .connection = n->connection, .cause = "", .at = n->at, .whole = n->whole};
    tracker_tell(r, SSECAST_CONNECTED, m, how);
    if (session && ++*session == 1)
        tracker_tell(r, SSECAST_SESSION_ONLINE, m,
                     (struct tracker_change){
                         .source = source, .connection = n->connection, .cause = "", .at = n->at});
    return 0;
}

/* The last texts of how belong to the caller and outlive m. */
static void tracker_drop(struct presence_tracker *r, struct tracked_connection *m,
                         struct tracker_change how)
{
    size_t *session = *m->texts ? table_find(r->sessions, slice_of(m->texts)) : NULL;
    tracker_tell(r, SSECAST_DISCONNECTED, m, how);
    how.whole = (struct slice){0};
    if (session && --*session == 0) {
        tracker_tell(r, SSECAST_SESSION_OFFLINE, m, how);
        table_remove(r->sessions, session);
    }
    free(m->texts);
    table_remove(r->members, m);
}

/* ---- snapshots ---- */

void tracker_begin(struct presence_tracker *r)
{
    drop_pages(r);
    r->snapshot++;
}

int tracker_row(struct presence_tracker *r, const struct presence_message *row)
{
    struct tracked_connection *known = table_find(r->members, slice_of(row->connection));
    char *after = strdup(row->connection);
    if (!after)
        return -ENOMEM;
    free(r->after);
    r->after = after;
    if (!known)
        return tracker_add(r, row, r->complete ? TRACKER_INFERRED : TRACKER_PRESENT);
    known->seen = r->snapshot;
    return 0;
}

static void take_run(struct presence_tracker *r, const char *run)
{
    if (strcmp(r->run, run) == 0)
        return;
    memcpy(r->former_run, r->run, sizeof r->run);
    snprintf(r->run, sizeof r->run, "%s", run);
}

int tracker_page(struct presence_tracker *r, const struct presence_page *page)
{
    if (r->page_count && strncmp(page->run, r->run, RUN_MAX - 1) != 0)
        return -ESTALE;
    struct snapshot_page *pages = realloc(r->pages, (r->page_count + 1) * sizeof *pages);
    if (pages)
        r->pages = pages;

    const char *after = r->after ? r->after : "";
    char *last = pages && page->more ? strdup(after) : NULL;
    if (!pages || (page->more && !last))
        return -ENOMEM;

    if (r->page_count == 0) {
        take_run(r, page->run);
        r->n = page->n;
    }
    r->pages[r->page_count++] = (struct snapshot_page){last, page->n};
    r->settled = page->settled;
    return 0;
}

void tracker_end(struct presence_tracker *r, int64_t now)
{
    struct tracked_connection *next;
    bool keep = r->complete && !r->settled;
    r->doubts = false;
    for (struct tracked_connection *m = table_next(r->members, NULL); m; m = next) {
        next = table_next(r->members, m);
        if (m->seen == r->snapshot)
            continue;
        r->doubts = r->doubts || keep;
        if (!keep) {
            char id[256];
            struct slice name = table_name(m);
            snprintf(id, sizeof id, "%.*s", (int)name.len, name.data);
            tracker_drop(r, m,
                         (struct tracker_change){
                             .source = TRACKER_INFERRED, .connection = id, .cause = "", .at = now});
        }
    }
    r->complete = true;
}

bool tracker_incomplete(const struct presence_tracker *r)
{
    return r->doubts;
}

const char *tracker_after(const struct presence_tracker *r)
{
    return r->after ? r->after : "";
}

/* ---- messages ---- */

/* True when the snapshot includes change n of this connection. */
static bool is_old(const struct presence_tracker *r, const char *connection, uint64_t n)
{
    for (size_t i = 0; i < r->page_count; i++)
        if (!r->pages[i].last || strcmp(connection, r->pages[i].last) <= 0)
            return n <= r->pages[i].n;
    return false;
}

static void end_member(struct presence_tracker *r, struct tracked_connection *m,
                       const struct presence_message *n)
{
    const struct tracker_change how = {.source = TRACKER_MESSAGE,
                                       .connection = n->connection,
                                       .cause = n->cause,
                                       .at = n->at,
                                       .whole = n->whole};
    tracker_drop(r, m, how);
}

/* An end of a connection that was not in the snapshot gives its cause. */
static void explain(struct presence_tracker *r, const struct presence_message *n)
{
    struct tracked_connection *m = table_find(r->members, slice_of(n->connection));
    if (n->type == SSECAST_DISCONNECTED && m && m->seen != r->snapshot)
        end_member(r, m, n);
}

static void tracker_apply(struct presence_tracker *r, const struct presence_message *n)
{
    struct tracked_connection *m = table_find(r->members, slice_of(n->connection));
    if (n->type == SSECAST_CONNECTED && !m) {
        if (tracker_add(r, n, TRACKER_MESSAGE) != 0)
            r->n--; /* out of memory: it counts as missing, which the next message shows */
    } else if (n->type == SSECAST_CONNECTED) {
        m->seen = r->snapshot;
    } else if (n->type == SSECAST_DISCONNECTED && m) {
        end_member(r, m, n);
    }
}

/* A message is applied also when it shows that others before it are missing. */
enum tracker_verdict tracker_message(struct presence_tracker *r, const struct presence_message *m,
                                     uint64_t *missed)
{
    *missed = 0;
    if (strncmp(m->run, r->former_run, RUN_MAX - 1) == 0)
        return TRACKER_CURRENT;
    if (strncmp(m->run, r->run, RUN_MAX - 1) != 0) {
        tracker_apply(r, m);
        return TRACKER_RESTARTED;
    }
    explain(r, m);
    if (m->n <= r->n)
        return TRACKER_CURRENT;
    *missed = m->n - r->n - 1;
    r->n = m->n;
    if (!is_old(r, m->connection, m->n))
        tracker_apply(r, m);
    return *missed ? TRACKER_MISSED : TRACKER_CURRENT;
}

enum tracker_verdict tracker_look(const struct presence_tracker *r, const struct presence_page *at,
                                  uint64_t *missed)
{
    *missed = 0;
    if (strncmp(at->run, r->run, RUN_MAX - 1) != 0)
        return TRACKER_RESTARTED;
    *missed = at->n > r->n ? at->n - r->n : 0;
    return *missed ? TRACKER_MISSED : TRACKER_CURRENT;
}
