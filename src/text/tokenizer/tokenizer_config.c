/* tokenizer_config.c: what a Hugging Face folder says about a tokenizer beside tokenizer.json: which tokens begin, end,
 * pad, and whether a text is surrounded by them. All of it is optional. Where files repeat each other,
 * tokenizer_config.json comes first. The chat templates in them: tokenizer_templates.c. */
#include "tokenizer_json.h"

#include <stdio.h>
#include <string.h>

/* An object in the folder's file of this name; *json is NULL when there is no such file. *file is kept for messages. */
static int read_optional(tokenizer *t, const char *folder, const char *name, json_t **json, const char **file)
{
    buf path = { 0 };
    int status = folder_read(json, &path, folder, name);
    if (status == LORAC_OK) {
        *file = arena_text(&t->memory, path.p, path.n);
        status = *file ? LORAC_OK : fail_memory();
    }
    buf_free(&path);
    if (status != LORAC_OK) {
        json_decref(*json);
        *json = NULL;
    }
    return status;
}

/* ---- Roles */

/* "<s>" or {"content": "<s>"}; a token the vocabulary lacks has no id. */
static int read_role(tokenizer *t, const json_t *json, const char *file, const char *key, token_role role)
{
    const char *text = NULL;
    const json_t *value = json_object_get(json, key);
    char name[64];
    snprintf(name, sizeof name, json_is_object(value) ? "%s.content" : "%s", key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    TRY(json_to_text(json_is_null(value) ? NULL : value, name, &text, file));
    if (text && t->roles[role] < 0)
        t->roles[role] = tokenizer_id(t, slice_of(text));
    return LORAC_OK;
}

static int read_roles(tokenizer *t, const json_t *json, const char *file)
{
    for (int role = 0; role < ROLE_COUNT; role++)
        TRY(read_role(t, json, file, tokenizer_role_names[role], (token_role)role));
    return LORAC_OK;
}

void tokenizer_take_specials(tokenizer *t, const folder_tokens *f)
{
    static const special_name names[ROLE_COUNT] = {
        [TOKEN_BOS] = SPECIAL_BOS, [TOKEN_EOS] = SPECIAL_EOS, [TOKEN_UNK] = SPECIAL_UNK,
        [TOKEN_PAD] = SPECIAL_PAD, [TOKEN_SEP] = SPECIAL_SEP, [TOKEN_MASK] = SPECIAL_MASK,
    };
    for (int i = 0; i < ROLE_COUNT; i++) {
        const char *text = folder_special(f, names[i]);
        t->roles[i] = text ? tokenizer_id(t, slice_of(text)) : -1;
    }
}

/* ---- What is put around a text */

/* As transformers does when the file says either: the templates of tokenizer.json give way to one of bos, text, eos. */
static int replace_templates(tokenizer *t, bool add_bos, bool add_eos)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->post_count; i++)
        if (t->post[i].kind != POST_TEMPLATE)
            t->post[kept++] = t->post[i];
    t->post_count = kept;
    return tokenizer_surround(t, add_bos ? t->roles[TOKEN_BOS] : -1, add_eos ? t->roles[TOKEN_EOS] : -1, 1);
}

static int read_surroundings(tokenizer *t, const json_t *json, const char *file)
{
    bool add_bos = t->begins, add_eos = false;
    TRY(json_take_bool(json, "add_bos_token", &add_bos, file));
    TRY(json_take_bool(json, "add_eos_token", &add_eos, file));
    bool says = t->begins || json_is_boolean(json_object_get(json, "add_bos_token")) ||
                json_is_boolean(json_object_get(json, "add_eos_token"));
    return says && !t->keeps_templates ? replace_templates(t, add_bos, add_eos) : LORAC_OK;
}

/* ---- The files */

typedef struct beside {
    json_t *json; /* NULL: the folder has no such file */
    const char *file;
} beside;

static int read_tokenizer_config(tokenizer *t, const json_t *json, const char *file)
{
    TRY(read_surroundings(t, json, file));
    TRY(tokenizer_read_variables(t, json));
    return tokenizer_read_templates(t, json, file);
}

/* "eos_token_id": an id or a list of them. */
static int read_generation_config(tokenizer *t, const json_t *json, const char *file)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    size_t count = json_is_array(value) ? json_array_size(value) : value && !json_is_null(value);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        double number = json_is_number(id) ? json_number_value(id) : -1;
        if (!(number >= 0 && number <= INT32_MAX && number == (double)(int32_t)number))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "eos_token_id", .found = json_kind(id) },
                           "an id or a list of ids was expected");
        TRY(tokenizer_add_end(t, (int64_t)number));
    }
    return LORAC_OK;
}

/* What the tokenizer's own file says of roles is what is left when these files do not say. */
static int read_all_roles(tokenizer *t, const beside *config, const beside *named)
{
    int32_t own[ROLE_COUNT];
    memcpy(own, t->roles, sizeof own);
    for (int i = 0; i < ROLE_COUNT; i++)
        t->roles[i] = -1;
    TRY(read_roles(t, config->json, config->file));
    TRY(read_roles(t, named->json, named->file));
    for (int i = 0; i < ROLE_COUNT; i++)
        t->roles[i] = t->roles[i] < 0 ? own[i] : t->roles[i];
    return LORAC_OK;
}

static int read_all(tokenizer *t, const beside *config, const beside *named, const beside *generation)
{
    TRY(read_all_roles(t, config, named));
    TRY(read_tokenizer_config(t, config->json, config->file));
    TRY(tokenizer_read_variables(t, named->json));
    TRY(tokenizer_add_end(t, t->roles[TOKEN_EOS]));
    return read_generation_config(t, generation->json, generation->file);
}

int tokenizer_read_config(tokenizer *t, const char *folder)
{
    beside config = { 0 }, named = { 0 }, generation = { 0 };
    int status;
    TRY_GOTO(tokenizer_read_template_files(t, folder));
    TRY_GOTO(read_optional(t, folder, "tokenizer_config.json", &config.json, &config.file));
    TRY_GOTO(read_optional(t, folder, "special_tokens_map.json", &named.json, &named.file));
    TRY_GOTO(read_optional(t, folder, "generation_config.json", &generation.json, &generation.file));
    status = read_all(t, &config, &named, &generation);
done:
    json_decref(config.json);
    json_decref(named.json);
    json_decref(generation.json);
    return status;
}
