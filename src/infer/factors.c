/* factors.c: see factors.h. A pattern key is a module's whole path, which no other module's path ends in. */
#include "factors.h"

#include "err.h"
#include "mem.h"
#include "quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading */

static int refuse_tensor(const factor_source *f, const char *name)
{
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = f->file.path,
                            .key = name,
                            .expected = PEFT_PREFIX "MODULE" PEFT_A " and " PEFT_B " alone",
                            .hint = "DoRA, adapted embeddings, biases and whole modules cannot be combined" },
                   "the adapter holds more than pairs of factors");
}

static int check_matrix(const factor_source *f, const char *name, const tensor *t)
{
    char found[64];

    if (t->ndim != 2 || t->dim[0] <= 0 || t->dim[1] <= 0)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = f->file.path, .key = name, .found = tensor_shape(t, found), .expected = "a matrix" },
            "an adapter tensor has the wrong shape");
    if (!dtype_is_float(t->type) && !dtype_is_quantised(t->type))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){
                .file = f->file.path, .key = name, .found = dtype_name(t->type), .expected = "a floating-point type" },
            "an adapter tensor has a type that cannot be used");
    return LORAC_OK;
}

/* Both halves, sharing the rank that the configuration says. */
static int check_pair(const factor_source *f, const filed_pair *p, int64_t rank)
{
    char found[160], a_shape[64], b_shape[64], expected[64];

    TRY(check_matrix(f, p->a_name, p->a));
    TRY(check_matrix(f, p->b_name, p->b));
    if (p->a->dim[0] == rank && p->b->dim[1] == rank)
        return LORAC_OK;
    snprintf(found, sizeof found, "A %s and B %s", tensor_shape(p->a, a_shape), tensor_shape(p->b, b_shape));
    snprintf(expected, sizeof expected, "A [%lld, in] and B [out, %lld]", (long long)rank, (long long)rank);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->file.path, .key = p->a_name, .found = found, .expected = expected },
                   "the two factors do not have the rank of the adapter's configuration");
}

static int check_against_model(const factor_source *f, const filed_pair *p, const model *m)
{
    const linear *l = NULL;
    char found[64], expected[64];

    for (int i = 0; i < m->module_count && !l; i++)
        l = strcmp(m->modules[i]->name, p->module) == 0 ? m->modules[i] : NULL;
    if (!l)
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = f->file.path, .key = p->a_name, .hint = "the adapter was made for another base model" },
            "the adapter has a tensor for a module that the model does not have");
    if (p->a->dim[1] == inputs_of(&l->weight) && p->b->dim[0] == outputs_of(&l->weight))
        return LORAC_OK;
    snprintf(found, sizeof found, "[%lld, %lld]", (long long)p->b->dim[0], (long long)p->a->dim[1]);
    snprintf(expected, sizeof expected, "[%lld, %lld]", (long long)outputs_of(&l->weight),
             (long long)inputs_of(&l->weight));
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->file.path,
                            .key = p->module,
                            .found = found,
                            .expected = expected,
                            .hint = "the adapter was made for another base model" },
                   "the adapter's update does not fit the model's matrix");
}

static int add_pair(factor_source *f, slice module, peft_matcher *matcher, const model *m)
{
    filed_pair *p = &f->pairs[f->count];
    bool matches;
    int64_t rank;
    double alpha;

    p->module = arena_text(&f->memory, module.p, module.n);
    p->a_name = arena_format(&f->memory, PEFT_PREFIX "%.*s" PEFT_A, (int)module.n, module.p);
    p->b_name = arena_format(&f->memory, PEFT_PREFIX "%.*s" PEFT_B, (int)module.n, module.p);
    if (!p->module || !p->a_name || !p->b_name)
        return fail_memory();
    p->a = adapter_file_find(&f->file, p->a_name);
    p->b = adapter_file_find(&f->file, p->b_name);
    if (!p->a || !p->b)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file.path, .key = p->a ? p->b_name : p->a_name },
                       "half of a LoRA pair is missing");
    TRY(peft_matches(matcher, p->module, false, &matches, &rank, &alpha));
    if (!matches)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file.path, .key = p->a_name },
                       "the adapter's target_modules do not name a module it has tensors for");
    TRY(check_pair(f, p, rank));
    if (m)
        TRY(check_against_model(f, p, m));
    p->scale = peft_scale(&f->file.config, rank, alpha);
    f->count++;
    return map_add(&f->index, slice_of(p->module), (int64_t)f->count - 1, NULL);
}

