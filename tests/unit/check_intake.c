/* Requests over a socket pair: whole, in pieces of every size, too large, cut short. */
#include "http/intake.h"

#include <fastcgi.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define PIECE 60000u /* of a body in one record */

static char wire[1 << 20]; /* a request being built */
static size_t wire_len;
static size_t last_record; /* where it begins */
static int ends[2];        /* the web server's end, and ours */
static struct intakes set;
static struct intake intake;
static struct params params;
static size_t wanted; /* bytes of a body */
static int asked;     /* how often that was asked */

static size_t body_max(void *context, struct params *p)
{
    ck_assert_ptr_eq(context, &set);
    ck_assert_str_eq(params_get(p, "REQUEST_METHOD"), "POST");
    asked++;
    return wanted;
}

/* Of a request whose bytes were changed: it may have any method, or none. */
static size_t body_max_of_any(void *context, struct params *p)
{
    ck_assert_ptr_eq(context, &set);
    (void)params_get(p, "REQUEST_METHOD");
    return wanted;
}

static void setup(void)
{
    ck_assert_int_eq(intake_init(), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    set = (struct intakes){.body_max = body_max, .context = &set, .room = 1 << 20};
    intake = (struct intake){0};
    params = (struct params){0};
    wanted = 0;
    asked = 0;
    wire_len = 0;
}

static void teardown(void)
{
    params_release(&params);
    intake_release(&set, &intake);
    ck_assert_uint_eq(set.held, 0);
    close(ends[0]);
    close(ends[1]);
}

static void add_record(int type, const char *content, size_t len)
{
    char *p = wire + wire_len;
    ck_assert_uint_le(wire_len + len + 16, sizeof wire);
    memset(p, 0, FCGI_HEADER_LEN);
    p[0] = FCGI_VERSION_1;
    p[1] = (char)type;
    p[3] = 1;
    p[4] = (char)(len >> 8);
    p[5] = (char)len;
    memcpy(p + FCGI_HEADER_LEN, content, len);
    last_record = wire_len;
    wire_len += FCGI_HEADER_LEN + len;
}

/* Pad the record that was added last, with what looks like a record with a parameter. */
static void pad_if(bool padded)
{
    static const char padding[] = "\1\4\0\1\0\4\0\0\1\1aa";
    if (!padded)
        return;
    wire[last_record + 6] = sizeof padding - 1;
    memcpy(wire + wire_len, padding, sizeof padding - 1);
    wire_len += sizeof padding - 1;
}

static void add_param(const char *name, const char *value)
{
    char pair[300];
    int len = snprintf(pair, sizeof pair, "%c%c%s%s", (char)strlen(name), (char)strlen(value), name,
                       value);
    add_record(FCGI_PARAMS, pair, (size_t)len);
}

static void begin_request(void)
{
    add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8);
    add_param("REQUEST_METHOD", "POST");
}

