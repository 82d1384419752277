/* Who is connected as one who watches knows it:
 * pages and messages in any mixture tell each change once. */
#include "lib/presence_tracker.h"

#include <errno.h>

#include "support.h"

static struct presence_tracker *tracker;
/* "+c1 ^s -c1:client vs:client "; of a snapshot in brackets, inferred with a question mark. */
static char told[1024];
static uint64_t missed;

static void on_change(void *context, const struct tracker_change *c)
{
    static const char signs[] = "+-^v";
    ck_assert_ptr_eq(context, told);
    const char *name = c->type >= SSECAST_SESSION_ONLINE ? c->session : c->connection;
    snprintf(told + strlen(told), sizeof told - strlen(told), "%s%c%s%s%s%s ",
             c->source == TRACKER_PRESENT ? "(" : "", signs[c->type], name, *c->cause ? ":" : "",
             c->cause,
             c->source == TRACKER_PRESENT    ? ")"
             : c->source == TRACKER_INFERRED ? "?"
                                             : "");
}

/* What was told since it was asked last. */
static const char *changes(void)
{
    static char last[sizeof told];
    memcpy(last, told, sizeof told);
    *told = '\0';
    return last;
}

static void begin(void)
{
    *told = '\0';
    tracker = tracker_new(on_change, told);
    ck_assert_ptr_nonnull(tracker);
}

static void end(void)
{
    tracker_free(&tracker);
    ck_assert_ptr_null(tracker);
}

static enum tracker_verdict message(const char *run, uint64_t n, enum ssecast_presence_type type,
                                    const char *connection)
{
    char session[2] = {connection[0], '\0'};
    struct presence_message m = {.type = type,
                                 .run = run,
                                 .n = n,
                                 .connection = connection,
                                 .session = session,
                                 .cause = type == SSECAST_DISCONNECTED ? "client" : "",
                                 .channels = {"x", "y"},
                                 .channel_count = 2,
                                 .at = 5};
    return tracker_message(tracker, &m, &missed);
}

/* A page with these connections (each a letter, its session, and a digit); until: more follow. */
static int page(const char *run, uint64_t n, bool settled, bool more, const char *rows)
{
    for (; *rows; rows += strspn(rows, " ")) {
        char id[8], session[2] = {*rows, '\0'};
        snprintf(id, sizeof id, "%.*s", (int)strcspn(rows, " "), rows);
        struct presence_message row = {.connection = id,
                                       .session = session,
                                       .cause = "",
                                       .run = "",
                                       .channels = {"x"},
                                       .channel_count = 1};
        ck_assert_int_eq(tracker_row(tracker, &row), 0);
        rows += strlen(id);
    }
    return tracker_page(tracker, &(struct presence_page){run, n, settled, more});
}

static void snapshot(const char *run, uint64_t n, bool settled, const char *rows)
{
    tracker_begin(tracker);
    ck_assert_int_eq(page(run, n, settled, false, rows), 0);
    tracker_end(tracker, 9);
}

START_TEST(it_begins_with_who_is_there)
{
    snapshot("r", 7, true, "a1 a2 b1");
    ck_assert_str_eq(changes(), "(+a1) (^a) (+a2) (+b1) (^b) ");
    ck_assert_int_eq(message("r", 8, SSECAST_DISCONNECTED, "b1"), TRACKER_CURRENT);
    ck_assert_int_eq(message("r", 9, SSECAST_SESSION_OFFLINE, "b1"), TRACKER_CURRENT);
    ck_assert_int_eq(message("r", 10, SSECAST_CONNECTED, "a3"), TRACKER_CURRENT);
    ck_assert_str_eq(changes(), "-b1:client vb:client +a3 ");
}
END_TEST

START_TEST(what_the_snapshot_knew_is_no_news)
{
    snapshot("r", 7, true, "a1");
    changes();
    ck_assert_int_eq(message("r", 6, SSECAST_CONNECTED, "a1"), TRACKER_CURRENT);
    ck_assert_int_eq(message("r", 7, SSECAST_DISCONNECTED, "z9"), TRACKER_CURRENT);
    ck_assert_str_eq(changes(), "");
}
END_TEST

START_TEST(each_page_counts_for_its_own_connections)
{
    tracker_begin(tracker);
    page("r", 5, true, true, "a1 a2");
    ck_assert_str_eq(tracker_after(tracker), "a2");
    page("r", 8, true, false, "b1 b2");
    tracker_end(tracker, 0);
    changes();
    message("r", 6, SSECAST_DISCONNECTED, "a1"); /* after the first page was written */
    message("r", 7, SSECAST_CONNECTED, "b1");    /* before the second */
    message("r", 8, SSECAST_DISCONNECTED, "b9");
    message("r", 9, SSECAST_DISCONNECTED, "b1");
    ck_assert_str_eq(changes(), "-a1:client -b1:client ");
}
END_TEST

