/* character_sets.h: the kinds of characters by which Hugging Face's tokenizers clean, strip and cut. What is the same
 * in every edition of Unicode stands in passage.h. */
#ifndef LORAC_CHARACTER_SETS_H
#define LORAC_CHARACTER_SETS_H

#include "character_range.h"

#include <stdbool.h>

bool character_is_punctuation(uint32_t c); /* ASCII's signs and the categories P*, as they were before 2018 */
bool character_is_other(uint32_t c);       /* what BERT's cleaning deletes: controls, formats, private use, U+FFFD */
bool character_is_mark(uint32_t c);        /* categories M*, as they were in 2016 */
bool character_is_accent(uint32_t c);      /* category Mn, of a text in NFD */
bool character_is_chinese(uint32_t c);     /* what BERT puts blanks around */
/* The same number for characters of the same script; 0 for the blank and what has none. Han, Hiragana and Katakana
 * are one. */
int character_script(uint32_t c);

/* ---- The tables, sorted */

typedef struct character_script_start {
    uint32_t first; /* up to the next one's */
    uint8_t script;
} character_script_start;

extern const character_range character_punctuation[], character_others[], character_marks[], character_accents[];
extern const size_t character_punctuation_count, character_others_count, character_marks_count, character_accents_count;
extern const character_script_start character_scripts[];
extern const size_t character_scripts_count;

#endif
