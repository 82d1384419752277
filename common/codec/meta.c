/* The first byte is the text's length, or says which kind of address follows. */
#include "codec/meta.h"

#include <arpa/inet.h>
#include <ctype.h>

enum { PACKED_IPV4 = 254, PACKED_IPV6 = 255 };

/* True when text is the canonical form of the packed address, so that nothing is lost. */
static bool unpacks_to(int family, const void *packed, struct slice text)
{
    char again[INET6_ADDRSTRLEN];
    return inet_ntop(family, packed, again, sizeof again) && slice_equal(slice_of(again), text);
}

static size_t pack_address(struct slice value, char *out)
{
    char text[INET6_ADDRSTRLEN];
    if (value.len >= sizeof text)
        return 0;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    int family = memchr(text, ':', value.len) ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, out + 1) != 1 || !unpacks_to(family, out + 1, value))
        return 0;
    *out = (char)(family == AF_INET6 ? PACKED_IPV6 : PACKED_IPV4);
    return family == AF_INET6 ? 17 : 5;
}

/* The number of bytes that fit, in whole characters. */
static size_t fitting(struct slice text)
{
    if (text.len <= META_VALUE_MAX)
        return text.len;
    size_t len = META_VALUE_MAX;
    while (len > META_VALUE_MAX - 3 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--;
    return len;
}

size_t meta_pack(struct slice value, char *out)
{
    size_t len = value.len ? pack_address(value, out) : 0;
    if (len)
        return len;
    len = fitting(value);
    *out = (char)len;
    if (len)
        memcpy(out + 1, value.data, len);
    return 1 + len;
}

/* The bytes that follow the first. */
static size_t length_behind(unsigned char first)
{
    if (first == PACKED_IPV4)
        return 4;
    return first == PACKED_IPV6 ? 16 : first;
}

bool meta_valid(struct slice packed)
{
    size_t count = 0;
    while (packed.len) {
        unsigned char first = (unsigned char)*packed.data;
        size_t len = 1 + length_behind(first);
        bool known = first <= META_VALUE_MAX || first >= PACKED_IPV4;
        if (!known || len > packed.len || ++count > META_MAX)
            return false;
        packed = (struct slice){packed.data + len, packed.len - len};
    }
    return true;
}

bool meta_next(struct slice *packed, char text[META_VALUE_MAX], struct slice *value)
{
    if (!packed->len)
        return false;
    unsigned char first = (unsigned char)*packed->data;
    const char *bytes = packed->data + 1;
    size_t len = length_behind(first);
    *packed = (struct slice){bytes + len, packed->len - 1 - len};
    if (first <= META_VALUE_MAX) {
        *value = (struct slice){bytes, len};
        return true;
    }
    inet_ntop(first == PACKED_IPV6 ? AF_INET6 : AF_INET, bytes, text, META_VALUE_MAX);
    *value = slice_of(text);
    return true;
}

static bool plain(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

bool meta_label_valid(struct slice label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!plain(label.data[i]))
            return false;
    return label.len > 0 && label.len <= META_LABEL_MAX;
}
