#include "codec/audience.h"

#include "codec/event_index.h"
#include "events.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Session a, connection c, channels r and s. */
static const struct {
    /* Sessions, channels, connections; comma-separated; NULL: not in the spec. */
    const char *to[3], *except[3];
    bool has_to, concerns, excludes;
} concerned[] = {
    {{0}, {0}, false, true, false},
    {{0}, {0}, true, false, false}, /* an empty `to` is nobody */
    {{"a"}, {0}, true, true, false},
    {{"b"}, {0}, true, false, false},
    {{"b,a"}, {0}, true, true, false},
    {{"A"}, {0}, true, false, false},
    {{"aa,"}, {0}, true, false, false},
    {{NULL, "r"}, {0}, true, true, false},
    {{NULL, "q,s"}, {0}, true, true, false},
    {{NULL, "a,c"}, {0}, true, false, false}, /* no list is mistaken for another */
    {{"r,c"}, {0}, true, false, false},
    {{NULL, NULL, "c"}, {0}, true, true, false},
    {{NULL, NULL, "a,r"}, {0}, true, false, false},
    {{"b", "r", "d"}, {0}, true, true, false}, /* the union */
    {{"b", "q", "c"}, {0}, true, true, false},
    {{"b", "q", "d"}, {0}, true, false, false},
    {{0}, {"a"}, false, false, true},
    {{0}, {"b"}, false, true, false},
    {{0}, {NULL, "s"}, false, false, true},
    {{0}, {NULL, NULL, "c"}, false, false, true},
    {{0}, {"r,s,c", "a,c", "a,r"}, false, true, false},
    {{"a"}, {NULL, "r"}, true, false, true}, /* except wins */
    {{"a"}, {"b", "q", "d"}, true, true, false},
    {{"b"}, {"a"}, true, false, true},
};

static struct names split(const char *text, struct slice *out)
{
    size_t count = 0;
    while (text && *text) {
        out[count] = (struct slice){text, strcspn(text, ",")};
        text += out[count].len + (text[out[count].len] == ',');
        count++;
    }
    return (struct names){out, count};
}

START_TEST(it_concerns_who_is_in_to_and_not_in_except)
{
    struct slice scratch[EVENT_LISTS][8], channels[] = {S("r"), S("s")};
    struct audience who = {S("a"), S("c"), {channels, 2}, false, false};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = concerned[_i].has_to};
    for (int i = 0; i < 3; i++) {
        spec.lists[TO_SESSIONS + i] = split(concerned[_i].to[i], scratch[TO_SESSIONS + i]);
        spec.lists[EXCEPT_SESSIONS + i] =
            split(concerned[_i].except[i], scratch[EXCEPT_SESSIONS + i]);
    }
    struct event *e = make(&spec);
    ck_assert(event_concerns(e, &who) == concerned[_i].concerns);
    ck_assert(event_excludes(e, &who) == concerned[_i].excludes);
    event_unref(&e);
}
END_TEST

START_TEST(a_private_event_stays_private)
{
    struct slice channel = S("r"), session = S("a");
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true, .is_private = true};
    spec.lists[TO_CHANNELS] = (struct names){&channel, 1};
    spec.lists[TO_SESSIONS] = (struct names){&session, 1};
    struct event *e = make(&spec);
    size_t used;
    struct event *again = event_parse(e->entry, &used);
    ck_assert(e->is_private && again && again->is_private);

    struct audience mine = {.session = session, .connection = S("c")};
    struct audience reader = {.connection = S("c"), .channels = {&channel, 1}};
    struct audience all = {.connection = S("c"), .every_channel = true};
    ck_assert(event_names_itself(e, &mine) && !event_names_channel(e, &mine));
    ck_assert(!event_names_itself(e, &reader) && event_names_channel(e, &reader));
    ck_assert(!event_names_itself(e, &all) && event_names_channel(e, &all) &&
              event_concerns(e, &all));

    ck_assert(!event_is_hidden(e, &reader));
    mine.public_only = reader.public_only = true;
    ck_assert(event_is_hidden(e, &reader) && !event_is_hidden(e, &mine));

    e->bytes[5] = 8; /* private without a `to` */
    ck_assert_ptr_null(event_parse(e->entry, &used));
    event_unref(&e);
    event_unref(&again);
}
END_TEST

/* Is who in one of the `except` lists, found the plain way. */
static bool excludes_plainly(const struct event *e, const struct audience *who)
{
    struct slice name;
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);) {
            if (list == EXCEPT_SESSIONS && slice_equal(name, who->session))
                return true;
            if (list == EXCEPT_CHANNELS && slice_equal(name, who->channels.items[0]))
                return true;
            if (list == EXCEPT_CONNECTIONS && slice_equal(name, who->connection))
                return true;
        }
    return false;
}

/* Each list of a long `except` has other names, and some names twice;
 * a name of one list excludes nobody by another. */
START_TEST(a_long_except_excludes_whom_a_short_one_excludes)
{
    static char text[3][400][8];
    static struct slice names[3][400];
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1};
    for (int list = 0; list < 3; list++) {
        for (int i = 0; i < 400; i++) {
            int len = snprintf(text[list][i], sizeof text[list][i], "n%d", i * (list + 2) % 900);
            names[list][i] = (struct slice){text[list][i], (size_t)len};
        }
        spec.lists[EXCEPT_SESSIONS + list] = (struct names){names[list], (size_t)_i};
    }
    struct event *e = make(&spec);
    size_t used;
    struct event *copy = event_parse(e->entry, &used);
    ck_assert((event_index_bytes(e) > 0) == (3 * _i >= 16));
    ck_assert_uint_eq(event_index_bytes(copy), event_index_bytes(e));

    for (int n = 0; n < 1300; n++) {
        char wanted[8];
        struct slice name = {wanted, (size_t)snprintf(wanted, sizeof wanted, "n%d", n)},
                     nobody = S("nobody");
        for (int which = 0; which < 3; which++) {
            struct slice asked[3] = {nobody, nobody, nobody};
            asked[which] = name;
            struct audience who = {
                .session = asked[0], .channels = {&asked[1], 1}, .connection = asked[2]};
            ck_assert(event_excludes(e, &who) == excludes_plainly(e, &who));
            ck_assert(event_excludes(copy, &who) == excludes_plainly(e, &who));
        }
    }
    event_unref(&copy);
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audience");
    TCase *tests = one_case(suite, "audience");
    tcase_add_loop_test(tests, it_concerns_who_is_in_to_and_not_in_except, 0, COUNT(concerned));
    tcase_add_test(tests, a_private_event_stays_private);
    tcase_add_loop_test(tests, a_long_except_excludes_whom_a_short_one_excludes, 0, 7);
    tcase_add_loop_test(tests, a_long_except_excludes_whom_a_short_one_excludes, 399, 401);
    return run_suite(suite);
}
