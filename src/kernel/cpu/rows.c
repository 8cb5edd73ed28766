/* rows.c: kernels that move, shift or scale whole rows: bias, embedding, factors of columns, gather, scatter. */
#include "level.h"

typedef struct bias_job {
    act *y;
    const real *bias;
    int64_t C;
} bias_job;

static void bias_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const bias_job *j = arg;
    (void)thread;
    for (int64_t t = from; t < to; t++) {
        act *y = j->y + t * j->C;
        SIMD
        for (int64_t c = 0; c < j->C; c++)
            y[c] = narrow(widen(y[c]) + j->bias[c]);
    }
}

void NAME(bias)(pool *p, void *y, const real *bias, int64_t T, int64_t C)
{
    bias_job job = { y, bias, C };
    split_rows(p, T, C, bias_rows, &job);
}

enum { SUM_COLUMNS = 128, SUM_ROWS = 64 };

typedef struct bias_back_job {
    real *dbias;
    const act *dy;
    int64_t T, C;
} bias_back_job;

/* Columns are summed in blocks of rows, the blocks then in order: shorter chains of additions than row by row. */
static void bias_columns(void *arg, int64_t piece, int thread)
{
    const bias_back_job *j = arg;
    (void)thread;
    const int64_t from = piece * SUM_COLUMNS, n = smaller(j->C - from, SUM_COLUMNS);
    for (int64_t block = 0; block < j->T; block += SUM_ROWS) {
        real sum[SUM_COLUMNS] = { 0 };
        for (int64_t t = block; t < smaller(j->T, block + SUM_ROWS); t++) {
            const act *dy = j->dy + t * j->C + from;
            SIMD
            for (int64_t c = 0; c < n; c++)
                sum[c] += widen(dy[c]);
        }
        for (int64_t c = 0; c < n; c++)
            j->dbias[from + c] += sum[c];
    }
}

void NAME(bias_back)(pool *p, real *dbias, const void *dy, int64_t T, int64_t C)
{
    bias_back_job job = { dbias, dy, T, C };
    pool_run(p, divide_up(C, SUM_COLUMNS), bias_columns, &job);
}

typedef struct embed_job {
    grad y;
    mat table;
    int transposed;
    const int32_t *ids;
    real alpha;
} embed_job;

/* n elements from c of what belongs to an id. */
static void look_up(const embed_job *j, real *out, int64_t id, int64_t c, int64_t n)
{
    if (!j->transposed) {
        decode(out, j->table, id, c, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        decode(&out[i], j->table, c + i, id, 1);
}

static void embed_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    enum { CHUNK = 256 };
    const embed_job *j = arg;
    (void)thread;
    const int64_t C = j->transposed ? j->table.rows : j->table.cols;
    for (int64_t t = from; t < to; t++) {
        assert(j->ids[t] < (j->transposed ? j->table.cols : j->table.rows));
        for (int64_t c = 0; c < C; c += CHUNK) {
            real chunk[CHUNK] = { 0 };
            const int64_t n = smaller(C - c, CHUNK);
            if (j->ids[t] >= 0)
                look_up(j, chunk, j->ids[t], c, n);
            for (int64_t i = 0; i < n; i++)
                add_to(j->y, t * C + c + i, j->alpha * chunk[i]);
        }
    }
}

void NAME(embed)(pool *p, grad y, mat table, int transposed, const int32_t *ids, int64_t T, real alpha)
{
    embed_job job = { y, table, transposed, ids, alpha };
    split_rows(p, T, transposed ? table.rows : table.cols, embed_rows, &job);
}

typedef struct embed_back_job {
    mat dtable;
    int transposed;
    const act *dy;
    const int32_t *ids;
    int64_t T, C;
    real alpha;
    int32_t skip;
} embed_back_job;

enum { TABLE_COLUMNS = 64 };

/* Several t may name the same row, so a piece is a range of columns, which goes through all t in order. */
static void embed_back_piece(void *arg, int64_t piece, int thread)
{
    const embed_back_job *j = arg;
    (void)thread;
    const int64_t from = piece * TABLE_COLUMNS, n = smaller(j->C - from, TABLE_COLUMNS);
    const int64_t row_step = j->transposed ? 1 : j->dtable.ld, step = j->transposed ? j->dtable.ld : 1;
    for (int64_t t = 0; t < j->T; t++) {
        const int32_t id = j->ids[t];
        const act *dy = j->dy + t * j->C + from;
        real *to = (real *)j->dtable.p + id * row_step + from * step;
        for (int64_t c = 0; c < n && id >= 0 && id != j->skip; c++)
            to[c * step] += j->alpha * widen(dy[c]);
    }
}

void NAME(embed_back)(pool *p, mat dtable, int transposed, const void *dy, const int32_t *ids, int64_t T, real alpha,
                      int32_t skip)
{
    if (!dtable.p)
        return;
    embed_back_job job = { dtable, transposed, dy, ids, T, transposed ? dtable.rows : dtable.cols, alpha, skip };
    pool_run(p, divide_up(job.C, TABLE_COLUMNS), embed_back_piece, &job);
}

/* ---- Columns with factors of their own; of logits too, which are real whatever act is */

INLINE real element(const void *row, dtype type, int64_t c)
{
    return type == DT_REAL ? ((const real *)row)[c] : widen(((const act *)row)[c]);
}

static const void *row_at(mat m, int64_t t)
{
    return (const char *)m.p + t * m.ld * dtype_block_bytes(m.type);
}

typedef struct columns_job {
    mat y, x;
    const real *g;
    real *sum;
    int add;
} columns_job;

INLINE void scale_row(const columns_job *j, int64_t t, dtype type)
{
    const void *x = row_at(j->x, t);
    void *y = (void *)(uintptr_t)row_at(j->y, t);
    for (int64_t c = 0; c < j->x.cols; c++) {
        const real scaled = j->g[c] * element(x, type, c), sum = j->add ? element(y, type, c) + scaled : scaled;
        if (type == DT_REAL)
            ((real *)y)[c] = sum;
        else
            ((act *)y)[c] = narrow(sum);
    }
}

static void scale_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const columns_job *j = arg;
    (void)thread;
    for (int64_t t = from; t < to; t++)
        if (j->x.type == DT_REAL)
            scale_row(j, t, DT_REAL);
        else
            scale_row(j, t, ACT_TYPE);
}

