/* inspect.c: reading just enough of a model to describe it. */
#include "inspect.h"

#include "arch.h"
#include "count.h"
#include "err.h"
#include "json.h"

static void describe_modules(const model *m, json_t *root)
{
    json_t *list = json_array();
    for (int i = 0; i < m->module_count; i++) {
        const nn_module *l = m->modules[i];
        if (l->kind == MODULE_NORM)
            continue;
        json_array_append_new(list,
                              json_pack("{s:s,s:I,s:I,s:s,s:b}", "module", l->name, "in",
                                        (json_int_t)inputs_of(&l->weight), "out", (json_int_t)outputs_of(&l->weight),
                                        "type", dtype_name(l->weight.t.type), "bias", l->bias.t.data != NULL));
    }
    json_object_set_new(root, "modules", list);
}

/* m NULL: nothing more is known than the shapes. What training would refuse is refused here. */
static int describe_training(const module_list *l, const model *m, const char *peft_config_path, json_t *root)
{
    peft_config config;
    parameter_totals totals;
    int64_t unused;
    peft_config_init(&config);
    int status = peft_config_read(&config, peft_config_path, NULL);
    if (status == LORAC_OK && m)
        status = adapter_measure(&unused, m, &config);
    if (status == LORAC_OK)
        status = count_parameters(&totals, l, &config);
    if (status == LORAC_OK) {
        json_object_set_new(root, "trainable_parameters", json_integer(totals.trainable));
        json_object_set_new(root, "all_parameters", json_integer(totals.all));
        json_object_set_new(root, "trainable_percent",
                            json_real(100.0 * (double)totals.trainable / (double)totals.all));
    }
    peft_config_free(&config);
    return status;
}

/* A family that lorac cannot run: what its files say without being read as a model. */
static int inspect_folder(const char *path, const char *peft_config_path, json_t **out)
{
    module_list l;
    TRY(modules_of_folder(&l, path));
    json_t *list = json_array();
    json_t *root =
        json_pack("{s:s,s:s,s:s,s:s,s:b,s:I,s:o}", "kind", "model", "path", path, "family", l.model_type, "format",
                  "huggingface", "runs", 0, "parameters", (json_int_t)l.parameters, "modules", list);
    for (size_t i = 0; i < l.count; i++)
        if (l.list[i].kind != MODULE_NORM)
            json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:b}", "module", l.list[i].name, "in",
                                                  (json_int_t)l.list[i].in, "out", (json_int_t)l.list[i].out, "bias",
                                                  l.list[i].bias > 0));
    int status = root ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && peft_config_path)
        status = describe_training(&l, NULL, peft_config_path, root);
    modules_free(&l);
    if (status != LORAC_OK) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return status;
}

static int describe_model_training(const model *m, const char *peft_config_path, json_t *root)
{
    module_list l;
    TRY(modules_of_model(&l, m));
    int status = describe_training(&l, m, peft_config_path, root);
    modules_free(&l);
    return status;
}

int inspect_model(const char *path, const char *peft_config_path, json_t **out)
{
    model *m;
    model_options options = { 0 };
    *out = NULL;
    if (path_is_folder(path) && !modules_family_known(path))
        return inspect_folder(path, peft_config_path, out);
    if (peft_config_path)
        TRY(peft_config_expects(peft_config_path, &options));
    TRY(model_open(&m, path, &options));
    const model_config *g = &m->config;
    json_t *root = json_pack("{s:s,s:s,s:s,s:s,s:s}", "kind", "model", "path", path, "family", m->family->name,
                             "format", m->is_gguf ? "gguf" : "huggingface", "weights", dtype_name(m->weight_type));
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        { "parameters", m->parameters }, { "bytes", (int64_t)m->bytes },
        { "layers", g->layers },         { "hidden", g->hidden },
        { "heads", g->heads },           { "kv_heads", g->kv_heads },
        { "head_size", g->head_size },   { "intermediate", g->intermediate },
        { "vocabulary", g->vocabulary }, { "context", g->context },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(root, numbers[i].key, json_integer(numbers[i].value));
    if (m->family->rotary)
        json_object_set_new(root, "rope_theta", json_real(g->rope_theta));
    json_object_set_new(root, "tied_head", json_boolean(g->tied_head));
    json_object_set_new(root, "task", json_string(task_type_name(g->task)));
    if (model_labels(m))
        json_object_set_new(root, "labels", json_integer(g->labels.count));
    describe_modules(m, root);
    int status = peft_config_path ? describe_model_training(m, peft_config_path, root) : LORAC_OK;
    model_close(m);
    if (status != LORAC_OK) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return status;
}
