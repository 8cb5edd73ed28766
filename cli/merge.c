/* merge.c: lorac merge and lorac export. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);

    return n >= m && !strcmp(text + n - m, ending);
}

static void print_report(const arguments *a, const lorac_merge_report *r)
{
    if (a->json) {
        json_t *o = json_object();

        json_object_set_new(o, "output", json_text(a->output, strlen(a->output)));
        json_object_set_new(o, "max_logit_difference", json_number(r->max_logit_difference));
        json_object_set_new(o, "kl_divergence", json_number(r->kl_divergence));
        json_object_set_new(o, "top1_agreement", json_number(r->top1_agreement));
        json_object_set_new(o, "delta_lost", json_number(r->delta_lost));
        json_object_set_new(o, "tokens", json_integer(r->tokens));
        print_json(o);
        return;
    }
    print_text(stdout, a->output, strlen(a->output));
    printf(" is written.\nCompared with base and adapters on %lld tokens:\n", (long long)r->tokens);
    printf("  largest logit difference  %.4g\n  KL divergence             %.4g\n", r->max_logit_difference,
           r->kl_divergence);
    printf("  same likeliest token      %.2f %%\n  delta lost to rounding    %.3f %%\n", 100 * r->top1_agreement,
           100 * r->delta_lost);
}

static int merge(arguments *a)
{
    lorac_merge_options options = { .dtype = a->outtype, .threads = a->train.threads, .overwrite = a->train.overwrite };
    lorac_merge_report result = { 0 };
    lorac_adapter_ref *adapters = NULL;
    lorac_model *model = NULL;
    size_t count = 0;
    int status = parse_adapters(a, &adapters, &count);

    if (status == LORAC_OK)
        status = open_model(a, &model);
    if (status == LORAC_OK) {
        status = lorac_merge(model, adapters, count, a->output, &options, &result);
        if (status == LORAC_OK)
            print_report(a, &result);
        else
            report(a, status);
    }
    free_adapters(adapters, count);
    lorac_model_close(model);
    return status;
}

static const char *const combining[] = { "density", "svd-rank", "svd-clamp", "majority-sign", "seed" };

int command_merge(arguments *a)
{
    if (given(a, "method") && a->output && ends_with(a->output, ".gguf"))
        return usage(a, "output", NULL, "a combined adapter is a folder; lorac export --to gguf-adapter converts it");
    if (given(a, "method"))
        return command_combine(a);
    for (size_t i = 0; i < sizeof combining / sizeof *combining; i++)
        if (given(a, combining[i]))
            return usage(a, combining[i], "Adapters become one adapter with --method.", "--%s needs --method",
                         combining[i]);
    if (!a->output)
        return usage(a, "output", NULL, "merge needs -o: a folder, or a file that ends in .gguf");
    return merge(a); /* without an --adapter: a conversion */
}

static int export_adapter(arguments *a)
{
    lorac_adapter_ref *adapters;
    lorac_model *model = NULL;
    size_t count;
    int status;

    if (a->adapters.count != 1)
        return usage(a, "adapter", NULL, "export --to gguf-adapter needs one --adapter");
    status = parse_adapters(a, &adapters, &count);
    if (status == LORAC_OK && adapters[0].weight != 1)
        status = usage(a, "adapter", NULL, "an adapter is exported as it is, without a weight");
    if (status == LORAC_OK)
        status = open_model(a, &model);
    if (status == LORAC_OK) {
        status = lorac_export_adapter_gguf(model, adapters[0].path, a->output);
        if (status != LORAC_OK)
            report(a, status);
        else if (a->json)
            print_json(json_pack("{s:o}", "output", json_text(a->output, strlen(a->output))));
        else
            note("%s is written.", a->output);
    }
    free_adapters(adapters, count);
    lorac_model_close(model);
    return status;
}

int command_export(arguments *a)
{
    if (!a->to || !a->output)
        return usage(a, a->to ? "output" : "to", NULL, "export needs --to gguf or --to gguf-adapter, and -o FILE");
    if (!ends_with(a->output, ".gguf"))
        return usage(a, "output", NULL, "the output of export ends in .gguf");
    return !strcmp(a->to, "gguf") ? merge(a) : export_adapter(a);
}
