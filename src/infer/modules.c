/* modules.c: listing modules. A folder's modules are what its tensors' names have in common before the last dot; what a
 * matrix is for follows from its name alone, since a linear and an embedding look alike. */
#include "modules.h"

#include "arch.h"
#include "err.h"
#include "json.h"
#include "mem.h"
#include "peft.h"
#include "source.h"

#include <string.h>

enum { CONFIG_LIMIT = 1 << 20, TIES_MOST = 3 };

static module_shape *add_module(module_list *l, const char *name)
{
    module_shape *s = &l->list[l->count++];
    *s = (module_shape){ .name = name, .kind = MODULE_NORM };
    return name ? s : NULL;
}

static int set_weight(module_list *l, module_shape *s, const int64_t *dim, int ndim, bool turned)
{
    int64_t count = 1;
    for (int i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(count, dim[i], &count))
            return fail_at(LORAC_ERROR_DATA, (fault){ .key = s->name }, "the tensor's shape is too large");
    s->weight = count;
    if (ndim == 2) {
        s->kind = MODULE_LINEAR;
        s->out = dim[turned ? 1 : 0];
        s->in = dim[turned ? 0 : 1];
    }
    return s->shared || !__builtin_add_overflow(l->parameters, count, &l->parameters)
               ? LORAC_OK
               : fail_at(LORAC_ERROR_DATA, (fault){ .key = s->name }, "the model has too many parameters");
}

static void make_embedding(module_shape *s)
{
    int64_t vocabulary = s->out;
    s->kind = MODULE_EMBEDDING;
    s->out = s->in;
    s->in = vocabulary;
}

/* ---- An open model ---- */

static int add_own(module_list *l, const nn_module *x)
{
    module_shape *s = add_module(l, x->name);
    TRY(set_weight(l, s, x->weight.t.dim, x->weight.t.ndim, x->weight.turned));
    s->kind = x->kind;
    s->bias = x->bias.t.data ? tensor_count(&x->bias.t) : 0;
    l->parameters += s->bias;
    return LORAC_OK;
}

static int list_model(module_list *l, const model *m)
{
    l->model_type = m->config.model_type;
    l->list = arena_new(&l->memory, (size_t)m->module_count, sizeof *l->list);
    if (!l->list)
        return fail_memory();
    for (int i = 0; i < m->module_count; i++) {
        const nn_module *x = m->modules[i];
        TRY(add_own(l, x));
        l->list[i].is_input = x == &m->embedding;
        l->list[i].is_head = x == &m->head;
        l->list[i].shared = x == &m->head && m->config.tied_head;
        if (l->list[i].shared)
            l->parameters -= l->list[i].weight;
    }
    return LORAC_OK;
}

int modules_of_model(module_list *out, const model *m)
{
    *out = (module_list){ 0 };
    int status = list_model(out, m);
    if (status != LORAC_OK)
        modules_free(out);
    return status;
}

/* ---- A folder of any family ---- */

/* What older files hold beside parameters: masks and tables that are worked out anew. */
static bool is_buffer(slice name)
{
    static const char *const names[] = { "inv_freq", "masked_bias", "position_ids", "token_type_ids" };
    slice last = slice_last(name, '.');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_is(last, names[i]))
            return true;
    return false;
}

static bool is_head_name(slice stem)
{
    static const char *const names[] = { "lm_head", "embed_out", "output_layer", "lm_head.decoder",
                                         "cls.predictions.decoder" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_is(stem, names[i]))
            return true;
    return false;
}

static module_shape *module_named(module_list *l, map *index, slice stem, int *status)
{
    bool found;
    const char *name = arena_text(&l->memory, stem.p, stem.n);
    int64_t at = map_find(index, stem);
    if (at >= 0)
        return &l->list[at];
    *status = name ? map_add(index, slice_of(name), (int64_t)l->count, &found) : fail_memory();
    return *status == LORAC_OK ? add_module(l, name) : NULL;
}

/* A tensor's part in its module. `tied`: a head that is there all the same is the embedding's. */
static int add_tensor(module_list *l, map *index, const char *name, const tensor *t, bool tied)
{
    slice whole = slice_of(name), last = slice_last(whole, '.');
    slice stem = { whole.p, whole.n > last.n ? whole.n - last.n - 1 : 0 };
    int status = LORAC_OK;
    if (is_buffer(whole))
        return LORAC_OK;
    module_shape *s = module_named(l, index, stem, &status);
    if (!s)
        return status;
    if (slice_is(last, "weight") && s->weight == 0) {
        s->is_head = is_head_name(stem);
        s->shared = s->is_head && tied;
        TRY(set_weight(l, s, t->dim, t->ndim, false));
        if (t->ndim == 2 && peft_is_embedding(stem))
            make_embedding(s);
        return LORAC_OK;
    }
    int64_t count = tensor_count(t);
    if (slice_is(last, "bias") && t->ndim > 1)
        return LORAC_OK; /* GPT-2's old causal mask */
    if (slice_is(last, "bias"))
        s->bias = count;
    else
        s->weight += count;
    return __builtin_add_overflow(l->parameters, count, &l->parameters)
               ? fail_at(LORAC_ERROR_DATA, (fault){ .key = name }, "the model has too many parameters")
               : LORAC_OK;
}

