/* hex.h - hexadecimal digits, and the escapes of URLs that are made of them (%41). */
#ifndef SSECAST_HEX_H
#define SSECAST_HEX_H

/* The digit's value, 0 to 15; -1: c is no hexadecimal digit. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of the escape that begins at `at`, which is before end: 0 to 255. -1: no escape begins
 * there. */
static inline int hex_escape(const char *at, const char *end)
{
    if (*at != '%' || end - at < 3 || hex_digit(at[1]) < 0 || hex_digit(at[2]) < 0)
        return -1;
    return hex_digit(at[1]) * 16 + hex_digit(at[2]);
}

#endif
