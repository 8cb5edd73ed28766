/* gemv.c: a few rows of a times the rows of a large b, as in generation: every weight is read once and decoded in
 * registers (dots.h). Nothing is rounded to the compute type, except for weights that meet activations in bf16 where
 * the processor multiplies pairs of those; b in real, as adapters are, stays real there too. */
#include "dots.h"
#include "gemm.h"

_Static_assert((int)TOGETHER_MOST == (int)GEMV_ROWS, "all rows of a are taken together");

/* Rows of b whose sums are added up at once: one after the other, each would wait for itself. */
enum {
    GROUP = 16,
    STEP = 2048,
    FETCH_MOST = 128 << 10,
    REST_AHEAD = 4096,
    PIECE_LEAST = 32768, /* weights */
    PIECES_OF_THREAD = 4
};

/* A term as dots takes it. Its a: rows rounded up to 1, 2, 4 or 8, and filled up with zeros to whole blocks, and to one
 * more: rows a power of two apart would share their places in the cache. */
typedef struct part {
    const gemm_term *term;
    const char *numbers;
    int64_t stride, row_bytes; /* of the numbers, in them; of b */
    int together, taken;       /* rows of numbers, and of b, at a time */
    bool cells;                /* what the numbers are: cells, not real */
} part;

typedef struct gemv_job {
    mat c;
    const part *parts;
    int n_parts;
    real beta;
    int64_t groups_of_piece;
} gemv_job;

static part part_of(const gemm_term *t)
{
    part p = { .term = t, .together = 1, .stride = round_up(t->a.cols, 32) + 32 };
    while (p.together < t->a.rows)
        p.together *= 2;
    p.taken = rows_with(p.together);
    p.row_bytes = dtype_row_bytes(t->b.type, t->b.ld);
#if defined(DOT_BF16)
    p.cells = t->a.type == ACT_TYPE && t->b.type != DT_REAL && t->alpha == 1;
#endif
    return p;
}

static size_t number_bytes(const part *p)
{
    return (size_t)(p->together * p->stride) * (p->cells ? sizeof(cell) : sizeof(real));
}

static void fill_cells(cell *out, const part *p)
{
    const mat a = p->term->a;
    for (int64_t m = 0; m < a.rows; m++) {
        cell *row = out + m * p->stride;
        memcpy(row, (const char *)a.p + (size_t)(m * a.ld) * sizeof(cell), (size_t)a.cols * sizeof(cell));
        memset(row + a.cols, 0, (size_t)(p->stride - a.cols) * sizeof(cell));
    }
    memset(out + a.rows * p->stride, 0, (size_t)((p->together - a.rows) * p->stride) * sizeof(cell));
#if defined(DOT_BF16)
    if (p->term->b.type == DT_Q4_0 || p->term->b.type == DT_Q4_1)
        pair_order(out, p->together * p->stride);
#endif
}

static void fill_numbers(real *out, const part *p)
{
    out = fill_reals(out, p->term, p->stride);
    memset(out, 0, (size_t)((p->together - p->term->a.rows) * p->stride) * sizeof *out);
}

#if defined(DOT_BF16)
#define FORM(name, bytes) ((block_form){ bytes, decode_##name, cells_of_##name })
#else
#define FORM(name, bytes) ((block_form){ bytes, decode_##name })
#endif

/* False for a type that is not read block by block. */
static bool dots_of_type(const dots_job *j, dtype type, int together)
{
    switch (type) {
    case DT_REAL:
        dots_together(j, together, FORM(reals, 32 * sizeof(real)));
        return true;
#if !defined(ACT_F64)
    case DT_BF16:
        dots_together(j, together, FORM(bf16, 64));
        return true;
#endif
    case DT_Q8_0:
        dots_together(j, together, FORM(q8_0, 34));
        return true;
    case DT_Q4_0:
        dots_together(j, together, FORM(q4_0, 18));
        return true;
    case DT_Q4_1:
        dots_together(j, together, FORM(q4_1, 20));
        return true;
    default:
        return false;
    }
}

/* With real numbers. Where there are cells too, that is what adapters need. */
static bool dots_of_reals(const dots_job *j, dtype type, int together)
{
#if defined(DOT_BF16)
    if (type == DT_REAL)
        dots_together(j, together, (block_form){ 32 * sizeof(real), decode_reals, NULL });
    return type == DT_REAL;
#else
    return dots_of_type(j, type, together);
#endif
}

/* Decodes weights from `done` on aside, for types and ends of rows that dots does not read. */
static void add_decoded(const part *p, dots_job *j, int64_t n, int64_t rows, int64_t done)
{
    const int64_t K = p->term->a.cols;
    real room[ROWS_MOST][STEP];
    for (; done < K; done += STEP) {
        const int64_t count = smaller(STEP, K - done);
        j->blocks = divide_up(count, 32);
        j->numbers = p->numbers + (size_t)done * (p->cells ? sizeof(cell) : sizeof(real));
        for (int64_t r = 0; r < rows; r++) {
            decode(room[r], p->term->b, n + r, done, count);
            memset(room[r] + count, 0, (size_t)(j->blocks * 32 - count) * sizeof(real));
        }
        for (int r = 0; r < p->taken; r++)
            j->weights[r] = (const uint8_t *)room[smaller(r, rows - 1)];
        (p->cells ? dots_of_type : dots_of_reals)(j, DT_REAL, p->together);
    }
}

