#include "http/form.h"

#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/must.h"

bool form_type(const char *content_type)
{
    static const char type[] = "application/x-www-form-urlencoded";
    size_t len = content_type ? strcspn(content_type, "; \t") : 0;
    return len == sizeof type - 1 && strncasecmp(content_type, type, len) == 0;
}

struct form form_open(char *text, size_t len)
{
    return (struct form){text, len ? text + len : text};
}

/* Decode begin up to end in place: the result is never longer. */
static struct slice decode(char *begin, const char *end)
{
    char *out = begin;
    for (const char *at = begin; at < end; at++) {
        int escaped = hex_escape(at, end);
        char c = *at == '+' ? ' ' : *at;
        if (escaped >= 0) {
            c = (char)escaped;
            at += 2;
        }
        MUST(out <= at);
        *out++ = c;
    }
    return (struct slice){begin, (size_t)(out - begin)};
}

bool form_next(struct form *form, struct form_field *field)
{
    while (form->at < form->end && *form->at == '&')
        form->at++;
    if (form->at == form->end)
        return false;

    size_t left = (size_t)(form->end - form->at);
    char *begin = form->at, *stop = memchr(begin, '&', left);
    stop = stop ? stop : form->end;
    char *equals = memchr(begin, '=', (size_t)(stop - begin));
    char *value = equals ? equals + 1 : stop;

    form->at = stop;
    field->name = decode(begin, equals ? equals : stop);
    field->value = decode(value, stop);
    return true;
}
