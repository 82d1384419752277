#include "http/record.h"

#include <fastcgi.h>

#include "support.h"

/* A request being built. */
static struct {
    char bytes[4096];
    size_t len;
} wire;

static void add_record(int type, const char *content, size_t len, size_t padding)
{
    char *p = wire.bytes + wire.len;
    memset(p, 0, FCGI_HEADER_LEN + len + padding);
    p[0] = FCGI_VERSION_1;
    p[1] = (char)type;
    p[3] = 1;
    p[4] = (char)(len >> 8);
    p[5] = (char)len;
    p[6] = (char)padding;
    memcpy(p + FCGI_HEADER_LEN, content, len);
    wire.len += FCGI_HEADER_LEN + len + padding;
}

static void begin_request(void)
{
    wire.len = 0;
    add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8, 0);
}

static enum record_progress scan(size_t len)
{
    char *copy = malloc(len + !len); /* exact size, so that a sanitizer sees a read past it */
    memcpy(copy, wire.bytes, len);
    enum record_progress progress =
        record_scan(&(struct record_scan){0}, (struct slice){copy, len});
    free(copy);
    return progress;
}

/* A request of several records with padding; says where its parameters are complete. */
static size_t put_request(void)
{
    begin_request();
    add_record(FCGI_PARAMS, "\3\3KEYval", 8, 5);
    add_record(FCGI_PARAMS, "\1\0A", 3, 0);
    add_record(FCGI_PARAMS, "", 0, 0);
    size_t params = wire.len;
    add_record(FCGI_STDIN, "body", 4, 4);
    add_record(FCGI_STDIN, "more", 4, 0);
    add_record(FCGI_STDIN, "", 0, 0);
    return params;
}

START_TEST(a_request_is_seen_to_arrive_byte_by_byte)
{
    size_t params = put_request();
    for (size_t len = 0; len < params; len++)
        ck_assert_msg(scan(len) == RECORD_PARTIAL, "at %zu: %d", len, (int)scan(len));
    for (size_t len = params; len < wire.len; len++)
        ck_assert_msg(scan(len) == RECORD_PARAMS, "at %zu: %d", len, (int)scan(len));
    ck_assert_int_eq(scan(wire.len), RECORD_COMPLETE);
}
END_TEST

START_TEST(what_follows_the_request_is_not_looked_at)
{
    put_request();
    memset(wire.bytes + wire.len, 'x', 100);
    ck_assert_int_eq(scan(wire.len + 100), RECORD_COMPLETE);
}
END_TEST

START_TEST(another_version_is_no_request)
{
    put_request();
    wire.bytes[0] = 2;
    ck_assert_int_eq(scan(1), RECORD_BAD);
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
    memcpy(wire.bytes, "GET / HTTP/1.1\r\n", 16);
    ck_assert_int_eq(scan(16), RECORD_BAD);
}
END_TEST

START_TEST(records_come_in_order)
{
    wire.len = 0;
    add_record(FCGI_PARAMS, "", 0, 0);
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
    begin_request();
    add_record(FCGI_STDIN, "x", 1, 0);
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
    begin_request();
    add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8, 0);
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
    put_request();
    wire.len -= FCGI_HEADER_LEN;
    add_record(FCGI_PARAMS, "\1\1ab", 4, 0);
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
}
END_TEST

static enum record_progress scan_params(const char *content, size_t len, size_t cut)
{
    begin_request();
    add_record(FCGI_PARAMS, content, cut, 3);
    if (cut < len)
        add_record(FCGI_PARAMS, content + cut, len - cut, 0);
    add_record(FCGI_PARAMS, "", 0, 0);
    return scan(wire.len);
}

/* Wherever it is cut into two records. */
static void params_are(enum record_progress progress, const char *content, size_t len)
{
    for (size_t cut = 1; cut <= len; cut++)
        ck_assert_msg(scan_params(content, len, cut) == progress, "cut at %zu", cut);
}

