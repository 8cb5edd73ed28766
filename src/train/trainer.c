/* trainer.c: the loop. Between two optimiser steps the run is wholly described by run_state, the adapter and the
 * moments; everything that can be interrupted is interrupted there, so a checkpoint never holds half of anything.
 *
 * After an update come, in this order: the report, the validation, the checkpoint. A checkpoint may be written with its
 * validation still due, when the run is cancelled during it; a resumed run then begins with that. */
#include "trainer.h"

#include "clock.h"
#include "err.h"
#include "evaluate.h"
#include "mem.h"
#include "options.h"
#include "report.h"
#include "schedule.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

enum { PASS_BITS = 20 }; /* of a dropout key; the rest is the step */

static bool cancelled(const run *r)
{
    return r->cancel && *r->cancel;
}

static bool finished(const run *r)
{
    return r->state.stopped || r->state.step >= r->steps;
}

/* ---- One optimiser step ------------------------------------------------------------------------------------------ */

typedef struct step_sums {
    int64_t rows, tokens, trained;
    loss_result loss;
} step_sums;

static void choose_rows(run *r, step_sums *sums)
{
    *sums = (step_sums){ .rows = sampler_rows(&r->sampler, r->state.step, r->rows) };
    for (int64_t i = 0; i < sums->rows; i++) {
        const example *x = &r->train.rows[r->rows[i]];

        sums->tokens += x->count;
        sums->trained += x->trained;
    }
}

/* Loss and gradient of the step's rows: the mean over all their labelled tokens, however they are spread over passes.
 */
static int run_passes(run *r, step_sums *sums)
{
    context *c = r->context;
    packed_pass pass;
    uint64_t number = 0;

    adapter_zero_grad(r->adapter);
    for (int64_t at = 0; at < sums->rows; number++) {
        if (cancelled(r))
            return fail(LORAC_INTERRUPTED, "cancelled");
        at = packer_next(&r->packer, &r->train, r->rows, sums->rows, at, r->tokens_per_pass, &pass);
        if (at < 0)
            return fail_memory();
        pass.targets.grad_scale = (real)(1 / (double)sums->trained);
        c->step = ((uint64_t)r->state.step << PASS_BITS) + number; /* no two passes share dropout masks */
        TRY(model_loss(r->in->model, c, &pass.rows, &pass.targets, &sums->loss));
    }
    return LORAC_OK;
}

/* The rows of the step as "FILE:LINE", the first few. */
static void list_rows(const run *r, int64_t count, buf *out)
{
    enum { SHOWN = 8 };

    for (int64_t i = 0; i < count && i < SHOWN; i++) {
        const example *x = &r->train.rows[r->rows[i]];

        buf_format(out, "%s%s:%" PRId64, i ? ", " : "", r->train.parts[x->part].file, x->line);
    }
    if (count > SHOWN)
        buf_text(out, ", ...");
}

/* `when` is "at step" or "after step"; the first `rows` rows of r->rows are to blame. */
static int fail_diverged(run *r, const char *what, double value, const char *when, int64_t step, int64_t rows)
{
    buf list = { 0 }, hint = { 0 }, newest = { 0 };
    int status;

    if (rows) {
        buf_text(&list, " (rows ");
        list_rows(r, rows, &list);
        buf_char(&list, ')');
    }
    buf_text(&hint, "Lower --learning-rate.");
    if (checkpoint_newest(r->options->output, &newest) == LORAC_OK && newest.n)
        buf_format(&hint, " The last good checkpoint is %s.", newest.p);
    status = fail_at(LORAC_ERROR_DIVERGED, (fault){ .hint = hint.p }, "%s became %g %s %" PRId64 "%s", what, value,
                     when, step, list.p ? list.p : "");
    buf_free(&list);
    buf_free(&hint);
    buf_free(&newest);
    return status;
}

static void count_step(run *r, const step_sums *sums)
{
    run_state *s = &r->state;

    s->step++;
    s->tokens += sums->tokens;
    s->trained_tokens += sums->trained;
    s->report_steps++;
    s->report_tokens += sums->tokens;
    s->report_trained += sums->trained;
    s->report_loss += sums->loss.sum;
    s->eval_due = r->valid_count && (s->step % r->options->steps_per_eval == 0 || s->step == r->steps);
}

