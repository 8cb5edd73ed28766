/* split.h: cuts loops into pieces for the pool. The pieces depend on the loop's shape alone, never on the number
 * of threads, so that neither do the results. */
#ifndef LORAC_SPLIT_H
#define LORAC_SPLIT_H

#include "pool.h"

/* Handles from..to-1 of what was split. */
typedef void split_work(const void *job, int64_t from, int64_t to, int thread);

/* N independent elements in pieces of a fixed size, a multiple of 64. */
void split_elements(pool *p, int64_t N, split_work *work, const void *job);
/* `rows` rows that cost about `cost` elements each. */
void split_rows(pool *p, int64_t rows, int64_t cost, split_work *work, const void *job);

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t round_up(int64_t a, int64_t b)
{
    return divide_up(a, b) * b;
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
