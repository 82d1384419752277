/* What needs no server. Statements and notifications are tested with one (tests/e2e). */
#include "pgsql/database.h"

#include <errno.h>

#include "support.h"

static char why[OPTION_WHY_MAX];

static const char *const good[] = {
    "",
    "dbname=shop",
    "host=/run/postgresql dbname='my shop' user=anna",
    "postgresql://anna@db.example:5433/shop?sslmode=verify-full",
    "dbname=shop passfile=/etc/ssecast/pgpass",
    "dbname=shop password=''",
};

START_TEST(a_connection_string_without_a_password_is_accepted)
{
    ck_assert_msg(database_check(good[_i], why) == 0, "%s: %s", good[_i], why);
}
END_TEST

static const char *const secret[] = {
    "dbname=shop password=s3cret",
    "password = 's3 cret' dbname=shop",
    "postgresql://anna:s3cret@db.example/shop",
    "postgresql://db.example/shop?password=s3cret",
};

/* Every user may read a command line; the line for the log does not repeat it. */
START_TEST(a_password_is_refused_and_not_repeated)
{
    ck_assert_int_eq(database_check(secret[_i], why), -EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "--password-file"));
    ck_assert_ptr_null(strstr(why, "s3"));
}
END_TEST

static const char *const bad[] = {"shop", "dbname=shop colour=red", "postgresql://[::1/shop",
                                  "dbname='shop"};

START_TEST(what_is_no_connection_string_is_refused)
{
    ck_assert_int_eq(database_check(bad[_i], why), -EINVAL);
    ck_assert_ptr_eq(strstr(why, "--dsn: must be a connection string of PostgreSQL: "), why);
}
END_TEST

START_TEST(a_shortage_may_be_the_server_s_fault)
{
    ck_assert_int_eq(database_fault_of("22P05"), FAULT_OF_DATA);
    ck_assert_int_eq(database_fault_of("54000"), FAULT_OF_DATA);
    ck_assert_int_eq(database_fault_of("53200"), FAULT_UNCERTAIN);
    ck_assert_int_eq(database_fault_of("57014"), FAULT_UNCERTAIN);
    ck_assert_int_eq(database_fault_of("XX001"), FAULT_UNCERTAIN);
    ck_assert_int_eq(database_fault_of("53300"), FAULT_OF_SERVER);
    ck_assert_int_eq(database_fault_of("57P01"), FAULT_OF_SERVER);
    ck_assert_int_eq(database_fault_of("42P01"), FAULT_OF_SERVER);
    ck_assert_int_eq(database_fault_of(""), FAULT_OF_SERVER);
    ck_assert_int_eq(database_fault_of(NULL), FAULT_OF_SERVER);
}
END_TEST

START_TEST(a_closed_connection_answers_nothing)
{
    struct frame frame = {0};
    struct rows *rows = NULL;
    struct database *db = database_new(&frame, "dbname=shop", NULL, 1000);
    ck_assert_ptr_nonnull(db);
    ck_assert(!database_is_open(db));
    ck_assert_int_eq(database_query(db, "SELECT 1", NULL, 0, &rows), -EIO);
    ck_assert_ptr_null(rows);
    database_close(db);
    database_free(&db);
    ck_assert_ptr_null(db);
    database_free(&db);
    rows_free(&rows);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("database");
    TCase *tests = one_case(suite, "database");
    tcase_add_loop_test(tests, a_connection_string_without_a_password_is_accepted, 0, COUNT(good));
    tcase_add_loop_test(tests, a_password_is_refused_and_not_repeated, 0, COUNT(secret));
    tcase_add_loop_test(tests, what_is_no_connection_string_is_refused, 0, COUNT(bad));
    tcase_add_test(tests, a_shortage_may_be_the_server_s_fault);
    tcase_add_test(tests, a_closed_connection_answers_nothing);
    return run_suite(suite);
}
