/* Requests in, replies out: what each verb answers, how each refusal is worded and counted, and
 * that a refusal changes nothing. */
#include "command/command.h"
#include "ops/log.h"
#include "support.h"

#define START 1000u

static struct sequence *sequence;
static struct presence *presence;
static struct presence_feed feed = {.epoch = 0xab, .n = 7};
static uint64_t counters[BROKER_COUNTERS];
static struct overview overview;
static const char *workers_log_level;
static struct command_context context;
static struct buf reply;
static struct grant grant; /* of who asks */

static void begin(void)
{
    struct history_limits limits = {.events = 100, .bytes = 20000, .age_ms = 60000};
    sequence = sequence_new(&limits, START, 1);
    presence = presence_new();
    ck_assert(sequence && presence);
    memset(counters, 0, sizeof counters);
    grant = grant_everything;
    context = (struct command_context){.sequence = sequence,
                                       .presence = presence,
                                       .feed = &feed,
                                       .overview = &overview,
                                       .workers_log_level = &workers_log_level,
                                       .counters = counters,
                                       .max_event_bytes = 100,
                                       .history_bytes = limits.bytes,
                                       .now_ms = 5000,
                                       .uptime_ms = 7};
}

static void end(void)
{
    sequence_free(&sequence);
    presence_free(&presence);
    buf_release(&reply);
}

/* What was answered last, as a string. */
static char answer[65536];

static const char *ask_frames(const struct slice *frames, size_t count)
{
    command_run(&context, &grant, frames, count, &reply);
    ck_assert(!reply.failed);
    ck_assert_uint_lt(reply.len, sizeof answer);
    memcpy(answer, reply.data, reply.len);
    answer[reply.len] = 0;
    return answer;
}

static const char *ask(const char *request)
{
    struct slice frame = slice_of(request);
    return ask_frames(&frame, 1);
}

static const char *ask_with(const char *request, struct slice payload)
{
    struct slice frames[] = {slice_of(request), payload};
    return ask_frames(frames, 2);
}

#define answers(request, reply_) ck_assert_str_eq(ask(request), reply_)

static void holds(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "%s is not in %s", part, text);
}

/* The request is refused with code, says part, is counted, and leaves the sequence as it was. */
static void is_refused(const char *text, const char *code, const char *part)
{
    char begins[64];
    snprintf(begins, sizeof begins, "{\"ok\":false,\"error\":\"%s\",", code);
    ck_assert_msg(strncmp(text, begins, strlen(begins)) == 0, "%s does not begin %s", text, begins);
    holds(text, part);
    ck_assert_uint_eq(sequence_head(sequence), START);
}

static void refuses(const char *request, const char *code, const char *part)
{
    is_refused(ask(request), code, part);
}

static const struct event *last_event(void)
{
    struct event *e;
    uint64_t upto, head = sequence_head(sequence);
    ck_assert_uint_eq(
        history_read(sequence_history(sequence), NULL, head - 1, &e, 1, 1 << 20, &upto), 1);
    return e;
}

static void text_is(const char *text)
{
    assert_slice(last_event()->text, slice_of(text));
}

static void text_holds(const char *part)
{
    struct slice text = last_event()->text;
    ck_assert_msg(memmem(text.data, text.len, part, strlen(part)) != NULL, "%s is not in %.*s",
                  part, (int)text.len, text.data);
}

static void report(const char *worker, const struct wire_presence *m)
{
    struct presence_change change;
    presence_report(presence, slice_of(worker), m, 0);
    while (presence_next(presence, &change))
        continue;
    ck_assert_int_eq(presence_result(presence), 0);
}

/* Connections c1 and c2 of session a, c3 of b; c1 and c3 in channel x. */
static void three_connections(void)
{
    struct slice x = S("x");
    static const char *const rows[][2] = {{"c1", "a"}, {"c2", "a"}, {"c3", "b"}};
    struct buf items = {0}, b = {0};
    struct wire_presence m = {.n = 1, .full = true, .counters = {[DELIVERIES] = 12}};
    for (size_t i = 0; i < 3; i++)
        wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                               .connection = slice_of(rows[i][0]),
                                                               .session = slice_of(rows[i][1]),
                                                               .since_ms = 9,
                                                               .channels = {&x, i != 1}});
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    ck_assert_int_eq(wire_get_presence((struct slice){b.data, b.len}, &m), 0);
    presence_hello(presence, S("w"), &(struct wire_hello){.worker = S("worker")}, 0);
    report("w", &m);
    buf_release(&items);
    buf_release(&b);
}

/* --- the table --- */

START_TEST(what_is_no_request_is_refused)
{
    refuses("", "bad_json", "");
    refuses("{\"op\":\"ping\"", "bad_json", "line 1");
    refuses("[1]", "bad_request", "a list");
    refuses("{}", "bad_request", "`op` is missing; accepted: publish, shutdown");
    refuses("{\"op\":1}", "bad_request", "`op`");
    refuses("{\"op\":\"pong\"}", "unknown_op", "\\\"pong\\\" is unknown; accepted: publish");
    refuses("{\"op\":\"ping\",\"x\":1}", "bad_request",
            "`x` is not a field here; accepted: op, ref");
    ck_assert_uint_eq(counters[REQUESTS], 7);
    ck_assert_uint_eq(counters[ERRORS_BAD_JSON], 2);
    ck_assert_uint_eq(counters[ERRORS_BAD_REQUEST], 4);
    ck_assert_uint_eq(counters[ERRORS_UNKNOWN_OP], 1);
}
END_TEST

START_TEST(ref_comes_back_as_it_was_written)
{
    holds(ask("{\"op\":\"ping\",\"ref\": [1.50, \"\\u00e4\"] }"), ",\"ref\":[1.50, \"\\u00e4\"]}");
    holds(ask("{\"op\":\"pong\",\"ref\":12345678901234567890123}"),
          ",\"ref\":12345678901234567890123}");
}
END_TEST

START_TEST(frames_are_counted)
{
    struct slice frames[] = {S("{\"op\":\"publish\"}"), S("x")};
    is_refused(ask_frames(frames, 3), "bad_request", "not 3");
    is_refused(ask_with("{\"op\":\"ping\"}", S("")), "bad_request", "ping takes no second frame");
    is_refused(ask_with("{\"op\":\"publish\",\"events\":[{\"data\":1}]}", S("x")), "bad_request",
               "a batch takes no second frame");
}
END_TEST

START_TEST(a_request_that_is_too_long_is_not_parsed)
{
    size_t len = command_request_max(context.max_event_bytes) + 1;
    char *text = malloc(len);
    memset(text, ' ', len);
    struct slice frame = {text, len};
    is_refused(ask_frames(&frame, 1), "too_large", "accepted: at most");
    frame.len--;
    is_refused(ask_frames(&frame, 1), "bad_json", "");
    free(text);
}
END_TEST

/* --- publish --- */

