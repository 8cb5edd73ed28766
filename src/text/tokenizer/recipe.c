/* recipe.c: the table of names, and the expressions they stand for (src/llama-vocab.cpp of llama.cpp is the reference).
 * Where its expression or the code that stands for it takes linear time and a literal copy would not, another one of
 * the same effect is written. */
#include "recipe.h"

#include "err.h"

#include <string.h>

/* White space, for expressions that see the text as it is. */
#define BLANKS "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define CONTRACTIONS_FILED "(?i:'s|'t|'re|'ve|'m|'ll|'d)" /* in Hugging Face's files */
#define SIGNS "[\\p{P}$+<=>^~|`]+"
#define BLANKS_LAST "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS_OF_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define WORD_OF_GPT4 "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SIGNS_OF_GPT4 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define WORDS_OF_GPT4(numbers) CONTRACTIONS "|" WORD_OF_GPT4 "|" numbers SIGNS_OF_GPT4 BLANKS_LAST
/* Words whose case changes at most once, from upper to lower. */
#define CASED_WORD(marks, contractions)                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}" marks "]*[\\p{Ll}\\p{Lm}\\p{Lo}" marks "]+" contractions \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}" marks "]+[\\p{Ll}\\p{Lm}\\p{Lo}" marks "]*" contractions
#define WORDS_OF_GPT4O(marks, contractions, numbers) \
    CASED_WORD(marks, contractions) "|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" BLANKS_LAST
/* The same to an expression that does not tell the cases apart. */
#define WORDS_WITH_MARKS(numbers) \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+" CONTRACTIONS "?|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" BLANKS_LAST
#define JAPANESE "\u3040-\u309F\u30A0-\u30FF"
#define WORDS_OF_DEEPSEEK(signs)                                                                        \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" \
    "| ?[\\p{P}\\p{S}]+" signs "|\\s+(?!\\S)|\\s+"
#define HAN "\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U0002A6DF\U0002A700-\U0002EBEF\U0002F800-\U0002FA1F"
/* From U+0800 to U+9FA5, blanks apart, and Hangul. */
#define CJK_OF_DEEPSEEK                                                                            \
    "[\u0800-\u167F\u1681-\u1FFF\u200B-\u2027\u202A-\u202E\u2030-\u205E\u2060-\u2FFF\u3001-\u9FA5" \
    "\uAC00-\\x{D7FF}]+"
#define NO_SENTENCE_SIGNS " ?[^(" BLANKS "|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"
#define LINES "[^\\n]+|[\\n]+"

/* Letters of scripts with cases; escaped, as some have other normal forms. */
#define CASED_LETTERS                                                                      \
    "\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF" \
    "\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1"   \
    "\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5"       \
    "\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A"       \
    "\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D"  \
    "\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3" \
    "\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115"  \
    "\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F"         \
    "\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3"   \
    "\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF"       \
    "\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F"            \
    "\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2" \
    "\U000118A0-\U000118DF\U0001E900-\U0001E943"

#define CASED_OF_DEEPSEEK "[" BLANKS "]?[A-Za-z" CASED_LETTERS "]+"
#define SIGNS_OF_DEEPSEEK "[" BLANKS "]?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001-\u3002]+"
#define BLANKS_AT_END "(?<![" BLANKS "])[" BLANKS "]++\\z"

enum { TIDY = RECIPE_TIDY, MERGES = RECIPE_IGNORES_MERGES, BOS = RECIPE_ADDS_BOS, RAW = RECIPE_RAW };

#define CLASSES(expression)           \
    {                                 \
        expression, RECIPE_BY_CLASSES \
    }
#define LITERALLY(expression)        \
    {                                \
        expression, RECIPE_LITERALLY \
    }

