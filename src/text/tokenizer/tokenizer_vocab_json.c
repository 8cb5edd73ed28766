/* tokenizer_vocab_json.c: a folder with GPT-2's two files, vocab.json and merges.txt, and no tokenizer.json. What
 * transformers (5.23) makes of them depends on the class that the folder names; a class is a row of a table. All is put
 * into the words of a tokenizer.json, so that nothing here knows how a tokenizer works. */
#include "file.h"
#include "folder_tokens.h"
#include "tokenizer_json.h"

#include <string.h>

enum { FILE_BYTES_MOST = 256 << 20 };

/* ---- Classes */

typedef struct bpe_class {
    const char *names; /* of tokenizer_class */
    const char *types; /* of config.json's model_type, for folders that name no class */
    const char *specials[SPECIAL_COUNT];
    const char *normaliser, *decoder; /* as in a tokenizer.json; NULL: none, that of the byte alphabet */
    const char *words;                /* the expression that cuts a text, NULL: GPT-2's */
    bool words_only;                  /* what it does not match goes; its words are cut by GPT-2's */
    bool digits;                      /* each is a word */
    const char *suffix;               /* of a word's last token */
    bool unknown;                     /* the model has an unknown token */
    bool takes_prefix;                /* add_prefix_space counts */
    bool prefixed;                    /* and is true where the files do not say */
    bool mask_left;                   /* a mask token takes the white space on its left */
    bool plain;                       /* special tokens lose the flags that the files give them */
    bool surrounded;                  /* by these two, whatever add_bos_token says */
    special_name first, last;
    bool trims; /* offsets, if trim_offsets says no other */
} bpe_class;

#define NFC "{\"type\":\"NFC\"}"
#define QWEN(letters, others)                                                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?" letters "+|\\p{N}| ?[^\\s" others "\\p{N}]+[\\r\\n]*" \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define REPLACE(kind, old, new) "{\"type\":\"Replace\",\"pattern\":{\"" kind "\":\"" old "\"},\"content\":\"" new "\"}"

static const char end_of_text[] = "<|endoftext|>";

static const bpe_class classes[] = {
    { .names = "GPT2Tokenizer CodeGenTokenizer",
      .types = "", /* all that stand nowhere else here */
      .specials = { end_of_text, end_of_text, end_of_text },
      .takes_prefix = true },
    { .names = "RobertaTokenizer BartTokenizer LongformerTokenizer LEDTokenizer MvpTokenizer",
      .types = "bart bridgetower clap data2vec-text ibert led lilt longformer mega mra mvp roberta "
               "roberta-prelayernorm",
      .specials = { "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" },
      .takes_prefix = true,
      .surrounded = true,
      .first = SPECIAL_CLS,
      .last = SPECIAL_SEP,
      .trims = true },
    { .names = "BlenderbotTokenizer",
      .types = "blenderbot",
      .specials = { "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" },
      .takes_prefix = true,
      .prefixed = true,
      .mask_left = true },
    { .names = "DebertaTokenizer",
      .types = "deberta",
      .specials = { "[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]" },
      .takes_prefix = true,
      .surrounded = true,
      .first = SPECIAL_CLS,
      .last = SPECIAL_SEP },
    { .names = "Qwen2Tokenizer",
      .types = "audioflamingo3 colqwen2 cosmos3_omni dots3_note fun_asr_nano hunyuan_vl internvl lighton_ocr "
               "moss_transcribe_diarize ovis2 qianfan_ocr qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl "
               "qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe vibevoice",
      .specials = { NULL, end_of_text, end_of_text, NULL, end_of_text },
      .normaliser = NFC,
      .words = QWEN("\\p{L}", "\\p{L}"),
      .takes_prefix = true,
      .plain = true },
    { .names = "Qwen3_5Tokenizer",
      .types = "qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen4_exp",
      .specials = { NULL, end_of_text, end_of_text, NULL, end_of_text },
      .normaliser = NFC,
      .words = QWEN("[\\p{L}\\p{M}]", "\\p{L}\\p{M}"),
      .takes_prefix = true },
    { .names = "CLIPTokenizer",
      .types = "aimv2 clip clipseg groupvit omdet-turbo oneformer owlv2 owlvit sam3 sam3_video xclip",
      .specials = { "<|startoftext|>", end_of_text, end_of_text, NULL, end_of_text },
      .normaliser = "{\"type\":\"Sequence\",\"normalizers\":[" NFC
                    "," REPLACE("Regex", "\\\\s+", " ") ",{\"type\":\"Lowercase\"}]}",
      /* the last: Python's strip() */
      .decoder =
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"}," REPLACE("String", "</w>", " ") "," REPLACE(
              "Regex", "\\\\A[\\\\s\\\\x1c-\\\\x1f]+|[\\\\s\\\\x1c-\\\\x1f]+\\\\z", "") "]}",
      .words = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
      .words_only = true,
      .suffix = "</w>",
      .unknown = true,
      .surrounded = true,
      .first = SPECIAL_BOS,
      .last = SPECIAL_EOS },
    { .names = "GPTNeoXTokenizer",
      .types = "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm",
      .specials = { end_of_text, end_of_text, end_of_text, NULL, "<|padding|>" },
      .normaliser = NFC,
      .takes_prefix = true },
    { .names = "CohereTokenizer",
      .types = "aya_vision cohere cohere2",
      .specials = { "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<UNK>", "<SEP>", "<PAD>", "<CLS>", "<MASK_TOKEN>" },
      .normaliser = NFC,
      .digits = true,
      .takes_prefix = true },
};

