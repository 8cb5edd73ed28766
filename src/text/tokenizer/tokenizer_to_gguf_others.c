/* tokenizer_to_gguf_others.c: the unigram model as GGUF ("t5": scores, SentencePiece's rules of normalising, what
 * happens to blanks), and WordPiece ("bert": its tokens with U+2581 where a word begins, and nothing where it goes on).
 */
#include "character_sets.h"
#include "tokenizer_to_folder.h"
#include "tokenizer_to_gguf.h"

#include <math.h>
#include <string.h>

/* ---- Unigram: the steps before it */

typedef struct unigram_steps {
    const precompiled *rules;
    bool written, prefixed;
    bool squeezed, trimmed;  /* blanks, between words and at the ends */
    bool words;              /* cut at white space, which goes */
    bool first, unless;      /* the prefix: of the whole text alone, unless there is one */
    bool from_sentencepiece; /* the library's own way */
} unigram_steps;

static int read_spacing(const gguf_export *e, const sentencepiece_spacing *s, unigram_steps *u)
{
    u->from_sentencepiece = true;
    u->rules = s->rules;
    u->written = s->escape;
    u->prefixed = s->add_prefix;
    u->squeezed = u->trimmed = s->squeeze;
    if (s->add_suffix)
        return gguf_refuse(e, "trainer_spec", "treat_whitespace_as_suffix", "llama.cpp has no key for it");
    if (s->squeeze && !s->add_prefix)
        return gguf_refuse(e, "normalizer_spec", "add_dummy_prefix",
                           "llama.cpp puts a blank in front wherever it removes other blanks");
    return s->escape ? LORAC_OK
                     : gguf_refuse(e, "normalizer_spec", "escape_whitespaces", "llama.cpp writes blanks as U+2581");
}

static bool replaces(const normalise_step *step, const char *expression, const char *content)
{
    return step->kind == NORMALISE_REPLACE && slice_is(step->content, content) && !step->pattern.literal.p &&
           slice_is(step->pattern.expression, expression);
}

static int read_normalisers(const gguf_export *e, unigram_steps *u)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->normalise_count; i++) {
        const normalise_step *step = &t->normalise[i];
        if (step->kind == NORMALISE_SENTENCEPIECE)
            TRY(read_spacing(e, &step->spacing, u));
        else if (step->kind == NORMALISE_PRECOMPILED && i == 0)
            u->rules = step->rules;
        else if (replaces(step, BLANKS_AT_ENDS, "") && !u->written && !u->prefixed)
            u->trimmed = true;
        else if (replaces(step, " {2,}", " ") && !u->written && !u->prefixed)
            u->squeezed = true;
        else if (replaces(step, BLANK_BEFORE_BLANKS, "") && u->prefixed && u->written)
            continue;
        else if (gguf_adds_blank(step) && !u->written)
            u->prefixed = true;
        else if (gguf_escapes_blanks(step))
            u->written = true;
        else
            TRY(gguf_leave_normaliser(e, step));
    }
    return LORAC_OK;
}

static void add_prefix(const split_step *step, unigram_steps *u)
{
    if (u->prefixed)
        return;
    u->prefixed = u->unless = true;
    u->first = step->only_first;
}

static int read_splits(const gguf_export *e, unigram_steps *u, bool *cut)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->split_count; i++) {
        const split_step *step = &t->split[i];
        bool ours = slice_is(step->content, "\u2581");
        if (step->kind == SPLIT_CHARACTERS && step->is_match == character_is_space &&
            step->behaviour == SPLIT_REMOVED && !u->written)
            u->words = true;
        else if (step->kind == SPLIT_BLANKS && ours && !u->written)
            u->written = true;
        else if (step->kind == SPLIT_PREFIX && ours && u->written)
            add_prefix(step, u);
        else if (step->kind == SPLIT_PATTERN && slice_is(step->pattern.literal, "\u2581") && u->written &&
                 step->behaviour == SPLIT_MERGED_WITH_NEXT && !step->invert)
            *cut = true;
        else
            return gguf_leave_split(e, step);
    }
    if (u->trimmed && !u->squeezed)
        return gguf_refuse(e, "normalizer", "Replace", "llama.cpp drops all blanks but those between words, or none");
    return u->written ? LORAC_OK : gguf_refuse(e, "pre_tokenizer", NULL, "llama.cpp writes blanks as U+2581");
}

/* Where words are cut apart, llama.cpp does the same if it finds blanks alone between them, and no token reaches over
 * two. */
static int check_words(const gguf_export *e, const unigram_steps *u)
{
    slice made;
    size_t length;
    if (u->words && (!u->prefixed || u->first))
        return gguf_refuse(e, "pre_tokenizer", "prepend_scheme", "llama.cpp has a blank before every word");
    for (const char *blank = "\t\n\r"; u->words && *blank; blank++)
        if (!u->rules || !precompiled_longest(u->rules, (slice){ blank, 1 }, &length, &made) || !slice_is(made, " "))
            return gguf_refuse(
                e, "pre_tokenizer", "WhitespaceSplit",
                "llama.cpp cuts at blanks, and no rule of precompiled_charsmap makes blanks of line ends");
    return gguf_check_words(e);
}

static void note_blanks(const gguf_export *e, const unigram_steps *u)
{
    if (u->prefixed && u->first)
        gguf_note(e, "every part of a text between special tokens gets a blank in front, not the first alone");
    if (u->prefixed && u->unless && !u->squeezed && !u->words)
        gguf_note(e, "a text that begins with a blank gets one more in front of it");
    if (u->squeezed && !u->trimmed && !u->words)
        gguf_note(e, "blanks at the end of a text are dropped");
}

