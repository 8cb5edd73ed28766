/* sentencepiece_tokenizer.c: a tokenizer from a SentencePiece model, equal to the sentencepiece library, with two
 * differences: control symbols are found in texts, and nothing is put around them unless someone asks. */
#include "sentencepiece_tokenizer.h"

#include <float.h>
#include <math.h>
#include <string.h>

static int fail_model(const sentencepiece *s, const char *key, const char *sentence)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = s->path, .key = key }, "%s", sentence);
}

/* ---- The vocabulary */

static uint8_t flags_of(const sentencepiece *s, const piece *p)
{
    switch (p->type) {
    case PIECE_CONTROL:
        return TOKEN_ADDED | TOKEN_SPECIAL | TOKEN_FOREIGN;
    case PIECE_USER_DEFINED:
        return TOKEN_ADDED;
    case PIECE_UNKNOWN:
        return TOKEN_VERBATIM | TOKEN_FOREIGN;
    case PIECE_BYTE:
        return TOKEN_BYTE | TOKEN_FOREIGN;
    case PIECE_UNUSED:
        return s->kind == SENTENCEPIECE_BPE ? TOKEN_UNUSED : TOKEN_FOREIGN;
    default:
        return 0;
    }
}

static int check_piece(const tokenizer *t, const sentencepiece *s, const piece *p)
{
    if (p->type == PIECE_UNKNOWN && t->roles[TOKEN_UNK] >= 0)
        return fail_model(s, "pieces", "there are two unknown pieces");
    if (p->type == PIECE_BYTE && byte_of_token(p->text) < 0)
        return fail_model(s, "pieces", "a byte piece is not of the form <0x0A>");
    if ((p->type == PIECE_CONTROL || p->type == PIECE_USER_DEFINED) && p->text.n > ADDED_TOKEN_LONGEST)
        return fail_model(s, "pieces", "a control or user-defined piece is longer than 1024 bytes");
    return LORAC_OK;
}

int sentencepiece_put_pieces(tokenizer *t, const sentencepiece *s, size_t more, bool find)
{
    TRY(tokenizer_allocate(t, s->count + more));
    for (size_t i = 0; i < s->count; i++) {
        const piece *p = &s->pieces[i];
        int32_t id = (int32_t)i;
        bool control = p->type == PIECE_CONTROL;
        TRY(check_piece(t, s, p));
        TRY(tokenizer_put(t, id, p->text, control && !find ? TOKEN_FOREIGN : flags_of(s, p), "pieces"));
        if (control && find)
            TRY(added_add(&t->added, (added_token){ .text = p->text, .id = id }));
        if (p->type == PIECE_UNKNOWN)
            t->roles[TOKEN_UNK] = id;
    }
    return t->roles[TOKEN_UNK] >= 0 ? LORAC_OK : fail_model(s, "pieces", "there is no unknown piece");
}

/* A role is its string's, if that is a control piece, and no one's if the trainer was told so. */
static int32_t role_of(const tokenizer *t, const sentencepiece *s, int64_t told, slice text)
{
    int32_t id = (int32_t)told < 0 ? -1 : tokenizer_id(t, text);
    return id >= 0 && (size_t)id < s->count && s->pieces[id].type == PIECE_CONTROL ? id : -1;
}

static int set_roles(tokenizer *t, const sentencepiece *s)
{
    t->roles[TOKEN_BOS] = role_of(t, s, s->begin, s->begin_text);
    t->roles[TOKEN_EOS] = role_of(t, s, s->end, s->end_text);
    t->roles[TOKEN_PAD] = role_of(t, s, s->pad, s->pad_text);
    t->vocabulary.spelling = arena_new(&t->memory, (size_t)t->vocabulary.count, sizeof *t->vocabulary.spelling);
    if (!t->vocabulary.spelling)
        return fail_memory();
    t->vocabulary.spelling[t->roles[TOKEN_UNK]] = s->unknown_surface;
    return tokenizer_add_end(t, t->roles[TOKEN_EOS]);
}

static int set_unknown(tokenizer *t, const sentencepiece *s)
{
    unknown_rule *rule = &t->model.unknown;
    unknown_rule_open(rule, &t->vocabulary);
    rule->id = t->roles[TOKEN_UNK];
    rule->fuse = true;
    rule->by_bytes = s->byte_fallback;
    for (int byte = 0; s->byte_fallback && byte < 256; byte++)
        if (rule->bytes[byte] < 0 || s->pieces[rule->bytes[byte]].type != PIECE_BYTE)
            return fail_model(s, "trainer_spec.byte_fallback", "not every byte has its piece, <0x00> to <0xFF>");
    return LORAC_OK;
}

/* ---- The models */

/* User-defined pieces are cut out after normalising; nothing merges with them. In a model of characters nothing merges
 * at all. */