/* The i-th byte of every body. */
static char body_byte(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void add_body(size_t len)
{
    static char piece[PIECE];
    for (size_t at = 0; at < len; at += PIECE) {
        size_t n = len - at < PIECE ? len - at : PIECE;
        for (size_t i = 0; i < n; i++)
            piece[i] = body_byte(at + i);
        add_record(FCGI_STDIN, piece, n);
    }
    add_record(FCGI_STDIN, "", 0);
}

static void put_request(size_t body)
{
    wire_len = 0;
    begin_request();
    add_record(FCGI_PARAMS, "", 0);
    add_body(body);
}

/* Send what the socket takes of the bytes from `at` on, at most len. How many that were. */
static size_t send_some(size_t at, size_t len)
{
    ssize_t n = send(ends[0], wire + at, len < wire_len - at ? len : wire_len - at, MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

static enum intake_progress more(void)
{
    return intake_more(&set, &intake, ends[1], &params);
}

/* Send the request in pieces of so many bytes, and read each at once. */
static enum intake_progress send_in_pieces(size_t piece)
{
    enum intake_progress progress = INTAKE_WAITING;
    for (size_t at = 0; at < wire_len && progress == INTAKE_WAITING;) {
        at += send_some(at, piece);
        progress = more();
    }
    return progress;
}

static void assert_body(size_t len)
{
    ck_assert_int_eq(params.body_state, BODY_WHOLE);
    ck_assert_uint_eq(params.body_len, len);
    for (size_t i = 0; i < len; i++)
        ck_assert_msg(params.body[i] == body_byte(i), "byte %zu of %zu", i, len);
}

/* --- at once --- */

START_TEST(a_request_that_is_whole_is_read_at_once)
{
    put_request(0);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
    ck_assert_int_eq(params.request, 1);
    ck_assert_int_eq(params.body_state, BODY_NONE);
    ck_assert_int_eq(recv(ends[1], wire, 1, 0), -1); /* nothing is left, and it is not blocked */
}
END_TEST

START_TEST(its_body_is_there_too)
{
    static const size_t lens[] = {0, 1, 5000, 65536};
    wanted = 65536;
    put_request(lens[_i]);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
    assert_body(lens[_i]);
}
END_TEST

/* Whatever is padded; libfcgi would take some of it for a record. */
START_TEST(padding_is_passed_over)
{
    wanted = 100;
    wire_len = 0;
    add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8);
    pad_if(_i & 1);
    add_param("REQUEST_METHOD", "POST");
    pad_if(_i & 2);
    add_record(FCGI_PARAMS, "", 0);
    pad_if(_i & 4);
    add_body(20);
    pad_if(_i & 8);

    send_some(0, wire_len);
    if (intake_at_once(&set, ends[1], &params) == INTAKE_WAITING)
        ck_assert_int_eq(more(), INTAKE_READY);
    assert_body(20);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
    ck_assert_ptr_null(params_get(&params, "a"));
}
END_TEST

START_TEST(more_than_is_wanted_is_not_kept)
{
    wanted = 100;
    put_request(101);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_TOO_LARGE);
    ck_assert_uint_eq(params.body_len, 0);
}
END_TEST

START_TEST(one_that_is_not_whole_is_left_in_the_socket)
{
    put_request(10);
    for (size_t len = 0; len < wire_len; len++) {
        ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_WAITING);
        ck_assert_uint_eq(send_some(len, 1), 1);
    }
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
}
END_TEST

START_TEST(what_is_no_request_is_closed)
{
    static const char *const nonsense[] = {"GET / HTTP/1.1\r\n\r\n",
                                           "\1\1\0\1\0\10\0\0\0\7\0\0\0\0\0\0"};
    memcpy(wire, nonsense[_i], wire_len = 16);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_BROKEN);
    ck_assert_int_eq(fcntl(ends[1], F_GETFD), -1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}
END_TEST

/* --- in pieces --- */

START_TEST(pieces_of_any_size_make_the_same_request)
{
    size_t piece = (size_t)_i;
    wanted = 1000;
    put_request(500);
    ck_assert_int_eq(send_in_pieces(piece), INTAKE_READY);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
    ck_assert_int_eq(asked, 1);
    assert_body(500);
}
END_TEST

START_TEST(a_body_may_be_larger_than_the_socket_holds)
{
    wanted = 700000;
    put_request(700000);
    ck_assert_int_eq(send_in_pieces(SIZE_MAX), INTAKE_READY);
    assert_body(700000);
}
END_TEST

START_TEST(a_body_of_just_so_many_bytes_is_accepted)
{
    wanted = 5000;
    put_request(5000);
    ck_assert_int_eq(send_in_pieces(1), INTAKE_READY);
    assert_body(5000);
}
END_TEST

START_TEST(a_body_of_more_is_refused_as_soon_as_it_is_known)
{
    wanted = 100000;
    put_request(700000);
    ck_assert_int_eq(send_in_pieces(10000), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_TOO_LARGE);
    ck_assert_ptr_null(params.body);
}
END_TEST

START_TEST(a_length_that_is_too_large_is_believed)
{
    wanted = 100;
    begin_request();
    add_param("CONTENT_LENGTH", "101");
    add_record(FCGI_PARAMS, "", 0);
    ck_assert_int_eq(send_in_pieces(SIZE_MAX), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_TOO_LARGE);
}
END_TEST

START_TEST(a_body_that_nobody_wants_is_waited_for_and_dropped)
{
    put_request(30000);
    ck_assert_int_eq(send_in_pieces(1000), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_NONE);
    ck_assert_int_eq(recv(ends[1], wire, 1, 0), -1);
}
END_TEST

START_TEST(a_large_unwanted_body_is_waited_for_up_to_a_bound)
{
    put_request(700000);
    size_t sent = send_some(0, INTAKE_SKIP_MAX + 1000);
    ck_assert_int_eq(more(), INTAKE_READY);
    ck_assert_uint_lt(sent, wire_len);
    ck_assert_int_eq(params.body_state, BODY_NONE);
}
END_TEST

