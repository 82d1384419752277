/* The file of keys: what its lines mean, and what each wrong line is told. */
#include "net/keys.h"

#include <unistd.h>

#include "support.h"

#define K1 "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define K2 "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define K3 "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

static struct keys *keys;

static void parse(const char *text)
{
    char why[KEYS_WHY_MAX] = "";
    keys_free(&keys);
    keys = keys_parse("keys", slice_of(text), why);
    ck_assert_msg(keys != NULL, "%s", why);
}

static const struct grant *grant_of(const char *key)
{
    const struct peer_key *found = keys_find(keys, slice_of(key));
    ck_assert_ptr_nonnull(found);
    return &found->grant;
}

START_TEST(a_line_is_a_role_a_key_and_a_name)
{
    parse("# who may come in\n\npublisher " K1 " shop\n  operator\t" K2 "  anna@desk \r\nworker " K3
          " web1");
    ck_assert_uint_eq(keys_count(keys), 3);
    ck_assert_uint_eq(grant_of(K1)->roles, ROLE_PUBLISHER);
    ck_assert_uint_eq(grant_of(K2)->roles, ROLE_OPERATOR);
    ck_assert_uint_eq(grant_of(K3)->roles, ROLE_WORKER);
    ck_assert(!grant_of(K1)->limited && !grant_of(K2)->limited && !grant_of(K3)->limited);
    assert_slice(keys_at(keys, 1)->name, S("anna@desk"));
    ck_assert_str_eq(keys_at(keys, 2)->text.text, K3);
    ck_assert_ptr_null(keys_at(keys, 3));
    ck_assert_ptr_null(keys_find(keys, S("")));
    ck_assert_str_eq(keys_role_name(ROLE_OPERATOR), "operator");
}
END_TEST

START_TEST(a_key_publishes_under_its_name)
{
    static char text[600], longest[NAME_BYTES_MAX + 1];
    memset(longest, 'n', NAME_BYTES_MAX);
    snprintf(text, sizeof text, "%s%s",
             "publisher " K1 " shop\noperator " K2 " shop sessions=a\npublisher " K3 " ", longest);
    parse(text);
    assert_slice(grant_of(K1)->publisher, S("key:shop"));
    assert_slice(grant_of(K2)->publisher, S("key:shop"));
    ck_assert_uint_eq(grant_of(K3)->publisher.len, EVENT_PUBLISHER_MAX);
    ck_assert_int_eq(memcmp(grant_of(K3)->publisher.data, "key:nnn", 7), 0);
}
END_TEST

START_TEST(limits_are_patterns)
{
    parse("publisher " K1 " shop sessions=user-*,anna channels=room:*\noperator " K2
          " desk channels=*\n");
    const struct grant *shop = grant_of(K1), *desk = grant_of(K2);
    ck_assert(shop->limited && desk->limited);
    ck_assert_uint_eq(shop->sessions.count, 2);
    ck_assert(patterns_match(&shop->sessions, S("user-7")));
    ck_assert(patterns_match(&shop->sessions, S("anna")));
    ck_assert(!patterns_match(&shop->sessions, S("bert")));
    ck_assert(patterns_match(&shop->channels, S("room:1")));
    ck_assert(!patterns_match(&desk->sessions, S("anna")));
    ck_assert(patterns_match(&desk->channels, S("x")));
}
END_TEST

START_TEST(no_keys_are_a_table_too)
{
    parse("");
    ck_assert_uint_eq(keys_count(keys), 0);
    parse("# nobody yet");
    ck_assert_uint_eq(keys_count(keys), 0);
    ck_assert_ptr_null(keys_find(keys, S(K1)));
}
END_TEST

#define LINE_1 "operator " K3 " desk\n"

