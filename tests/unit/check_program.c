#include "auth/program.h"

#include <string.h>

#include "base/must.h"
#include "support.h"

/* --- against a model that tries every way --- */

struct model {
    const struct program *program;
    struct slice text;
    bool reached[NAME_BYTES_MAX + 1];
};

static bool passes(enum char_class class, char c)
{
    switch (class) {
    case CLASS_SEGMENT:
        return !strchr("/?#", c);
    case CLASS_LABEL:
        return !strchr("/?#:@.", c);
    case CLASS_ANY:
        return true;
    default:
        must_fail("a class of the model", __FILE__, __LINE__, __func__);
    }
}

/* Which places the steps reach from each place of `from`. */
static void walk(const struct model *m, size_t step, size_t end, const bool *from, bool *to);

static void walk_from_one(const struct model *m, size_t step, size_t end, size_t place, bool *to)
{
    bool from[NAME_BYTES_MAX + 1] = {false}, next[NAME_BYTES_MAX + 1];
    from[place] = true;
    walk(m, step, end, from, next);
    for (size_t i = 0; i <= m->text.len; i++)
        to[i] |= next[i];
}

static void walk_text(const struct model *m, const struct step *s, size_t place, bool *to)
{
    bool fits = place + s->len <= m->text.len &&
                memcmp(m->text.data + place, m->program->text + s->at, s->len) == 0;
    if (fits)
        to[place + s->len] = true;
}

static void walk_class(const struct model *m, const struct step *s, size_t place, bool *to)
{
    if (!s->some)
        to[place] = true;
    for (size_t i = place; i < m->text.len && passes(s->class, m->text.data[i]); i++)
        to[i + 1] = true;
}

static void walk_group(const struct model *m, size_t at, size_t place, bool *to)
{
    const struct step *s = &m->program->steps[at];
    bool done[NAME_BYTES_MAX + 1] = {false}, reached[NAME_BYTES_MAX + 1] = {false}, first = true;
    if (s->repeat == AT_MOST_ONCE || s->repeat == ANY_NUMBER)
        to[place] = true;
    walk_from_one(m, at + 1, at + 1 + s->len, place, reached);

    for (bool again = true;
         again && (first || s->repeat == ANY_NUMBER || s->repeat == AT_LEAST_ONCE); first = false) {
        again = false;
        for (size_t i = 0; i <= m->text.len; i++) {
            if (!reached[i] || done[i])
                continue;
            done[i] = to[i] = true;
            if (s->repeat == ANY_NUMBER || s->repeat == AT_LEAST_ONCE)
                walk_from_one(m, at + 1, at + 1 + s->len, i, reached);
            again = true;
        }
    }
}

static void walk(const struct model *m, size_t step, size_t end, const bool *from, bool *to)
{
    bool now[NAME_BYTES_MAX + 1];
    memcpy(now, from, sizeof now);
    while (step < end) {
        const struct step *s = &m->program->steps[step];
        bool next[NAME_BYTES_MAX + 1] = {false};
        for (size_t place = 0; place <= m->text.len; place++) {
            if (!now[place])
                continue;
            if (s->kind == STEP_TEXT)
                walk_text(m, s, place, next);
            else if (s->kind == STEP_CLASS)
                walk_class(m, s, place, next);
            else
                walk_group(m, step, place, next);
        }
        memcpy(now, next, sizeof now);
        step += 1u + (s->kind == STEP_GROUP ? s->len : 0u);
    }
    memcpy(to, now, sizeof now);
}

static void put_random(struct program *p, struct dice *dice, bool in_group)
{
    static const enum char_class classes[] = {CLASS_SEGMENT, CLASS_LABEL, CLASS_ANY};
    char text[3];
    switch (roll(dice, in_group ? 2 : 3)) {
    case 0:
        for (size_t i = 0; i < 3; i++)
            text[i] = "ab./"[roll(dice, 4)];
        program_put_text(p, (struct slice){text, 1 + (size_t)roll(dice, 3)});
        return;
    case 1:
        if (roll(dice, 2))
            program_put_some(p, classes[roll(dice, 3)]);
        else
            program_put_any(p, classes[roll(dice, 3)]);
        return;
    default:
        break;
    }

    size_t place =
        program_open(p, (struct step){.kind = STEP_GROUP, .repeat = (uint8_t)roll(dice, 4)});
    for (size_t i = 1 + roll(dice, 3); i; i--)
        put_random(p, dice, true);
    program_close(p, place);
}