/* Takes the module out of "base_model.model.MODULE.lora_A.weight". */
static bool module_of(slice name, slice *module)
{
    const size_t around = strlen(PEFT_PREFIX) + strlen(PEFT_A);

    if (!slice_starts(name, PEFT_PREFIX) || name.n <= around || !(slice_ends(name, PEFT_A) || slice_ends(name, PEFT_B)))
        return false;
    *module = (slice){ name.p + strlen(PEFT_PREFIX), name.n - around };
    return true;
}

static int list_pairs(factor_source *f, peft_matcher *matcher, const model *m)
{
    slice module;

    f->pairs = arena_new(&f->memory, f->file.count, sizeof *f->pairs);
    if (!f->pairs)
        return fail_memory();
    for (size_t i = 0; i < f->file.count; i++)
        if (!module_of(slice_of(f->file.names[i]), &module))
            return refuse_tensor(f, f->file.names[i]);
    for (size_t i = 0; i < f->file.count; i++)
        if (module_of(slice_of(f->file.names[i]), &module) && map_find(&f->index, module) < 0)
            TRY(add_pair(f, module, matcher, m));
    return f->count > 0 ? LORAC_OK
                        : fail_at(LORAC_ERROR_DATA, (fault){ .file = f->file.path }, "the adapter has no tensors");
}

/* A configuration without targets means the model type's own, which the tensors show just as well. */
static int prepare_file(adapter_file *file, const model *m)
{
    if (file->config.target_count == 0 && !file->config.target_regex)
        file->config.target_regex = ".*";
    TRY(adapter_file_check_scale(file));
    if (strcmp(file->format, "gguf") != 0)
        return LORAC_OK;
    return m ? adapter_file_translate(file, m)
             : fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = file->path, .key = "model", .hint = "name the base with -m" },
                       "a llama.cpp adapter can only be read beside its model, which knows its modules");
}

int factor_source_open(factor_source *out, const char *path, const model *m)
{
    peft_matcher *matcher = NULL;
    int status;

    *out = (factor_source){ 0 };
    TRY(adapter_file_open(&out->file, path, NULL));
    status = prepare_file(&out->file, m);
    if (status == LORAC_OK)
        status = peft_matcher_new(&matcher, &out->file.config);
    if (status == LORAC_OK)
        status = list_pairs(out, matcher, m);
    peft_matcher_free(matcher);
    if (status != LORAC_OK)
        factor_source_close(out);
    return status;
}

void factor_source_close(factor_source *f)
{
    map_free(&f->index);
    arena_free(&f->memory);
    adapter_file_close(&f->file);
    *f = (factor_source){ 0 };
}

const filed_pair *factor_source_find(const factor_source *f, const char *module)
{
    int64_t i = map_find(&f->index, slice_of(module));

    return i < 0 ? NULL : &f->pairs[i];
}

