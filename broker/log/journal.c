#include "log/journal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "log/jetstream.h"
#include "ops/log.h"

#define API "$JS.API."
#define SUBJECT_MAX 256

#define HEARTBEAT_MS 1000
#define SILENCE_MS 2500 /* without a heartbeat our reader in the server is gone */
#define BEHIND_MS 3000  /* a reader that is sent nothing more while it is behind is at a server that lacks the rest */
#define QUIET_MS 5000   /* without a message the leader is asked where the stream ends */
#define ANSWER_MS 2000  /* a question is asked again */
#define PAUSE_MS 250    /* after an answer that was no help */
#define REOPEN_MS 2000  /* between attempts to connect anew when a server had refused us */
#define RESEND_MS 1000  /* an offer without an answer is sent again: only one of them can be stored */
#define UNAVAILABLE_MS 100 /* likewise when there was nobody to take it */
#define OVERTAKEN_MS 300   /* what overtook us must come; else our reader is not what it should be */

#define STREAM_TURNS 32u     /* of any size that the stream holds at least ... */
#define STREAM_AGE_MS 60000u /* ... and how long */

#define NO_REPLICAS 10074u
#define NO_ACCOUNT 10039u
#define NOT_ENABLED 10076u
#define NO_PEERS 10005u

enum stage { AWAY, PAUSED, LOOKING, MAKING, OPENING, READING };

struct journal {
    struct journal_config config;
    struct nats_link *link;
    struct nats_listener *answers, *deliveries;
    char inbox[SUBJECT_MAX];
    uint64_t ends;  /* questions of journal_ask_end() so far */
    uint64_t asked; /* other questions so far; each has its number in its reply subject */

    enum stage stage;
    int64_t asked_at, heard_at; /* clock_ms() */
    int64_t moved_at;           /* clock_ms() of the last message, or since when there may be one */
    uint64_t count;             /* messages that this reader was sent */
    uint64_t target;            /* the stream's last place when it was looked at */
    char created[JETSTREAM_TIME_MAX];
    bool agreed;                 /* the stream's leader has the turn that we took in last */
    uint64_t check_place;        /* not 0: the leader is being asked what stands there ... */
    struct turn_name check_name; /* ... which must be this turn */
    int64_t check_at;            /* clock_ms() */
    bool settings_told;
    bool hopeless, lost;
    char why[NATS_LINK_WHY_MAX];

    uint64_t place;          /* taken in up to here */
    struct turn_name last;   /* the last turn taken in ... */
    uint64_t last_place;     /* ... and where it stands */
    uint64_t end, end_asked; /* where the stream ended; number of the question, 0: it was answered */
    int64_t end_asked_at;
    uint64_t overlap;              /* not 0: the reader begins with this place ... */
    struct turn_name overlap_name; /* ... which must hold this turn */
    int64_t last_ms;               /* unix time of the last message */

    struct buf offer; /* the turn under way; no data: none is */
    struct turn_name offered;
    uint64_t offer_place;
    uint64_t offers, sends; /* so far */
    uint64_t first_send;    /* of this turn: answers to earlier ones are about others */
    bool sent;
    int64_t offered_us;   /* clock_us() */
    int64_t resend_at;    /* clock_ms() */
    int64_t overtaken_at; /* the engine said so; 0: it did not */
    struct store_stats stats;
};

/* --- options --- */

static size_t scheme_len(const char *one)
{
    return strncmp(one, "nats://", 7) == 0 ? 7 : strncmp(one, "tls://", 6) == 0 ? 6 : 0;
}

/* A host, and what may stand beside it. */
static bool is_server(const char *one, size_t len)
{
    size_t scheme = scheme_len(one);
    return len > scheme && one[scheme] != ':' && !memchr(one, ' ', len) && !memchr(one + scheme, '/', len - scheme);
}

