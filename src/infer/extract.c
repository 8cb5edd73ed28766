/* extract.c: see extract.h. All modules of the models are walked, so that a difference that no adapter can hold is
 * never passed over in silence. */
#include "extract.h"

#include "arch.h"
#include "err.h"
#include "mem.h"
#include "quant.h"
#include "truncate.h"

#include <math.h>
#include <string.h>

static int check_options(const lorac_extract_options *o)
{
    if ((o->rank != 0) == (o->energy != 0))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "rank", .expected = "either --rank or --energy" },
                       "an adapter is cut by rank or by energy");
    if (o->rank < 0 || o->rank > PEFT_RANK_MOST)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "rank" }, "a rank of %lld cannot be used",
                       (long long)o->rank);
    if (!(o->energy >= 0 && o->energy <= 1))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "energy", .expected = "more than 0, at most 1" },
                       "an energy of %g cannot be used", o->energy);
    return LORAC_OK;
}

/* Cuts a module's decomposition, adds it to the set and to the list of the report. */
static int keep_module(factor_set *out, json_t *list, svd *t, const char *module, const lorac_extract_options *o)
{
    const int64_t rank = o->rank == 0 ? svd_rank_for(t, o->energy) : o->rank < t->k ? o->rank : t->k;
    const double all = svd_energy(t, t->k), kept = svd_energy(t, rank);

    TRY(svd_store(t, out, module, rank, NAN));
    return json_array_append_new(list, json_pack("{s:s,s:I,s:f,s:f}", "module", module, "rank", (json_int_t)rank,
                                                 "norm", sqrt(all), "norm_kept", all > 0 ? sqrt(kept / all) : 1.0)) == 0
               ? LORAC_OK
               : fail_memory();
}

static int finish_report(const factor_set *out, json_t *about)
{
    json_object_set_new(about, "rank", json_integer(factor_set_rank(out)));
    return json_object_set_new(about, "parameters", json_integer(factor_set_parameters(out))) == 0 ? LORAC_OK
                                                                                                   : fail_memory();
}

/* ---- Two models */

typedef struct extraction {
    const model *base, *tuned;
    const lorac_extract_options *options;
    peft_matcher *matcher;
    factor_set *out;
    json_t *modules, *others;
} extraction;

/* w as [out, in], added to m with a sign. */
static int add_weight(double *m, const var *w, double sign)
{
    const int64_t rows = tensor_rows(&w->t), cols = tensor_cols(&w->t);
    const int64_t row_step = w->turned ? 1 : cols, col_step = w->turned ? rows : 1;
    float *row = mem_new((size_t)cols, sizeof *row);

    if (!row)
        return fail_memory();
    for (int64_t r = 0; r < rows; r++) {
        quant_decode_row(row, &w->t, r);
        for (int64_t c = 0; c < cols; c++)
            m[r * row_step + c * col_step] += sign * (double)row[c];
    }
    mem_free(row);
    return LORAC_OK;
}

/* What differs must be finite on both sides. */
static int look_at_difference(const extraction *e, const char *name, const double *m, int64_t n, bool *differs)
{
    *differs = false;
    for (int64_t i = 0; i < n; i++) {
        *differs |= m[i] != 0;
        if (!isfinite(m[i]))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = e->tuned->path, .key = name },
                           "the difference from the base holds %g", m[i]);
    }
    return LORAC_OK;
}

static int decompose_difference(const extraction *e, const linear *base, const linear *tuned, double *m)
{
    const int64_t out = outputs_of(&base->weight), in = inputs_of(&base->weight);
    svd t = { 0 };
    bool differs;
    int status;

    TRY(add_weight(m, &tuned->weight, 1));
    TRY(add_weight(m, &base->weight, -1));
    TRY(look_at_difference(e, base->name, m, out * in, &differs));
    if (!differs)
        return LORAC_OK;
    status = svd_of_matrix(&t, m, out, in);
    if (status == LORAC_OK)
        status = keep_module(e->out, e->modules, &t, base->name, e->options);
    svd_free(&t);
    e->out->fan_in_fan_out |= base->kind == MODULE_CONV1D;
    return status;
}

static int extract_linear(const extraction *e, const linear *base, const linear *tuned)
{
    const int64_t out = outputs_of(&base->weight), in = inputs_of(&base->weight);
    double *m = mem_new((size_t)out * (size_t)in, sizeof *m);
    int status = m ? decompose_difference(e, base, tuned, m) : fail_memory();

    mem_free(m);
    return status;
}