/* Rows of real numbers from `done` on, where less than a block is left of them: all that there is of an adapter's B. */
static void add_rest(const part *p, int64_t n, int64_t rows, int64_t done, sums_of_row *sums)
{
    const gemm_term *t = p->term;
    const uint8_t *b = (const uint8_t *)t->b.p + n * p->row_bytes;
    for (int64_t r = 0; r < rows; r++, b += p->row_bytes) {
        __builtin_prefetch(b + REST_AHEAD, 0, 2);
        for (int64_t k = done; k < t->a.cols; k += LANES) {
            const vec weights = read_some(b + (size_t)k * sizeof(real), t->a.cols - k);
            for (int64_t m = 0; m < t->a.rows; m++)
                sums[r][t->first + m] += weights * *(const vec *)((const real *)p->numbers + m * p->stride + k);
        }
    }
}

/* Adds a term's products with rows n.. of its b to the sums. There are `rows` of those; dots may take more, which then
 * are the last again. */
static void add_blocks(const part *p, int64_t blocks, int64_t n, int64_t rows, sums_of_row *sums)
{
    const gemm_term *t = p->term;
    dots_job j = { .blocks = blocks,
                   .numbers = p->numbers,
                   .stride = p->stride,
                   .sums = sums,
                   .first = t->first,
                   .count = t->a.rows };
    for (int r = 0; r < p->taken; r++)
        j.weights[r] = (const uint8_t *)t->b.p + (n + smaller(r, rows - 1)) * p->row_bytes;
    if (!(p->cells ? dots_of_type : dots_of_reals)(&j, t->b.type, p->together))
        add_decoded(p, &j, n, rows, 0);
    else if (blocks * 32 < t->a.cols && t->b.type != DT_REAL)
        add_decoded(p, &j, n, rows, blocks * 32);
}

static void add_part(const part *p, int64_t n, int64_t rows, sums_of_row *sums)
{
    const int64_t K = p->term->a.cols;
    const int64_t blocks = dtype_block(p->term->b.type) == 1 ? K / 32 : divide_up(K, 32);
    for (int64_t r = 0; r < rows && (blocks > 0 || p->term->b.type != DT_REAL); r += p->taken)
        add_blocks(p, blocks, n + r, smaller(p->taken, rows - r), sums + r);
    if (p->term->b.type == DT_REAL && blocks * 32 < K)
        add_rest(p, n, rows, blocks * 32, sums);
}

static void store_sums_of(const gemv_job *j, int64_t n, int64_t rows, sums_of_row *sums)
{
    for (int64_t m = 0; m < j->c.rows; m++) {
        real sum[GROUP];
        for (int r = 0; r < GROUP; r += 4)
            add_up(sum + r, sums[r][m], sums[r + 1][m], sums[r + 2][m], sums[r + 3][m]);
        store_row(j->c, j->beta, sum, m * j->c.ld + n, rows);
    }
}

/* What is as small as an adapter's factor is over before fetching ahead has begun, so it is fetched as a whole. */
static void fetch(const char *p, int64_t bytes)
{
    for (int64_t i = 0; i < smaller(bytes, FETCH_MOST); i += 64)
        __builtin_prefetch(p + i, 0, 2);
}

/* Rows of b in groups of GROUP. */
/* Every row is a sum of its own, so pieces may depend on the number of threads: few and long ones let the processor
 * fetch ahead. */
static void gemv_piece(void *arg, int64_t piece, int thread)
{
    const gemv_job *j = arg;
    const int64_t from = piece * j->groups_of_piece, to = from + j->groups_of_piece;
    (void)thread;
    for (int64_t n = from * GROUP; n < smaller(to * GROUP, j->c.cols); n += GROUP) {
        const int64_t rows = smaller(GROUP, j->c.cols - n);
        sums_of_row sums[GROUP];
        for (int r = 0; r < GROUP; r++)
            for (int64_t m = 0; m < j->c.rows; m++)
                sums[r][m] = (vec){ 0 };
        for (const part *p = j->parts; p < j->parts + j->n_parts; p++)
            add_part(p, n, rows, sums);
        store_sums_of(j, n, rows, sums);
    }
}

void NAME(gemv)(pool *team, mat c, const gemm_term *terms, int n_terms, real beta)
{
    size_t bytes = round_up((int64_t)((size_t)n_terms * sizeof(part)), 64);
    int64_t cost = 0;
    for (int i = 0; i < n_terms; i++) {
        const part p = part_of(&terms[i]);
        bytes += number_bytes(&p);
        cost += terms[i].a.cols;
    }
    part *parts = pool_scratch(team, 0, 0, bytes);
    if (!parts)
        return;
    char *numbers = (char *)parts + round_up((int64_t)((size_t)n_terms * sizeof(part)), 64);
    for (int i = 0; i < n_terms; i++) {
        parts[i] = part_of(&terms[i]);
        parts[i].numbers = numbers;
        if (parts[i].cells)
            fill_cells((cell *)numbers, &parts[i]);
        else
            fill_numbers((real *)numbers, &parts[i]);
        numbers += number_bytes(&parts[i]);
    }
    if (c.cols <= GROUP)
        fetch(parts->term->b.p, parts->row_bytes * c.cols);
    gemv_job job = { c, parts, n_terms, beta, PIECE_LEAST / (cost * GROUP + 1) }; /* + 1: no terms cost nothing */
    const int64_t groups = divide_up(c.cols, GROUP), even = divide_up(groups, PIECES_OF_THREAD * pool_size(team));
    if (job.groups_of_piece < even)
        job.groups_of_piece = even;
    pool_run(team, divide_up(groups, job.groups_of_piece), gemv_piece, &job);
}