const char *journal_check(const char *where)
{
    static const char *const accepted = "nats://HOST:PORT or tls://HOST:PORT, with commas between several";
    if (!scheme_len(where))
        return accepted;
    for (const char *at = where; *at;) {
        size_t len = strcspn(at, ",");
        if (!is_server(at, len))
            return accepted;
        at += len + (at[len] == ',');
    }
    return *where ? NULL : accepted;
}

const char *journal_check_stream(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return "letters, digits, - and _, at most 64";
    return *name && strlen(name) <= 64 ? NULL : "letters, digits, - and _, at most 64";
}

/* --- asking --- */

/* A question's reply subject says what it was: inbox, a letter, its number. */
static void put_reply_subject(const struct journal *j, char kind, uint64_t number, char out[SUBJECT_MAX])
{
    snprintf(out, SUBJECT_MAX, "%.200s.%c.%" PRIu64, j->inbox, kind, number);
}

static void ask(struct journal *j, char kind, const char *verb, struct slice body, int64_t now)
{
    char subject[SUBJECT_MAX], reply[SUBJECT_MAX];
    put_reply_subject(j, kind, ++j->asked, reply);
    snprintf(subject, sizeof subject, API "%s.%s", verb, j->config.stream);
    nats_link_send(j->link, subject, reply, NULL, NULL, body); /* when it is lost it is asked again */
    j->asked_at = now;
}

void journal_ask_end(struct journal *j, int64_t now)
{
    char subject[SUBJECT_MAX], reply[SUBJECT_MAX];
    j->end_asked = ++j->ends;
    j->end_asked_at = now;
    if (!j->link)
        return;
    put_reply_subject(j, 'e', j->end_asked, reply);
    snprintf(subject, sizeof subject, API "STREAM.INFO.%s", j->config.stream);
    nats_link_send(j->link, subject, reply, NULL, NULL, (struct slice){0});
}

bool journal_came_to_end(const struct journal *j)
{
    return !j->end_asked && j->place >= j->end;
}

/* What we have read may not be what the stream's leader has. */
static void doubt(struct journal *j)
{
    j->agreed = false;
    j->check_place = 0;
}

/* Look at the stream, and read it from there on where we are. */
static void look(struct journal *j, int64_t now)
{
    nats_link_unlisten(&j->deliveries);
    doubt(j);
    j->stage = LOOKING;
    ask(j, 'i', "STREAM.INFO", (struct slice){0}, now);
}

static void pause_asking(struct journal *j, int64_t now)
{
    nats_link_unlisten(&j->deliveries);
    doubt(j);
    j->stage = PAUSED;
    j->asked_at = now;
}

static uint64_t at_least(uint64_t limit, uint64_t least)
{
    return limit < least ? least : limit;
}

/* It holds what the history does; and several turns, however small the history is: bans are written anew before it forgets them. */
static void make_stream(struct journal *j, int64_t now)
{
    struct buf body = {0};
    struct jetstream_stream stream = {.name = j->config.stream,
                                      .replicas = j->config.replicas,
                                      .max_messages = at_least(j->config.limits.events, STREAM_TURNS),
                                      .max_bytes = at_least(j->config.limits.bytes, STREAM_TURNS * journal_room(j)),
                                      .max_age_ms = at_least(j->config.limits.age_ms, STREAM_AGE_MS)};
    jetstream_put_stream(&body, &stream);
    j->stage = MAKING;
    ask(j, 'm', "STREAM.CREATE", (struct slice){body.data, body.len}, now);
    buf_release(&body);
}

static void open_reader(struct journal *j, uint64_t start, int64_t now)
{
    struct buf body = {0};
    char deliver[SUBJECT_MAX];
    j->stage = OPENING;
    j->count = 0;
    snprintf(deliver, sizeof deliver, "%.200s-d.%" PRIu64, j->inbox, j->asked + 1);
    j->deliveries = nats_link_listen(j->link, deliver);
    jetstream_put_consumer(&body, j->config.stream, deliver, start, HEARTBEAT_MS);
    ask(j, 'o', "CONSUMER.CREATE", (struct slice){body.data, body.len}, now);
    buf_release(&body);
}

