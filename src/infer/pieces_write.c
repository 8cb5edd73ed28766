/* pieces_write.c: making a model's rows: decode, add the deltas, round to the output type.
 *
 * Tensors are cut into runs of rows, by their shapes alone. A run is made by one thread from beginning to end, so that
 * it stays in that processor's cache: the kernels get a pool of one thread. Runs are made a batch at a time, while the
 * batch before is given away. */
#include "pieces.h"

#include "dora.h"
#include "err.h"
#include "mem.h"
#include "op_linear.h"
#include "quant.h"
#include "source.h"
#include "split.h"

#include <assert.h>
#include <string.h>

enum { RUN_ELEMENTS = 1 << 16, RUNS_MOST = 64, BATCH_BYTES = 4 << 20, ALIGNMENT = 64 };

/* ---- A run of rows ---- */

typedef struct run {
    const piece *x;
    int64_t first, rows, cols;
    char *bytes;
    size_t size; /* as written */
    export_loss loss;
} run;

/* What a run is made in: its rows with the deltas added, the deltas alone, and a spare. */
typedef struct room {
    float *values, *delta, *spare;
    int32_t *order;
} room;

/* scale · rows of B A, or of its transpose. */
static gemm_term term_of(const run *r, const var *first, const var *second, bool turned, real scale)
{
    mat a = matrix_of(turned ? second : first), b = matrix_of(turned ? first : second);
    if (r->x->turned != turned) {
        a.p = (real *)a.p + r->first;
        a.cols = r->rows;
        return (gemm_term){ a, b, 1, 1, scale, 0 };
    }
    b.p = (real *)b.p + r->first * b.cols;
    b.rows = r->rows;
    return (gemm_term){ b, a, 0, 0, scale, 0 };
}

/* What the trained pair adds, less what it took. */
static void make_delta(const export_plan *plan, pool *one, const run *r, const adapted *to, real scale, float *delta)
{
    gemm_term terms[2] = { term_of(r, to->a, to->b, to->turned, scale) };
    if (to->a_taken)
        terms[1] = term_of(r, to->a_taken, to->b_taken, to->turned, -scale);
    plan->c->k->gemm_sum(one, real_matrix(delta, r->rows, r->cols), terms, to->a_taken ? 2 : 1, 0);
}

/* An output's magnitude over its length. */
static real factor_of(const adapted *to, int64_t output, real scale)
{
    return ((const real *)to->magnitude->t.data)[output] /
           dora_length(to, tensor_count(&to->magnitude->t), output, scale);
}

static void scale_outputs(const run *r, const adapted *to, real scale, float *values)
{
    const int64_t side = r->x->turned ? r->cols : r->rows;
    for (int64_t i = 0; i < side; i++) {
        const real factor = factor_of(to, r->x->turned ? i : r->first + i, scale);
        for (int64_t k = 0; k < (r->x->turned ? r->rows : r->cols); k++)
            values[r->x->turned ? k * r->cols + i : i * r->cols + k] *= factor;
    }
}

static void replace_rows(const run *r, const adapted *to, float *values)
{
    for (int64_t i = 0; i < r->rows; i++) {
        const int32_t row = to->row_of[r->first + i];
        if (row >= 0)
            memcpy(values + i * r->cols, (const real *)to->rows->t.data + row * r->cols,
                   (size_t)r->cols * sizeof *values);
    }
}

static bool changes(const adapted *to, bool is_bias)
{
    return is_bias ? to->b_bias || to->magnitude : to->a || to->rows;
}

/* A bias is not scaled by a magnitude, but what adapters before it added is. */
static void change_bias(const run *r, const adapted *to, real scale, room *w)
{
    const int64_t first = r->first * r->cols, count = r->rows * r->cols;
    for (int64_t i = 0; i < count && to->b_bias; i++)
        w->values[i] += scale * ((const real *)to->b_bias->t.data)[first + i];
    for (int64_t i = 0; i < count && to->magnitude; i++)
        w->values[i] = w->delta[i] + (w->values[i] - w->delta[i]) * factor_of(to, first + i, scale);
}

static void change(const export_plan *plan, pool *one, const run *r, const folded *by, room *w)
{
    const adapted *to = &by->adapter->modules[r->x->slot];
    const real scale = (real)(by->weight * (double)to->scale);
    const int64_t count = r->rows * r->cols;
    if (r->x->is_bias) {
        change_bias(r, to, scale, w);
        return;
    }
    if (to->a) {
        make_delta(plan, one, r, to, scale, w->spare);
        for (int64_t i = 0; i < count; i++)
            w->values[i] += w->spare[i];
    }
    if (to->magnitude)
        scale_outputs(r, to, scale, w->values);
    if (to->rows)
        replace_rows(r, to, w->values);
}