START_TEST(who_leaves_in_the_middle_asked_nothing)
{
    put_request(100);
    size_t len = wire_len * (size_t)_i / 10;
    send_some(0, len);
    shutdown(ends[0], SHUT_WR);
    ck_assert_int_eq(more(), INTAKE_BROKEN);
}
END_TEST

START_TEST(parameters_without_end_are_no_request)
{
    begin_request();
    while (wire_len < INTAKE_HEAD_MAX)
        add_param("NAME", "a value of some length, so that it does not take too many of them");
    ck_assert_int_eq(send_in_pieces(SIZE_MAX), INTAKE_BROKEN);
}
END_TEST

START_TEST(parameters_that_are_none_are_no_request)
{
    add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8);
    add_record(FCGI_PARAMS, "\377\377\377\377\377\377\377\377", 8); /* two lengths of 2 GB */
    add_record(FCGI_PARAMS, "", 0);
    ck_assert_int_eq(send_in_pieces(1), INTAKE_BROKEN);
    ck_assert_int_eq(asked, 0);
}
END_TEST

START_TEST(a_body_of_other_records_is_no_request)
{
    wanted = 1000;
    begin_request();
    add_record(FCGI_PARAMS, "", 0);
    add_record(FCGI_STDIN, "x", 1);
    add_record(FCGI_ABORT_REQUEST, "", 0);
    ck_assert_int_eq(send_in_pieces(1), INTAKE_BROKEN);
}
END_TEST

/* --- connections that are kept --- */

#define FLAGS_AT (FCGI_HEADER_LEN + 2)

/* A request that asks for its connection to be kept, or not. */
static void put_keeping_request(size_t body, bool keep)
{
    put_request(body);
    wire[FLAGS_AT] = keep ? FCGI_KEEP_CONN : 0;
}

static void assert_kept(bool whole, bool keep)
{
    params_release(&params);
    intake_release(&set, &intake);
    params = (struct params){0};
    intake = (struct intake){0};
    wanted = 1000;
    put_keeping_request(500, keep);

    if (whole) {
        send_some(0, wire_len);
        ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
    } else {
        ck_assert_int_eq(send_in_pieces(7), INTAKE_READY);
    }
    ck_assert_int_eq(params.keep, keep);
}

START_TEST(a_connection_is_kept_where_the_web_server_says_so)
{
    assert_kept(true, true);
    assert_kept(true, false);
    assert_kept(false, true);
    assert_kept(false, false);
}
END_TEST

/* They are in a buffer that is given up. */
START_TEST(one_with_bytes_behind_its_request_is_not_kept)
{
    put_keeping_request(0, true);
    add_record(FCGI_BEGIN_REQUEST, "\0\1\1\0\0\0\0", 8);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_READY);
    ck_assert(!params.keep);

    params_release(&params);
    while (recv(ends[1], wire + wire_len, 1, 0) == 1)
        ;
    put_keeping_request(0, true);
    add_record(FCGI_BEGIN_REQUEST, "\0\1\1\0\0\0\0", 8);
    ck_assert_int_eq(send_in_pieces(SIZE_MAX), INTAKE_READY);
    ck_assert(!params.keep);
}
END_TEST

START_TEST(one_whose_body_was_not_read_is_not_kept)
{
    wanted = 1000;
    put_keeping_request(700000, true);
    ck_assert_int_eq(send_in_pieces(SIZE_MAX), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_TOO_LARGE);
    ck_assert(!params.keep);
}
END_TEST

/* --- an end of patience --- */

START_TEST(half_a_head_is_nothing)
{
    begin_request();
    send_some(0, wire_len);
    ck_assert_int_eq(more(), INTAKE_WAITING);
    ck_assert(!intake_wants_body(&intake));
    ck_assert_int_eq(intake_give_up(&set, &intake, &params), INTAKE_BROKEN);
}
END_TEST

START_TEST(half_a_body_is_told)
{
    wanted = _i ? 1000 : 0;
    put_request(500);
    send_some(0, wire_len - 300);
    ck_assert_int_eq(more(), INTAKE_WAITING);
    ck_assert_int_eq(intake_wants_body(&intake), _i);
    ck_assert_int_eq(intake_give_up(&set, &intake, &params), INTAKE_READY);
    ck_assert_int_eq(params.body_state, _i ? BODY_PARTIAL : BODY_NONE);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
}
END_TEST

