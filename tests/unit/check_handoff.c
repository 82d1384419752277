/* Offers in a folder of their own, and peers that pass every kind of descriptor. */
#include "http/handoff.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/stats.h"
#include "support.h"
#include "turns.h"

#define NOBODY 65534

static struct loop *loop;
static struct handoffs *set;
static uint64_t counters[WORKER_COUNTERS];
static char folder[64];
static int arrived, lost, last_fd;
static int owner;

static void on_arrived(void *context, int fd)
{
    ck_assert_ptr_eq(context, &owner);
    arrived++;
    last_fd = fd;
}

static void on_lost(void *context)
{
    ck_assert_ptr_eq(context, &owner);
    lost++;
}

static const struct handoff_hooks hooks = {on_arrived, on_lost};

static bool turn_end(void *context)
{
    (void)context;
    return false;
}

static void turn(void)
{
    turn_for(loop, 0);
}

static struct handoffs *open_set(void)
{
    struct handoff_config config = {
        .folder = folder, .peer = geteuid(), .group = getegid(), .user_timeout_ms = 7000};
    return handoffs_new(loop, &config, &hooks, counters);
}

static void setup(void)
{
    memset(counters, 0, sizeof counters);
    arrived = lost = 0;
    last_fd = -1;
    loop = new_turns(turn_end);
    strcpy(folder, "/tmp/check-handoff-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chmod(folder, 0777), 0);
    set = open_set();
    ck_assert_ptr_nonnull(set);
}

static void teardown(void)
{
    if (last_fd >= 0)
        close(last_fd);
    handoffs_free(&set);
    loop_free(&loop);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing is left behind */
}

static int files(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static const char *path_of(const char *name)
{
    static char path[sizeof((struct sockaddr_un *)0)->sun_path];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat found;
    return lstat(path_of(name), &found) == 0;
}

static int connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* A connected pair of sockets of a protocol like TCP. False: the kernel has no such protocol. */
static bool pair_of(int protocol, int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, protocol);
    if (listener < 0)
        return false;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    fds[1] = socket(AF_INET, SOCK_STREAM, protocol);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept(listener, NULL, NULL);
    close(listener);
    return true;
}

static void tcp_pair(int fds[2])
{
    ck_assert(pair_of(IPPROTO_TCP, fds));
}

/* One message with these descriptors, as mod_proxy_fdpass sends one with one. */
static void pass(int to, const int *fds, size_t count)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = {0}, byte = 0;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(to, &message, MSG_NOSIGNAL), 1);
}

/* How many descriptors this process has. */
static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#define MULTIPATH_TCP 262

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    getsockopt(fd, level, name, &value, &len);
    return value;
}

/* --- one offer --- */

START_TEST(a_socket_of_multipath_tcp_arrives_too)
{
    int pair[2];
    char byte;
    if (!pair_of(MULTIPATH_TCP, pair))
        return;

    struct handoff *h = handoff_offer(set, &owner);
    int peer = connect_to(handoff_token(h));
    ck_assert_int_eq(option_of(pair[0], SOL_SOCKET, SO_PROTOCOL), MULTIPATH_TCP);
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_int_eq(write(last_fd, "x", 1), 1);
    ck_assert_int_eq(read(pair[1], &byte, 1), 1);
    close(pair[0]);
    close(pair[1]);
    close(peer);
}
END_TEST

