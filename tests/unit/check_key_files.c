#include "auth/key_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "auth/jws.h"
#include "auth/signature.h"
#include "capture.h"
#include "ops/log.h"
#include "signing.h"
#include "support.h"

#define NOW INT64_C(1763710000000) /* unix time, ms */

static struct test_key rsa, ec;
static struct own_folder folder;
static const char *const file = folder.file;
static struct key_files *files;
static int64_t now;

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void begin(void)
{
    rsa = make_rsa(2048);
    ec = make_ec("P-256");
    own_folder_make(&folder, "key");
}

static void end(void)
{
    free_key(&rsa);
    free_key(&ec);
    own_folder_remove(&folder);
}

static void setup(void)
{
    static int64_t minutes;
    now = NOW;
    log_tick(++minutes * 61000); /* what an earlier test logged is no repetition */
}

static void teardown(void)
{
    key_files_free(&files);
    key_files_free(&files);
}

static void use(const char *secret_file, const char *public_file)
{
    key_files_free(&files);
    files = key_files_new(secret_file, public_file);
    ck_assert_ptr_nonnull(files);
}

static void use_secret(const char *secret)
{
    write_key_file(file, secret);
    use(file, NULL);
}

/* Public keys. */
static void use_key(const char *key)
{
    write_key_file(file, key);
    use(NULL, file);
}

/* Is a token that this key signs accepted, by the files as they are now? */
static bool accepts(jwt_alg_t algorithm, const char *key)
{
    struct jws token;
    ck_assert_ptr_null(jws_read(sign_as(algorithm, key, NULL, "{}"), &token));
    key_files_look(files, now);
    return signature_find(key_files_keys(files, JWKS_SECRETS), &token) == SIGNATURE_GOOD ||
           signature_find(key_files_keys(files, JWKS_PUBLIC), &token) == SIGNATURE_GOOD;
}

static bool accepts_secret(const char *secret)
{
    return accepts(JWT_ALG_HS256, secret);
}

START_TEST(a_kind_without_a_file_has_no_keys)
{
    use_secret(SECRET);
    ck_assert_uint_eq(key_files_keys(files, JWKS_SECRETS)->count, 1);
    ck_assert_uint_eq(key_files_keys(files, JWKS_PUBLIC)->count, 0);
}
END_TEST

START_TEST(a_check_says_which_option_is_wrong)
{
    char why[256] = "";
    write_key_file(file, SECRET);
    ck_assert_int_eq(key_files_check(file, NULL, why, sizeof why), 0);
    ck_assert_int_ne(key_files_check(file, file, why, sizeof why), 0);
    ck_assert_ptr_eq(strstr(why, "--jwt-key-file "), why);
    ck_assert_int_ne(key_files_check("/nowhere", NULL, why, sizeof why), 0);
    ck_assert_str_eq(why, "--jwt-secret-file /nowhere: No such file or directory");
}
END_TEST

START_TEST(changed_keys_are_read_again_within_a_second)
{
    use_secret(SECRET);
    ck_assert(accepts_secret(SECRET));
    write_key_file(file, OTHER_SECRET "-and-more");
    now += 500;
    ck_assert(accepts_secret(SECRET)); /* not looked at yet */
    now += 500;
    ck_assert(!accepts_secret(SECRET));
    ck_assert(accepts_secret(OTHER_SECRET "-and-more"));
}
END_TEST

START_TEST(a_reload_on_demand_does_not_wait)
{
    use_secret(SECRET);
    ck_assert(accepts_secret(SECRET));
    write_key_file(file, OTHER_SECRET);
    key_files_reload(files);
    ck_assert(!accepts_secret(SECRET));
    now -= 3600 * 1000; /* a clock that was set back does not keep us from looking */
    write_key_file(file, SECRET ".");
    ck_assert(accepts_secret(SECRET "."));
}
END_TEST

static unsigned lines_with(const char *log, const char *part)
{
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

START_TEST(keys_that_cannot_be_read_leave_the_old_ones)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key_file(file, "short");
    for (int i = 0; i < 5; i++, now += 2000)
        ck_assert(accepts_secret(SECRET));
    unlink(file);
    for (int i = 0; i < 5; i++, now += 2000)
        ck_assert(accepts_secret(SECRET));
    const char *log = capture_end(&err);
    ck_assert_uint_eq(lines_with(log, "keeping the previous keys"), 1);
    write_key_file(file, OTHER_SECRET);
    ck_assert(!accepts_secret(SECRET));
    ck_assert(accepts_secret(OTHER_SECRET));
}
END_TEST

