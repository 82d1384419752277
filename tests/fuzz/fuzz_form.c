/* A form that a publisher sent. Fields come in order, decoded in place, within the text; no byte
 * beyond it is looked at.
 *
 * Input: the form. */
#include "fuzz.h"
#include "http/form.h"

static void is_within(struct slice part, const char *text, size_t size)
{
    must(part.data >= text && part.data + part.len <= text + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = exact_copy((struct slice){(const char *)data, size});
    struct form form = form_open(text, size);
    struct form_field field;
    size_t bytes = 0;
    const char *last = text;

    while (form_next(&form, &field)) {
        is_within(field.name, text, size);
        is_within(field.value, text, size);
        must(field.name.data >= last && field.value.data >= field.name.data + field.name.len);
        last = field.value.data + field.value.len;
        bytes += field.name.len + field.value.len;
    }

    must(bytes <= size && form.at == form.end);
    free(text);
    return 0;
}