/* Models that have these files, but a class that makes something else of them. */
static const char other_types[] = "biogpt blenderbot-small clvp ctrl flaubert fsmt herbert layoutlmv3 luke "
                                  "markuplm nougat openai-gpt pp_formulanet whisper xlm";

/* A folder on its way. */
typedef struct reading {
    const char *path; /* of vocab.json */
    const bpe_class *class;
    folder_tokens tokens;
    json_t *vocab, *merges;
    buf merges_path;
} reading;

static int find_class(reading *r)
{
    const folder_tokens *f = &r->tokens;
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !r->class; i++)
        if (folder_is_class(f, classes[i].names, classes[i].types))
            r->class = &classes[i];
    if (!r->class && (f->class_name || folder_is_class(f, "", other_types)))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = r->path,
                                .found = f->class_name ? f->class_name : f->model_type,
                                .hint = "Save the tokenizer with transformers, which writes tokenizer.json" },
                       "the folder's %s is not one that is read from vocab.json and merges.txt",
                       f->class_name ? "tokenizer_class" : "model_type");
    if (!r->class)
        r->class = &classes[0];
    return LORAC_OK;
}

/* ---- The files */

static int read_vocabulary(reading *r)
{
    TRY(json_read(&r->vocab, r->path, FILE_BYTES_MOST, JSON_TAKE_NUL));
    if (!json_is_object(r->vocab) || !json_object_size(r->vocab))
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = r->path, .found = json_kind(r->vocab) },
                       "an object of tokens and ids was expected");
    return LORAC_OK;
}

static int need_token(const reading *r, slice token, fault where)
{
    return json_object_getn(r->vocab, token.p, token.n)
               ? LORAC_OK
               : fail_at(LORAC_ERROR_DATA, where, "the token \"%.*s\" of this merge is not in vocab.json",
                         (int)(token.n < 64 ? token.n : 64), token.p);
}

static int add_merge(reading *r, slice line, long number, buf *joined)
{
    fault where = { .file = r->merges_path.p, .line = number };
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (!line.n || slice_starts(line, "#version"))
        return LORAC_OK;
    if (utf8_valid(line) < line.n)
        return fail_at(LORAC_ERROR_DATA, where, "the line is not UTF-8");
    slice right = line, left = slice_cut(&right, ' ');
    if (!left.n || !right.n || memchr(right.p, ' ', right.n))
        return fail_at(LORAC_ERROR_DATA, where, "a merge is two tokens with a blank between them");
    TRY(need_token(r, left, where));
    TRY(need_token(r, right, where));
    buf_clear(joined);
    buf_slice(joined, left);
    buf_slice(joined, right);
    TRY(buf_status(joined));
    TRY(need_token(r, buf_slice_of(joined), where));
    json_t *merge = json_pack("[s%, s%]", left.p, left.n, right.p, right.n);
    return json_array_append_new(r->merges, merge) ? fail_memory() : LORAC_OK;
}

