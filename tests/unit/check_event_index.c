#include "codec/event_index.h"

#include "events.h"

static char text[40][8];
static struct slice names[40];

/* An event with `count` sessions in its `except`. */
static struct event *make_excepting(size_t count)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1};
    for (size_t i = 0; i < count; i++)
        names[i] = (struct slice){text[i], (size_t)snprintf(text[i], sizeof text[i], "n%zu", i)};
    spec.lists[EXCEPT_SESSIONS] = (struct names){names, count};
    return make(&spec);
}

START_TEST(slots_are_a_power_of_two_and_half_of_them_stay_free)
{
    ck_assert_uint_eq(event_index_slots(0), 0);
    ck_assert_uint_eq(event_index_slots(15), 0);
    ck_assert_uint_eq(event_index_slots(16), 32);
    ck_assert_uint_eq(event_index_slots(17), 64);
    for (size_t names_count = 16; names_count < 3000; names_count++) {
        uint32_t slots = event_index_slots(names_count);
        ck_assert(slots >= 2 * names_count && (slots & (slots - 1)) == 0);
    }
}
END_TEST

START_TEST(a_name_is_found_with_and_without_an_index)
{
    for (size_t count = 0; count <= 40; count++) {
        struct event *e = make_excepting(count);
        ck_assert_uint_eq(event_index_bytes(e), event_index_slots(count) * sizeof(uint32_t));
        for (size_t i = 0; i < 40; i++) {
            struct slice name = {text[i], strlen(text[i])};
            ck_assert_int_eq(event_index_has(e, EXCEPT_SESSIONS, name), i < count && name.len);
            ck_assert(!event_index_has(e, EXCEPT_CHANNELS, name) &&
                      !event_index_has(e, TO_SESSIONS, name));
        }
        event_unref(&e);
    }
}
END_TEST

START_TEST(names_of_a_long_target_are_found_too)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    for (size_t i = 0; i < 40; i++)
        names[i] = (struct slice){text[i], (size_t)snprintf(text[i], sizeof text[i], "n%zu", i)};
    spec.lists[TO_SESSIONS] = (struct names){names, 20};
    spec.lists[TO_CHANNELS] = (struct names){names + 10, 20};
    struct event *e = make(&spec);
    ck_assert_uint_eq(event_index_bytes(e), event_index_slots(40) * sizeof(uint32_t));
    for (size_t i = 0; i < 40; i++) {
        ck_assert_int_eq(event_index_has(e, TO_SESSIONS, names[i]), i < 20);
        ck_assert_int_eq(event_index_has(e, TO_CHANNELS, names[i]), i >= 10 && i < 30);
        ck_assert(!event_index_has(e, TO_CONNECTIONS, names[i]) &&
                  !event_index_has(e, EXCEPT_SESSIONS, names[i]));
    }
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_index");
    TCase *tests = one_case(suite, "event_index");
    tcase_add_test(tests, slots_are_a_power_of_two_and_half_of_them_stay_free);
    tcase_add_test(tests, a_name_is_found_with_and_without_an_index);
    tcase_add_test(tests, names_of_a_long_target_are_found_too);
    return run_suite(suite);
}
