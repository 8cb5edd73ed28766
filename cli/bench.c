/* bench.c: lorac bench: training steps on made-up rows of one length, timed. The run's files go to a temporary folder
 * that is removed. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH_STANDARD = 256, STEPS_STANDARD = 5, STEPS_MOST = 10000 };

typedef struct times {
    double at[STEPS_MOST + 1]; /* when each step ended; [0]: when the first began */
    int64_t tokens[STEPS_MOST + 1];
    int64_t count, trainable;
} times;

static void on_event(void *user, const lorac_event *e)
{
    times *t = user;

    if (e->kind == LORAC_EVENT_PLAN) {
        t->trainable = e->plan->trainable_parameters;
        t->at[0] = seconds_now();
    } else if (e->kind == LORAC_EVENT_STEP && t->count < STEPS_MOST) {
        t->count++;
        t->at[t->count] = seconds_now();
        t->tokens[t->count] = e->tokens;
    }
}

int32_t made_up_id(uint32_t *state, int64_t vocabulary)
{
    *state = *state * 1664525u + 1013904223u;
    return (int32_t)((*state >> 8) % (uint64_t)(vocabulary / 2 + 1));
}

/* Rows of random ids, all of them trained; the label is for classifiers. */
static int write_rows(const arguments *a, const char *path, int64_t rows, int64_t length, int64_t vocabulary)
{
    FILE *file = fopen(path, "w");
    uint32_t state = 1;

    for (int64_t i = 0; file && i < rows; i++) {
        fputs("{\"label\":0,\"input_ids\":[", file);
        for (int64_t j = 0; j < length; j++)
            fprintf(file, "%s%d", j ? "," : "", (int)made_up_id(&state, vocabulary));
        fputs("]}\n", file);
    }
    if (!file || fclose(file) != 0)
        return problem(a, LORAC_ERROR_RUNTIME, path, NULL, "cannot write this file: %s", strerror(errno));
    return LORAC_OK;
}

/* ---- Where the time went */

typedef struct ceiling {
    lorac_profile profile;
    lorac_speed machine;
    double flops, rest; /* that the steps needed; seconds in no part */
} ceiling;

static void sum_up(ceiling *c)
{
    c->rest = c->profile.seconds;
    for (int i = 0; i < LORAC_PROFILE_PARTS; i++) {
        c->flops += c->profile.parts[i].flops;
        c->rest -= c->profile.parts[i].seconds;
    }
}

/* Of the time that the needed operations would take at the speed of large products. */
static double share_of_ceiling(const ceiling *c)
{
    return c->flops / c->machine.product_flops / c->profile.seconds;
}

static json_t *part_json(const char *name, double seconds, double flops, double bytes, double whole)
{
    json_t *o = json_object();

    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "seconds", json_number(seconds));
    json_object_set_new(o, "share", json_number(seconds / whole));
    json_object_set_new(o, "gflops", json_number(seconds > 0 ? flops / seconds / 1e9 : 0));
    json_object_set_new(o, "gbs", json_number(seconds > 0 ? bytes / seconds / 1e9 : 0));
    return o;
}

static void add_profile(json_t *o, const ceiling *c)
{
    json_t *parts = json_array();

    for (int i = 0; i < LORAC_PROFILE_PARTS; i++) {
        const lorac_profile_part *p = &c->profile.parts[i];
        json_array_append_new(parts, part_json(p->name, p->seconds, p->flops, p->bytes, c->profile.seconds));
    }
    json_array_append_new(parts, part_json("other", c->rest, 0, 0, c->profile.seconds));
    json_object_set_new(o, "parts", parts);
    json_object_set_new(o, "needed_gflop", json_number(c->flops / 1e9));
    json_object_set_new(o, "gemm_gflops", json_number(c->machine.product_flops / 1e9));
    json_object_set_new(o, "bandwidth_gbs", json_number(c->machine.bandwidth / 1e9));
    json_object_set_new(o, "share_of_ceiling", json_number(share_of_ceiling(c)));
}

static void print_part(const char *name, double seconds, double flops, double bytes, const ceiling *c)
{
    printf("%-34s%9.1f ms%7.1f %%", name, 1e3 * seconds / (double)c->profile.steps, 100 * seconds / c->profile.seconds);
    if (flops > 0)
        printf("%10.0f GFLOP/s", flops / seconds / 1e9);
    else if (bytes > 0)
        printf("%10.1f GB/s", bytes / seconds / 1e9);
    putchar('\n');
}