START_TEST(a_socket_arrives_and_is_prepared)
{
    int pair[2];
    char byte;
    struct handoff *h = handoff_offer(set, &owner);
    char token[HANDOFF_TOKEN_LEN + 1];
    ck_assert_uint_eq(strlen(handoff_token(h)), HANDOFF_TOKEN_LEN);
    strcpy(token, handoff_token(h));
    tcp_pair(pair);
    int peer = connect_to(token);
    ck_assert_int_ge(peer, 0);
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_uint_eq(counters[HANDOFFS], 1);
    ck_assert(!exists(token));
    ck_assert_int_eq(option_of(last_fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_int_eq(option_of(last_fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 7000);
    ck_assert(!(fcntl(last_fd, F_GETFL) & O_NONBLOCK)); /* Apache's copy would change, too */
    ck_assert(fcntl(last_fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0); /* nothing else is taken from this peer */

    close(pair[0]); /* as Apache does */
    ck_assert_int_eq(write(last_fd, "x", 1), 1);
    ck_assert_int_eq(read(pair[1], &byte, 1), 1);
    close(pair[1]);
    close(peer);
}
END_TEST

START_TEST(a_token_works_once)
{
    struct handoff *h = handoff_offer(set, &owner);
    char token[HANDOFF_TOKEN_LEN + 1];
    strcpy(token, handoff_token(h));
    int first = connect_to(token);
    turn();
    ck_assert_int_eq(connect_to(token), -1);
    close(first);
    turn();
    ck_assert_int_eq(lost, 1);
}
END_TEST

START_TEST(tokens_differ)
{
    struct handoff *a = handoff_offer(set, &owner), *b = handoff_offer(set, &owner);
    ck_assert_str_ne(handoff_token(a), handoff_token(b));
    ck_assert_int_eq(files(), 2);
    handoff_withdraw(&a);
    ck_assert_ptr_null(a);
    ck_assert_int_eq(files(), 1);
    ck_assert_int_eq(lost, 0);
}
END_TEST

/* Pass them over a new offer: none may be taken, and all are closed. */
static void assert_refused(const int *fds, size_t count)
{
    int before = descriptors(), was_lost = lost;
    uint64_t refused = counters[HANDOFFS_REFUSED];
    struct handoff *h = handoff_offer(set, &owner);
    int peer = connect_to(handoff_token(h));
    pass(peer, fds, count);
    turn();
    ck_assert_int_eq(arrived, 0);
    ck_assert_int_eq(lost, was_lost + 1);
    ck_assert_uint_eq(counters[HANDOFFS_REFUSED], refused + 1);
    close(peer);
    ck_assert_int_eq(descriptors(), before);
}

START_TEST(another_kind_of_descriptor_is_refused)
{
    int unix_pair[2], pipe_pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair);
    ck_assert_int_eq(pipe(pipe_pair), 0);
    int others[] = {unix_pair[0], pipe_pair[1], open("/dev/null", O_RDWR),
                    socket(AF_INET, SOCK_DGRAM, 0),
                    socket(AF_INET, SOCK_STREAM, 0) /* not connected */};
    size_t count = sizeof others / sizeof others[0];
    for (size_t i = 0; i < count; i++)
        assert_refused(&others[i], 1);
    for (size_t i = 0; i < count; i++)
        close(others[i]);
    close(unix_pair[1]);
    close(pipe_pair[0]);
}
END_TEST

START_TEST(a_message_with_more_than_one_or_none_is_refused)
{
    int pair[2], many[16];
    tcp_pair(pair);
    for (int i = 0; i < 16; i++)
        many[i] = pair[0];
    assert_refused(NULL, 0);
    assert_refused(many, 2);
    assert_refused(many, 8);
    assert_refused(many, 16); /* more than there is room for: MSG_CTRUNC */
    close(pair[0]);
    close(pair[1]);
}
END_TEST

START_TEST(another_user_changes_nothing)
{
    if (geteuid() != 0)
        return; /* only root can become another one */
    ck_assert_int_eq(chmod(folder, 0777), 0);
    struct handoff *h = handoff_offer(set, &owner);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        int fd = setuid(NOBODY) == 0 ? connect_to(handoff_token(h)) : -1;
        struct pollfd ends = {.fd = fd, .events = POLLIN};
        _exit(fd >= 0 && poll(&ends, 1, 20000) == 1 && recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
    }
    for (int status = -1; waitpid(child, &status, WNOHANG) == 0;)
        turn();
    ck_assert_uint_eq(counters[HANDOFFS_REFUSED], 1);
    ck_assert_int_eq(lost, 0);

    int pair[2];
    tcp_pair(pair);
    int peer = connect_to(handoff_token(h)); /* it is still there for the web server */
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, 1);
    close(peer);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

START_TEST(an_offer_without_a_descriptor_expires)
{
    int64_t until = clock_ms() + HANDOFF_MS + 20000;
    struct handoff *h = handoff_offer(set, &owner);
    int silent = connect_to(handoff_token(h)); /* it connects, and sends nothing */
    ck_assert_ptr_nonnull(handoff_offer(set, &owner));
    turn();
    ck_assert_int_eq(lost, 0);
    while (lost < 2 && clock_ms() < until) {
        poll(NULL, 0, 50);
        turn();
    }
    ck_assert_int_eq(lost, 2);
    ck_assert_uint_eq(counters[HANDOFFS_EXPIRED], 2);
    ck_assert_int_eq(files(), 0);
    close(silent);
}
END_TEST

START_TEST(their_number_is_bounded)
{
    unsigned count = 0;
    while (handoff_offer(set, &owner))
        count++;
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_le(count, HANDOFFS_MAX);
    handoffs_free(&set);
    ck_assert_int_eq(files(), 0);
    ck_assert_int_eq(lost, 0);
}
END_TEST

/* --- sockets that are used again --- */

/* A new offer, and a browser's socket for it. *kept is its token. */
static void hand_one_over(char kept[HANDOFF_TOKEN_LEN + 1])
{
    int pair[2], before = arrived;
    struct handoff *h = handoff_offer(set, &owner);
    ck_assert_ptr_nonnull(h);
    strcpy(kept, handoff_token(h));
    tcp_pair(pair);
    int peer = connect_to(kept);
    ck_assert_int_ge(peer, 0);
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, before + 1);
    close(last_fd);
    last_fd = -1;
    close(pair[0]);
    close(pair[1]);
    close(peer);
}

START_TEST(one_socket_serves_offers_under_new_names)
{
    char first[HANDOFF_TOKEN_LEN + 1], token[HANDOFF_TOKEN_LEN + 1];
    hand_one_over(first);
    int before = descriptors();
    for (int i = 0; i < 100; i++) { /* more than one draws random bytes for */
        hand_one_over(token);
        ck_assert_str_ne(token, first);
        ck_assert(!exists(token));
    }
    ck_assert_int_eq(connect_to(first), -1);
    ck_assert_int_eq(descriptors(), before);
    ck_assert_int_eq(files(), 1);
}
END_TEST

START_TEST(sockets_kept_for_later_are_bounded)
{
    static struct handoff *offers[300];
    size_t count = 0;
    while (count < 300 && (offers[count] = handoff_offer(set, &owner)))
        count++;
    int pair[2];
    tcp_pair(pair);
    for (size_t i = 0; i < count; i++) {
        int peer = connect_to(handoff_token(offers[i]));
        pass(peer, pair, 1);
        turn();
        close(last_fd);
        close(peer);
    }
    last_fd = -1;
    turn();
    ck_assert_int_eq(arrived, (int)count);
    ck_assert_int_eq(files(), 256);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

/* Who connected under a former name waits at the same socket. */
START_TEST(a_second_peer_of_a_token_is_not_the_next_offer_s)
{
    int pair[2], wrong[2];
    char byte;
    struct handoff *h = handoff_offer(set, &owner);
    tcp_pair(pair);
    tcp_pair(wrong);
    int peer = connect_to(handoff_token(h)), second = connect_to(handoff_token(h));
    ck_assert_int_ge(second, 0);
    pass(peer, pair, 1);
    pass(second, wrong, 1);
    turn(); /* takes the first, and no more than one in a turn */
    ck_assert_int_eq(arrived, 1);
    close(last_fd);
    last_fd = -1;

    h = handoff_offer(set, &owner);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_uint_eq(counters[HANDOFFS_REFUSED], 1);
    ck_assert_int_le(recv(second, &byte, 1, 0), 0); /* it is closed, with what it sent unread */
    ck_assert(exists(handoff_token(h)));
    close(peer);
    close(second);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(wrong[i]);
    }
}
END_TEST

/* As before, but while the first peer is still silent. */
START_TEST(a_second_peer_does_not_disturb_the_first)
{
    int pair[2];
    struct handoff *h = handoff_offer(set, &owner);
    tcp_pair(pair);
    int peer = connect_to(handoff_token(h)), second = connect_to(handoff_token(h));
    turn();
    turn();
    ck_assert_uint_eq(counters[HANDOFFS_REFUSED], 1);
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_int_eq(lost, 0);
    close(peer);
    close(second);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

/* A peer that waits would wake the loop without end. */
START_TEST(without_descriptors_an_offer_is_lost)
{
    struct handoff *h = handoff_offer(set, &owner);
    int peer = connect_to(handoff_token(h));
    rlim_t before = set_descriptors(3);
    turn();
    set_descriptors(before);
    ck_assert_int_eq(lost, 1);
    turn();
    ck_assert_int_eq(files(), 0);
    close(peer);
}
END_TEST

/* Who could not be refused is not taken for the peer of the next offer. */
START_TEST(without_descriptors_a_kept_socket_is_closed)
{
    char token[HANDOFF_TOKEN_LEN + 1];
    int pair[2];
    struct handoff *h = handoff_offer(set, &owner);
    tcp_pair(pair);
    snprintf(token, sizeof token, "%s", handoff_token(h));
    int peer = connect_to(token), second = connect_to(token);
    ck_assert_int_ge(second, 0);
    pass(peer, pair, 1);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_int_eq(files(), 1);
    rlim_t before = set_descriptors(3);
    turn();
    set_descriptors(before);
    ck_assert_int_eq(files(), 0);

    handoff_offer(set, &owner);
    turn();
    ck_assert_int_eq(arrived, 1);
    ck_assert_int_eq(lost, 0);
    close(peer);
    close(second);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

/* Apache may be about to connect to it. */
START_TEST(the_socket_of_an_offer_that_failed_is_not_used_again)
{
    int before = descriptors();
    struct handoff *h = handoff_offer(set, &owner);
    int peer = connect_to(handoff_token(h));
    close(peer);
    turn();
    turn();
    ck_assert_int_eq(lost, 1);
    ck_assert_int_eq(files(), 0);
    h = handoff_offer(set, &owner);
    handoff_withdraw(&h);
    turn();
    ck_assert_int_eq(files(), 0);
    ck_assert_int_eq(descriptors(), before);
}
END_TEST

/* The directory is cleaned meanwhile. */
START_TEST(kept_sockets_without_files_are_given_up)
{
    char token[HANDOFF_TOKEN_LEN + 1];
    int64_t until = clock_ms() + HANDOFF_MS + 20000;
    hand_one_over(token);
    ck_assert_int_eq(files(), 1);
    struct handoff *h = handoff_offer(set, &owner);
    ck_assert_int_eq(unlink(path_of(handoff_token(h))), 0);
    while (lost < 1 && clock_ms() < until) {
        poll(NULL, 0, 50);
        turn();
    }
    ck_assert_int_eq(lost, 1);
    hand_one_over(token);
    ck_assert_int_eq(files(), 1);
}
END_TEST

/* --- the directory --- */

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

#define STALE "0123456789abcdef0123456789abcdef"
#define LINK "1123456789abcdef0123456789abcdef"
#define PLAIN "2123456789abcdef0123456789abcdef"

START_TEST(only_sockets_of_dead_workers_are_removed)
{
    static const char *const kept[] = {"scgi.sock", LINK, PLAIN, "0123456789ABCDEF0123456789ABCDEF",
                                       "0123"};
    handoffs_free(&set);
    make_socket(STALE);
    make_socket("scgi.sock");
    make_socket(kept[3]);
    make_socket(kept[4]);
    ck_assert_int_eq(symlink("scgi.sock", path_of(LINK)), 0);
    close(open(path_of(PLAIN), O_CREAT | O_WRONLY, 0600));
    set = open_set();
    ck_assert(!exists(STALE));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        ck_assert_msg(exists(kept[i]), "%s", kept[i]);
        unlink(path_of(kept[i]));
    }
}
END_TEST

START_TEST(two_workers_share_a_directory)
{
    struct handoff *h = handoff_offer(set, &owner);
    struct handoffs *other = open_set();
    ck_assert_ptr_nonnull(other);
    ck_assert(exists(handoff_token(h)));
    handoffs_free(&other);
}
END_TEST

START_TEST(the_directory_is_made_and_closed_to_others)
{
    struct stat found;
    handoffs_free(&set);
    ck_assert_int_eq(rmdir(folder), 0);
    set = open_set();
    ck_assert_int_eq(stat(folder, &found), 0);
    ck_assert_int_eq(found.st_mode & 07777, 0710);
    handoffs_free(&set);
    chmod(folder, 0777);
    set = open_set();
    ck_assert_int_eq(stat(folder, &found), 0);
    ck_assert_int_eq(found.st_mode & 07777, 0710);
}
END_TEST

START_TEST(what_is_no_directory_of_ours_is_refused)
{
    char target[64];
    snprintf(target, sizeof target, "%s", folder);
    handoffs_free(&set);
    strcat(folder, "-link");
    ck_assert_int_eq(symlink(target, folder), 0);
    ck_assert_ptr_null(open_set());
    unlink(folder);
    strcpy(folder, "/tmp/check-handoff-none/none");
    ck_assert_ptr_null(open_set());
    strcpy(folder, target);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(folder, NOBODY, NOBODY), 0);
        ck_assert_ptr_null(open_set());
    }
}
END_TEST

/* --- requests and options --- */

static bool permitted(const char *const *list)
{
    struct params params = {0};
    ck_assert_int_eq(params_copy(&params, (char *const *)list), 0);
    bool answer = handoff_permitted(&params);
    params_release(&params);
    return answer;
}

#define PERMITTED(...) permitted((const char *const[]){__VA_ARGS__, NULL})
#define HTTP "REQUEST_SCHEME=http"
#define V11 "SERVER_PROTOCOL=HTTP/1.1"
#define EMPTY "CONTENT_LENGTH=0"

START_TEST(only_plain_http_1_is_handed_over)
{
    ck_assert(PERMITTED(HTTP, V11, EMPTY));
    ck_assert(PERMITTED(HTTP, "SERVER_PROTOCOL=HTTP/1.0", EMPTY));
    ck_assert(PERMITTED(HTTP, V11, EMPTY, "HTTPS=off"));

    ck_assert(!PERMITTED(HTTP, V11, EMPTY, "HTTPS=on"));
    ck_assert(!PERMITTED(HTTP, V11, EMPTY, "HTTPS=off", "HTTPS=on"));
    ck_assert(!PERMITTED(HTTP, V11, EMPTY, "HTTPS="));
    ck_assert(!PERMITTED("REQUEST_SCHEME=https", V11, EMPTY));
    ck_assert(!PERMITTED(HTTP, "REQUEST_SCHEME=https", V11, EMPTY));
    ck_assert(!PERMITTED(HTTP, "SERVER_PROTOCOL=HTTP/2.0", EMPTY));
    ck_assert(!PERMITTED(HTTP, "SERVER_PROTOCOL=HTTP/0.9", EMPTY));
    ck_assert(!PERMITTED(HTTP, "SERVER_PROTOCOL=INCLUDED", EMPTY));
    ck_assert(!PERMITTED(HTTP, EMPTY));
    ck_assert(!PERMITTED(V11, EMPTY));
    ck_assert(!PERMITTED(EMPTY));
}
END_TEST

START_TEST(a_request_with_a_body_is_not_handed_over)
{
    ck_assert(!PERMITTED(HTTP, V11, "CONTENT_LENGTH=1"));
    ck_assert(!PERMITTED(HTTP, V11));
    ck_assert(!PERMITTED(HTTP, V11, EMPTY, "HTTP_TRANSFER_ENCODING=chunked"));
}
END_TEST

START_TEST(options_are_checked)
{
    static const char *const bad[] = {"",      "handoff/", "/handoff", "/a b/",
                                      "/a?b/", "/a\r\nb/", "/%41/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(handoff_check_url(bad[i]) != NULL, "%s", bad[i]);
    ck_assert_ptr_null(handoff_check_url("/handoff/1/"));
    ck_assert_ptr_null(handoff_check_fallback("/sse-fcgi"));
    ck_assert_ptr_nonnull(handoff_check_fallback("/sse?x"));
    ck_assert_ptr_nonnull(handoff_folder_check("run/handoff"));
    ck_assert_ptr_null(handoff_folder_check("/run/ssecast-handoff/1"));
    ck_assert_ptr_nonnull(handoff_folder_check(
        "/0123456789012345678901234567890123456789012345678901234567890123456789012345"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handoff");
    TCase *tests = one_case(suite, "handoff"), *pure = one_case(suite, "pure");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_socket_arrives_and_is_prepared);
    tcase_add_test(tests, a_socket_of_multipath_tcp_arrives_too);
    tcase_add_test(tests, a_token_works_once);
    tcase_add_test(tests, tokens_differ);
    tcase_add_test(tests, another_kind_of_descriptor_is_refused);
    tcase_add_test(tests, a_message_with_more_than_one_or_none_is_refused);
    tcase_add_test(tests, another_user_changes_nothing);
    tcase_add_test(tests, an_offer_without_a_descriptor_expires);
    tcase_add_test(tests, their_number_is_bounded);
    tcase_add_test(tests, one_socket_serves_offers_under_new_names);
    tcase_add_test(tests, sockets_kept_for_later_are_bounded);
    tcase_add_test(tests, a_second_peer_of_a_token_is_not_the_next_offer_s);
    tcase_add_test(tests, a_second_peer_does_not_disturb_the_first);
    tcase_add_test(tests, without_descriptors_an_offer_is_lost);
    tcase_add_test(tests, without_descriptors_a_kept_socket_is_closed);
    tcase_add_test(tests, the_socket_of_an_offer_that_failed_is_not_used_again);
    tcase_add_test(tests, kept_sockets_without_files_are_given_up);
    tcase_add_test(tests, only_sockets_of_dead_workers_are_removed);
    tcase_add_test(tests, two_workers_share_a_directory);
    tcase_add_test(tests, the_directory_is_made_and_closed_to_others);
    tcase_add_test(tests, what_is_no_directory_of_ours_is_refused);
    tcase_add_test(pure, only_plain_http_1_is_handed_over);
    tcase_add_test(pure, a_request_with_a_body_is_not_handed_over);
    tcase_add_test(pure, options_are_checked);
    return run_suite(suite);
}
