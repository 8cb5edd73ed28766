/* recipe.c: the table of names, and the expressions they stand for. */
#include "recipe.h"

#include <string.h>

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORDS_OF_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define WORDS_OF_GPT4(numbers)                             \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers \
                 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const recipe recipes[] = {
    { "default", { "[\\p{P}$+<=>^~|]+", WORDS_OF_GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, false, false },
    { "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt olmo jais trillion "
      "granite-docling "
      "exaone4",
      { WORDS_OF_GPT2 },
      false,
      false },
    { "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
      { "\\p{N}", WORDS_OF_GPT2 },
      false,
      false },
    { "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      { WORDS_OF_GPT4("\\p{N}{1,3}") },
      true,
      true },
    { "dbrx smaug-bpe glm4 chatglm-bpe", { WORDS_OF_GPT4("\\p{N}{1,3}") }, false, false },
    { "qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 hunyuan solar-open megrez grok-2",
      { WORDS_OF_GPT4("\\p{N}") },
      false,
      false },
};

bool name_is_in(const char *names, slice name)
{
    for (slice rest = slice_of(names); rest.n;)
        if (slice_equal(slice_cut(&rest, ' '), name))
            return true;
    return false;
}

const recipe *recipe_named(slice name)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (name_is_in(recipes[i].names, name))
            return &recipes[i];
    return NULL;
}

bool recipe_is(const recipe *r, const char *const *expressions, size_t count)
{
    size_t n = 0;
    while (n < RECIPE_EXPRESSIONS && r->expressions[n])
        n++;
    for (size_t i = 0; i < n && n == count; i++)
        if (strcmp(r->expressions[i], expressions[i]) != 0)
            return false;
    return n == count;
}

const recipe *recipe_at(size_t i)
{
    return i < sizeof recipes / sizeof *recipes ? &recipes[i] : NULL;
}

const char *recipe_words_of_gpt2(void)
{
    return WORDS_OF_GPT2;
}