static void print_profile(const ceiling *c)
{
    printf("\n%-34s%12s%9s\n", "part of a step", "time", "share");
    for (int i = 0; i < LORAC_PROFILE_PARTS; i++) {
        const lorac_profile_part *p = &c->profile.parts[i];
        if (p->seconds > 0)
            print_part(p->name, p->seconds, p->flops, p->bytes, c);
    }
    print_part("other", c->rest, 0, 0, c);
    printf("\nthis machine: products %.0f GFLOP/s, memory %.1f GB/s\n", c->machine.product_flops / 1e9,
           c->machine.bandwidth / 1e9);
    printf("needed: %.0f GFLOP a step, %.0f %% of what products alone would allow\n",
           c->flops / (double)c->profile.steps / 1e9, 100 * share_of_ceiling(c));
}

/* ---- Speed */

/* The first step sets things up and is left out when there are others. */
static void print_times(const arguments *a, const times *t, const ceiling *c)
{
    int64_t from = t->count > 1 ? 1 : 0, steps = t->count - from;
    double seconds = t->at[t->count] - t->at[from];
    double speed = (double)(t->tokens[t->count] - t->tokens[from]) / seconds;
    long long rows = a->train.batch_size * a->train.grad_accumulation_steps;
    char trainable[32];

    if (a->json) {
        json_t *o = json_object();

        json_object_set_new(o, "tokens_per_second", json_number(speed));
        json_object_set_new(o, "seconds_per_step", json_number(seconds / (double)steps));
        json_object_set_new(o, "steps", json_integer(t->count));
        json_object_set_new(o, "batch_size", json_integer(a->train.batch_size));
        json_object_set_new(o, "length", json_integer(a->train.max_seq_length));
        json_object_set_new(o, "trainable_parameters", json_integer(t->trainable));
        json_object_set_new(o, "peak_memory", json_number(peak_memory_gb()));
        if (a->profile)
            add_profile(o, c);
        print_json(o);
        return;
    }
    printf("%.1f tokens/s, %.3f s a step (%lld rows of %lld tokens, %s trained parameters)\npeak memory %.3f GB\n",
           speed, seconds / (double)steps, rows, (long long)a->train.max_seq_length, grouped(t->trainable, trainable),
           peak_memory_gb());
    if (a->profile)
        print_profile(c);
}

static int measure(arguments *a, const lorac_model *model, const char *folder)
{
    times *t = allocate(1, sizeof *t);
    ceiling c = { 0 };
    lorac_watch watch = { .on_event = on_event, .user = t, .profile = a->profile ? &c.profile : NULL };
    lorac_model_info about;
    char *rows = format_text("%s/rows.jsonl", folder), *output = format_text("%s/run", folder);
    int64_t count = a->train.batch_size * a->train.grad_accumulation_steps;
    int status;

    lorac_model_describe(model, &about);
    a->train.data = rows;
    a->train.output = output;
    a->train.max_seq_length = a->limit ? a->limit : LENGTH_STANDARD;
    a->train.save_every = a->train.steps_per_eval = 0;
    if (a->train.steps <= 0)
        a->train.steps = STEPS_STANDARD;
    status = write_rows(a, rows, count, a->train.max_seq_length, about.vocabulary);
    if (status == LORAC_OK) {
        interrupt_cancels(&watch);
        status = lorac_train(model, &a->train, &watch);
        interrupt_cancels(NULL);
        if (status == LORAC_OK && a->profile)
            status = lorac_measure_speed(a->train.dtype, a->train.threads, &c.machine);
        sum_up(&c);
        if (status != LORAC_OK)
            report(a, status);
        else
            print_times(a, t, &c);
    }
    free(rows);
    free(output);
    free(t);
    return status;
}

int command_bench(arguments *a)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = format_text("%s/lorac-bench-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    lorac_model *model = NULL;
    int status = open_model(a, &model);

    if (status == LORAC_OK && a->generate > 0) {
        status = bench_generate(a, model);
    } else if (status == LORAC_OK && !mkdtemp(folder)) {
        status = problem(a, LORAC_ERROR_RUNTIME, folder, NULL, "cannot make a folder here: %s", strerror(errno));
    } else if (status == LORAC_OK) {
        status = measure(a, model, folder);
        remove_tree(folder);
    }
    lorac_model_close(model);
    free(folder);
    return status;
}
