/* adapt.c: building, reading and writing adapters. Module names are Hugging Face's paths below "base_model.model.",
 * also for GGUF models. */
#include "adapt.h"

#include "arch.h"
#include "err.h"
#include "mem.h"
#include "quant.h"
#include "rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a tensor of an adapter file can be for its module. PEFT files the base weight too where the head is adapted. */
enum { PART_A, PART_B, PART_BASE, PARTS };
static const char *const suffixes[PARTS] = { PEFT_A, PEFT_B, ".base_layer.weight" };

typedef struct builder {
    const model *m;
    const peft_config *config;
    peft_matcher *matcher;
    adapter *a;
} builder;

static int builder_open(builder *b, const model *m, const peft_config *config)
{
    *b = (builder){ .m = m, .config = config, .a = mem_new(1, sizeof *b->a) };
    if (!b->a)
        return fail_memory();
    b->a->module_count = m->linear_count;
    b->a->modules = arena_new(&b->a->memory, (size_t)m->linear_count, sizeof *b->a->modules);
    b->a->trainables = arena_new(&b->a->memory, (size_t)m->linear_count * 2, sizeof *b->a->trainables);
    if (!b->a->modules || !b->a->trainables)
        return fail_memory();
    return peft_matcher_new(&b->matcher, config);
}

/* Ends a build: hands the adapter out, or frees it after a failure. */
static int builder_close(builder *b, int status, adapter **out)
{
    peft_matcher_free(b->matcher);
    if (status != LORAC_OK) {
        adapter_free(b->a);
        b->a = NULL;
    }
    *out = b->a;
    return status;
}

void adapter_free(adapter *a)
{
    if (!a)
        return;
    arena_free(&a->memory);
    mem_free(a);
}

static int new_factor(builder *b, var *out, const linear *l, int which, int64_t rows, int64_t cols)
{
    adapter *a = b->a;
    trainable *t = &a->trainables[a->trainable_count++];
    out->t = (tensor){ .type = DT_REAL, .ndim = 2, .dim = { rows, cols } };
    out->t.data = arena_new(&a->memory, (size_t)(rows * cols), sizeof(real));
    t->name = arena_format(&a->memory, PEFT_PREFIX "%s%s", l->name, suffixes[which]);
    t->value = out;
    t->count = rows * cols;
    a->parameters += t->count;
    return out->t.data && t->name ? LORAC_OK : fail_memory();
}

/* An empty pair for a module: A [rank, in], B [out, rank], both zero. */
static int new_module(builder *b, const linear *l, int64_t rank, double alpha)
{
    lora *module = &b->a->modules[l->slot];
    TRY(new_factor(b, &module->a, l, 0, rank, inputs_of(&l->weight)));
    TRY(new_factor(b, &module->b, l, 1, outputs_of(&l->weight), rank));
    module->rank = rank;
    module->scale = (real)(alpha / (b->config->use_rslora ? sqrt((double)rank) : (double)rank));
    module->dropout = (real)b->config->lora_dropout;
    return LORAC_OK;
}

/* PEFT's first values: A is Kaiming-uniform with a = √5, which comes to U(-1/√in, 1/√in), or N(0, 1/r²); B is zero.
 * init_lora_weights false means no care at all: both as torch makes a Linear. */
static void first_values(const lora *module, const char *name, const char *init, uint64_t seed)
{
    bool gaussian = strcmp(init, "gaussian") == 0, careless = strcmp(init, "false") == 0;
    const var *factors[2] = { &module->a, &module->b };
    for (int which = 0; which < 2; which++) {
        if (which == 1 && !careless)
            break;
        real *values = factors[which]->t.data;
        int64_t count = tensor_count(&factors[which]->t);
        double bound = 1 / sqrt((double)factors[which]->t.dim[1]);
        rng r = rng_new(seed, rng_stream(name) + (uint64_t)which);
        for (int64_t i = 0; i < count; i++)
            values[i] = (real)(gaussian ? rng_normal(&r) / (double)module->rank : (2 * rng_uniform(&r) - 1) * bound);
    }
}

static int note_unused(const builder *b, buf *notes)
{
    const char *unused = peft_matcher_unused(b->matcher);
    if (unused && notes)
        buf_format(notes, "%s'%s' of the adapter's configuration matches no module", notes->n ? "; " : "", unused);
    return LORAC_OK;
}

static int no_target(const builder *b)
{
    buf targets = { 0 };
    for (size_t i = 0; i < b->config->target_count; i++)
        buf_format(&targets, "%s%s", i ? "," : "", b->config->targets[i]);
    const char *found = b->config->target_regex ? b->config->target_regex : targets.p;
    int status = fail_at(
        LORAC_ERROR_USAGE,
        (fault){ .key = "target_modules",
                 .found = found,
                 .expected = "for instance q_proj,v_proj, all-linear or a regular expression over whole module paths",
                 .hint = "`lorac inspect MODEL` lists the modules" },
        "the targets match no module of the model");
    buf_free(&targets);
    return status;
}

