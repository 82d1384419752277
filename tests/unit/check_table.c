#include "base/table.h"

#include "support.h"

static struct table *make(size_t size)
{
    struct table *t = table_new(size);
    ck_assert_ptr_nonnull(t);
    return t;
}

START_TEST(a_value_is_found_under_its_name)
{
    struct table *t = make(sizeof(int));
    ck_assert_ptr_null(table_find(t, S("a")));
    int *value = table_insert(t, S("a"));
    ck_assert_int_eq(*value, 0);
    *value = 7;
    ck_assert_ptr_eq(table_find(t, S("a")), value);
    ck_assert_ptr_eq(table_insert(t, S("a")), value);
    ck_assert_uint_eq(table_count(t), 1);
    assert_slice(table_name(value), S("a"));
    table_remove(t, value);
    ck_assert_ptr_null(table_find(t, S("a")));
    ck_assert_uint_eq(table_count(t), 0);
    table_free(&t);
    ck_assert_ptr_null(t);
    table_free(&t);
}
END_TEST

START_TEST(names_are_any_bytes)
{
    const struct slice names[] = {S_INIT(""),     S_INIT("\0"), S_INIT("\0\0"),
                                  S_INIT("a\0b"), S_INIT("a"),  S_INIT("a\0c")};
    struct table *t = make(1);
    for (size_t i = 0; i < 6; i++)
        *(char *)table_insert(t, names[i]) = (char)i;
    ck_assert_uint_eq(table_count(t), 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(*(char *)table_find(t, names[i]), (char)i);
    ck_assert_ptr_eq(table_find(t, (struct slice){NULL, 0}), table_find(t, S("")));
    table_free(&t);
}
END_TEST

START_TEST(the_name_is_a_copy_and_the_address_stays)
{
    struct table *t = make(sizeof(int64_t));
    char name[] = "first";
    int64_t *first = table_insert(t, slice_of(name));
    ck_assert_uint_eq((uintptr_t)first % _Alignof(int64_t), 0);
    *first = 1;
    memset(name, 'x', 5);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%d", i % 10000);
        table_insert(t, slice_of(name));
    }
    ck_assert_ptr_eq(table_find(t, S("first")), first);
    ck_assert(*first == 1.0L);
    table_free(&t);
}
END_TEST

#define NAMES 300

/* The model: is the name in, and with which value. */
static void assert_same(const struct table *t, const int *model)
{
    size_t count = 0;
    char name[16];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        const int *value = table_find(t, slice_of(name));
        ck_assert_int_eq(value ? *value : 0, model[i]);
        count += model[i] != 0;
    }
    ck_assert_uint_eq(table_count(t), count);
    for (const int *value = table_next(t, NULL); value; value = table_next(t, value))
        count--;
    ck_assert_uint_eq(count, 0);
}

START_TEST(it_behaves_like_an_array)
{
    struct dice dice = dice_new();
    struct table *t = make(sizeof(int));
    int model[NAMES] = {0};
    char name[16];
    printf("table: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 1; round < 20000; round++) {
        int i = (int)roll(&dice, NAMES);
        snprintf(name, sizeof name, "name-%d", i);
        if (roll(&dice, 3)) {
            *(int *)table_insert(t, slice_of(name)) = model[i] = round;
        } else if (model[i]) {
            table_remove(t, table_find(t, slice_of(name)));
            model[i] = 0;
        }
        if (round % 500 == 0)
            assert_same(t, model);
    }
    table_free(&t);
}
END_TEST

START_TEST(a_walk_may_remove_what_it_meets)
{
    struct table *t = make(sizeof(int));
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%d", i);
        *(int *)table_insert(t, slice_of(name)) = i;
    }
    for (int *value = table_next(t, NULL), *next; value; value = next) {
        next = table_next(t, value);
        if (*value % 2)
            table_remove(t, value);
    }
    ck_assert_uint_eq(table_count(t), 50);
    ck_assert_ptr_null(table_find(t, S("7")));
    ck_assert_ptr_nonnull(table_find(t, S("8")));
    table_free(&t);
}
END_TEST

