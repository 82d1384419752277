/* An envelope comes back frame by frame as it was put together. */
#include "net/envelope.h"

#include <string.h>

#include "support.h"

START_TEST(frames_come_back)
{
    struct envelope e;
    struct slice frame;

    envelope_begin(&e);
    ck_assert(envelope_add(&e, S("device")));
    ck_assert(envelope_add(&e, S("\0\0\0\1")));
    struct slice rest = envelope_end(&e);
    assert_slice(rest, S("\6device\4\0\0\0\1\0"));

    ck_assert(envelope_next(&rest, &frame));
    assert_slice(frame, S("device"));
    ck_assert(envelope_next(&rest, &frame));
    assert_slice(frame, S("\0\0\0\1"));
    ck_assert(envelope_next(&rest, &frame));
    ck_assert_uint_eq(frame.len, 0);
    ck_assert(!envelope_next(&rest, &frame));
}
END_TEST

START_TEST(it_may_be_the_empty_frame_alone)
{
    struct envelope e;
    struct slice none = {0}, frame;

    envelope_begin(&e);
    assert_slice(envelope_end(&e), S("\0"));
    ck_assert(!envelope_next(&none, &frame));
}
END_TEST

START_TEST(the_largest_has_room)
{
    struct envelope e;
    char text[ENVELOPE_FRAME_MAX + 1];
    size_t count = 0;
    struct slice frame;

    memset(text, 'x', sizeof text);
    envelope_begin(&e);
    ck_assert(!envelope_add(&e, (struct slice){text, ENVELOPE_FRAME_MAX + 1}));
    for (unsigned i = 0; i < ENVELOPE_FRAMES; i++)
        ck_assert(envelope_add(&e, (struct slice){text, ENVELOPE_FRAME_MAX}));
    ck_assert(!envelope_add(&e, S("x")));

    struct slice rest = envelope_end(&e);
    ck_assert_uint_eq(rest.len, ENVELOPE_MAX);
    while (envelope_next(&rest, &frame))
        count++;
    ck_assert_uint_eq(count, ENVELOPE_FRAMES + 1);
}
END_TEST

START_TEST(begin_forgets_the_last_envelope)
{
    struct envelope e;

    envelope_begin(&e);
    envelope_add(&e, S("first"));
    envelope_end(&e);
    envelope_begin(&e);
    envelope_add(&e, S("2"));
    assert_slice(envelope_end(&e), S("\1"
                                     "2\0"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("envelope");
    TCase *tests = one_case(suite, "envelope");
    tcase_add_test(tests, frames_come_back);
    tcase_add_test(tests, it_may_be_the_empty_frame_alone);
    tcase_add_test(tests, the_largest_has_room);
    tcase_add_test(tests, begin_forgets_the_last_envelope);
    return run_suite(suite);
}
