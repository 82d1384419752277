/* Bans and state of a welcome, which come in pieces. */
#include "upstream/welcome.h"

#include <string.h>

#include "support.h"

static struct welcome welcome;
static struct buf own; /* bans in the welcome itself */

static void teardown(void)
{
    welcome_release(&welcome);
    buf_release(&own);
}

/* The list of a message of bans, with one session. */
static void add_bans(uint64_t run, uint64_t piece, const char *session)
{
    struct buf b = {0};
    struct wire_bans m;
    wire_put_bans(&b, &(struct wire_bans){.run = run, .piece = piece});
    wire_add_ban(&b, slice_of(session), 5);
    ck_assert_int_eq(wire_get_bans(buf_slice(&b), &m), 0);
    welcome_add_bans(&welcome, &m);
    buf_release(&b);
}

static void add_state(uint64_t run, uint64_t piece, uint64_t seq)
{
    struct buf b = {0};
    struct wire_state m;
    struct event *e =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")});
    wire_put_state(&b, &(struct wire_state){.run = run, .piece = piece});
    wire_add_entry(&b, e);
    event_unref(&e);
    ck_assert_int_eq(wire_get_state(buf_slice(&b), &m), 0);
    welcome_add_state(&welcome, &m);
    buf_release(&b);
}

/* A welcome at 100 with these many pieces and a ban of its own. */
static struct wire_welcome arrives(uint64_t run, uint64_t pieces)
{
    struct wire_welcome m;
    buf_release(&own);
    wire_put_welcome(
        &own, &(struct wire_welcome){.run = run, .head = 100, .pieces = pieces, .bans_since = 9});
    wire_add_ban(&own, S("own"), 7);
    ck_assert_int_eq(wire_get_welcome(buf_slice(&own), &m), 0);
    return m;
}

static const char *taken_out(void)
{
    static char text[512];
    struct welcome_item item;
    enum welcome_news news;
    *text = '\0';

    while ((news = welcome_next(&welcome, &item)) != WELCOME_NOTHING) {
        char *end = text + strlen(text);
        size_t room = sizeof text - strlen(text);
        if (news == WELCOME_BAN)
            snprintf(end, room, "%.*s=%d ", (int)item.session.len, item.session.data,
                     (int)item.until_ms);
        else if (news == WELCOME_ALL_BANS)
            snprintf(end, room, "bans@%d-%d ", (int)item.since, (int)item.position);
        else if (news == WELCOME_STATE_CLEAR)
            snprintf(end, room, "clear ");
        else if (news == WELCOME_STATE)
            snprintf(end, room, "%d ", (int)item.event->seq);
        else
            snprintf(end, room, "state@%d", (int)item.position);
    }
    return text;
}

START_TEST(a_welcome_may_be_all_there_is)
{
    struct wire_welcome m = arrives(7, 0);
    ck_assert_str_eq(taken_out(), "");
    ck_assert(welcome_is_complete(&welcome, &m));
    welcome_begin(&welcome, &m);
    ck_assert_str_eq(taken_out(), "own=7 bans@9-100 clear state@100");
    ck_assert_str_eq(taken_out(), "");
}
END_TEST

START_TEST(pieces_apply_before_what_the_welcome_has)
{
    add_bans(7, 1, "a");
    add_bans(7, 2, "b");
    add_state(7, 3, 40);
    add_state(7, 4, 41);
    ck_assert_str_eq(taken_out(), ""); /* they apply with the welcome */
    struct wire_welcome m = arrives(7, 4);
    ck_assert(welcome_is_complete(&welcome, &m));
    welcome_begin(&welcome, &m);
    ck_assert_str_eq(taken_out(), "a=5 b=5 own=7 bans@9-100 clear 40 41 state@100");
    ck_assert(!welcome_is_complete(&welcome, &m)); /* they count once */
}
END_TEST

static const struct {
    uint64_t run, first, second;
} incomplete[] = {{7, 1, 3}, {7, 2, 3}, {7, 2, 2}, {6, 1, 2}, {7, 1, 1}};

START_TEST(without_a_piece_it_is_incomplete)
{
    add_bans(incomplete[_i].run, incomplete[_i].first, "a");
    add_state(incomplete[_i].run, incomplete[_i].second, 40);
    struct wire_welcome m = arrives(7, 2);
    ck_assert(!welcome_is_complete(&welcome, &m));
}
END_TEST

START_TEST(the_first_piece_begins_anew)
{
    add_bans(7, 1, "old");
    add_state(7, 2, 40);
    add_bans(7, 1, "new");
    struct wire_welcome m = arrives(7, 1);
    ck_assert(welcome_is_complete(&welcome, &m));
    welcome_begin(&welcome, &m);
    ck_assert_str_eq(taken_out(), "new=5 own=7 bans@9-100 clear state@100");
}
END_TEST

START_TEST(pieces_of_a_lost_welcome_do_not_count)
{
    add_bans(7, 1, "lost");
    struct wire_welcome m = arrives(8, 0);
    ck_assert(welcome_is_complete(&welcome, &m));
    welcome_begin(&welcome, &m);
    ck_assert_str_eq(taken_out(), "own=7 bans@9-100 clear state@100");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("welcome");
    TCase *tests = one_case(suite, "welcome");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, a_welcome_may_be_all_there_is);
    tcase_add_test(tests, pieces_apply_before_what_the_welcome_has);
    tcase_add_loop_test(tests, without_a_piece_it_is_incomplete, 0,
                        sizeof incomplete / sizeof *incomplete);
    tcase_add_test(tests, the_first_piece_begins_anew);
    tcase_add_test(tests, pieces_of_a_lost_welcome_do_not_count);
    return run_suite(suite);
}