static const recipe recipes[] = {
    { "default",
      { CLASSES("[\\p{P}$+<=>^~|]+"), CLASSES(WORDS_OF_GPT2), CLASSES("\\p{N}+"), LITERALLY("[0-9][0-9][0-9]") },
      TIDY },
    { "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en jina-v2-code "
      "roberta-bpe mpt olmo jais exaone4",
      { CLASSES(WORDS_OF_GPT2) },
      TIDY },
    { "trillion granite-docling", { CLASSES(WORDS_OF_GPT2) }, 0 },
    { "smollm command-r", { CLASSES("\\p{N}"), CLASSES(WORDS_OF_GPT2) }, 0 },
    { "starcoder refact codeshell exaone minerva-7b mellum2", { CLASSES("\\p{N}"), CLASSES(WORDS_OF_GPT2) }, TIDY },
    { "falcon", { CLASSES(SIGNS), CLASSES(WORDS_OF_GPT2), LITERALLY("[0-9][0-9][0-9]") }, TIDY },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      { CLASSES(WORDS_OF_GPT4("\\p{N}{1,3}")) },
      TIDY | MERGES | BOS },
    { "glm4 glm5", { CLASSES(WORDS_OF_GPT4("\\p{N}{1,3}")) }, TIDY | MERGES },
    { "dbrx smaug-bpe chatglm-bpe", { CLASSES(WORDS_OF_GPT4("\\p{N}{1,3}")) }, TIDY },
    { "minicpm5", { CLASSES("\\p{N}{1,3}"), CLASSES(WORDS_OF_GPT4("\\p{N}+")) }, TIDY | MERGES },
    { "jais-2",
      { CLASSES(CONTRACTIONS "|" WORD_OF_GPT4 "|\\p{N}{1,3}" SIGNS_OF_GPT4
                             "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)"
                             "|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}") },
      TIDY },
    { "qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2", { CLASSES(WORDS_OF_GPT4("\\p{N}")) }, 0 },
    { "megrez stablelm2", { CLASSES(WORDS_OF_GPT4("\\p{N}")) }, TIDY },
    { "qwen35",
      { CLASSES(CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" //
                BLANKS_LAST) },
      0 },
    { "ufakzeka", { CLASSES(WORD_OF_GPT4 "|\\p{N}" SIGNS_OF_GPT4 BLANKS_LAST) }, 0 },
    { "laguna", { LITERALLY(LINES), CLASSES(WORDS_OF_GPT4("\\p{N}")) }, 0 },
    { "seed-coder",
      { CLASSES(CONTRACTIONS "|" WORD_OF_GPT4 "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" BLANKS_LAST) },
      0 },
    { "bailingmoe bailingmoe2 llada-moe",
      { CLASSES("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD_OF_GPT4 "|\\p{N}" SIGNS_OF_GPT4
                "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+") },
      0 },
    { "exaone-moe",
      { CLASSES(CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}"
                             "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+") },
      TIDY },
    { "gpt-4o llama4 kanana2 talkie minimax-m2", { CLASSES(WORDS_OF_GPT4O("", CONTRACTIONS "?", "\\p{N}{1,3}")) }, 0 },
    { "granite-embed-multi-97m", { CLASSES(WORDS_OF_GPT4O("\\p{M}", CONTRACTIONS "?", "\\p{N}{1,3}")) }, MERGES },
    { "tekken", { CLASSES(WORDS_OF_GPT4O("", "", "\\p{N}")) }, MERGES | BOS },
    { "tiny_aya cohere2moe", { { "", RECIPE_GROUPS_OF_NUMBERS }, CLASSES(WORDS_WITH_MARKS("\\p{N}{1,3}")) }, 0 },
    { "youtu",
      { LITERALLY("[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C"
                  "\u3001-\u303F\uFE30-\uFE4F]+|[\u3105-\u312F]+|[\u4E00-\u9FA5" JAPANESE "]+"),
        CLASSES(WORDS_WITH_MARKS("\\p{N}")) },
      MERGES },
    { "kimi-k2",
      { CLASSES("[" HAN "]+|[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}" HAN "]+" CONTRACTIONS "?|\\p{N}{1,3}" //
                SIGNS_OF_GPT4 BLANKS_LAST) },
      RECIPE_MERGES_MAY_LACK },
    { "deepseek-llm",
      { LITERALLY("[\\r\\n]"), LITERALLY(CASED_OF_DEEPSEEK), LITERALLY(SIGNS_OF_DEEPSEEK), LITERALLY(BLANKS_AT_END),
        LITERALLY(CJK_OF_DEEPSEEK), CLASSES("\\p{N}+") },
      0 },
    { "deepseek-coder",
      { LITERALLY("[\\r\\n]"), CLASSES("\\s?\\p{L}+"), CLASSES("\\s?\\p{P}+"), LITERALLY(CJK_OF_DEEPSEEK),
        CLASSES("\\p{N}") },
      0 },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
      { CLASSES("\\p{N}{1,3}"), LITERALLY("[\u4E00-\u9FA5" JAPANESE "]+"),
        CLASSES(WORDS_OF_DEEPSEEK("[\\r\\n]*|\\s*[\\r\\n]+")) },
      0 },
    { "spark2_5",
      { CLASSES("\\p{N}{1,3}"), LITERALLY("[\u4E00-\u9FA5" JAPANESE "]+"), CLASSES(WORDS_OF_DEEPSEEK("|[\\r\\n]")),
        CLASSES("\\p{N}") },
      0 },
    { "afmoe",
      { { "", RECIPE_GROUPS_OF_NUMBERS },
        LITERALLY("[\u4E00-\u9FFF\u3400-\u4DBF\u8C48-\uFAFF" JAPANESE "\uFF65-\uFF9F\u2F00-\u2FDF\u0E40-\u0E7F"
                  "\u0E80-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF\u1100-\u11FF]+"),
        CLASSES(WORDS_OF_DEEPSEEK("[\\r\\n]*|\\s*[\\r\\n]+")) },
      0 },
    { "superbpe", { CLASSES("\\p{N}+"), { "", RECIPE_GROUPS_OF_DIGITS } }, 0 },
    { "bloom gpt3-finnish", { LITERALLY(NO_SENTENCE_SIGNS) }, TIDY },
    { "poro-chat", { LITERALLY(NO_SENTENCE_SIGNS) }, 0 },
    { "viking", { LITERALLY(NO_SENTENCE_SIGNS), CLASSES("\\p{N}") }, 0 },
    { "chameleon",
      { LITERALLY("<sentinel:[0-9]+>"), LITERALLY("IMGIMG[A-I]{1,4}Z"), LITERALLY("[\\t\\n]|    |  "),
        CLASSES("\\p{N}"), CLASSES("[\\p{P}!-/:-@\\[-`{-~]"), CLASSES(WORDS_OF_GPT2) },
      BOS },
    { "gemma4 granite-embed-multi-311m",
      { LITERALLY(LINES) },
      TIDY | RAW | BOS | RECIPE_ALWAYS_BOS | RECIPE_NEWLINES_WHOLE | RECIPE_ESCAPES },
    { "sarvam-moe", { LITERALLY(LINES) }, RAW | RECIPE_ESCAPES },
    { "whitespace", { LITERALLY("[^" BLANKS "]+") }, TIDY | RAW },
};

