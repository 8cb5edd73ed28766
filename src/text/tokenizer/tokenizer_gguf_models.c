/* tokenizer_gguf_models.c: the kinds of model that a GGUF file names (gpt2 and its like, llama, bert, t5), each with
 * the steps around it. */
#include "tokenizer_gguf.h"
#include "unicode_llama.h"

#include <math.h>
#include <string.h>

static const slice blank_mark = { "\u2581", 3 };

static int add_normalise(tokenizer *t, normalise_kind kind, slice literal, slice content)
{
    normalise_step *step;
    TRY(tokenizer_add_normalise(t, kind, &step));
    step->pattern.literal = literal;
    step->content = content;
    return LORAC_OK;
}

/* The blank and its mark are two ways to write the same; the first blank may be ours. */
static int decode_blanks(const gguf_reader *r)
{
    decode_step *step;
    TRY(tokenizer_add_decode(r->t, DECODE_BLANKS, &step));
    step->prefixed = r->space_prefix;
    return LORAC_OK;
}

static int decode_tidily(const gguf_reader *r)
{
    decode_step *step;
    return tokenizer_add_decode(r->t, DECODE_LLAMA_TIDY, &step);
}

static void start_model(gguf_reader *r, model_kind kind)
{
    word_model *m = &r->t->model;
    *m = (word_model){ .kind = kind, .vocabulary = &r->t->vocabulary };
    unknown_rule_open(&m->unknown, &r->t->vocabulary);
    m->unknown.id = r->t->roles[TOKEN_UNK];
}

/* ---- Byte-pair encoding with merges */

static int add_step(tokenizer *t, const recipe_step *from)
{
    if (from->kind == RECIPE_GROUPS_OF_NUMBERS || from->kind == RECIPE_GROUPS_OF_DIGITS) {
        split_step *groups;
        TRY(tokenizer_add_split(t, SPLIT_GROUPS, &groups));
        groups->ascii = from->kind == RECIPE_GROUPS_OF_DIGITS;
        return LORAC_OK;
    }
    split_step *step;
    TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
    step->behaviour = SPLIT_ISOLATED;
    TRY(pattern_compile(&step->pattern, slice_of(from->expression), t->path, "tokenizer.ggml.pre"));
    step->pattern.stand_in = from->kind == RECIPE_BY_CLASSES ? llama_stand_in : NULL;
    return LORAC_OK;
}

/* The model "whitespace" leaves white space out. */
static int drop_blanks(tokenizer *t)
{
    split_step *step;
    TRY(tokenizer_add_split(t, SPLIT_PATTERN, &step));
    step->behaviour = SPLIT_REMOVED;
    TRY(pattern_compile(&step->pattern, slice_of("\\s+"), t->path, "tokenizer.ggml.model"));
    step->pattern.stand_in = llama_stand_in;
    return LORAC_OK;
}

static int add_merge(const gguf_reader *r, const gguf_value *merges, uint64_t i, buf *scratch, const fault *where)
{
    slice right = gguf_string(merges, i), left;
    const char *blank = right.n > 1 ? memchr(right.p + 1, ' ', right.n - 1) : NULL;
    if (!blank)
        return fail_at(LORAC_ERROR_DATA, *where, "merge %llu is not two tokens with a blank between",
                       (unsigned long long)i);
    left = (slice){ right.p, (size_t)(blank - right.p) };
    right = (slice){ blank + 1, right.n - left.n - 1 };
    return bpe_add_merge(&r->t->model.bpe, &r->t->vocabulary, scratch, left, right, (uint32_t)i, false, where);
}

static int read_merges(gguf_reader *r)
{
    const char *key = "tokenizer.ggml.merges";
    fault where = { .file = r->t->path, .key = key };
    const gguf_value *merges;
    TRY(gguf_reader_array(r, key, ARRAY_STRINGS, &merges));
    if (!merges && !(r->recipe->traits & RECIPE_MERGES_MAY_LACK))
        return gguf_reader_fail(r, key, "the file has no array of merges");
    uint64_t count = merges ? merges->count : 0;
    if (count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, where, "%llu merges are too many", (unsigned long long)count);
    TRY(bpe_open(&r->t->model.bpe, &r->t->vocabulary, count));
    buf scratch = { 0 };
    int status = LORAC_OK;
    for (uint64_t i = 0; i < count && status == LORAC_OK; i++)
        status = add_merge(r, merges, i, &scratch, &where);
    buf_free(&scratch);
    return status;
}

static int build_steps(gguf_reader *r, slice model)
{
    tokenizer *t = r->t;
    unsigned traits = r->recipe->traits;
    bool raw = traits & RECIPE_RAW, escapes = traits & RECIPE_ESCAPES;
    split_step *bytes;
    decode_step *decode;
    if (escapes)
        TRY(add_normalise(t, NORMALISE_REPLACE, slice_of(" "), blank_mark));
    if (slice_is(model, "whitespace"))
        TRY(drop_blanks(t));
    for (size_t i = 0; i < recipe_steps(r->recipe); i++)
        TRY(add_step(t, &r->recipe->steps[i]));
    if (!raw)
        TRY(tokenizer_add_split(t, SPLIT_TO_BYTES, &bytes));
    if (escapes)
        TRY(decode_blanks(r));
    else
        TRY(tokenizer_add_decode(t, DECODE_BYTES, &decode));
    return traits & RECIPE_TIDY ? decode_tidily(r) : LORAC_OK;
}

