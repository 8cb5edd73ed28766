/* character_sets.c: looking characters up in the tables of character_tables.c. */
#include "character_sets.h"

static bool is_in(const character_range *ranges, size_t count, uint32_t c)
{
    return character_range_of(c, ranges, count, sizeof *ranges) != NULL;
}

bool character_is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    return is_in(character_punctuation, character_punctuation_count, c);
}

bool character_is_other(uint32_t c)
{
    if (c >= ' ' && c < 0x7F)
        return false;
    return is_in(character_others, character_others_count, c);
}

bool character_is_mark(uint32_t c)
{
    return c >= 0x300 && is_in(character_marks, character_marks_count, c);
}

bool character_is_accent(uint32_t c)
{
    return c >= 0x300 && is_in(character_accents, character_accents_count, c);
}

/* The blocks of ideographs up to Unicode 8. The last but one begins 0x100 late in the library. */
bool character_is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}

int character_script(uint32_t c)
{
    size_t low = 0, high = character_scripts_count; /* the last one that begins at c or before is low - 1 */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (character_scripts[middle].first <= c)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? character_scripts[low - 1].script : 0;
}