/* --- memory --- */

START_TEST(what_is_held_is_counted_and_given_back)
{
    wanted = 100000;
    put_request(100000);
    send_some(0, 50000);
    ck_assert_int_eq(more(), INTAKE_WAITING);
    ck_assert_uint_ge(set.held, 45000);
    ck_assert_uint_le(set.held, 65536 * 2);
    intake_release(&set, &intake);
    ck_assert_uint_eq(set.held, 0);
}
END_TEST

START_TEST(without_room_a_body_is_refused)
{
    wanted = 100000;
    set.room = 20000;
    put_request(100000);
    ck_assert_int_eq(send_in_pieces(1000), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_NO_ROOM);
    ck_assert_uint_eq(set.held, 0);
}
END_TEST

START_TEST(without_room_a_long_head_is_dropped_and_a_short_one_goes_on)
{
    set.room = 1000;
    put_request(0);
    ck_assert_int_eq(send_in_pieces(1), INTAKE_READY);
    ck_assert_uint_eq(set.held, 0);
    params_release(&params);
    intake = (struct intake){0};
    wire_len = 0;
    begin_request();
    while (wire_len < INTAKE_OWN_ROOM + 100)
        add_param("NAME", "a value of some length, so that it does not take too many of them");
    ck_assert_int_eq(send_in_pieces(100), INTAKE_BROKEN);
}
END_TEST

START_TEST(random_requests_never_hurt)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    wanted = 600;
    set.body_max = body_max_of_any;
    for (int round = 0; round < 3000; round++) {
        put_request(roll(&dice, 700));
        for (uint64_t i = 0, n = roll(&dice, 4); i < n; i++)
            wire[roll(&dice, 60)] = (char)roll(&dice, 256);
        memset(&intake, 0, sizeof intake);
        enum intake_progress progress = send_in_pieces(1 + roll(&dice, 300));
        ck_assert_msg(progress <= INTAKE_BROKEN, "SEED=%" PRIu64, seed);
        params_release(&params);
        intake_release(&set, &intake);
        ck_assert_msg(set.held == 0, "SEED=%" PRIu64, seed);
        while (recv(ends[1], wire, sizeof wire, 0) > 0)
            ;
    }
}
END_TEST

/* --- plain CGI --- */

static ssize_t left; /* bytes that were not read */

static void cgi(const char *length, const char *sent, bool ends_there)
{
    int pipe_ends[2];
    char text[64];
    snprintf(text, sizeof text, "CONTENT_LENGTH=%s", length);
    ck_assert_int_eq(params_copy(&params, (char *[]){"REQUEST_METHOD=POST", text, NULL}), 0);
    ck_assert_int_eq(pipe(pipe_ends), 0);
    ck_assert_int_eq(write(pipe_ends[1], sent, strlen(sent)), (ssize_t)strlen(sent));
    if (ends_there)
        close(pipe_ends[1]);
    intake_cgi_body(&set, pipe_ends[0], ends[1], 50, &params);
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    left = read(pipe_ends[0], wire, sizeof wire);
    close(pipe_ends[0]);
    if (!ends_there)
        close(pipe_ends[1]);
}

START_TEST(a_cgi_program_reads_its_length_and_no_more)
{
    wanted = 5;
    cgi("5", "hello, and more", false);
    ck_assert_int_eq(params.body_state, BODY_WHOLE);
    assert_slice(((struct slice){params.body, params.body_len}), S("hello"));
    ck_assert_int_eq(left, 10);
}
END_TEST

START_TEST(a_cgi_body_may_be_missing_cut_or_too_large)
{
    static const struct {
        const char *length, *sent;
        bool ends_there;
        enum params_body state;
    } rows[] = {
        {"0", "", true, BODY_WHOLE},           {"", "hello", false, BODY_WHOLE},
        {"6", "hello", true, BODY_PARTIAL},    {"6", "hello", false, BODY_PARTIAL},
        {"11", "hello", true, BODY_TOO_LARGE}, {"99999999999999999999", "", true, BODY_WHOLE},
    };
    wanted = 10;
    cgi(rows[_i].length, rows[_i].sent, rows[_i].ends_there);
    ck_assert_int_eq(params.body_state, rows[_i].state);
}
END_TEST

