#include "stream/owner.h"

#include "support.h"

static const char *owner(struct slice session)
{
    static char out[2][OWNER_LEN + 1];
    static int turn;

    turn = !turn;
    owner_of(session, out[turn]);
    return out[turn];
}

START_TEST(all_workers_give_the_same_value)
{
    ck_assert_str_eq(owner(S("anna")), "9a80a993f73557931c7d0ba8efb5abff");
}
END_TEST

START_TEST(sessions_are_told_apart)
{
    ck_assert_str_ne(owner(S("anna")), owner(S("bert")));
    ck_assert_str_ne(owner(S("anna")), owner(S("ann")));
    ck_assert_str_eq(owner(S("")), owner((struct slice){NULL, 0}));
    ck_assert_str_ne(owner(S("")), owner(S("anna")));
}
END_TEST

START_TEST(it_is_of_hexadecimal_digits)
{
    const char *text = owner(S("anna\"\\"));

    ck_assert_uint_eq(strlen(text), OWNER_LEN);
    ck_assert_uint_eq(strspn(text, "0123456789abcdef"), OWNER_LEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("owner");
    TCase *tests = one_case(suite, "owner");
    tcase_add_test(tests, all_workers_give_the_same_value);
    tcase_add_test(tests, sessions_are_told_apart);
    tcase_add_test(tests, it_is_of_hexadecimal_digits);
    return run_suite(suite);
}