int filed_values(const factor_source *f, const filed_pair *pair, const tensor *t, double **out)
{
    const int64_t cols = t->dim[1];
    float *row = mem_new((size_t)cols, sizeof *row);
    int status = LORAC_OK;

    *out = mem_new((size_t)t->dim[0] * (size_t)cols, sizeof **out);
    if (!row || !*out)
        status = fail_memory();
    for (int64_t r = 0; r < t->dim[0] && status == LORAC_OK; r++) {
        quant_decode_row(row, t, r);
        for (int64_t c = 0; c < cols && status == LORAC_OK; c++) {
            (*out)[r * cols + c] = row[c];
            if (!isfinite(row[c]))
                status =
                    fail_at(LORAC_ERROR_DATA,
                            (fault){ .file = f->file.path,
                                     .key = t == pair->a ? pair->a_name : pair->b_name,
                                     .hint = "the training that made this adapter went wrong" },
                            "an adapter tensor holds %g at [%lld, %lld]", (double)row[c], (long long)r, (long long)c);
        }
    }
    mem_free(row);
    if (status != LORAC_OK) {
        mem_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- Writing */

int factor_set_reserve(factor_set *s, size_t capacity)
{
    s->capacity = capacity;
    s->pairs = arena_new(&s->memory, capacity, sizeof *s->pairs);
    return s->pairs ? LORAC_OK : fail_memory();
}

int factor_set_add(factor_set *s, const char *module, int64_t rank, int64_t in, int64_t out, factor_pair **pair)
{
    factor_pair *p = &s->pairs[s->count];

    assert(s->count < s->capacity && rank > 0);
    if (rank > PEFT_RANK_MOST)
        return fail_at(
            LORAC_ERROR_USAGE, (fault){ .key = module, .hint = "combine fewer adapters, or ask for a smaller rank" },
            "the result would have rank %lld; at most %d can be read again", (long long)rank, PEFT_RANK_MOST);
    *p = (factor_pair){ .module = module, .rank = rank, .in = in, .out = out };
    p->a = arena_new(&s->memory, (size_t)rank * (size_t)in, sizeof *p->a);
    p->b = arena_new(&s->memory, (size_t)out * (size_t)rank, sizeof *p->b);
    if (!p->a || !p->b)
        return fail_memory();
    s->count++;
    *pair = p;
    return LORAC_OK;
}

static bool says_modules(const peft_config *c)
{
    return c->target_count > 0 && !c->layers && c->exclude_count == 0 && !c->exclude_regex;
}

/* NULL stays NULL. */
static int copy_text(factor_set *s, const char **to, const char *text)
{
    *to = text ? arena_text(&s->memory, text, strlen(text)) : NULL;
    return *to || !text ? LORAC_OK : fail_memory();
}

static int unite_targets(factor_set *s, const factor_source *sources, size_t count)
{
    map seen = { 0 };
    size_t most = 0;
    int status = LORAC_OK;

    for (size_t i = 0; i < count; i++)
        most += sources[i].file.config.target_count;
    s->targets = arena_new(&s->memory, most, sizeof *s->targets);
    if (!s->targets)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sources[i].file.config.target_count && status == LORAC_OK; k++) {
            const char *name;
            bool found = false;

            status = copy_text(s, &name, sources[i].file.config.targets[k]);
            if (status == LORAC_OK)
                status = map_add(&seen, slice_of(name), 0, &found);
            if (status == LORAC_OK && !found)
                s->targets[s->target_count++] = name;
        }
    map_free(&seen);
    return status;
}

int factor_set_describe(factor_set *s, const factor_source *sources, size_t count, const model *m)
{
    const peft_config *first = &sources[0].file.config;
    bool exact = true;

    TRY(copy_text(s, &s->base_model, first->base_model_name_or_path || !m ? first->base_model_name_or_path : m->path));
    TRY(copy_text(s, &s->task_type, first->task_type));
    for (int i = 0; m && i < m->module_count; i++)
        s->fan_in_fan_out |=
            m->modules[i]->kind == MODULE_CONV1D && factor_source_find(&sources[0], m->modules[i]->name);
    for (size_t i = 0; i < count; i++)
        exact &= says_modules(&sources[i].file.config);
    return exact ? unite_targets(s, sources, count) : LORAC_OK;
}

int factors_store(float *out, const double *values, int64_t count, const char *module)
{
    for (int64_t i = 0; i < count; i++) {
        out[i] = (float)values[i];
        if (!isfinite(out[i]))
            return fail_at(LORAC_ERROR_DATA, (fault){ .key = module, .hint = "use smaller weights" },
                           "the new adapter leaves the range of float");
    }
    return LORAC_OK;
}

void factor_set_free(factor_set *s)
{
    arena_free(&s->memory);
    *s = (factor_set){ 0 };
}

int64_t factor_set_rank(const factor_set *s)
{
    int64_t rank = 0;

    for (size_t i = 0; i < s->count; i++)
        rank = s->pairs[i].rank > rank ? s->pairs[i].rank : rank;
    return rank;
}

int64_t factor_set_parameters(const factor_set *s)
{
    int64_t sum = 0;

    for (size_t i = 0; i < s->count; i++)
        sum += s->pairs[i].rank * (s->pairs[i].in + s->pairs[i].out);
    return sum;
}

static int save_tensors(const factor_set *s, const char *path)
{
    arena memory = { 0 };
    const char **names = arena_new(&memory, 2 * s->count, sizeof *names);
    tensor *tensors = arena_new(&memory, 2 * s->count, sizeof *tensors);
    int status = names && tensors ? LORAC_OK : fail_memory();

    for (size_t i = 0; i < s->count && status == LORAC_OK; i++) {
        const factor_pair *p = &s->pairs[i];

        names[2 * i] = arena_format(&memory, PEFT_PREFIX "%s" PEFT_A, p->module);
        names[2 * i + 1] = arena_format(&memory, PEFT_PREFIX "%s" PEFT_B, p->module);
        tensors[2 * i] = (tensor){ .type = DT_F32, .ndim = 2, .dim = { p->rank, p->in }, .data = p->a };
        tensors[2 * i + 1] = (tensor){ .type = DT_F32, .ndim = 2, .dim = { p->out, p->rank }, .data = p->b };
        status = names[2 * i] && names[2 * i + 1] ? LORAC_OK : fail_memory();
    }
    if (status == LORAC_OK)
        status = safetensors_save(path, names, tensors, 2 * s->count);
    arena_free(&memory);
    return status;
}

static int save_config(const factor_set *s, const char *path)
{
    peft_config c;
    int status = LORAC_OK;

    peft_config_init(&c);
    c.r = factor_set_rank(s);
    c.lora_alpha = (double)c.r;
    c.base_model_name_or_path = s->base_model;
    c.task_type = s->task_type;
    c.fan_in_fan_out = s->fan_in_fan_out;
    c.targets = arena_new(&c.memory, s->target_count + s->count, sizeof *c.targets);
    c.rank_keys = arena_new(&c.memory, s->count, sizeof *c.rank_keys);
    c.rank_values = arena_new(&c.memory, s->count, sizeof *c.rank_values);
    c.alpha_keys = c.rank_keys;
    c.alpha_values = arena_new(&c.memory, s->count, sizeof *c.alpha_values);
    if (!c.targets || !c.rank_keys || !c.rank_values || !c.alpha_values)
        status = fail_memory();
    for (size_t i = 0; i < s->target_count && status == LORAC_OK; i++)
        c.targets[c.target_count++] = s->targets[i];
    for (size_t i = 0; i < s->count && status == LORAC_OK; i++) {
        const factor_pair *p = &s->pairs[i];

        if (s->target_count == 0)
            c.targets[c.target_count++] = p->module;
        if (p->rank == c.r)
            continue;
        c.rank_keys[c.rank_count] = p->module;
        c.rank_values[c.rank_count++] = p->rank;
        c.alpha_values[c.alpha_count++] = (double)p->rank;
    }
    if (status == LORAC_OK)
        status = peft_config_write(&c, path);
    peft_config_free(&c);
    return status;
}

int factor_set_save(const factor_set *s, const char *folder)
{
    buf path = { 0 };
    const char *joined = path_join(&path, folder, "adapter_model.safetensors");
    int status = joined ? save_tensors(s, joined) : fail_memory();

    if (status == LORAC_OK) {
        joined = path_join(&path, folder, "adapter_config.json");
        status = joined ? save_config(s, joined) : fail_memory();
    }
    buf_free(&path);
    return status;
}
