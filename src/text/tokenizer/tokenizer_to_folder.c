/* tokenizer_to_folder.c: GGUF metadata as the files of a Hugging Face folder: tokenizer.json around its model
 * (tokenizer_to_folder_models.c), tokenizer_config.json, generation_config.json, chat templates. */
#include "tokenizer_to_folder.h"

#include "file.h"
#include "tokenizer_export.h"

#include <stdlib.h>
#include <string.h>

json_t *json_of_slice(slice s)
{
    return json_stringn_nocheck(s.p, s.n);
}

static json_t *added_list(const tokenizer *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->added.count; i++) {
        const added_token *a = &t->added.tokens[i];
        json_array_append_new(list,
                              json_pack("{s:i,s:o,s:b,s:b,s:b,s:b,s:b}", "id", a->id, "content", json_of_slice(a->text),
                                        "single_word", 0, "lstrip", (int)a->strip_left, "rstrip", (int)a->strip_right,
                                        "normalized", 0, "special", (t->vocabulary.flags[a->id] & TOKEN_SPECIAL) != 0));
    }
    return list;
}

/* "single" of a TemplateProcessing: the added ids around the text. */
json_t *json_of_surroundings(const tokenizer *t)
{
    for (size_t i = 0; i < t->post_count; i++) {
        if (t->post[i].kind != POST_TEMPLATE)
            continue;
        json_t *single = json_array(), *specials = json_object();
        for (size_t j = 0; j < t->post[i].single_count; j++) {
            int32_t id = t->post[i].single[j].id;
            if (id < 0) {
                json_array_append_new(single, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0));
                continue;
            }
            slice token = t->vocabulary.token[id];
            json_array_append_new(single,
                                  json_pack("{s:{s:o,s:i}}", "SpecialToken", "id", json_of_slice(token), "type_id", 0));
            json_object_setn_new_nocheck(
                specials, token.p, token.n,
                json_pack("{s:o,s:[i],s:[o]}", "id", json_of_slice(token), "ids", id, "tokens", json_of_slice(token)));
        }
        json_t *pair = json_deep_copy(single);
        json_array_append_new(pair, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "B", "type_id", 1));
        return json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                         "special_tokens", specials);
    }
    return json_null();
}

static int write_json(json_t *root, const char *folder, const char *name)
{
    buf path = { 0 };
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    const char *file = path_join(&path, folder, name);
    int status = text && file ? file_write(file, text, strlen(text)) : fail_memory();
    free(text);
    buf_free(&path);
    json_decref(root);
    return status;
}

static json_t *tokenizer_config(const tokenizer *t)
{
    json_t *root = json_pack("{s:s,s:b,s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                             "clean_up_tokenization_spaces", 0, "add_prefix_space", 0);
    const char *file;
    for (int role = 0; role < ROLE_COUNT; role++) {
        bool cls = role == TOKEN_BOS && t->model.kind == MODEL_WORDPIECE;
        if (t->roles[role] >= 0)
            json_object_set_new(root, cls ? "cls_token" : tokenizer_role_names[role],
                                json_of_slice(t->vocabulary.token[t->roles[role]]));
    }
    slice template = tokenizer_chat_template(t, "default", &file);
    if (template.p)
        json_object_set_new(root, "chat_template", json_of_slice(template));
    return root;
}

static json_t *generation_config(const tokenizer *t)
{
    json_t *root = json_object(), *ends = json_array();
    for (size_t i = 0; i < t->end_count; i++)
        json_array_append_new(ends, json_integer(t->ends[i]));
    if (t->roles[TOKEN_BOS] >= 0)
        json_object_set_new(root, "bos_token_id", json_integer(t->roles[TOKEN_BOS]));
    if (t->roles[TOKEN_PAD] >= 0)
        json_object_set_new(root, "pad_token_id", json_integer(t->roles[TOKEN_PAD]));
    json_object_set_new(root, "eos_token_id", ends);
    return root;
}

/* JSON is UTF-8. */
static int check_texts(const tokenizer *t)
{
    for (int32_t id = 0; id < t->vocabulary.count; id++)
        if (utf8_valid(t->vocabulary.token[id]) != t->vocabulary.token[id].n)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = t->path, .key = "tokenizer.ggml.tokens" },
                           "the token %d is not UTF-8, and cannot be written as tokenizer.json", id);
    return LORAC_OK;
}

static int refuse(const gguf *g, slice model, slice pre)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = g->path, .key = "tokenizer.ggml.model", .hint = "Write a GGUF file instead: -o with .gguf" },
        "a tokenizer of the model \"%.*s\" with the pre-tokenizer \"%.*s\" cannot be written as "
        "tokenizer.json",
        (int)model.n, model.p, (int)pre.n, pre.p);
}

int tokenizer_save_folder(const tokenizer *t, const gguf *g, const char *folder, buf *notes)
{
    slice model = { 0 }, pre = { 0 };
    bool refused;
    TRY(check_texts(t));
    TRY(gguf_take_text(g, "tokenizer.ggml.model", &model));
    TRY(gguf_take_text(g, "tokenizer.ggml.pre", &pre));
    if (slice_is(model, "gemma4"))
        pre = model;
    else if (!pre.n)
        pre = slice_of("default");
    json_t *steps = json_of_model(t, g, model, recipe_named(pre), notes, &refused);
    if (refused)
        return refuse(g, model, pre);
    json_t *root =
        json_pack("{s:s,s:n,s:n,s:o}", "version", "1.0", "truncation", "padding", "added_tokens", added_list(t));
    if (!steps || !root || json_object_update(root, steps)) {
        json_decref(root);
        root = NULL;
    }
    json_decref(steps);
    TRY(write_json(root, folder, "tokenizer.json"));
    TRY(write_json(tokenizer_config(t), folder, "tokenizer_config.json"));
    TRY(write_json(generation_config(t), folder, "generation_config.json"));
    return tokenizer_write_templates(t, folder);
}
