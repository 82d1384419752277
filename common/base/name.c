#include "base/name.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/must.h"

static bool in(unsigned char byte, unsigned low, unsigned high)
{
    return byte >= low && byte <= high;
}

/* The Unicode Standard, table 3-7: the length of the sequence that begins with this byte (0: none
 * does), and the range of the second byte, which is smaller after some first bytes. */
static size_t utf8_length(unsigned char first)
{
    if (in(first, 0xc2, 0xdf))
        return 2;
    if (in(first, 0xe0, 0xef))
        return 3;
    return in(first, 0xf0, 0xf4) ? 4 : 0;
}

static unsigned utf8_lowest(unsigned char first)
{
    if (first == 0xe0)
        return 0xa0;
    return first == 0xf0 ? 0x90 : 0x80;
}

static unsigned utf8_highest(unsigned char first)
{
    if (first == 0xed)
        return 0x9f;
    return first == 0xf4 ? 0x8f : 0xbf;
}

size_t http_token_len(const char *text)
{
    size_t len = 0;
    while (isalnum((unsigned char)text[len]) || (text[len] && strchr("!#$%&'*+-.^_`|~", text[len])))
        len++;
    return len;
}

bool cookie_name_valid(const char *name)
{
    size_t len = 0;
    while ((unsigned char)name[len] > ' ' && name[len] != 0x7f && !strchr("=,;\"", name[len]))
        len++;
    return len && !name[len];
}

size_t utf8_sequence(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    if (p[0] < 0x80)
        return 1;

    size_t len = utf8_length(p[0]);
    if (!len || text.len < len || !in(p[1], utf8_lowest(p[0]), utf8_highest(p[0])))
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!in(p[i], 0x80, 0xbf))
            return 0;
    return len;
}

bool utf8_valid(struct slice text)
{
    while (text.len > 0) {
        size_t len = utf8_sequence(text);
        if (len == 0)
            return false;
        text = (struct slice){text.data + len, text.len - len};
    }
    return true;
}

/* 1 to NAME_BYTES_MAX bytes of UTF-8 without control characters, but maybe tabs. */
static bool is_plain(struct slice text, bool tabs)
{
    if (text.len == 0 || text.len > NAME_BYTES_MAX)
        return false;
    while (text.len) {
        size_t len = utf8_sequence(text);
        unsigned char first = (unsigned char)text.data[0];
        bool control = first < 0x20 || first == 0x7f;
        if (!len || (control && !(tabs && first == '\t')))
            return false;
        text = (struct slice){text.data + len, text.len - len};
    }
    return true;
}

bool name_valid(struct slice name)
{
    return is_plain(name, false);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool cursor_valid(struct slice text)
{
    return is_plain(text, true) && !is_blank(text.data[0]) && !is_blank(text.data[text.len - 1]);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Could text be taken for a seq, or for the list of them that a web server makes of two headers?
 * It is not empty. */
static bool like_number(struct slice text)
{
    size_t digits = 0;
    if (text.data[0] == '+' || text.data[0] == '-')
        return text.len > 1 && is_digit(text.data[1]);

    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]) && !is_blank(text.data[i]) && text.data[i] != ',')
            return false;
        digits += is_digit(text.data[i]);
    }
    return digits > 0;
}

bool own_id_valid(struct slice id)
{
    return cursor_valid(id) && !like_number(id);
}

bool key_name_valid(struct slice name)
{
    return name_valid(name) && !memchr(name.data, ' ', name.len) &&
           !memchr(name.data, '=', name.len);
}

/* C1 controls are two bytes in UTF-8, and terminals obey some. */
bool utf8_harmless(const char *sequence, size_t len)
{
    const unsigned char *u = (const unsigned char *)sequence;
    if (len == 1)
        return u[0] >= 0x20 && u[0] != 0x7f;
    if (len == 2)
        return u[0] != 0xc2 || u[1] >= 0xa0;
    if (len == 3 && u[0] == 0xe2 && u[1] == 0x80)
        return u[2] < 0x8e || (u[2] > 0x8f && (u[2] < 0xa8 || u[2] > 0xae));
    return len != 3 || u[0] != 0xe2 || u[1] != 0x81 || u[2] < 0xa6 || u[2] > 0xa9;
}

/* --- characters without a shape of their own --- */

/* Code points from first to last. Lists of them are in order. */
struct points {
    uint32_t first, last;
};

/* C1, and the category Cf of Unicode. */
static const struct points invisible[] = {
    {0x80, 0x9f},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
    {0x180e, 0x180e},   {0x200b, 0x200f},   {0x202a, 0x202e},   {0x2060, 0x2064},
    {0x2066, 0x206f},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0xe0001, 0xe0001}, {0xe0020, 0xe007f},
};

/* East Asian characters and symbols of double width: the blocks, not each exception in them. */
static const struct points wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},
    {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
    {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* Marks that stand on the character before. */
static const struct points marks[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},
    {0x64b, 0x65f},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},
    {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

#define POINTS(list) (sizeof(list) / sizeof *(list))

static bool is_among(const struct points *list, size_t count, uint32_t point)
{
    size_t i = 0;
    while (i < count && list[i].last < point)
        i++;
    return i < count && point >= list[i].first;
}

static uint32_t code_point(const char *sequence, size_t len)
{
    static const unsigned char length_bits[] = {0, 0, 0xc0, 0xe0, 0xf0};
    MUST(len > 0 && len < sizeof length_bits);
    uint32_t point = (unsigned char)sequence[0] ^ length_bits[len];
    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char)sequence[i] & 0x3f);
    return point;
}

bool utf8_visible(struct slice text)
{
    while (text.len) {
        size_t len = utf8_sequence(text);
        if (!len || is_among(invisible, POINTS(invisible), code_point(text.data, len)))
            return false;
        text = (struct slice){text.data + len, text.len - len};
    }
    return true;
}

size_t utf8_columns(const char *sequence, size_t len)
{
    uint32_t point = code_point(sequence, len);
    if (point < 0x300)
        return 1;
    if (is_among(marks, POINTS(marks), point))
        return 0;
    return is_among(wide, POINTS(wide), point) ? 2 : 1;
}
