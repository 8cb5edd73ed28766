/* sentencepiece_folder.c: the tokenizer of a folder with a SentencePiece model and no tokenizer.json. Where
 * tokenizer_config.json names a class of transformers that reads such a model in its own way, that way is taken:
 * pieces, merges and steps are what transformers 5 would write into tokenizer.json. Otherwise ids are those of the
 * sentencepiece library. In both cases the tokens that the folder's files add are found in texts. */
#include "file.h"
#include "scored_merges.h"
#include "sentencepiece_tokenizer.h"
#include "tokenizer_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MODEL_BYTES_MOST = 256 << 20, EXTRA_IDS_MOST = 1 << 16, SHIFTED_MORE = 5 };

/* ---- Classes */

typedef struct hf_class {
    const char *names; /* of tokenizer_class, without "Fast" */
    const char *types; /* of config.json's model_type, for folders that name no class */
    model_kind kind;
    const char *specials[SPECIAL_COUNT];
    int64_t extra_ids;        /* "<extra_id_0>" .. that the model gains; the file may say another number */
    int32_t unknown;          /* the id of the unknown token; -1: that of its name; -2: none, such characters vanish */
    bool shifted;             /* bos, pad, eos, unk stand in the place of the first three pieces, mask at the end */
    bool rules;               /* the model's own rules of normalising count */
    bool adds_eos, adds_both; /* both: as RoBERTa does */
    bool adds_bos;            /* where add_bos_token does not say otherwise */
    bool takes_prefix;        /* add_prefix_space counts */
    bool legacy;              /* so does legacy, and without a prefix decoding keeps the first blank */
    const special_default *own;
    const char *steps; /* as in a tokenizer.json */
} hf_class;

#define REPLACE_BLANKS "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"}"
#define BYTES_JOINED "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
#define WORDS                                                                                                         \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":"          \
    "\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}]},\"decoder\":{\"type\":" \
    "\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}}"

#define LLAMA_STEPS                                                                                                 \
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\",\"split\":" \
    "false},"                                                                                                       \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS "," BYTES_JOINED                             \
    ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}"

/* Texts are not put together around "<FILL_ME>", which transformers does when it encodes. */
static const special_default infilling[] = {
    { "prefix_token", "\u2581<PRE>" }, { "middle_token", "\u2581<MID>" }, { "suffix_token", "\u2581<SUF>" },
    { "eot_token", "\u2581<EOT>" },    { "fill_token", "<FILL_ME>" },     { 0 },
};

static const hf_class classes[] = {
    { .names = "LlamaTokenizer Phi3Tokenizer",
      .types = "",
      .kind = MODEL_BPE,
      .specials = { "<s>", "</s>", "<unk>" },
      .unknown = -2,
      .takes_prefix = true,
      .legacy = true,
      .steps = LLAMA_STEPS },
    { .names = "CodeLlamaTokenizer",
      .types = "code_llama",
      .kind = MODEL_BPE,
      .specials = { "<s>", "</s>", "<unk>" },
      .own = infilling,
      .unknown = -1,
      .adds_bos = true,
      .takes_prefix = true,
      .steps = LLAMA_STEPS },
    { .names = "GemmaTokenizer",
      .types = "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 t5gemma",
      .kind = MODEL_BPE,
      .specials = { "<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>" },
      .unknown = -1,
      .steps =
          "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"},"
          "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
          "\"MergedWithPrevious\",\"invert\":false},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS
          "," BYTES_JOINED "]}}" },
    { .names = "T5Tokenizer MT5Tokenizer",
      .types = "t5 mt5 switch_transformers",
      .kind = MODEL_UNIGRAM,
      .specials = { NULL, "</s>", "<unk>", NULL, "<pad>" },
      .extra_ids = 100,
      .unknown = 2,
      .rules = true,
      .adds_eos = true,
      .steps = WORDS },
    { .names = "XLMRobertaTokenizer",
      .types = "xlm-roberta",
      .kind = MODEL_UNIGRAM,
      .specials = { "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" },
      .unknown = 3,
      .shifted = true,
      .rules = true,
      .adds_both = true,
      .steps = WORDS },
};

/* These give the pieces other ids, each in its own way. */
static const char *const refused = "BarthezTokenizer BartphoTokenizer CamembertTokenizer "
                                   "LayoutXLMTokenizer M2M100Tokenizer MarianTokenizer MBartTokenizer MBart50Tokenizer "
                                   "MLukeTokenizer NllbTokenizer PegasusTokenizer PLBartTokenizer SeamlessM4TTokenizer "
                                   "Speech2TextTokenizer XGLMTokenizer XLNetTokenizer";

/* A folder on its way. */
typedef struct build {
    tokenizer *t;
    sentencepiece s;
    const hf_class *class; /* NULL: the library's way */
    folder_tokens tokens;
    int32_t model_count, next; /* tokens of the model; ids given out */
    int64_t extra_ids;
} build;