static int train_step(run *r)
{
    const lorac_train_options *o = r->options;
    context *c = r->context;
    double began = clock_seconds(), loss, norm;
    step_sums sums;

    profile_clear(&r->profile); /* of what validations have counted */
    choose_rows(r, &sums);
    TRY(run_passes(r, &sums));
    loss = sums.loss.sum / (double)sums.trained;
    if (!isfinite(loss))
        return fail_diverged(r, "the loss", loss, "at step", r->state.step + 1, sums.rows);
    norm = optimizer_grad_norm(&r->optimizer, c->k, c->pool);
    if (!isfinite(norm))
        return fail_diverged(r, "the gradient", norm, "at step", r->state.step + 1, sums.rows);
    r->progress.grad_norm = norm;
    r->progress.learning_rate =
        o->learning_rate * schedule_factor((lorac_schedule)o->lr_schedule, r->state.step, o->warmup_steps, r->steps);
    optimizer_step(&r->optimizer, c->k, c->pool, r->progress.learning_rate, norm);
    TRY(adapter_refresh(r->adapter, r->in->model, c));
    count_step(r, &sums);
    report_step(r, loss, sums.tokens, clock_seconds() - began);
    if (r->state.step % o->steps_per_report == 0 || r->state.step == r->steps)
        return report_interval(r);
    return LORAC_OK;
}

/* ---- Validation -------------------------------------------------------------------------------------------------- */

static int save_best(run *r)
{
    buf path = { 0 };
    char *temporary;
    int status = path_join(&path, r->options->output, "best") ? folder_begin(&temporary, path.p) : fail_memory();

    if (status == LORAC_OK)
        status = folder_end(temporary, path.p, adapter_save(r->adapter, r->in->model, &r->config, temporary));
    if (status == LORAC_OK)
        report_save(r, path.p);
    buf_free(&path);
    return status;
}

static int validate(run *r)
{
    run_state *s = &r->state;
    double began = clock_seconds(), loss;
    loss_result result;
    bool best;

    TRY(evaluate(&result, r->in->model, r->context, &r->packer, &r->valid, r->valid_count, r->tokens_per_pass,
                 r->cancel));
    loss = result.sum / (double)result.count;
    if (!isfinite(loss))
        return fail_diverged(r, "the validation loss", loss, "after step", s->step, 0);
    best = isnan(s->best_loss) || loss < s->best_loss;
    if (best) {
        s->best_loss = loss;
        s->best_step = s->step;
        s->evals_since_best = 0;
        TRY(save_best(r));
    } else {
        s->evals_since_best++;
    }
    s->eval_due = false;
    TRY(report_eval(r, &result, clock_seconds() - began, best));
    if (r->options->patience && s->evals_since_best >= r->options->patience && s->step < r->steps) {
        s->stopped = true;
        buf_format(&r->notes, "stopped early: no better validation loss since step %" PRId64 "\n", s->best_step);
        report_notes(r);
        if (s->report_steps)
            TRY(report_interval(r));
    }
    r->progress.report_start += clock_seconds() - began;
    return LORAC_OK;
}

/* ---- Saving --------------------------------------------------------------------------------------------------------
 */

static int check_finite(run *r)
{
    context *c = r->context;

    for (int i = 0; i < r->adapter->trainable_count; i++) {
        const named_var *t = &r->adapter->trainables[i];
        double squares = c->kernels->sum_squares(c->pool, t->value->t.data, t->count);

        if (!isfinite(squares))
            return fail_diverged(r, t->name, squares, "after step", r->state.step, 0);
    }
    return LORAC_OK;
}

static int save_checkpoint(run *r)
{
    run_parts parts = { r->in->model, &r->config, r->adapter, &r->optimizer };
    double began = clock_seconds();
    buf path = { 0 };
    int status;

    TRY(check_finite(r));
    TRY(metrics_sync(&r->metrics));
    status = checkpoint_save(r->options->output, &parts, &r->state, r->options->keep, &path);
    if (status == LORAC_OK)
        report_save(r, path.p);
    buf_free(&path);
    r->progress.report_start += clock_seconds() - began;
    return status;
}

/* Cancelled: what is done so far is kept. */
static int stop(run *r)
{
    buf hint = { 0 };
    int status = save_checkpoint(r);

    if (status == LORAC_OK) {
        buf_format(&hint, "lorac resume %s goes on.", r->options->output);
        status =
            fail_at(LORAC_INTERRUPTED, (fault){ .hint = hint.p },
                    "stopped after step %" PRId64 " of %" PRId64 "; a checkpoint was written", r->state.step, r->steps);
    }
    buf_free(&hint);
    return status;
}

