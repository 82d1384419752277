/* ssecast keygen --jwt: files of secrets. What it writes the worker must read. */
#include "cli/jwt_secret.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/jwks.h"
#include "support.h"

static struct own_folder folder;
static const char *const file = folder.file;
static char link_path[64], why[200];
static struct jwt_secret_made made;
static struct jwks keys;

static void setup(void)
{
    own_folder_make(&folder, "secrets");
    snprintf(link_path, sizeof link_path, "%s/link", folder.path);
}

static void teardown(void)
{
    jwks_release(&keys);
    unlink(link_path);
    own_folder_remove(&folder);
}

static void put(const char *text, mode_t mode)
{
    make_file(file, slice_of(text), mode);
}

static char *get(void)
{
    static char text[65536];
    FILE *in = fopen(file, "r");
    ck_assert_ptr_nonnull(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    return text;
}

static mode_t mode(void)
{
    struct stat is;
    ck_assert_int_eq(stat(file, &is), 0);
    return is.st_mode & 0777;
}

static void add(void)
{
    int err = jwt_secret_add(file, &made, why, sizeof why);
    ck_assert_msg(err == 0, "refused: %s", why);
}

static void assert_keys(size_t count)
{
    const char *fault;
    jwks_release(&keys);
    ck_assert_msg(jwks_read(JWKS_SECRETS, slice_of(get()), &keys, &fault) == 0,
                  "the worker refuses it: %s", fault);
    ck_assert_uint_eq(keys.count, count);
    ck_assert_uint_eq(made.count, count);
    ck_assert_str_eq(keys.keys[count - 1].kid, made.kid);
    ck_assert_uint_eq(keys.keys[count - 1].len, 32);
}

START_TEST(a_new_file_has_one_secret)
{
    add();
    assert_keys(1);
    ck_assert_uint_eq(mode(), 0600);
}
END_TEST

START_TEST(another_one_goes_behind_it)
{
    char first[JWT_KID_MAX];
    unsigned char bytes[32];
    add();
    assert_keys(1);
    memcpy(first, made.kid, sizeof first);
    memcpy(bytes, keys.keys[0].data, 32);
    chmod(file, 0640);
    add();
    assert_keys(2);
    ck_assert_str_eq(keys.keys[0].kid, first);
    ck_assert_mem_eq(keys.keys[0].data, bytes, 32);
    ck_assert(memcmp(keys.keys[1].data, bytes, 32) != 0);
    ck_assert_str_ne(made.kid, first);
    ck_assert_uint_eq(mode(), 0640);
}
END_TEST

START_TEST(one_secret_as_text_stays_valid)
{
    put("0123456789abcdef0123456789abcdef\n", 0600);
    add();
    assert_keys(2);
    ck_assert_ptr_null(keys.keys[0].kid);
    assert_slice(((struct slice){(char *)keys.keys[0].data, keys.keys[0].len}),
                 S("0123456789abcdef0123456789abcdef"));
}
END_TEST

START_TEST(a_single_jwk_becomes_a_set)
{
    put("{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}",
        0600);
    add();
    assert_keys(2);
    ck_assert_str_eq(keys.keys[0].kid, "a");
}
END_TEST

static const char *const others[] = {
    "",
    "short\n",
    "<html>",
    "{}",
    "{\"keys\":{}}",
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
    "two lines of which none is a secret\nat all, as everybody sees\n",
    "-----BEGIN PUBLIC KEY-----\n",
    "{\"keys\":[7]}",
};

START_TEST(what_holds_no_secrets_stays_as_it_is)
{
    put(others[_i], 0600);
    ck_assert_int_ne(jwt_secret_add(file, &made, why, sizeof why), 0);
    ck_assert_ptr_nonnull(strstr(why, "accepted"));
    ck_assert_str_eq(get(), others[_i]);
}
END_TEST

START_TEST(there_are_not_too_many)
{
    for (unsigned i = 0; i < JWT_SECRETS_MAX; i++)
        add();
    assert_keys(JWT_SECRETS_MAX);
    ck_assert_int_ne(jwt_secret_add(file, &made, why, sizeof why), 0);
    ck_assert_ptr_nonnull(strstr(why, "64"));
}
END_TEST

START_TEST(a_symbolic_link_to_the_file_stays)
{
    struct stat is;
    add();
    ck_assert_int_eq(symlink(file, link_path), 0);
    ck_assert_int_eq(jwt_secret_add(link_path, &made, why, sizeof why), 0);
    assert_keys(2);
    ck_assert_int_eq(lstat(link_path, &is), 0);
    ck_assert(S_ISLNK(is.st_mode));
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
    ck_assert_int_eq(jwt_secret_add("/nonexistent/secrets", &made, why, sizeof why), -ENOENT);
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jwt_secret");
    TCase *tests = one_case(suite, "jwt_secret");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_new_file_has_one_secret);
    tcase_add_test(tests, another_one_goes_behind_it);
    tcase_add_test(tests, one_secret_as_text_stays_valid);
    tcase_add_test(tests, a_single_jwk_becomes_a_set);
    tcase_add_loop_test(tests, what_holds_no_secrets_stays_as_it_is, 0,
                        (int)(sizeof others / sizeof *others));
    tcase_add_test(tests, there_are_not_too_many);
    tcase_add_test(tests, a_symbolic_link_to_the_file_stays);
    tcase_add_test(tests, a_folder_that_is_not_there_is_told);
    return run_suite(suite);
}
