/* Requests are kept as they came, in their order, and their bytes are ours. */
#include "command/requests.h"

#include "support.h"

static struct requests requests;

static void put(const char *peer, const char *first, const char *second)
{
    struct pending_request r = {.peer = slice_of(peer),
                                .envelope = S_INIT("\2ab\0"),
                                .frames = {slice_of(first), slice_of(second)},
                                .frame_count = *second ? 2 : 1,
                                .arrived = 7};
    ck_assert_int_eq(requests_put(&requests, &r), 0);
}

START_TEST(what_was_put_is_there_though_its_bytes_are_gone)
{
    char frame[] = "frame";
    put("peer", frame, "second");
    memset(frame, 'x', sizeof frame - 1);
    const struct pending_request *r = requests.items[0];
    assert_slice(r->peer, S("peer"));
    assert_slice(r->frames[0], S("frame"));
    assert_slice(r->frames[1], S("second"));
    ck_assert(r->envelope.len == 4 && memcmp(r->envelope.data, "\2ab", 4) == 0 &&
              r->frame_count == 2 && r->arrived == 7);
    ck_assert_uint_eq(requests.bytes, 19);
    requests_release(&requests);
}
END_TEST

START_TEST(the_first_are_dropped_and_the_others_stay_in_order)
{
    char name[12];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        put(name, "f", "");
    }
    requests_drop(&requests, 0);
    requests_drop(&requests, 300);
    ck_assert_uint_eq(requests.count, 700);
    assert_slice(requests.items[0]->peer, S("300"));
    assert_slice(requests.items[699]->peer, S("999"));
    requests_drop(&requests, 700);
    ck_assert_uint_eq(requests.bytes, 0);
    put("a", "", "");
    ck_assert_uint_eq(requests.count, 1);
    requests_release(&requests);
    ck_assert_uint_eq(requests.count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("requests");
    TCase *tests = one_case(suite, "requests");
    tcase_add_test(tests, what_was_put_is_there_though_its_bytes_are_gone);
    tcase_add_test(tests, the_first_are_dropped_and_the_others_stay_in_order);
    return run_suite(suite);
}