/* ---- What an adapter cannot hold */

/* Sums of squares. */
typedef struct distance {
    double difference, base;
} distance;

static int measure_rows(distance *d, const var *base, const var *tuned)
{
    const int64_t rows = tensor_rows(&base->t), cols = tensor_cols(&base->t);
    float *left = mem_new((size_t)cols, sizeof *left), *right = mem_new((size_t)cols, sizeof *right);
    int status = left && right ? LORAC_OK : fail_memory();

    *d = (distance){ 0, 0 };
    for (int64_t r = 0; r < rows && status == LORAC_OK; r++) {
        quant_decode_row(left, &base->t, r);
        quant_decode_row(right, &tuned->t, r);
        for (int64_t c = 0; c < cols; c++) {
            const double difference = (double)right[c] - (double)left[c];
            d->difference += difference * difference;
            d->base += (double)left[c] * (double)left[c];
        }
    }
    mem_free(left);
    mem_free(right);
    return status;
}

/* Of matrices that one file has turned and the other not: as a whole. */
static int measure_whole(distance *d, const var *base, const var *tuned)
{
    const int64_t n = tensor_count(&base->t);
    double *m = mem_new((size_t)n, sizeof *m);
    int status = m ? add_weight(m, base, 1) : fail_memory();

    *d = (distance){ 0, 0 };
    for (int64_t i = 0; i < n && status == LORAC_OK; i++)
        d->base += m[i] * m[i];
    if (status == LORAC_OK)
        status = add_weight(m, tuned, -1);
    for (int64_t i = 0; i < n && status == LORAC_OK; i++)
        d->difference += m[i] * m[i];
    mem_free(m);
    return status;
}

static int report_other(const extraction *e, const char *stem, const char *suffix, const var *base, const var *tuned)
{
    distance d;
    char name[512];

    if (!base->t.data)
        return LORAC_OK;
    TRY(base->turned == tuned->turned ? measure_rows(&d, base, tuned) : measure_whole(&d, base, tuned));
    if (d.difference == 0)
        return LORAC_OK;
    snprintf(name, sizeof name, "%s.%s", stem, suffix);
    json_t *entry = json_pack("{s:s,s:f}", "tensor", name, "norm", sqrt(d.difference));
    json_object_set_new(entry, "relative", d.base > 0 ? json_real(sqrt(d.difference / d.base)) : json_null());
    return json_array_append_new(e->others, entry) == 0 ? LORAC_OK : fail_memory();
}

/* ---- */

static int check_alike(const model *base, const model *tuned)
{
    const fault where = { .file = tuned->path, .hint = "the tuned model must come from this base" };

    if (base->family != tuned->family || base->module_count != tuned->module_count ||
        base->config.layers != tuned->config.layers)
        return fail_at(LORAC_ERROR_DATA, where, "the two models do not have the same layers");
    for (int i = 0; i < base->module_count; i++) {
        const var *a = &base->modules[i]->weight, *b = &tuned->modules[i]->weight;

        if (outputs_of(a) != outputs_of(b) || inputs_of(a) != inputs_of(b))
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = tuned->path, .key = base->modules[i]->name, .hint = where.hint },
                           "the matrix is [%lld, %lld] here and [%lld, %lld] in the base", (long long)outputs_of(b),
                           (long long)inputs_of(b), (long long)outputs_of(a), (long long)inputs_of(a));
        if (!base->modules[i]->bias.t.data != !tuned->modules[i]->bias.t.data)
            return fail_at(LORAC_ERROR_DATA,
                           (fault){ .file = tuned->path, .key = base->modules[i]->name, .hint = where.hint },
                           "one of the two models has a bias here");
    }
    return LORAC_OK;
}

static int extract_modules(const extraction *e)
{
    bool tied = e->base->config.tied_head && e->tuned->config.tied_head;

    for (int i = 0; i < e->base->module_count; i++) {
        const nn_module *base = e->base->modules[i], *tuned = e->tuned->modules[i];
        bool is_head = base == &e->base->head, matches = false;
        int64_t rank;
        double alpha;

        if (base->kind == MODULE_LINEAR || base->kind == MODULE_CONV1D)
            TRY(peft_matches(e->matcher, base->name, is_head, &matches, &rank, &alpha));
        if (matches)
            TRY(extract_linear(e, base, tuned));
        else if (!is_head || !tied)
            TRY(report_other(e, base->name, "weight", &base->weight, &tuned->weight));
        TRY(report_other(e, base->name, "bias", &base->bias, &tuned->bias));
    }
    return LORAC_OK;
}