static int find_class(build *b)
{
    const folder_tokens *f = &b->tokens;
    if (folder_is_class(f, refused, ""))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = f->path.p,
                                .key = "tokenizer_class",
                                .found = f->class_name,
                                .hint = "Save the tokenizer with transformers, which writes tokenizer.json" },
                       "a SentencePiece model of this class gets other ids, which is not supported");
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !b->class; i++)
        if (folder_is_class(f, classes[i].names, classes[i].types))
            b->class = &classes[i];
    b->tokens.defaults = b->class ? b->class->specials : NULL;
    b->tokens.own = b->class ? b->class->own : NULL;
    return LORAC_OK;
}

/* ---- The model's tokens */

static int put(build *b, const char *text)
{
    char *copy = arena_text(&b->t->memory, text, strlen(text));
    return copy ? tokenizer_put(b->t, b->next++, slice_of(copy), 0, "pieces") : fail_memory();
}

static int put_specials(build *b, const special_name *which, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = folder_special(&b->tokens, which[i]);
        TRY(put(b, text ? text : b->class->specials[which[i]]));
    }
    return LORAC_OK;
}

static int put_extra_ids(build *b)
{
    char name[32];
    for (int64_t i = b->extra_ids; i-- > 0;) {
        snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        TRY(put(b, name));
    }
    return LORAC_OK;
}

static int put_model_tokens(build *b, size_t more)
{
    static const special_name first[] = { SPECIAL_BOS, SPECIAL_PAD, SPECIAL_EOS, SPECIAL_UNK }, last = SPECIAL_MASK;
    const sentencepiece *s = &b->s;
    b->extra_ids = b->class->extra_ids;
    if (b->extra_ids)
        TRY(json_take_int(b->tokens.config, "extra_ids", 0, EXTRA_IDS_MOST, &b->extra_ids, b->tokens.path.p));
    TRY(tokenizer_allocate(b->t, s->count + (size_t)b->extra_ids + SHIFTED_MORE + more));
    if (b->class->shifted)
        TRY(put_specials(b, first, 4));
    for (size_t i = b->class->shifted ? 3 : 0; i < s->count; i++)
        TRY(tokenizer_put(b->t, b->next++, s->pieces[i].text, 0, "pieces"));
    TRY(put_extra_ids(b));
    return b->class->shifted ? put_specials(b, &last, 1) : LORAC_OK;
}

/* ---- Added tokens */

static int64_t id_of(const void *data, const char *text)
{
    return tokenizer_id(data, slice_of(text));
}

/* A list of special tokens in the files takes the place of the model's own. */
static int add_pieces(build *b)
{
    bool listed = b->class && folder_lists_extra(&b->tokens);
    for (size_t i = 0; i < b->s.count && !listed; i++) {
        const piece *p = &b->s.pieces[i];
        if (p->type == PIECE_CONTROL || (b->class && p->type == PIECE_USER_DEFINED))
            TRY(folder_add(&b->tokens, p->text.p, p->type == PIECE_CONTROL));
    }
    char name[32];
    for (int64_t i = b->extra_ids; i-- > 0;) {
        snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        TRY(folder_add(&b->tokens, name, true));
    }
    return LORAC_OK;
}

/* ---- The class's model */

static size_t count_merges(const build *b)
{
    const vocabulary *v = &b->t->vocabulary;
    slice left, right;
    size_t count = 0;
    for (int32_t id = 0; id < b->model_count; id++)
        for (size_t at = 0; next_halves(v, v->token[id], &at, &left, &right);)
            count++;
    return count;
}

/* Every way to cut a token into two tokens is a merge: by the token's id, then by the length of the left part. */
static int add_merges(const build *b, buf *scratch)
{
    const vocabulary *v = &b->t->vocabulary;
    fault where = { .file = b->t->path, .key = "pieces" };
    slice left, right;
    uint32_t rank = 0;
    for (int32_t id = 0; id < b->model_count; id++)
        for (size_t at = 0; next_halves(v, v->token[id], &at, &left, &right);)
            TRY(bpe_add_merge(&b->t->model.bpe, v, scratch, left, right, rank++, true, &where));
    return LORAC_OK;
}

static int build_bpe(build *b)
{
    tokenizer *t = b->t;
    size_t count = count_merges(b);
    buf scratch = { 0 };
    if (count > VOCABULARY_MOST)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path }, "%zu merges are too many", count);
    TRY(bpe_open(&t->model.bpe, &t->vocabulary, count));
    int status = add_merges(b, &scratch);
    buf_free(&scratch);
    t->model.unknown.by_bytes = true;
    return status;
}

static int build_unigram(build *b)
{
    tokenizer *t = b->t;
    size_t count = (size_t)t->vocabulary.count, pieces = b->s.count, first = b->class->shifted ? 4 : 0;
    double *scores = mem_new(count, sizeof *scores);
    if (!scores)
        return fail_memory();
    for (size_t i = (size_t)b->model_count; i < count; i++)
        scores[i] = NAN;
    for (size_t i = b->class->shifted ? 3 : 0, id = first; i < pieces; i++, id++)
        scores[id] = b->s.pieces[i].score;
    int status = unigram_open(&t->model.unigram, &t->vocabulary, scores);
    mem_free(scores);
    return status;
}

