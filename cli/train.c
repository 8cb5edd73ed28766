/* train.c: lorac train, plan and resume. */
#include "display.h"

#include <stdlib.h>
#include <string.h>

/* What a run takes from an adapter's own settings when it starts from one. */
static void note_ignored_flags(const arguments *a)
{
    static const char *const names[] = { "rank", "alpha", "dropout", "target-modules" };
    const char *source = a->train.adapter ? a->train.adapter : a->train.peft_config;

    for (size_t i = 0; source && i < sizeof names / sizeof *names; i++)
        if (given(a, names[i]))
            note("note: --%s is not used: %s says it", names[i], source);
}

static int check_inputs(const arguments *a)
{
    if (!a->train.model)
        return usage(a, "model", "Give a folder, a GGUF file or a name from lorac pull --list.",
                     "say which model with -m");
    if (!a->train.data && a->train.steps != 0) /* 0: only the initial adapter */
        return usage(a, "data", "Give a .jsonl file, or a folder with train.jsonl.", "say which rows with --data");
    return LORAC_OK;
}

/* ---- plan ------------------------------------------------------------------------------------ */

static json_t *plan_json(const lorac_plan *p)
{
    json_t *o = json_object(), *memory = json_object();

    json_object_set_new(o, "trainable_parameters", json_integer(p->trainable_parameters));
    json_object_set_new(o, "all_parameters", json_integer(p->all_parameters));
    json_object_set_new(o, "rows", json_integer(p->rows));
    json_object_set_new(o, "steps", json_integer(p->steps));
    json_object_set_new(o, "steps_per_epoch", json_integer(p->steps_per_epoch));
    json_object_set_new(o, "tokens_per_epoch", json_integer(p->tokens_per_epoch));
    json_object_set_new(o, "longest_row", json_integer(p->longest_row));
    json_object_set_new(o, "truncated_rows", json_integer(p->truncated_rows));
    json_object_set_new(o, "cut_turn_rows", json_integer(p->cut_turn_rows));
    json_object_set_new(o, "dropped_rows", json_integer(p->dropped_rows));
    json_object_set_new(o, "endless_rows", json_integer(p->endless_rows));
    json_object_set_new(o, "tokens_per_pass", json_integer(p->tokens_per_pass));
    json_object_set_new(o, "step_tokens", json_integer(p->step_tokens));
    json_object_set_new(o, "step_seconds", json_number(p->step_seconds));
    json_object_set_new(o, "step_gflop", json_number(p->step_flops / 1e9));
    json_object_set_new(o, "dtype", p->dtype ? json_string(p->dtype) : json_null());
    json_object_set_new(o, "isa", p->isa ? json_string(p->isa) : json_null());
    json_object_set_new(memory, "weights", json_integer((json_int_t)p->weights));
    json_object_set_new(memory, "adapter", json_integer((json_int_t)p->adapter));
    json_object_set_new(memory, "optimizer", json_integer((json_int_t)p->optimizer));
    json_object_set_new(memory, "activations", json_integer((json_int_t)p->activations));
    json_object_set_new(memory, "other", json_integer((json_int_t)p->other));
    json_object_set_new(memory, "peak", json_integer((json_int_t)p->peak));
    json_object_set_new(memory, "available", json_integer((json_int_t)p->available));
    json_object_set_new(o, "memory", memory);
    json_object_set_new(o, "fits", json_boolean(p->peak <= p->available));
    return o;
}

static void print_count(const char *label, int64_t value)
{
    char text[32];

    printf("  %-22s %16s\n", label, grouped(value, text));
}

static void print_bytes(const char *label, uint64_t value)
{
    char text[32];

    printf("  %-22s %16s\n", label, bytes_text((double)value, text));
}

static void print_plan(const lorac_plan *p)
{
    char *line = trainable_line(p->trainable_parameters, p->all_parameters);
    double run = p->step_seconds * (double)p->steps;

    printf("%s\n\nRun\n", line);
    print_count("rows", p->rows);
    print_count("steps", p->steps);
    print_count("steps an epoch", p->steps_per_epoch);
    print_count("tokens an epoch", p->tokens_per_epoch);
    print_count("longest row", p->longest_row);
    print_count("rows cut", p->truncated_rows);
    print_count("of them in a turn", p->cut_turn_rows);
    print_count("rows dropped", p->dropped_rows);
    print_count("tokens a pass", p->tokens_per_pass);
    printf("  %-22s %16s\n", "computed in", p->dtype ? p->dtype : "-");
    printf("  %-22s %16s\n\nMemory\n", "with", p->isa ? p->isa : "-");
    print_bytes("weights", p->weights);
    print_bytes("adapter", p->adapter);
    print_bytes("optimiser", p->optimizer);
    print_bytes("activations", p->activations);
    print_bytes("other", p->other);
    print_bytes("peak", p->peak);
    print_bytes("available", p->available);
    if (p->step_seconds > 0) {
        printf("\nTime, as far as a short measurement can tell\n");
        printf("  %-22s %14.2f s\n", "a step", p->step_seconds);
        printf("  %-22s %16.0f\n", "tokens a second", (double)p->step_tokens / p->step_seconds);
        if (run < 120)
            printf("  %-22s %14.0f s\n", "the run", run);
        else
            printf("  %-22s %12.0f min\n", "the run", run / 60);
    }
    free(line);
}

