/* unicode_later.c: characters newer than the Unicode tables of the libraries we look them up in (Debian 12: PCRE2 has
 * Unicode 14, utf8proc 15), and how the tokenizers we agree with see them: Hugging Face's expressions know Unicode 16,
 * its lower case and digits 17, its normal forms only 9. The tables were made by comparing all characters. */
#include "character_sets.h"
#include "passage.h"

#include <utf8proc.h>

/* ---- Categories: an older character of the same category and the same number of bytes stands in for a newer one. */

enum {
    MARK_3 = 0x302A,
    PUNCTUATION_3 = 0xA874,
    UPPER_3 = 0xA640,
    LOWER_3 = 0xA641,
    SYMBOL_3 = 0x2800,
    FORMAT_3 = 0x2060,
    MARK_4 = 0x10A01,
    PUNCTUATION_4 = 0x10100,
    UPPER_4 = 0x10400,
    LOWER_4 = 0x10428,
    LETTER_4 = 0x10380,
    MODIFIER_4 = 0x16B40,
    DIGIT_4 = 0x104A0,
    NUMBER_4 = 0x10107,
    SYMBOL_4 = 0x1D100
};

/* U+180E was a blank once; PCRE2 still takes it for one. */
static const struct later {
    uint32_t first, last, stand_in;
} later[] = {
    { 0x897, 0x897, MARK_3 },
    { 0xCF3, 0xCF3, MARK_3 },
    { 0xECE, 0xECE, MARK_3 },
    { 0x180E, 0x180E, FORMAT_3 },
    { 0x1B4E, 0x1B4F, PUNCTUATION_3 },
    { 0x1B7F, 0x1B7F, PUNCTUATION_3 },
    { 0x1C89, 0x1C89, UPPER_3 },
    { 0x1C8A, 0x1C8A, LOWER_3 },
    { 0x2427, 0x2429, SYMBOL_3 },
    { 0x2FFC, 0x2FFF, SYMBOL_3 },
    { 0x31E4, 0x31E5, SYMBOL_3 },
    { 0x31EF, 0x31EF, SYMBOL_3 },
    { 0xA7CB, 0xA7CC, UPPER_3 },
    { 0xA7CD, 0xA7CD, LOWER_3 },
    { 0xA7DA, 0xA7DA, UPPER_3 },
    { 0xA7DB, 0xA7DB, LOWER_3 },
    { 0xA7DC, 0xA7DC, UPPER_3 },
    { 0x105C0, 0x105F3, LETTER_4 },
    { 0x10D40, 0x10D49, DIGIT_4 },
    { 0x10D4A, 0x10D4D, LETTER_4 },
    { 0x10D4E, 0x10D4E, MODIFIER_4 },
    { 0x10D4F, 0x10D4F, LETTER_4 },
    { 0x10D50, 0x10D65, UPPER_4 },
    { 0x10D69, 0x10D6D, MARK_4 },
    { 0x10D6E, 0x10D6E, PUNCTUATION_4 },
    { 0x10D6F, 0x10D6F, MODIFIER_4 },
    { 0x10D70, 0x10D85, LOWER_4 },
    { 0x10D8E, 0x10D8F, SYMBOL_4 },
    { 0x10EC2, 0x10EC4, LETTER_4 },
    { 0x10EFC, 0x10EFF, MARK_4 },
    { 0x1123F, 0x11240, LETTER_4 },
    { 0x11241, 0x11241, MARK_4 },
    { 0x11380, 0x11389, LETTER_4 },
    { 0x1138B, 0x1138B, LETTER_4 },
    { 0x1138E, 0x1138E, LETTER_4 },
    { 0x11390, 0x113B5, LETTER_4 },
    { 0x113B7, 0x113B7, LETTER_4 },
    { 0x113B8, 0x113C0, MARK_4 },
    { 0x113C2, 0x113C2, MARK_4 },
    { 0x113C5, 0x113C5, MARK_4 },
    { 0x113C7, 0x113CA, MARK_4 },
    { 0x113CC, 0x113D0, MARK_4 },
    { 0x113D1, 0x113D1, LETTER_4 },
    { 0x113D2, 0x113D2, MARK_4 },
    { 0x113D3, 0x113D3, LETTER_4 },
    { 0x113D4, 0x113D5, PUNCTUATION_4 },
    { 0x113D7, 0x113D8, PUNCTUATION_4 },
    { 0x113E1, 0x113E2, MARK_4 },
    { 0x116D0, 0x116E3, DIGIT_4 },
    { 0x11B00, 0x11B09, PUNCTUATION_4 },
    { 0x11BC0, 0x11BE0, LETTER_4 },
    { 0x11BE1, 0x11BE1, PUNCTUATION_4 },
    { 0x11BF0, 0x11BF9, DIGIT_4 },
    { 0x11F00, 0x11F01, MARK_4 },
    { 0x11F02, 0x11F02, LETTER_4 },
    { 0x11F03, 0x11F03, MARK_4 },
    { 0x11F04, 0x11F10, LETTER_4 },
    { 0x11F12, 0x11F33, LETTER_4 },
    { 0x11F34, 0x11F3A, MARK_4 },
    { 0x11F3E, 0x11F42, MARK_4 },
    { 0x11F43, 0x11F4F, PUNCTUATION_4 },
    { 0x11F50, 0x11F59, DIGIT_4 },
    { 0x11F5A, 0x11F5A, MARK_4 },
    { 0x1342F, 0x1342F, LETTER_4 },
    { 0x13440, 0x13440, MARK_4 },
    { 0x13441, 0x13446, LETTER_4 },
    { 0x13447, 0x13455, MARK_4 },
    { 0x13460, 0x143FA, LETTER_4 },
    { 0x16100, 0x1611D, LETTER_4 },
    { 0x1611E, 0x1612F, MARK_4 },
    { 0x16130, 0x16139, DIGIT_4 },
    { 0x16D40, 0x16D42, MODIFIER_4 },
    { 0x16D43, 0x16D6A, LETTER_4 },
    { 0x16D6B, 0x16D6C, MODIFIER_4 },
    { 0x16D6D, 0x16D6F, PUNCTUATION_4 },
    { 0x16D70, 0x16D79, DIGIT_4 },
    { 0x18CFF, 0x18CFF, LETTER_4 },
    { 0x1B132, 0x1B132, LETTER_4 },
    { 0x1B155, 0x1B155, LETTER_4 },
    { 0x1CC00, 0x1CCEF, SYMBOL_4 },
    { 0x1CCF0, 0x1CCF9, DIGIT_4 },
    { 0x1CD00, 0x1CEB3, SYMBOL_4 },
    { 0x1D2C0, 0x1D2D3, NUMBER_4 },
    { 0x1DF25, 0x1DF2A, LOWER_4 },
    { 0x1E030, 0x1E06D, MODIFIER_4 },
    { 0x1E08F, 0x1E08F, MARK_4 },
    { 0x1E4D0, 0x1E4EA, LETTER_4 },
    { 0x1E4EB, 0x1E4EB, MODIFIER_4 },
    { 0x1E4EC, 0x1E4EF, MARK_4 },
    { 0x1E4F0, 0x1E4F9, DIGIT_4 },
    { 0x1E5D0, 0x1E5ED, LETTER_4 },
    { 0x1E5EE, 0x1E5EF, MARK_4 },
    { 0x1E5F0, 0x1E5F0, LETTER_4 },
    { 0x1E5F1, 0x1E5FA, DIGIT_4 },
    { 0x1E5FF, 0x1E5FF, PUNCTUATION_4 },
    { 0x1F6DC, 0x1F6DC, SYMBOL_4 },
    { 0x1F774, 0x1F776, SYMBOL_4 },
    { 0x1F77B, 0x1F77F, SYMBOL_4 },
    { 0x1F7D9, 0x1F7D9, SYMBOL_4 },
    { 0x1F8B2, 0x1F8BB, SYMBOL_4 },
    { 0x1F8C0, 0x1F8C1, SYMBOL_4 },
    { 0x1FA75, 0x1FA77, SYMBOL_4 },
    { 0x1FA87, 0x1FA89, SYMBOL_4 },
    { 0x1FA8F, 0x1FA8F, SYMBOL_4 },
    { 0x1FAAD, 0x1FAAF, SYMBOL_4 },
    { 0x1FABB, 0x1FABF, SYMBOL_4 },
    { 0x1FAC6, 0x1FAC6, SYMBOL_4 },
    { 0x1FACE, 0x1FACF, SYMBOL_4 },
    { 0x1FADA, 0x1FADC, SYMBOL_4 },
    { 0x1FADF, 0x1FADF, SYMBOL_4 },
    { 0x1FAE8, 0x1FAE9, SYMBOL_4 },
    { 0x1FAF7, 0x1FAF8, SYMBOL_4 },
    { 0x1FBCB, 0x1FBEF, SYMBOL_4 },
    { 0x2B739, 0x2B739, LETTER_4 },
    { 0x2EBF0, 0x2EE5D, LETTER_4 },
    { 0x31350, 0x323AF, LETTER_4 },
};

