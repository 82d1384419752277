#include "stream/registry.h"

#include <string.h>

#include "codec/audience.h"
#include "support.h"

#define PEERS 400
#define NAMES 8

/* A connection: what it is in, and how often a route met it. */
struct peer {
    struct registry_entry *entry;
    struct slice session;
    struct slice channels[4];
    size_t channel_count;
    char id[REGISTRY_ID_MAX];
    int met;
};

static struct registry *registry;
static struct peer peers[PEERS];

static void setup(void)
{
    memset(peers, 0, sizeof peers);
    registry = registry_new("w-1a2b");
    ck_assert_ptr_nonnull(registry);
}

static void leave(struct peer *p)
{
    if (p->entry)
        registry_remove(registry, &p->entry);
    ck_assert_ptr_null(p->entry);
}

static void teardown(void)
{
    for (int i = 0; i < PEERS; i++)
        leave(&peers[i]);
    ck_assert_uint_eq(registry_count(registry), 0);
    registry_free(&registry);
    ck_assert_ptr_null(registry);
    registry_free(&registry);
}

static void enter(struct peer *p, struct slice session, const struct slice *channels, size_t count)
{
    p->session = session;
    p->channel_count = count;
    for (size_t i = 0; i < count; i++)
        p->channels[i] = channels[i];
    p->entry =
        registry_add(registry, p, session, (struct names){p->channels, count}, (struct slice){0});
    ck_assert_ptr_nonnull(p->entry);
    registry_id(registry, p->entry, p->id);
}

static void meet(void *owner, void *context)
{
    struct peer *p = owner;
    ck_assert_ptr_null(context);
    ck_assert_ptr_nonnull(p->entry);
    p->met++;
}

static void meet_and_leave(void *owner, void *context)
{
    meet(owner, context);
    leave(owner);
}

static struct event *event_for(enum event_list list, const char *name)
{
    struct slice names[] = {slice_of(name)};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = list < EXCEPT_SESSIONS};
    spec.lists[list] = (struct names){names, 1};
    return event_new(&spec);
}

/* The peers that one event to this name meets: a letter for each, a for the first. */
static const char *met_by(enum event_list list, const char *name)
{
    static char text[PEERS + 1];
    struct event *e = event_for(list, name);
    size_t len = 0;
    for (int i = 0; i < PEERS; i++)
        peers[i].met = 0;
    registry_route(registry, e, meet, NULL);
    event_unref(&e);
    for (int i = 0; i < PEERS; i++)
        for (int times = 0; times < peers[i].met; times++)
            text[len++] = (char)('a' + i);
    text[len] = '\0';
    return text;
}

static void enter_three(void)
{
    enter(&peers[0], S("ann"), (struct slice[]){S("r"), S("s")}, 2);
    enter(&peers[1], S("bob"), (struct slice[]){S("s")}, 1);
    enter(&peers[2], S("ann"), NULL, 0);
}

START_TEST(an_event_meets_those_it_concerns)
{
    enter_three();
    ck_assert_str_eq(met_by(TO_SESSIONS, "ann"), "ac");
    ck_assert_str_eq(met_by(TO_SESSIONS, "bob"), "b");
    ck_assert_str_eq(met_by(TO_SESSIONS, "r"), "");
    ck_assert_str_eq(met_by(TO_CHANNELS, "s"), "ab");
    ck_assert_str_eq(met_by(TO_CHANNELS, "ann"), "");
    ck_assert_str_eq(met_by(TO_CONNECTIONS, peers[2].id), "c");
    ck_assert_str_eq(met_by(EXCEPT_SESSIONS, "ann"), "b");
    ck_assert_str_eq(met_by(EXCEPT_CHANNELS, "r"), "bc");
    ck_assert_str_eq(met_by(EXCEPT_CONNECTIONS, peers[1].id), "ac");
    ck_assert_str_eq(met_by(EXCEPT_SESSIONS, "nobody"), "abc");
}
END_TEST

START_TEST(what_left_is_not_met)
{
    enter_three();
    leave(&peers[0]);
    ck_assert_str_eq(met_by(TO_SESSIONS, "ann"), "c");
    ck_assert_str_eq(met_by(TO_CHANNELS, "r"), "");
    ck_assert_str_eq(met_by(TO_CHANNELS, "s"), "b");
    ck_assert_str_eq(met_by(TO_CONNECTIONS, peers[0].id), "");
    ck_assert_str_eq(met_by(EXCEPT_SESSIONS, "nobody"), "bc");
}
END_TEST

