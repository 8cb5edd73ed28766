/* load.c: from files to a model: the parameter tables are walked, every shape is checked against the configuration, and
 * all that is missing is reported at once. Weights stay where they are mapped, in the type they have; only norms,
 * biases and rows that stand in another order are copied. */
#include "arch.h"
#include "err.h"
#include "mem.h"
#include "quant.h"
#include "source.h"

#include <stdio.h>
#include <string.h>

typedef struct loader {
    model *m;
    const model_options *options;
    buf missing;
    size_t missing_count;
    uint64_t by_type[DT_COUNT]; /* parameters */
} loader;

static void note_missing(loader *l, const char *name)
{
    enum { LISTED = 8 };
    if (l->missing_count++ < LISTED)
        buf_format(&l->missing, "%s%s", l->missing_count > 1 ? ", " : "", name);
    else if (l->missing_count == LISTED + 1)
        buf_text(&l->missing, ", ...");
}

/* Files of a model without its head lack the prefix of its names. */
static const tensor *find_by_name(const model *m, const char *name)
{
    const char *prefix = m->family->prefix;
    const tensor *t = source_find(m->source, name);
    if (!t && !m->is_gguf && strncmp(name, prefix, strlen(prefix)) == 0)
        t = source_find(m->source, name + strlen(prefix));
    return t;
}

/* A tensor of the given shape (columns 0: one dimension). *found is NULL when the file has none by that name. */
static int find_tensor(loader *l, const char *name, int64_t rows, int64_t cols, const tensor **found)
{
    if (!name)
        return fail_memory();
    const tensor *t = *found = find_by_name(l->m, name);
    if (!t)
        return LORAC_OK;
    bool fits = cols == 0 ? t->ndim == 1 && t->dim[0] == rows : t->ndim == 2 && t->dim[0] == rows && t->dim[1] == cols;
    char have[64], want[64];
    tensor shape = { .ndim = cols == 0 ? 1 : 2, .dim = { rows, cols } };
    if (!fits)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = l->m->path,
                                .key = name,
                                .found = tensor_shape(t, have),
                                .expected = tensor_shape(&shape, want) },
                       "a tensor's shape does not fit the configuration");
    if (!dtype_is_float(t->type) && !dtype_is_quantised(t->type))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = l->m->path,
                                .key = name,
                                .found = dtype_name(t->type),
                                .expected = "a floating-point or GGUF block type" },
                       "a weight has a type that cannot be computed with");
    l->by_type[t->type] += (uint64_t)tensor_count(t);
    l->m->parameters += tensor_count(t);
    l->m->bytes += (uint64_t)tensor_bytes(t);
    return LORAC_OK;
}

/* A frozen vector, as real numbers. */
static int load_vector(loader *l, var *out, const tensor *t)
{
    int64_t count = t->dim[0];
    float *values = mem_new((size_t)count, sizeof *values);
    real *copy = arena_new(&l->m->memory, (size_t)count, sizeof *copy);
    if (values && copy) {
        quant_decode(values, t->data, t->type, count);
        for (int64_t i = 0; i < count; i++)
            copy[i] = (real)values[i];
        out->t = (tensor){ .type = DT_REAL, .ndim = 1, .dim = { count }, .data = copy };
    }
    mem_free(values);
    return values && copy ? LORAC_OK : fail_memory();
}

/* Where row r of a head stands in a llama GGUF: halves of a head are interleaved there as pairs. */
static int64_t filed_row(int64_t row, int64_t head_size)
{
    int64_t head = row / head_size, at = row % head_size, half = head_size / 2;
    return head * head_size + at % half * 2 + at / half;
}

