#include "lib/json_text.h"

#include "base/name.h"
#include "codec/json_lex.h"

struct json_text_scan {
    struct json_lexer lex;
    int depth;
};

static bool value(struct json_text_scan *s);

static bool string(struct json_text_scan *s)
{
    struct slice inside;
    bool escaped;
    return json_lex_string(&s->lex, true, &inside, &escaped);
}

static bool member(struct json_text_scan *s)
{
    json_lex_space(&s->lex);
    if (s->lex.p == s->lex.end || *s->lex.p != '"' || !string(s))
        return false;
    json_lex_space(&s->lex);
    return json_lex_take(&s->lex, ':') && value(s);
}

/* What follows the opening bracket, up to the closing one. */
static bool items(struct json_text_scan *s, bool (*item)(struct json_text_scan *s), char closing)
{
    json_lex_space(&s->lex);
    if (json_lex_take(&s->lex, closing))
        return true;
    if (++s->depth > JSON_TEXT_DEPTH)
        return false;
    do
        if (!item(s))
            return false;
    while (json_lex_take(&s->lex, ','));
    s->depth--;
    return json_lex_take(&s->lex, closing);
}

static bool value_alone(struct json_text_scan *s)
{
    if (json_lex_take(&s->lex, '{'))
        return items(s, member, '}');
    if (json_lex_take(&s->lex, '['))
        return items(s, value, ']');
    if (s->lex.p < s->lex.end && *s->lex.p == '"')
        return string(s);
    return json_lex_scalar(&s->lex);
}

/* With the white space around it. */
static bool value(struct json_text_scan *s)
{
    json_lex_space(&s->lex);
    bool good = value_alone(s);
    json_lex_space(&s->lex);
    return good;
}

bool json_text_valid(struct slice text)
{
    struct json_text_scan s = {.lex = {.p = text.data, .end = text.data + text.len}};
    return text.len > 0 && value(&s) && s.lex.p == s.lex.end;
}