START_TEST(an_id_is_not_given_again)
{
    char first[REGISTRY_ID_MAX];
    enter(&peers[0], S("ann"), NULL, 0);
    memcpy(first, peers[0].id, sizeof first);
    leave(&peers[0]);
    enter(&peers[0], S("ann"), NULL, 0);
    ck_assert_str_ne(first, peers[0].id);
    ck_assert_str_eq(met_by(TO_CONNECTIONS, first), "");
    ck_assert_str_eq(met_by(TO_CONNECTIONS, peers[0].id), "a");
    ck_assert_int_eq(strncmp(first, "w-1a2b", 6), 0);
}
END_TEST

START_TEST(an_id_is_matched_exactly)
{
    char id[2 * REGISTRY_ID_MAX];
    const char *const odd[] = {"",
                               "w",
                               "w-1a2b",
                               "w-1a2b-",
                               "w-1a2b--",
                               "w-1a2b-0",
                               "w-1a2b-ffffffffffffffffff-1",
                               "w-1a2b--1-1",
                               "w-1a2b- 0-1",
                               "w-1a2b-0x0-1",
                               "w-1a2b-00-1",
                               "x-1a2b-0-1"};
    enter(&peers[0], S("ann"), NULL, 0);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        ck_assert_str_eq(met_by(TO_CONNECTIONS, odd[i]), "");
    snprintf(id, sizeof id, "%s0", peers[0].id);
    ck_assert_str_eq(met_by(TO_CONNECTIONS, id), "");
    snprintf(id, sizeof id, "%s%060d", peers[0].id, 0);
    ck_assert_str_eq(met_by(TO_CONNECTIONS, id), "");
}
END_TEST

START_TEST(sessions_are_counted)
{
    enter_three();
    ck_assert_uint_eq(registry_count(registry), 3);
    ck_assert_uint_eq(registry_session_count(registry, S("ann")), 2);
    ck_assert_uint_eq(registry_session_count(registry, S("eve")), 0);
    leave(&peers[2]);
    ck_assert_uint_eq(registry_session_count(registry, S("ann")), 1);
    ck_assert_ptr_eq(registry_session_oldest(registry, S("ann")), peers[0].entry->owner);
    ck_assert_ptr_null(registry_session_oldest(registry, S("nobody")));
    leave(&peers[0]);
    ck_assert_uint_eq(registry_session_count(registry, S("ann")), 0);
}
END_TEST

START_TEST(an_entry_knows_its_names)
{
    struct slice out[4];
    enter_three();
    assert_slice(registry_session(peers[0].entry), S("ann"));
    struct names channels = registry_channels(peers[0].entry, out, 4);
    ck_assert_uint_eq(channels.count, 2);
    assert_slice(channels.items[0], S("r"));
    assert_slice(channels.items[1], S("s"));
    ck_assert_uint_eq(registry_channels(peers[2].entry, out, 4).count, 0);
}
END_TEST

START_TEST(the_one_that_is_met_may_leave)
{
    static const struct {
        enum event_list list;
        const char *name;
    } routes[] = {{TO_SESSIONS, "ann"}, {TO_CHANNELS, "s"}, {EXCEPT_SESSIONS, "nobody"}};
    for (int i = 0; i < 100; i++)
        enter(&peers[i], S("ann"), (struct slice[]){S("s"), S("r")}, 2);
    struct event *e = event_for(routes[_i].list, routes[_i].name);
    registry_route(registry, e, meet_and_leave, NULL);
    event_unref(&e);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(peers[i].met, 1);
    ck_assert_uint_eq(registry_count(registry), 0);
}
END_TEST

START_TEST(each_visits_entries_that_leave_meanwhile)
{
    enter_three();
    registry_each(registry, meet_and_leave, NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(peers[i].met, 1);
    ck_assert_uint_eq(registry_count(registry), 0);
}
END_TEST

/* --- against a model that asks everyone --- */

static struct slice session_pool[NAMES], channel_pool[NAMES];

static void name_all(void)
{
    static char text[2][NAMES][8];
    for (int i = 0; i < NAMES; i++) {
        snprintf(text[0][i], 8, "s%d", i);
        snprintf(text[1][i], 8, "c%d", i);
        session_pool[i] = slice_of(text[0][i]);
        channel_pool[i] = slice_of(text[1][i]);
    }
}

static void random_move(struct dice *dice)
{
    struct peer *p = &peers[roll(dice, PEERS)];
    struct slice channels[4];
    size_t count = roll(dice, 5), first = roll(dice, NAMES);
    if (p->entry) {
        leave(p);
        return;
    }
    for (size_t i = 0; i < count; i++)
        channels[i] = channel_pool[(first + i) % NAMES];
    enter(p, session_pool[roll(dice, NAMES)], channels, count);
}

static struct names random_names(struct dice *dice, int list, struct slice *out)
{
    size_t count = roll(dice, 4);
    /* Perhaps of a peer that left. */
    for (size_t i = 0; i < count; i++)
        out[i] = list % 3 == 0   ? session_pool[roll(dice, NAMES)]
                 : list % 3 == 1 ? channel_pool[roll(dice, NAMES)]
                                 : slice_of(peers[roll(dice, PEERS)].id);
    return (struct names){out, count};
}

static struct event *random_event(struct dice *dice)
{
    struct slice names[EVENT_LISTS][4];
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = roll(dice, 3) != 0};
    for (int list = 0; list < EVENT_LISTS; list++)
        if (list < EXCEPT_SESSIONS ? spec.has_to : roll(dice, 3) == 0)
            spec.lists[list] = random_names(dice, list, names[list]);
    return event_new(&spec);
}