/* --- what is wrong --- */

/* Say it once. */
static void complain(struct journal *j, const char *why)
{
    if (strcmp(j->why, why) == 0)
        return;
    snprintf(j->why, sizeof j->why, "%s", why);
    log_warn("the store is not available: %s", why);
}

static void end_complaint(struct journal *j)
{
    if (j->why[0])
        log_info("the store is available again");
    j->why[0] = '\0';
}

static void complain_of(struct journal *j, const char *what, const struct jetstream_reply *r)
{
    char line[NATS_LINK_WHY_MAX];
    bool small = r->error == NO_REPLICAS || r->error == NO_PEERS;
    snprintf(line, sizeof line, "%s: %.150s%s", what, r->why[0] ? r->why : "no reason given",
             small ? "; --store-replicas asks for more servers with JetStream than there are" : "");
    j->hopeless = r->error == NO_REPLICAS || r->error == NO_ACCOUNT || r->error == NOT_ENABLED;
    complain(j, line);
}

/* The stream is not what we have read. */
static void lose(struct journal *j, const char *how)
{
    log_error("the stream %s %s; who may miss something is told (ssecast.gap)", j->config.stream, how);
    j->place = j->last_place = j->overlap = 0;
    j->last = (struct turn_name){0};
    j->lost = true;
}

static void end_offer(struct journal *j)
{
    buf_release(&j->offer);
}

static bool is_under_way(const struct journal *j)
{
    return j->offer.data != NULL;
}

/* --- answers --- */

static void tell_settings(struct journal *j, const struct jetstream_reply *r)
{
    const struct history_limits *l = &j->config.limits;
    if (j->settings_told)
        return;
    j->settings_told = true;
    if (r->replicas < j->config.replicas)
        log_warn("the stream %s was made with %" PRIu64 " replica(s), --store-replicas is %" PRIu64, j->config.stream,
                 r->replicas, j->config.replicas);
    bool less = (r->max_messages && r->max_messages < l->events) || (r->max_bytes && r->max_bytes < l->bytes) ||
                (r->max_age_ms && r->max_age_ms < l->age_ms);
    if (less)
        log_warn("the stream %s was made to hold less than --history-events, --history-bytes or --history-age say; a "
                 "broker that starts finds only that",
                 j->config.stream);
}

/* Is it still the stream that we have read up to place? What stands there is looked at when the reader begins. */
static void compare(struct journal *j, const struct jetstream_reply *r)
{
    bool other = j->created[0] && strcmp(j->created, r->created) != 0;
    memcpy(j->created, r->created, sizeof j->created);
    if (!j->place)
        return;
    if (other)
        lose(j, "was made anew");
    else if (r->last < j->place)
        lose(j, "lost its end, or is an older copy");
    else if (!r->messages && r->last > j->place)
        lose(j, "was emptied before all of it was read");
}

static void on_info(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->error == JETSTREAM_STREAM_NOT_FOUND) {
        make_stream(j, now);
        return;
    }
    if (r->code) {
        complain_of(j, "the stream cannot be looked at", r);
        pause_asking(j, now);
        return;
    }
    tell_settings(j, r);
    compare(j, r);
    j->target = r->last;
    if (!r->messages && !j->place)
        j->place = r->last;
    j->overlap = j->last_place && j->last_place >= r->first && r->messages ? j->last_place : 0;
    j->overlap_name = j->last; /* an answer on its way may change that before the reader comes to it */
    open_reader(j, j->overlap ? j->overlap : j->place + 1, now);
}

