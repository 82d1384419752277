/* Each publisher has its own count, and each turn begins anew. */
#include "command/in_flight.h"

#include "support.h"

static struct in_flight *f;

static void forget(void)
{
    in_flight_free(&f);
}

START_TEST(each_peer_may_have_so_many)
{
    f = in_flight_new(1000, 3);
    for (int round = 0; round < 3; round++)
        ck_assert(in_flight_admit(f, S("a")) && in_flight_admit(f, S("b\0x")));
    ck_assert(!in_flight_admit(f, S("a")));
    ck_assert(!in_flight_admit(f, S("b\0x")));
    ck_assert(in_flight_admit(f, S("b\0y")));
    ck_assert(in_flight_admit(f, S("")));
}
END_TEST

START_TEST(a_reset_lets_each_publisher_begin_anew)
{
    f = in_flight_new(10, 1);
    for (int turn = 0; turn < 100; turn++) {
        ck_assert(in_flight_admit(f, S("a")));
        ck_assert(!in_flight_admit(f, S("a")));
        in_flight_reset(f);
    }
}
END_TEST

START_TEST(as_many_peers_as_a_turn_can_have)
{
    char peer[255];
    f = in_flight_new(1000, 2);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 1000; i++) {
            memset(peer, 'x', sizeof peer);
            memcpy(peer + 251, &i, sizeof i);
            ck_assert(in_flight_admit(f, (struct slice){peer, sizeof peer}) == (round < 2));
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("in_flight");
    TCase *tests = one_case(suite, "in_flight");
    tcase_add_checked_fixture(tests, NULL, forget);
    tcase_add_test(tests, each_peer_may_have_so_many);
    tcase_add_test(tests, a_reset_lets_each_publisher_begin_anew);
    tcase_add_test(tests, as_many_peers_as_a_turn_can_have);
    return run_suite(suite);
}
