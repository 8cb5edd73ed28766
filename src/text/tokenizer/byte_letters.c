/* byte_letters.c: GPT-2's byte alphabet (openai/gpt-2, encoder.py, bytes_to_unicode): the 188 bytes that are printable
 * in Latin-1 stand for themselves, the other 68 get U+0100, U+0101 ... in order. */
#include "tokenizer_parts.h"

static bool is_printable(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

/* The unprintable bytes are 00-20, 7F-A0 and AD: 33, 34 and 1 of them. */
uint32_t byte_letter(uint8_t byte)
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

int passage_add_letters(passage *p, const passage *from, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        uint32_t c = byte_letter((uint8_t)from->text.p[i]);
        char bytes[2] = { (char)c };
        if (c >= 0x80) {
            bytes[0] = (char)(0xC0 | c >> 6);
            bytes[1] = (char)(0x80 | (c & 0x3F));
        }
        TRY(passage_add_bytes(p, bytes, c < 0x80 ? 1 : 2, from->text.begin[i], from->text.end[i]));
    }
    return LORAC_OK;
}
