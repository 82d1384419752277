/* Endpoints are bound once, in a folder of their own, and again after they were cut. */
#include "net/bindings.h"

#include "support.h"

#define SECRET_MODE 0600

static struct own_folder folder;
static char ipc[64];
static void *zmq;
static struct zsock sockets[2];
static struct znotice notices[2];
static struct bindings bindings;

static void begin(void)
{
    static const struct zsock_options options = {.type = ZMQ_ROUTER, .handshake_ms = 1000};
    own_folder_make(&folder, "socket.lock");
    snprintf(ipc, sizeof ipc, "ipc://%s/socket", folder.path);
    zmq = zmq_ctx_new();
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(zsock_open(&sockets[i], zmq, &options), 0);
        ck_assert_int_eq(znotice_init(&notices[i], sockets[i].socket), 0);
    }
    ck_assert_int_eq(bindings_init(&bindings, 3), 0);
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++)
        zsock_close(&sockets[i]);
    zmq_ctx_term(zmq);
    bindings_release(&bindings);
    bindings_release(&bindings);
    unlink(ipc + strlen("ipc://")); /* libzmq does not always remove it */
    own_folder_remove(&folder);
}

static int bind_to(size_t which, const char *endpoint)
{
    return bindings_add(&bindings, "commands", endpoint, SECRET_MODE, &sockets[which],
                        &notices[which]);
}

START_TEST(a_wildcard_is_remembered_with_its_port)
{
    ck_assert_int_eq(bind_to(0, "tcp://127.0.0.1:*"), 0);
    ck_assert_uint_eq(bindings.count, 1);
    ck_assert_ptr_null(strchr(bindings.items[0].endpoint, '*'));
    ck_assert_int_ne(bind_to(1, bindings.items[0].endpoint), 0);
    ck_assert_uint_eq(bindings.count, 1);
}
END_TEST

START_TEST(an_ipc_socket_has_its_mode_and_a_lock)
{
    struct stat is;
    ck_assert_int_eq(bind_to(0, ipc), 0);
    ck_assert_int_eq(stat(ipc + strlen("ipc://"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 0777, SECRET_MODE);
    ck_assert_int_ne(bind_to(1, ipc), 0);
    ck_assert_uint_eq(bindings.count, 1);
}
END_TEST

START_TEST(a_file_that_is_no_socket_stays)
{
    struct stat is;
    const char *path = ipc + strlen("ipc://");
    make_file(path, S("text"), 0600);
    ck_assert_int_ne(bind_to(0, ipc), 0);
    ck_assert_uint_eq(bindings.count, 0);
    ck_assert_int_eq(stat(path, &is), 0);
    ck_assert(S_ISREG(is.st_mode) && is.st_size == 4);
}
END_TEST

START_TEST(nothing_is_restored_that_was_not_cut)
{
    ck_assert_int_eq(bind_to(0, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(bind_to(1, ipc), 0);
    ck_assert(!bindings_restore(&bindings));
    bindings_cut(&bindings, &sockets[1]); /* ipc endpoints stay */
    ck_assert(!bindings_restore(&bindings));
}
END_TEST

START_TEST(what_was_cut_is_bound_again)
{
    char endpoint[sizeof bindings.items->endpoint];
    size_t len = sizeof endpoint;
    ck_assert_int_eq(bind_to(0, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(bind_to(1, "tcp://127.0.0.1:*"), 0);
    znotice_received(&notices[0], 0);
    znotice_received(&notices[1], 0);
    bindings_cut(&bindings, &sockets[0]);
    ck_assert(bindings.items[0].attempts);
    ck_assert(!bindings.items[1].attempts);
    ck_assert(znotice_is_unsure(&notices[0]));
    ck_assert(!znotice_is_unsure(&notices[1]));

    while (bindings_restore(&bindings))
        usleep(BINDINGS_RETRY_MS * 1000);
    ck_assert_int_eq(zmq_getsockopt(sockets[0].socket, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    ck_assert_str_eq(endpoint, bindings.items[0].endpoint);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bindings");
    TCase *tests = one_case(suite, "bindings");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_wildcard_is_remembered_with_its_port);
    tcase_add_test(tests, an_ipc_socket_has_its_mode_and_a_lock);
    tcase_add_test(tests, a_file_that_is_no_socket_stays);
    tcase_add_test(tests, nothing_is_restored_that_was_not_cut);
    tcase_add_test(tests, what_was_cut_is_bound_again);
    return run_suite(suite);
}
