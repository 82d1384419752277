/* The public decoder: what it adds to sse.c.
 * The format itself is tested in check_sse.c and with the standard's vectors. */
#include "lib/decoder.h"

#include <errno.h>

#include "support.h"

struct transcript {
    char text[4096];
    size_t len;
    struct ssecast_decoder *decoder;
    atomic_bool stop;
    int stop_after; /* messages */
};

static void note(struct transcript *t, const char *mark, const char *text, size_t len)
{
    ck_assert_uint_lt(t->len + strlen(mark) + len, sizeof t->text);
    t->len +=
        (size_t)snprintf(t->text + t->len, sizeof t->text - t->len, "%s%.*s", mark, (int)len, text);
}

static void on_message(void *context, const struct ssecast_message *m)
{
    struct transcript *t = context;
    ck_assert_uint_eq(strlen(m->id), m->id_len);
    ck_assert_int_eq(m->type[m->type_len] | m->data[m->data_len], 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t->decoder), m->id);
    note(t, "M", m->type, m->type_len);
    note(t, "|", m->data, m->data_len);
    note(t, "|", m->id, m->id_len);
    if (--t->stop_after == 0)
        atomic_store(&t->stop, true);
}

static void on_id(void *context, const char *id, size_t len)
{
    note(context, "I", id, len);
}

static void on_retry(void *context, uint64_t ms)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, ms);
    note(context, "R", digits, (size_t)n);
}

static void on_comment(void *context, const char *text, size_t len)
{
    note(context, "C", text, len);
}

static void begin(struct transcript *t, size_t max)
{
    const struct ssecast_decoder_handler handler = {on_message, on_id, on_retry, on_comment, t};
    *t = (struct transcript){0};
    ck_assert_int_eq(ssecast_decoder_new(&t->decoder, &handler, max), 0);
}

static int feed(struct transcript *t, const char *text)
{
    return ssecast_decoder_feed(t->decoder, text, strlen(text));
}

static void end(struct transcript *t, const char *wanted)
{
    ck_assert_str_eq(t->text, wanted);
    ssecast_decoder_free(&t->decoder);
    ck_assert_ptr_null(t->decoder);
    ssecast_decoder_free(&t->decoder);
}

START_TEST(every_hook_is_called_in_the_order_of_the_text)
{
    struct transcript t;
    begin(&t, 0);
    ck_assert_int_eq(feed(&t, "retry: 5\n: hi\nid: 1\n\nevent: x\ndata: a\n\ndata\nid\n\n"), 0);
    end(&t, "R5C hiI1Mx|a|1Mmessage||");
}
END_TEST

START_TEST(handlers_may_be_missing)
{
    struct transcript t = {0};
    const struct ssecast_decoder_handler handler = {.message = on_message, .context = &t};
    ck_assert_int_eq(ssecast_decoder_new(&t.decoder, &handler, 0), 0);
    ck_assert_int_eq(feed(&t, "retry: 5\n: hi\nid: 1\n\ndata: a\n\n"), 0);
    end(&t, "Mmessage|a|1");
}
END_TEST

START_TEST(a_new_stream_keeps_the_last_id_and_no_more)
{
    struct transcript t;
    begin(&t, 0);
    ck_assert_int_eq(feed(&t, "id: 1\ndata: a\n\nid: 2\nevent: x\ndata: b\n"), 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "1");
    ssecast_decoder_reset(t.decoder);
    ck_assert_int_eq(feed(&t, "\xef\xbb\xbf"
                              "data: c\n\n"),
                     0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "1");
    end(&t, "Mmessage|a|1Mmessage|c|1");
}
END_TEST

START_TEST(the_last_id_can_be_given)
{
    struct transcript t;
    begin(&t, 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "");
    ck_assert_int_eq(ssecast_decoder_set_last_id(t.decoder, "a\n"), -EINVAL);
    ck_assert_int_eq(ssecast_decoder_set_last_id(t.decoder, "7"), 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "7");
    ck_assert_int_eq(feed(&t, "data: a\n\nid:\ndata: b\n\n"), 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "");
    end(&t, "Mmessage|a|7Mmessage|b|");
}
END_TEST

START_TEST(too_large_is_so_until_the_reset)
{
    struct transcript t;
    begin(&t, 20);
    ck_assert_int_eq(feed(&t, "data: 1234567890123\n\n"), 0);
    ck_assert_int_eq(feed(&t, "data: 1\ndata: 2\ndata: 3\ndata: 4\n\n"), 0);
    ck_assert_int_eq(feed(&t, "data: 12345678901234567890"), -EMSGSIZE);
    ck_assert_int_eq(feed(&t, "\n\n"), -EMSGSIZE);
    ssecast_decoder_reset(t.decoder);
    ck_assert_int_eq(feed(&t, "data: a\n\n"), 0);
    end(&t, "Mmessage|1234567890123|Mmessage|1\n2\n3\n4|Mmessage|a|");
}
END_TEST

START_TEST(a_checkpoint_moves_the_id_and_is_no_message)
{
    struct transcript t;
    begin(&t, 0);
    ck_assert_int_eq(feed(&t, "event: ssecast.checkpoint\nid: 7\ndata: {}\n\n"), 0);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "7");
    ck_assert_int_eq(feed(&t, "data: a\n\nevent: ssecast.checkpoints\ndata: b\n\n"), 0);
    end(&t, "I7Mmessage|a|7Mssecast.checkpoints|b|7");
}
END_TEST

START_TEST(a_checkpoint_is_told_to_who_wants_it)
{
    struct transcript t;
    begin(&t, 0);
    decoder_tell_checkpoints(t.decoder);
    ck_assert_int_eq(feed(&t, "event: ssecast.checkpoint\nid: 7\ndata: {}\n\n"), 0);
    end(&t, "I7Mssecast.checkpoint|{}|7");
}
END_TEST

START_TEST(a_stop_comes_between_two_messages)
{
    struct transcript t;
    begin(&t, 0);
    decoder_stop_on(t.decoder, &t.stop);
    t.stop_after = 1;
    ck_assert_int_eq(feed(&t, "id: 1\ndata: a\n\nretry: 1\n: c\nid: 2\ndata: b\n\nid: 3\n\n"),
                     -ECANCELED);
    ck_assert_str_eq(ssecast_decoder_last_id(t.decoder), "1");
    end(&t, "Mmessage|a|1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder");
    TCase *tests = one_case(suite, "decoder");
    tcase_add_test(tests, every_hook_is_called_in_the_order_of_the_text);
    tcase_add_test(tests, handlers_may_be_missing);
    tcase_add_test(tests, a_new_stream_keeps_the_last_id_and_no_more);
    tcase_add_test(tests, the_last_id_can_be_given);
    tcase_add_test(tests, too_large_is_so_until_the_reset);
    tcase_add_test(tests, a_checkpoint_moves_the_id_and_is_no_message);
    tcase_add_test(tests, a_checkpoint_is_told_to_who_wants_it);
    tcase_add_test(tests, a_stop_comes_between_two_messages);
    return run_suite(suite);
}
