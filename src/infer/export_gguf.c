/* export_gguf.c: a model or an adapter in llama.cpp's file. Keys of a GGUF input are carried over as they are; those of
 * a folder are made. */
#include "pieces.h"

#include "err.h"
#include "gguf.h"
#include "mem.h"
#include "source.h"
#include "tokenizer_export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* llama.cpp's numbers for general.file_type. */
static uint32_t file_type(dtype type)
{
    switch (type) {
    case DT_F16:
        return 1;
    case DT_Q8_0:
        return 7;
    case DT_BF16:
        return 32;
    default:
        return 0;
    }
}

static int sink(void *to, const void *bytes, size_t count)
{
    return gguf_data(to, bytes, count);
}

/* ---- Keys ---- */

static void put_u32(gguf_writer *w, const model *m, const char *key, int64_t value)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", m->family->name, key);
    gguf_put_u32(w, name, (uint32_t)value);
}

static void put_f32(gguf_writer *w, const model *m, const char *key, double value)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", m->family->name, key);
    gguf_put_f32(w, name, (float)value);
}

static void put_rope(gguf_writer *w, const model *m)
{
    const model_config *g = &m->config;
    put_u32(w, m, "rope.dimension_count", g->rotated);
    put_f32(w, m, "rope.freq_base", g->rope_theta);
    if (g->rope_scaling.kind == ROPE_LINEAR) {
        char name[128];
        snprintf(name, sizeof name, "%s.rope.scaling.type", m->family->name);
        gguf_put_text(w, name, slice_of("linear"));
        put_f32(w, m, "rope.scaling.factor", g->rope_scaling.factor);
    }
}

/* What no key of the format says must be what its readers take for granted. */
static int check_sayable(const model *m, const config_key *key)
{
    const char *field = (const char *)&m->config + key->field;
    bool flag = key->kind == KEY_FLAG && *(const bool *)field != (key->fallback != 0);
    bool activation = key->kind == KEY_ACTIVATION && *(const glu_kind *)field != (glu_kind)key->fallback;
    if (!key->gguf && (flag || activation))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = m->path, .key = key->name, .hint = "write a Hugging Face folder instead" },
                       "a GGUF file of this family cannot say this setting");
    return LORAC_OK;
}

static int put_config(gguf_writer *w, const model *m)
{
    for (const config_key *key = m->family->keys; key->name || key->gguf; key++) {
        const char *field = (const char *)&m->config + key->field;
        TRY(check_sayable(m, key));
        if (key->gguf && key->kind == KEY_SIZE)
            put_u32(w, m, key->gguf, *(const int64_t *)field);
        else if (key->gguf && key->kind == KEY_REAL)
            put_f32(w, m, key->gguf, *(const double *)field);
    }
    if (m->family->rotary)
        put_rope(w, m);
    return LORAC_OK;
}

static slice model_name(const model *m)
{
    slice name = path_name(m->path);
    return name.n ? name : slice_of("model");
}

static int put_made_keys(gguf_writer *w, const export_plan *plan)
{
    const model *m = plan->m;
    gguf_put_text(w, "general.architecture", slice_of(m->family->name));
    gguf_put_text(w, "general.type", slice_of("model"));
    gguf_put_text(w, "general.name", model_name(m));
    TRY(put_config(w, m));
    if (!tokenizer_is_in_folder(m->path))
        return LORAC_OK;
    tokenizer *t;
    TRY(tokenizer_open_folder(&t, m->path));
    int status = tokenizer_put_gguf(t, w, m->config.vocabulary, plan->notes);
    tokenizer_free(t);
    return status;
}

static void copy_keys(gguf_writer *w, const gguf *from)
{
    static const char *const made_here[] = { "general.file_type", "general.quantization_version", "general.alignment" };
    for (size_t i = 0; i < from->value_count; i++) {
        bool skip = false;
        for (size_t j = 0; j < sizeof made_here / sizeof *made_here; j++)
            skip |= strcmp(from->values[i].key, made_here[j]) == 0;
        if (!skip)
            gguf_put_copy(w, &from->values[i]);
    }
}

/* ---- Tensors ---- */

/* Divisors of the rotary frequencies, where the model's are scaled in a way that keys cannot say. */
static int make_divisors(const model_config *g, float **out)
{
    *out = NULL;
    if (g->rope_scaling.kind != ROPE_LLAMA3 && g->rope_scaling.kind != ROPE_DIVISORS)
        return LORAC_OK;
    *out = mem_new((size_t)(g->rotated / 2), sizeof **out);
    if (!*out)
        return fail_memory();
    for (int64_t i = 0; i < g->rotated / 2; i++)
        (*out)[i] = (float)(pow(g->rope_theta, -2.0 * (double)i / (double)g->rotated) / (double)g->rope_frequency[i]);
    return LORAC_OK;
}

static int write_tensors(gguf_writer *w, const pieces *p, const float *divisors, export_loss *loss)
{
    const int64_t half = p->plan->m->config.rotated / 2;
    for (size_t i = 0; i < p->count; i++)
        TRY(gguf_declare(w, p->list[i].name, p->list[i].type, p->list[i].ndim, p->list[i].dim));
    if (divisors)
        TRY(gguf_declare(w, "rope_freqs.weight", DT_F32, 1, &half));
    TRY(pieces_write(p, sink, w, loss));
    return divisors ? gguf_data(w, divisors, (size_t)half * sizeof *divisors) : LORAC_OK;
}