static int build_model(build *b)
{
    tokenizer *t = b->t;
    const char *unknown = folder_special(&b->tokens, SPECIAL_UNK);
    unknown_rule *rule = &t->model.unknown;
    t->model.vocabulary = &t->vocabulary;
    t->model.kind = b->class->kind;
    unknown_rule_open(rule, &t->vocabulary);
    rule->fuse = true;
    rule->id = b->class->unknown;
    if (rule->id == -1 && unknown)
        rule->id = tokenizer_id(t, slice_of(unknown));
    if (rule->id < 0 || rule->id >= b->model_count)
        rule->id = -1;
    return b->class->kind == MODEL_BPE ? build_bpe(b) : build_unigram(b);
}

/* ---- The class's steps */

/* Llama's: legacy files put a blank before every part between special tokens, the others before the text. */
static int set_prefix(const build *b, json_t *steps)
{
    bool legacy = false, prefixed = true;
    json_t *metaspace = json_object_get(steps, "pre_tokenizer");
    if (!b->class->takes_prefix)
        return LORAC_OK;
    if (b->class->legacy)
        TRY(json_take_bool(b->tokens.config, "legacy", &legacy, b->tokens.path.p));
    TRY(json_take_bool(b->tokens.config, "add_prefix_space", &prefixed, b->tokens.path.p));
    const char *scheme = !prefixed ? "never" : legacy ? "always" : "first";
    if (!prefixed && b->class->legacy)
        json_array_remove(json_object_get(json_object_get(steps, "decoder"), "decoders"), 3);
    return json_object_set_new(metaspace, "prepend_scheme", json_string(scheme)) ? fail_memory() : LORAC_OK;
}

static int build_rules(build *b)
{
    if (!b->class->rules || !b->s.rules.n)
        return LORAC_OK;
    normalise_step *step = tokenizer_more_normalise(b->t, NORMALISE_PRECOMPILED);
    if (!step)
        return fail_memory();
    fault where = { .file = b->t->path, .key = "normalizer_spec.precompiled_charsmap" };
    return precompiled_open(&step->rules, b->s.rules, &b->t->memory, where);
}

static int read_steps(build *b)
{
    json_t *steps = b->class ? json_loads(b->class->steps, 0, NULL) : json_object();
    int status = steps ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && b->class)
        status = set_prefix(b, steps);
    if (status == LORAC_OK && json_object_set(steps, "added_tokens", b->tokens.list))
        status = fail_memory();
    if (status == LORAC_OK && b->class && b->class->adds_both &&
        json_object_set_new(steps, "post_processor",
                            folder_surroundings(&b->tokens, SPECIAL_BOS, SPECIAL_EOS, false, false)))
        status = fail_memory();
    if (status == LORAC_OK)
        status = tokenizer_read_steps(b->t, steps);
    json_decref(steps);
    return status;
}

static int set_roles(build *b)
{
    tokenizer *t = b->t;
    bool eos = b->class->adds_eos;
    tokenizer_take_specials(t, &b->tokens);
    t->keeps_templates = eos || b->class->adds_both;
    t->begins = b->class->adds_bos;
    return tokenizer_surround(t, -1, eos ? t->roles[TOKEN_EOS] : -1, 0);
}

/* ---- The whole */

static int put_tokens(build *b)
{
    folder_tokens *f = &b->tokens;
    if (b->class)
        TRY(put_model_tokens(b, folder_tokens_most(f)));
    else
        TRY(sentencepiece_put_pieces(b->t, &b->s, folder_tokens_most(f), false));
    if (!b->class)
        b->next = (int32_t)b->s.count;
    b->model_count = b->next;
    f->id_of = id_of;
    f->vocabulary = b->t;
    f->next = b->next;
    TRY(add_pieces(b));
    TRY(folder_add_all(f));
    b->t->vocabulary.count = (int32_t)f->next;
    return LORAC_OK;
}

static int build_all(build *b)
{
    TRY(find_class(b));
    TRY(put_tokens(b));
    if (!b->class) {
        TRY(sentencepiece_build(b->t, &b->s));
        return read_steps(b);
    }
    TRY(build_model(b));
    TRY(build_rules(b));
    TRY(read_steps(b));
    return set_roles(b);
}

int tokenizer_open_sentencepiece(tokenizer **out, const char *path, const char *folder)
{
    buf bytes = { 0 };
    build b = { 0 };
    *out = NULL;
    int status;
    TRY_GOTO(file_read(&bytes, path, MODEL_BYTES_MOST));
    TRY_GOTO(tokenizer_new(out, path));
    b.t = *out;
    TRY_GOTO(sentencepiece_parse(&b.s, buf_slice_of(&bytes), &b.t->memory, b.t->path));
    TRY_GOTO(folder_tokens_open(&b.tokens, folder));
    status = build_all(&b);
done:
    folder_tokens_free(&b.tokens);
    buf_free(&bytes);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