/* The values as the adapters make them, one after the other; delta is what they add in all. False: none does. */
static bool change_rows(const export_plan *plan, pool *one, const run *r, room *w)
{
    const int64_t count = r->rows * r->cols;
    bool changed = false;
    for (size_t i = 0; i < plan->adapter_count; i++) {
        if (!changes(&plan->adapters[i].adapter->modules[r->x->slot], r->x->is_bias))
            continue;
        if (!changed)
            memcpy(w->delta, w->values, (size_t)count * sizeof *w->delta);
        changed = true;
        change(plan, one, r, &plan->adapters[i], w);
    }
    for (int64_t i = 0; i < count && changed; i++)
        w->delta[i] = w->values[i] - w->delta[i];
    return changed;
}

/* Rows into llama.cpp's order; a run is whole heads then. */
static void pair_rows(const export_plan *plan, pool *one, const run *r, room *w)
{
    float *paired = w->spare;
    for (int64_t i = 0; i < r->rows; i++)
        w->order[i] = (int32_t)paired_row(i, plan->m->config.head_size);
    plan->c->k->gather_rows(one, paired, w->values, w->order, r->rows, r->cols);
    w->spare = w->values;
    w->values = paired;
}

/* Rows of the transpose of what the model has: a column after the other. */
static void turn_rows(const run *r, float *values, float *spare)
{
    const tensor *t = &r->x->source.t;
    const char *from = (const char *)t->data + dtype_row_bytes(t->type, r->first);
    for (int64_t j = 0; j < r->cols; j++) {
        quant_decode(spare, from + j * dtype_row_bytes(t->type, tensor_cols(t)), t->type, r->rows);
        for (int64_t i = 0; i < r->rows; i++)
            values[i * r->cols + j] = spare[i];
    }
}

static void read_rows(const kernels *k, pool *one, const run *r, room *w)
{
    const tensor *t = &r->x->source.t;
    const char *from = (const char *)t->data + r->first * dtype_row_bytes(t->type, r->cols);
    if (r->x->source.turned != r->x->turned)
        turn_rows(r, w->values, w->spare);
    else
        k->convert(one, w->values, DT_F32, from, t->type, r->rows * r->cols);
}

static export_loss loss_of(const kernels *k, pool *one, const run *r, const room *w)
{
    const int64_t count = r->rows * r->cols;
    const double delta = k->sum_squares(one, w->delta, count);
    if (r->x->type == DT_F32) /* nothing is rounded */
        return (export_loss){ .delta = delta };
    k->convert(one, w->spare, DT_F32, r->bytes, r->x->type, count);
    for (int64_t i = 0; i < count; i++)
        w->spare[i] -= w->values[i];
    return (export_loss){ k->sum_squares(one, w->spare, count), delta };
}

static void make_run(const export_plan *plan, pool *one, run *r, room w)
{
    const kernels *k = plan->c->k;
    const piece *x = r->x;
    const int64_t count = r->rows * r->cols;
    read_rows(k, one, r, &w);
    bool changed = change_rows(plan, one, r, &w);
    if (x->paired_rows)
        pair_rows(plan, one, r, &w);
    if (x->type == DT_Q8_0)
        quant_encode_q8_0(r->bytes, w.values, count);
    else
        k->convert(one, r->bytes, x->type, w.values, DT_F32, count);
    r->loss = changed ? loss_of(k, one, r, &w) : (export_loss){ 0 };
}

/* ---- Batches of runs ---- */

typedef struct batch_of_runs {
    run runs[RUNS_MOST];
    int count;
    char *bytes;
} batch_of_runs;

typedef struct writing {
    const pieces *p;
    pool **ones; /* by thread */
    int64_t elements, rows;
    size_t bytes; /* of the largest run, and of a batch */
    size_t next_piece;
    int64_t next_row;
    batch_of_runs *now, *before;
    piece_sink sink;
    void *to;
    export_loss *loss;
    int status;
} writing;

/* Rows that cannot be parted: heads that are put in order, or a block of each row that becomes a column. */
static int64_t rows_together(const pieces *p, const piece *x)
{
    if (x->paired_rows)
        return p->plan->m->config.head_size;
    return x->source.turned != x->turned ? dtype_block(x->source.t.type) : 1;
}

/* The run of a piece that starts at a row. A vector is a column of rows when its order changes, and one row otherwise.
 */
