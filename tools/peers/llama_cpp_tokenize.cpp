// llama_cpp_tokenize.cpp: llama.cpp's tokenizer as a filter, for comparing. Usage: llama-tokenize-many VOCABULARY.gguf
// From standard input, until its end: a flag byte (1: add special tokens, 2: recognise them in the text), a length (u32)
// and so many bytes of text. To standard output, for each: the ids (a u32 count, then i32 each), what they are as text
// with special tokens and without (a u32 length, then the bytes). First of all a u32: the number of tokens that end a
// generation, and then their ids.
#include "llama.h"

#include <cstdio>
#include <string>
#include <vector>

static void put_u32(uint32_t n)
{
    fwrite(&n, sizeof n, 1, stdout);
}

static void put_text(const llama_vocab *vocab, const std::vector<llama_token> &ids, bool special)
{
    std::string text(64, 0);
    for (;;) {
        int32_t n = llama_detokenize(vocab, ids.data(), (int32_t)ids.size(), &text[0], (int32_t)text.size(), false,
                                     special);
        if (n >= 0) {
            put_u32((uint32_t)n);
            fwrite(text.data(), 1, (size_t)n, stdout);
            return;
        }
        text.resize((size_t)-n);
    }
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    llama_log_set([](ggml_log_level level, const char *text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR)
            fputs(text, stderr);
    }, nullptr);
    llama_backend_init();
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model *model = llama_model_load_from_file(words[1], params);
    if (!model)
        return 3;
    const llama_vocab *vocab = llama_model_get_vocab(model);
    std::vector<uint32_t> ends;
    for (int32_t id = 0; id < llama_vocab_n_tokens(vocab); id++)
        if (llama_vocab_is_eog(vocab, id))
            ends.push_back((uint32_t)id);
    put_u32((uint32_t)ends.size());
    fwrite(ends.data(), sizeof(uint32_t), ends.size(), stdout);
    for (int flags; (flags = getchar()) != EOF;) {
        uint32_t length;
        if (fread(&length, sizeof length, 1, stdin) != 1)
            return 1;
        std::string text(length, 0);
        if (length && fread(&text[0], 1, length, stdin) != length)
            return 1;
        std::vector<llama_token> ids(length + 8);
        int32_t n = llama_tokenize(vocab, text.data(), (int32_t)length, ids.data(), (int32_t)ids.size(), flags & 1,
                                   flags & 2);
        if (n < 0) {
            ids.resize((size_t)-n);
            n = llama_tokenize(vocab, text.data(), (int32_t)length, ids.data(), (int32_t)ids.size(), flags & 1,
                               flags & 2);
        }
        ids.resize((size_t)n);
        put_u32((uint32_t)n);
        fwrite(ids.data(), sizeof(llama_token), ids.size(), stdout);
        put_text(vocab, ids, true);
        put_text(vocab, ids, false);
        fflush(stdout);
    }
    llama_model_free(model);
    return 0;
}
