#include "auth/uri_template.h"

#include "base/hex.h"
#include "base/must.h"

struct operator
{
    char sign;
    char first, separator;
    bool named;       /* a value stands behind its name and = */
    bool bare;        /* an empty value stands without = */
    uint8_t class;    /* of values */
    uint8_t exploded; /* of lists and maps whose items stand apart */
};

static const struct operator operators[] = {
    {'\0', '\0', ',', false, false, CLASS_VALUE, CLASS_EXPLODED},
    {'+', '\0', ',', false, false, CLASS_RESERVED, CLASS_RESERVED},
    {'#', '#', ',', false, false, CLASS_RESERVED, CLASS_RESERVED},
    {'.', '.', '.', false, false, CLASS_VALUE, CLASS_EXPLODED},
    {'/', '/', '/', false, false, CLASS_VALUE, CLASS_EXPLODED_SLASH},
    {';', ';', ';', true, true, CLASS_VALUE, CLASS_EXPLODED_SEMI},
    {'?', '?', '&', true, false, CLASS_VALUE, CLASS_EXPLODED_AND},
    {'&', '&', '&', true, false, CLASS_VALUE, CLASS_EXPLODED_AND},
};

/* The one that an expression begins with, else that of simple expansion. */
static const struct operator* find_operator(char sign)
{
    for (size_t i = 1; i < sizeof operators / sizeof operators[0]; i++)
        if (operators[i].sign == sign)
            return &operators[i];
    return &operators[0];
}

static bool is_escape(struct slice text, size_t at)
{
    return at < text.len && hex_escape(text.data + at, text.data + text.len) >= 0;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The length of the name at the beginning of text: parts with dots between them. */
static size_t name_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len) {
        bool dot = text.data[len] == '.' && len && text.data[len - 1] != '.';
        if (is_escape(text, len))
            len += 3;
        else if (dot || is_name_char(text.data[len]))
            len++;
        else
            break;
    }
    return len && text.data[len - 1] == '.' ? len - 1 : len;
}

static void put_variable(struct program *p, const struct operator* op, struct slice name,
                         bool exploded)
{
    size_t place = program_open(p, (struct step){.kind = STEP_VARIABLE});
    if (exploded) { /* the names of a map's items are not known */
        program_put_any(p, op->exploded);
    } else if (op->named) {
        program_put_text(p, name);
        size_t value =
            op->bare ? program_open(p, (struct step){.kind = STEP_GROUP, .repeat = AT_MOST_ONCE})
                     : 0;
        program_put_text(p, slice_of("="));
        program_put_any(p, op->class);
        if (op->bare)
            program_close(p, value);
    } else {
        program_put_any(p, op->class);
    }
    program_close(p, place);
}

/* The variables of an expression. NULL, or what is wrong; *at moves on. */
static const char *read_variables(struct slice inner, const struct operator* op, struct program *p,
                                  size_t *at)
{
    for (;; ++*at) {
        struct slice name = {inner.data + *at,
                             name_length((struct slice){inner.data + *at, inner.len - *at})};
        if (!name.len)
            return *at ? "a variable has no valid name" : "an expression has no valid name";

        *at += name.len;
        bool exploded = *at < inner.len && inner.data[*at] == '*';
        put_variable(p, op, name, exploded);
        *at += exploded;
        if (*at == inner.len)
            return NULL;
        if (inner.data[*at] == ':')
            return "prefix modifiers ({name:3}) are not supported";
        if (inner.data[*at] != ',')
            return "a variable has no valid name";
    }
}

/* What is between braces. */
static const char *read_expression(struct slice inner, struct program *p, size_t *at)
{
    const struct operator* op = find_operator(inner.len ? inner.data[0] : '\0');
    size_t sign = op->sign ? 1 : 0, place, read = 0;
    if (inner.len && strchr("=,!@|", inner.data[0]))
        return "this operator is reserved";

    place = program_open(
        p, (struct step){.kind = STEP_LIST, .first = op->first, .separator = op->separator});
    const char *fault =
        read_variables((struct slice){inner.data + sign, inner.len - sign}, op, p, &read);
    program_close(p, place);
    *at += sign + read;
    return fault;
}

/* Text up to the next expression. */
static const char *read_text(struct slice text, struct program *p, size_t *at)
{
    size_t begin = *at;
    for (; *at < text.len && text.data[*at] != '{'; ++*at) {
        if (text.data[*at] == '}')
            return "a } closes nothing";
        if (text.data[*at] == '%' && !is_escape(text, *at))
            return "a % begins no escape";
    }
    program_put_text(p, (struct slice){text.data + begin, *at - begin});
    return NULL;
}

const char *uri_template_read(struct slice text, struct program *p, size_t *at)
{
    const char *fault = NULL;
    *at = 0;
    while (!fault && *at < text.len) {
        if (text.data[*at] != '{') {
            fault = read_text(text, p, at);
            continue;
        }

        const char *end = memchr(text.data + *at, '}', text.len - *at);
        if (!end)
            return "a { is not closed";
        size_t inner = *at + 1, len = (size_t)(end - text.data) - inner;
        *at = inner;
        fault = read_expression((struct slice){text.data + inner, len}, p, at);
        if (!fault)
            *at = inner + len + 1;
    }
    MUST(fault || *at == text.len);
    return fault;
}