START_TEST(an_event_is_published)
{
    answers("{\"op\":\"publish\",\"event\":\"m\",\"data\": {\"a\": 0.10} ,\"retry\":500}",
            "{\"ok\":true,\"seq\":1001,\"online\":0}");
    text_holds("data: {\"a\": 0.10}\n");
    text_holds("retry: 500\n");
    text_holds("event: m\n");
    answers("{\"op\":\"publish\",\"text\":\"two\\nlines\"}",
            "{\"ok\":true,\"seq\":1002,\"online\":0}");
    text_is("id: 1002\ndata: two\ndata: lines\n\n");
    ck_assert_str_eq(ask_with("{\"op\":\"publish\"}", S("{\"big\":1}")),
                     "{\"ok\":true,\"seq\":1003,\"online\":0}");
    text_is("id: 1003\ndata: {\"big\":1}\n\n");
    ck_assert_uint_eq(counters[PUBLISHES], 3);
}
END_TEST

START_TEST(there_is_exactly_one_payload)
{
    refuses("{\"op\":\"publish\"}", "bad_request",
            "`data` is missing, and so are `text` and a second frame");
    refuses("{\"op\":\"publish\",\"data\":1,\"text\":\"a\"}", "bad_request", "exactly one of");
    is_refused(ask_with("{\"op\":\"publish\",\"text\":\"a\"}", S("b")), "bad_request",
               "exactly one of");
    is_refused(ask_with("{\"op\":\"publish\",\"data\":1}", S("")), "bad_request", "exactly one of");
}
END_TEST

START_TEST(null_and_empty_are_payloads)
{
    answers("{\"op\":\"publish\",\"data\":null}", "{\"ok\":true,\"seq\":1001,\"online\":0}");
    text_is("id: 1001\ndata: null\n\n");
    answers("{\"op\":\"publish\",\"text\":\"\"}", "{\"ok\":true,\"seq\":1002,\"online\":0}");
    ck_assert_str_eq(ask_with("{\"op\":\"publish\"}", S("")),
                     "{\"ok\":true,\"seq\":1003,\"online\":0}");
}
END_TEST

START_TEST(a_payload_over_the_limit_is_refused)
{
    char data[101], request[300];
    memset(data, 'x', sizeof data);
    snprintf(request, sizeof request, "{\"op\":\"publish\",\"text\":\"%.101s\"}", data);
    refuses(request, "too_large", "`text` has 101 bytes; accepted: at most 100");
    snprintf(request, sizeof request, "{\"op\":\"publish\",\"data\":\"%.99s\"}", data);
    refuses(request, "too_large", "`data` has 101 bytes");
    snprintf(request, sizeof request,
             "{\"op\":\"publish\",\"events\":[{\"data\":1},{\"text\":\"%.101s\"}]}", data);
    refuses(request, "too_large", "`events[1].text` has 101 bytes");
    is_refused(ask_with("{\"op\":\"publish\"}", (struct slice){data, 101}), "too_large",
               "the second frame has 101 bytes");
    ck_assert_uint_eq(counters[ERRORS_TOO_LARGE], 4);
    ask_with("{\"op\":\"publish\"}", (struct slice){data, 100});
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
}
END_TEST

START_TEST(wrong_fields_of_an_event_are_named)
{
    refuses("{\"op\":\"publish\",\"data\":1,\"dat\":1}", "bad_request",
            "`dat` is not a field here");
    refuses("{\"op\":\"publish\",\"data\":1,\"to\":{\"session\":[\"a\"]}}", "bad_request",
            "`to.session` is not a field here");
    refuses("{\"op\":\"publish\",\"data\":1,\"to\":null}", "bad_request", "`to`");
    refuses("{\"op\":\"publish\",\"data\":1,\"except\":{\"sessions\":\"a\"}}", "bad_request",
            "`except.sessions`");
    refuses("{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"\"]}}", "bad_request",
            "`to.sessions[0]`");
    refuses("{\"op\":\"publish\",\"data\":1,\"retry\":2147483648}", "bad_request", "`retry`");
    refuses("{\"op\":\"publish\",\"data\":1,\"retry\":99}", "bad_request",
            "`retry` must be a whole number from 100 to 2147483647, not 99");
    context.limits.retry_ms = 3600000;
    refuses("{\"op\":\"publish\",\"data\":1,\"retry\":3600001}", "bad_request",
            "`retry` must be a whole number from 100 to 3600000, not 3600001");
    refuses("{\"op\":\"publish\",\"data\":1,\"event\":\"ssecast.gap\"}", "bad_request",
            "not beginning with");
    refuses("{\"op\":\"publish\",\"data\":1,\"event\":\"a\\nb\"}", "bad_request", "`event`");
    refuses("{\"op\":\"publish\",\"data\":1,\"event\":\"a\\u0000\"}", "bad_request", "`event`");
}
END_TEST

START_TEST(an_id_is_text_that_no_seq_can_be)
{
    static const char *const wrong[] = {
        "",      "12",       "+5",      "-5x", "a\\nb", "a\\rb", "a\\u0000b", "a\\u0001b",
        "a\\fb", "a\\u001f", "\\u007f", " x",  "x ",    "\\tx",  "x\\t",      " "};
    static const char *const right[] = {"order-17",      "+",     "-a",  "12a",     "0x10",
                                        "\\u00e4",       "a\\tb", "a b", "\\u0085", "\\u2028",
                                        "\\ud83d\\ude00"};
    char request[200];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(request, sizeof request, "{\"op\":\"publish\",\"data\":1,\"id\":\"%s\"}",
                 wrong[i]);
        refuses(request, "bad_request", "`id`");
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(request, sizeof request, "{\"op\":\"publish\",\"data\":1,\"id\":\"%s\"}",
                 right[i]);
        holds(ask(request), "\"ok\":true");
    }
}
END_TEST

START_TEST(the_same_id_again_is_a_duplicate)
{
    three_connections();
    answers("{\"op\":\"publish\",\"data\":1,\"id\":\"a\"}",
            "{\"ok\":true,\"seq\":1001,\"online\":3}");
    answers("{\"op\":\"publish\",\"data\":2,\"id\":\"a\"}",
            "{\"ok\":true,\"seq\":1001,\"duplicate\":true,\"online\":0}");
    ck_assert_uint_eq(sequence_head(sequence), 1001);
    ck_assert_uint_eq(counters[DUPLICATES], 1);
}
END_TEST

static const char *publish_as(const char *publisher, const char *request)
{
    grant.publisher = slice_of(publisher);
    return ask(request);
}

START_TEST(the_same_id_of_another_publisher_is_another_event)
{
    const char *request = "{\"op\":\"publish\",\"data\":1,\"id\":\"order-18\"}";
    holds(publish_as("token:mallory", request), "{\"ok\":true,\"seq\":1001,\"online\"");
    text_is("id: order-18\ndata: 1\n\n");
    holds(publish_as("key:shop", request), "{\"ok\":true,\"seq\":1002,\"online\"");
    text_is("id: 1002\ndata: 1\n\n");
    holds(publish_as("key:shop", request), "\"seq\":1002,\"duplicate\":true");
    holds(publish_as("token:mallory", request), "\"seq\":1001,\"duplicate\":true");
    const char *text = ask("{\"op\":\"history\",\"since\":1001}");
    holds(text, "\"seq\":1002,\"id\":\"order-18\"");
}
END_TEST

