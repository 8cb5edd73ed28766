/* api_text.c: lorac_text_*: tokenizer and chat template of a model. */
#include "api.h"

#include "json.h"

#include <string.h>

static bool is_model_folder(const char *folder)
{
    buf name = { 0 };
    const char *joined = path_join(&name, folder, "config.json");
    bool found = joined && path_exists(joined);
    buf_free(&name);
    return found;
}

static int open_tokenizer(lorac_text *text, const char *path)
{
    if (!path_exists(path))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path,
                                .hint = "give a model folder, a GGUF file or a name that `lorac pull --list` shows" },
                       "there is no such model");
    /* A model folder may come without a tokenizer: pre-tokenised rows and ids need none. */
    if (path_is_folder(path) && !tokenizer_is_in_folder(path) && is_model_folder(path))
        return LORAC_OK;
    if (path_is_folder(path))
        return tokenizer_open_folder(&text->tokenizer, path);
    TRY(gguf_open(&text->vocabulary, path));
    text->is_gguf = true;
    return tokenizer_open_gguf(&text->tokenizer, &text->vocabulary);
}

static int open_text(lorac_text **out, const char *path, const char *chat_template)
{
    *out = NULL;
    lorac_text *text = mem_new(1, sizeof *text);
    if (!text)
        return fail_memory();
    text->path = path ? mem_text(path) : NULL;
    int status = path && !text->path ? fail_memory() : LORAC_OK;
    if (path && status == LORAC_OK)
        status = open_tokenizer(text, path);
    if (status == LORAC_OK)
        status = chat_templates_open(&text->templates, text->tokenizer, chat_template);
    if (status != LORAC_OK) {
        lorac_text_close(text);
        return status;
    }
    *out = text;
    return LORAC_OK;
}

lorac_status lorac_text_open(lorac_text **out, const char *path, const char *chat_template)
{
    return open_text(out, path, chat_template);
}

int text_open_if_any(lorac_text **out, const char *path, const char *chat_template)
{
    *out = NULL;
    return path_is_folder(path) && !tokenizer_is_in_folder(path) ? LORAC_OK : open_text(out, path, chat_template);
}

void lorac_text_close(lorac_text *text)
{
    if (!text)
        return;
    chat_templates_free(&text->templates);
    tokenizer_free(text->tokenizer);
    if (text->is_gguf)
        gguf_close(&text->vocabulary);
    mem_free(text->path);
    mem_free(text);
}

const char *lorac_text_notes(const lorac_text *text)
{
    return text->tokenizer ? tokenizer_notes(text->tokenizer) : NULL;
}

static int need_tokenizer(const lorac_text *text)
{
    return text->tokenizer ? LORAC_OK
                           : fail_at(LORAC_ERROR_DATA, (fault){ .expected = "tokenizer.json in the model's folder" },
                                     "the model has no tokenizer");
}

lorac_status lorac_text_encode(const lorac_text *text, const char *utf8, size_t length, int add_special, int32_t **ids,
                               size_t *count)
{
    encoding e = { 0 };
    TRY(need_tokenizer(text));
    int status = tokenizer_encode(text->tokenizer, (slice){ utf8, length }, add_special, &e);
    if (status == LORAC_OK) {
        *ids = e.ids ? e.ids : mem_new(1, sizeof **ids);
        *count = e.count;
        e.ids = NULL;
    }
    encoding_free(&e);
    return status == LORAC_OK && !*ids ? fail_memory() : status;
}

lorac_status lorac_text_tokens(const lorac_text *text, const char *utf8, size_t length, const char *pair,
                               size_t pair_length, int add_special, lorac_tokens *out)
{
    encoding e = { 0 };
    slice first = { utf8, length }, second = { pair, pair_length };
    *out = (lorac_tokens){ 0 };
    TRY(need_tokenizer(text));
    int status = pair ? tokenizer_encode_pair(text->tokenizer, first, second, add_special, &e)
                      : tokenizer_encode(text->tokenizer, first, add_special, &e);
    if (status == LORAC_OK)
        *out = (lorac_tokens){ e.ids, e.begin, e.end, e.types, e.special, e.count };
    else
        encoding_free(&e);
    return status;
}

void lorac_tokens_free(lorac_tokens *tokens)
{
    mem_free(tokens->ids);
    mem_free(tokens->begin);
    mem_free(tokens->end);
    mem_free(tokens->types);
    mem_free(tokens->special);
    *tokens = (lorac_tokens){ 0 };
}

/* Hands a buffer's text to the caller, NUL-terminated. */
static int hand_over(buf *text, int status, char **utf8, size_t *length)
{
    if (status == LORAC_OK) {
        buf_add(text, "", 0); /* an empty text is a string too */
        status = buf_status(text);
    }
    if (status != LORAC_OK) {
        buf_free(text);
        return status;
    }
    *length = text->n;
    *utf8 = text->p ? text->p : mem_text("");
    return *utf8 ? LORAC_OK : fail_memory();
}

lorac_status lorac_text_decode(const lorac_text *text, const int32_t *ids, size_t count, int skip_special, char **utf8,
                               size_t *length)
{
    buf out = { 0 };
    TRY(need_tokenizer(text));
    return hand_over(&out, tokenizer_decode(text->tokenizer, ids, count, skip_special, &out), utf8, length);
}

const char *lorac_text_token(const lorac_text *text, int32_t id)
{
    return text->tokenizer ? tokenizer_token(text->tokenizer, id).p : NULL;
}

int lorac_text_has_template(const lorac_text *text)
{
    return chat_templates_any(&text->templates);
}

static int wrong_kind(const char *file, const char *key, const json_t *value, const char *expected)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = file, .key = key, .found = json_kind(value), .expected = expected },
                   "this is not a conversation");
}

static int render(const lorac_text *text, const json_t *root, const lorac_template_options *options, buf *out)
{
    const template *chosen;
    const char *file = options->file;
    template_input input = {
        .messages = json_object_get(root, "messages"),
        .tools = json_object_get(root, "tools"),
        .model = text->tokenizer ? tokenizer_template_variables(text->tokenizer) : NULL,
        .extra = json_object_get(root, "chat_template_kwargs"),
        .add_generation_prompt = options->add_generation_prompt,
        .bos = { options->bos, options->bos ? strlen(options->bos) : 0 },
        .eos = { options->eos, options->eos ? strlen(options->eos) : 0 },
        .date = options->date,
    };
    if (json_is_null(input.tools))
        input.tools = NULL;
    if (json_is_null(input.extra))
        input.extra = NULL;
    if (!json_is_array(input.messages))
        return wrong_kind(file, "messages", input.messages, "an array");
    if (input.tools && !json_is_array(input.tools))
        return wrong_kind(file, "tools", input.tools, "an array");
    if (input.extra && !json_is_object(input.extra))
        return wrong_kind(file, "chat_template_kwargs", input.extra, "an object");
    TRY(chat_templates_choose(&text->templates, input.tools, (fault){ 0 }, &chosen));
    return template_render(chosen, &input, out, NULL, NULL);
}

lorac_status lorac_text_render(const lorac_text *text, const char *messages_json, const lorac_template_options *options,
                               char **utf8, size_t *length)
{
    lorac_template_options given = options ? *options : (lorac_template_options){ 0 };
    json_t *root = NULL;
    buf out = { 0 };
    if (!given.file)
        given.file = "messages";
    int status = json_parse(&root, slice_of(messages_json), given.file, 1, JSON_TAKE_NUL);
    if (status == LORAC_OK)
        status = render(text, root, &given, &out);
    json_decref(root);
    return hand_over(&out, status, utf8, length);
}
