/* Own ids of MQTT messages: kept until the acknowledgement, also over a crash. */
#include <errno.h>
#include <unistd.h>

#include "mqtt/packet_ids.h"
#include "support.h"

static struct packet_ids *ids;
static char file[64], why[PACKET_IDS_WHY], first[PACKET_IDS_ID], second[PACKET_IDS_ID];

static void open_ids(const char *name)
{
    ck_assert_int_eq(packet_ids_open(&ids, name, why), 0);
}

/* In file. */
static void crash(void)
{
    packet_ids_close(&ids);
    open_ids(file);
}

static bool again(uint16_t packet, const char *payload, char id[PACKET_IDS_ID])
{
    return packet_ids_get(ids, packet, S("t"), slice_of(payload), id);
}

static void begin(void)
{
    snprintf(file, sizeof file, "/tmp/check-packet-ids-%d", (int)getpid());
    unlink(file);
    open_ids(file);
}

static void end(void)
{
    packet_ids_close(&ids);
    unlink(file);
}

START_TEST(a_message_that_comes_again_has_its_id_again)
{
    ck_assert(!again(1, "a", first));
    ck_assert(again(1, "a", second));
    ck_assert_str_eq(first, second);
    crash();
    ck_assert(again(1, "a", second));
    ck_assert_str_eq(first, second);
}
END_TEST

START_TEST(what_was_acknowledged_is_new)
{
    again(65535, "a", first);
    packet_ids_remove(ids, 65535);
    crash();
    ck_assert(!again(65535, "a", second));
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(another_content_is_another_message)
{
    again(1, "a", first);
    ck_assert(!again(1, "b", second));
    ck_assert_str_ne(first, second);
    ck_assert(!packet_ids_get(ids, 2, S("t"), S("b"), second));
    ck_assert(!packet_ids_get(ids, 2, S("tb"), S(""), second));
}
END_TEST

START_TEST(quality_0_is_always_new)
{
    ck_assert(!again(0, "a", first));
    ck_assert(!again(0, "a", second));
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(a_new_session_forgets)
{
    again(1, "a", first);
    packet_ids_clear(ids);
    ck_assert(!again(1, "a", second));
}
END_TEST

START_TEST(ids_of_two_processes_differ)
{
    again(1, "a", first);
    packet_ids_remove(ids, 1);
    crash();
    again(1, "a", second);
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(a_file_has_one_user)
{
    struct packet_ids *other;
    ck_assert_int_eq(packet_ids_open(&other, file, why), -EWOULDBLOCK);
    ck_assert_ptr_nonnull(strstr(why, "another bridge"));
    ck_assert_int_lt(packet_ids_open(&other, "/nonexistent/file", why), 0);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(another_file_is_replaced)
{
    packet_ids_close(&ids);
    FILE *f = fopen(file, "w");
    fputs("not a table", f);
    fclose(f);
    open_ids(file);
    ck_assert(!again(1, "a", first));
    crash();
    ck_assert(again(1, "a", second));
}
END_TEST

START_TEST(ids_are_kept_in_memory_without_a_file)
{
    packet_ids_close(&ids);
    open_ids(NULL);
    again(1, "a", first);
    ck_assert(again(1, "a", second));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packet_ids");
    TCase *tests = one_case(suite, "packet_ids");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_message_that_comes_again_has_its_id_again);
    tcase_add_test(tests, what_was_acknowledged_is_new);
    tcase_add_test(tests, another_content_is_another_message);
    tcase_add_test(tests, quality_0_is_always_new);
    tcase_add_test(tests, a_new_session_forgets);
    tcase_add_test(tests, ids_of_two_processes_differ);
    tcase_add_test(tests, a_file_has_one_user);
    tcase_add_test(tests, another_file_is_replaced);
    tcase_add_test(tests, ids_are_kept_in_memory_without_a_file);
    return run_suite(suite);
}
