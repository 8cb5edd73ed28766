/* combine.c: lorac merge --method and lorac extract: adapters made of adapters and of models. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OTHERS_SHOWN = 12 };

static json_int_t number_in(const json_t *about, const char *key)
{
    return json_integer_value(json_object_get(about, key));
}

static void print_summary(const arguments *a, const json_t *about, size_t modules)
{
    char digits[32];

    print_text(stdout, a->output, strlen(a->output));
    printf(" is written: %zu modules, rank %lld, %s parameters.\n", modules, (long long)number_in(about, "rank"),
           grouped(number_in(about, "parameters"), digits));
}

/* ---- merge --method */

static int combine(arguments *a, const lorac_model *model, const lorac_adapter_ref *adapters, size_t count)
{
    lorac_combine_options options;
    json_t *about;
    char *json;

    lorac_combine_options_init(&options);
    options.method = a->method;
    options.density = given(a, "density") ? a->density : NAN;
    options.svd_rank = a->svd_rank;
    options.svd_clamp = given(a, "svd-clamp") ? a->svd_clamp : NAN;
    options.majority_sign = a->majority_sign;
    options.seed = a->seed;
    options.overwrite = a->train.overwrite;
    if (lorac_combine(model, adapters, count, a->output, &options, &json) != LORAC_OK)
        return report(a, lorac_last_error()->status);
    if (count == 1)
        note("One adapter alone is summed linearly, whatever the method; lorac extract gives it another rank.");
    if (a->json) {
        puts(json);
    } else {
        about = json_loads(json, 0, NULL);
        print_summary(a, about, (size_t)number_in(about, "modules"));
        json_decref(about);
    }
    lorac_free(json);
    return LORAC_OK;
}

int command_combine(arguments *a)
{
    lorac_adapter_ref *adapters = NULL;
    lorac_model *model = NULL;
    size_t count = 0;
    int status;

    if (!a->output)
        return usage(a, "output", NULL, "merge --method needs -o, the folder of the new adapter");
    if (a->adapters.count == 0)
        return usage(a, "adapter", NULL, "merge --method needs the adapters: --adapter PATH or --adapter PATH:WEIGHT");
    if (a->outtype != LORAC_DTYPE_AUTO && a->outtype != LORAC_DTYPE_F32)
        return usage(a, "outtype", NULL, "--outtype is for models; a combined adapter is written as f32");
    status = parse_adapters(a, &adapters, &count);
    if (status == LORAC_OK && a->train.model)
        status = open_model(a, &model);
    if (status == LORAC_OK)
        status = combine(a, model, adapters, count);
    free_adapters(adapters, count);
    lorac_model_close(model);
    return status;
}

/* ---- extract */

/* How much of the whole update the adapter has, all modules together. */
static double share_kept(const json_t *modules)
{
    double all = 0, kept = 0;

    for (size_t i = 0; i < json_array_size(modules); i++) {
        const json_t *module = json_array_get(modules, i);
        double norm = json_number_value(json_object_get(module, "norm"));
        double share = json_number_value(json_object_get(module, "norm_kept"));

        all += norm * norm;
        kept += norm * norm * share * share;
    }
    return all > 0 ? sqrt(kept / all) : 1;
}

static void print_others(const json_t *others)
{
    const size_t count = json_array_size(others);

    if (count == 0)
        return;
    printf("Differences that this adapter cannot hold: %zu\n", count);
    for (size_t i = 0; i < count && i < OTHERS_SHOWN; i++) {
        const json_t *other = json_array_get(others, i), *relative = json_object_get(other, "relative");

        printf("  %-48s by %.4g", json_string_value(json_object_get(other, "tensor")),
               json_number_value(json_object_get(other, "norm")));
        if (json_is_number(relative))
            printf(" (%.3g %% of its norm)", 100 * json_number_value(relative));
        putchar('\n');
    }
    if (count > OTHERS_SHOWN)
        printf("  ... (--json has them all)\n");
}

static void print_extracted(const arguments *a, int status, char *json)
{
    json_t *about;

    if (status != LORAC_OK) {
        report(a, status);
        return;
    }
    if (a->json) {
        puts(json);
    } else {
        about = json_loads(json, 0, NULL);
        print_summary(a, about, json_array_size(json_object_get(about, "modules")));
        printf("It holds %.2f %% of the update's norm.\n", 100 * share_kept(json_object_get(about, "modules")));
        print_others(json_object_get(about, "other_tensors"));
        json_decref(about);
    }
    lorac_free(json);
}

/* Opens another model with what open_model knows. */
static int open_tuned(arguments *a, lorac_model **model)
{
    const char *base = a->train.model;
    int status;

    a->train.model = a->tuned;
    status = open_model(a, model);
    a->train.model = base;
    return status;
}

static int extract_from_model(arguments *a, const lorac_extract_options *options)
{
    lorac_model *base = NULL, *tuned = NULL;
    char *json = NULL;
    int status = open_model(a, &base);

    if (status == LORAC_OK)
        status = open_tuned(a, &tuned);
    if (status == LORAC_OK) {
        status = lorac_extract(base, tuned, a->output, options, &json);
        print_extracted(a, status, json);
    }
    lorac_model_close(tuned);
    lorac_model_close(base);
    return status;
}

static int extract_from_adapter(arguments *a, const lorac_extract_options *options)
{
    lorac_adapter_ref *adapters = NULL;
    lorac_model *model = NULL;
    size_t count = 0;
    char *json = NULL;
    int status = parse_adapters(a, &adapters, &count);

    if (status == LORAC_OK && (count != 1 || adapters[0].weight != 1))
        status = usage(a, "adapter", "lorac merge --method svd --svd-rank combines several.",
                       "extract takes one --adapter, without a weight");
    if (status == LORAC_OK && a->train.model)
        status = open_model(a, &model);
    if (status == LORAC_OK) {
        status = lorac_reduce(model, adapters[0].path, a->output, options, &json);
        print_extracted(a, status, json);
    }
    free_adapters(adapters, count);
    lorac_model_close(model);
    return status;
}

int command_extract(arguments *a)
{
    lorac_extract_options options;

    if (!a->output)
        return usage(a, "output", NULL, "extract needs -o, the folder of the new adapter");
    if (!a->tuned == !a->adapters.count)
        return usage(a, "tuned", NULL, "extract needs -m BASE and --tuned MODEL, or --adapter PATH");
    if (given(a, "rank") == given(a, "energy"))
        return usage(a, "rank", NULL, "extract needs --rank N or --energy X, one of the two");
    if (a->adapters.count && given(a, "target-modules"))
        return usage(a, "target-modules", NULL,
                     "--target-modules goes with --tuned; an adapter is reduced in all its modules");
    lorac_extract_options_init(&options);
    options.rank = given(a, "rank") ? a->train.rank : 0;
    options.energy = a->energy;
    options.target_modules = a->train.target_modules;
    options.overwrite = a->train.overwrite;
    return a->tuned ? extract_from_model(a, &options) : extract_from_adapter(a, &options);
}