START_TEST(a_cgi_program_that_is_to_stop_does_not_wait)
{
    wanted = 10;
    ck_assert_int_eq(send(ends[0], "x", 1, 0), 1);
    cgi("5", "hello", false);
    ck_assert_int_eq(params.body_state, BODY_PARTIAL);
}
END_TEST

START_TEST(a_cgi_body_that_nobody_wants_is_read_and_dropped)
{
    cgi("5", "hello", false);
    ck_assert_int_eq(params.body_state, BODY_NONE);
    ck_assert_uint_eq(params.body_len, 0);
    ck_assert_int_eq(left, -1);
}
END_TEST

static void add_pieces(TCase *tests)
{
    tcase_add_loop_test(tests, pieces_of_any_size_make_the_same_request, 1, 70);
    tcase_add_test(tests, a_body_may_be_larger_than_the_socket_holds);
    tcase_add_test(tests, a_body_of_just_so_many_bytes_is_accepted);
    tcase_add_test(tests, a_body_of_more_is_refused_as_soon_as_it_is_known);
    tcase_add_test(tests, a_length_that_is_too_large_is_believed);
    tcase_add_test(tests, a_body_that_nobody_wants_is_waited_for_and_dropped);
    tcase_add_test(tests, a_large_unwanted_body_is_waited_for_up_to_a_bound);
    tcase_add_loop_test(tests, who_leaves_in_the_middle_asked_nothing, 0, 10);
    tcase_add_test(tests, parameters_without_end_are_no_request);
    tcase_add_test(tests, parameters_that_are_none_are_no_request);
    tcase_add_test(tests, a_body_of_other_records_is_no_request);
    tcase_add_test(tests, half_a_head_is_nothing);
    tcase_add_test(tests, a_connection_is_kept_where_the_web_server_says_so);
    tcase_add_test(tests, one_with_bytes_behind_its_request_is_not_kept);
    tcase_add_test(tests, one_whose_body_was_not_read_is_not_kept);
    tcase_add_loop_test(tests, half_a_body_is_told, 0, 2);
    tcase_add_test(tests, what_is_held_is_counted_and_given_back);
    tcase_add_test(tests, without_room_a_body_is_refused);
    tcase_add_test(tests, without_room_a_long_head_is_dropped_and_a_short_one_goes_on);
    tcase_add_test(tests, random_requests_never_hurt);
}

/* --- management records --- */

#define QUESTION                                                                                   \
    "\1\11\0\0\0\20\0\0"                                                                           \
    "\16\0FCGI_MAX_CONNS"

/* So many questions before the request. */
static void put_questions(int count)
{
    put_request(0);
    for (int i = 0; i < count; i++) {
        memmove(wire + 24, wire, wire_len);
        memcpy(wire, QUESTION, 24);
        wire_len += 24;
    }
}

START_TEST(questions_before_a_request_are_answered)
{
    char answer[8 * 64];

    set.max_requests = 7;
    put_questions(2);
    if (_i == 0) {
        send_some(0, wire_len);
        ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_WAITING);
        ck_assert_int_eq(more(), INTAKE_READY);
    } else {
        ck_assert_int_eq(send_in_pieces(5), INTAKE_READY);
    }
    ck_assert_int_eq(recv(ends[0], answer, sizeof answer, 0), 2 * (8 + 2 + 14 + 1));
    ck_assert_mem_eq(answer,
                     "\1\12\0\0\0\21\0\0"
                     "\16\1FCGI_MAX_CONNS7",
                     25);
    ck_assert_str_eq(params_get(&params, "REQUEST_METHOD"), "POST");
}
END_TEST

START_TEST(who_asks_without_end_is_dropped)
{
    put_questions((int)INTAKE_MANAGEMENT_MAX + _i);
    ck_assert_int_eq(send_in_pieces(wire_len), _i ? INTAKE_BROKEN : INTAKE_READY);
}
END_TEST

/* --- SCGI --- */

static void put_scgi(size_t body)
{
    char pairs[200];
    int len = snprintf(pairs, sizeof pairs, "CONTENT_LENGTH%c%zu%cSCGI%c1%cREQUEST_METHOD%cPOST%c",
                       0, body, 0, 0, 0, 0, 0);
    wire_len = (size_t)snprintf(wire, sizeof wire, "%d:", len);
    memcpy(wire + wire_len, pairs, (size_t)len);
    wire_len += (size_t)len;
    wire[wire_len++] = ',';
    for (size_t i = 0; i < body; i++)
        wire[wire_len++] = body_byte(i);
    set.scgi = true;
}