#define params_are(progress, literal) params_are(progress, literal, sizeof(literal) - 1)

START_TEST(no_length_points_beyond_the_parameters)
{
    params_are(RECORD_PARAMS, "\1\1ab");
    params_are(RECORD_PARAMS, "\0\0");
    params_are(RECORD_PARAMS, "\200\0\0\1\200\0\0\2abb\1\0c");
    params_are(RECORD_BAD, "\1");
    params_are(RECORD_BAD, "\1\1a");
    params_are(RECORD_BAD, "\1\2ab");
    params_are(RECORD_BAD, "\1\1ab\3\0cc");
    params_are(RECORD_BAD, "\200\0\0");
    params_are(RECORD_BAD, "\377\377\377\377\377\377\377\377ab");
    params_are(RECORD_BAD, "\1\370\0\0\0ab");
}
END_TEST

START_TEST(a_beginning_has_eight_bytes)
{
    for (size_t len = 0; len < 20; len++) {
        wire.len = 0;
        add_record(FCGI_BEGIN_REQUEST, "\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", len, 0);
        ck_assert_int_eq(scan(wire.len), len == 8 ? RECORD_PARTIAL : RECORD_BAD);
    }
}
END_TEST

START_TEST(records_are_of_one_request)
{
    begin_request();
    add_record(FCGI_PARAMS, "", 0, 0);
    wire.bytes[wire.len - 5] = 2; /* its id */
    ck_assert_int_eq(scan(wire.len), RECORD_BAD);
}
END_TEST

START_TEST(other_types_are_no_request)
{
    for (int type = 0; type < 256; type++) {
        wire.len = 0;
        add_record(type, "\0\1\0\0\0\0\0", 8, 0);
        ck_assert_int_eq(scan(wire.len), type == FCGI_BEGIN_REQUEST ? RECORD_PARTIAL : RECORD_BAD);
    }
}
END_TEST

/* FCGI_RESPONDER is the only role there is here. */
START_TEST(another_role_is_no_request)
{
    for (char role = 0; role < 5; role++) {
        char body[8] = {0, role};
        wire.len = 0;
        add_record(FCGI_BEGIN_REQUEST, body, 8, 0);
        ck_assert_int_eq(scan(wire.len), role == FCGI_RESPONDER ? RECORD_PARTIAL : RECORD_BAD);
    }
}
END_TEST

START_TEST(random_bytes_never_read_outside)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    for (int round = 0; round < 20000; round++) {
        put_request();
        for (uint64_t i = 0, n = roll(&dice, 4); i < n; i++)
            wire.bytes[roll(&dice, wire.len)] = (char)roll(&dice, 256);
        ck_assert_msg(scan(roll(&dice, wire.len + 1)) <= RECORD_BAD, "SEED=%" PRIu64, seed);
    }
}
END_TEST

START_TEST(a_scan_goes_on_where_it_was)
{
    size_t params = put_request();
    struct record_scan s = {0};
    for (size_t len = 0; len <= wire.len; len++) {
        enum record_progress progress = record_scan(&s, (struct slice){wire.bytes, len});
        ck_assert_int_eq(progress, scan(len));
        ck_assert_uint_eq(s.params_end, len < params ? 0 : params);
    }
    ck_assert_uint_eq(s.request, 1);
}
END_TEST

/* --- a body --- */

/* Unframe what is in wire from `from` on, in pieces of so many bytes. */
static enum record_progress unframe(size_t from, size_t piece, char *body, size_t *body_len)
{
    struct record_body b = {.request = 1};
    enum record_progress progress = RECORD_PARTIAL;
    *body_len = 0;
    for (size_t at = from; at < wire.len && progress == RECORD_PARTIAL; at += piece) {
        size_t len = wire.len - at < piece ? wire.len - at : piece;
        char *copy = malloc(len);
        memcpy(copy, wire.bytes + at, len);
        progress = record_unframe(&b, copy, &len);
        memcpy(body + *body_len, copy, len);
        *body_len += len;
        free(copy);
    }
    return progress;
}