int gguf_read_bpe(gguf_reader *r, slice model)
{
    unsigned traits = r->recipe->traits;
    word_model *m = &r->t->model;
    /* It has no other effect on what is encoded. */
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_space_prefix", &r->space_prefix));
    TRY(build_steps(r, model));
    start_model(r, MODEL_BPE);
    m->unknown.id = -1; /* they vanish */
    m->unknown.by_bytes = traits & RECIPE_RAW;
    m->bpe.ignore_merges = traits & RECIPE_IGNORES_MERGES;
    m->bpe.newlines_whole = traits & RECIPE_NEWLINES_WHOLE;
    m->bpe.unknown_stay = true;
    TRY(read_merges(r));
    if (traits & RECIPE_ESCAPES)
        word_model_find_cuts(m);
    return LORAC_OK;
}

/* ---- Scores */

/* By id, in the tokenizer's arena. */
static int read_scores(gguf_reader *r, float **out)
{
    const char *key = "tokenizer.ggml.scores";
    const gguf_value *scores;
    int32_t count = r->t->vocabulary.count;
    TRY(gguf_reader_array(r, key, ARRAY_SCORES, &scores));
    if (!scores)
        return gguf_reader_fail(r, key, "the file has no scores");
    if (scores->count < (uint64_t)count)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key },
                       "there are %d tokens but %llu scores", count, (unsigned long long)scores->count);
    *out = arena_new(&r->t->memory, (size_t)count, sizeof **out);
    if (!*out)
        return fail_memory();
    for (int32_t id = 0; id < count; id++) {
        (*out)[id] = (float)(scores->element == GGUF_F32 ? gguf_real(scores, (uint64_t)id)
                                                         : (double)gguf_int(scores, (uint64_t)id));
        if (isnan((*out)[id]))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->t->path, .key = key },
                           "the score of token %d is not a number", id);
    }
    return LORAC_OK;
}

/* SentencePiece's byte-pair encoding: the merges are the tokens themselves, by their scores. */
int gguf_read_spm(gguf_reader *r)
{
    tokenizer *t = r->t;
    float *scores = NULL;
    if (r->space_prefix)
        TRY(add_normalise(t, NORMALISE_PREPEND, (slice){ 0 }, blank_mark));
    TRY(add_normalise(t, NORMALISE_REPLACE, slice_of(" "), blank_mark));
    TRY(read_scores(r, &scores));
    start_model(r, MODEL_BPE);
    t->model.unknown.by_bytes = true;
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, 0));
    t->model.bpe.scores = scores;
    word_model_find_cuts(&t->model);
    return decode_blanks(r);
}

/* ---- BERT */

int gguf_read_bert(gguf_reader *r)
{
    bool accents;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.normalizer.lowercase", &r->lowercase));
    accents = r->lowercase;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.normalizer.strip_accents", &accents));
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.add_space_prefix", &r->space_prefix));
    split_step *step;
    TRY(tokenizer_add_split(r->t, SPLIT_LLAMA_BERT, &step));
    step->lowercase = r->lowercase;
    step->accents = accents;
    start_model(r, MODEL_WORDPIECE);
    wordpiece_open(&r->t->model.wordpiece, &r->t->vocabulary);
    r->t->model.wordpiece.characters_most = SIZE_MAX;
    if (r->t->model.unknown.id < 0)
        return gguf_reader_fail(r, "tokenizer.ggml.unknown_token_id", "a WordPiece model needs this token");
    TRY(decode_blanks(r));
    return decode_tidily(r);
}

/* ---- Unigram */

static int add_rules(gguf_reader *r)
{
    const char *key = "tokenizer.ggml.precompiled_charsmap";
    const gguf_value *rules;
    normalise_step *step;
    TRY(gguf_reader_array(r, key, ARRAY_BYTES, &rules));
    if (!rules)
        return LORAC_OK;
    TRY(tokenizer_add_normalise(r->t, NORMALISE_SENTENCEPIECE, &step));
    return precompiled_open(&step->spacing.rules, (slice){ (const char *)rules->p, rules->count }, &r->t->memory,
                            (fault){ .file = r->t->path, .key = key });
}

/* A text may be cut into the tokens that are not control tokens or bytes; user-defined ones are always best. */
static int open_unigram(gguf_reader *r, const float *scores)
{
    int32_t count = r->t->vocabulary.count;
    assert(scores);
    double *usable = mem_new((size_t)count, sizeof *usable);
    if (!usable)
        return fail_memory();
    for (int32_t id = 0; id < count; id++) {
        uint8_t type = r->types[id];
        usable[id] = type == TYPE_NORMAL || type == TYPE_UNUSED ? scores[id] : type == TYPE_USER_DEFINED ? 0 : NAN;
    }
    int status = unigram_open(&r->t->model.unigram, &r->t->vocabulary, usable);
    mem_free(usable);
    return status;
}

int gguf_read_unigram(gguf_reader *r)
{
    float *scores = NULL;
    bool squeeze = false;
    TRY(gguf_take_bool(r->g, "tokenizer.ggml.remove_extra_whitespaces", &squeeze));
    TRY(read_scores(r, &scores));
    TRY(add_rules(r));
    TRY(add_normalise(r->t, NORMALISE_LLAMA_BLANKS, (slice){ 0 }, (slice){ 0 }));
    normalise_step *blanks = &r->t->normalise[r->t->normalise_count - 1];
    blanks->prefix = r->space_prefix;
    blanks->squeeze = squeeze;
    start_model(r, MODEL_UNIGRAM);
    if (r->t->model.unknown.id < 0)
        return gguf_reader_fail(r, "tokenizer.ggml.unknown_token_id", "a unigram model needs this token");
    r->t->model.unknown.fuse = true;
    TRY(open_unigram(r, scores));
    return decode_blanks(r);
}