/* A target that names an embedding would be left out silently: it is no linear. */
static int refuse_embedding(builder *b, const char *name)
{
    bool matches;
    int64_t rank;
    double alpha;
    if (!name || (b->config->target_regex && strcasecmp(b->config->target_regex, "all-linear") == 0))
        return LORAC_OK;
    TRY(peft_matches(b->matcher, name, false, &matches, &rank, &alpha));
    return matches ? fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target_modules", .found = name },
                             "adapters on embeddings are not supported")
                   : LORAC_OK;
}

static int create_modules(builder *b, uint64_t seed, buf *notes)
{
    TRY(refuse_embedding(b, b->m->family->embedding));
    TRY(refuse_embedding(b, b->m->family->positions));
    for (int slot = 0; slot < b->m->linear_count; slot++) {
        const linear *l = b->m->linears[slot];
        bool matches;
        int64_t rank;
        double alpha;
        TRY(peft_matches(b->matcher, l->name, l == &b->m->head, &matches, &rank, &alpha));
        if (!matches)
            continue;
        TRY(new_module(b, l, rank, alpha));
        first_values(&b->a->modules[slot], l->name, b->config->init_lora_weights, seed);
    }
    if (b->a->trainable_count == 0)
        return no_target(b);
    return note_unused(b, notes);
}

/* A config that names no targets means PEFT's default for the model type. The copy shares the original's memory. */
static int with_default_targets(peft_config *copy, const peft_config *config, const model *m, arena *memory)
{
    *copy = *config;
    if (config->target_count || config->target_regex)
        return LORAC_OK;
    const char *names = peft_default_targets(m->config.model_type);
    if (!names)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target_modules", .hint = "name the modules to adapt" },
                       "there are no default targets for models of type %s", m->config.model_type);
    slice rest = slice_of(names);
    copy->targets = arena_new(memory, rest.n + 1, sizeof *copy->targets);
    while (rest.n && copy->targets) {
        slice name = slice_cut(&rest, ',');
        const char *text = arena_text(memory, name.p, name.n);
        if (!text)
            return fail_memory();
        copy->targets[copy->target_count++] = text;
    }
    return copy->targets ? LORAC_OK : fail_memory();
}

int adapter_create(adapter **out, const model *m, const peft_config *config, uint64_t seed, buf *notes)
{
    builder b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    *out = NULL;
    int status = with_default_targets(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = builder_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = create_modules(&b, seed, notes);
    status = builder_close(&b, status, out);
    arena_free(&names);
    return status;
}

static int measure_modules(int64_t *parameters, const model *m, peft_matcher *matcher)
{
    *parameters = 0;
    for (int slot = 0; slot < m->linear_count; slot++) {
        const linear *l = m->linears[slot];
        int64_t rank, more;
        double alpha;
        bool matches;
        TRY(peft_matches(matcher, l->name, l == &m->head, &matches, &rank, &alpha));
        if (matches && (__builtin_mul_overflow(rank, outputs_of(&l->weight) + inputs_of(&l->weight), &more) ||
                        __builtin_add_overflow(*parameters, more, parameters)))
            return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "r" }, "the rank makes an adapter beyond all bounds");
    }
    return LORAC_OK;
}

