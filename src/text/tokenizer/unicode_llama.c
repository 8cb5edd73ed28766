/* unicode_llama.c: llama.cpp's view of characters. The general categories are utf8proc's (Unicode 15.0) and the few
 * that came with 15.1; those of single letters stand for whole groups. */
#include "unicode_llama.h"

#include "character_sets.h"
#include "passage.h"

#include <utf8proc.h>

static utf8proc_category_t category_of(uint32_t c)
{
    if (c >= 0x2EBF0 && c <= 0x2EE5D)
        return UTF8PROC_CATEGORY_LO;
    if ((c >= 0x2FFC && c <= 0x2FFF) || c == 0x31EF)
        return UTF8PROC_CATEGORY_SO;
    return utf8proc_category((utf8proc_int32_t)c);
}

llama_group llama_group_of(uint32_t c)
{
    if (character_is_space(c))
        return LLAMA_BLANK;
    switch (category_of(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LLAMA_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return LLAMA_NUMBER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return LLAMA_MARK;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return LLAMA_PUNCTUATION;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return LLAMA_SYMBOL;
    case UTF8PROC_CATEGORY_CN:
        return LLAMA_UNASSIGNED;
    default:
        return LLAMA_CONTROL;
    }
}

/* ---- Stand-ins */

static bool is_ideograph(uint32_t c)
{
    static const character_range ranges[] = {
        { 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },
        { 0x20000, 0x2A6DF }, { 0x2A700, 0x2EBEF }, { 0x2F800, 0x2FA1F },
    };
    return character_range_of(c, ranges, sizeof ranges / sizeof *ranges, sizeof *ranges) != NULL;
}

uint32_t llama_stand_in(uint32_t c)
{
    /* Of two, three and four bytes. No blank has four. */
    static const uint32_t plain[][3] = {
        [LLAMA_LETTER] = { 0xAA, 0xE01, 0x10380 },      [LLAMA_NUMBER] = { 0xBD, 0x2160, 0x10107 },
        [LLAMA_MARK] = { 0x300, 0x302A, 0x10A01 },      [LLAMA_PUNCTUATION] = { 0xBF, 0xA874, 0x10100 },
        [LLAMA_SYMBOL] = { 0xA9, 0x2800, 0x1D100 },     [LLAMA_CONTROL] = { 0xAD, 0xE000, 0xF0000 },
        [LLAMA_UNASSIGNED] = { 0xAD, 0xE000, 0xF0000 }, [LLAMA_BLANK] = { 0xA0, 0x2003, 0 },
    };
    static const uint32_t ideographs[][3] = { { 0, 0x4E00, 0x20000 }, { 0, 0xFAFF, 0x2FA1F } };
    if (c < 0x80)
        return c;
    int length = c < 0x800 ? 0 : c < 0x10000 ? 1 : 2;
    llama_group g = llama_group_of(c);
    return is_ideograph(c) ? ideographs[g != LLAMA_LETTER][length] : plain[g][length];
}

/* ---- For BERT's words */

bool llama_stands_alone(uint32_t c)
{
    llama_group g = llama_group_of(c);
    return g == LLAMA_PUNCTUATION || (g == LLAMA_SYMBOL && c < 0x7F) || character_is_chinese(c);
}

uint32_t llama_base(uint32_t c)
{
    utf8proc_int32_t parts[32];
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 32, UTF8PROC_DECOMPOSE, NULL);
    return n > 0 ? (uint32_t)parts[0] : c;
}

uint32_t llama_lower(uint32_t c)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}