static int put_rules(const gguf_export *e, const precompiled *rules)
{
    buf bytes = { 0 };
    precompiled_write(rules, &bytes);
    int status = buf_status(&bytes);
    if (status == LORAC_OK)
        gguf_put_bytes(e->w, "tokenizer.ggml.precompiled_charsmap", buf_slice_of(&bytes));
    buf_free(&bytes);
    return status;
}

int gguf_put_unigram(gguf_export *e)
{
    unigram_steps u = { 0 };
    bool cut = false;
    TRY(read_normalisers(e, &u));
    TRY(read_splits(e, &u, &cut));
    if (cut || u.words)
        TRY(check_words(e, &u));
    if (e->t->model.unknown.by_bytes)
        return gguf_refuse(e, "model.byte_fallback", NULL,
                           "llama.cpp makes the unknown token of a character that a unigram model has no token for");
    if (e->t->model.unknown.id < 0)
        return gguf_refuse(e, "model.unk_id", NULL, "llama.cpp needs an unknown token");
    TRY(gguf_type_scored(e, unigram_scores(e->t->model.unigram)));
    gguf_put_text(e->w, "tokenizer.ggml.model", slice_of("t5"));
    gguf_put_text(e->w, "tokenizer.ggml.pre", slice_of("default"));
    gguf_put_bool(e->w, "tokenizer.ggml.add_space_prefix", u.prefixed);
    gguf_put_bool(e->w, "tokenizer.ggml.remove_extra_whitespaces", u.squeezed || u.words);
    note_blanks(e, &u);
    if (u.from_sentencepiece)
        TRY(gguf_unescape_user_defined(e, u.prefixed));
    return u.rules ? put_rules(e, u.rules) : LORAC_OK;
}

/* ---- WordPiece */

typedef struct bert_steps {
    bool clean, chinese, decomposed, accents, lowercase; /* accents: they are left out */
} bert_steps;

static int read_bert_normalisers(const gguf_export *e, bert_steps *b)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->normalise_count; i++) {
        const normalise_step *step = &t->normalise[i];
        if (step->kind == NORMALISE_CLEAN)
            b->clean = true;
        else if (step->kind == NORMALISE_CHINESE)
            b->chinese = true;
        else if (step->kind == NORMALISE_LOWERCASE)
            b->lowercase = true;
        else if (step->kind == NORMALISE_NFD && !b->decomposed)
            b->decomposed = true;
        else if (step->kind == NORMALISE_STRIP_ACCENTS && b->decomposed)
            b->accents = true;
        else
            TRY(gguf_leave_normaliser(e, step));
    }
    if (b->decomposed && !b->accents)
        return gguf_refuse(e, "normalizer", "NFD", "llama.cpp decomposes characters only to drop their accents");
    if (!b->chinese)
        return gguf_refuse(e, "normalizer", "handle_chinese_chars", "llama.cpp takes every ideograph for a word");
    if (b->accents)
        gguf_note(e, "of a character with accents the first part is kept, which for Hangul is another one");
    if (!b->clean)
        gguf_note(e, "control characters are dropped (clean_text)");
    return LORAC_OK;
}

static bool is_split(const split_step *step, bool (*is_match)(uint32_t), split_behaviour behaviour)
{
    return step->kind == SPLIT_CHARACTERS && step->is_match == is_match && step->behaviour == behaviour;
}

static int check_bert_splits(const gguf_export *e)
{
    const tokenizer *t = e->t;
    for (size_t i = 0; i < t->split_count; i++)
        if (i > 1 || !is_split(&t->split[i], i ? character_is_punctuation : character_is_space,
                               i ? SPLIT_ISOLATED : SPLIT_REMOVED))
            return gguf_leave_split(e, &t->split[i]);
    return t->split_count == 2 ? LORAC_OK
                               : gguf_refuse(e, "pre_tokenizer", NULL, "llama.cpp has BERT's pre-tokenizer alone");
}

/* Tokens that go on lose the prefix, the others gain U+2581. Two that would be one: the second is hidden. */
static int mark_beginnings(gguf_export *e)
{
    slice prefix = e->t->model.wordpiece.prefix;
    map taken = { 0 };
    int status = LORAC_OK;
    for (size_t id = 0; id < e->count && status == LORAC_OK; id++) {
        slice token = e->tokens[id];
        bool found, goes_on = token.n > prefix.n && prefix.n && !memcmp(token.p, prefix.p, prefix.n);
        if (e->types[id] == TYPE_NORMAL && goes_on)
            token = (slice){ token.p + prefix.n, token.n - prefix.n };
        else if (e->types[id] == TYPE_NORMAL)
            token = slice_of(arena_format(&e->memory, "\u2581%.*s", (int)token.n, token.p));
        status = token.p ? map_add(&taken, token, (int64_t)id, &found) : fail_memory();
        e->tokens[id] = token;
        if (status == LORAC_OK && found)
            status = gguf_hide_token(e, id);
    }
    map_free(&taken);
    return status;
}

int gguf_put_bert(gguf_export *e)
{
    bert_steps b = { 0 };
    TRY(read_bert_normalisers(e, &b));
    TRY(check_bert_splits(e));
    if (e->t->model.wordpiece.characters_most < 100)
        gguf_note(e, "long words are cut into tokens, too (max_input_chars_per_word has no place there)");
    TRY(mark_beginnings(e));
    gguf_put_text(e->w, "tokenizer.ggml.model", slice_of("bert"));
    gguf_put_text(e->w, "tokenizer.ggml.pre", slice_of("default"));
    gguf_put_bool(e->w, "tokenizer.ggml.normalizer.lowercase", b.lowercase);
    gguf_put_bool(e->w, "tokenizer.ggml.normalizer.strip_accents", b.accents);
    return LORAC_OK;
}
