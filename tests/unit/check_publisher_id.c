#include "auth/publisher_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_in.h"
#include "support.h"

static struct slice names[8];

static char out[8][64];
static int next;

/* The identity with these claims; sessions and channels: patterns with a space between two, NULL:
 * not limited. Valid for seven more calls. */
static const char *id_of(const char *issuer, const char *sub, const char *sessions,
                         const char *channels)
{
    char text[64];
    struct json_in *claims = NULL;
    struct grant grant = {.limited = sessions != NULL};
    size_t count = 0;

    if (issuer) {
        snprintf(text, sizeof text, "{\"iss\":\"%s\"}", issuer);
        claims = json_in_parse(slice_of(text));
        ck_assert_ptr_nonnull(claims);
    }
    grant.sessions.items = names;
    for (const char *at = sessions; at && *at; at += strcspn(at, " "), at += *at == ' ')
        names[count++] = (struct slice){at, strcspn(at, " ")};
    grant.sessions.count = count;
    grant.channels.items = names + count;
    for (const char *at = channels; at && *at; at += strcspn(at, " "), at += *at == ' ')
        names[count++] = (struct slice){at, strcspn(at, " ")};
    grant.channels.count = count - grant.sessions.count;

    char *id = publisher_id(json_in_member(claims, "iss"), slice_of(sub), &grant);
    ck_assert_ptr_nonnull(id);
    char *kept = out[next++ % 8];
    snprintf(kept, sizeof out[0], "%s", id);
    free(id);
    json_in_free(&claims);
    return kept;
}

START_TEST(a_publisher_is_its_issuer_and_subject)
{
    const char *anna = id_of("a", "anna", NULL, NULL);
    ck_assert_int_eq(strncmp(anna, "token:", 6), 0);
    ck_assert_uint_eq(strlen(anna), 6 + 32);
    ck_assert_uint_eq(strspn(anna + 6, "0123456789abcdef"), 32);
    ck_assert_str_eq(anna, id_of("a", "anna", "x", ""));
    ck_assert_str_ne(anna, id_of("a", "bert", NULL, NULL));
    ck_assert_str_ne(anna, id_of("b", "anna", NULL, NULL));
    ck_assert_str_ne(anna, id_of(NULL, "anna", NULL, NULL));
    ck_assert_str_ne(id_of("", "anna", NULL, NULL), id_of(NULL, "anna", NULL, NULL));
    ck_assert_str_ne(id_of("aa", "nna", NULL, NULL), anna);
}
END_TEST

START_TEST(without_a_subject_a_publisher_is_what_it_may_publish)
{
    const char *all = id_of(NULL, NULL, NULL, NULL);
    const char *some = id_of(NULL, NULL, "a b*", "c");
    ck_assert_str_ne(all, some);
    ck_assert_str_eq(some, id_of(NULL, NULL, "b* a a", "c"));
    ck_assert_str_ne(some, id_of(NULL, NULL, "a b* c", ""));
    ck_assert_str_ne(some, id_of(NULL, NULL, "c", "a b*"));
    ck_assert_str_ne(id_of(NULL, NULL, "", ""), all);
    ck_assert_str_ne(id_of(NULL, NULL, "a", "b"), id_of(NULL, NULL, "", "a b"));
    ck_assert_str_ne(some, id_of("i", NULL, "a b*", "c"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publisher_id");
    TCase *tests = one_case(suite, "publisher_id");
    tcase_add_test(tests, a_publisher_is_its_issuer_and_subject);
    tcase_add_test(tests, without_a_subject_a_publisher_is_what_it_may_publish);
    return run_suite(suite);
}
