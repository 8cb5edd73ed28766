/* tokenizer_vocab_txt.c: a BERT folder from before tokenizer.json: vocab.txt, a token a line, and what
 * tokenizer_config.json says. It is put into the words of a tokenizer.json, as transformers (5.23, BertTokenizer) does,
 * so that nothing here knows how a tokenizer works. */
#include "file.h"
#include "tokenizer_json.h"

enum { VOCAB_BYTES_MOST = 256 << 20 };

typedef struct reading {
    const char *path; /* of vocab.txt */
    folder_tokens tokens;
    json_t *vocab;
} reading;

/* ---- The vocabulary */

/* The line without white space at its end. */
static slice token_of(slice line)
{
    size_t end = 0;
    for (size_t at = 0; at < line.n;)
        if (!character_is_space(utf8_next(line, &at)))
            end = at;
    return (slice){ line.p, end };
}

static int add_line(reading *r, slice line, long number)
{
    slice token = token_of(line);
    fault where = { .file = r->path, .line = number };
    if (utf8_valid(token) < token.n)
        return fail_at(LORAC_ERROR_DATA, where, "the line is not UTF-8");
    const json_t *before = json_object_getn(r->vocab, token.p, token.n);
    if (before)
        return fail_at(LORAC_ERROR_DATA, where, "the token \"%.*s\" is on line %lld already", (int)token.n, token.p,
                       (long long)json_integer_value(before) + 1);
    return json_object_setn_new_nocheck(r->vocab, token.p, token.n, json_integer(number - 1)) ? fail_memory()
                                                                                              : LORAC_OK;
}

static int read_lines(reading *r)
{
    buf text = { 0 };
    int status = file_read(&text, r->path, VOCAB_BYTES_MOST);
    slice rest = buf_slice_of(&text);
    for (long number = 1; status == LORAC_OK && rest.n; number++)
        status = add_line(r, slice_cut(&rest, '\n'), number);
    buf_free(&text);
    return status;
}

/* Tokenizers of other classes read a vocab.txt otherwise. */
static int check_class(const reading *r)
{
    static const char names[] = "BertTokenizer DistilBertTokenizer ElectraTokenizer MobileBertTokenizer "
                                "ConvBertTokenizer SqueezeBertTokenizer LayoutLMTokenizer LxmertTokenizer";
    const char *name = r->tokens.class_name;
    return !name || folder_is_class(&r->tokens, names, "")
               ? LORAC_OK
               : fail_at(LORAC_ERROR_DATA, (fault){ .file = r->path, .key = "tokenizer_class", .found = name },
                         "a vocab.txt is read for BERT's classes only; save the tokenizer as tokenizer.json");
}

/* ---- The whole */

/* [CLS] A [SEP], and B [SEP] of type 1. */
static json_t *surroundings(const folder_tokens *f)
{
    static const char first[] = "{s:{s:s, s:i}}";
    json_t *single = json_pack("[o, o, o]", json_pack(first, "SpecialToken", "id", "c", "type_id", 0),
                               json_pack(first, "Sequence", "id", "A", "type_id", 0),
                               json_pack(first, "SpecialToken", "id", "s", "type_id", 0));
    json_t *pair = json_copy(single);
    json_array_append_new(pair, json_pack(first, "Sequence", "id", "B", "type_id", 1));
    json_array_append_new(pair, json_pack(first, "SpecialToken", "id", "s", "type_id", 1));
    return json_pack("{s:s, s:o, s:o, s:{s:{s:s, s:[I]}, s:{s:s, s:[I]}}}", "type", "TemplateProcessing", "single",
                     single, "pair", pair, "special_tokens", "c", "id", "c", "ids",
                     (json_int_t)folder_special_id(f, SPECIAL_CLS), "s", "id", "s", "ids",
                     (json_int_t)folder_special_id(f, SPECIAL_SEP));
}

/* null in a file takes a token away. */
static int need_special(const folder_tokens *f, special_name which, const char *key)
{
    return folder_special(f, which) ? LORAC_OK
                                    : fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path.p, .key = key },
                                              "a tokenizer of this class needs the token");
}

static int put_together(reading *r, json_t **out)
{
    folder_tokens *f = &r->tokens;
    bool lowercase = true, chinese = true;
    json_t *accents = json_object_get(f->config, "strip_accents");
    TRY(folder_add_all(f));
    TRY(need_special(f, SPECIAL_UNK, "unk_token"));
    TRY(need_special(f, SPECIAL_CLS, "cls_token"));
    TRY(need_special(f, SPECIAL_SEP, "sep_token"));
    TRY(json_take_bool(f->config, "do_lower_case", &lowercase, f->path.p));
    TRY(json_take_bool(f->config, "tokenize_chinese_chars", &chinese, f->path.p));
    *out = json_pack("{s:{s:s, s:b, s:b, s:O, s:b}, s:{s:s}, s:{s:s, s:s, s:O}, s:o, s:{s:s, s:s, s:b}, s:O}",
                     "normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", chinese,
                     "strip_accents", accents ? accents : json_null(), "lowercase", lowercase, "pre_tokenizer", "type",
                     "BertPreTokenizer", "model", "type", "WordPiece", "unk_token", folder_special(f, SPECIAL_UNK),
                     "vocab", r->vocab, "post_processor", surroundings(f), "decoder", "type", "WordPiece", "prefix",
                     "##", "cleanup", 1, "added_tokens", f->list);
    return *out ? LORAC_OK : fail_memory();
}

static int read_all(reading *r, const char *folder, json_t **out)
{
    static const char *const defaults[SPECIAL_COUNT] = { NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]" };
    folder_tokens *f = &r->tokens;
    TRY(folder_tokens_open(f, folder));
    TRY(check_class(r));
    r->vocab = json_object();
    if (!r->vocab)
        return fail_memory();
    TRY(read_lines(r));
    f->defaults = defaults;
    folder_tokens_beside(f, r->vocab);
    return put_together(r, out);
}

int tokenizer_open_vocab_txt(tokenizer **out, const char *path, const char *folder)
{
    reading r = { .path = path };
    json_t *json = NULL;
    *out = NULL;
    int status = read_all(&r, folder, &json);
    if (status == LORAC_OK)
        status = tokenizer_from_folder(out, json, path, &r.tokens, true);
    json_decref(json);
    json_decref(r.vocab);
    folder_tokens_free(&r.tokens);
    return status;
}