START_TEST(an_scgi_request_is_collected_in_pieces_of_any_size)
{
    static const size_t pieces[] = {1, 7, 1 << 20};
    wanted = 100;
    put_scgi(100);
    ck_assert_int_eq(send_in_pieces(pieces[_i]), INTAKE_READY);
    assert_body(100);
    ck_assert_int_eq(asked, 1);
    ck_assert(!params.keep);
}
END_TEST

START_TEST(an_scgi_request_is_never_read_at_once)
{
    put_scgi(0);
    send_some(0, wire_len);
    ck_assert_int_eq(intake_at_once(&set, ends[1], &params), INTAKE_WAITING);
    ck_assert_int_eq(more(), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_NONE);
}
END_TEST

START_TEST(a_silent_peer_costs_no_memory)
{
    put_scgi(0);
    ck_assert_int_eq(more(), INTAKE_WAITING);
    ck_assert_ptr_null(intake.data);
    send_some(0, 10);
    ck_assert_int_eq(more(), INTAKE_WAITING);
    ck_assert_ptr_nonnull(intake.data);
    send_some(10, wire_len);
    ck_assert_int_eq(more(), INTAKE_READY);
    ck_assert_ptr_null(intake.data);
}
END_TEST

START_TEST(an_scgi_body_that_nobody_wants_is_skipped)
{
    put_scgi(5000);
    ck_assert_int_eq(send_in_pieces(999), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_NONE);
}
END_TEST

START_TEST(an_scgi_body_may_be_too_large)
{
    wanted = 99;
    put_scgi(100);
    ck_assert_int_eq(send_in_pieces(1 << 20), INTAKE_READY);
    ck_assert_int_eq(params.body_state, BODY_TOO_LARGE);
}
END_TEST

START_TEST(fastcgi_is_no_scgi_request)
{
    put_request(0);
    set.scgi = true;
    ck_assert_int_eq(send_in_pieces(wire_len), INTAKE_BROKEN);
}
END_TEST

static void add_scgi(Suite *suite)
{
    TCase *scgi = one_case(suite, "scgi");
    tcase_add_checked_fixture(scgi, setup, teardown);
    tcase_add_loop_test(scgi, an_scgi_request_is_collected_in_pieces_of_any_size, 0, 3);
    tcase_add_test(scgi, an_scgi_request_is_never_read_at_once);
    tcase_add_test(scgi, a_silent_peer_costs_no_memory);
    tcase_add_test(scgi, an_scgi_body_that_nobody_wants_is_skipped);
    tcase_add_test(scgi, an_scgi_body_may_be_too_large);
    tcase_add_test(scgi, fastcgi_is_no_scgi_request);
}

int main(void)
{
    Suite *suite = suite_create("intake");
    TCase *whole = one_case(suite, "whole"), *pieces = one_case(suite, "pieces"),
          *plain = one_case(suite, "cgi");
    tcase_add_checked_fixture(whole, setup, teardown);
    tcase_add_checked_fixture(pieces, setup, teardown);
    tcase_add_checked_fixture(plain, setup, teardown);
    tcase_add_test(whole, a_request_that_is_whole_is_read_at_once);
    tcase_add_loop_test(whole, its_body_is_there_too, 0, 4);
    tcase_add_loop_test(whole, padding_is_passed_over, 0, 16);
    tcase_add_test(whole, more_than_is_wanted_is_not_kept);
    tcase_add_test(whole, one_that_is_not_whole_is_left_in_the_socket);
    tcase_add_loop_test(whole, what_is_no_request_is_closed, 0, 2);
    add_pieces(pieces);
    add_scgi(suite);
    tcase_add_test(plain, a_cgi_program_reads_its_length_and_no_more);
    tcase_add_loop_test(plain, a_cgi_body_may_be_missing_cut_or_too_large, 0, 6);
    tcase_add_test(plain, a_cgi_program_that_is_to_stop_does_not_wait);
    tcase_add_test(plain, a_cgi_body_that_nobody_wants_is_read_and_dropped);
    tcase_add_loop_test(whole, questions_before_a_request_are_answered, 0, 2);
    tcase_add_loop_test(whole, who_asks_without_end_is_dropped, 0, 2);
    return run_suite(suite);
}
