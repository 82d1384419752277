#include "net/large_reply.h"

#include <errno.h>

#include "support.h"

#define MAX 1000

static struct unread *unread;
static char bytes[MAX];

static void setup(void)
{
    unread = unread_new(MAX);
    ck_assert_ptr_nonnull(unread);
    memset(bytes, 'x', sizeof bytes);
}

static void teardown(void)
{
    unread_free(&unread);
}

static int make(const char *peer, size_t len, zmq_msg_t *out)
{
    return large_reply_make(unread, slice_of(peer), (struct slice){bytes, len}, out);
}

START_TEST(a_reply_counts_until_libzmq_is_done_with_it)
{
    zmq_msg_t first, second, other;
    ck_assert_int_eq(make("a", 600, &first), 0);
    ck_assert_int_eq(make("a", 401, &second), -EAGAIN);
    ck_assert_int_eq(make("b", 401, &other), 0);
    zmq_msg_close(&first);
    ck_assert_int_eq(make("a", 401, &second), 0);
    zmq_msg_close(&second);
    zmq_msg_close(&other);
}
END_TEST

START_TEST(the_message_is_a_copy)
{
    zmq_msg_t message;
    ck_assert_int_eq(make("a", 600, &message), 0);
    bytes[0] = 'y';
    ck_assert_uint_eq(zmq_msg_size(&message), 600);
    ck_assert_int_eq(*(char *)zmq_msg_data(&message), 'x');
    zmq_msg_close(&message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large_reply");
    TCase *tests = one_case(suite, "large_reply");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_reply_counts_until_libzmq_is_done_with_it);
    tcase_add_test(tests, the_message_is_a_copy);
    return run_suite(suite);
}