static void on_made(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->code && r->error != JETSTREAM_NAME_IN_USE) {
        complain_of(j, "the stream cannot be made", r);
        pause_asking(j, now);
        return;
    }
    if (!r->code)
        log_info("the stream %s was made, with %" PRIu64 " replica(s)", j->config.stream, j->config.replicas);
    look(j, now);
}

static void on_opened(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->code) {
        complain_of(j, "the stream cannot be read", r);
        pause_asking(j, now);
        return;
    }
    j->stage = READING;
    j->heard_at = j->moved_at = now;
}

/* --- does the leader have what we have read? --- */

/* The reader may be at a server whose copy of the stream went another way. nats-server before 2.10.23 keeps what a
 * leader without a majority had written. Only the leader knows what the stream is. */
static bool has_read_all(const struct journal *j)
{
    return j->stage == READING && !j->overlap && !j->lost && j->place >= j->target;
}

static void ask_leader(struct journal *j, int64_t now)
{
    struct buf body = {0};
    MUST(j->last_place <= j->place);
    j->check_place = j->last_place;
    j->check_name = j->last;
    j->check_at = now;
    jetstream_put_get(&body, j->check_place);
    ask(j, 'g', "STREAM.MSG.GET", (struct slice){body.data, body.len}, now);
    buf_release(&body);
}

static void check(struct journal *j, int64_t now)
{
    if (j->agreed || !has_read_all(j))
        return;
    if (!j->last_place) {
        j->agreed = true;
        end_complaint(j);
    } else if (!j->check_place)
        ask_leader(j, now);
}

static void on_checked(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    struct turn t;
    if (r->code && r->error != JETSTREAM_NO_MESSAGE)
        return; /* it is asked again */

    bool is_gone = r->error == JETSTREAM_NO_MESSAGE; /* the stream holds only so much, or never came so far */
    if (is_gone && j->check_place > j->target) {
        look(j, now);
        return;
    }

    bool same = turn_get((struct slice){r->begin, r->begin_len}, &t) == 0 && turn_same_name(&t.name, &j->check_name);
    j->check_place = 0;
    j->agreed = is_gone || same;
    if (j->agreed) {
        end_complaint(j);
        return;
    }
    lose(j, "is another at its leader than where it was read");
    pause_asking(j, now);
}

/* --- the turn under way --- */

static void send_offer(struct journal *j, int64_t now)
{
    char reply[SUBJECT_MAX], expected[24];
    put_reply_subject(j, 'a', ++j->sends, reply);
    snprintf(expected, sizeof expected, "%" PRIu64, j->offer_place);
    struct slice message = {j->offer.data, j->offer.len};
    if (nats_link_send(j->link, j->config.stream, reply, "Nats-Expected-Last-Sequence", expected, message) == 0)
        j->sent = true;
    j->resend_at = now + RESEND_MS;
}

void journal_offer(struct journal *j, struct buf *message, struct turn *t, int64_t now)
{
    t->name = (struct turn_name){j->config.broker, ++j->offers};
    t->forerunner = j->last;
    t->place = j->place;
    turn_put_head(message->data, t);
    j->offer = *message;
    *message = (struct buf){0};
    j->offered = t->name;
    j->offer_place = j->place;
    j->offered_us = clock_us();
    j->first_send = j->sends + 1;
    j->sent = false;
    j->overtaken_at = 0;
    send_offer(j, now);
}

bool journal_give_up(struct journal *j)
{
    j->stats.failures++;
    end_offer(j);
    if (j->sent)
        doubt(j); /* a leader that was cut off may have kept it for itself */
    return !j->sent;
}

static void take_own(struct journal *j, uint64_t sequence, int64_t unix_ms)
{
    j->place = j->last_place = sequence;
    j->last = j->offered;
    j->last_ms = unix_ms;
    j->stats.commits++;
    j->stats.commit_us += (uint64_t)(clock_us() - j->offered_us);
    end_offer(j);
}

