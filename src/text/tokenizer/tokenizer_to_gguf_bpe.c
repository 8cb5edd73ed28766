/* tokenizer_to_gguf_bpe.c: byte-pair encoding as GGUF: with the byte alphabet as "gpt2", whose file names a
 * pre-tokenizer and lists the merges; with U+2581 for blanks as "llama", whose merges are its tokens by their scores,
 * or, where there are no such scores, as "gpt2" once more, with a pre-tokenizer that leaves blanks alone. */
#include "character_sets.h"
#include "scored_merges.h"
#include "tokenizer_to_gguf.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- Merges */

static int put_merges(gguf_export *e)
{
    const vocabulary *v = &e->t->vocabulary;
    bpe_merge *list;
    size_t count = 0;
    TRY(bpe_list_merges(&e->t->model.bpe, &list, &count));
    slice *merges = mem_new(count, sizeof *merges);
    int status = merges ? LORAC_OK : fail_memory();
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        slice left = v->token[list[i].pair >> 32], right = v->token[list[i].pair & UINT32_MAX];
        char *text = arena_new(&e->memory, left.n + right.n + 1, 1);
        if (!text) {
            status = fail_memory();
            break;
        }
        memcpy(text, left.p, left.n);
        text[left.n] = ' ';
        memcpy(text + left.n + 1, right.p, right.n);
        merges[i] = (slice){ text, left.n + right.n + 1 };
    }
    if (status == LORAC_OK)
        gguf_put_text_array(e->w, "tokenizer.ggml.merges", merges, count);
    mem_free(merges);
    mem_free(list);
    return status;
}

/* ---- The byte alphabet */

/* What one step isolates, in the words of the recipes. */
static int step_expression(gguf_export *e, const split_step *step, const char **out)
{
    bool alone = step->behaviour == SPLIT_ISOLATED, joins = step->behaviour == SPLIT_CONTIGUOUS;
    *out = NULL;
    if (step->kind == SPLIT_PATTERN && alone && !step->invert && !step->pattern.literal.p) {
        *out = recipe_spelling(step->pattern.expression, &e->memory);
        return *out ? LORAC_OK : fail_memory();
    }
    if (step->kind == SPLIT_CHARACTERS && step->is_match == character_is_number && (alone || joins))
        *out = alone ? "\\p{N}" : "\\p{N}+";
    if (step->kind == SPLIT_CHARACTERS && step->is_match == character_is_punctuation && joins)
        *out = recipe_signs();
    return *out ? LORAC_OK : gguf_leave_split(e, step);
}

static const recipe *find_recipe(const char *const *expressions, size_t count, bool ignore_merges)
{
    for (size_t i = 0; recipe_at(i); i++)
        if (recipe_is(recipe_at(i), expressions, count) &&
            (recipe_at(i)->traits & RECIPE_IGNORES_MERGES) == (ignore_merges ? RECIPE_IGNORES_MERGES : 0))
            return recipe_at(i);
    return NULL;
}

static int list_splits(gguf_export *e, const char **expressions, size_t *count)
{
    const tokenizer *t = e->t;
    *count = 0;
    for (size_t i = 0; i < t->split_count; i++) {
        const split_step *step = &t->split[i];
        if (step->kind == SPLIT_TO_BYTES)
            continue;
        if (*count == RECIPE_STEPS)
            return gguf_refuse(e, "pre_tokenizer", NULL, "llama.cpp has no pre-tokenizer of so many steps");
        TRY(step_expression(e, step, &expressions[*count]));
        ++*count;
    }
    return LORAC_OK;
}

static int name_splits(gguf_export *e, const recipe **out)
{
    static const char marks[] = "\\p{M}";
    const char *expressions[RECIPE_STEPS];
    size_t count;
    bool ignore_merges = e->t->model.bpe.ignore_merges, blurred = false;
    TRY(list_splits(e, expressions, &count));
    const char *odd = count ? expressions[count - 1] : "ByteLevel (use_regex: false)";
    *out = find_recipe(expressions, count, ignore_merges);
    for (size_t i = 0; i < count && !*out; i++) {
        const char *filed = expressions[i];
        assert(filed);
        expressions[i] = recipe_stand_in(filed);
        if (!recipe_step_is(expressions[i]))
            odd = filed;
        blurred |= strstr(filed, marks) && !strstr(expressions[i], marks);
        *out = find_recipe(expressions, count, ignore_merges);
    }
    if (!*out)
        return gguf_refuse(e, "pre_tokenizer", odd, "llama.cpp has no name for this pre-tokenizer");
    if (blurred)
        gguf_note(e, "marks (category M) are no part of words, as in llama.cpp's pre-tokenizer for this expression");
    return LORAC_OK;
}

