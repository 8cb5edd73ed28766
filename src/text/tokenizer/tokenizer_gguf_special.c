/* tokenizer_gguf_special.c: tokens that llama.cpp takes for control tokens by their text, whatever their type, tokens
 * that end a generation, and the white space that special tokens of some models take. The file does not say these
 * things, so llama.cpp's lists are the reference. */
#include "tokenizer_gguf.h"

#include <ctype.h>
#include <string.h>

static int32_t find(const gguf_reader *r, const char *token)
{
    return (int32_t)map_find(&r->t->vocabulary.ids, slice_of(token));
}

/* The first of the blank-separated names that is a token, or -1. */
static int32_t find_first(const gguf_reader *r, const char *names)
{
    for (slice rest = slice_of(names); rest.n;) {
        int64_t id = map_find(&r->t->vocabulary.ids, slice_cut(&rest, ' '));
        if (id >= 0)
            return (int32_t)id;
    }
    return -1;
}

/* ---- Fill-in-the-middle tokens */

typedef struct middle_token {
    const char *key, *old_key, *names;
    bool ends;
} middle_token;

static const middle_token middle_tokens[] = {
    { "tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id",
      "<|fim_prefix|> <fim-prefix> <fim_prefix> <\uFF5Cfim\u2581begin\uFF5C> <PRE> \u2581<PRE> <|code_prefix|> "
      "<|prefix|>",
      false },
    { "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id",
      "<|fim_suffix|> <fim-suffix> <fim_suffix> <\uFF5Cfim\u2581hole\uFF5C> <SUF> \u2581<SUF> <|code_suffix|> "
      "<|suffix|>",
      false },
    { "tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id",
      "<|fim_middle|> <fim-middle> <fim_middle> <\uFF5Cfim\u2581end\uFF5C> <MID> \u2581<MID> <|code_middle|> "
      "<|middle|>",
      false },
    { "tokenizer.ggml.fim_pad_token_id", NULL, "<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]", true },
    { "tokenizer.ggml.fim_rep_token_id", NULL, "<|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame>", true },
    { "tokenizer.ggml.fim_sep_token_id", NULL, "<|file_sep|>", true },
};

static int read_middle_token(gguf_reader *r, const middle_token *m)
{
    int64_t id = -1;
    TRY(gguf_reader_id(r, m->key, &id));
    if (m->old_key)
        TRY(gguf_reader_id(r, m->old_key, &id));
    if (id < 0) {
        id = find_first(r, m->names);
        if (id >= 0)
            r->types[id] = TYPE_CONTROL;
    }
    return m->ends ? tokenizer_add_end(r->t, id) : LORAC_OK;
}

/* ---- Ends */

