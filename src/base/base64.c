/* base64.c: base64, read strictly: whole groups of four, padding only at the end, no blanks. */
#include "base64.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool buf_from_base64(buf *b, slice text)
{
    if (text.n % 4)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    for (size_t at = 0; at < text.n; at += 4) {
        size_t given = at + 4 == text.n ? 4 - padding : 4;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int value = i < given ? value_of(text.p[at + i]) : 0;
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        for (size_t i = 0; i + 1 < given; i++)
            buf_char(b, (char)(bits >> (16 - 8 * i)));
    }
    return true;
}

void buf_to_base64(buf *b, slice bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < bytes.n; at += 3) {
        size_t given = bytes.n - at < 3 ? bytes.n - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < given ? (uint8_t)bytes.p[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            buf_char(b, i <= given ? letters[bits >> (18 - 6 * i) & 63] : '=');
    }
}