static void assert_routes_like_the_model(struct dice *dice)
{
    struct event *e = random_event(dice);
    for (int i = 0; i < PEERS; i++)
        peers[i].met = 0;
    registry_route(registry, e, meet, NULL);
    for (int i = 0; i < PEERS; i++) {
        const struct peer *p = &peers[i];
        struct audience who = {
            p->session, slice_of(p->id), {p->channels, p->channel_count}, false, false};
        ck_assert_int_eq(p->met, p->entry && event_concerns(e, &who));
    }
    event_unref(&e);
}

START_TEST(it_routes_like_the_model)
{
    struct dice dice = dice_new();
    printf("registry: SEED=%" PRIu64 "\n", dice.state);
    name_all();
    for (int round = 0; round < 6000; round++) {
        random_move(&dice);
        if (round % 3 == 0)
            assert_routes_like_the_model(&dice);
    }
}
END_TEST

START_TEST(one_in_all_channels_meets_what_is_for_any)
{
    struct slice x = S("x"), y = S("y");
    enter(&peers[0], (struct slice){0}, NULL, 0);
    enter(&peers[1], (struct slice){0}, &x, 1);
    enter(&peers[2], (struct slice){0}, &x, 1);
    ck_assert_int_eq(registry_add_to_all(registry, peers[0].entry), 0);
    ck_assert_int_eq(registry_add_to_all(registry, peers[1].entry), 0);

    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){&y, 1};
    struct event *other = event_new(&spec);
    spec.lists[TO_CHANNELS] = (struct names){&x, 1};
    struct event *both = event_new(&spec);
    spec.lists[TO_SESSIONS] = (struct names){&x, 1};
    spec.lists[TO_CHANNELS] = (struct names){0};
    struct event *session = event_new(&spec);

    registry_route(registry, other, meet, NULL);
    ck_assert(peers[0].met == 1 && peers[1].met == 1 && peers[2].met == 0);
    registry_route(registry, both, meet, NULL);
    /* Once, also where it is named. */
    ck_assert(peers[0].met == 2 && peers[1].met == 2 && peers[2].met == 1);
    registry_route(registry, session, meet, NULL);
    ck_assert(peers[0].met == 2 && peers[1].met == 2);

    leave(&peers[0]);
    registry_route(registry, other, meet, NULL);
    ck_assert(peers[0].met == 2 && peers[1].met == 3);
    event_unref(&other);
    event_unref(&both);
    event_unref(&session);
}
END_TEST

/* --- patterns --- */

/* Two patterns that share a beginning, of the topics that these peers get. */
static void enter_with(struct peer *p, const char *first, const char *second)
{
    char why[PATTERN_WHY_MAX];
    struct selector items[2] = {selector_of_topic(slice_of(first), why),
                                selector_of_topic(slice_of(second), why)};
    ck_assert(items[0].kind == SELECTOR_PATTERN && items[1].kind == SELECTOR_PATTERN);
    struct slice x = S("x");
    enter(p, (struct slice){0}, &x, 1);
    ck_assert_int_eq(registry_add_patterns(registry, p->entry, &(struct selectors){items, 2}), 0);
    selector_release(&items[0]);
    selector_release(&items[1]);
}

static struct event *update(struct slice topic, struct slice alternate)
{
    struct slice topics[] = {topic, alternate};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){topics, 2};
    return event_new(&spec);
}

