/* display.c: training events as a live display, as mlx-lm's classic lines, as JSON, or not at all. All of it goes to
 * stderr, but for --log json without --json. */
#include "display.h"

#include "highlight.h"
#include "live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLE_TOKENS = 400 };

typedef enum form { FORM_LIVE, FORM_PLAIN, FORM_JSON, FORM_QUIET } form;

struct display {
    const arguments *a;
    form form;
    live *live;
    FILE *json;
    display_summary sum;
};

display *display_new(const arguments *a)
{
    display *d = allocate(1, sizeof *d);
    bool terminal = is_terminal(stderr);

    d->a = a;
    d->json = a->json ? stderr : stdout;
    if (!strcmp(a->log, "json"))
        d->form = FORM_JSON;
    else if (!strcmp(a->log, "quiet"))
        d->form = FORM_QUIET;
    else if (!strcmp(a->log, "tty") || (terminal && strcmp(a->log, "plain") != 0))
        d->form = FORM_LIVE;
    else
        d->form = FORM_PLAIN;
    if (d->form == FORM_LIVE)
        d->live = live_new();
    d->sum = (display_summary){ .loss = NAN, .eval_loss = NAN, .best_eval_loss = NAN, .tokens_per_second = NAN };
    return d;
}

void display_free(display *d)
{
    if (d->live)
        live_finish(d->live);
    live_free(d->live);
    free(d);
}

display_summary display_sum(const display *d)
{
    return d->sum;
}

/* ---- Before the first step ------------------------------------------------------------------- */

static void box_line(const char *label, const char *value)
{
    fprintf(stderr, "%s %-9s ", has_utf8() ? "│" : "|", label);
    print_text(stderr, value, strlen(value));
    fputc('\n', stderr);
}

static void box_edge(bool top)
{
    int width = terminal_width() - 1;

    if (width > 72)
        width = 72;
    fputs(has_utf8() ? (top ? "╭" : "╰") : "+", stderr);
    for (int i = 1; i < width; i++)
        fputs(has_utf8() ? "─" : "-", stderr);
    fputc('\n', stderr);
}

static void print_box(const display *d, const lorac_plan *plan)
{
    const lorac_train_options *o = &d->a->train;
    char tokens[32], rows[32], peak[32];
    const char *source = o->adapter ? o->adapter : o->peft_config;
    char *adapter = source ? format_text("LoRA as in %s", source)
                           : format_text("LoRA of rank %lld on %s", (long long)o->rank, o->target_modules);
    char *data = format_text("%s (%s rows, %s tokens an epoch)", o->data, grouped(plan->rows, rows),
                             grouped(plan->tokens_per_epoch, tokens));
    char *batch = format_text("%lld rows x %lld, %lld steps", (long long)o->batch_size,
                              (long long)o->grad_accumulation_steps, (long long)plan->steps);
    char *machine =
        format_text("%s on %s, about %s of memory", plan->dtype, plan->isa, bytes_text((double)plan->peak, peak));

    box_edge(true);
    box_line("model", o->model);
    box_line("data", data);
    box_line("adapter", adapter);
    box_line("batch", batch);
    box_line("machine", machine);
    box_line("output", o->output);
    box_edge(false);
    free(adapter);
    free(data);
    free(batch);
    free(machine);
}

static void print_plan(const display *d, const lorac_event *e)
{
    char *line = trainable_line(e->plan->trainable_parameters, e->plan->all_parameters);

    if (d->form == FORM_LIVE)
        print_box(d, e->plan);
    fprintf(stderr, "%s\n", line);
    free(line);
    note_cut_rows(e->plan->truncated_rows, e->plan->cut_turn_rows, e->plan->dropped_rows);
    note_endless_rows(e->plan->endless_rows, e->plan->endless_template);
    if (e->example) {
        fprintf(stderr, "The first row: ");
        print_row_legend(stderr, e->example->label >= 0);
        print_row(stderr, e->tokenizer, e->example, EXAMPLE_TOKENS);
    }
    if (d->form == FORM_PLAIN)
        fprintf(stderr, "Starting training..., iters: %lld\n", (long long)e->plan->steps);
    else
        fputc('\n', stderr);
}

/* ---- One line an event, as mlx-lm prints it -------------------------------------------------- */

static void print_classic(const lorac_event *e)
{
    long long step = (long long)e->step;

    switch (e->kind) {
    case LORAC_EVENT_REPORT:
        fprintf(stderr,
                "Iter %lld: Train loss %.3f, Learning Rate %.3e, It/sec %.3f, Tokens/sec %.3f, Trained Tokens %lld, "
                "Peak mem %.3f GB\n",
                step, e->loss, e->learning_rate, e->steps_per_second, e->tokens_per_second,
                (long long)e->trained_tokens, (double)e->peak_memory / 1e9);
        break;
    case LORAC_EVENT_EVAL:
        fprintf(stderr, "Iter %lld: Val loss %.3f, Val took %.3fs\n", step, e->eval_loss, e->eval_seconds);
        break;
    case LORAC_EVENT_SAVE:
        note("Iter %lld: Saved adapter weights to %s.", step, e->path ? e->path : "");
        break;
    case LORAC_EVENT_NOTE:
        note("%s", e->text ? e->text : "");
        break;
    default:
        break;
    }
}