static run run_at(const pieces *p, const piece *x, int64_t first)
{
    int64_t cols = x->ndim == 2 ? x->dim[1] : x->paired_rows ? 1 : x->dim[0], whole = rows_together(p, x);
    int64_t rows = RUN_ELEMENTS / cols, left = tensor_count(&x->source.t) / cols - first;
    rows = rows > whole ? rows - rows % whole : whole;
    rows = rows < left ? rows : left;
    return (run){
        .x = x, .first = first, .rows = rows, .cols = cols, .size = (size_t)(rows * dtype_row_bytes(x->type, cols))
    };
}

static void take_batch(writing *w)
{
    size_t used = 0;
    for (w->now->count = 0; w->next_piece < w->p->count && w->now->count < RUNS_MOST;) {
        run r = run_at(w->p, &w->p->list[w->next_piece], w->next_row);
        if (used + r.size > w->bytes)
            break;
        r.bytes = w->now->bytes + used;
        used = (size_t)round_up((int64_t)(used + r.size), ALIGNMENT);
        w->now->runs[w->now->count++] = r;
        w->next_row += r.rows;
        if (w->next_row * r.cols == tensor_count(&r.x->source.t)) {
            w->next_piece++;
            w->next_row = 0;
        }
    }
}

static void give_before(writing *w)
{
    for (int i = 0; i < w->before->count && w->status == LORAC_OK; i++) {
        const run *r = &w->before->runs[i];
        w->loss->error += r->loss.error;
        w->loss->delta += r->loss.delta;
        w->status = w->sink(w->to, r->bytes, r->size);
    }
    w->before->count = 0;
}

/* Thread 0 is the caller, whose error a failing sink leaves behind. */
static void make_one(void *arg, int64_t number, int thread)
{
    writing *w = arg;
    pool *team = w->p->plan->c->pool;
    const size_t bytes = (size_t)w->elements * sizeof(float);
    if (thread == 0)
        give_before(w);
    const room own = { pool_scratch(team, thread, 0, bytes), pool_scratch(team, thread, 1, bytes),
                       pool_scratch(team, thread, 2, bytes),
                       pool_scratch(team, thread, 3, (size_t)w->rows * sizeof *own.order) };
    if (own.values && own.delta && own.spare && own.order)
        make_run(w->p->plan, w->ones[thread], &w->now->runs[number], own);
}

static bool out_of_memory(const writing *w)
{
    bool failed = pool_failed(w->p->plan->c->pool);
    for (int i = 0; i < pool_size(w->p->plan->c->pool); i++)
        failed |= pool_failed(w->ones[i]);
    return failed;
}

static void write_all(writing *w)
{
    const export_plan *plan = w->p->plan;
    do {
        take_batch(w);
        pool_run(plan->c->pool, w->now->count, make_one, w);
        give_before(w); /* if thread 0 came too late for a run */
        if (w->status == LORAC_OK && out_of_memory(w))
            w->status = fail_memory();
        source_let_go(plan->m->source);
        batch_of_runs *made = w->now;
        w->now = w->before;
        w->before = made;
    } while (w->status == LORAC_OK && w->before->count > 0);
}

static void measure_runs(writing *w)
{
    w->bytes = BATCH_BYTES;
    for (size_t i = 0; i < w->p->count; i++) {
        run r = run_at(w->p, &w->p->list[i], 0);
        w->elements = w->elements > r.rows * r.cols ? w->elements : r.rows * r.cols;
        w->rows = w->rows > r.rows ? w->rows : r.rows;
        w->bytes = w->bytes > r.size ? w->bytes : r.size;
    }
}

int pieces_write(const pieces *p, piece_sink sink, void *to, export_loss *loss)
{
    batch_of_runs two[2] = { 0 };
    writing w = { .p = p, .now = &two[0], .before = &two[1], .sink = sink, .to = to, .loss = loss };
    int threads = pool_size(p->plan->c->pool);
    assert(p->plan->c->act == DT_F32);
    measure_runs(&w);
    two[0].bytes = mem_new(w.bytes, 1);
    two[1].bytes = mem_new(w.bytes, 1);
    w.ones = mem_new((size_t)threads, sizeof *w.ones);
    w.status = two[0].bytes && two[1].bytes && w.ones ? LORAC_OK : fail_memory();
    for (int i = 0; i < threads && w.status == LORAC_OK; i++)
        w.status = pool_new(&w.ones[i], 1);
    if (w.status == LORAC_OK)
        write_all(&w);
    for (int i = 0; i < threads && w.ones; i++)
        pool_free(w.ones[i]);
    mem_free(w.ones);
    mem_free(two[0].bytes);
    mem_free(two[1].bytes);
    return w.status;
}