static const struct {
    const char *text, *why;
} wrong[] = {
    {"publsher " K1 " a", "keys, line 1: 'publsher' is no role"},
    {LINE_1 "\n" K1, "keys, line 3: '" K1 "' is no role"},
    {LINE_1 "worker", "keys, line 2: '' is no public key"},
    {LINE_1 "worker web1 " K1, "keys, line 2: 'web1' is no public key (40 characters of Z85)"},
    {LINE_1 "worker " K1,
     "keys, line 2: a name is missing; a line is ROLE KEY NAME [sessions=PATTERN,...]"},
    {LINE_1 "worker " K1 " a\x01",
     "keys, line 2: 'a\x01' is no name (1 to 255 bytes of UTF-8 without spaces"},
    {LINE_1 "publisher " K1 " sessions=customer-*",
     "keys, line 2: 'sessions=customer-*' is no name (1 to 255 bytes of UTF-8 without spaces, "
     "control characters and `=`); a line is ROLE KEY NAME [sessions=PATTERN,...]"},
    {LINE_1 "publisher " K1 " channels=a sessions=b", "keys, line 2: 'channels=a' is no name"},
    {LINE_1 "worker " K1 " a=b", "keys, line 2: 'a=b' is no name"},
    {LINE_1 "worker " K1 " a sessions=b", "keys, line 2: a worker takes no limits"},
    {LINE_1 "publisher " K1 " a session=b", "keys, line 2: unexpected 'session=b'; accepted"},
    {LINE_1 "publisher " K1 " a sessions=", "keys, line 2: '' in sessions= is no pattern"},
    {LINE_1 "publisher " K1 " a sessions=b,,c", "keys, line 2: '' in sessions= is no pattern"},
    {LINE_1 "publisher " K1 " a sessions=b sessions=c", "keys, line 2: sessions= is given twice"},
    {LINE_1 "publisher " K1 " a channels=\xff", "keys, line 2: '\xff' in channels= is no pattern"},
    {LINE_1 "worker " K3 " a", "keys, line 2: duplicate key: it is already listed as 'desk'"},
};

START_TEST(a_wrong_line_is_told_with_its_number)
{
    char why[KEYS_WHY_MAX] = "";
    ck_assert_ptr_null(keys_parse("keys", slice_of(wrong[_i].text), why));
    ck_assert_msg(strncmp(why, wrong[_i].why, strlen(wrong[_i].why)) == 0, "%s", why);
}
END_TEST

START_TEST(a_long_wrong_word_is_cut)
{
    char text[2000], why[KEYS_WHY_MAX] = "";
    memset(text, 'x', sizeof text);
    ck_assert_ptr_null(keys_parse("keys", (struct slice){text, sizeof text}, why));
    ck_assert_uint_lt(strlen(why), 200);
}
END_TEST

START_TEST(many_keys_are_found)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct curve_key key;
    for (unsigned char i = 0; i < 200; i++) {
        curve_key_encode((unsigned char[CURVE_KEY_BYTES]){i, 1}, &key);
        fprintf(out, "publisher %s name-%d sessions=s%d,t%d\n", key.text, i, i, i);
    }
    fclose(out);
    parse(text);
    ck_assert_uint_eq(keys_count(keys), 200);
    for (unsigned char i = 0; i < 200; i++) {
        char session[16];
        curve_key_encode((unsigned char[CURVE_KEY_BYTES]){i, 1}, &key);
        snprintf(session, sizeof session, "t%d", i);
        assert_slice(grant_of(key.text)->sessions.items[1], slice_of(session));
    }
    free(text);
}
END_TEST

START_TEST(a_file_is_read_or_named)
{
    char why[KEYS_WHY_MAX] = "", path[] = "/tmp/check_keys.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, LINE_1, strlen(LINE_1)), (ssize_t)strlen(LINE_1));
    close(fd);
    keys = keys_load(path, why);
    ck_assert_msg(keys != NULL, "%s", why);
    ck_assert_uint_eq(keys_count(keys), 1);
    unlink(path);
    ck_assert_ptr_null(keys_load(path, why));
    ck_assert_ptr_nonnull(strstr(why, path));
    ck_assert_ptr_nonnull(strstr(why, "No such file"));
}
END_TEST

static void forget(void)
{
    keys_free(&keys);
}

int main(void)
{
    Suite *suite = suite_create("keys");
    TCase *tests = one_case(suite, "keys");
    tcase_add_checked_fixture(tests, NULL, forget);
    tcase_add_test(tests, a_line_is_a_role_a_key_and_a_name);
    tcase_add_test(tests, a_key_publishes_under_its_name);
    tcase_add_test(tests, limits_are_patterns);
    tcase_add_test(tests, no_keys_are_a_table_too);
    tcase_add_loop_test(tests, a_wrong_line_is_told_with_its_number, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tests, a_long_wrong_word_is_cut);
    tcase_add_test(tests, many_keys_are_found);
    tcase_add_test(tests, a_file_is_read_or_named);
    return run_suite(suite);
}