START_TEST(a_batch_with_the_id_of_another_publisher_is_published_whole)
{
    holds(publish_as("key:a", "{\"op\":\"publish\",\"data\":1,\"id\":\"i\"}"), "\"seq\":1001");
    holds(publish_as(
              "key:b",
              "{\"op\":\"publish\",\"events\":[{\"data\":1,\"id\":\"i\"},{\"data\":1,\"id\":\"j\"},"
              "{\"data\":1,\"id\":\"i\"}]}"),
          "{\"ok\":true,\"seqs\":[1002,1003,1002],\"duplicates\":[2]}");
}
END_TEST

START_TEST(online_counts_whom_it_concerns)
{
    three_connections();
    holds(ask("{\"op\":\"publish\",\"data\":1}"), "\"online\":3");
    holds(ask("{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"a\"]}}"), "\"online\":2");
    holds(ask("{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"a\"],\"channels\":[\"x\"]}}"),
          "\"online\":3");
    holds(ask("{\"op\":\"publish\",\"data\":1,\"to\":{}}"), "\"online\":0");
    holds(ask("{\"op\":\"publish\",\"data\":1,\"except\":{\"connections\":[\"c1\"]}}"),
          "\"online\":2");
}
END_TEST

START_TEST(a_batch_is_published_in_order)
{
    answers("{\"op\":\"publish\",\"events\":[{\"data\":1},{\"text\":\"b\",\"id\":\"i\"}]}",
            "{\"ok\":true,\"seqs\":[1001,1002]}");
    answers("{\"op\":\"publish\",\"events\":[{\"data\":1,\"id\":\"i\"},"
            "{\"data\":3},{\"data\":1,\"id\":\"i\"}],\"ref\":1}",
            "{\"ok\":true,\"seqs\":[1002,1003,1002],\"duplicates\":[0,2],\"ref\":1}");
    ck_assert_uint_eq(counters[PUBLISHES], 2);
}
END_TEST

START_TEST(a_batch_is_published_whole_or_not_at_all)
{
    refuses("{\"op\":\"publish\",\"events\":[]}", "bad_request", "`events` is empty");
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1},2]}", "bad_request", "`events[1]`");
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1},{}]}", "bad_request", "`events[1].data`");
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1},{\"data\":1,\"ref\":1}]}", "bad_request",
            "`events[1].ref`");
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1}],\"event\":\"m\"}", "bad_request",
            "`event` is not a field here");
    ck_assert_uint_eq(counters[PUBLISHES], 0);
}
END_TEST

START_TEST(what_cannot_be_stored_takes_its_batch_back)
{
    char data[25000], *request;
    memset(data, 'x', sizeof data);
    context.max_event_bytes = sizeof data;
    ck_assert_int_gt(
        asprintf(
            &request,
            "{\"op\":\"publish\",\"events\":[{\"data\":1,\"id\":\"i\"},{\"text\":\"%.25000s\"}]}",
            data),
        0);
    refuses(request, "store_failed", "--history-bytes is 20000");
    free(request);
    ck_assert_uint_eq(counters[ERRORS_STORE_FAILED], 1);
    ck_assert_int_eq(sequence_accept(sequence), 0);
    answers("{\"op\":\"publish\",\"data\":1,\"id\":\"i\"}",
            "{\"ok\":true,\"seq\":1001,\"online\":0}");
}
END_TEST

/* --- keys --- */

static void publish(const char *fields)
{
    char request[500];
    snprintf(request, sizeof request, "{\"op\":\"publish\",\"data\":1%s%s}", *fields ? "," : "",
             fields);
    holds(ask(request), "\"ok\":true");
    ck_assert_int_ge(sequence_accept(sequence), 0);
}

START_TEST(an_event_may_have_a_key)
{
    publish("\"key\":\"price:BTC\",\"ttl\":30");
    assert_slice(last_event()->key, S("price:BTC"));
    ck_assert_uint_eq(last_event()->ttl_s, 30);
    publish("\"key\":\"price:BTC\",\"remove\":true");
    ck_assert(last_event()->remove);
    ck_assert_uint_eq(state_count(sequence_state(sequence)), 0);
}
END_TEST

static const char *const wrong_keys[][2] = {
    {"\"key\":\"\"", "`key`"},
    {"\"key\":1", "`key`"},
    {"\"key\":\"a\\nb\"", "`key`"},
    {"\"key\":\"k\",\"to\":{}", "one target"},
    {"\"key\":\"k\",\"to\":{\"sessions\":[\"a\",\"b\"]}", "one target"},
    {"\"key\":\"k\",\"to\":{\"sessions\":[\"a\"],\"channels\":[\"b\"]}", "one target"},
    {"\"key\":\"k\",\"to\":{\"connections\":[\"a\"]}", "one target"},
    {"\"key\":\"k\",\"except\":{\"sessions\":[\"a\"]}", "one target"},
    {"\"remove\":true", "needs a `key`"},
    {"\"key\":\"k\",\"remove\":1", "`remove`"},
    {"\"ttl\":0", "`ttl`"},
    {"\"ttl\":2592001", "2592000"},
    {"\"ttl\":-1", "`ttl`"},
    {"\"ttl\":1.5", "`ttl`"},
    {"\"ttl\":\"30\"", "`ttl`"},
};

START_TEST(a_wrong_key_is_refused)
{
    char request[500];
    snprintf(request, sizeof request, "{\"op\":\"publish\",\"data\":1,%s}", wrong_keys[_i][0]);
    refuses(request, "bad_request", wrong_keys[_i][1]);
}
END_TEST

START_TEST(a_batch_that_exceeds_the_state_is_taken_back)
{
    context.limits.state = (struct state_limits){.events = 2, .bytes = 20000};
    effects_limit_state(sequence_effects(sequence), &context.limits.state);
    refuses("{\"op\":\"publish\",\"events\":[{\"key\":\"a\",\"data\":1},{\"key\":\"b\",\"data\":1},"
            "{\"key\":\"c\",\"data\":1}]}",
            "state_full",
            "`events[2]`: the state has no room for this key: it has 2 keys of 2 (--state-events)");
    ck_assert_uint_eq(counters[ERRORS_STATE_FULL], 1);
    ck_assert_uint_eq(state_count(sequence_state(sequence)), 0);
    publish("\"key\":\"a\"");
    publish("\"key\":\"b\"");
    publish("\"key\":\"a\"");
    holds(ask("{\"op\":\"publish\",\"key\":\"c\",\"data\":1}"), "state_full");
    publish("\"key\":\"a\",\"remove\":true");
    publish("\"key\":\"c\"");
}
END_TEST

/* The keys of a page and whether there is more: "a b +". */
static void assert_keys(const char *fields, const char *should)
{
    char request[500], is[500] = "";
    size_t len = 0;

    snprintf(request, sizeof request, "{\"op\":\"state\"%s%s}", *fields ? "," : "", fields);
    const char *rest = ask(request);
    while ((rest = strstr(rest, "\"key\":\""))) {
        rest += strlen("\"key\":\"");
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%.*s", len ? " " : "",
                                (int)strcspn(rest, "\""), rest);
    }
    if (strstr(answer, "\"more\":true"))
        snprintf(is + len, sizeof is - len, " +");
    ck_assert_str_eq(is, should);
}