static module_shape *input_embedding(const module_list *l)
{
    module_shape *largest = NULL;
    for (size_t i = 0; i < l->count; i++)
        if (l->list[i].kind == MODULE_EMBEDDING && (!largest || l->list[i].weight > largest->weight))
            largest = &l->list[i];
    return largest;
}

/* A tied head that no file holds has the shape of the input embedding. The heads of masked language models are parts of
 * something larger. */
static void add_tied_head(module_list *l, const module_shape *embedding)
{
    const char *name = "lm_head";
    for (size_t i = 0; i < l->count; i++) {
        if (l->list[i].is_head)
            return;
        if (strcmp(l->list[i].name, "lm_head") == 0)
            name = "lm_head.decoder";
        else if (strcmp(l->list[i].name, "cls.predictions") == 0)
            name = "cls.predictions.decoder";
    }
    module_shape *head = add_module(l, name);
    head->kind = MODULE_LINEAR;
    head->is_head = head->shared = true;
    head->out = embedding->in;
    head->in = embedding->out;
    head->weight = embedding->weight;
}

/* Encoder and decoder of T5 and BART look their tokens up in one embedding under three names. */
static int add_aliases(module_list *l, module_shape embedding)
{
    static const char *const sides[] = { "encoder", "decoder" };
    slice name = slice_of(embedding.name), last = slice_last(name, '.');
    if (!slice_is(last, "shared"))
        return LORAC_OK;
    for (int i = 0; i < 2; i++) {
        module_shape *s =
            add_module(l, arena_format(&l->memory, "%.*s%s.embed_tokens", (int)(name.n - last.n), name.p, sides[i]));
        if (!s)
            return fail_memory();
        const char *own = s->name;
        *s = embedding;
        s->name = own;
        s->shared = true;
        s->is_input = false;
    }
    return LORAC_OK;
}

static int add_ties(module_list *l, bool tied)
{
    module_shape *embedding = input_embedding(l);
    if (!embedding)
        return LORAC_OK;
    embedding->is_input = true;
    if (tied)
        add_tied_head(l, embedding);
    return add_aliases(l, *embedding);
}

static int list_tensors(module_list *l, const model_source *s, bool tied)
{
    map index = { 0 };
    size_t count = 0;
    const char *name;
    int status = LORAC_OK;
    while (source_at(s, count, &name))
        count++;
    l->list = arena_new(&l->memory, count + TIES_MOST, sizeof *l->list);
    if (!l->list)
        return fail_memory();
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        const tensor *t = source_at(s, i, &name);
        status = add_tensor(l, &index, name, t, tied);
    }
    map_free(&index);
    return status;
}

/* transformers' default, which files need not say: only these families do not tie. */
static bool ties_by_default(const char *model_type)
{
    static const char *const untied[] = { "llama",    "mistral", "mixtral",   "qwen2", "qwen2_moe", "qwen3",
                                          "gpt_neox", "gptj",    "codegen",   "phi",   "phi3",      "stablelm",
                                          "olmo",     "olmo2",   "persimmon", "rwkv",  "mpt" };
    for (size_t i = 0; i < sizeof untied / sizeof *untied; i++)
        if (strcmp(model_type, untied[i]) == 0)
            return false;
    return true;
}

static int read_config(const char *folder, json_t **root, const char **model_type, bool *tied)
{
    buf path = { 0 };
    *model_type = "";
    int status = path_join(&path, folder, "config.json") ? json_read(root, path.p, CONFIG_LIMIT, 0) : fail_memory();
    if (status == LORAC_OK && !json_is_object(*root))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = path.p, .expected = "an object" },
                         "this is not a model's configuration");
    if (status == LORAC_OK)
        status = json_take_text(*root, "model_type", model_type, path.p);
    if (status == LORAC_OK && tied) {
        *tied = ties_by_default(*model_type);
        status = json_take_bool(*root, "tie_word_embeddings", tied, path.p);
    }
    buf_free(&path);
    return status;
}

static int list_folder(module_list *l, const char *folder)
{
    json_t *root = NULL;
    const char *model_type;
    model_source s;
    bool tied;
    int status = read_config(folder, &root, &model_type, &tied);
    if (status == LORAC_OK && !(l->model_type = arena_text(&l->memory, model_type, strlen(model_type))))
        status = fail_memory();
    json_decref(root);
    if (status != LORAC_OK)
        return status;
    status = source_open(&s, folder);
    if (status == LORAC_OK)
        status = list_tensors(l, &s, tied);
    if (status == LORAC_OK)
        status = add_ties(l, tied);
    source_close(&s);
    return status;
}

int modules_of_folder(module_list *out, const char *folder)
{
    *out = (module_list){ 0 };
    int status = list_folder(out, folder);
    if (status != LORAC_OK)
        modules_free(out);
    return status;
}

void modules_free(module_list *l)
{
    arena_free(&l->memory);
    *l = (module_list){ 0 };
}

bool modules_family_known(const char *folder)
{
    json_t *root = NULL;
    const char *model_type;
    int status = read_config(folder, &root, &model_type, NULL);
    const char *class_name = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    bool known =
        status != LORAC_OK || (!*model_type && !class_name) || architecture_named(class_name ? class_name : model_type);
    json_decref(root);
    error_clear();
    return known;
}