static enum journal_news on_acknowledged(struct journal *j, uint64_t number, const struct nats_link_message *m,
                                         int64_t now)
{
    struct jetstream_reply r;
    if (!is_under_way(j) || number < j->first_send)
        return JOURNAL_NOTHING;
    if (m->status || jetstream_get_reply(m->data, &r) != 0 || r.code >= 500) {
        if (number == j->sends)
            j->resend_at = now + UNAVAILABLE_MS;
        return JOURNAL_NOTHING;
    }
    if (!r.code && r.sequence == j->offer_place + 1) {
        take_own(j, r.sequence, clock_unix_ms());
        return JOURNAL_STORED;
    }
    if (!r.code || r.error == JETSTREAM_WRONG_LAST_SEQUENCE) { /* the stream will show who was first */
        j->overtaken_at = j->overtaken_at ? j->overtaken_at : now;
        j->resend_at = INT64_MAX;
        return JOURNAL_NOTHING;
    }
    snprintf(j->why, sizeof j->why, "%.200s", r.why);
    j->stats.failures++;
    end_offer(j);
    return JOURNAL_REFUSED;
}

static enum journal_news on_end(struct journal *j, uint64_t number, const struct nats_link_message *m, int64_t now)
{
    struct jetstream_reply r;
    if (number != j->end_asked || m->status || jetstream_get_reply(m->data, &r) != 0 || r.code)
        return JOURNAL_NOTHING; /* it is asked again */
    j->end = r.last;
    j->end_asked = 0;
    if (j->target < r.last) {
        j->target = r.last;
        j->moved_at = now;
    }
    return JOURNAL_NOTHING;
}

static enum journal_news on_answer(struct journal *j, const struct nats_link_message *m, int64_t now)
{
    struct jetstream_reply r;
    const char *at = m->subject + strlen(j->inbox) + 1;
    uint64_t number = strtoull(at + 2, NULL, 10);
    if (*at == 'a')
        return on_acknowledged(j, number, m, now);
    if (*at == 'e')
        return on_end(j, number, m, now);
    if (number != j->asked)
        return JOURNAL_NOTHING; /* it was asked again meanwhile */
    if (m->status || jetstream_get_reply(m->data, &r) != 0) {
        complain(j, "no JetStream at the server, or not yet");
        pause_asking(j, now);
        return JOURNAL_NOTHING;
    }
    if (*at == 'i' && j->stage == LOOKING)
        on_info(j, &r, now);
    else if (*at == 'm' && j->stage == MAKING)
        on_made(j, &r, now);
    else if (*at == 'o' && j->stage == OPENING)
        on_opened(j, &r, now);
    else if (*at == 'g' && j->check_place)
        on_checked(j, &r, now);
    return JOURNAL_NOTHING;
}

/* --- what the stream brings --- */

/* The server's own words to a reader: it is asked whether it keeps up, and what it was sent so far. */
static void on_word(struct journal *j, const struct nats_link_message *m, int64_t now)
{
    const char *stalled = nats_link_header(m, "Nats-Consumer-Stalled");
    const char *count = nats_link_header(m, "Nats-Last-Consumer");
    if (m->reply || stalled)
        nats_link_send(j->link, m->reply ? m->reply : stalled, NULL, NULL, NULL, (struct slice){0});
    if (count && strtoull(count, NULL, 10) != j->count)
        look(j, now); /* something was lost on the way */
}

/* The reader begins with what was taken in last, if it is still there. False: what stands there is something else. */
static bool overlaps(struct journal *j, uint64_t sequence, struct slice message)
{
    struct turn t;
    uint64_t overlap = j->overlap;
    j->overlap = 0;
    return sequence != overlap || (turn_get(message, &t) == 0 && turn_same_name(&t.name, &j->overlap_name));
}