START_TEST(the_keys_are_listed)
{
    publish("\"key\":\"b\",\"to\":{\"channels\":[\"x\"]}");
    publish("\"key\":\"b\",\"to\":{\"sessions\":[\"x\"]}");
    publish("\"key\":\"b\"");
    publish("\"key\":\"a2\"");
    publish("\"key\":\"a1\",\"to\":{\"channels\":[\"y\"]},\"ttl\":9");
    assert_keys("", "a1 a2 b b b");
    holds(answer, "{\"seq\":1005,\"data\":\"1\","
                  "\"to\":{\"channels\":[\"y\"]},\"key\":\"a1\",\"ttl\":9,\"at\":5000}");
    assert_keys("\"prefix\":\"a\"", "a1 a2");
    assert_keys("\"channel\":\"x\"", "b");
    assert_keys("\"channel\":\"other\"", "");
    assert_keys("\"after\":\"a1\"", "a2 b b b");
    assert_keys("\"after\":\"b\"", "");
    context.now_ms = 14000;
    assert_keys("\"limit\":2", "a2 b +");
    holds(answer, "\"next\":\"b\\ne\"");
    assert_keys("\"limit\":1,\"after\":\"b\\ne\"", "b +");
    holds(answer, "\"next\":\"b\\nsx\"");
    assert_keys("\"after\":\"b\\nsx\"", "b");
    holds(answer, "\"channels\":[\"x\"]");
}
END_TEST

START_TEST(keys_in_any_order_are_listed_page_by_page)
{
    char field[] = "\"key\":\"?\"";
    for (const char *key = "mzaybxcwdvnuetfsgrhqipjokl"; *key; key++) {
        field[7] = *key;
        publish(field);
    }
    assert_keys("\"limit\":5", "a b c d e +");
    assert_keys("\"limit\":20,\"after\":\"e\"", "f g h i j k l m n o p q r s t u v w x y +");
    assert_keys("\"limit\":1,\"after\":\"y\"", "z");
}
END_TEST

/* Other programs may write to a shared log. */
START_TEST(the_place_of_the_longest_key_fits_into_an_answer)
{
    static char text[EVENT_KEY_MAX + NAME_BYTES_MAX];
    memset(text, 'k', sizeof text);
    struct slice channel = {text, NAME_BYTES_MAX};
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .has_to = true, .data = S("1"), .key = {text, EVENT_KEY_MAX}};
    struct sequenced done;
    spec.lists[TO_CHANNELS] = (struct names){&channel, 1};
    ck_assert_int_eq(sequence_append(sequence, &spec, &done), 0);
    ck_assert_int_ge(sequence_accept(sequence), 0);
    publish("\"key\":\"z\"");

    const char *next = strstr(ask("{\"op\":\"state\",\"limit\":1}"), "\"next\":\"kk");
    ck_assert_ptr_nonnull(next);
    ck_assert_uint_eq(strspn(next + 8, "k"), EVENT_KEY_MAX);
    ck_assert_uint_eq(strspn(next + 8 + EVENT_KEY_MAX + 3, "k"), NAME_BYTES_MAX);
}
END_TEST

START_TEST(a_private_key_is_listed_behind_the_public_one)
{
    publish("\"key\":\"b\",\"to\":{\"channels\":[\"x\"]},\"private\":true");
    publish("\"key\":\"b\",\"to\":{\"channels\":[\"y\"]}");
    publish("\"key\":\"b\",\"to\":{\"channels\":[\"x\"]}");
    publish("\"key\":\"b\",\"to\":{\"sessions\":[\"x\"]},\"private\":true");
    assert_keys("", "b b b b");
    assert_keys("\"channel\":\"x\"", "b b");
    holds(answer,
          "{\"seq\":1003,\"data\":\"1\",\"to\":{\"channels\":[\"x\"]},\"key\":\"b\",\"at\":5000},"
          "{\"seq\":1001,\"data\":\"1\","
          "\"to\":{\"channels\":[\"x\"]},\"key\":\"b\",\"private\":true,\"at\":5000}");
    assert_keys("\"limit\":1", "b +");
    holds(answer, "\"next\":\"b\\nSx\"");
    assert_keys("\"limit\":1,\"after\":\"b\\nSx\"", "b +");
    holds(answer, "\"next\":\"b\\ncx\"");
    assert_keys("\"limit\":1,\"after\":\"b\\ncx\"", "b +");
    holds(answer, "\"next\":\"b\\nCx\"");
    assert_keys("\"after\":\"b\\nCx\"", "b");
    holds(answer, "{\"channels\":[\"y\"]}");
    publish("\"key\":\"b\",\"to\":{\"channels\":[\"x\"]},\"remove\":true");
    assert_keys("\"channel\":\"x\"", "b");
    holds(answer, "\"private\":true");
}
END_TEST

/* --- shutdown --- */

START_TEST(a_shutdown_is_a_record)
{
    three_connections();
    answers("{\"op\":\"shutdown\",\"sessions\":[\"a\"],"
            "\"channels\":[\"x\"],\"reason\":\"log\\\"out\",\"block\":5}",
            "{\"ok\":true,\"closed\":3}");
    text_is("event: ssecast.shutdown\ndata: {\"reason\":\"log\\\"out\"}\n\n");
    ck_assert_int_eq(last_event()->kind, EVENT_SHUTDOWN);
    ck_assert_uint_eq(last_event()->block_s, 5);
    ck_assert(last_event()->has_to);
    answers("{\"op\":\"shutdown\",\"connections\":[\"nobody\"]}", "{\"ok\":true,\"closed\":0}");
    text_is("event: ssecast.shutdown\ndata: {\"reason\":null}\n\n");
    ck_assert_uint_eq(last_event()->block_s, 60);
    ck_assert_uint_eq(counters[SHUTDOWNS], 2);
}
END_TEST

START_TEST(a_shutdown_of_nobody_is_no_record)
{
    answers("{\"op\":\"shutdown\",\"sessions\":[],\"channels\":[]}", "{\"ok\":true,\"closed\":0}");
    ck_assert_uint_eq(sequence_head(sequence), START);
    refuses("{\"op\":\"shutdown\"}", "bad_request", "needs at least one of");
    refuses("{\"op\":\"shutdown\",\"session\":\"a\"}", "bad_request",
            "`session` is not a field here");
    refuses("{\"op\":\"shutdown\",\"sessions\":[\"a\"],\"block\":-1}", "bad_request", "`block`");
    refuses("{\"op\":\"shutdown\",\"sessions\":[\"a\"],\"reason\":1}", "bad_request", "`reason`");
}
END_TEST

/* --- questions --- */