int reorder_rows(arena *memory, tensor *t, int64_t head_size)
{
    size_t row_bytes = (size_t)dtype_row_bytes(t->type, tensor_cols(t));
    char *copy = arena_new(memory, (size_t)t->dim[0], row_bytes);
    if (!copy)
        return fail_memory();
    for (int64_t r = 0; r < t->dim[0]; r++)
        memcpy(copy + (size_t)r * row_bytes, (const char *)t->data + (size_t)filed_row(r, head_size) * row_bytes,
               row_bytes);
    t->data = copy;
    return LORAC_OK;
}

/* A bias under a llama GGUF is filed in the order of its weight's rows. */
static int reorder_bias(loader *l, var *bias, int64_t head_size)
{
    real *copy = arena_new(&l->m->memory, (size_t)bias->t.dim[0], sizeof *copy);
    if (!copy)
        return fail_memory();
    for (int64_t r = 0; r < bias->t.dim[0]; r++)
        copy[r] = ((const real *)bias->t.data)[filed_row(r, head_size)];
    bias->t.data = copy;
    return LORAC_OK;
}

/* Kernels read whole numbers of the type: what the file places between them, or what is to be expanded, is copied. */
static int settle_weight(loader *l, tensor *t)
{
    bool expand = l->options->expand && dtype_is_quantised(t->type);
    size_t alignment = dtype_is_quantised(t->type) ? 1 : (size_t)dtype_block_bytes(t->type);
    if (!expand && (uintptr_t)t->data % alignment == 0)
        return LORAC_OK;
    size_t count = (size_t)tensor_count(t), bytes = expand ? count * sizeof(float) : (size_t)tensor_bytes(t);
    void *copy = arena_new(&l->m->memory, bytes, 1);
    if (!copy)
        return fail_memory();
    if (expand) {
        quant_decode(copy, t->data, t->type, (int64_t)count);
        t->type = DT_F32;
    } else {
        memcpy(copy, t->data, bytes);
    }
    t->data = copy;
    return LORAC_OK;
}

/* "STEM.weight" or "STEM.bias"; NULL without memory or stem. */
static const char *name_of(loader *l, const char *stem, const char *suffix)
{
    return stem ? arena_format(&l->m->memory, "%s.%s", stem, suffix) : NULL;
}

/* A vector that must be there, unless `optional`. */
static int load_named_vector(loader *l, var *out, const char *name, int64_t count, bool optional)
{
    const tensor *t;
    TRY(find_tensor(l, name, count, 0, &t));
    if (t)
        return load_vector(l, out, t);
    if (!optional)
        note_missing(l, name);
    return LORAC_OK;
}

/* A matrix that must be there; its columns are its rows in the file if it is turned. */
static int load_matrix(loader *l, var *out, const char *stem, int64_t rows, int64_t cols)
{
    const tensor *t;
    const char *name = name_of(l, stem, "weight");
    TRY(find_tensor(l, name, out->turned ? cols : rows, out->turned ? rows : cols, &t));
    if (!t) {
        note_missing(l, name);
        return LORAC_OK;
    }
    out->t = *t;
    return settle_weight(l, &out->t);
}

/* A GGUF file speaks for itself: a bias that it does not have is none. */
static int load_linear(loader *l, linear *out, int64_t layer, const param *p)
{
    model *m = l->m;
    const model_config *g = &m->config;
    const char *stem = param_stem(m->family, p, layer, m->is_gguf, &m->memory);
    out->kind = p->layout == LAYOUT_CONV1D ? MODULE_CONV1D : MODULE_LINEAR;
    out->weight.turned = out->kind == MODULE_CONV1D && !m->is_gguf;
    TRY(load_matrix(l, &out->weight, stem, config_size(g, p->out), config_size(g, p->in)));
    if (m->is_gguf || (p->has_bias && p->has_bias(g)))
        TRY(load_named_vector(l, &out->bias, name_of(l, stem, "bias"), config_size(g, p->out), m->is_gguf));
    bool paired = m->is_gguf && p->layout == LAYOUT_PAIRED;
    if (paired && out->weight.t.data)
        TRY(reorder_rows(&l->m->memory, &out->weight.t, g->head_size));
    return paired && out->bias.t.data ? reorder_bias(l, &out->bias, g->head_size) : LORAC_OK;
}