/* ---- Live ------------------------------------------------------------------------------------ */

static void show_live(display *d, const lorac_event *e)
{
    switch (e->kind) {
    case LORAC_EVENT_STEP:
        live_step(d->live, e);
        break;
    case LORAC_EVENT_EVAL:
        live_eval(d->live, e);
        live_erase(d->live);
        fprintf(stderr, "  step %-6lld val %.4f  %.1f s%s\n", (long long)e->step, e->eval_loss, e->eval_seconds,
                e->best ? "  best so far" : "");
        break;
    case LORAC_EVENT_NOTE:
        live_erase(d->live);
        note("  %s", e->text ? e->text : "");
        break;
    default: /* a report only repeats what the steps said, and checkpoints are no news here */
        break;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *event_json(const lorac_event *e)
{
    json_t *o = json_object();

    switch (e->kind) {
    case LORAC_EVENT_PLAN:
        json_object_set_new(o, "event", json_string("plan"));
        json_object_set_new(o, "iterations", json_integer(e->plan->steps));
        json_object_set_new(o, "trainable_parameters", json_integer(e->plan->trainable_parameters));
        json_object_set_new(o, "all_parameters", json_integer(e->plan->all_parameters));
        return o;
    case LORAC_EVENT_REPORT:
        json_object_set_new(o, "event", json_string("train"));
        json_object_set_new(o, "iteration", json_integer(e->step));
        json_object_set_new(o, "epoch", json_number(e->epoch));
        json_object_set_new(o, "train_loss", json_number(e->loss));
        json_object_set_new(o, "learning_rate", json_number(e->learning_rate));
        json_object_set_new(o, "grad_norm", json_number(e->grad_norm));
        json_object_set_new(o, "iterations_per_second", json_number(e->steps_per_second));
        json_object_set_new(o, "tokens_per_second", json_number(e->tokens_per_second));
        json_object_set_new(o, "trained_tokens", json_integer(e->trained_tokens));
        json_object_set_new(o, "peak_memory", json_number((double)e->peak_memory / 1e9));
        return o;
    case LORAC_EVENT_EVAL:
        json_object_set_new(o, "event", json_string("eval"));
        json_object_set_new(o, "iteration", json_integer(e->step));
        json_object_set_new(o, "val_loss", json_number(e->eval_loss));
        json_object_set_new(o, "val_time", json_number(e->eval_seconds));
        json_object_set_new(o, "best", json_boolean(e->best));
        return o;
    case LORAC_EVENT_SAVE:
        json_object_set_new(o, "event", json_string("save"));
        json_object_set_new(o, "iteration", json_integer(e->step));
        json_object_set_new(o, "path", e->path ? json_text(e->path, strlen(e->path)) : json_null());
        return o;
    case LORAC_EVENT_NOTE:
        json_object_set_new(o, "event", json_string("note"));
        json_object_set_new(o, "text", e->text ? json_text(e->text, strlen(e->text)) : json_null());
        return o;
    case LORAC_EVENT_STEP:
        break;
    }
    json_decref(o);
    return NULL;
}

static void print_event_json(FILE *out, const lorac_event *e)
{
    json_t *o = event_json(e);

    if (!o)
        return;
    json_dumpf(o, out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', out);
    fflush(out);
    json_decref(o);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void remember(display_summary *s, const lorac_event *e)
{
    if (e->step > s->step)
        s->step = e->step;
    if (e->kind == LORAC_EVENT_EVAL) {
        s->eval_loss = e->eval_loss;
        if (isnan(s->best_eval_loss) || e->eval_loss < s->best_eval_loss)
            s->best_eval_loss = e->eval_loss;
    } else if (e->kind == LORAC_EVENT_STEP || e->kind == LORAC_EVENT_REPORT) {
        s->loss = e->loss;
        s->tokens = e->tokens;
        s->trained_tokens = e->trained_tokens;
        s->tokens_per_second = e->tokens_per_second;
    }
}

void display_event(void *user, const lorac_event *event)
{
    display *d = user;

    remember(&d->sum, event);
    if (d->form == FORM_QUIET)
        return;
    if (d->form == FORM_JSON)
        print_event_json(d->json, event);
    else if (event->kind == LORAC_EVENT_PLAN)
        print_plan(d, event);
    else if (d->form == FORM_LIVE)
        show_live(d, event);
    else
        print_classic(event);
}