START_TEST(it_matches_like_the_model)
{
    struct dice dice = dice_new();
    struct program p;
    static struct text_view v;
    char text[NAME_BYTES_MAX];
    printf("program: SEED=%" PRIu64 "\n", dice.state);

    for (int round = 0; round < 20000; round++) {
        memset(&p, 0, sizeof p);
        for (size_t i = 1 + roll(&dice, 5); i; i--)
            put_random(&p, &dice, false);
        size_t len = round % 16 ? roll(&dice, 12) : roll(&dice, 200);
        for (size_t i = 0; i < len; i++)
            text[i] = "aab./"[roll(&dice, 5)];

        struct model m = {.program = &p, .text = {text, len}};
        bool from[NAME_BYTES_MAX + 1] = {true}, to[NAME_BYTES_MAX + 1];
        walk(&m, 0, p.count, from, to);
        text_view_make(&v, m.text);
        ck_assert_int_eq(text_view_matches(&v, p.steps, 0, p.count, p.text), to[len]);
    }
}
END_TEST

START_TEST(runs_of_a_class_cross_words)
{
    struct program p = {0};
    static struct text_view v;
    char text[NAME_BYTES_MAX];
    program_put_any(&p, CLASS_SEGMENT);
    program_put_text(&p, S("/"));
    program_put_any(&p, CLASS_SEGMENT);

    for (size_t slash = 0; slash < NAME_BYTES_MAX; slash++) {
        memset(text, 'a', sizeof text);
        text[slash] = '/';
        text_view_make(&v, (struct slice){text, sizeof text});
        ck_assert(text_view_matches(&v, p.steps, 0, p.count, p.text));
        text[slash] = '?';
        text_view_make(&v, (struct slice){text, sizeof text});
        ck_assert(!text_view_matches(&v, p.steps, 0, p.count, p.text));
    }
}
END_TEST

START_TEST(texts_become_one_step_within_a_group_only)
{
    struct program p = {0};
    program_put_text(&p, S("a"));
    program_put_text(&p, S("b"));
    size_t place = program_open(&p, (struct step){.kind = STEP_GROUP});
    program_put_text(&p, S("c"));
    program_close(&p, place);
    program_put_text(&p, S("d"));
    program_mark(&p);
    program_put_text(&p, S("e"));
    ck_assert_uint_eq(p.count, 5);
    assert_slice(program_prefix(p.steps, 0, p.count, p.text), S("ab"));
    assert_slice(program_prefix(p.steps, 3, p.count, p.text), S("de"));
    assert_slice(program_prefix(p.steps, 3, 4, p.text), S("d"));
    ck_assert_uint_eq(program_prefix(p.steps, 1, p.count, p.text).len, 0);
}
END_TEST

START_TEST(a_program_that_is_too_long_says_so)
{
    struct program p = {0};
    for (unsigned i = 0; i < PROGRAM_STEPS_MAX; i++)
        program_put_any(&p, CLASS_ANY);
    ck_assert(!p.overflowed);
    program_close(&p, program_open(&p, (struct step){.kind = STEP_GROUP}));
    ck_assert(p.overflowed);

    char text[PROGRAM_TEXT_MAX] = {0};
    p = (struct program){0};
    program_put_text(&p, (struct slice){text, sizeof text});
    ck_assert(!p.overflowed);
    program_put_text(&p, S("x"));
    ck_assert(p.overflowed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("program");
    TCase *tests = one_case(suite, "program");
    tcase_add_test(tests, it_matches_like_the_model);
    tcase_add_test(tests, runs_of_a_class_cross_words);
    tcase_add_test(tests, texts_become_one_step_within_a_group_only);
    tcase_add_test(tests, a_program_that_is_too_long_says_so);
    return run_suite(suite);
}