static int extract_all(extraction *e, json_t *about)
{
    const char *path = e->base->path;

    TRY(factor_set_reserve(e->out, (size_t)e->base->module_count));
    e->out->base_model = arena_text(&e->out->memory, path, strlen(path));
    e->out->task_type = "CAUSAL_LM";
    e->modules = json_array();
    e->others = json_array();
    json_object_set_new(about, "modules", e->modules);
    json_object_set_new(about, "other_tensors", e->others);
    if (!e->out->base_model || !e->modules || !e->others)
        return fail_memory();
    TRY(extract_modules(e));
    if (e->out->count == 0)
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = e->tuned->path,
                                .hint = json_array_size(e->others) > 0 ? "other tensors differ; see --target-modules"
                                                                       : "they are the same model" },
                       "no targeted matrix of the two models differs");
    return finish_report(e->out, about);
}

int extract(factor_set *out, json_t **about, const model *base, const model *tuned,
            const lorac_extract_options *options)
{
    extraction e = { .base = base, .tuned = tuned, .options = options, .out = out };
    peft_config config;
    int status;

    *out = (factor_set){ 0 };
    *about = NULL;
    TRY(check_options(options));
    TRY(check_alike(base, tuned));
    peft_config_init(&config);
    status = peft_config_set_targets(&config, options->target_modules ? options->target_modules : "all-linear");
    if (status == LORAC_OK)
        status = peft_matcher_new(&e.matcher, &config);
    *about = json_object();
    if (status == LORAC_OK)
        status = *about ? extract_all(&e, *about) : fail_memory();
    peft_matcher_free(e.matcher);
    peft_config_free(&config);
    if (status != LORAC_OK) {
        json_decref(*about);
        *about = NULL;
        factor_set_free(out);
    }
    return status;
}

/* ---- An adapter */

static int reduce_pair(factor_set *out, json_t *list, const factor_source *source, const filed_pair *pair,
                       const lorac_extract_options *options)
{
    const char *module = arena_text(&out->memory, pair->module, strlen(pair->module));
    const int64_t in = pair->a->dim[1], rows = pair->b->dim[0], rank = pair->a->dim[0];
    double *a = NULL, *b = NULL;
    svd t = { 0 };
    int status = module ? LORAC_OK : fail_memory();

    TRY_GOTO(status);
    TRY_GOTO(filed_values(source, pair, pair->a, &a));
    TRY_GOTO(filed_values(source, pair, pair->b, &b));
    for (int64_t i = 0; i < rank * in; i++)
        a[i] *= pair->scale;
    TRY_GOTO(svd_of_product(&t, b, a, rows, rank, in));
    TRY_GOTO(keep_module(out, list, &t, module, options));

done:
    svd_free(&t);
    mem_free(a);
    mem_free(b);
    return status;
}

static int reduce_all(factor_set *out, json_t *about, const factor_source *source, const model *m,
                      const lorac_extract_options *options)
{
    json_t *modules = json_array();

    json_object_set_new(about, "modules", modules);
    json_object_set_new(about, "other_tensors", json_array());
    TRY(factor_set_describe(out, source, 1, m));
    TRY(factor_set_reserve(out, source->count));
    for (size_t i = 0; i < source->count; i++)
        TRY(reduce_pair(out, modules, source, &source->pairs[i], options));
    return finish_report(out, about);
}

int reduce(factor_set *out, json_t **about, const char *path, const model *m, const lorac_extract_options *options)
{
    factor_source source;
    int status;

    *out = (factor_set){ 0 };
    *about = NULL;
    TRY(check_options(options));
    TRY(factor_source_open(&source, path, m));
    *about = json_object();
    status = *about ? reduce_all(out, *about, &source, m, options) : fail_memory();
    factor_source_close(&source);
    if (status != LORAC_OK) {
        json_decref(*about);
        *about = NULL;
        factor_set_free(out);
    }
    return status;
}
