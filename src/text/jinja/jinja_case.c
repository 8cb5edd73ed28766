/* jinja_case.c: upper, lower and title case as in Python's str, one character becoming several where Unicode has it so.
 */
#include "jinja_case.h"

#include "jinja.h"

#include <utf8proc.h>

/* ---- Kinds of characters */

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

static bool is_in(const character_range *ranges, size_t count, uint32_t c)
{
    return character_range_of(c, ranges, count, sizeof *ranges) != NULL;
}

bool letter_is_digit(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND || is_in(other_digits, other_digits_count, c);
}

bool letter_is_numeric(uint32_t c)
{
    utf8proc_category_t kind = category(c);
    return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO ||
           is_in(other_numbers, other_numbers_count, c);
}

static bool is_lower(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL || is_in(other_lower, other_lower_count, c);
}

static bool is_upper(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU || is_in(other_upper, other_upper_count, c);
}

static bool is_title(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

static bool is_cased(uint32_t c)
{
    return is_lower(c) || is_upper(c) || is_title(c);
}

/* Unicode's Case_Ignorable: marks and the punctuation that stands inside words. */
static bool is_case_ignorable(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_LM || category == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
           c == 0xB7 || c == 0x2019 || c == 0x2018 || c == 0x2024 || c == 0x2027;
}

/* A capital sigma at the end of a word has its own small form. */
static bool is_final_sigma(slice s, size_t at, bool cased_before)
{
    size_t next = at;
    while (cased_before && next < s.n) {
        uint32_t c = utf8_next(s, &next);
        if (!is_case_ignorable(c))
            return !is_cased(c);
    }
    return cased_before;
}

/* ---- Changing */

static int add_letter(machine *m, builder *b, uint32_t c)
{
    char bytes[4];
    return builder_add(m, b, bytes, utf8_put(c, bytes));
}

static int to_letter(const void *character, const void *forms)
{
    const uint32_t c = *(const uint32_t *)character, of = ((const letter_forms *)forms)->c;
    return c < of ? -1 : c > of;
}

static const letter_forms *forms_of(uint32_t c)
{
    return bsearch(&c, several_letters, several_letters_count, sizeof *several_letters, to_letter);
}

static int add_upper(machine *m, builder *b, uint32_t c, bool title)
{
    const letter_forms *forms = forms_of(c);
    if (!forms)
        return add_letter(
            m, b, (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)c) : utf8proc_toupper((utf8proc_int32_t)c)));
    const uint32_t *letters = title ? forms->title : forms->upper;
    for (size_t i = 0; i < 3 && letters[i]; i++)
        TRY(add_letter(m, b, letters[i]));
    return LORAC_OK;
}

/* The rest of `s` begins at `next`. */
static int add_lower(machine *m, builder *b, uint32_t c, slice s, size_t next, bool cased_before)
{
    if (c == 0x130)
        return builder_text(m, b, "i\xCC\x87");
    if (c == 0x3A3 && is_final_sigma(s, next, cased_before))
        return add_letter(m, b, 0x3C2);
    return add_letter(m, b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static bool rises(text_case how, uint32_t c, bool first, bool cased)
{
    return how == CASE_UPPER || (how == CASE_CAPITALIZE && first) || (how == CASE_TITLE && !cased) ||
           (how == CASE_SWAP && is_lower(c));
}

int text_recase(machine *m, slice s, text_case how, value *out)
{
    builder b = { 0 };
    bool cased = false, sigma_cased = false;
    TRY(machine_spend(m, s.n / 16));
    for (size_t at = 0; at < s.n;) {
        bool first = at == 0;
        uint32_t c = utf8_next(s, &at);
        if (rises(how, c, first, cased))
            TRY(add_upper(m, &b, c, how == CASE_CAPITALIZE || how == CASE_TITLE));
        else if (how == CASE_SWAP && !is_upper(c))
            TRY(add_letter(m, &b, c));
        else
            TRY(add_lower(m, &b, c, s, at, sigma_cased));
        cased = is_cased(c);
        sigma_cased = is_case_ignorable(c) ? sigma_cased : cased;
    }
    *out = builder_value(&b);
    return LORAC_OK;
}

/* ---- Asking */

/* A text in title case has its capitals where no letter stands before, and small letters where one does. */
int text_has_case(machine *m, slice s, text_case how, bool *out)
{
    bool any = false, before = false, right = true;
    TRY(machine_spend(m, s.n / 16));
    for (size_t at = 0; right && at < s.n;) {
        uint32_t c = utf8_next(s, &at);
        bool small = is_lower(c), capital = is_upper(c) || is_title(c);
        if (how == CASE_TITLE)
            right = capital ? !before : !small || before;
        else
            right = how == CASE_LOWER ? !capital : !small && !is_title(c);
        before = small || capital;
        any |= before;
    }
    *out = right && any;
    return LORAC_OK;
}