static int build_bpe(tokenizer *t, const sentencepiece *s)
{
    size_t count = (size_t)t->vocabulary.count;
    float *scores = arena_new(&t->memory, count, sizeof *scores);
    if (!scores)
        return fail_memory();
    for (size_t i = s->count; i < count; i++)
        scores[i] = NAN;
    for (size_t i = 0; i < s->count; i++) {
        const piece *p = &s->pieces[i];
        bool merged = (p->type == PIECE_NORMAL || p->type == PIECE_UNUSED) && s->kind == SENTENCEPIECE_BPE;
        scores[i] = merged ? p->score : NAN;
        t->model.bpe.splits |= merged && p->type == PIECE_UNUSED;
        if (p->type == PIECE_USER_DEFINED)
            TRY(added_add(&t->added_normalised, (added_token){ .text = p->text, .id = (int32_t)i }));
    }
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, 0));
    t->model.bpe.scores = scores;
    t->model.kind = MODEL_BPE;
    return LORAC_OK;
}

/* User-defined pieces score better than any others, the more the longer they are. */
static double bonus_of(const piece *p, float highest)
{
    return (float)p->text.n * (highest > 0.1F ? highest : 0.1F) - 0.1F;
}

static int build_unigram(tokenizer *t, const sentencepiece *s)
{
    float lowest = FLT_MAX, highest = -FLT_MAX;
    size_t count = (size_t)t->vocabulary.count;
    double *scores = mem_new(count, sizeof *scores);
    if (!scores)
        return fail_memory();
    for (size_t i = 0; i < count; i++) {
        bool normal = i < s->count && s->pieces[i].type == PIECE_NORMAL;
        scores[i] = normal ? s->pieces[i].score : NAN;
        if (!normal)
            continue;
        lowest = fminf(lowest, s->pieces[i].score);
        highest = fmaxf(highest, s->pieces[i].score);
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->pieces[i].type == PIECE_USER_DEFINED)
            scores[i] = bonus_of(&s->pieces[i], highest);
    int status = unigram_open(&t->model.unigram, &t->vocabulary, scores);
    mem_free(scores);
    if (status == LORAC_OK)
        unigram_be_single(t->model.unigram, lowest);
    t->model.kind = MODEL_UNIGRAM;
    return status;
}

static int build_model(tokenizer *t, const sentencepiece *s)
{
    t->model.vocabulary = &t->vocabulary;
    TRY(set_unknown(t, s));
    switch (s->kind) {
    case SENTENCEPIECE_UNIGRAM:
        return build_unigram(t, s);
    case SENTENCEPIECE_BPE:
    case SENTENCEPIECE_CHAR:
        return build_bpe(t, s);
    case SENTENCEPIECE_WORD:
        break;
    }
    t->model.kind = MODEL_WORDLEVEL;
    t->model.at_blanks = true;
    return LORAC_OK;
}

/* ---- Around the model */

static int keep_user_defined(trie *kept, const sentencepiece *s)
{
    size_t count = 0;
    trie_entry *entries = mem_new(s->count, sizeof *entries);
    if (!entries)
        return fail_memory();
    for (size_t i = 0; i < s->count; i++)
        if (s->pieces[i].type == PIECE_USER_DEFINED)
            entries[count++] = (trie_entry){ s->pieces[i].text, (int32_t)i };
    int status = count ? trie_build(kept, entries, count) : LORAC_OK;
    mem_free(entries);
    return status;
}

static int build_spacing(tokenizer *t, const sentencepiece *s)
{
    normalise_step *step;
    TRY(tokenizer_add_normalise(t, NORMALISE_SENTENCEPIECE, &step));
    step->spacing.add_prefix = s->add_blank && !s->blank_behind;
    step->spacing.add_suffix = s->add_blank && s->blank_behind;
    step->spacing.squeeze = s->squeeze;
    step->spacing.escape = s->escape;
    TRY(keep_user_defined(&step->spacing.kept, s));
    fault where = { .file = s->path, .key = "normalizer_spec.precompiled_charsmap" };
    if (s->rules.n)
        TRY(precompiled_open(&step->spacing.rules, s->rules, &t->memory, where));
    sentencepiece_spacing_find_plain(&step->spacing);
    return LORAC_OK;
}

static int build_decoder(tokenizer *t, const sentencepiece *s)
{
    if (s->restores)
        return fail_model(s, "denormalizer_spec", "rules for decoded text are not supported");
    decode_step *step;
    TRY(tokenizer_add_decode(t, DECODE_SENTENCEPIECE, &step));
    step->prefixed = s->add_blank || s->squeeze;
    step->tidy = s->squeeze;
    return LORAC_OK;
}

int sentencepiece_build(tokenizer *t, const sentencepiece *s)
{
    TRY(set_roles(t, s));
    TRY(build_model(t, s));
    TRY(build_spacing(t, s));
    return build_decoder(t, s);
}

static int build(tokenizer *t, slice bytes)
{
    sentencepiece s;
    TRY(sentencepiece_parse(&s, bytes, &t->memory, t->path));
    TRY(sentencepiece_put_pieces(t, &s, 0, true));
    TRY(sentencepiece_build(t, &s));
    word_model_find_cuts(&t->model);
    return LORAC_OK;
}

int tokenizer_from_sentencepiece(tokenizer **out, slice bytes, const char *path)
{
    TRY(tokenizer_new(out, path));
    int status = build(*out, bytes);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