static const char *const ends_by_text =
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> "
    "<EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> "
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C> [e~[";

bool gguf_ends_by_text(slice token)
{
    return name_is_in(ends_by_text, token);
}

static int add_ends_by_text(gguf_reader *r)
{
    for (slice rest = slice_of(ends_by_text); rest.n;) {
        int32_t id = (int32_t)map_find(&r->t->vocabulary.ids, slice_cut(&rest, ' '));
        if (id < 0)
            continue;
        r->types[id] = TYPE_CONTROL;
        TRY(tokenizer_add_end(r->t, id));
    }
    return LORAC_OK;
}

static bool is_end(const tokenizer *t, int32_t id)
{
    for (size_t i = 0; id >= 0 && i < t->end_count; i++)
        if (t->ends[i] == id)
            return true;
    return false;
}

static void take_end_away(gguf_reader *r, const char *token, uint8_t type)
{
    tokenizer *t = r->t;
    int32_t id = find(r, token);
    if (!is_end(t, id))
        return;
    size_t kept = 0;
    for (size_t i = 0; i < t->end_count; i++)
        if (t->ends[i] != id)
            t->ends[kept++] = t->ends[i];
    t->end_count = kept;
    r->types[id] = type;
}

/* Two vocabularies have a token that ends other models' generations, and not theirs. */
static void correct_ends(gguf_reader *r)
{
    const tokenizer *t = r->t;
    bool calls = is_end(t, find(r, "<|call|>")) || is_end(t, find(r, "<|calls|>"));
    if (calls && (is_end(t, find(r, "<|return|>")) || is_end(t, find(r, "<|flush|>"))))
        take_end_away(r, "<|end|>", TYPE_USER_DEFINED);
    if (is_end(t, find(r, "<|tool_response>")) || is_end(t, find(r, "<|plamo:eos|>")))
        take_end_away(r, "</s>", TYPE_NORMAL);
}

int gguf_read_known_tokens(gguf_reader *r)
{
    static const char *const shown[] = { "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>" };
    int64_t eot = -1, eom = -1;
    TRY(gguf_reader_id(r, "tokenizer.ggml.eot_token_id", &eot));
    TRY(gguf_reader_id(r, "tokenizer.ggml.eom_token_id", &eom));
    TRY(add_ends_by_text(r));
    for (size_t i = 0; i < sizeof middle_tokens / sizeof *middle_tokens; i++)
        TRY(read_middle_token(r, &middle_tokens[i]));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (find(r, shown[i]) >= 0)
            r->types[find(r, shown[i])] = TYPE_USER_DEFINED;
    TRY(tokenizer_add_end(r->t, r->t->roles[TOKEN_EOS]));
    TRY(tokenizer_add_end(r->t, eot));
    TRY(tokenizer_add_end(r->t, eom));
    correct_ends(r);
    return LORAC_OK;
}

/* ---- White space that special tokens take, by the names of models */

static bool has(slice text, const char *part)
{
    return text.n && memmem(text.p, text.n, part, strlen(part)) != NULL;
}

typedef struct taking {
    const char *left; /* this token takes white space on its left */
    bool right;       /* all but three take it on their right */
} taking;

static int read_taking(const gguf_reader *r, taking *out)
{
    slice pre = { 0 }, architecture = { 0 }, name = { 0 };
    buf lower = { 0 };
    *out = (taking){ 0 };
    TRY(gguf_take_text(r->g, "tokenizer.ggml.pre", &pre));
    TRY(gguf_take_text(r->g, "general.architecture", &architecture));
    TRY(gguf_take_text(r->g, "general.name", &name));
    for (size_t i = 0; i < name.n; i++)
        buf_char(&lower, (char)tolower((unsigned char)name.p[i]));
    name = buf_slice_of(&lower);
    if (has(pre, "jina-v2-de") || has(pre, "jina-v2-es") || has(pre, "jina-v2-code") ||
        has(architecture, "nomic-bert-moe") || has(architecture, "jina-bert-v3"))
        out->left = "<mask>";
    else if (has(name, "phi-3") || has(name, "phi3"))
        out->right = true;
    else if (has(name, "modern-bert"))
        out->left = "[MASK]";
    int status = buf_status(&lower);
    buf_free(&lower);
    return status;
}

int gguf_add_special_tokens(gguf_reader *r)
{
    tokenizer *t = r->t;
    taking how;
    TRY(read_taking(r, &how));
    t->added.order = ADDED_LONGEST;
    for (int32_t id = 0; id < t->vocabulary.count; id++) {
        slice token = t->vocabulary.token[id];
        if (!(t->vocabulary.flags[id] & TOKEN_ADDED))
            continue;
        if (token.n > ADDED_TOKEN_LONGEST || utf8_valid(token) != token.n)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "tokenizer.ggml.tokens" },
                           "the special token %d is longer than %d bytes or not UTF-8", id, ADDED_TOKEN_LONGEST);
        bool left = how.left && slice_is(token, how.left);
        bool right = how.right && !name_is_in("<unk> <s> <|endoftext|>", token);
        TRY(added_add(&t->added, (added_token){ .text = token, .id = id, .strip_left = left, .strip_right = right }));
    }
    return LORAC_OK;
}
