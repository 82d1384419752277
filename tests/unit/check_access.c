/* Who is let in where, what a key that is gone may do,
 * and which sockets are cut when keys change. */
#include "net/access.h"

#include <unistd.h>

#include "ops/log.h"
#include "support.h"

#define P "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define O "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define W "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define NOBODY "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

#define ALL "publisher " P " shop\noperator " O " desk\nworker " W " web\n"

static struct access access_;
static uint64_t counters[BROKER_COUNTERS];
static char path[64];

static void write_keys(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void setup(void)
{
    log_open("check", LOG_ERROR);
    strcpy(path, "/tmp/check_access.XXXXXX");
    close(mkstemp(path));
    write_keys(ALL);
    memset(counters, 0, sizeof counters);
    ck_assert_int_eq(access_open(&access_, path, counters), 0);
}

static void teardown(void)
{
    access_close(&access_);
    unlink(path);
}

static bool in(enum bus_socket socket, const char *key)
{
    return access_admit(&access_, socket, slice_of(key), S("127.0.0.1"));
}

START_TEST(each_role_has_its_sockets)
{
    ck_assert(in(BUS_COMMANDS, P) && in(BUS_COMMANDS, O) && !in(BUS_COMMANDS, W));
    ck_assert(in(BUS_FEED, W) && !in(BUS_FEED, P) && !in(BUS_FEED, O));
    ck_assert(in(BUS_SYNC, W) && !in(BUS_SYNC, P) && !in(BUS_SYNC, O));
    ck_assert(in(BUS_PRESENCE, O) && !in(BUS_PRESENCE, P) && !in(BUS_PRESENCE, W));
    ck_assert_uint_eq(counters[KEYS_REFUSED], 7);
    for (int socket = 0; socket < BUS_SOCKETS; socket++)
        ck_assert(!in((enum bus_socket)socket, NOBODY));
    ck_assert_uint_eq(counters[KEYS_REFUSED], 7 + BUS_SOCKETS);
}
END_TEST

START_TEST(presence_is_not_for_those_with_limits)
{
    bool cut[BUS_SOCKETS];
    write_keys("operator " O " desk sessions=a\n");
    access_reload(&access_, cut);
    ck_assert(!in(BUS_PRESENCE, O) && in(BUS_COMMANDS, O));
    ck_assert(cut[BUS_PRESENCE]);
}
END_TEST

static const struct grant *grant_of(const char *user)
{
    return access_grant(&access_, &(struct bus_message){.user = slice_of(user)});
}

START_TEST(a_message_has_its_sender_s_grant)
{
    ck_assert_uint_eq(grant_of(P)->roles, ROLE_PUBLISHER);
    ck_assert_uint_eq(grant_of(W)->roles, ROLE_WORKER);
    ck_assert_uint_eq(grant_of(NOBODY)->roles, 0);
    ck_assert_ptr_eq(grant_of(NULL), &grant_everything);
}
END_TEST

START_TEST(without_keys_everybody_may_everything)
{
    struct access open = {0};
    bool cut[BUS_SOCKETS];
    ck_assert_int_eq(access_open(&open, NULL, counters), 0);
    ck_assert_ptr_eq(access_grant(&open, &(struct bus_message){.user = S(P)}), &grant_everything);
    access_reload(&open, cut);
    for (int s = 0; s < BUS_SOCKETS; s++)
        ck_assert(!cut[s]);
    access_close(&open);
}
END_TEST

static const struct {
    const char *text;
    bool commands, feed, presence; /* are cut */
} changes[] = {
    {ALL, false, false, false},
    {ALL "worker " NOBODY " new\n", false, false, false},
    {"operator " O " desk\nworker " W " renamed\n", true, false, false},
    {"operator " P " shop\noperator " O " desk\nworker " W " web\n", false, false, false},
    {"publisher " P " shop\noperator " O " desk\n", false, true, false},
    {"publisher " P " shop\nworker " W " web\n", true, false, true},
    {"operator " W " web\nworker " O " desk\n", true, true, true},
    {"# nobody\n", true, true, true},
    {"", false, false, false},
    {"\n \n", false, false, false},
};

START_TEST(who_is_gone_is_cut_off)
{
    bool cut[BUS_SOCKETS];
    write_keys(changes[_i].text);
    access_reload(&access_, cut);
    ck_assert_int_eq(cut[BUS_COMMANDS], changes[_i].commands);
    ck_assert_int_eq(cut[BUS_FEED], changes[_i].feed);
    ck_assert_int_eq(cut[BUS_PRESENCE], changes[_i].presence);
}
END_TEST

START_TEST(what_cannot_be_read_changes_nothing)
{
    bool cut[BUS_SOCKETS];
    log_open("check", (enum log_level)(LOG_ERROR - 1));
    write_keys("worker nonsense\n");
    access_reload(&access_, cut);
    ck_assert(!cut[BUS_FEED] && !cut[BUS_PRESENCE] && in(BUS_FEED, W));
    unlink(path);
    access_reload(&access_, cut);
    ck_assert(!cut[BUS_FEED] && in(BUS_FEED, W) && grant_of(P)->roles == ROLE_PUBLISHER);
    struct access none = {0};
    ck_assert_int_ne(access_open(&none, path, counters), 0);
    access_close(&none);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *tests = one_case(suite, "access");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_role_has_its_sockets);
    tcase_add_test(tests, presence_is_not_for_those_with_limits);
    tcase_add_test(tests, a_message_has_its_sender_s_grant);
    tcase_add_test(tests, without_keys_everybody_may_everything);
    tcase_add_loop_test(tests, who_is_gone_is_cut_off, 0,
                        (int)(sizeof changes / sizeof changes[0]));
    tcase_add_test(tests, what_cannot_be_read_changes_nothing);
    return run_suite(suite);
}