START_TEST(a_body_is_taken_out_of_its_records)
{
    char body[64];
    size_t params = put_request(), len;
    for (size_t piece = 1; piece <= wire.len - params + 1; piece++) {
        ck_assert_int_eq(unframe(params, piece, body, &len), RECORD_COMPLETE);
        assert_slice(((struct slice){body, len}), S("bodymore"));
    }
}
END_TEST

START_TEST(a_body_ends_after_the_padding_of_its_last_record)
{
    char body[64];
    size_t len;
    wire.len = 0;
    add_record(FCGI_STDIN, "x", 1, 255);
    add_record(FCGI_STDIN, "", 0, 9);
    size_t whole = wire.len;
    for (wire.len = 0; wire.len < whole; wire.len++)
        ck_assert_int_eq(unframe(0, wire.len + 1, body, &len), RECORD_PARTIAL);
    ck_assert_int_eq(unframe(0, 7, body, &len), RECORD_COMPLETE);
    assert_slice(((struct slice){body, len}), S("x"));
}
END_TEST

START_TEST(what_follows_a_body_is_not_looked_at)
{
    char body[64];
    size_t len;
    wire.len = 0;
    add_record(FCGI_STDIN, "", 0, 0);
    add_record(99, "nonsense", 8, 0);
    ck_assert_int_eq(unframe(0, wire.len, body, &len), RECORD_COMPLETE);
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(other_records_are_no_body)
{
    static const size_t places[] = {0 /* version */, 1 /* type */, 2, 3 /* request */};
    char body[64];
    size_t len;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        wire.len = 0;
        add_record(FCGI_STDIN, "good", 4, 0);
        add_record(FCGI_STDIN, "bad", 3, 0);
        wire.bytes[12 + places[i]] ^= 4;
        ck_assert_int_eq(unframe(0, wire.len, body, &len), RECORD_BAD);
        assert_slice(((struct slice){body, len}), S("good"));
    }
}
END_TEST

START_TEST(random_bytes_are_never_unframed_outside)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    for (int round = 0; round < 20000; round++) {
        char body[sizeof wire.bytes];
        size_t params = put_request(), len;
        for (uint64_t i = 0, n = roll(&dice, 4); i < n; i++)
            wire.bytes[roll(&dice, wire.len)] = (char)roll(&dice, 256);
        ck_assert_msg(unframe(params, 1 + roll(&dice, 40), body, &len) <= RECORD_BAD,
                      "SEED=%" PRIu64, seed);
        ck_assert_uint_le(len, wire.len);
    }
}
END_TEST

/* --- what is written --- */

/* --- management records --- */

#define QUESTION                                                                                   \
    "\1\11\0\0\0\51\0\0"                                                                           \
    "\16\0FCGI_MAX_CONNS"                                                                          \
    "\17\0FCGI_MPXS_CONNS"                                                                         \
    "\6\0FCGI_X"

static size_t answer_to(struct slice question, char out[RECORD_ANSWER_MAX])
{
    struct record_scan s = {0};
    size_t used;

    ck_assert_int_eq(record_scan(&s, question), RECORD_MANAGEMENT);
    size_t len = record_answer(out, question, 18750, &used);
    ck_assert_uint_eq(
        used, 8 + ((size_t)(unsigned char)question.data[4] << 8 | (unsigned char)question.data[5]));
    return len;
}

START_TEST(values_that_are_asked_for_are_told)
{
    char out[RECORD_ANSWER_MAX];
    size_t len = answer_to(S(QUESTION "what follows"), out);

    ck_assert_uint_eq(len, 8 + 2 + 14 + 5 + 2 + 15 + 1);
    ck_assert_mem_eq(out,
                     "\1\12\0\0\0\47\0\0"
                     "\16\5FCGI_MAX_CONNS18750"
                     "\17\1FCGI_MPXS_CONNS0",
                     len);
}
END_TEST

