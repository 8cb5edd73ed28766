/* byte_letters.c: GPT-2's byte alphabet (openai/gpt-2, encoder.py, bytes_to_unicode): the 188 bytes that are printable
 * in Latin-1 stand for themselves, the other 68 get U+0100, U+0101 ... in order. */
#include "tokenizer_parts.h"

static bool is_printable(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

/* The unprintable bytes are 00-20, 7F-A0 and AD: 33, 34 and 1 of them. */
static uint32_t byte_letter(uint8_t byte)
{
    if (is_printable(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100u + byte;
    return byte == 0xAD ? 0x143 : 0x121u + (byte - 0x7Fu);
}

int byte_of_letter(uint32_t c)
{
    if (c <= 0xFF)
        return is_printable(c) ? (int)c : -1;
    if (c <= 0x120)
        return (int)(c - 0x100);
    if (c <= 0x142)
        return (int)(c - 0x121 + 0x7F);
    return c == 0x143 ? 0xAD : -1;
}

int passage_write_letters(passage *p, const passage *from, const span *s)
{
    size_t start = p->text.n;
    for (size_t i = s->begin; i < s->end; i++) {
        char bytes[4];
        size_t n = utf8_put(byte_letter((uint8_t)from->text.p[i]), bytes);
        TRY(passage_add_bytes(p, bytes, n, from->text.begin[i], from->text.end[i]));
    }
    return passage_add_span(p, start, p->text.n, -1);
}