static int load_norm(loader *l, nn_module *out, const char *stem)
{
    const int64_t size = l->m->config.hidden;
    out->kind = MODULE_NORM;
    TRY(load_named_vector(l, &out->weight, name_of(l, stem, "weight"), size, false));
    return l->m->family->centred_norms ? load_named_vector(l, &out->bias, name_of(l, stem, "bias"), size, false)
                                       : LORAC_OK;
}

/* A table of rows, [rows, hidden]. */
static int load_embedding(loader *l, nn_module *out, model_end end, int64_t rows)
{
    const model *m = l->m;
    out->kind = MODULE_EMBEDDING;
    TRY(load_matrix(l, &out->weight, end_stem(m->family, end, m->is_gguf), rows, m->config.hidden));
    out->weight.turned = true;
    return LORAC_OK;
}

/* Gives a module its name and the next slot. */
static int list_module(loader *l, nn_module *out, const char *name)
{
    out->name = name;
    out->slot = l->m->module_count;
    l->m->modules[l->m->module_count++] = out;
    return name ? LORAC_OK : fail_memory();
}

static int load_layers(loader *l)
{
    model *m = l->m;
    const architecture *family = m->family;
    for (int64_t layer = 0; layer < m->config.layers; layer++)
        for (const param *p = family->layer; p->name; p++) {
            nn_module *out = (nn_module *)(m->blocks + (size_t)layer * family->block_size + p->offset);
            TRY(list_module(l, out, param_stem(family, p, layer, false, &m->memory)));
            if (p->kind == PARAM_NORM)
                TRY(load_norm(l, out, param_stem(family, p, layer, m->is_gguf, &m->memory)));
            else
                TRY(load_linear(l, out, layer, p));
        }
    return LORAC_OK;
}

static int load_output_embedding(loader *l)
{
    model *m = l->m;
    const model_config *g = &m->config;
    if (!g->tied_head)
        return load_matrix(l, &m->head.weight, end_stem(m->family, END_HEAD, m->is_gguf), g->vocabulary, g->hidden);
    m->head.weight = m->embedding.weight;
    m->head.weight.turned = false;
    return LORAC_OK;
}

/* A classifier for files that have none. */
static int new_classifier(loader *l)
{
    model *m = l->m;
    tensor *t = &m->head.weight.t;
    m->head_is_new = true;
    if (l->options->labels && l->options->labels != m->config.labels.count) {
        labels_free(&m->config.labels);
        TRY(labels_make(&m->config.labels, l->options->labels));
    }
    *t = (tensor){ .type = DT_F32, .ndim = 2, .dim = { m->config.labels.count, m->config.hidden } };
    t->data = arena_new(&m->memory, (size_t)tensor_count(t), sizeof(float));
    m->parameters += tensor_count(t);
    m->bytes += (uint64_t)tensor_bytes(t);
    return t->data ? LORAC_OK : fail_memory();
}

static int load_classifier(loader *l)
{
    model *m = l->m;
    const char *stem = head_name(LORAC_TASK_SEQ_CLS), *name = name_of(l, stem, "weight");
    if (!name)
        return fail_memory();
    if (m->config.filed_task != LORAC_TASK_SEQ_CLS && !find_by_name(m, name))
        return new_classifier(l);
    return load_matrix(l, &m->head.weight, stem, m->config.labels.count, m->config.hidden);
}

static int load_head(loader *l)
{
    const lorac_task task = l->m->config.task;
    TRY(list_module(l, &l->m->head, head_name(task)));
    return task == LORAC_TASK_SEQ_CLS ? load_classifier(l) : load_output_embedding(l);
}

