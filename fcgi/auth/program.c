#include "auth/program.h"

#include "base/hex.h"
#include "base/must.h"

#define BIT(name) (1u << CLASS_##name)
#define ALL_TEMPLATE (BIT(VALUE) | ALL_EXPLODED)
#define ALL_EXPLODED                                                                               \
    (BIT(EXPLODED) | BIT(EXPLODED_SLASH) | BIT(EXPLODED_SEMI) | BIT(EXPLODED_AND) | BIT(RESERVED))

/* --- writing --- */

static struct step *put_step(struct program *p, struct step step)
{
    if (p->count == PROGRAM_STEPS_MAX) {
        p->overflowed = true;
        return NULL;
    }

    p->steps[p->count] = step;
    return &p->steps[p->count++];
}

void program_put_text(struct program *p, struct slice text)
{
    if (!text.len)
        return;
    if (text.len > PROGRAM_TEXT_MAX - p->text_len) {
        p->overflowed = true;
        return;
    }

    struct step *last = p->count > p->mark ? &p->steps[p->count - 1] : NULL;
    if (last && last->kind == STEP_TEXT)
        last->len = (uint16_t)(last->len + text.len);
    else
        put_step(p, (struct step){.kind = STEP_TEXT, .at = p->text_len, .len = (uint16_t)text.len});
    memcpy(p->text + p->text_len, text.data, text.len);
    p->text_len = (uint16_t)(p->text_len + text.len);
}

void program_put_any(struct program *p, enum char_class class)
{
    put_step(p, (struct step){.kind = STEP_CLASS, .class = (uint8_t) class});
}

void program_put_some(struct program *p, enum char_class class)
{
    put_step(p, (struct step){.kind = STEP_CLASS, .class = (uint8_t) class, .some = true});
}

size_t program_mark(struct program *p)
{
    return p->mark = p->count;
}

size_t program_open(struct program *p, struct step step)
{
    size_t place = p->count;
    put_step(p, step);
    program_mark(p);
    return place;
}

void program_close(struct program *p, size_t place)
{
    if (p->overflowed)
        return;

    MUST(place < p->count);
    p->steps[place].len = (uint16_t)(p->count - place - 1);
    program_mark(p);
}

struct slice program_prefix(const struct step *steps, size_t from, size_t end, const char *text)
{
    struct slice prefix = {text, 0};
    for (size_t i = from; i < end && steps[i].kind == STEP_TEXT; i++) {
        if (!prefix.len)
            prefix.data = text + steps[i].at;
        MUST(prefix.data + prefix.len == text + steps[i].at);
        prefix.len += steps[i].len;
    }
    return prefix;
}

/* --- sets of places --- */

static void add_place(struct places *s, size_t at)
{
    s->words[at / 64] |= UINT64_C(1) << (at % 64);
}

static bool has_place(const struct places *s, size_t at)
{
    return s->words[at / 64] >> (at % 64) & 1;
}

static bool is_none(const struct places *s)
{
    uint64_t all = 0;
    for (size_t i = 0; i < PLACES_WORDS; i++)
        all |= s->words[i];
    return all == 0;
}

static struct places either(struct places a, struct places b)
{
    for (size_t i = 0; i < PLACES_WORDS; i++)
        a.words[i] |= b.words[i];
    return a;
}

static bool same(const struct places *a, const struct places *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The places behind each byte that is in `of` and at a place of s. */
static struct places pass(struct places s, const struct places *of)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < PLACES_WORDS; i++) {
        uint64_t moved = s.words[i] & of->words[i];
        s.words[i] = moved << 1 | carry;
        carry = moved >> 63;
    }
    return s;
}

/* The places of s, and those behind any number of bytes of the class. A run of the class is a run
 * of ones in `of`: adding a one at a place within it carries to its end, and changes what is
 * between. */
static struct places pass_all(struct places s, const struct places *of)
{
    unsigned long long carry = 0;
    for (size_t i = 0; i < PLACES_WORDS; i++) {
        unsigned long long begin = s.words[i] & of->words[i], sum, more;
        bool over = __builtin_uaddll_overflow(begin, of->words[i], &sum);
        over |= __builtin_uaddll_overflow(sum, carry, &more);
        carry = over;
        s.words[i] |= more ^ of->words[i];
    }
    return s;
}

/* --- views --- */

