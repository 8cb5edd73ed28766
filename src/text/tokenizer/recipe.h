/* recipe.h: llama.cpp's pre-tokenisers: a name in a GGUF file stands for a list of steps, each isolating its matches in
 * what the one before left, and for what else hangs on the name. */
#ifndef LORAC_RECIPE_H
#define LORAC_RECIPE_H

#include "arena.h"
#include "str.h"

enum { RECIPE_STEPS = 6 };

typedef enum recipe_kind {
    RECIPE_BY_CLASSES,        /* the expression sees stand-ins outside of ASCII (unicode_llama.h) */
    RECIPE_LITERALLY,         /* the text itself */
    RECIPE_GROUPS_OF_NUMBERS, /* no expression: threes from the right, the first with what is before the number */
    RECIPE_GROUPS_OF_DIGITS   /* no expression: before every three from the right */
} recipe_kind;

typedef struct recipe_step {
    const char *expression; /* NULL: no more steps */
    recipe_kind kind;
} recipe_step;

enum {
    RECIPE_TIDY = 1,            /* decoding drops blanks before some punctuation */
    RECIPE_IGNORES_MERGES = 2,  /* a word that is a token is that token */
    RECIPE_ADDS_BOS = 4,        /* unless the file says otherwise */
    RECIPE_ALWAYS_BOS = 8,      /* whatever the file says */
    RECIPE_RAW = 16,            /* the vocabulary is of UTF-8, not of the byte alphabet */
    RECIPE_ESCAPES = 32,        /* with U+2581 for the blank */
    RECIPE_NEWLINES_WHOLE = 64, /* a word of newlines that is a token is that token */
    RECIPE_MERGES_MAY_LACK = 128
};

typedef struct recipe {
    const char *names; /* separated by blanks; the first is the one to write */
    recipe_step steps[RECIPE_STEPS];
    unsigned traits;
} recipe;

const recipe *recipe_named(slice name); /* or NULL */
const recipe *recipe_at(size_t i);      /* NULL after the last */
size_t recipe_steps(const recipe *r);
bool recipe_is(const recipe *r, const char *const *expressions, size_t count);
bool recipe_step_is(const char *expression); /* is it a step of any? */
const char *recipe_words_of_gpt2(void);
const char *recipe_lines(void); /* a text's lines and what is between them */
const char *recipe_signs(void); /* what the pre-tokenizer Punctuation knows */
/* An expression of a tokenizer.json in the words of the table; NULL without memory. */
const char *recipe_spelling(slice expression, arena *memory);
/* One that llama.cpp's pre-tokenizers have in its place, the nearest that it has; otherwise itself. */
const char *recipe_stand_in(const char *expression);

#endif