void NAME(scale_columns)(pool *p, mat y, mat x, const real *g, int add)
{
    columns_job job = { .y = y, .x = x, .g = g, .add = add };
    assert(x.type == y.type && x.rows == y.rows && x.cols == y.cols);
    split_rows(p, x.rows, x.cols, scale_rows, &job);
}

INLINE void dot_piece(const columns_job *j, int64_t from, int64_t n, dtype type)
{
    for (int64_t block = 0; block < j->x.rows; block += SUM_ROWS) {
        real sum[SUM_COLUMNS] = { 0 };
        for (int64_t t = block; t < smaller(j->x.rows, block + SUM_ROWS); t++) {
            const void *x = row_at(j->x, t), *y = row_at(j->y, t);
            SIMD
            for (int64_t c = 0; c < n; c++)
                sum[c] += element(x, type, from + c) * element(y, type, from + c);
        }
        for (int64_t c = 0; c < n; c++)
            j->sum[from + c] += j->g[from + c] * sum[c];
    }
}

static void dot_range(void *arg, int64_t piece, int thread)
{
    const columns_job *j = arg;
    (void)thread;
    const int64_t from = piece * SUM_COLUMNS, n = smaller(j->x.cols - from, SUM_COLUMNS);
    if (j->x.type == DT_REAL)
        dot_piece(j, from, n, DT_REAL);
    else
        dot_piece(j, from, n, ACT_TYPE);
}

void NAME(dot_columns)(pool *p, real *sum, const real *g, mat x, mat y)
{
    columns_job job = { .y = y, .x = x, .g = g, .sum = sum };
    assert(x.type == y.type && x.rows == y.rows && x.cols == y.cols);
    pool_run(p, divide_up(x.cols, SUM_COLUMNS), dot_range, &job);
}

typedef struct move_job {
    grad y;
    const act *x;
    const int32_t *row;
    int64_t C;
} move_job;

static void gather(const void *arg, int64_t from, int64_t to, int thread)
{
    const move_job *j = arg;
    (void)thread;
    for (int64_t i = from; i < to; i++)
        memcpy((act *)j->y.p + i * j->C, j->x + j->row[i] * j->C, (size_t)j->C * sizeof(act));
}

void NAME(gather_rows)(pool *p, void *y, const void *x, const int32_t *row, int64_t N, int64_t C)
{
    move_job job = { { y, 0 }, x, row, C };
    split_rows(p, N, C, gather, &job);
}

typedef struct scatter_job {
    move_job move;
    int64_t N, columns; /* of a piece */
} scatter_job;

enum { SCATTER_LEAST = 128, SCATTER_ELEMENTS = 16384 };

/* Several i may name the same row, so a piece is a range of columns, which goes through all i in order. */
static void scatter_piece(void *arg, int64_t piece, int thread)
{
    const scatter_job *j = arg;
    (void)thread;
    const int64_t C = j->move.C, from = piece * j->columns, n = smaller(C - from, j->columns);
    for (int64_t i = 0; i < j->N; i++) {
        const act *x = j->move.x + i * C + from;
        act *y = (act *)j->move.y.p + j->move.row[i] * C + from;
        if (!j->move.y.add) {
            memcpy(y, x, (size_t)n * sizeof(act));
            continue;
        }
        for (int64_t c = 0; c < n; c++)
            y[c] = narrow(widen(y[c]) + widen(x[c]));
    }
}

void NAME(scatter_rows)(pool *p, grad y, const void *x, const int32_t *row, int64_t N, int64_t C)
{
    if (!y.p)
        return;
    const int64_t few_rows = N > 0 ? SCATTER_ELEMENTS / N : SCATTER_ELEMENTS;
    scatter_job job = { { y, x, row, C }, N, few_rows < SCATTER_LEAST ? SCATTER_LEAST : round_up(few_rows, 64) };
    pool_run(p, divide_up(C, job.columns), scatter_piece, &job);
}