START_TEST(without_keys_there_is_nothing_to_begin_with)
{
    static struct capture err;
    unlink(file);
    capture_begin(&err, STDERR_FILENO);
    ck_assert_ptr_null(key_files_new(file, NULL));
    write_key_file(file, "short");
    ck_assert_ptr_null(key_files_new(file, NULL));
    const char *log = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(log, "No such file"));
    ck_assert_ptr_nonnull(strstr(log, "32 bytes"));
}
END_TEST

/* A reload in which the file's public text was taken for a secret let everybody sign. */
static const char *const planted[] = {
    "[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx anna",
    "<html><head><title>502 Bad Gateway</title></head></html>",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAECAwQFBgcICQoLDA0ODxAREhM",
    "0123456789abcdef0123456789abcdef0123456789abcdef",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}",
};

START_TEST(a_file_of_public_keys_never_becomes_a_secret)
{
    static struct capture err;
    use_key(rsa.public);
    capture_begin(&err, STDERR_FILENO);
    write_key_file(file, planted[_i]);
    key_files_reload(files);
    ck_assert(!accepts_secret(planted[_i]));
    ck_assert(accepts(JWT_ALG_RS256, rsa.private));
    const char *log = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(log, "jwt-key-file"));
    ck_assert_ptr_nonnull(strstr(log, "keeping the previous keys"));
}
END_TEST

START_TEST(a_file_of_secrets_never_takes_public_keys)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key_file(file, rsa.public);
    key_files_reload(files);
    ck_assert(!accepts(JWT_ALG_RS256, rsa.private));
    ck_assert(!accepts_secret(rsa.public));
    ck_assert(accepts_secret(SECRET));
    ck_assert_ptr_nonnull(strstr(capture_end(&err), "jwt-secret-file"));
}
END_TEST

START_TEST(both_files_may_be_given)
{
    char other[80];
    snprintf(other, sizeof other, "%s/secret", folder.path);
    write_key_file(file, SECRET);
    ck_assert_int_eq(rename(file, other), 0);
    write_key_file(file, ec.public);
    use(other, file);
    ck_assert(accepts_secret(SECRET));
    ck_assert(accepts(JWT_ALG_ES256, ec.private));
    write_key_file(file, rsa.public);
    key_files_reload(files);
    ck_assert(accepts_secret(SECRET));
    ck_assert(!accepts(JWT_ALG_ES256, ec.private));
    unlink(other);
}
END_TEST

/* Of the same size, in the same file, and most times within one tick of the file system's clock. */
START_TEST(a_change_that_does_not_show_in_the_times_is_noticed)
{
    use_secret(SECRET);
    for (int i = 0; i < 20; i++) {
        write_key_file(file, i % 2 ? SECRET : OTHER_SECRET);
        now += 1000;
        ck_assert(accepts_secret(i % 2 ? SECRET : OTHER_SECRET));
    }
}
END_TEST

START_TEST(the_log_says_how_many_keys_there_are_and_what_everybody_can_read)
{
    static struct capture err;
    use_secret(SECRET);
    capture_begin(&err, STDERR_FILENO);
    write_key_file(file, OTHER_SECRET "\n");
    chmod(file, 0644);
    key_files_reload(files);
    key_files_reload(files);
    const char *log = capture_end(&err);
    const char *first = strstr(log, "reloaded, 1 key\n");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, "reloaded, 1 key\n")); /* each is confirmed */
    ck_assert_ptr_nonnull(strstr(log, "every user of this host can read this secret"));
    chmod(file, 0600);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key_files");
    TCase *tests = one_case(suite, "key_files");
    tcase_add_unchecked_fixture(tests, begin, end);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_kind_without_a_file_has_no_keys);
    tcase_add_test(tests, a_check_says_which_option_is_wrong);
    tcase_add_test(tests, changed_keys_are_read_again_within_a_second);
    tcase_add_test(tests, a_reload_on_demand_does_not_wait);
    tcase_add_test(tests, keys_that_cannot_be_read_leave_the_old_ones);
    tcase_add_test(tests, without_keys_there_is_nothing_to_begin_with);
    tcase_add_loop_test(tests, a_file_of_public_keys_never_becomes_a_secret, 0, COUNT(planted));
    tcase_add_test(tests, a_file_of_secrets_never_takes_public_keys);
    tcase_add_test(tests, both_files_may_be_given);
    tcase_add_test(tests, a_change_that_does_not_show_in_the_times_is_noticed);
    tcase_add_test(tests, the_log_says_how_many_keys_there_are_and_what_everybody_can_read);
    return run_suite(suite);
}
