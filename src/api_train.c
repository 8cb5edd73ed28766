/* api_train.c: lorac_train, lorac_resume, lorac_train_plan and lorac_eval. */
#include "api.h"

#include "clock.h"
#include "evaluate.h"
#include "options.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

enum { EVAL_BATCH_ROWS = 4, EVAL_PASS_TOKENS = 1024 };

void lorac_cancel(lorac_watch *watch)
{
    watch->cancel = 1;
}

/* ---- Tokenizer --------------------------------------------------------------------------------------------------- */

/* Are the rows pre-tokenised? The first one says so; when it cannot be read, something else will complain. */
static bool needs_no_tokenizer(const char *data, const char *split)
{
    dataset *d;
    json_t *first = NULL;
    bool ids = false;

    if (!data || dataset_open(&d, data, split, false) != LORAC_OK)
        return false;
    if (dataset_count(d) && dataset_row(d, 0, &first) == LORAC_OK)
        ids = json_object_get(first, "input_ids") != NULL;
    json_decref(first);
    dataset_close(d);
    return ids;
}

/* *text is NULL when the model has no tokenizer and the rows need none. */
static int open_text(lorac_text **text, const model *m, const char *chat_template, const char *data, const char *split)
{
    int status = text_open_if_any(text, m->path, chat_template);

    if (status == LORAC_OK || !needs_no_tokenizer(data, split))
        return status == LORAC_OK ? status : text_open_if_any(text, m->path, chat_template); /* for its message */
    *text = NULL;
    return LORAC_OK;
}

/* ---- Training ------------------------------------------------------------------------------------------------------
 */

static int with_input(const lorac_model *m, const lorac_train_options *options, lorac_watch *watch, bool resume,
                      lorac_plan *plan)
{
    trainer_input in = { .model = m->m, .options = options, .watch = watch, .resume = resume };
    lorac_text *text = NULL;
    int status = train_options_check(options);

    if (status == LORAC_OK)
        status = open_text(&text, m->m, options->chat_template, options->data, "train");
    if (status != LORAC_OK)
        return status;
    in.text = text;
    in.words = text ? text->tokenizer : NULL;
    in.vocabulary = text && text->is_gguf ? &text->vocabulary : NULL;
    in.templates = text ? &text->templates : NULL;
    status = plan ? trainer_plan(&in, plan) : trainer_run(&in);
    lorac_text_close(text);
    return status;
}

lorac_status lorac_train(const lorac_model *base, const lorac_train_options *options, lorac_watch *watch)
{
    return with_input(base, options, watch, false, NULL);
}

lorac_status lorac_train_plan(const lorac_model *base, const lorac_train_options *options, lorac_plan *out)
{
    *out = (lorac_plan){ 0 };
    return with_input(base, options, NULL, false, out);
}

lorac_status lorac_resume(const lorac_model *base, const char *output, lorac_watch *watch)
{
    lorac_train_options options;
    buf path = { 0 };
    int status = path_join(&path, output, "run.yaml") ? LORAC_OK : fail_memory();

    lorac_train_options_init(&options);
    if (status == LORAC_OK && !path_exists(path.p))
        status = fail_at(LORAC_ERROR_USAGE, (fault){ .file = output, .expected = "run.yaml in it" },
                         "there is no run to resume");
    if (status == LORAC_OK)
        status = lorac_train_options_load(&options, path.p);
    if (status == LORAC_OK) {
        options.output = output; /* the folder may have moved */
        status = with_input(base, &options, watch, true, NULL);
    }
    lorac_train_options_clear(&options);
    buf_free(&path);
    return status;
}

/* ---- Evaluation
 * ------------------------------------------------------------------------------------------------------ */

typedef struct evaluation {
    runner runner;
    lorac_text *text;
    examples rows;
    packer packer;
} evaluation;

