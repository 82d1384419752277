/* A listening socket, peers that connect to it, and too few descriptors for them. */
#include "http/accept.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "capture.h"
#include "ops/log.h"
#include "support.h"
#include "turns.h"

#define TIMEOUT_MS 10000
#define LACKING "out of file descriptors"

static struct loop *loop;
static struct acceptor *acceptor;
static struct sockaddr_in address;
static struct capture log_lines;

static bool turn_end(void *context)
{
    (void)context;
    return false;
}

static void unexpected_request(void *context, int fd, struct params *params)
{
    (void)context;
    (void)fd;
    (void)params;
    ck_abort_msg("no peer sent a request");
}

static size_t no_body(void *context, struct params *params)
{
    (void)context;
    (void)params;
    return 0;
}

static void dropped(void *context)
{
    (void)context;
}

static const struct accept_hooks hooks = {
    .request = unexpected_request, .body_max = no_body, .dropped = dropped};

static void setup(void)
{
    socklen_t len = sizeof address;
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);

    loop = new_turns(turn_end);
    acceptor = acceptor_new(loop, listener, 1 << 20, 8, TIMEOUT_MS, &hooks, NULL);
    ck_assert_ptr_nonnull(acceptor);
}

static void teardown(void)
{
    acceptor_free(&acceptor);
    loop_free(&loop);
}

static int connect_peer(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A peer connects while no descriptor is free, and is accepted when there are some again. */
static void lack_descriptors(void)
{
    int peer = connect_peer();
    rlim_t before = set_descriptors(3);
    turn_for(loop, 0);
    set_descriptors(before);
    turn_for(loop, 200);
    close(peer);
    turn_for(loop, 0);
}

START_TEST(a_lack_of_descriptors_is_logged_again_when_it_comes_back)
{
    log_tick(clock_ms());
    capture_begin(&log_lines, STDERR_FILENO);
    lack_descriptors();
    log_tick(clock_ms() + 61000); /* within a minute it would be a repeated line */
    lack_descriptors();
    const char *first = strstr(capture_end(&log_lines), LACKING);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, LACKING));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accept");
    TCase *tests = one_case(suite, "accept");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_lack_of_descriptors_is_logged_again_when_it_comes_back);
    return run_suite(suite);
}