static int run_loop(run *r)
{
    int64_t every = r->options->save_every, saved = r->state.step;

    while (!finished(r) || r->state.eval_due) {
        int status = cancelled(r) ? LORAC_INTERRUPTED : r->state.eval_due ? validate(r) : train_step(r);

        if (status == LORAC_INTERRUPTED)
            return stop(r);
        TRY(status);
        if (!r->state.eval_due && every && r->state.step != saved && (r->state.step % every == 0 || finished(r))) {
            TRY(save_checkpoint(r));
            saved = r->state.step;
        }
    }
    return LORAC_OK;
}

/* ---- A whole run ----------------------------------------------------------------------------------------------------
 */

static int open_metrics(run *r, buf *path)
{
    if (!path_join(path, r->options->output, "metrics.jsonl"))
        return fail_memory();
    return metrics_open(&r->metrics, path->p, r->state.metrics_bytes);
}

static int begin_folder(run *r)
{
    const char *output = r->options->output;
    buf path = { 0 };
    int status;

    TRY(run_folder_check(r->options));
    TRY(run_folder_clear(output));
    TRY(run_facts_write(output, &r->facts, r->in->model, r->options));
    status = path_join(&path, output, "run.yaml") ? train_options_write(r->options, path.p) : fail_memory();
    buf_free(&path);
    return status;
}

static int resume_folder(run *r)
{
    run_parts parts = { r->in->model, &r->config, r->adapter, &r->optimizer };
    bool found;

    TRY(checkpoint_load(r->options->output, &parts, &r->state, &found, &r->notes));
    TRY(adapter_refresh(r->adapter, r->in->model, r->context));
    if (found)
        buf_format(&r->notes, "going on after step %" PRId64 "\n", r->state.step);
    else
        buf_text(&r->notes, "there is no checkpoint yet: starting from the beginning\n");
    return buf_status(&r->notes);
}

static int finish(run *r)
{
    const char *output = r->options->output;
    slice chat_template = r->in->templates ? r->in->templates->asked : (slice){ NULL, 0 };

    TRY(check_finite(r));
    TRY(run_folder_complete(output, r->in->model, r->in->words, r->in->vocabulary, r->options, &r->facts, chat_template,
                            r->state.step));
    TRY(adapter_save(r->adapter, r->in->model, &r->config, output));
    r->facts.finished = true;
    TRY(run_facts_write(output, &r->facts, r->in->model, r->options));
    TRY(folder_sync(output));
    report_save(r, output);
    return LORAC_OK;
}

static int run_in_folder(run *r)
{
    buf path = { 0 };
    int status;

    TRY(r->in->resume ? resume_folder(r) : begin_folder(r));
    TRY(run_reserve(r));
    status = open_metrics(r, &path);
    r->progress = (progress){ .start = clock_seconds(), .report_start = clock_seconds(), .first_step = r->state.step };
    if (status == LORAC_OK) {
        report_plan(r);
        report_notes(r);
        status = run_loop(r);
    }
    if (status == LORAC_OK)
        status = finish(r);
    metrics_close(&r->metrics);
    buf_free(&path);
    return status;
}

/* A resumed run holds the folder's lock from the start; a new one takes it when there is something to write. */
static int run_all(run *r, const trainer_input *in, int *lock)
{
    TRY(run_prepare(r, in, true));
    if (r->facts.finished) {
        buf_text(&r->notes, "the run is complete; nothing is left to do\n");
        report_notes(r);
        return LORAC_OK;
    }
    TRY(run_plan(r));
    TRY(run_check_fits(r));
    if (!in->resume)
        TRY(run_folder_lock(in->options->output, lock));
    return run_in_folder(r);
}

int trainer_run(const trainer_input *in)
{
    run r;
    int lock = -1, status;

    TRY(in->resume ? run_folder_lock(in->options->output, &lock) : run_folder_check(in->options));
    status = run_all(&r, in, &lock);
    run_close(&r);
    if (lock >= 0)
        close(lock);
    return status;
}

int trainer_plan(const trainer_input *in, lorac_plan *out)
{
    run r;
    int status = run_prepare(&r, in, false);

    if (status == LORAC_OK)
        status = run_plan(&r);
    if (status == LORAC_OK)
        status = run_predict(&r);
    if (status == LORAC_OK)
        status = run_check_fits(&r); /* last, so that a plan that does not fit is whole all the same */
    *out = r.plan;
    run_close(&r);
    return status;
}