START_TEST(online_sessions_and_connections_are_told)
{
    three_connections();
    answers("{\"op\":\"online\",\"session\":\"a\"}",
            "{\"ok\":true,\"online\":true,\"connections\":2}");
    answers("{\"op\":\"online\",\"session\":\"z\"}",
            "{\"ok\":true,\"online\":false,\"connections\":0}");
    answers("{\"op\":\"sessions\",\"limit\":1}",
            "{\"ok\":true,\"sessions\":[{\"session\":\"a\",\"connections\":2}],\"more\":true}");
    answers("{\"op\":\"sessions\",\"after\":\"a\"}",
            "{\"ok\":true,\"sessions\":[{\"session\":\"b\",\"connections\":1}],\"more\":false}");
    answers("{\"op\":\"sessions\",\"prefix\":\"z\"}",
            "{\"ok\":true,\"sessions\":[],\"more\":false}");
    answers("{\"op\":\"connections\",\"session\":\"b\"}",
            "{\"ok\":true,\"connections\":[{\"connection\":\"c3\","
            "\"session\":\"b\",\"channels\":[\"x\"],\"worker\":\"worker\","
            "\"since\":9,\"sent\":1000,\"queued\":0,\"lag\":0}],\"more\":false}");
    holds(ask("{\"op\":\"connections\",\"after\":\"c2\"}"), "[{\"connection\":\"c3\"");
    refuses("{\"op\":\"online\"}", "bad_request", "`session` is missing");
    refuses("{\"op\":\"sessions\",\"limit\":1001}", "bad_request", "`limit`");
}
END_TEST

START_TEST(history_is_told_as_it_is_delivered)
{
    ask("{\"op\":\"publish\",\"event\":\"message\","
        "\"text\":\"a\\r\\nevent: b\",\"id\":\"i\",\"retry\":500}");
    ask("{\"op\":\"publish\",\"data\":1,"
        "\"to\":{\"sessions\":[\"a\"],\"connections\":[\"c\"]},\"except\":{\"channels\":[\"x\"]}}");
    ask_with("{\"op\":\"publish\",\"to\":{\"channels\":[\"y\"]}}", S("\xff\nevent: z"));
    const char *first = "{\"seq\":1001,\"id\":\"i\",\"event\":\"message\","
                        "\"data\":\"a\\nevent: b\",\"retry\":500,\"at\":5000}";
    const char *second =
        "{\"seq\":1002,\"data\":\"1\",\"to\":{\"sessions\":[\"a\"],\"connections\":[\"c\"]},"
        "\"except\":{\"channels\":[\"x\"]},\"at\":5000}";
    const char *third = "{\"seq\":1003,\"data\":\"\xef\xbf\xbd\\nevent: "
                        "z\",\"to\":{\"channels\":[\"y\"]},\"at\":5000}";
    char all[1000];
    snprintf(all, sizeof all, "{\"ok\":true,\"events\":[%s,%s,%s],\"more\":false}", first, second,
             third);
    const char *text = ask("{\"op\":\"history\"}");
    holds(text, "\"retry\":500");
    holds(text, "\"id\":\"i\"");
    holds(text, "\"event\":\"message\"");
    holds(text, "\"data\":\"a\\nevent: b\"");
    holds(text, second);
    holds(text, third);
    /* Nothing besides; the order of an event's fields is not promised. */
    ck_assert_uint_eq(strlen(text), strlen(all));
}
END_TEST