int adapter_measure(int64_t *parameters, const model *m, const peft_config *config)
{
    peft_matcher *matcher = NULL;
    peft_config resolved;
    arena names = { 0 };
    int status = with_default_targets(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = peft_matcher_new(&matcher, &resolved);
    if (status == LORAC_OK)
        status = measure_modules(parameters, m, matcher);
    peft_matcher_free(matcher);
    arena_free(&names);
    return status;
}

/* ---- Reading ---- */

typedef struct reading {
    const adapter_file *file;
    builder *b;
} reading;

/* Takes the module out of "base_model.model.MODULE.lora_A.weight". */
static bool parse_name(slice name, slice *module)
{
    if (!slice_starts(name, PEFT_PREFIX))
        return false;
    name.p += strlen(PEFT_PREFIX);
    name.n -= strlen(PEFT_PREFIX);
    for (int part = 0; part < PARTS; part++)
        if (slice_ends(name, suffixes[part])) {
            *module = (slice){ name.p, name.n - strlen(suffixes[part]) };
            return true;
        }
    return false;
}

static const linear *find_linear(const model *m, slice name)
{
    for (int slot = 0; slot < m->linear_count; slot++)
        if (slice_is(name, m->linears[slot]->name))
            return m->linears[slot];
    return NULL;
}

static int check_names(const reading *f)
{
    for (size_t i = 0; i < f->file->count; i++) {
        slice module;
        const char *name = f->file->names[i];
        if (!parse_name(slice_of(name), &module))
            return fail_at(
                LORAC_ERROR_DATA,
                (fault){ .file = f->file->path, .key = name, .expected = PEFT_PREFIX "MODULE" PEFT_A " or " PEFT_B },
                "the adapter has a tensor that is not part of a LoRA pair");
        if (!find_linear(f->b->m, module))
            return fail_at(
                LORAC_ERROR_DATA,
                (fault){ .file = f->file->path, .key = name, .hint = "the adapter was made for another base model" },
                "the adapter has a tensor for a module that the model does not have");
    }
    return LORAC_OK;
}

static int check_factor(const reading *f, const tensor *t, const char *name, int64_t rows, int64_t cols)
{
    char have[64], want[64];
    tensor shape = { .ndim = 2, .dim = { rows, cols } };
    if (t->ndim != 2 || t->dim[0] != rows || t->dim[1] != cols)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){
                .file = f->file->path,
                .key = name,
                .found = tensor_shape(t, have),
                .expected = tensor_shape(&shape, want),
                .hint =
                    "the adapter was made for another base model, or with another rank than its configuration says" },
            "an adapter tensor has the wrong shape");
    if (!dtype_is_float(t->type) && !dtype_is_quantised(t->type))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){
                .file = f->file->path, .key = name, .found = dtype_name(t->type), .expected = "a floating-point type" },
            "an adapter tensor has a type that cannot be used");
    return LORAC_OK;
}

static int check_finite(const reading *f, const char *name, const float *values, const tensor *t)
{
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (!isfinite(values[i])) {
            char found[96];
            snprintf(found, sizeof found, "%g at [%lld, %lld]", (double)values[i], (long long)(i / t->dim[1]),
                     (long long)(i % t->dim[1]));
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = f->file->path,
                                    .key = name,
                                    .found = found,
                                    .expected = "finite numbers",
                                    .hint = "the training that made this adapter went wrong" },
                           "an adapter tensor holds a value that is not a number");
        }
    return LORAC_OK;
}

static int read_factor(const reading *f, real *out, const tensor *t, const char *name)
{
    int64_t count = tensor_count(t);
    float *values = mem_new((size_t)count, sizeof *values);
    if (!values)
        return fail_memory();
    quant_decode(values, t->data, t->type, count);
    for (int64_t i = 0; i < count; i++)
        out[i] = (real)values[i];
    int status = check_finite(f, name, values, t);
    mem_free(values);
    return status;
}

/* A weight that the file brings along replaces the model's. */
static int read_base(const reading *f, const linear *l, const tensor *t, const char *name)
{
    if (!t)
        return LORAC_OK;
    int64_t rows = outputs_of(&l->weight), cols = inputs_of(&l->weight);
    TRY(check_factor(f, t, name, l->conv1d ? cols : rows, l->conv1d ? rows : cols));
    var *base = &f->b->a->modules[l->slot].base;
    void *copy = arena_new(&f->b->a->memory, (size_t)tensor_bytes(t), 1);
    if (!copy)
        return fail_memory();
    base->t = *t;
    base->turned = l->conv1d;
    base->t.data = memcpy(copy, t->data, (size_t)tensor_bytes(t));
    return LORAC_OK;
}

static int read_module(const reading *f, const linear *l)
{
    builder *b = f->b;
    const tensor *t[PARTS];
    char name[PARTS][512];
    for (int part = 0; part < PARTS; part++) {
        snprintf(name[part], sizeof name[part], PEFT_PREFIX "%s%s", l->name, suffixes[part]);
        t[part] = adapter_file_find(f->file, name[part]);
    }
    TRY(read_base(f, l, t[PART_BASE], name[PART_BASE]));
    if (!t[PART_A] && !t[PART_B])
        return LORAC_OK;
    for (int part = PART_A; part <= PART_B; part++)
        if (!t[part])
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file->path, .key = name[part] },
                           "half of a LoRA pair is missing");
    bool matches;
    int64_t rank;
    double alpha;
    TRY(peft_matches(b->matcher, l->name, l == &b->m->head, &matches, &rank, &alpha));
    if (!matches)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file->path, .key = name[PART_A] },
                       "the adapter's target_modules do not name a module it has tensors for");
    TRY(check_factor(f, t[PART_A], name[PART_A], rank, inputs_of(&l->weight)));
    TRY(check_factor(f, t[PART_B], name[PART_B], outputs_of(&l->weight), rank));
    TRY(new_module(b, l, rank, alpha));
    TRY(read_factor(f, b->a->modules[l->slot].a.t.data, t[PART_A], name[PART_A]));
    return read_factor(f, b->a->modules[l->slot].b.t.data, t[PART_B], name[PART_B]);
}

