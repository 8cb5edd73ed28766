/* calibrate.c: an observer of a forward pass in f32. Linears share an input when they are called one after the other
 * with the same var. */
#include "calibrate.h"

#include "cpu.h"
#include "err.h"
#include "mem.h"
#include "op_linear.h"

#include <math.h>
#include <string.h>

enum {
    TOKENS_MOST = 16384, /* rows are taken until there are so many */
    PASS_TOKENS = 1024
};
static const size_t bytes_most = (size_t)1 << 30;

typedef struct watching {
    linear_observer observer;
    const calibration *what;
    context *c;
    int *leader_of;
    layer_inputs *by_slot; /* of leaders; products NULL where this run is not for them */
    const var *last;       /* the input seen last, and who was first to get it */
    int last_leader;
    batch rows; /* of the pass */
    int32_t *ids, *positions, *chosen;
    attention_span *spans;
    int64_t chosen_count, capacity;
} watching;

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

static void add_positions(watching *w, context *c, layer_inputs *in, const var *x)
{
    context_mark mark = context_here(c);
    mat rows = { context_scratch(c, (size_t)(w->chosen_count * in->width) * sizeof(real)), DT_REAL, w->chosen_count,
                 in->width, in->width };

    if (in->products && w->chosen_count) {
        c->k->gather_rows(c->pool, rows.p, x->t.data, w->chosen, w->chosen_count, in->width);
        c->k->gemm(c->pool, real_matrix(in->products, in->width, in->width), rows, 1, rows, 0, 1, 1);
        c->k->bias_back(c->pool, in->sums, rows.p, rows.rows, rows.cols);
        in->count += w->chosen_count;
    }
    context_rewind_high(c, mark);
}

/* The largest value, by its size then: PEFT's rule, in which a large negative one is passed over. */
static double largest(const real *x, int64_t count)
{
    double most = -INFINITY;

    for (int64_t i = 0; i < count; i++)
        most = fmax(most, (double)x[i]);
    return fabs(most);
}

static void add_documents(const watching *w, context *c, layer_inputs *in, const var *x)
{
    for (int64_t i = 0; in->products && i < w->rows.n_spans; i++) {
        attention_span span = w->rows.spans[i];
        real *first = (real *)x->t.data + span.q * in->width;
        mat rows = real_matrix(first, span.n_q, in->width);
        double most = largest(first, span.n_q * in->width);

        if (most > 0)
            c->k->gemm(c->pool, real_matrix(in->products, in->width, in->width), rows, 1, rows, 0,
                       (real)(1 / (most * most)), 1);
        in->count++;
    }
}

static void see(linear_observer *self, context *c, const linear *l, const var *x)
{
    watching *w = (watching *)self;
    layer_inputs *in = &w->by_slot[l->slot];

    if (!w->what->wanted[l->slot])
        return;
    if (x == w->last) {
        w->leader_of[l->slot] = w->last_leader;
        return;
    }
    w->last = x;
    w->last_leader = w->leader_of[l->slot] = l->slot;
    in->leader = l->slot;
    in->width = tensor_cols(&x->t);
    if (w->what->by_document)
        add_documents(w, c, in, x);
    else
        add_positions(w, c, in, x);
}

/* ---- Passes ------------------------------------------------------------------------------------------------------ */

static void add_row(watching *w, const example *x)
{
    const examples *e = w->what->rows;
    int64_t first = w->rows.count;

    memcpy(w->ids + first, e->ids + x->begin, (size_t)x->count * sizeof *w->ids);
    for (int32_t t = 0; t < x->count; t++) {
        w->positions[first + t] = t;
        if (!w->what->some_labels || e->labels[x->begin + (uint64_t)t] != w->what->masked_label)
            w->chosen[w->chosen_count++] = (int32_t)(first + t);
    }
    w->spans[w->rows.n_spans++] = (attention_span){ first, x->count, first, x->count };
    w->rows.count += x->count;
}

/* Lays rows from `at` on side by side; returns the first that is left. */
static int64_t next_pass(watching *w, int64_t at, int64_t end)
{
    const example *rows = w->what->rows->rows;

    w->rows.count = w->rows.n_spans = w->chosen_count = 0;
    while (at < end && w->rows.count + rows[at].count <= w->capacity)
        add_row(w, &rows[at++]);
    w->last = NULL;
    return at;
}

static int64_t rows_taken(const examples *e)
{
    int64_t tokens = 0, count = 0;

    while (count < e->count && tokens < TOKENS_MOST)
        tokens += e->rows[count++].count;
    return count;
}