static int make_lists(loader *l)
{
    enum { ENDS = 4 };
    model *m = l->m;
    size_t per_layer = 0;
    for (const param *p = m->family->layer; p->name; p++)
        per_layer++;
    m->blocks = arena_new(&m->memory, (size_t)m->config.layers, m->family->block_size);
    m->modules = arena_new(&m->memory, (size_t)m->config.layers * per_layer + ENDS, sizeof *m->modules);
    return m->blocks && m->modules ? LORAC_OK : fail_memory();
}

static int load_modules(loader *l)
{
    model *m = l->m;
    const architecture *f = m->family;
    TRY(make_lists(l));
    TRY(list_module(l, &m->embedding, f->embedding));
    TRY(load_embedding(l, &m->embedding, END_EMBEDDING, m->config.vocabulary));
    if (f->positions) {
        TRY(list_module(l, &m->positions, f->positions));
        TRY(load_embedding(l, &m->positions, END_POSITIONS, m->config.context));
    }
    TRY(load_layers(l));
    TRY(list_module(l, &m->final_norm, f->final_norm));
    TRY(load_norm(l, &m->final_norm, end_stem(f, END_NORM, m->is_gguf)));
    return load_head(l);
}

static int report_missing(loader *l)
{
    if (l->missing_count == 0)
        return LORAC_OK;
    TRY(buf_status(&l->missing));
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = l->m->path,
                            .key = l->missing.p,
                            .hint = "the files do not belong together, or the download is not complete" },
                   "%zu tensor%s of the model missing", l->missing_count, l->missing_count == 1 ? " is" : "s are");
}

static int load(loader *l)
{
    model *m = l->m;
    if (path_is_folder(m->path))
        TRY(config_read_folder(&m->config, &m->family, m->path, l->options, &m->memory));
    TRY(source_open(m->source, m->path));
    m->is_gguf = m->source->is_gguf;
    if (m->is_gguf)
        TRY(config_read_gguf(&m->config, &m->family, &m->source->gguf, l->options, &m->memory));
    TRY(load_modules(l));
    TRY(report_missing(l));
    for (int t = 0; t < DT_COUNT; t++)
        if (l->by_type[t] > l->by_type[m->weight_type])
            m->weight_type = t;
    return LORAC_OK;
}

int model_open(model **out, const char *path, const model_options *options)
{
    static const model_options standard;
    *out = NULL;
    if (!path_exists(path))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = path,
                                .hint = "give a model folder, a GGUF file or a name that `lorac pull --list` shows" },
                       "there is no such model");
    loader l = { .m = mem_new(1, sizeof *l.m), .options = options ? options : &standard };
    model *m = l.m;
    if (!m)
        return fail_memory();
    m->source = arena_new(&m->memory, 1, sizeof *m->source);
    m->path = arena_text(&m->memory, path, strlen(path));
    int status = m->source && m->path ? load(&l) : fail_memory();
    buf_free(&l.missing);
    if (status != LORAC_OK) {
        model_close(m);
        return status;
    }
    *out = m;
    return LORAC_OK;
}

void model_close(model *m)
{
    if (!m)
        return;
    if (m->source)
        source_close(m->source);
    labels_free(&m->config.labels);
    arena_free(&m->memory);
    mem_free(m);
}

int64_t model_outputs(const model *m)
{
    return outputs_of(&m->head.weight);
}

const label_set *model_labels(const model *m)
{
    return m->config.task == LORAC_TASK_SEQ_CLS ? &m->config.labels : NULL;
}

int model_check_ids(const model *m, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= m->config.vocabulary) {
            char found[32], expected[48];
            snprintf(found, sizeof found, "%d", ids[i]);
            snprintf(expected, sizeof expected, "0 to %lld", (long long)m->config.vocabulary - 1);
            return fail_at(LORAC_ERROR_DATA, (fault){ .key = "ids", .found = found, .expected = expected },
                           "a token id is not in the model's vocabulary");
        }
    return LORAC_OK;
}