/* The message at the next place. */
static enum journal_news take_in(struct journal *j, const struct jetstream_delivery *d, struct slice message,
                                 struct journal_turn *out)
{
    bool is_turn = turn_get(message, &out->turn) == 0 && out->turn.place + 1 == d->sequence;
    bool rival = is_under_way(j) && d->sequence > j->offer_place;
    if (rival && is_turn && turn_same_name(&out->turn.name, &j->offered)) {
        take_own(j, d->sequence, d->unix_ms);
        return JOURNAL_STORED;
    }
    if (rival)
        end_offer(j);
    j->place = d->sequence;
    j->last_ms = d->unix_ms;
    if (!is_turn) {
        log_debug("the stream's message %" PRIu64 " is no turn for that place; it is ignored", d->sequence);
        return rival ? JOURNAL_OVERTAKEN : JOURNAL_NOTHING;
    }
    out->linked = turn_same_name(&out->turn.forerunner, &j->last);
    j->last = out->turn.name;
    j->last_place = d->sequence;
    if (j->last.broker == j->config.broker)
        doubt(j); /* one that was given up, and stored nevertheless: by whom? */
    return JOURNAL_TURN;
}

static enum journal_news on_delivered(struct journal *j, const struct nats_link_message *m, int64_t now,
                                      struct journal_turn *out)
{
    struct jetstream_delivery d;
    j->heard_at = now;
    if (m->status) {
        on_word(j, m, now);
        return JOURNAL_NOTHING;
    }
    if (!jetstream_get_delivery(m->reply, &d))
        return JOURNAL_NOTHING;
    j->moved_at = now;
    if (d.count != ++j->count) {
        look(j, now);
        return JOURNAL_NOTHING;
    }
    if (j->overlap && !overlaps(j, d.sequence, m->data)) {
        lose(j, "is another than before");
        look(j, now);
        return JOURNAL_NOTHING;
    }
    return d.sequence > j->place ? take_in(j, &d, m->data, out) : JOURNAL_NOTHING;
}

static enum journal_news on_message(struct journal *j, const struct nats_link_message *m, int64_t now,
                                    struct journal_turn *out)
{
    if (m->listener && m->listener == nats_link_listener_id(j->answers))
        return on_answer(j, m, now);
    if (m->listener && j->deliveries && m->listener == nats_link_listener_id(j->deliveries))
        return on_delivered(j, m, now, out);
    return JOURNAL_NOTHING; /* of a reader that was given up */
}

/* --- the connection --- */

static int join(struct journal *j, char why[NATS_LINK_WHY_MAX])
{
    char subject[SUBJECT_MAX];
    int err = nats_link_open(&j->config.link, &j->link, why);
    if (err)
        return err;
    snprintf(j->inbox, sizeof j->inbox, "%.200s", nats_link_inbox(j->link));
    snprintf(subject, sizeof subject, "%.200s.>", j->inbox);
    j->answers = nats_link_listen(j->link, subject);
    if (!j->answers)
        return -ENOMEM;
    look(j, clock_ms());
    return 0;
}

static void leave(struct journal *j)
{
    nats_link_unlisten(&j->deliveries);
    nats_link_unlisten(&j->answers);
    nats_link_free(&j->link);
    j->stage = AWAY;
}

static void on_down(struct journal *j)
{
    nats_link_unlisten(&j->deliveries);
    j->stage = AWAY;
    complain(j, "the connection to the server was lost");
}

static void on_up(struct journal *j, int64_t now)
{
    look(j, now);
    if (is_under_way(j) && !j->overtaken_at)
        j->resend_at = now;
}

enum journal_news journal_next(struct journal *j, int64_t now, struct journal_turn *out)
{
    struct nats_link_message m;
    enum journal_news news = JOURNAL_NOTHING;
    while (!news && !j->lost && j->link && nats_link_receive(j->link, &m)) {
        if (m.news == NATS_LINK_MESSAGE)
            news = on_message(j, &m, now, out);
        else if (m.news == NATS_LINK_UP)
            on_up(j, now);
        else
            on_down(j);
        if (m.news == NATS_LINK_CLOSED) {
            leave(j);
            j->asked_at = now;
        }
    }
    if (!news)
        check(j, now);
    if (news || !j->lost)
        return news;
    if (is_under_way(j))
        end_offer(j);
    j->lost = false;
    return JOURNAL_LOST;
}

