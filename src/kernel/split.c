/* split.c: see split.h. A piece is about 16 K elements: long enough to hide the hand-over, short enough to balance. */
#include "split.h"

enum { PIECE_ELEMENTS = 16384 };

typedef struct split {
    int64_t count, per_piece;
    split_work *work;
    const void *job;
} split;

static void run_piece(void *arg, int64_t piece, int thread)
{
    const split *s = arg;
    int64_t from = piece * s->per_piece;
    s->work(s->job, from, smaller(s->count, from + s->per_piece), thread);
}

void split_rows(pool *p, int64_t rows, int64_t cost, split_work *work, const void *job)
{
    if (rows <= 0)
        return;
    int64_t per_piece = cost >= PIECE_ELEMENTS ? 1 : PIECE_ELEMENTS / (cost > 0 ? cost : 1);
    split s = { rows, per_piece, work, job };
    pool_run(p, divide_up(rows, per_piece), run_piece, &s);
}

void split_elements(pool *p, int64_t N, split_work *work, const void *job)
{
    split_rows(p, N, 1, work, job);
}