static int read_rows(evaluation *e, const model *m, const char *data, const char *split,
                     const lorac_data_options *options, int64_t batches, int64_t threads, lorac_watch *watch)
{
    row_reader reader = { .tokenizer = e->text ? e->text->tokenizer : NULL,
                          .labels = model_labels(m),
                          .pad = m->config.pad,
                          .vocabulary = (int32_t)m->config.vocabulary,
                          .templates = e->text ? &e->text->templates : NULL,
                          .loss_on = options->loss_on,
                          .max_seq_length = options->max_seq_length };
    int64_t limit = batches < 0 || batches > INT64_MAX / EVAL_BATCH_ROWS ? -1 : batches * EVAL_BATCH_ROWS;
    dataset *d;
    int status;

    TRY(dataset_open(&d, data, split, false));
    status = examples_read(&e->rows, d, &reader, m, UNTRAINED_KEEP, limit, threads, watch ? &watch->cancel : NULL);
    dataset_close(d);
    if (status == LORAC_OK && !e->rows.trained)
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = data }, "no row has a labelled token");
    return status;
}

static int reserve(evaluation *e, const model *m)
{
    context *c = e->runner.c;
    int64_t tokens = e->rows.longest > EVAL_PASS_TOKENS ? e->rows.longest : EVAL_PASS_TOKENS;
    packed_pass pass;
    size_t bytes;

    if (tokens > e->rows.tokens)
        tokens = e->rows.tokens;
    TRY(packer_worst(&e->packer, tokens, &pass));
    TRY(model_measure_loss(m, c, &pass.rows, &pass.targets, &bytes, NULL));
    if (bytes > memory_available())
        return fail_at(LORAC_ERROR_MEMORY, (fault){ .hint = "Lower --max-seq-length." },
                       "the longest row needs %zu MiB of memory, more than there is", bytes >> 20);
    return context_reserve(c, bytes);
}

static int measure(evaluation *e, const model *m, lorac_watch *watch, lorac_eval_result *out)
{
    loss_result loss;
    double began;

    TRY(reserve(e, m));
    began = clock_seconds();
    TRY(evaluate(&loss, m, e->runner.c, &e->packer, &e->rows, e->rows.count, EVAL_PASS_TOKENS,
                 watch ? &watch->cancel : NULL));
    *out = (lorac_eval_result){ .loss = loss.sum / (double)loss.count,
                                .perplexity = exp(loss.sum / (double)loss.count),
                                .accuracy = (double)loss.hits / (double)loss.count,
                                .tokens = loss.count,
                                .rows = e->rows.count,
                                .truncated_rows = e->rows.truncated,
                                .cut_turn_rows = e->rows.end_cut,
                                .dropped_rows = e->rows.dropped,
                                .seconds = clock_seconds() - began };
    out->tokens_per_second = out->seconds > 0 ? (double)e->rows.tokens / out->seconds : 0;
    return LORAC_OK;
}

lorac_status lorac_eval(const lorac_model *base, const lorac_run_options *run, const char *data, const char *split,
                        const char *chat_template, const lorac_data_options *options, int64_t batches,
                        lorac_watch *watch, lorac_eval_result *out)
{
    static const lorac_data_options standard;
    evaluation e = { 0 };
    int status = open_text(&e.text, base->m, chat_template, data, split ? split : "test");

    *out = (lorac_eval_result){ 0 };
    if (status == LORAC_OK)
        status = read_rows(&e, base->m, data, split ? split : "test", options ? options : &standard, batches,
                           run ? run->threads : 0, watch);
    if (status == LORAC_OK)
        status = runner_open(&e.runner, base->m, run);
    if (status == LORAC_OK)
        status = adapters_bring_head(e.runner.uses, e.runner.count, base->m);
    if (status == LORAC_OK)
        status = measure(&e, base->m, watch, out);
    runner_close(&e.runner);
    packer_free(&e.packer);
    examples_free(&e.rows);
    lorac_text_close(e.text);
    return status;
}
