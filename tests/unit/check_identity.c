/* Which peers with CURVE keep the routing id that they chose. */
#include "net/identity.h"

#include <stdlib.h>
#include <zmq.h>

#include "support.h"

#define WORKER "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define PUBLISHER "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define OPERATOR "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

#define KIND "\x0bSocket-Type\0\0\0\6DEALER"
#define NAMED "\x08Identity\0\0\0\3abc"
#define UNNAMED "\x08Xdentity\0\0\0\3abc"

#define HEAD 128u /* bytes before the properties */

static struct keys *keys;

static void begin(void)
{
    char why[KEYS_WHY_MAX] = "";
    keys = keys_parse(
        "keys", slice_of("worker " WORKER " w\npublisher " PUBLISHER " p\noperator " OPERATOR " o"),
        why);
    ck_assert_msg(keys != NULL, "%s", why);
    identity_use(keys);
}

static void end(void)
{
    identity_use(NULL);
    keys_free(&keys);
}

/* What is left of the properties of the peer with this key. They end where the memory does. */
static void assert_left(const char *key, struct slice properties, struct slice left)
{
    unsigned char *initiate = calloc(1, HEAD + properties.len);
    ck_assert_ptr_nonnull(initiate);
    ck_assert_ptr_nonnull(zmq_z85_decode(initiate, key));
    memcpy(initiate + HEAD, properties.data, properties.len);
    identity_restrict(initiate, HEAD + properties.len);
    assert_slice(((struct slice){(char *)initiate + HEAD, properties.len}), left);
    free(initiate);
}

START_TEST(workers_alone_choose)
{
    assert_left(WORKER, S(KIND NAMED), S(KIND NAMED));
    assert_left(PUBLISHER, S(KIND NAMED), S(KIND UNNAMED));
    assert_left(OPERATOR, S(NAMED KIND), S(UNNAMED KIND));
    identity_use(NULL);
    assert_left(WORKER, S(KIND NAMED), S(KIND UNNAMED));
}
END_TEST

START_TEST(each_property_with_an_id_counts)
{
    assert_left(PUBLISHER, S(NAMED NAMED), S(UNNAMED UNNAMED));
    assert_left(PUBLISHER, S("\x08IDENTITY\0\0\0\1a"), S("\x08XDENTITY\0\0\0\1a"));
    assert_left(PUBLISHER, S("\0\0\0\0\0" NAMED), S("\0\0\0\0\0" UNNAMED));
    assert_left(PUBLISHER, S("\x08Identity\0\0\0\0" KIND), S("\x08Identity\0\0\0\0" KIND));
    assert_left(PUBLISHER, S("\x08Identitx\0\0\0\1a"), S("\x08Identitx\0\0\0\1a"));
}
END_TEST

START_TEST(not_even_a_worker_breaks_the_rules)
{
    char longest[13 + 256] = "\x08Identity\0\0\0\xff",
                      over[sizeof longest] = "\x08Identity\0\0\1\0", left[sizeof longest];
    memcpy(left, over, sizeof left);
    left[1] = 'X';
    memset(longest + 13, 'n', 255);
    memset(over + 13, 'n', 256);
    memset(left + 13, 'n', 256);
    assert_left(WORKER, (struct slice){longest, 13 + 255}, (struct slice){longest, 13 + 255});
    assert_left(WORKER, (struct slice){over, sizeof over}, (struct slice){left, sizeof left});
    assert_left(WORKER, S("\x08Identity\0\0\0\5\0abcd"), S("\x08Xdentity\0\0\0\5\0abcd"));
}
END_TEST

/* libzmq refuses such properties. */
START_TEST(nothing_is_read_beyond_the_end)
{
    struct slice all = S(KIND NAMED);
    unsigned char few[HEAD] = {0};
    for (size_t len = 0; len < all.len; len++)
        assert_left(PUBLISHER, (struct slice){all.data, len}, (struct slice){all.data, len});
    assert_left(PUBLISHER,
                S("\x08Identity\xff\xff\xff\xff"
                  "a"),
                S("\x08Identity\xff\xff\xff\xff"
                  "a"));
    assert_left(PUBLISHER,
                S("\xff"
                  "Identity"),
                S("\xff"
                  "Identity"));
    for (size_t len = 0; len <= HEAD; len++)
        identity_restrict(few, len);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("identity");
    TCase *tests = one_case(suite, "identity");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, workers_alone_choose);
    tcase_add_test(tests, each_property_with_an_id_counts);
    tcase_add_test(tests, not_even_a_worker_breaks_the_rules);
    tcase_add_test(tests, nothing_is_read_beyond_the_end);
    return run_suite(suite);
}