const recipe *recipe_named(slice name)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (name_is_in(recipes[i].names, name))
            return &recipes[i];
    return NULL;
}

size_t recipe_steps(const recipe *r)
{
    size_t n = 0;
    while (n < RECIPE_STEPS && r->steps[n].expression)
        n++;
    return n;
}

bool recipe_is(const recipe *r, const char *const *expressions, size_t count)
{
    size_t n = recipe_steps(r);
    for (size_t i = 0; i < n && n == count; i++)
        if (strcmp(r->steps[i].expression, expressions[i]) != 0)
            return false;
    return n == count;
}

bool recipe_step_is(const char *expression)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        for (size_t k = 0; k < recipe_steps(&recipes[i]); k++)
            if (!strcmp(recipes[i].steps[k].expression, expression))
                return true;
    return false;
}

const recipe *recipe_at(size_t i)
{
    return i < sizeof recipes / sizeof *recipes ? &recipes[i] : NULL;
}

const char *recipe_words_of_gpt2(void)
{
    return WORDS_OF_GPT2;
}

const char *recipe_lines(void)
{
    return LINES;
}

const char *recipe_signs(void)
{
    return SIGNS;
}

/* ---- As others write them */

/* Control characters and signs that some files escape and others do not. */
static const struct {
    const char *filed, *here;
} spellings[] = {
    { "\r", "\\r" },
    { "\n", "\\n" },
    { "\t", "\\t" },
    { "\\\"", "\"" },
    { "\\/", "/" },
    { "\\\\", "\\\\" }, /* so that what follows is not taken for escaped */
    { CONTRACTIONS_FILED, CONTRACTIONS },
};

static const struct {
    const char *filed, *here;
} stand_ins[] = {
    { WORDS_OF_GPT4O("\\p{M}", CONTRACTIONS "?", "\\p{N}{1,3}"), WORDS_OF_GPT4O("", CONTRACTIONS "?", "\\p{N}{1,3}") },
    { WORDS_OF_GPT4O("\\p{M}", "", "\\p{N}"), WORDS_OF_GPT4O("", "", "\\p{N}") },
    { "\\s?[A-Za-z" CASED_LETTERS "]+", CASED_OF_DEEPSEEK },
    { "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+", SIGNS_OF_DEEPSEEK },
    { "\\s+$", BLANKS_AT_END },
    { "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+", CJK_OF_DEEPSEEK },
    { " ?[^(\\s|[.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C])]+", NO_SENTENCE_SIGNS },
};

const char *recipe_spelling(slice expression, arena *memory)
{
    enum { COUNT = sizeof spellings / sizeof *spellings };
    buf out = { 0 };
    while (expression.n) {
        size_t i = 0, taken = 1;
        while (i < COUNT && !slice_starts(expression, spellings[i].filed))
            i++;
        if (i < COUNT) {
            taken = strlen(spellings[i].filed);
            buf_text(&out, spellings[i].here);
        } else {
            buf_char(&out, *expression.p);
        }
        expression = (slice){ expression.p + taken, expression.n - taken };
    }
    const char *copy = buf_status(&out) == LORAC_OK ? arena_text(memory, out.p, out.n) : NULL;
    buf_free(&out);
    return copy;
}

const char *recipe_stand_in(const char *expression)
{
    for (size_t i = 0; i < sizeof stand_ins / sizeof *stand_ins; i++)
        if (!strcmp(expression, stand_ins[i].filed))
            return stand_ins[i].here;
    return expression;
}
