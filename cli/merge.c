/* merge.c: lorac merge. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void print_report(const arguments *a, const lorac_merge_report *r)
{
    note_lines(r->notes);
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

static int merge(arguments *a, uint64_t max_shard_size)
{
    lorac_merge_options options = { .dtype = a->outtype,
                                    .threads = a->train.threads,
                                    .overwrite = a->train.overwrite,
                                    .max_shard_size = max_shard_size };
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
    lorac_free(result.notes);
    free_adapters(adapters, count);
    lorac_model_close(model);
    return status;
}

static const char *const combining[] = { "density", "svd-rank", "svd-clamp", "majority-sign", "seed" };

int command_merge(arguments *a)
{
    uint64_t max_shard_size = 0;
    int status;

    if (!a->verify)
        return usage(a, "verify", NULL, "a merged model is never kept without being compared");
    if (given(a, "method") && a->output && ends_with(a->output, ".gguf"))
        return usage(a, "output", NULL, "a combined adapter is a folder; lorac export --to gguf-adapter converts it");
    if (given(a, "method") && a->max_shard_size)
        return usage(a, "max-shard-size", NULL, "adapters are not cut into shards");
    if (given(a, "method"))
        return command_combine(a);
    for (size_t i = 0; i < sizeof combining / sizeof *combining; i++)
        if (given(a, combining[i]))
            return usage(a, combining[i], "Adapters become one adapter with --method.", "--%s needs --method",
                         combining[i]);
    if (!a->output)
        return usage(a, "output", NULL, "merge needs -o: a folder, or a file that ends in .gguf");
    status = parse_size(a, "max-shard-size", a->max_shard_size, &max_shard_size);
    return status == LORAC_OK ? merge(a, max_shard_size) : status; /* without an --adapter: a conversion */
}