static int read_merges(reading *r, const char *folder)
{
    buf text = { 0 }, joined = { 0 };
    int status = path_join(&r->merges_path, folder, "merges.txt") ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && !path_exists(r->merges_path.p))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = folder },
                         "vocab.json without merges.txt is no tokenizer; the folder needs both, or a tokenizer.json");
    if (status == LORAC_OK)
        status = file_read(&text, r->merges_path.p, FILE_BYTES_MOST);
    slice rest = buf_slice_of(&text);
    for (long number = 1; status == LORAC_OK && rest.n; number++)
        status = add_merge(r, slice_cut(&rest, '\n'), number, &joined);
    buf_free(&text);
    buf_free(&joined);
    return status;
}

/* ---- The words of a tokenizer.json */

static int set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) ? fail_memory() : LORAC_OK;
}

static int set_model(const reading *r, json_t *json)
{
    json_t *model = json_pack("{s:s, s:O, s:O}", "type", "BPE", "vocab", r->vocab, "merges", r->merges);
    const char *unknown = r->class->unknown ? folder_special(&r->tokens, SPECIAL_UNK) : NULL;
    TRY(set(json, "model", model));
    if (unknown)
        TRY(set(model, "unk_token", json_string(unknown)));
    return r->class->suffix ? set(model, "end_of_word_suffix", json_string(r->class->suffix)) : LORAC_OK;
}

static int add_split(json_t *list, json_t *split)
{
    return json_array_append_new(list, split) ? fail_memory() : LORAC_OK;
}

static int set_splits(const reading *r, json_t *json, bool prefixed)
{
    const bpe_class *class = r->class;
    json_t *list = json_array();
    TRY(set(json, "pre_tokenizer", json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list)));
    if (class->digits)
        TRY(add_split(list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1)));
    if (class->words)
        TRY(add_split(list,
                      json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", class->words,
                                "behavior", class->words_only ? "Removed" : "Isolated", "invert", class->words_only)));
    return add_split(list, json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefixed,
                                     "trim_offsets", 1, "use_regex", !class->words || class->words_only));
}

static int set_surroundings(const reading *r, json_t *json, bool prefixed)
{
    const bpe_class *class = r->class;
    bool trims = class->trims;
    if (!class->surrounded)
        return LORAC_OK;
    if (trims)
        TRY(json_take_bool(r->tokens.config, "trim_offsets", &trims, r->tokens.path.p));
    return set(json, "post_processor", folder_surroundings(&r->tokens, class->first, class->last, trims, prefixed));
}

static int put_together(reading *r, json_t *json)
{
    folder_tokens *f = &r->tokens;
    const bpe_class *class = r->class;
    bool prefixed = class->prefixed;
    f->defaults = class->specials;
    f->mask_left = class->mask_left;
    folder_tokens_beside(f, r->vocab);
    TRY(folder_add_all(f));
    if (class->plain)
        TRY(folder_add_plainly(f));
    if (class->takes_prefix)
        TRY(json_take_bool(f->config, "add_prefix_space", &prefixed, f->path.p));
    TRY(set(json, "added_tokens", json_incref(f->list)));
    if (class->normaliser)
        TRY(set(json, "normalizer", json_loads(class->normaliser, 0, NULL)));
    TRY(set(json, "decoder", json_loads(class->decoder ? class->decoder : "{\"type\":\"ByteLevel\"}", 0, NULL)));
    TRY(set_model(r, json));
    TRY(set_splits(r, json, prefixed));
    return set_surroundings(r, json, prefixed);
}

static int read_all(reading *r, const char *folder, json_t **json)
{
    TRY(folder_tokens_open(&r->tokens, folder));
    TRY(find_class(r));
    TRY(read_vocabulary(r));
    r->merges = json_array();
    *json = json_object();
    if (!r->merges || !*json)
        return fail_memory();
    TRY(read_merges(r, folder));
    return put_together(r, *json);
}

int tokenizer_open_vocab_json(tokenizer **out, const char *path, const char *folder)
{
    reading r = { .path = path };
    json_t *json = NULL;
    *out = NULL;
    int status = read_all(&r, folder, &json);
    if (status == LORAC_OK)
        status = tokenizer_from_folder(out, json, path, &r.tokens, r.class->surrounded);
    json_decref(json);
    json_decref(r.vocab);
    json_decref(r.merges);
    buf_free(&r.merges_path);
    folder_tokens_free(&r.tokens);
    return status;
}