int command_plan(arguments *a)
{
    lorac_model *model;
    lorac_plan plan = { 0 };
    int status = check_inputs(a);

    if (status == LORAC_OK)
        status = open_model(a, &model);
    if (status != LORAC_OK)
        return status;
    status = lorac_train_plan(model, &a->train, &plan);
    if (a->json && status == LORAC_ERROR_MEMORY) {
        json_t *o = json_object();

        json_object_set_new(o, "error", error_json(lorac_last_error()));
        json_object_set_new(o, "plan", plan_json(&plan));
        print_json(o);
    } else if (a->json && status == LORAC_OK) {
        print_json(plan_json(&plan));
    } else {
        if (status == LORAC_OK || status == LORAC_ERROR_MEMORY)
            print_plan(&plan);
        if (status != LORAC_OK)
            report(a, status);
    }
    lorac_model_close(model);
    return status;
}

/* ---- train and resume ------------------------------------------------------------------------ */

static void print_summary(const arguments *a, const display_summary *s, double seconds)
{
    json_t *o = json_object();

    json_object_set_new(o, "output", json_text(a->train.output, strlen(a->train.output)));
    json_object_set_new(o, "steps", json_integer(s->step));
    json_object_set_new(o, "loss", json_number(s->loss));
    json_object_set_new(o, "eval_loss", json_number(s->eval_loss));
    json_object_set_new(o, "best_eval_loss", json_number(s->best_eval_loss));
    json_object_set_new(o, "tokens", json_integer(s->tokens));
    json_object_set_new(o, "trained_tokens", json_integer(s->trained_tokens));
    json_object_set_new(o, "tokens_per_second", json_number(s->tokens_per_second));
    json_object_set_new(o, "peak_memory", json_number(peak_memory_gb()));
    json_object_set_new(o, "seconds", json_number(seconds));
    print_json(o);
}

/* One word of a command to paste: quoted where a shell would read more into it than the word. */
static char *shell_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+@%";
    char *quoted, *to;

    if (*word && word[strspn(word, plain)] == '\0')
        return format_text("%s", word);
    quoted = to = allocate(4 * strlen(word) + 3, 1);
    *to++ = '\'';
    for (; *word; word++) {
        if (*word == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *word;
    }
    *to = '\'';
    return quoted;
}

/* What to do next. A classifier has nothing to say in a chat. */
static void note_after(const arguments *a, const lorac_model *model, int status)
{
    char *output = shell_word(a->train.output), *path = shell_word(a->train.model);
    char *data = shell_word(a->train.data ? a->train.data : "ROWS");
    lorac_model_info about;

    lorac_model_describe(model, &about);
    if (status == LORAC_INTERRUPTED) {
        note("Stopped; a checkpoint is written. Go on with: lorac resume %s", output);
    } else if (strcmp(a->log, "quiet") != 0) {
        note("Saved final weights to %s.", a->train.output);
        if (about.task == LORAC_TASK_SEQ_CLS)
            note("Try it: lorac eval -m %s --adapter %s --data %s", path, output, data);
        else
            note("Try it: lorac chat -m %s --adapter %s", path, output);
    }
    free(output);
    free(path);
    free(data);
}

/* `folder`: of the run to go on with, or NULL for a new one. */
static int run(arguments *a, const char *folder)
{
    display *d;
    lorac_watch watch = { .on_event = display_event };
    lorac_model *model;
    display_summary sum;
    double start = seconds_now();
    int status = open_model(a, &model);

    if (status != LORAC_OK)
        return status;
    watch.user = d = display_new(a);
    interrupt_cancels(&watch);
    if (folder)
        status = lorac_resume(model, folder, &watch);
    else
        status = lorac_train(model, &a->train, &watch);
    interrupt_cancels(NULL);
    sum = display_sum(d);
    display_free(d);
    if (status == LORAC_OK || status == LORAC_INTERRUPTED)
        note_after(a, model, status);
    if (status == LORAC_OK && a->json)
        print_summary(a, &sum, seconds_now() - start);
    else if (status != LORAC_OK && (status != LORAC_INTERRUPTED || a->json))
        report(a, status);
    lorac_model_close(model);
    return status;
}

int command_train(arguments *a)
{
    int status;

    if (a->dry_run)
        return command_plan(a);
    status = check_inputs(a);
    if (status != LORAC_OK)
        return status;
    note_ignored_flags(a);
    return run(a, NULL);
}

/* The run's own options say which model it is; -m only says where that model is now. */
int command_resume(arguments *a)
{
    const char *folder = a->positional[0];
    char *moved = a->train.model ? format_text("%s", a->train.model) : NULL;
    char *file;
    int status;

    if (!folder) {
        free(moved);
        return usage(a, NULL, "It is the output folder of lorac train.", "say which run: lorac resume DIR");
    }
    file = format_text("%s/run.yaml", folder);
    status = lorac_train_options_load(&a->train, file);
    free(file);
    if (status != LORAC_OK)
        report(a, status);
    else
        a->train.output = folder;
    if (status == LORAC_OK && moved)
        a->train.model = moved;
    if (status == LORAC_OK)
        status = check_inputs(a);
    if (status == LORAC_OK)
        status = run(a, folder);
    free(moved);
    return status;
}
