/* tokenizer_folder.c: which of a Hugging Face folder's files holds its tokenizer. The first that is there is it; the
 * files beside it say the rest. */
#include "file.h"
#include "tokenizer_parts.h"

static int open_json(tokenizer **out, const char *path, const char *folder)
{
    (void)folder;
    TRY(tokenizer_open_json_file(out, path));
    (*out)->keeps_templates = true;
    return LORAC_OK;
}

static const struct {
    const char *name;
    int (*open)(tokenizer **, const char *path, const char *folder);
} files[] = {
    { "tokenizer.json", open_json },
    { "tokenizer.model", tokenizer_open_sentencepiece },
    { "spiece.model", tokenizer_open_sentencepiece },
    { "sentencepiece.bpe.model", tokenizer_open_sentencepiece },
    { "sentencepiece.model", tokenizer_open_sentencepiece },
    { "vocab.json", tokenizer_open_vocab_json },
    { "vocab.txt", tokenizer_open_vocab_txt },
};

static int open_first(tokenizer **out, const char *folder, buf *path)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        buf_clear(path);
        if (!path_join(path, folder, files[i].name))
            return fail_memory();
        if (path_exists(path->p))
            return files[i].open(out, path->p, folder);
    }
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = folder },
                   "the folder has no tokenizer: no tokenizer.json, and no tokenizer.model, spiece.model, "
                   "sentencepiece.bpe.model, sentencepiece.model, vocab.json or vocab.txt");
}

bool tokenizer_is_in_folder(const char *folder)
{
    static const char *const others[] = { "tokenizer_config.json" };
    size_t count = sizeof files / sizeof *files, all = count + sizeof others / sizeof *others;
    buf path = { 0 };
    bool any = false;
    for (size_t i = 0; i < all && !any; i++) {
        buf_clear(&path);
        const char *joined = path_join(&path, folder, i < count ? files[i].name : others[i - count]);
        any = joined && path_exists(joined);
    }
    buf_free(&path);
    return any;
}

int tokenizer_open_folder(tokenizer **out, const char *folder)
{
    buf path = { 0 };
    *out = NULL;
    int status = open_first(out, folder, &path);
    buf_free(&path);
    if (status == LORAC_OK)
        status = tokenizer_read_config(*out, folder);
    if (status != LORAC_OK) {
        tokenizer_free(*out);
        *out = NULL;
    }
    return status;
}