static int run_rows(watching *w, float *logits)
{
    const calibration *what = w->what;
    int64_t end = rows_taken(what->rows);
    const int32_t first = 0;

    for (int64_t at = 0; at < end;) {
        if (what->cancel && *what->cancel)
            return fail(LORAC_INTERRUPTED, "cancelled");
        at = next_pass(w, at, end);
        TRY(model_logits(what->model, w->c, &w->rows, &first, 1, logits));
    }
    return LORAC_OK;
}

/* A pass of one document as long as passes get, through a context that counts: how much memory passes need, and who
 * shares inputs with whom. */
static int measure(watching *w)
{
    size_t bytes;

    w->spans[0] = (attention_span){ 0, w->capacity, 0, w->capacity };
    w->rows.count = w->chosen_count = w->capacity;
    w->rows.n_spans = 1;
    TRY(model_measure_logits(w->what->model, w->c, &w->rows, 1, &bytes));
    return context_reserve(w->c, bytes);
}

/* ---- Runs over the rows ------------------------------------------------------------------------------------------ */

static size_t sum_bytes(const layer_inputs *in)
{
    return (size_t)(in->width * (in->width + 1)) * sizeof(real);
}

/* Gives leaders from *slot on their room, until that is enough for one run. */
static int choose_leaders(watching *w, int *slot, layer_inputs *chosen, int64_t *count)
{
    size_t bytes = 0;

    *count = 0;
    for (; *slot < w->what->model->module_count; ++*slot) {
        layer_inputs *in = &w->by_slot[*slot];

        if (!w->what->wanted[*slot] || w->leader_of[*slot] != *slot)
            continue;
        if (*count && bytes + sum_bytes(in) > bytes_most)
            break;
        bytes += sum_bytes(in);
        in->products = mem_new((size_t)in->width, (size_t)in->width * sizeof(real));
        in->sums = mem_new((size_t)in->width, sizeof(real));
        if (!in->products || !in->sums)
            return fail_memory();
        chosen[(*count)++] = *in;
    }
    return LORAC_OK;
}

static void drop_sums(watching *w)
{
    for (int i = 0; i < w->what->model->module_count; i++) {
        mem_free(w->by_slot[i].products);
        mem_free(w->by_slot[i].sums);
        w->by_slot[i].products = w->by_slot[i].sums = NULL;
    }
}

static int run_all(watching *w, layer_inputs *chosen, float *logits, inputs_use use, void *arg)
{
    int64_t count;

    TRY(measure(w));
    for (int slot = 0; slot < w->what->model->module_count;) {
        TRY(choose_leaders(w, &slot, chosen, &count));
        if (count == 0)
            break;
        TRY(run_rows(w, logits));
        for (int64_t i = 0; i < count; i++)
            chosen[i].count = w->by_slot[chosen[i].leader].count;
        TRY(use(arg, w->c->pool, chosen, count));
        drop_sums(w);
    }
    return LORAC_OK;
}

static int open_watch(watching *w)
{
    context_options options = { .threads = w->what->threads, .level = cpu_isa(), .act = DT_REAL };
    size_t capacity = (size_t)w->capacity;

    w->ids = mem_new(capacity, sizeof *w->ids);
    w->positions = mem_new(capacity, sizeof *w->positions);
    w->chosen = mem_new(capacity, sizeof *w->chosen);
    w->spans = mem_new(capacity, sizeof *w->spans);
    w->by_slot = mem_new((size_t)w->what->model->module_count, sizeof *w->by_slot);
    if (!w->ids || !w->positions || !w->chosen || !w->spans || !w->by_slot)
        return fail_memory();
    w->rows = (batch){ .ids = w->ids, .positions = w->positions, .spans = w->spans };
    TRY(context_new(&w->c, &options));
    w->c->observer = &w->observer;
    return LORAC_OK;
}

static void close_watch(watching *w)
{
    if (w->by_slot)
        drop_sums(w);
    context_free(w->c);
    mem_free(w->ids);
    mem_free(w->positions);
    mem_free(w->chosen);
    mem_free(w->spans);
    mem_free(w->by_slot);
}

int calibrate(const calibration *what, int *leader_of, inputs_use use, void *arg)
{
    int64_t longest = what->rows->longest;
    watching w = { .observer = { see },
                   .what = what,
                   .leader_of = leader_of,
                   .capacity = longest > PASS_TOKENS ? longest : PASS_TOKENS };
    layer_inputs *chosen = mem_new((size_t)what->model->module_count, sizeof *chosen);
    float *logits = mem_new((size_t)what->model->config.vocabulary, sizeof *logits);
    int status = chosen && logits ? open_watch(&w) : fail_memory();

    if (status == LORAC_OK)
        status = run_all(&w, chosen, logits, use, arg);
    close_watch(&w);
    mem_free(chosen);
    mem_free(logits);
    return status;
}
