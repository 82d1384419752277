/* Keys as text: which are some, where files have them, and which files are not read. */
#include "ops/curve_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "support.h"

#define ONE "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define TWO "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define HASH "#0000000000000000000000000000000000000000" /* 41 */

START_TEST(keys_are_told_from_other_texts)
{
    ck_assert(curve_key_valid(S(ONE)));
    ck_assert(curve_key_valid(S(TWO)));
    ck_assert(!curve_key_valid(S("")));
    ck_assert(!curve_key_valid(S(HASH)));
    ck_assert(!curve_key_valid(S("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf")));
    ck_assert(!curve_key_valid(S("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7x")));
    ck_assert(!curve_key_valid(S("rq rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")));
    ck_assert(!curve_key_valid(S("rq\0rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")));
    ck_assert(!curve_key_valid(S("#####>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")));
    ck_assert(curve_key_valid(S("%nSc0>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")));
    ck_assert(!curve_key_valid(S("%nSc1>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")));
}
END_TEST

START_TEST(encoding_is_what_libzmq_does)
{
    struct dice dice = dice_new();
    char theirs[CURVE_KEY_LEN + 1];
    struct curve_key ours;
    for (int round = 0; round < 1000; round++) {
        unsigned char raw[CURVE_KEY_BYTES];
        for (size_t i = 0; i < sizeof raw; i++)
            raw[i] = round == 0 ? 0xff : (unsigned char)roll(&dice, 256);
        zmq_z85_encode(theirs, raw, sizeof raw);
        curve_key_encode(raw, &ours);
        ck_assert_str_eq(ours.text, theirs);
        ck_assert(curve_key_valid(slice_of(ours.text)));
    }
}
END_TEST

static int find(const char *text, enum curve_key_half half, struct curve_key *out)
{
    return curve_key_find(slice_of(text), half, out);
}

#define CERTIFICATE                                                                                \
    "#   a comment\n\nmetadata\n    role = \"publisher\"\ncurve\n    public-key = \"" ONE          \
    "\"\n    secret-key = \"" TWO "\"\n"

START_TEST(a_file_is_a_key_alone_or_a_certificate)
{
    struct curve_key key;
    ck_assert_int_eq(find(CERTIFICATE, CURVE_PUBLIC, &key), 0);
    ck_assert_str_eq(key.text, ONE);
    ck_assert_int_eq(find(CERTIFICATE, CURVE_SECRET, &key), 0);
    ck_assert_str_eq(key.text, TWO);
    ck_assert_int_eq(find(ONE, CURVE_PUBLIC, &key), 0);
    ck_assert_int_eq(find("# key\n\t" TWO " \r\n", CURVE_SECRET, &key), 0);
    ck_assert_str_eq(key.text, TWO);
    ck_assert_int_eq(find("secret-key=" TWO, CURVE_SECRET, &key), 0);
}
END_TEST

START_TEST(a_file_without_the_key_is_told)
{
    struct curve_key key;
    ck_assert_int_eq(find("", CURVE_PUBLIC, &key), -ENOENT);
    ck_assert_int_eq(find("curve\n secret-key = \"" TWO "\"\n", CURVE_PUBLIC, &key), -ENOENT);
    ck_assert_int_eq(find("curve\n secret-key = \"short\"\n", CURVE_SECRET, &key), -EINVAL);
    ck_assert_int_eq(find("secret-keys = " TWO "\nsecret-key\n", CURVE_SECRET, &key), -ENOENT);
}
END_TEST

static char path[64];

static void file_of(const char *text, mode_t mode)
{
    strcpy(path, "/tmp/check_curve_key.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void refuses(enum curve_key_half half, const char *part)
{
    struct curve_key key;
    char why[CURVE_KEY_WHY] = "";
    ck_assert_int_eq(curve_key_load(path, half, &key, why), -EINVAL);
    ck_assert_msg(strstr(why, part) && strstr(why, path), "%s", why);
    unlink(path);
}

START_TEST(files_are_read)
{
    struct curve_key key;
    char why[CURVE_KEY_WHY];
    file_of(CERTIFICATE, 0640);
    ck_assert_int_eq(curve_key_load(path, CURVE_SECRET, &key, why), 0);
    ck_assert_str_eq(key.text, TWO);
    ck_assert_int_eq(curve_key_public(path, &key, why), 0);
    ck_assert_str_eq(key.text, ONE);
    ck_assert_int_eq(curve_key_public(TWO, &key, why), 0);
    ck_assert_str_eq(key.text, TWO);
    curve_key_wipe(&key);
    ck_assert_int_eq(key.text[0], 0);
    unlink(path);
}
END_TEST

START_TEST(files_that_are_none_are_named)
{
    file_of(CERTIFICATE, 0604);
    refuses(CURVE_SECRET, "0604");
    refuses(CURVE_PUBLIC, "No such file");
    file_of("nothing\n", 0600);
    refuses(CURVE_SECRET, "no secret key");
    char large[5000];
    memset(large, '#', sizeof large - 1);
    large[sizeof large - 1] = 0;
    file_of(large, 0600);
    refuses(CURVE_SECRET, "File too large");
}
END_TEST

START_TEST(a_client_needs_its_own_key_and_the_broker_s)
{
    struct curve_client c;
    char why[CURVE_KEY_WHY] = "", *keys[] = {ONE, TWO, "/nowhere"};
    ck_assert_int_eq(curve_client_load(&c, NULL, NULL, 0, 1, why), 0);
    ck_assert_uint_eq(c.broker_count, 0);
    ck_assert_int_eq(curve_client_load(&c, "/x", NULL, 0, 1, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "--broker-key is missing"));
    ck_assert_int_eq(curve_client_load(&c, NULL, keys, 1, 1, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "--curve-key-file is missing"));
    ck_assert_int_eq(curve_client_load(&c, "/nowhere", keys, 1, 1, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "--curve-key-file '/nowhere': No such file"));
    file_of(CERTIFICATE, 0600);
    ck_assert_int_eq(curve_client_load(&c, path, keys, 2, 3, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "2 keys for 3 brokers"));
    ck_assert_int_eq(curve_client_load(&c, path, keys, 3, 3, why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "--broker-key '/nowhere'"));
    ck_assert_uint_eq(c.broker_count, 0);
    ck_assert_int_eq(curve_client_load(&c, path, keys, 2, 2, why), 0);
    ck_assert_str_eq(c.secret.text, TWO);
    ck_assert_str_eq(c.brokers[1].text, TWO);
    curve_client_release(&c);
    ck_assert_uint_eq(c.broker_count, 0);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curve_key");
    TCase *tests = one_case(suite, "curve_key");
    tcase_add_test(tests, keys_are_told_from_other_texts);
    tcase_add_test(tests, encoding_is_what_libzmq_does);
    tcase_add_test(tests, a_file_is_a_key_alone_or_a_certificate);
    tcase_add_test(tests, a_file_without_the_key_is_told);
    tcase_add_test(tests, files_are_read);
    tcase_add_test(tests, files_that_are_none_are_named);
    tcase_add_test(tests, a_client_needs_its_own_key_and_the_broker_s);
    return run_suite(suite);
}
