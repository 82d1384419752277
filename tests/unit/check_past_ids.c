/* Ids of events that are gone: who showed which, the oldest forgotten first. */
#include "model/past_ids.h"

#include "support.h"

static struct past_ids *ids;

static void begin(uint64_t max)
{
    ids = past_ids_new(max);
    ck_assert_ptr_nonnull(ids);
}

static void end(void)
{
    past_ids_free(&ids);
    ck_assert_ptr_null(ids);
    past_ids_free(&ids);
}

START_TEST(an_id_is_found_by_its_hash)
{
    begin(10);
    past_ids_add(ids, past_id_hash(S("order-1")), 7);
    past_ids_add(ids, past_id_hash(S("order-2")), 8);
    ck_assert_uint_eq(past_ids_find(ids, past_id_hash(S("order-1"))), 7);
    ck_assert_uint_eq(past_ids_find(ids, past_id_hash(S("order-2"))), 8);
    ck_assert_uint_eq(past_ids_find(ids, past_id_hash(S("order-3"))), 0);
    ck_assert_uint_eq(past_ids_count(ids), 2);
}
END_TEST

START_TEST(an_empty_one_and_one_without_room_find_nothing)
{
    begin(0);
    ck_assert_uint_eq(past_ids_find(ids, 5), 0);
    past_ids_add(ids, 5, 1);
    ck_assert_uint_eq(past_ids_find(ids, 5), 0);
    ck_assert_uint_eq(past_ids_count(ids), 0);
}
END_TEST

START_TEST(an_id_of_two_events_is_of_several)
{
    begin(3);
    past_ids_add(ids, 5, 1);
    past_ids_add(ids, 5, 1); /* the same event once more */
    ck_assert_uint_eq(past_ids_find(ids, 5), 1);
    past_ids_add(ids, 5, 2);
    ck_assert_uint_eq(past_ids_find(ids, 5), PAST_ID_SEVERAL);
    past_ids_add(ids, 6, 3);
    past_ids_add(ids, 7, 4); /* which pushes out the first event */
    ck_assert_uint_eq(past_ids_find(ids, 5), 2);
}
END_TEST

START_TEST(the_oldest_is_forgotten_first)
{
    begin(100);
    for (uint64_t i = 1; i <= 1000; i++)
        past_ids_add(ids, i * 3, i);
    ck_assert_uint_eq(past_ids_count(ids), 100);
    for (uint64_t i = 1; i <= 1000; i++)
        ck_assert_uint_eq(past_ids_find(ids, i * 3), i > 900 ? i : 0);
}
END_TEST

/* Stores have it. */
START_TEST(the_hash_is_the_same_for_ever)
{
    ck_assert_uint_eq(past_id_hash(S("order-1")), UINT64_C(660264591762544848));
    ck_assert_uint_eq(past_id_hash(S("")), past_id_hash((struct slice){NULL, 0}));
}
END_TEST

#define MODEL 200u

START_TEST(it_behaves_like_a_list)
{
    static struct {
        uint64_t hash, seq;
    } list[20000];
    struct dice dice = dice_new();
    size_t first = 0, count = 0;
    printf("past_ids: SEED=%" PRIu64 "\n", dice.state);
    fflush(stdout);
    begin(MODEL);
    for (uint64_t round = 1; round < sizeof list / sizeof *list; round++) {
        uint64_t hash = roll(&dice, 400), seq = 1 + roll(&dice, 3), found = 0;
        bool there = false;
        for (size_t i = first; i < count; i++)
            there = there || (list[i].hash == hash && list[i].seq == seq);
        past_ids_add(ids, hash, seq);
        if (!there) {
            list[count].hash = hash;
            list[count++].seq = seq;
            first += count - first > MODEL;
        }
        hash = roll(&dice, 400);
        for (size_t i = first; i < count; i++)
            if (list[i].hash == hash)
                found = found ? PAST_ID_SEVERAL : list[i].seq;
        ck_assert_uint_eq(past_ids_find(ids, hash), found);
        ck_assert_uint_eq(past_ids_count(ids), count - first);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("past_ids");
    TCase *tests = one_case(suite, "past_ids");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_test(tests, an_id_is_found_by_its_hash);
    tcase_add_test(tests, an_empty_one_and_one_without_room_find_nothing);
    tcase_add_test(tests, an_id_of_two_events_is_of_several);
    tcase_add_test(tests, the_oldest_is_forgotten_first);
    tcase_add_test(tests, the_hash_is_the_same_for_ever);
    tcase_add_test(tests, it_behaves_like_a_list);
    return run_suite(suite);
}
