/* export_huggingface.c: model.safetensors or its shards, config.json and the tokenizer's files. */
#include "pieces.h"

#include "err.h"
#include "json.h"
#include "mem.h"
#include "safetensors_shards.h"
#include "source.h"
#include "tokenizer_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 20 };

static const uint64_t SHARD_STANDARD = 5000000000; /* as Hugging Face cuts */

static const char *torch_name(dtype type)
{
    return type == DT_F32 ? "float32" : type == DT_F16 ? "float16" : "bfloat16";
}

static int sink(void *to, const void *bytes, size_t count)
{
    return shards_data(to, bytes, count);
}

static int write_weights(const export_plan *plan, const char *folder, export_loss *loss)
{
    pieces p;
    shards_writer *w;
    TRY(pieces_new(&p, plan, false));
    int status = shards_begin(&w, folder, plan->shard_bytes ? plan->shard_bytes : SHARD_STANDARD);
    if (status == LORAC_OK) {
        for (size_t i = 0; i < p.count && status == LORAC_OK; i++)
            status = shards_declare(w, p.list[i].name, p.list[i].type, p.list[i].ndim, p.list[i].dim);
        if (status == LORAC_OK)
            status = pieces_write(&p, sink, w, loss);
        if (status == LORAC_OK)
            status = shards_finish(w);
        else
            shards_abandon(w);
    }
    pieces_free(&p);
    return status;
}

/* ---- config.json ---- */

static void set_rope(json_t *root, const model_config *g)
{
    const rope_scaling *s = &g->rope_scaling;
    json_object_set_new(root, "rope_theta", json_real(g->rope_theta));
    if (s->kind == ROPE_LINEAR)
        json_object_set_new(root, "rope_scaling",
                            json_pack("{s:s,s:s,s:f}", "type", "linear", "rope_type", "linear", "factor", s->factor));
}

static void set_token(json_t *root, const char *key, int32_t id)
{
    if (id >= 0)
        json_object_set_new(root, key, json_integer(id));
}

static json_t *value_of(const model_config *g, const config_key *key)
{
    const char *field = (const char *)g + key->field;
    switch (key->kind) {
    case KEY_SIZE:
        return json_integer(*(const int64_t *)field);
    case KEY_REAL:
        return json_real(*(const double *)field);
    case KEY_FLAG:
        return json_boolean(*(const bool *)field);
    case KEY_ACTIVATION:
        break;
    }
    return json_string(activation_name(*(const glu_kind *)field));
}

/* A configuration for a model that came without one. */
static json_t *new_config(const model *m)
{
    const model_config *g = &m->config;
    json_t *root =
        json_pack("{s:[s],s:s}", "architectures", class_name_of(m->family, g->task), "model_type", m->family->name);
    for (const config_key *key = m->family->keys; key->name || key->gguf; key++)
        if (key->name)
            json_object_set_new(root, key->name, value_of(g, key));
    set_token(root, "bos_token_id", g->bos);
    set_token(root, "eos_token_id", g->eos);
    set_token(root, "pad_token_id", g->pad);
    if (m->family->rotary)
        set_rope(root, g);
    return root;
}

static int read_config(const model *m, json_t **root)
{
    if (m->is_gguf && m->config.rope_scaling.kind == ROPE_DIVISORS)
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = m->path, .key = "rope_freqs.weight", .hint = "write a GGUF file instead: -o OUT.gguf" },
            "a Hugging Face configuration cannot say these rotary factors");
    if (m->is_gguf) {
        *root = new_config(m);
        return *root ? LORAC_OK : fail_memory();
    }
    buf path = { 0 };
    const char *file = path_join(&path, m->path, "config.json");
    int status = file ? json_read(root, file, FILE_LIMIT, 0) : fail_memory();
    buf_free(&path);
    return status;
}

static int write_json(const json_t *root, const char *folder, const char *name)
{
    buf path = { 0 };
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    const char *file = path_join(&path, folder, name);
    int status = text && file ? file_write(file, text, strlen(text)) : fail_memory();
    free(text);
    buf_free(&path);
    return status;
}

/* A new classifier has changed what the folder's model is for. */
static void set_labels(json_t *root, const model *m)
{
    const label_set *l = &m->config.labels;
    json_t *names = json_object(), *numbers = json_object();
    json_object_set_new(root, "architectures", json_pack("[s]", class_name_of(m->family, LORAC_TASK_SEQ_CLS)));
    for (int64_t i = 0; i < l->count; i++) {
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)i);
        json_object_set_new(names, number, json_string(l->names[i]));
        json_object_set_new(numbers, l->names[i], json_integer(i));
    }
    json_object_set_new(root, "id2label", names);
    json_object_set_new(root, "label2id", numbers);
    json_object_del(root, "num_labels"); /* id2label says it */
}

static int write_config(const export_plan *plan, const char *folder)
{
    json_t *root = NULL;
    int status = read_config(plan->m, &root);
    if (status == LORAC_OK) {
        json_object_del(root, "torch_dtype");
        json_object_set_new(root, "dtype", json_string(torch_name(plan->type)));
        json_object_set_new(root, "torch_dtype", json_string(torch_name(plan->type))); /* before transformers 5 */
        if (model_labels(plan->m) && plan->m->config.filed_task != LORAC_TASK_SEQ_CLS)
            set_labels(root, plan->m);
        if (!model_labels(plan->m))
            json_object_set_new(root, "tie_word_embeddings",
                                json_boolean(plan->m->config.tied_head && !head_is_untied(plan)));
        status = write_json(root, folder, "config.json");
    }
    json_decref(root);
    return status;
}

/* ---- Tokenizer files ---- */

static int copy_generation_config(const model *m, const char *folder)
{
    static const char *const name = "generation_config.json";
    buf from = { 0 }, to = { 0 };
    int status = path_join(&from, m->path, name) && path_join(&to, folder, name) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_exists(from.p))
        status = file_copy(from.p, to.p, FILE_LIMIT);
    buf_free(&from);
    buf_free(&to);
    return status;
}

static int write_tokenizer(const export_plan *plan, const char *folder)
{
    const model *m = plan->m;
    if (!m->is_gguf) {
        TRY(tokenizer_copy_folder(m->path, folder));
        return copy_generation_config(m, folder);
    }
    if (!gguf_find(&m->source->gguf, "tokenizer.ggml.model"))
        return LORAC_OK;
    tokenizer *t;
    TRY(tokenizer_open_gguf(&t, &m->source->gguf));
    int status = tokenizer_save_folder(t, &m->source->gguf, folder, plan->notes);
    tokenizer_free(t);
    return status;
}

int export_huggingface(const export_plan *plan, const char *folder, export_loss *loss)
{
    TRY(write_config(plan, folder));
    TRY(write_tokenizer(plan, folder));
    return write_weights(plan, folder, loss);
}