uint32_t character_known(uint32_t c)
{
    const struct later *found = character_range_of(c, later, sizeof later / sizeof *later, sizeof *later);
    return found ? found->stand_in : c;
}

/* U+11DE0 .. U+11DE9 and U+16FF4 .. U+16FF6 are the numbers that came with Unicode 17. */
bool character_is_number(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)character_known(c));
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO ||
           (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
}

/* ---- Lower case */

uint32_t character_lower(uint32_t c)
{
    static const struct newer {
        uint32_t first, last, lower;
    } newer[] = {
        { 0x1C89, 0x1C89, 0x1C8A },    { 0xA7CB, 0xA7CB, 0x264 },  { 0xA7CC, 0xA7CC, 0xA7CD },
        { 0xA7CE, 0xA7CE, 0xA7CF },    { 0xA7D2, 0xA7D2, 0xA7D3 }, { 0xA7D4, 0xA7D4, 0xA7D5 },
        { 0xA7DA, 0xA7DA, 0xA7DB },    { 0xA7DC, 0xA7DC, 0x19B },  { 0x10D50, 0x10D65, 0x10D70 },
        { 0x16EA0, 0x16EB8, 0x16EBB },
    };
    const struct newer *found = character_range_of(c, newer, sizeof newer / sizeof *newer, sizeof *newer);
    return found ? found->lower + (c - found->first) : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}

