#include "codec/wire_frame.h"

#include <errno.h>
#include <string.h>

#include "wires.h"

static struct slice three_names[] = {S_INIT("a"), S_INIT(""), S_INIT("room:7")};

/* A message with every kind of field. */
static void put_all(struct buf *b)
{
    wire_begin(b, WIRE_HEAD);
    wire_add_u8(b, 0xfe);
    wire_add_u16(b, 0xfedc);
    wire_add_u32(b, 0xfedcba98u);
    wire_add_u64(b, UINT64_C(0xfedcba9876543210));
    wire_add_name(b, S("anna"));
    wire_add_names(b, &(struct names){three_names, 3});
}

START_TEST(what_was_written_is_read)
{
    struct buf b = {0};
    put_all(&b);
    buf_put(&b, "rest", 4);
    struct wire_reader r = wire_open(message_of(&b), WIRE_HEAD);
    ck_assert_uint_eq(wire_take_u8(&r), 0xfe);
    ck_assert_uint_eq(wire_take_u16(&r), 0xfedc);
    ck_assert_uint_eq(wire_take_u32(&r), 0xfedcba98u);
    ck_assert_uint_eq(wire_take_u64(&r), UINT64_C(0xfedcba9876543210));
    assert_slice(wire_take_name(&r), S("anna"));

    struct slice names = wire_take_names(&r), name;
    for (size_t i = 0; i < 3; i++) {
        ck_assert(wire_next_name(&names, &name));
        assert_slice(name, three_names[i]);
    }
    ck_assert_uint_eq(names.len, 0);
    ck_assert_int_eq(wire_verdict(&r), -EPROTO); /* there is more */
    assert_slice(wire_take_rest(&r), S("rest"));
    ck_assert_int_eq(wire_verdict(&r), 0);
    buf_release(&b);
}
END_TEST

START_TEST(a_message_begins_with_its_header)
{
    struct buf b = {0};
    put_all(&b);
    wire_begin(&b, WIRE_TAKEN); /* drops what was there */
    assert_slice(message_of(&b), S("SSC\005\013\0\0\0"));
    struct wire_reader r = wire_open(message_of(&b), WIRE_TAKEN),
                       other = wire_open(message_of(&b), WIRE_HEAD);
    ck_assert_int_eq(wire_verdict(&r), 0);
    ck_assert_int_eq(wire_verdict(&other), -EPROTO);
    buf_release(&b);
}
END_TEST

START_TEST(a_reader_that_has_failed_gives_zeros)
{
    struct wire_reader r = wire_reader_of(S("\1\2\3"));
    ck_assert_uint_eq(wire_take_u32(&r), 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(wire_take_u8(&r), 0); /* although a byte is there */
    ck_assert_uint_eq(wire_take_name(&r).len, 0);
    ck_assert_int_eq(wire_verdict(&r), -EPROTO);

    struct slice rest = S("\1");
    ck_assert(!wire_step(&r, &rest));
    ck_assert_uint_eq(rest.len, 0);
}
END_TEST

START_TEST(a_list_that_is_shorter_than_its_count_fails)
{
    struct wire_reader r = wire_reader_of(S("\2\0\1\0a"));
    wire_take_names(&r);
    ck_assert(r.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_frame");
    TCase *tests = one_case(suite, "wire_frame");
    tcase_add_test(tests, what_was_written_is_read);
    tcase_add_test(tests, a_message_begins_with_its_header);
    tcase_add_test(tests, a_reader_that_has_failed_gives_zeros);
    tcase_add_test(tests, a_list_that_is_shorter_than_its_count_fails);
    return run_suite(suite);
}