START_TEST(history_is_filtered_and_bounded)
{
    ask("{\"op\":\"publish\",\"data\":1}");
    ask("{\"op\":\"publish\",\"data\":2,\"to\":{\"sessions\":[\"a\"]}}");
    ask("{\"op\":\"publish\",\"data\":3,\"to\":{\"channels\":[\"x\"]}}");
    ask("{\"op\":\"publish\",\"data\":4,"
        "\"to\":{\"connections\":[\"c\"]},\"except\":{\"sessions\":[\"a\"]}}");
    static const struct {
        const char *request, *has, *has_not;
    } rows[] = {
        {"{\"op\":\"history\",\"since\":1001,\"limit\":2}", "\"more\":true", "1004"},
        {"{\"op\":\"history\",\"since\":1003}", "\"more\":false", "1003"},
        {"{\"op\":\"history\",\"since\":9999}", "\"events\":[]", "seq"},
        {"{\"op\":\"history\",\"session\":\"a\"}", "1002", "1003"},
        {"{\"op\":\"history\",\"channel\":\"x\"}", "1003", "1002"},
        {"{\"op\":\"history\",\"connection\":\"c\"}", "1004", "1002"},
        {"{\"op\":\"history\",\"connection\":\"c\",\"session\":\"a\"}", "1002", "1004"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        holds(ask(rows[i].request), rows[i].has);
        ck_assert_msg(!strstr(answer, rows[i].has_not), "%s is in %s", rows[i].has_not, answer);
    }
}
END_TEST

START_TEST(stats_and_ping_tell_numbers)
{
    three_connections();
    ask("{\"op\":\"publish\",\"data\":1}");
    const char *stats = ask("{\"op\":\"stats\"}");
    holds(stats, "\"uptime_ms\":7,");
    holds(stats, "\"connections\":3,");
    holds(stats, "\"history_head\":1001,");
    holds(stats, "\"publishes\":1,");
    holds(stats, "\"deliveries\":12,");
    answers("{\"op\":\"ping\"}",
            "{\"ok\":true,\"version\":\"" SSECAST_VERSION "\",\"head\":1001,\"now\":5000}");
}
END_TEST

START_TEST(status_tells_what_the_page_shows)
{
    overview = (struct overview){0};
    refuses("{\"op\":\"status\",\"seconds\":301}", "bad_request", "`seconds` must be");
    three_connections();
    ask("{\"op\":\"publish\",\"data\":1}");
    for (uint64_t i = 0; i < 3; i++)
        overview_sample(&overview,
                        &(struct overview_sample){(int64_t)i * 1000, 10 + i, 5 * i, 7 * i, {0}});
    overview_ended(&overview, 4000, "slow", S("a<b>"), S("w"), 2);
    const char *told = ask("{\"op\":\"status\"}");
    holds(told, "\"connections\":3,\"sessions\":2,");
    holds(told, "\"over_time\":{\"until\":2000,"
                "\"connections\":[11,12],\"events\":[5,5],\"deliveries\":[7,7]}");
    holds(told, "\"workers_count\":1,\"workers\":[{\"worker\":");
    holds(told, "\"history\":{\"events\":1,");
    holds(told, "\"store\":{\"kind\":\"memory\",\"failing\":false,");
    holds(told, "\"sessions_top\":[{\"session\":\"a\",\"connections\":2},"
                "{\"session\":\"b\",\"connections\":1}]");
    holds(told, "\"ends\":[{\"at\":4000,\"cause\":\"slow\","
                "\"count\":2,\"session\":\"a<b>\",\"worker\":\"w\"}]");
    holds(ask("{\"op\":\"status\",\"seconds\":1}"), "\"connections\":[12],");
}
END_TEST

START_TEST(log_changes_the_level_and_tells_it)
{
    log_set_level(LOG_ERROR);
    answers("{\"op\":\"log\"}", "{\"ok\":true,\"level\":\"error\",\"before\":\"error\"}");
    answers("{\"op\":\"log\",\"level\":\"warn\"}",
            "{\"ok\":true,\"level\":\"warn\",\"before\":\"error\"}");
    refuses("{\"op\":\"log\",\"level\":\"loud\"}", "bad_request",
            "`level` must be error, warn, info or debug, not \\\"loud\\\"");
    refuses("{\"op\":\"log\",\"workers\":true}", "bad_request", "`workers` goes with `level`");
    ck_assert_int_eq(log_level(), LOG_WARN);
    ck_assert_ptr_null(workers_log_level);
    ask("{\"op\":\"log\",\"level\":\"error\",\"workers\":true}");
    ck_assert_str_eq(workers_log_level, "error");
}
END_TEST

/* So many workers beside "worker", each with its number as its count of streams. */
static void many_workers(uint64_t count)
{
    char name[16];
    for (uint64_t i = 1; i <= count; i++) {
        struct wire_presence m = {
            .n = 1, .full = true, .gauges = {[GAUGE_STREAMS] = i, [GAUGE_QUEUED_BYTES] = 1000}};
        snprintf(name, sizeof name, "w%03u", (unsigned)i);
        presence_hello(presence, slice_of(name), &(struct wire_hello){.worker = slice_of(name)}, 0);
        report(name, &m);
    }
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

START_TEST(metrics_tell_of_all_and_of_each_worker)
{
    three_connections();
    many_workers(3);
    ask("{\"op\":\"publish\",\"data\":1}");
    const char *text = ask("{\"op\":\"metrics\"}");
    holds(text, "{\"ok\":true,\"text\":\"# HELP ssecast_up ");
    holds(text, "\\nssecast_up 1\\n");
    holds(text, "\\nssecast_connections 3\\n");
    holds(text, "\\nssecast_publishes_total 1\\n");
    holds(text, "\\nssecast_deliveries_total 12\\n");
    holds(text, "\\nssecast_queued_bytes 3000\\n");
    holds(text, "\\nssecast_worker_deliveries_total{worker=\\\"worker\\\"} 12\\n");
    holds(text, "\\nssecast_worker_streams{worker=\\\"w002\\\"} 2\\n");
}
END_TEST

START_TEST(not_all_workers_are_told_one_by_one)
{
    many_workers(70);
    const char *text = ask("{\"op\":\"metrics\"}");
    holds(text, "\\nssecast_workers 70\\n");
    holds(text, "\\nssecast_queued_bytes 70000\\n");
    ck_assert_uint_eq(occurrences(text, "ssecast_worker_streams{"), 64);
}
END_TEST

START_TEST(workers_are_listed_page_by_page)
{
    many_workers(70);
    const char *page = ask("{\"op\":\"workers\",\"limit\":2}");
    holds(page, "{\"ok\":true,\"workers\":[{\"worker\":\"w001\",\"connections\":0,");
    holds(page, "\"streams\":2,");
    holds(page, "\"queued_bytes\":1000,");
    holds(page, "\"more\":true}");
    page = ask("{\"op\":\"workers\",\"after\":\"w068\"}");
    ck_assert_uint_eq(occurrences(page, "\"worker\":"), 2);
    holds(page, "\"more\":false}");
    refuses("{\"op\":\"workers\",\"limit\":0}", "bad_request", "limit");
}
END_TEST

START_TEST(each_counter_has_a_row)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        ck_assert_msg(broker_counter_rows[i].name && broker_counter_rows[i].help,
                      "counter %d has none", i);
}
END_TEST

/* --- grants --- */

START_TEST(who_may_only_publish_is_refused_the_rest)
{
    static const char *const others[] = {"shutdown", "online", "sessions", "connections",
                                         "history",  "stats",  "ping"};
    char request[64];
    grant.roles = ROLE_EVENTS;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(request, sizeof request, "{\"op\":\"%s\"}", others[i]);
        refuses(request, "forbidden", others[i]);
    }
    ck_assert_uint_eq(counters[ERRORS_FORBIDDEN], sizeof others / sizeof *others);
    holds(ask("{\"op\":\"publish\",\"data\":1}"), "\"ok\":true");
}
END_TEST

START_TEST(who_may_give_one_command_need_not_name_it)
{
    refuses("{\"data\":1}", "bad_request", "`op` is missing");
    grant.roles = ROLE_PUBLISHER;
    refuses("{\"data\":1}", "bad_request", "`op` is missing");
    grant.roles = 0;
    refuses("{\"data\":1}", "forbidden", "not among those");
    grant.roles = ROLE_EVENTS;
    holds(ask("{\"data\":1}"), "\"ok\":true");
}
END_TEST

START_TEST(a_limited_grant_reaches_whom_it_names)
{
    struct slice sessions[] = {S_INIT("user-*")}, channels[] = {S_INIT("room:7")};
    grant = (struct grant){.roles = ROLE_EVENTS,
                           .limited = true,
                           .sessions = {sessions, 1},
                           .channels = {channels, 1}};
    refuses("{\"data\":1}", "forbidden", "everyone");
    refuses("{\"data\":1,\"except\":{\"sessions\":[\"a\"]}}", "forbidden", "everyone");
    refuses("{\"data\":1,\"to\":{\"sessions\":[\"user-1\",\"admin\"]}}", "forbidden", "admin");
    refuses("{\"data\":1,\"to\":{\"channels\":[\"room:8\"]}}", "forbidden", "room:8");
    refuses("{\"data\":1,\"to\":{\"connections\":[\"c1\"]}}", "forbidden", "connections");
    refuses("{\"events\":[{\"data\":1,\"to\":{\"sessions\":[\"user-1\"]}},{\"data\":2}]}",
            "forbidden", "`events[1]`: this key or token may not send to everyone");
    holds(ask("{\"data\":1,\"to\":{\"sessions\":[\"user-1\"],\"channels\":[\"room:7\"]}}"),
          "\"ok\":true");
}
END_TEST

/* --- limits --- */

START_TEST(limits_are_told_with_their_option)
{
    context.limits =
        (struct command_limits){.json = {.name_bytes = 4, .depth = 5}, .batch = 2, .targets = 3};
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1},{\"data\":2},{\"data\":3}]}", "too_large",
            "`events` has 3 events; accepted: at most 2 (--max-batch)");
    refuses("{\"op\":\"publish\",\"data\":1,"
            "\"to\":{\"sessions\":[\"a\",\"b\"]},\"except\":{\"channels\":[\"c\",\"d\"]}}",
            "too_large",
            "it names 4 sessions, channels and connections; accepted: at most 3 (--max-targets)");
    refuses("{\"op\":\"publish\",\"events\":[{\"data\":1,"
            "\"to\":{\"sessions\":[\"a\",\"b\",\"c\",\"d\"]}}]}",
            "too_large", "`events[0]` names 4");
    refuses("{\"op\":\"shutdown\",\"sessions\":[\"a\",\"b\",\"c\",\"d\"]}", "too_large",
            "it names 4");
    refuses("{\"op\":\"online\",\"session\":\"abcde\"}", "bad_request",
            "`session` must be a string of 1 to 4 bytes");
    refuses("{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"a\",\"abcde\"]}}",
            "bad_request", "`to.sessions[1]` must be a string of 1 to 4 bytes");
    refuses("{\"op\":\"publish\",\"data\":[[[[[1]]]]]}", "bad_json",
            "at most 5 levels (--max-json-depth)");
    ck_assert_uint_eq(counters[ERRORS_TOO_LARGE], 4);
    answers("{\"op\":\"publish\",\"data\":[[[1]]],\"to\":{\"sessions\":[\"abcd\",\"b\",\"c\"]}}",
            "{\"ok\":true,\"seq\":1001,\"online\":0}");
}
END_TEST

