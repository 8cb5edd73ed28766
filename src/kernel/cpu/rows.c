/* rows.c: kernels that move or shift whole rows: bias, embedding, gather, scatter. */
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
    act *y;
    mat table;
    const int32_t *ids;
} embed_job;

static void embed_rows(const void *arg, int64_t from, int64_t to, int thread)
{
    const embed_job *j = arg;
    (void)thread;
    const int64_t C = j->table.cols;
    for (int64_t t = from; t < to; t++) {
        act *y = j->y + t * C;
        assert(j->ids[t] >= 0 && j->ids[t] < j->table.rows);
        for (int64_t c = 0; c < C; c += 256) {
            real chunk[256];
            const int64_t n = smaller(C - c, 256);
            decode(chunk, j->table, j->ids[t], c, n);
            for (int64_t i = 0; i < n; i++)
                y[c + i] = narrow(chunk[i]);
        }
    }
}

void NAME(embed)(pool *p, void *y, mat table, const int32_t *ids, int64_t T)
{
    embed_job job = { y, table, ids };
    split_rows(p, T, table.cols, embed_rows, &job);
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