START_TEST(another_management_record_is_of_an_unknown_type)
{
    char out[RECORD_ANSWER_MAX];

    ck_assert_uint_eq(answer_to(S("\1\50\0\0\0\0\0\0"), out), 16);
    ck_assert_mem_eq(out,
                     "\1\13\0\0\0\10\0\0"
                     "\50\0\0\0\0\0\0\0",
                     16);
}
END_TEST

/* Also one that looks like a piece of a body, which may come in parts inside a request. */
START_TEST(a_management_record_is_waited_for)
{
    char question[] = QUESTION;

    for (int type = 2; type < 256; type++) {
        question[1] = (char)type;
        for (size_t len = 0; len < sizeof question - 1; len++) {
            struct record_scan s = {0};
            ck_assert_int_eq(record_scan(&s, (struct slice){question, len}), RECORD_PARTIAL);
        }
    }
}
END_TEST

START_TEST(random_questions_are_answered_within_bounds)
{
    struct dice dice = dice_new();
    char bytes[64] = "\1\11\0\0\0\40\0", out[RECORD_ANSWER_MAX];

    for (int round = 0; round < 20000; round++) {
        for (size_t i = 8; i < 40; i++)
            bytes[i] = (char)roll(&dice, roll(&dice, 2) ? 4 : 256);
        ck_assert_uint_eq(answer_to((struct slice){bytes, 40}, out), 8);
    }
}
END_TEST

START_TEST(an_output_record_has_its_layout)
{
    char out[RECORD_HEADER_LEN];
    record_stdout(out, 0x1234, 0xfedc);
    ck_assert_mem_eq(out, "\1\6\x12\x34\xfe\xdc\0\0", 8);
    record_stdout(out, 1, 0);
    ck_assert_mem_eq(out, "\1\6\0\1\0\0\0\0", 8);
}
END_TEST

START_TEST(the_end_of_a_response_has_its_layout)
{
    char out[RECORD_END_LEN];
    memset(out, 'x', sizeof out);
    record_end(out, 0x0102);
    ck_assert_mem_eq(out,
                     "\1\6\1\2\0\0\0\0"
                     "\1\3\1\2\0\10\0\0"
                     "\0\0\0\0\0\0\0\0",
                     24);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tests = one_case(suite, "record");
    tcase_add_test(tests, a_request_is_seen_to_arrive_byte_by_byte);
    tcase_add_test(tests, what_follows_the_request_is_not_looked_at);
    tcase_add_test(tests, another_version_is_no_request);
    tcase_add_test(tests, records_come_in_order);
    tcase_add_test(tests, no_length_points_beyond_the_parameters);
    tcase_add_test(tests, a_beginning_has_eight_bytes);
    tcase_add_test(tests, records_are_of_one_request);
    tcase_add_test(tests, other_types_are_no_request);
    tcase_add_test(tests, another_role_is_no_request);
    tcase_add_test(tests, random_bytes_never_read_outside);
    tcase_add_test(tests, a_scan_goes_on_where_it_was);
    tcase_add_test(tests, a_body_is_taken_out_of_its_records);
    tcase_add_test(tests, a_body_ends_after_the_padding_of_its_last_record);
    tcase_add_test(tests, what_follows_a_body_is_not_looked_at);
    tcase_add_test(tests, other_records_are_no_body);
    tcase_add_test(tests, random_bytes_are_never_unframed_outside);
    tcase_add_test(tests, values_that_are_asked_for_are_told);
    tcase_add_test(tests, another_management_record_is_of_an_unknown_type);
    tcase_add_test(tests, a_management_record_is_waited_for);
    tcase_add_test(tests, random_questions_are_answered_within_bounds);
    tcase_add_test(tests, an_output_record_has_its_layout);
    tcase_add_test(tests, the_end_of_a_response_has_its_layout);
    return run_suite(suite);
}