START_TEST(what_is_refused_unseen_still_has_its_ref)
{
    command_refuse(&context, CODE_TOO_LARGE, "too many",
                   S("{\"op\":\"publish\",\"data\":1,\"ref\":7}"), &reply);
    ck_assert_int_eq(
        strncmp(reply.data,
                "{\"ok\":false,\"error\":\"too_large\",\"message\":\"too many\",\"ref\":7}",
                reply.len),
        0);
    command_refuse(&context, CODE_TOO_LARGE, "too many", S("{no"), &reply);
    ck_assert_int_eq(strncmp(reply.data,
                             "{\"ok\":false,\"error\":\"too_large\",\"message\":\"too many\"}",
                             reply.len),
                     0);
    ck_assert_uint_eq(counters[REQUESTS], 2);
    ck_assert_uint_eq(counters[ERRORS_TOO_LARGE], 2);
    ck_assert_uint_eq(sequence_head(sequence), START);
}
END_TEST

/* --- who may --- */

START_TEST(a_publisher_publishes_and_asks_who_is_there)
{
    grant = (struct grant){.roles = ROLE_PUBLISHER};
    holds(ask("{\"op\":\"publish\",\"data\":1}"), "\"ok\":true");
    holds(ask("{\"op\":\"online\",\"session\":\"a\"}"), "\"ok\":true");
    holds(ask("{\"op\":\"ping\"}"), "\"ok\":true");
    static const char *const others[] = {"shutdown", "sessions", "connections",  "presence",
                                         "history",  "workers",  "metrics",      "stats",
                                         "status",   "log",      "bans",         "unban",
                                         "state",    "members",  "subscriptions"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char request[64];
        snprintf(request, sizeof request, "{\"op\":\"%s\"}", others[i]);
        holds(ask(request), "\"error\":\"forbidden\"");
    }
    ck_assert_uint_eq(counters[ERRORS_FORBIDDEN], sizeof others / sizeof *others);
}
END_TEST

START_TEST(a_key_that_is_gone_may_nothing)
{
    grant = (struct grant){0};
    refuses("{\"op\":\"ping\"}", "forbidden", "not among those that the broker knows");
    refuses("{\"op\":\"publish\",\"data\":1}", "forbidden", "");
    grant.roles = ROLE_WORKER;
    refuses("{\"op\":\"ping\"}", "forbidden", "no command");
    grant = (struct grant){.roles = ROLE_EVENTS, .limited = true};
    refuses("{\"data\":1}", "forbidden", "no session and no channel");
}
END_TEST

/* Without a right there is nothing to parse:
 * what is no JSON is refused alike, and no ref is looked for. */
START_TEST(who_may_nothing_is_refused_unread)
{
    grant = (struct grant){0};
    refuses("{no JSON", "forbidden", "");
    ck_assert_ptr_null(strstr(ask("{\"op\":\"ping\",\"ref\":77}"), "ref"));
    grant = (struct grant){.roles = ROLE_EVENTS, .limited = true};
    refuses("{no JSON", "forbidden", "");
    ck_assert_uint_eq(counters[ERRORS_BAD_JSON], 0);
}
END_TEST

/* A ref of count bytes, quotes included, in a request. */
static const char *with_ref(const char *before, size_t count)
{
    static char text[4096];
    int n = snprintf(text, sizeof text, "{%s\"ref\":\"", before);
    memset(text + n, 'r', count - 2);
    snprintf(text + n + count - 2, sizeof text - (size_t)n - count + 2, "\"}");
    return text;
}

START_TEST(a_ref_is_bounded)
{
    holds(ask(with_ref("\"op\":\"ping\",", COMMAND_REF_MAX)), "rrrr\"}");
    refuses(with_ref("\"op\":\"ping\",", COMMAND_REF_MAX + 1), "bad_request",
            "`ref` has 1025 bytes; accepted: at most 1024");
    ck_assert_ptr_null(strstr(answer, "rrr"));
    refuses(with_ref("\"op\":\"nothing\",", COMMAND_REF_MAX + 1), "bad_request",
            "`ref` has 1025 bytes");
    struct command_outcome outcome = command_refuse(
        &context, CODE_TOO_LARGE, "too many", slice_of(with_ref("", COMMAND_REF_MAX + 1)), &reply);
    ck_assert_uint_eq(outcome.ref.len, 0);
    ck_assert_ptr_null(memmem(reply.data, reply.len, "rrr", 3));
    outcome = command_refuse(&context, CODE_TOO_LARGE, "too many",
                             slice_of(with_ref("", COMMAND_REF_MAX)), &reply);
    ck_assert_uint_eq(outcome.ref.len, COMMAND_REF_MAX);
}
END_TEST

/* {"op":"publish", then count times what, in brackets as the value of name. */
static const char *with_many(const char *name, const char *what, size_t count)
{
    static char text[40000];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"op\":\"publish\",\"%s\":[", name);
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "," : "", what);
    snprintf(text + n, sizeof text - n, "]%s}", strcmp(name, "data") == 0 ? "" : ",\"data\":1");
    return text;
}

START_TEST(values_are_bounded_where_they_are_built)
{
    context.max_event_bytes = 10000;
    context.limits.json.values = command_values_max(1, 50);
    ck_assert_uint_eq(context.limits.json.values, 116);
    refuses(with_many("to", "[]", 120), "too_large", "too many values; accepted: at most 116");
    refuses(with_many("except", "{}", 120), "too_large", "(from --max-batch and --max-targets)");
    refuses(with_many("sessions", "0", 120), "too_large", "");
    refuses(with_many("to", "[]", 10), "bad_request", "`to` must be an object");
    holds(ask(with_many("data", "[{}]", 1000)), "\"ok\":true");
    holds(ask(with_many("ref", "0", 500)), "\"ok\":true");
}
END_TEST

static struct slice only_a[] = {S_INIT("a")}, rooms[] = {S_INIT("room:*"), S_INIT("x")};