int export_gguf(const export_plan *plan, const char *path, export_loss *loss)
{
    pieces p;
    gguf_writer *w;
    float *divisors = NULL;
    TRY(pieces_new(&p, plan, true));
    int status = gguf_begin(&w, path);
    if (status == LORAC_OK) {
        if (plan->m->is_gguf)
            copy_keys(w, &plan->m->source->gguf);
        else
            status = put_made_keys(w, plan);
        gguf_put_u32(w, "general.file_type", file_type(plan->type));
        gguf_put_u32(w, "general.quantization_version", 2);
        if (status == LORAC_OK)
            status = make_divisors(&plan->m->config, &divisors);
        if (status == LORAC_OK)
            status = write_tensors(w, &p, divisors, loss);
        if (status == LORAC_OK)
            status = gguf_finish(w);
        else
            gguf_abandon(w);
    }
    mem_free(divisors);
    pieces_free(&p);
    return status;
}

/* ---- An adapter ---- */

/* llama.cpp multiplies by alpha / rank with one alpha for the file; what a module's own scale differs by goes into B.
 */
static int write_factor_b(gguf_writer *w, const adapted *to, double alpha, bool paired, int64_t head_size)
{
    int64_t rows = to->b->t.dim[0], rank = to->rank;
    float *row = mem_new((size_t)rank, sizeof *row);
    double factor = (double)to->scale / (alpha / (double)rank);
    int status = row ? LORAC_OK : fail_memory();
    for (int64_t r = 0; r < rows && status == LORAC_OK; r++) {
        const real *from = (const real *)to->b->t.data + (paired ? paired_row(r, head_size) : r) * rank;
        for (int64_t c = 0; c < rank; c++)
            row[c] = (float)((double)from[c] * factor);
        status = gguf_data(w, row, (size_t)rank * sizeof *row);
    }
    mem_free(row);
    return status;
}

static int declare_pair(gguf_writer *w, const adapted *to, const char *stem)
{
    char name[160];
    snprintf(name, sizeof name, "%s.weight.lora_a", stem);
    TRY(gguf_declare(w, name, DT_F32, 2, to->a->t.dim));
    snprintf(name, sizeof name, "%s.weight.lora_b", stem);
    return gguf_declare(w, name, DT_F32, 2, to->b->t.dim);
}

static int write_modules(gguf_writer *w, const model *m, const adapter *a, double alpha, bool declare)
{
    for (int slot = 0; slot < m->module_count; slot++) {
        const adapted *to = &a->modules[slot];
        if (!to->a)
            continue;
        int64_t layer = 0;
        const param *q = param_of(m, m->modules[slot], &layer);
        char stem[128];
        if (q)
            snprintf(stem, sizeof stem, "blk.%lld.%s", (long long)layer, q->gguf);
        else
            snprintf(stem, sizeof stem, "%s", end_stem(m->family, END_HEAD, true));
        if (declare) {
            TRY(declare_pair(w, to, stem));
            continue;
        }
        TRY(gguf_data(w, to->a->t.data, (size_t)tensor_bytes(&to->a->t)));
        TRY(write_factor_b(w, to, alpha, q && q->layout == LAYOUT_PAIRED, m->config.head_size));
    }
    return LORAC_OK;
}

/* llama.cpp knows the factors of linears, and nothing else that an adapter can have. */
static int check_plain(const model *m, const adapter *a)
{
    for (int slot = 0; slot < m->module_count; slot++) {
        const adapted *to = &a->modules[slot];
        const bool factors_only = !to->b_bias && !to->magnitude && !to->weight && !to->bias && !to->rows && !to->turned;
        const bool is_linear = m->modules[slot]->kind == MODULE_LINEAR || m->modules[slot]->kind == MODULE_CONV1D;
        if (!factors_only || (to->a && !is_linear))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .key = m->modules[slot]->name, .hint = "merge the adapter into the model instead" },
                           "llama.cpp's adapters have plain LoRA factors of linear layers only");
    }
    if (m->config.tied_head && a->modules[m->head.slot].a)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .key = "lm_head", .hint = "merge the adapter into the model instead" },
                       "llama.cpp cannot apply an adapter to a head that is tied to the embedding");
    return LORAC_OK;
}

/* The file's alpha: exact for the first adapted module, so that adapters with one scale carry their B unchanged. */
static double file_alpha(const adapter *a)
{
    for (int slot = 0; slot < a->module_count; slot++)
        if (a->modules[slot].a)
            return (double)a->modules[slot].scale * (double)a->modules[slot].rank;
    return 1;
}

int export_adapter_gguf(const model *m, const adapter *a, const char *path)
{
    gguf_writer *w;
    double alpha = file_alpha(a);
    TRY(check_plain(m, a));
    TRY(gguf_begin(&w, path));
    gguf_put_text(w, "general.architecture", slice_of(m->family->name));
    gguf_put_text(w, "general.type", slice_of("adapter"));
    gguf_put_text(w, "adapter.type", slice_of("lora"));
    gguf_put_text(w, "general.name", model_name(m));
    gguf_put_f32(w, "adapter.lora.alpha", (float)alpha);
    gguf_put_u32(w, "general.quantization_version", 2);
    int status = write_modules(w, m, a, alpha, true);
    if (status == LORAC_OK)
        status = write_modules(w, m, a, alpha, false);
    if (status != LORAC_OK) {
        gguf_abandon(w);
        return status;
    }
    return gguf_finish(w);
}