START_TEST(patterns_meet_what_they_match_once)
{
    enter_with(&peers[0], "/a/{id}", "/a{/id}");
    enter_with(&peers[1], "/a/{id}", "/b/{id}");
    enter_with(&peers[2], "/b/{id}", "/c/{id}");
    enter(&peers[3], (struct slice){0}, NULL, 0);
    ck_assert_uint_eq(registry_pattern_weight(registry), 4);

    struct event *both = update(S("/a/1"), S("x")), *alternate = update(S("y"), S("/b/2")),
                 *none = update(S("/d"), S("/a/1/2"));
    registry_route(registry, both, meet, NULL);
    /* The stream x is named. */
    ck_assert(peers[0].met == 1 && peers[1].met == 1 && peers[2].met == 1 && peers[3].met == 0);
    registry_route(registry, alternate, meet, NULL);
    ck_assert(peers[0].met == 1 && peers[1].met == 2 && peers[2].met == 2);
    registry_route(registry, none, meet, NULL);
    ck_assert(peers[0].met == 1 && peers[1].met == 2 && peers[2].met == 2);
    ck_assert(registry_patterns_match(peers[0].entry, both) &&
              !registry_patterns_match(peers[2].entry, both));
    ck_assert(!registry_patterns_match(peers[3].entry, both));

    assert_slice(pattern_text(registry_pattern(peers[2].entry, 1)), S("/c/{id}"));
    leave(&peers[1]);
    ck_assert_uint_eq(registry_pattern_weight(registry), 4);
    leave(&peers[2]);
    ck_assert_uint_eq(registry_pattern_weight(registry), 2);
    event_unref(&both);
    event_unref(&alternate);
    event_unref(&none);
}
END_TEST

/* The last members of several patterns that the event matches leave while it is routed. */
START_TEST(who_is_met_by_a_pattern_may_leave)
{
    struct event *e = update(S("/a/1"), S("/a/2"));
    for (int round = 0; round < 3; round++) {
        enter_with(&peers[0], "/a/{id}", "/a{/id}");
        enter_with(&peers[1], "/a/{id}", "{+any}");
        registry_route(registry, e, meet_and_leave, NULL);
        ck_assert(peers[0].met == round + 1 && peers[1].met == round + 1);
        ck_assert_uint_eq(registry_pattern_weight(registry), 0);
    }
    event_unref(&e);
}
END_TEST

START_TEST(new_patterns_are_counted)
{
    char why[PATTERN_WHY_MAX];
    struct selector items[2] = {selector_of_topic(S("/a/{id}"), why),
                                selector_of_topic(S("/z/{id}"), why)};
    struct selectors list = {items, 2};
    ck_assert_uint_eq(registry_new_pattern_weight(registry, &list), 2);
    enter_with(&peers[0], "/a/{id}", "/b/{id}");
    ck_assert_uint_eq(registry_new_pattern_weight(registry, &list), 1);
    selector_release(&items[0]);
    selector_release(&items[1]);
}
END_TEST

START_TEST(connections_without_a_session_share_nothing)
{
    struct slice x = S("x"), empty = {0};
    for (int i = 0; i < 3; i++)
        enter(&peers[i], empty, &x, 1);
    ck_assert_uint_eq(registry_count(registry), 3);
    ck_assert_uint_eq(registry_session_count(registry, empty), 0);
    ck_assert_ptr_null(registry_session_oldest(registry, empty));
    ck_assert_uint_eq(registry_session(peers[0].entry).len, 0);

    struct slice channels[1];
    ck_assert_uint_eq(registry_channels(peers[0].entry, channels, 1).count, 1);
    leave(&peers[1]);
    ck_assert_uint_eq(registry_count(registry), 2);
}
END_TEST

START_TEST(a_slot_is_found_by_its_generation_alone)
{
    enter(&peers[0], S("a"), NULL, 0);
    struct registry_entry before = *peers[0].entry;
    ck_assert_ptr_eq(registry_find(registry, before.slot, before.generation), &peers[0]);
    ck_assert_ptr_null(registry_find(registry, before.slot + 1, before.generation));
    leave(&peers[0]);
    ck_assert_ptr_null(registry_find(registry, before.slot, before.generation));
    enter(&peers[1], S("b"), NULL, 0);
    ck_assert_uint_eq(peers[1].entry->slot, before.slot);
    ck_assert_ptr_null(registry_find(registry, before.slot, before.generation));
    ck_assert_ptr_null(registry_find(registry, UINT32_MAX, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tests = one_case(suite, "registry");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_event_meets_those_it_concerns);
    tcase_add_test(tests, what_left_is_not_met);
    tcase_add_test(tests, an_id_is_not_given_again);
    tcase_add_test(tests, an_id_is_matched_exactly);
    tcase_add_test(tests, sessions_are_counted);
    tcase_add_test(tests, an_entry_knows_its_names);
    tcase_add_loop_test(tests, the_one_that_is_met_may_leave, 0, 3);
    tcase_add_test(tests, each_visits_entries_that_leave_meanwhile);
    tcase_add_test(tests, it_routes_like_the_model);
    tcase_add_test(tests, one_in_all_channels_meets_what_is_for_any);
    tcase_add_test(tests, patterns_meet_what_they_match_once);
    tcase_add_test(tests, who_is_met_by_a_pattern_may_leave);
    tcase_add_test(tests, new_patterns_are_counted);
    tcase_add_test(tests, connections_without_a_session_share_nothing);
    tcase_add_test(tests, a_slot_is_found_by_its_generation_alone);
    return run_suite(suite);
}