/* ---- Normal forms */

bool character_is_normal_form_news(uint32_t c)
{
    static const character_range ranges[] = {
        { 0x7FD, 0x7FD },     { 0x898, 0x89F },     { 0x8CA, 0x8D3 },     { 0x9FE, 0x9FE },     { 0xC3C, 0xC3C },
        { 0xD3B, 0xD3C },     { 0xEBA, 0xEBA },     { 0x1715, 0x1715 },   { 0x1ABF, 0x1ACE },   { 0x1DF6, 0x1DFA },
        { 0x32FF, 0x32FF },   { 0xA7F2, 0xA7F4 },   { 0xA82C, 0xA82C },   { 0xAB69, 0xAB69 },   { 0x10781, 0x107BA },
        { 0x10D24, 0x10D27 }, { 0x10EAB, 0x10EAC }, { 0x10EFD, 0x10EFF }, { 0x10F46, 0x10F50 }, { 0x10F82, 0x10F85 },
        { 0x11070, 0x11070 }, { 0x1133B, 0x1133B }, { 0x1145E, 0x1145E }, { 0x11839, 0x1183A }, { 0x11938, 0x11938 },
        { 0x1193D, 0x1193E }, { 0x11943, 0x11943 }, { 0x119E0, 0x119E0 }, { 0x11A34, 0x11A34 }, { 0x11A47, 0x11A47 },
        { 0x11A99, 0x11A99 }, { 0x11D42, 0x11D42 }, { 0x11D44, 0x11D45 }, { 0x11D97, 0x11D97 }, { 0x11F41, 0x11F42 },
        { 0x16FF0, 0x16FF1 }, { 0x1E030, 0x1E06D }, { 0x1E08F, 0x1E08F }, { 0x1E130, 0x1E136 }, { 0x1E2AE, 0x1E2AE },
        { 0x1E2EC, 0x1E2EF }, { 0x1E4EC, 0x1E4EF }, { 0x1F16C, 0x1F16C }, { 0x1FBF0, 0x1FBF9 },
    };
    return character_range_of(c, ranges, sizeof ranges / sizeof *ranges, sizeof *ranges) != NULL;
}
