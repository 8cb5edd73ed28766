/* pattern.h: the expressions and strings that tokenizers cut and replace with. */
#ifndef LORAC_PATTERN_H
#define LORAC_PATTERN_H

#include "err.h"
#include "str.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

typedef struct pattern {
    slice literal;    /* p NULL: the expression */
    slice expression; /* as the file has it */
    pcre2_code *code;
    uint32_t (*stand_in)(uint32_t); /* what the expression sees in place of a character; of as many bytes; or NULL */
} pattern;

/* `where` names the expression in messages; its bytes must outlive the pattern. MULTILINE: ^ and $ are about lines, as
 * in Ruby's syntax. Characters stand for themselves, but for those newer than PCRE2's tables (character_known). */
int pattern_compile(pattern *out, slice expression, const char *file, const char *where);
void pattern_free(pattern *p);
/* Oniguruma's syntax in PCRE2's terms (oniguruma.c). */
int oniguruma_rewrite(slice expression, fault where, buf *out);

/* Walks over the matches in one text. */
typedef struct matcher {
    const pattern *pattern;
    pcre2_match_data *data; /* made by the first use, kept for all */
    pcre2_match_context *limits;
    buf shadow; /* the text with stand-ins, where it needs them */
    slice text;
    size_t at, last_end;
} matcher;

int matcher_start(matcher *m, const pattern *p, slice text);
/* *found is false at the end. */
int matcher_next(matcher *m, size_t *begin, size_t *end, bool *found);
void matcher_free(matcher *m);

#endif
