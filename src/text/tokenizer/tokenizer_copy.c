/* tokenizer_copy.c: the files of a tokenizer, from one folder to another as they are. */
#include "err.h"
#include "file.h"
#include "tokenizer_export.h"

enum { TOKENIZER_LIMIT = 256 << 20 };

int tokenizer_copy_folder(const char *from, const char *to)
{
    static const char *const names[] = {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "chat_template.jinja",
        "vocab.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "sentencepiece.model",
    };
    buf source = { 0 }, target = { 0 };
    int status = LORAC_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == LORAC_OK; i++) {
        if (!path_join(&source, from, names[i]) || !path_join(&target, to, names[i]))
            status = fail_memory();
        else if (path_exists(source.p))
            status = file_copy(source.p, target.p, TOKENIZER_LIMIT);
    }
    buf_free(&source);
    buf_free(&target);
    return status == LORAC_OK ? tokenizer_copy_templates(from, to) : status;
}
