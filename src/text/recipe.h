/* recipe.h: llama.cpp's pre-tokenisers: a name in a GGUF file stands for a list of expressions, each isolating its
 * matches in what the one before left, and for two defaults. */
#ifndef LORAC_RECIPE_H
#define LORAC_RECIPE_H

#include "str.h"

enum { RECIPE_EXPRESSIONS = 4 };

typedef struct recipe {
    const char *names; /* separated by blanks; the first is the one to write */
    const char *expressions[RECIPE_EXPRESSIONS];
    bool ignore_merges, add_bos;
} recipe;

const recipe *recipe_named(slice name); /* or NULL */
const recipe *recipe_at(size_t i);      /* NULL after the last */
bool recipe_is(const recipe *r, const char *const *expressions, size_t count);
const char *recipe_words_of_gpt2(void);
/* Is `name` one of the blank-separated `names`? */
bool name_is_in(const char *names, slice name);

#endif
