#include "base/base64.h"

#include <sodium.h>

#define URL_FORM sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define PLAIN_FORM sodium_base64_VARIANT_ORIGINAL_NO_PADDING

/* libsodium takes a byte above 127 for the last digit. */
static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > 127)
            return false;
    return true;
}

size_t base64_decode(enum base64_alphabet alphabet, struct slice text, void *out, size_t max)
{
    size_t len = 0;
    while (alphabet == BASE64_PLAIN && text.len > 0 && text.data[text.len - 1] == '=')
        text.len--;
    if (text.len == 0 || !is_ascii(text))
        return 0;

    int form = alphabet == BASE64_URL ? URL_FORM : PLAIN_FORM;
    if (sodium_base642bin(out, max, text.data, text.len, NULL, &len, NULL, form) != 0)
        return 0;
    return len;
}

char *base64_encode(enum base64_alphabet alphabet, struct slice bytes, char *out)
{
    int form = alphabet == BASE64_URL ? URL_FORM : sodium_base64_VARIANT_ORIGINAL;
    size_t room = sodium_base64_encoded_len(bytes.len, form);
    return sodium_bin2base64(out, room, (const unsigned char *)(bytes.len ? bytes.data : ""),
                             bytes.len, form);
}