static int read_tensors(builder *b, const adapter_file *file)
{
    reading f = { file, b };
    TRY(check_names(&f));
    for (int slot = 0; slot < b->m->linear_count; slot++)
        TRY(read_module(&f, b->m->linears[slot]));
    if (b->a->trainable_count == 0)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file->path }, "the adapter has no tensors");
    return LORAC_OK;
}

static int load_file(adapter **out, const model *m, adapter_file *file)
{
    builder b = { 0 };
    peft_config resolved;
    arena names = { 0 };
    if (isnan(file->alpha))
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = file->path,
                                .key = "alpha",
                                .hint = "convert it to PEFT's folder, whose adapter_config.json says alpha" },
                       "a file of loralib does not say by what the adapter is multiplied");
    int status = strcmp(file->format, "gguf") == 0 ? adapter_file_translate(file, m) : LORAC_OK;
    if (status == LORAC_OK)
        status = with_default_targets(&resolved, &file->config, m, &names);
    if (status == LORAC_OK)
        status = builder_open(&b, m, &resolved);
    if (status == LORAC_OK)
        status = read_tensors(&b, file);
    status = builder_close(&b, status, out);
    arena_free(&names);
    return status;
}

int adapter_load(adapter **out, const model *m, const char *path, peft_config *config, buf *notes)
{
    adapter_file file;
    *out = NULL;
    if (config)
        peft_config_init(config);
    TRY(adapter_file_open(&file, path, notes));
    int status = load_file(out, m, &file);
    if (config) {
        *config = file.config;
        peft_config_init(&file.config);
    }
    adapter_file_close(&file);
    return status;
}

/* ---- Writing ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const trainable *)a)->name, ((const trainable *)b)->name);
}

static int save_tensors(const adapter *a, const char *path)
{
    size_t n = (size_t)a->trainable_count;
    trainable *sorted = mem_new(n, sizeof *sorted);
    const char **names = mem_new(n, sizeof *names);
    tensor *tensors = mem_new(n, sizeof *tensors);
    int status = sorted && names && tensors ? LORAC_OK : fail_memory();
    if (status == LORAC_OK) {
        memcpy(sorted, a->trainables, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_name);
        for (size_t i = 0; i < n; i++) {
            names[i] = sorted[i].name;
            tensors[i] = sorted[i].value->t;
        }
        status = safetensors_save(path, names, tensors, n);
    }
    mem_free(sorted);
    mem_free(names);
    mem_free(tensors);
    return status;
}

static const char *last_component(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* all-linear is written as what it came to: the last components of the adapted modules' names. */
static int resolve_all_linear(peft_config *copy, const adapter *a, const model *m, arena *memory)
{
    if (!copy->target_regex || strcasecmp(copy->target_regex, "all-linear") != 0)
        return LORAC_OK;
    copy->target_regex = NULL;
    copy->targets = arena_new(memory, (size_t)m->linear_count, sizeof *copy->targets);
    if (!copy->targets)
        return fail_memory();
    for (int slot = 0; slot < m->linear_count; slot++) {
        const char *name = last_component(m->linears[slot]->name);
        bool known = a->modules[slot].rank == 0;
        for (size_t i = 0; i < copy->target_count && !known; i++)
            known = strcmp(copy->targets[i], name) == 0;
        if (!known)
            copy->targets[copy->target_count++] = name;
    }
    return LORAC_OK;
}

/* PEFT's word for Conv1D, whose weights it finds turned. */
static bool is_for_conv1d(const adapter *a, const model *m)
{
    for (int slot = 0; slot < m->linear_count; slot++)
        if (a->modules[slot].rank > 0 && m->linears[slot]->conv1d)
            return true;
    return false;
}

int adapter_save(const adapter *a, const model *m, const peft_config *config, const char *folder)
{
    peft_config resolved;
    arena names = { 0 };
    buf path = { 0 };
    const char *joined = path_join(&path, folder, "adapter_model.safetensors");
    int status = joined ? save_tensors(a, joined) : fail_memory();
    if (status == LORAC_OK)
        status = with_default_targets(&resolved, config, m, &names);
    if (status == LORAC_OK)
        status = resolve_all_linear(&resolved, a, m, &names);
    if (status == LORAC_OK) {
        resolved.fan_in_fan_out = is_for_conv1d(a, m);
        joined = path_join(&path, folder, "adapter_config.json");
        status = joined ? peft_config_write(&resolved, joined) : fail_memory();
    }
    arena_free(&names);
    buf_free(&path);
    return status;
}

/* ---- Figures ---- */

parameter_counts adapter_counts(const adapter *a, const model *m)
{
    return (parameter_counts){ a->parameters, m->parameters + a->parameters };
}