START_TEST(a_walk_goes_on_while_the_table_grows_and_shrinks)
{
    struct table *t = make(sizeof(int));
    char name[16];
    int met = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        *(int *)table_insert(t, slice_of(name)) = i < 500;
    }

    for (int *value = table_next(t, NULL); value; value = table_next(t, value)) {
        met += *value;
        if (met == 100) /* many more, and then few */
            for (int i = 1000; i < 20000; i++) {
                snprintf(name, sizeof name, "%d", i);
                ck_assert_ptr_nonnull(table_insert(t, slice_of(name)));
            }
        if (met == 200)
            for (int i = 500; i < 20000; i++) {
                snprintf(name, sizeof name, "%d", i);
                int *other = table_find(t, slice_of(name));
                if (other && other != value)
                    table_remove(t, other);
            }
    }
    ck_assert_int_eq(met, 500);
    table_free(&t);
}
END_TEST

START_TEST(the_first_one_can_be_removed_until_it_is_empty)
{
    struct table *t = make(sizeof(int));
    char name[16];
    void *first;
    size_t left = 5000;
    for (size_t i = 0; i < left; i++) {
        snprintf(name, sizeof name, "%zu", i);
        table_insert(t, slice_of(name));
    }

    while ((first = table_next(t, NULL))) {
        table_remove(t, first);
        ck_assert_uint_eq(table_count(t), --left);
    }
    ck_assert_uint_eq(left, 0);
    ck_assert_ptr_nonnull(table_insert(t, S("again")));
    ck_assert_ptr_nonnull(table_find(t, S("again")));
    table_free(&t);
}
END_TEST

START_TEST(a_name_may_be_long_but_not_too_long)
{
    struct table *t = make(sizeof(int));
    char *name = malloc(TABLE_NAME_MAX + 1);
    memset(name, 'x', TABLE_NAME_MAX + 1);

    const void *value = table_insert(t, (struct slice){name, TABLE_NAME_MAX});
    ck_assert_ptr_nonnull(value);
    ck_assert_uint_eq(table_name(value).len, TABLE_NAME_MAX);
    ck_assert_ptr_null(table_insert(t, (struct slice){name, TABLE_NAME_MAX + 1}));
    ck_assert_ptr_null(table_find(t, (struct slice){name, TABLE_NAME_MAX + 1}));
    ck_assert_uint_eq(table_count(t), 1);
    free(name);
    table_free(&t);
}
END_TEST

/* --- names chosen to collide --- */

#define PAIRS 14
#define COLLIDING (1u << PAIRS)

/* The hash without a key that many programs use. */
static uint32_t times_31(const char *name)
{
    uint32_t hash = 0;
    for (; *name; name++)
        hash = 31 * hash + (unsigned char)*name;
    return hash;
}

/* The i-th name of PAIRS pairs of letters to which it gives the same hash. */
static void collide(uint32_t i, char name[2 * PAIRS + 1])
{
    for (size_t pair = 0; pair < PAIRS; pair++)
        memcpy(name + 2 * pair, i >> pair & 1 ? "Aa" : "BB", 3);
}

START_TEST(names_that_collide_without_a_key_do_not_collide_here)
{
    struct table *t = make(sizeof(int));
    char name[2 * PAIRS + 1];

    collide(0, name);
    uint32_t hash = times_31(name);
    for (uint32_t i = 0; i < COLLIDING; i++) {
        collide(i, name);
        ck_assert_uint_eq(times_31(name), hash);
        ck_assert_ptr_nonnull(table_insert(t, slice_of(name)));
    }

    ck_assert_uint_eq(table_count(t), COLLIDING);
    ck_assert_uint_le(table_longest_chain(t), 24);
    table_free(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *tests = one_case(suite, "table");
    tcase_add_test(tests, a_value_is_found_under_its_name);
    tcase_add_test(tests, names_are_any_bytes);
    tcase_add_test(tests, the_name_is_a_copy_and_the_address_stays);
    tcase_add_test(tests, it_behaves_like_an_array);
    tcase_add_test(tests, a_walk_may_remove_what_it_meets);
    tcase_add_test(tests, a_walk_goes_on_while_the_table_grows_and_shrinks);
    tcase_add_test(tests, the_first_one_can_be_removed_until_it_is_empty);
    tcase_add_test(tests, a_name_may_be_long_but_not_too_long);
    tcase_add_test(tests, names_that_collide_without_a_key_do_not_collide_here);
    return run_suite(suite);
}
