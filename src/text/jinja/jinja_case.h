/* jinja_case.h: letters and numbers as Python's str knows them. The tables have what Unicode's general categories and
 * the library's case pairs do not say. */
#ifndef LORAC_JINJA_CASE_H
#define LORAC_JINJA_CASE_H

#include "character_range.h"

#include <stdbool.h>

bool letter_is_digit(uint32_t c);   /* isdigit() */
bool letter_is_numeric(uint32_t c); /* isnumeric() */

/* ---- The tables, sorted */

/* A letter whose upper or title case has several. */
typedef struct letter_forms {
    uint32_t c, upper[3], title[3];
} letter_forms;

extern const letter_forms several_letters[];
extern const character_range other_lower[], other_upper[], other_digits[], other_numbers[];
extern const size_t several_letters_count, other_lower_count, other_upper_count, other_digits_count,
    other_numbers_count;

#endif
