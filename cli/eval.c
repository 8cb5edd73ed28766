/* eval.c: lorac eval and lorac logits: numbers of a model with its adapters. */
#include "highlight.h"

#include <stdlib.h>
#include <string.h>

static int print_eval(const arguments *a, const lorac_model *model, const lorac_eval_result *r)
{
    lorac_model_info about;
    char tokens[32];

    note_cut_rows(r->truncated_rows, r->cut_turn_rows, r->dropped_rows);
    if (a->json) {
        json_t *o = json_object();

        json_object_set_new(o, "loss", json_number(r->loss));
        json_object_set_new(o, "perplexity", json_number(r->perplexity));
        json_object_set_new(o, "tokens", json_integer(r->tokens));
        json_object_set_new(o, "accuracy", json_number(r->accuracy));
        json_object_set_new(o, "rows", json_integer(r->rows));
        json_object_set_new(o, "truncated", json_integer(r->truncated_rows));
        json_object_set_new(o, "seconds", json_number(r->seconds));
        json_object_set_new(o, "tokens_per_second", json_number(r->tokens_per_second));
        print_json(o);
        return LORAC_OK;
    }
    lorac_model_describe(model, &about);
    printf("loss        %.6f\nperplexity  %.4f\naccuracy    %.2f %% of the %s\n", r->loss, r->perplexity,
           100 * r->accuracy, about.labels ? "rows" : "next tokens");
    if (about.labels)
        printf("rows        %s\n", grouped(r->rows, tokens));
    else
        printf("tokens      %s with a label, in %lld rows\n", grouped(r->tokens, tokens), (long long)r->rows);
    fprintf(stderr, "%.1f s, %.1f tokens/s\n", r->seconds, r->tokens_per_second);
    return LORAC_OK;
}

int command_eval(arguments *a)
{
    lorac_data_options rows = { .loss_on = (lorac_loss_on)a->train.loss_on, .max_seq_length = a->limit };
    lorac_run_options options = { .dtype = a->train.dtype, .threads = a->train.threads };
    lorac_adapter_ref *adapters = NULL;
    lorac_eval_result result;
    lorac_watch watch = { 0 };
    lorac_model *model = NULL;
    int status;

    if (!a->train.data)
        return usage(a, "data", "Give a .jsonl file, or a folder with test.jsonl.", "say which rows with --data");
    status = parse_adapters(a, &adapters, &options.adapter_count);
    if (status == LORAC_OK)
        status = open_model(a, &model);
    if (status == LORAC_OK) {
        options.adapters = adapters;
        interrupt_cancels(&watch);
        status = lorac_eval(model, &options, a->train.data, a->split ? a->split : "test", a->train.chat_template, &rows,
                            a->batches, &watch, &result);
        interrupt_cancels(NULL);
        status = status == LORAC_OK ? print_eval(a, model, &result) : report(a, status);
    }
    free_adapters(adapters, options.adapter_count);
    lorac_model_close(model);
    return status;
}

/* What was written: [positions, vocabulary], or a classifier's [labels]. */
static void print_logits(const arguments *a, const lorac_model_info *about, size_t count)
{
    json_t *o, *shape;

    if (!a->json && about->labels)
        note("%s: logits of %lld labels", a->output, (long long)about->labels);
    if (!a->json && !about->labels)
        note("%s: logits of %zu positions, %lld each", a->output, count, (long long)about->vocabulary);
    if (!a->json)
        return;
    o = json_object();
    shape = about->labels ? json_pack("[I]", (json_int_t)about->labels)
                          : json_pack("[I,I]", (json_int_t)count, (json_int_t)about->vocabulary);
    json_object_set_new(o, "output", json_text(a->output, strlen(a->output)));
    json_object_set_new(o, "shape", shape);
    print_json(o);
}

static int write_logits(const arguments *a, const lorac_model *model, const lorac_run_options *options,
                        const int32_t *ids, size_t count)
{
    lorac_model_info about;
    lorac_session *session = NULL;
    int status = lorac_session_new(&session, model, options);

    if (status == LORAC_OK)
        status = lorac_logits_save(session, ids, count, a->output);
    lorac_model_describe(model, &about);
    if (status != LORAC_OK)
        report(a, status);
    else
        print_logits(a, &about, count);
    lorac_session_free(session);
    return status;
}

int command_logits(arguments *a)
{
    lorac_run_options options = { .dtype = a->train.dtype, .threads = a->train.threads };
    lorac_adapter_ref *adapters = NULL;
    lorac_model *model = NULL;
    int32_t *ids = NULL;
    size_t count;
    int status;

    if (!a->ids || !a->output)
        return usage(a, a->ids ? "output" : "ids", NULL, "logits needs --ids 1,2,3 and -o FILE");
    status = parse_ids(a, "ids", a->ids, &ids, &count);
    if (status == LORAC_OK)
        status = parse_adapters(a, &adapters, &options.adapter_count);
    options.adapters = adapters;
    if (status == LORAC_OK)
        status = open_model(a, &model);
    if (status == LORAC_OK)
        status = write_logits(a, model, &options, ids, count);
    free_adapters(adapters, options.adapter_count);
    free(ids);
    lorac_model_close(model);
    return status;
}