static int check_affixes(const gguf_export *e)
{
    const bpe *b = &e->t->model.bpe;
    if (b->prefix.n)
        return gguf_refuse(e, "model.continuing_subword_prefix", b->prefix.p, "llama.cpp has no such tokens");
    return b->suffix.n ? gguf_refuse(e, "model.end_of_word_suffix", b->suffix.p, "llama.cpp has no such tokens")
                       : LORAC_OK;
}

int gguf_put_letters(gguf_export *e)
{
    const recipe *r;
    TRY(check_affixes(e));
    for (size_t i = 0; i < e->t->normalise_count; i++)
        TRY(gguf_leave_normaliser(e, &e->t->normalise[i]));
    TRY(name_splits(e, &r));
    slice names = slice_of(r->names);
    gguf_put_text(e->w, "tokenizer.ggml.model", slice_of("gpt2"));
    gguf_put_text(e->w, "tokenizer.ggml.pre", slice_cut(&names, ' '));
    return put_merges(e);
}

/* ---- Blanks */

/* The library splits unused pieces again once all is merged. Those that nothing is merged to are hidden. */
static int hide_unused(gguf_export *e)
{
    const vocabulary *v = &e->t->vocabulary;
    slice left, right;
    for (int32_t id = 0; id < v->count && (size_t)id < e->count; id++) {
        size_t at = 0;
        if (!(v->flags[id] & TOKEN_UNUSED))
            continue;
        if (next_halves(v, v->token[id], &at, &left, &right))
            return gguf_refuse(e, "pieces", "UNUSED", "llama.cpp makes tokens of unused pieces");
        e->types[id] = TYPE_UNUSED;
        if (!gguf_is_character(v->token[id]))
            TRY(gguf_hide_token(e, (size_t)id));
    }
    return LORAC_OK;
}

typedef struct blanks {
    bool written;            /* as U+2581 */
    bool prefixed;           /* one more in front of a text */
    bool first, unless;      /* of the whole text alone; unless there is one */
    bool cut;                /* every word of its own */
    bool lines;              /* every line, too */
    bool from_sentencepiece; /* the library's own way */
} blanks;

static int read_spacing(const gguf_export *e, const sentencepiece_spacing *s, blanks *b)
{
    const char *component = "normalizer_spec";
    b->from_sentencepiece = true;
    b->written = s->escape;
    b->prefixed = s->add_prefix;
    if (s->rules)
        return gguf_refuse(e, component, "precompiled_charsmap", "llama.cpp normalises nothing for BPE");
    if (s->squeeze)
        return gguf_refuse(e, component, "remove_extra_whitespaces", "llama.cpp keeps all blanks for BPE");
    return s->add_suffix ? gguf_refuse(e, "trainer_spec", "treat_whitespace_as_suffix", "llama.cpp has no such model")
                         : LORAC_OK;
}

static int read_normalisers(const gguf_export *e, blanks *b)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->normalise_count; i++) {
        const normalise_step *step = &t->normalise[i];
        if (step->kind == NORMALISE_SENTENCEPIECE)
            TRY(read_spacing(e, &step->spacing, b));
        else if (gguf_adds_blank(step) && !b->written)
            b->prefixed = true;
        else if (gguf_escapes_blanks(step))
            b->written = true;
        else
            TRY(gguf_leave_normaliser(e, step));
    }
    return LORAC_OK;
}

static bool cuts_at(const split_step *step, const char *literal)
{
    return step->kind == SPLIT_PATTERN && !step->invert && slice_is(step->pattern.literal, literal);
}

static bool isolates(const split_step *step, const char *expression)
{
    return step->kind == SPLIT_PATTERN && step->behaviour == SPLIT_ISOLATED && !step->invert &&
           slice_is(step->pattern.expression, expression);
}

static void add_prefix(const split_step *step, blanks *b)
{
    if (b->prefixed) /* it is there already */
        return;
    b->prefixed = b->unless = true;
    b->first = step->only_first;
}

static int read_splits(const gguf_export *e, blanks *b)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->split_count; i++) {
        const split_step *step = &t->split[i];
        bool ours = slice_is(step->content, "\u2581");
        if (step->kind == SPLIT_BLANKS && ours && !b->written)
            b->written = true;
        else if (step->kind == SPLIT_PREFIX && ours && b->written)
            add_prefix(step, b);
        else if (cuts_at(step, "\u2581") && b->written && step->behaviour == SPLIT_MERGED_WITH_NEXT)
            b->cut = true;
        else if (isolates(step, recipe_lines()))
            b->lines = true;
        else if (!(cuts_at(step, " ") && b->written)) /* which finds nothing: there is no blank left */
            return gguf_leave_split(e, step);
    }
    return b->written ? LORAC_OK : gguf_refuse(e, "pre_tokenizer", NULL, "llama.cpp writes blanks as U+2581");
}