static bool is_stuck(const struct journal *j, int64_t now)
{
    if (j->stage == READING)
        return now - j->heard_at >= SILENCE_MS || (!has_read_all(j) && now - j->moved_at >= BEHIND_MS) ||
               (is_under_way(j) && j->overtaken_at && now - j->overtaken_at >= OVERTAKEN_MS);
    return now - j->asked_at >= (j->stage == PAUSED ? PAUSE_MS : ANSWER_MS);
}

static void complain_of_silence(struct journal *j)
{
    complain(j, "the server does not answer what it is asked about JetStream: not enabled, not permitted, or not yet");
}

static void check_again(struct journal *j, int64_t now)
{
    complain_of_silence(j);
    j->check_place = 0;
    check(j, now);
}

static void try_again(struct journal *j, int64_t now)
{
    if (j->stage != READING && j->stage != PAUSED)
        complain_of_silence(j);
    if (j->overtaken_at)
        j->overtaken_at = now;
    look(j, now);
}

/* Again without an answer. Now and then when nothing comes: the reader may be at a server that lacks the rest. */
static bool is_end_due(const struct journal *j, int64_t now)
{
    if (j->end_asked)
        return now - j->end_asked_at >= RESEND_MS;
    return has_read_all(j) && now - j->moved_at >= QUIET_MS && now - j->end_asked_at >= QUIET_MS;
}

void journal_tick(struct journal *j, int64_t now)
{
    char why[NATS_LINK_WHY_MAX];
    if (!j->link) {
        if (now - j->asked_at < REOPEN_MS)
            return;
        if (join(j, why) != 0) {
            complain(j, why);
            leave(j);
        }
        j->asked_at = now;
        return;
    }
    if (j->stage == AWAY || !nats_link_connected(j->link))
        return;
    if (is_stuck(j, now))
        try_again(j, now);
    if (j->check_place && now - j->check_at >= ANSWER_MS)
        check_again(j, now);
    if (is_under_way(j) && now >= j->resend_at)
        send_offer(j, now);
    if (is_end_due(j, now))
        journal_ask_end(j, now);
}

/* --- life --- */

int journal_open(const struct journal_config *config, struct journal **out, char why[NATS_LINK_WHY_MAX])
{
    struct journal *j = calloc(1, sizeof *j);
    int err = -ENOMEM;
    snprintf(why, NATS_LINK_WHY_MAX, "out of memory");
    if (j) {
        j->config = *config;
        err = join(j, why);
    }
    if (err)
        journal_free(&j);
    *out = j;
    return err;
}

void journal_free(struct journal **j)
{
    if (!*j)
        return;
    leave(*j);
    buf_release(&(*j)->offer);
    free(*j);
    *j = NULL;
}

/* --- what is known --- */

int journal_fd(const struct journal *j)
{
    return j->link ? nats_link_fd(j->link) : -1;
}

bool journal_ready(const struct journal *j)
{
    return has_read_all(j) && j->agreed;
}

#define HEADER_ROOM 256u /* for the header of an offer */

size_t journal_room(const struct journal *j)
{
    size_t max = j->link ? nats_link_max_message(j->link) : 0;
    return max > HEADER_ROOM ? max - HEADER_ROOM : 0;
}

int64_t journal_last_ms(const struct journal *j)
{
    return j->last_ms;
}

const char *journal_why(const struct journal *j)
{
    return j->why[0] ? j->why : "the engine did not answer in time";
}

bool journal_hopeless(const struct journal *j)
{
    return j->hopeless;
}

struct store_stats journal_stats(const struct journal *j)
{
    return j->stats;
}
