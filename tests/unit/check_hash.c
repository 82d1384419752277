#include "base/hash.h"

#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

START_TEST(equal_bytes_have_equal_hashes)
{
    char copy[] = "name";

    ck_assert_uint_eq(hash_keyed(S("name")), hash_keyed(slice_of(copy)));
    ck_assert_uint_eq(hash_keyed(S("")), hash_keyed((struct slice){NULL, 0}));
    ck_assert_uint_ne(hash_keyed(S("name")), hash_keyed(S("nam")));
    ck_assert_uint_ne(hash_keyed(S("a\0b")), hash_keyed(S("a\0c")));
}
END_TEST

/* A child of its own for each call, so that it draws the key. */
static uint64_t hash_in_a_process(struct slice bytes)
{
    int ends[2];
    uint64_t hash = 0;

    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        hash = hash_keyed(bytes);
        _exit(write(ends[1], &hash, sizeof hash) == (ssize_t)sizeof hash ? 0 : 1);
    }

    ck_assert_int_eq(read(ends[0], &hash, sizeof hash), (ssize_t)sizeof hash);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
    return hash;
}

START_TEST(each_process_has_a_key_of_its_own)
{
    ck_assert_uint_ne(hash_in_a_process(S("name")), hash_in_a_process(S("name")));
}
END_TEST

START_TEST(the_fixed_hash_is_the_same_in_every_process)
{
    ck_assert_uint_ne(hash_fixed(S("a")), hash_fixed(S("b")));
    ck_assert_uint_eq(hash_fixed(S("")), hash_fixed((struct slice){NULL, 0}));
    ck_assert_uint_ne(hash_fixed(S("a\0b")), hash_fixed(S("a\0c")));
}
END_TEST

static const char *hash_of(const struct slice *parts, size_t count)
{
    static char hex[2][HASH_PARTS_HEX];
    static int turn;
    struct hash_parts hash;
    hash_parts_begin(&hash);
    for (size_t i = 0; i < count; i++)
        hash_parts_add(&hash, parts[i]);
    hash_parts_end(&hash, hex[turn ^= 1]);
    return hex[turn];
}

START_TEST(parts_that_are_cut_otherwise_have_another_hash)
{
    const struct slice one[] = {S("abc"), S("")}, two[] = {S("ab"), S("c")},
                       three[] = {S(""), S("abc")};
    /* of nothing */
    ck_assert_str_eq(hash_of(one, 0),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_ne(hash_of(one, 2), hash_of(two, 2));
    ck_assert_str_ne(hash_of(one, 2), hash_of(three, 2));
    ck_assert_str_ne(hash_of(one, 1), hash_of(one, 2));
    ck_assert_str_eq(hash_of(one, 2), hash_of(one, 2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = one_case(suite, "hash");
    /* First: afterwards this process has a key, and its children would inherit it. */
    tcase_add_test(tests, each_process_has_a_key_of_its_own);
    tcase_add_test(tests, equal_bytes_have_equal_hashes);
    tcase_add_test(tests, the_fixed_hash_is_the_same_in_every_process);
    tcase_add_test(tests, parts_that_are_cut_otherwise_have_another_hash);
    return run_suite(suite);
}