static bool is_alphanumeric(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static unsigned template_classes(unsigned char c)
{
    if (is_alphanumeric(c))
        return ALL_TEMPLATE;
    switch (c) {
    case '-':
    case '.':
    case '_':
    case '~':
    case ',':
        return ALL_TEMPLATE;
    case '=':
        return ALL_EXPLODED;
    case '/':
        return BIT(EXPLODED_SLASH) | BIT(RESERVED);
    case ';':
        return BIT(EXPLODED_SEMI) | BIT(RESERVED);
    case '&':
        return BIT(EXPLODED_AND) | BIT(RESERVED);
    default:
        return c && strchr(":?#[]@!$'()*+", c) ? BIT(RESERVED) : 0;
    }
}

static unsigned url_classes(unsigned char c)
{
    switch (c) {
    case '#':
        return BIT(ANY);
    case '?':
        return BIT(ANY) | BIT(SEARCH);
    case '/':
        return BIT(ANY) | BIT(SEARCH) | BIT(PATH);
    case ':':
    case '@':
        return BIT(ANY) | BIT(SEARCH) | BIT(PATH) | BIT(SEGMENT);
    default:
        break;
    }

    unsigned all = BIT(ANY) | BIT(SEARCH) | BIT(PATH) | BIT(SEGMENT) | BIT(HOST);
    if (c != '.')
        all |= BIT(LABEL);
    if (c >= '0' && c <= '9')
        all |= BIT(PORT);
    if (is_alphanumeric(c) || c == '+' || c == '-' || c == '.')
        all |= BIT(SCHEME);
    return all;
}

static void add_to_classes(struct text_view *v, unsigned classes, size_t at)
{
    for (; classes; classes &= classes - 1)
        add_place(&v->classes[__builtin_ctz(classes)], at);
}

void text_view_make(struct text_view *v, struct slice text)
{
    MUST(text.len <= NAME_BYTES_MAX);
    memset(v, 0, sizeof *v);
    v->len = text.len;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        add_place(&v->bytes[c], i);
        add_to_classes(v, template_classes(c) | url_classes(c), i);
        if (hex_escape(text.data + i, text.data + text.len) < 0)
            continue;
        add_to_classes(v, ALL_TEMPLATE, i);
        add_place(&v->inside, i + 1);
        add_place(&v->inside, i + 2);
    }
}

/* --- running --- */

static struct places program_run(const struct text_view *v, const struct step *steps, size_t from,
                                 size_t end, const char *text, struct places s);

static struct places run_text(const struct text_view *v, const struct step *step, const char *text,
                              struct places s)
{
    for (size_t i = 0; i < step->len && !is_none(&s); i++)
        s = pass(s, &v->bytes[(unsigned char)text[step->at + i]]);
    return s;
}

static struct places run_class(const struct text_view *v, const struct step *step, struct places s)
{
    const struct places *of = &v->classes[step->class];
    if (step->some)
        s = pass(s, of);
    s = pass_all(s, of);

    for (size_t i = 0; step->class <= CLASS_RESERVED && i < PLACES_WORDS; i++)
        s.words[i] &= ~v->inside.words[i];
    return s;
}

/* Each time but the last adds a place that was not reached before. */
static struct places run_group(const struct text_view *v, const struct step *steps, size_t at,
                               const char *text, struct places s)
{
    size_t end = at + 1 + steps[at].len;
    struct places once = program_run(v, steps, at + 1, end, text, s), all = once;
    bool again = steps[at].repeat == ANY_NUMBER || steps[at].repeat == AT_LEAST_ONCE;

    while (again && !is_none(&once)) {
        once = program_run(v, steps, at + 1, end, text, once);
        struct places more = either(all, once);
        again = !same(&more, &all);
        all = more;
    }

    bool optional = steps[at].repeat == AT_MOST_ONCE || steps[at].repeat == ANY_NUMBER;
    return optional ? either(all, s) : all;
}

static struct places run_list(const struct text_view *v, const struct step *steps, size_t at,
                              const char *text, struct places s)
{
    const struct step *list = &steps[at];
    struct places some = {{0}};
    struct places begin = list->first ? pass(s, &v->bytes[(unsigned char)list->first]) : s;

    for (size_t i = at + 1; i < at + 1 + list->len; i += 1 + steps[i].len) {
        MUST(steps[i].kind == STEP_VARIABLE);
        struct places next = either(begin, pass(some, &v->bytes[(unsigned char)list->separator]));
        some = either(some, program_run(v, steps, i + 1, i + 1 + steps[i].len, text, next));
    }
    return either(s, some);
}

/* Steps nest to a depth of three at most: a list, a variable, an optional value. */
static struct places program_run(const struct text_view *v, const struct step *steps, size_t from,
                                 size_t end, const char *text, struct places s)
{
    size_t i = from;
    while (i < end && !is_none(&s)) {
        const struct step *step = &steps[i];
        MUST(i + 1 + (step->kind == STEP_TEXT || step->kind == STEP_CLASS ? 0u : step->len) <= end);
        switch ((enum step_kind)step->kind) {
        case STEP_TEXT:
            s = run_text(v, step, text, s);
            i++;
            break;
        case STEP_CLASS:
            s = run_class(v, step, s);
            i++;
            break;
        case STEP_GROUP:
            s = run_group(v, steps, i, text, s);
            i += 1u + step->len;
            break;
        case STEP_LIST:
            s = run_list(v, steps, i, text, s);
            i += 1u + step->len;
            break;
        case STEP_VARIABLE:
            MUST(step->kind != STEP_VARIABLE); /* only in a list */
        }
    }
    return s;
}

bool text_view_matches_from(const struct text_view *v, size_t place, const struct step *steps,
                            size_t from, size_t end, const char *text)
{
    struct places s = {{0}};
    MUST(place <= v->len);
    add_place(&s, place);
    s = program_run(v, steps, from, end, text, s);
    return has_place(&s, v->len);
}

bool text_view_matches(const struct text_view *v, const struct step *steps, size_t from, size_t end,
                       const char *text)
{
    return text_view_matches_from(v, 0, steps, from, end, text);
}