START_TEST(a_hole_is_seen_and_made_up_for)
{
    snapshot("r", 1, true, "a1 b1 c1");
    changes();
    ck_assert_int_eq(message("r", 4, SSECAST_CONNECTED, "d1"), TRACKER_MISSED);
    ck_assert_uint_eq(missed, 2);
    snapshot("r", 6, true, "a1 d1 e1");
    const char *got = changes(); /* who is gone, is told in any order */
    if (!strstr(got, "-c1? vc? -b1?"))
        ck_assert_str_eq(got, "+d1 ^d +e1? ^e? -b1? vb? -c1? vc? ");
    else
        ck_assert_str_eq(got, "+d1 ^d +e1? ^e? -c1? vc? -b1? vb? ");
}
END_TEST

START_TEST(a_message_that_waited_says_why_one_is_not_there)
{
    snapshot("r", 1, true, "a1 b1");
    message("r", 3, SSECAST_CONNECTED, "c1");
    changes();
    tracker_begin(tracker);
    page("r", 9, true, false, "a1 c1");
    ck_assert_int_eq(message("r", 8, SSECAST_DISCONNECTED, "b1"), TRACKER_CURRENT);
    tracker_end(tracker, 0);
    ck_assert_str_eq(changes(), "-b1:client vb:client ");
}
END_TEST

START_TEST(a_fresh_broker_is_not_believed_who_is_gone)
{
    snapshot("r", 50, true, "a1 b1 c1");
    changes();
    ck_assert_int_eq(message("s", 1, SSECAST_CONNECTED, "d1"), TRACKER_RESTARTED);
    snapshot("s", 2, false, "d1 a1");
    ck_assert_str_eq(changes(), "+d1 ^d ");
    ck_assert(tracker_incomplete(tracker));
    ck_assert_int_eq(message("r", 51, SSECAST_DISCONNECTED, "a1"), TRACKER_CURRENT); /* older */
    ck_assert_int_eq(message("s", 3, SSECAST_DISCONNECTED, "b1"), TRACKER_CURRENT);
    snapshot("s", 3, true, "a1 d1");
    ck_assert_str_eq(changes(), "-b1:client vb:client -c1? vc? ");
    ck_assert(!tracker_incomplete(tracker));
}
END_TEST

START_TEST(pages_of_two_runs_make_no_snapshot)
{
    tracker_begin(tracker);
    page("r", 5, true, true, "a1");
    ck_assert_int_eq(page("s", 1, false, false, ""), -ESTALE);
}
END_TEST

START_TEST(a_look_tells_what_did_not_come)
{
    snapshot("r", 5, true, "a1");
    struct presence_page at = {"r", 5, true, false};
    ck_assert_int_eq(tracker_look(tracker, &at, &missed), TRACKER_CURRENT);
    at.n = 8;
    ck_assert_int_eq(tracker_look(tracker, &at, &missed), TRACKER_MISSED);
    ck_assert_uint_eq(missed, 3);
    at.run = "s";
    ck_assert_int_eq(tracker_look(tracker, &at, &missed), TRACKER_RESTARTED);
}
END_TEST

/* A broker with a history of changes, one who watches with losses:
 * what was told is always who is there, nothing twice. */
START_TEST(what_is_told_adds_up)
{
    struct dice dice = dice_new();
    bool there[26] = {0}, known[26] = {0};
    uint64_t n = 0;
    char id[3] = "a1", rows[128];
    printf("tracker: SEED=%" PRIu64 "\n", dice.state);
    snapshot("r", 0, true, "");
    for (int round = 0; round < 20000; round++) {
        unsigned c = (unsigned)roll(&dice, 26);
        there[c] = !there[c];
        n++;
        id[0] = (char)('a' + c);
        bool lost = roll(&dice, 20) == 0;
        enum tracker_verdict verdict =
            lost ? TRACKER_CURRENT
                 : message("r", n, there[c] ? SSECAST_CONNECTED : SSECAST_DISCONNECTED, id);
        if (verdict == TRACKER_MISSED) {
            *rows = '\0';
            for (int i = 0; i < 26; i++)
                if (there[i])
                    sprintf(rows + strlen(rows), "%c1 ", 'a' + i);
            snapshot("r", n, true, rows);
        }
        for (char *word = strtok(told, " "); word; word = strtok(NULL, " ")) {
            if (*word != '+' && *word != '-')
                continue;
            ck_assert_msg(known[word[1] - 'a'] == (*word == '-'), "told twice: %s", word);
            known[word[1] - 'a'] = *word == '+';
        }
        *told = '\0';
        if (!lost)
            ck_assert(memcmp(known, there, sizeof known) == 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tracker");
    TCase *tests = one_case(suite, "tracker");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, it_begins_with_who_is_there);
    tcase_add_test(tests, what_the_snapshot_knew_is_no_news);
    tcase_add_test(tests, each_page_counts_for_its_own_connections);
    tcase_add_test(tests, a_hole_is_seen_and_made_up_for);
    tcase_add_test(tests, a_message_that_waited_says_why_one_is_not_there);
    tcase_add_test(tests, a_fresh_broker_is_not_believed_who_is_gone);
    tcase_add_test(tests, pages_of_two_runs_make_no_snapshot);
    tcase_add_test(tests, a_look_tells_what_did_not_come);
    tcase_add_test(tests, what_is_told_adds_up);
    return run_suite(suite);
}