static int check_bytes(const gguf_export *e)
{
    const unknown_rule *u = &e->t->model.unknown;
    bool all = u->by_bytes;
    for (int byte = 0; byte < 256; byte++)
        all &= u->bytes[byte] >= 0;
    return all ? LORAC_OK
               : gguf_refuse(e, "model.byte_fallback", NULL,
                             "llama.cpp needs the tokens <0x00> to <0xFF> for characters that have none");
}

static int find_scores(gguf_export *e, float *scores, bool *exact)
{
    const bpe *b = &e->t->model.bpe;
    size_t count;
    bpe_merge *merges;
    *exact = true;
    if (b->scores) {
        memcpy(scores, b->scores, (size_t)e->t->vocabulary.count * sizeof *scores);
        return LORAC_OK;
    }
    TRY(bpe_list_merges(b, &merges, &count));
    int status = scores_of_merges(&e->t->vocabulary, merges, count, scores, exact);
    mem_free(merges);
    return status;
}

static int put_scores(gguf_export *e, bool *exact)
{
    size_t count = (size_t)e->t->vocabulary.count;
    float *found = mem_new(count, sizeof *found);
    double *scores = mem_new(count, sizeof *scores);
    int status = found && scores ? find_scores(e, found, exact) : fail_memory();
    for (size_t id = 0; id < count && status == LORAC_OK; id++)
        scores[id] = (double)found[id];
    if (status == LORAC_OK && *exact)
        status = gguf_type_scored(e, scores);
    mem_free(found);
    mem_free(scores);
    return status;
}

static void note_blanks(const gguf_export *e, const blanks *b)
{
    if (b->prefixed && b->first)
        gguf_note(e, "every part of a text between special tokens gets a blank in front, not the first alone");
    if (b->prefixed && b->unless)
        gguf_note(e, "a text that begins with a blank gets one more in front of it");
}

/* Does a token go on behind a newline, or begin before one? */
static bool crosses_lines(const vocabulary *v)
{
    for (int32_t id = 0; id < v->count; id++) {
        slice token = v->token[id];
        size_t newlines = 0;
        for (size_t i = 0; i < token.n; i++)
            newlines += token.p[i] == '\n';
        if (newlines && newlines < token.n && !(v->flags[id] & TOKEN_ADDED))
            return true;
    }
    return false;
}

/* Merges without scores. llama.cpp has two pre-tokenizers that leave a text as it is but for its lines: one that asks
 * the merges about newlines, and Gemma 4's, which does not, and always puts a token before a text. */
static int put_raw(gguf_export *e, const blanks *b, bool crossing)
{
    bool whole;
    if (b->prefixed)
        return gguf_refuse(e, "model.merges", NULL,
                           "the merges are not those of scores, which is what llama.cpp merges by");
    if (crossing && !b->lines)
        return gguf_refuse(e, "model.vocab", NULL,
                           "llama.cpp cuts a text at its line ends, and a token reaches over one");
    TRY(word_model_merges_newlines(&e->t->model, &whole));
    bool gemma = whole && e->before >= 0;
    e->scored = false;
    gguf_put_text(e->w, "tokenizer.ggml.model", slice_of(gemma ? "gemma4" : "gpt2"));
    gguf_put_text(e->w, "tokenizer.ggml.pre", slice_of(gemma ? "gemma4" : "sarvam-moe"));
    return put_merges(e);
}

int gguf_put_blanks(gguf_export *e)
{
    blanks b = { 0 };
    bool exact;
    TRY(check_affixes(e));
    TRY(read_normalisers(e, &b));
    TRY(read_splits(e, &b));
    TRY(check_bytes(e));
    if (b.cut)
        TRY(gguf_check_words(e));
    if (e->t->model.bpe.ignore_merges)
        return gguf_refuse(e, "model.ignore_merges", NULL, "llama.cpp always merges with this model");
    TRY(put_scores(e, &exact));
    bool crossing = crosses_lines(&e->t->vocabulary);
    if (!exact || (b.lines && crossing))
        return put_raw(e, &b, crossing);
    gguf_put_text(e->w, "tokenizer.ggml.model", slice_of("llama"));
    gguf_put_text(e->w, "tokenizer.ggml.pre", slice_of("default"));
    gguf_put_bool(e->w, "tokenizer.ggml.add_space_prefix", b.prefixed);
    note_blanks(e, &b);
    TRY(hide_unused(e));
    return b.from_sentencepiece ? gguf_unescape_user_defined(e, b.prefixed) : LORAC_OK;
}