START_TEST(limits_of_a_key_hold_for_every_command)
{
    three_connections();
    ask("{\"op\":\"publish\",\"data\":1,"
        "\"to\":{\"sessions\":[\"a\",\"b\"],\"channels\":[\"x\",\"y\"],\"connections\":[\"c1\"]}}");
    grant = (struct grant){
        .roles = ROLE_OPERATOR, .limited = true, .sessions = {only_a, 1}, .channels = {rooms, 2}};
    static const char *const forbidden[] = {
        "{\"op\":\"publish\",\"data\":1}",
        "{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"a\",\"b\"]}}",
        "{\"op\":\"publish\",\"data\":1,\"to\":{\"channels\":[\"y\"]}}",
        "{\"op\":\"publish\",\"data\":1,\"to\":{\"connections\":[\"c1\"]}}",
        "{\"op\":\"publish\",\"events\":[{\"data\":1,\"to\":{\"sessions\":[\"a\"]}},{\"data\":1}]}",
        ("{\"op\":\"publish\",\"data\":1,"
         "\"to\":{\"sessions\":[\"a\"]},\"except\":{\"sessions\":[\"b\"]}}"),
        ("{\"op\":\"publish\",\"data\":1,"
         "\"to\":{\"sessions\":[\"a\"]},\"except\":{\"channels\":[\"x\",\"y\"]}}"),
        "{\"op\":\"publish\",\"data\":1,\"to\":{\"sessions\":[\"a\"]},\"retry\":1000}",
        "{\"op\":\"shutdown\",\"sessions\":[\"b\"]}",
        "{\"op\":\"shutdown\",\"connections\":[\"c1\"]}",
        "{\"op\":\"shutdown\",\"sessions\":[\"a\"],\"channels\":[\"y\"]}",
        "{\"op\":\"online\",\"session\":\"b\"}",
        "{\"op\":\"connections\"}",
        "{\"op\":\"connections\",\"session\":\"b\"}",
        "{\"op\":\"history\"}",
        "{\"op\":\"history\",\"session\":\"b\"}",
        "{\"op\":\"history\",\"session\":\"a\",\"channel\":\"y\"}",
        "{\"op\":\"history\",\"connection\":\"c1\"}",
        "{\"op\":\"history\",\"session\":\"a\",\"connection\":\"c1\"}",
        "{\"op\":\"log\"}",
        "{\"op\":\"presence\"}",
        "{\"op\":\"status\"}",
        "{\"op\":\"workers\"}",
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        ck_assert_msg(strstr(ask(forbidden[i]), "\"error\":\"forbidden\""), "%s: %s", forbidden[i],
                      answer);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    answers("{\"op\":\"sessions\"}",
            "{\"ok\":true,\"sessions\":[{\"session\":\"a\",\"connections\":2}],\"more\":false}");
    holds(ask("{\"op\":\"history\",\"session\":\"a\"}"),
          "\"to\":{\"sessions\":[\"a\"],\"channels\":[\"x\"],\"connections\":[]}");
    holds(ask("{\"op\":\"history\",\"channel\":\"x\"}"), "\"seq\":1001");
    holds(ask("{\"op\":\"connections\",\"session\":\"a\"}"), "\"connection\":\"c2\"");
    holds(answer, "\"channels\":[\"x\"]");
    grant.channels = (struct names){rooms, 1};
    holds(ask("{\"op\":\"connections\",\"session\":\"a\"}"), "\"channels\":[]");
    ck_assert_ptr_null(strstr(answer, "[\"x\"]"));
    grant.channels = (struct names){rooms, 2};
    holds(ask("{\"op\":\"online\",\"session\":\"a\"}"), "\"connections\":2");
    holds(ask("{\"op\":\"publish\",\"data\":1,\"to\":{\"channels\":[\"room:7\"]},"
              "\"except\":{\"sessions\":[\"a\"],\"connections\":[\"c1\"]}}"),
          "\"ok\":true");
    holds(ask("{\"op\":\"shutdown\",\"sessions\":[\"a\"]}"), "\"closed\":2");
    holds(ask("{\"op\":\"stats\"}"), "\"ok\":true");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command");
    TCase *tests = one_case(suite, "command");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_is_no_request_is_refused);
    tcase_add_test(tests, ref_comes_back_as_it_was_written);
    tcase_add_test(tests, frames_are_counted);
    tcase_add_test(tests, a_request_that_is_too_long_is_not_parsed);
    tcase_add_test(tests, an_event_is_published);
    tcase_add_test(tests, there_is_exactly_one_payload);
    tcase_add_test(tests, null_and_empty_are_payloads);
    tcase_add_test(tests, a_payload_over_the_limit_is_refused);
    tcase_add_test(tests, wrong_fields_of_an_event_are_named);
    tcase_add_test(tests, an_id_is_text_that_no_seq_can_be);
    tcase_add_test(tests, the_same_id_again_is_a_duplicate);
    tcase_add_test(tests, the_same_id_of_another_publisher_is_another_event);
    tcase_add_test(tests, a_batch_with_the_id_of_another_publisher_is_published_whole);
    tcase_add_test(tests, online_counts_whom_it_concerns);
    tcase_add_test(tests, a_batch_is_published_in_order);
    tcase_add_test(tests, a_batch_is_published_whole_or_not_at_all);
    tcase_add_test(tests, what_cannot_be_stored_takes_its_batch_back);
    tcase_add_test(tests, an_event_may_have_a_key);
    tcase_add_loop_test(tests, a_wrong_key_is_refused, 0,
                        (int)(sizeof wrong_keys / sizeof wrong_keys[0]));
    tcase_add_test(tests, a_batch_that_exceeds_the_state_is_taken_back);
    tcase_add_test(tests, the_keys_are_listed);
    tcase_add_test(tests, keys_in_any_order_are_listed_page_by_page);
    tcase_add_test(tests, the_place_of_the_longest_key_fits_into_an_answer);
    tcase_add_test(tests, a_private_key_is_listed_behind_the_public_one);
    tcase_add_test(tests, a_shutdown_is_a_record);
    tcase_add_test(tests, a_shutdown_of_nobody_is_no_record);
    tcase_add_test(tests, online_sessions_and_connections_are_told);
    tcase_add_test(tests, history_is_told_as_it_is_delivered);
    tcase_add_test(tests, history_is_filtered_and_bounded);
    tcase_add_test(tests, stats_and_ping_tell_numbers);
    tcase_add_test(tests, status_tells_what_the_page_shows);
    tcase_add_test(tests, log_changes_the_level_and_tells_it);
    tcase_add_test(tests, who_may_only_publish_is_refused_the_rest);
    tcase_add_test(tests, who_may_give_one_command_need_not_name_it);
    tcase_add_test(tests, a_limited_grant_reaches_whom_it_names);
    tcase_add_test(tests, metrics_tell_of_all_and_of_each_worker);
    tcase_add_test(tests, not_all_workers_are_told_one_by_one);
    tcase_add_test(tests, workers_are_listed_page_by_page);
    tcase_add_test(tests, each_counter_has_a_row);
    tcase_add_test(tests, limits_are_told_with_their_option);
    tcase_add_test(tests, what_is_refused_unseen_still_has_its_ref);
    tcase_add_test(tests, a_publisher_publishes_and_asks_who_is_there);
    tcase_add_test(tests, a_key_that_is_gone_may_nothing);
    tcase_add_test(tests, who_may_nothing_is_refused_unread);
    tcase_add_test(tests, a_ref_is_bounded);
    tcase_add_test(tests, values_are_bounded_where_they_are_built);
    tcase_add_test(tests, limits_of_a_key_hold_for_every_command);
    return run_suite(suite);
}
