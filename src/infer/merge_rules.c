/* merge_rules.c: see merge_rules.h. Rows are made one at a time, of every input, and merged. What magnitude pruning
 * keeps is known before: the smallest magnitude that stays, and how many of those that equal it, first come first kept.
 * Sources: TIES (Yadav et al. 2023), DARE (Yu et al. 2023), PEFT 0.21 utils/merge_utils.py. */
#include "merge_rules.h"

#include "err.h"
#include "mem.h"

#include <math.h>
#include <string.h>

typedef struct merging {
    merge_input *inputs;
    size_t count;
    int64_t cols;
    const merge_rule *rule;
    double *threshold; /* per input: larger magnitudes stay ... */
    int64_t *equals;   /* ... and so many more that equal it */
    double *row;       /* of every input, [count, cols] */
} merging;

static void make_row(const merge_input *x, int64_t r, int64_t cols, double *out)
{
    if (!x->left) {
        for (int64_t c = 0; c < cols; c++)
            out[c] = x->scale * x->right[r * cols + c];
        return;
    }
    memset(out, 0, (size_t)cols * sizeof *out);
    for (int64_t i = 0; i < x->inner; i++) {
        const double factor = x->scale * x->left[r * x->inner + i], *from = x->right + i * cols;
        for (int64_t c = 0; c < cols; c++)
            out[c] += factor * from[c];
    }
}

/* ---- What magnitude pruning keeps */

static uint64_t magnitude_bits(double x)
{
    uint64_t bits;

    x = fabs(x); /* magnitudes are ordered as their bits are */
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The k-th largest magnitude, by its digits from the first on: linear in n whatever the numbers are. *equals: how many
 * of the k have exactly this magnitude. */
static double kth_magnitude(const double *x, int64_t n, int64_t k, int64_t *equals)
{
    enum { DIGIT = 8, DIGITS = 1 << DIGIT };
    uint64_t prefix = 0;

    for (int shift = 64 - DIGIT; shift >= 0; shift -= DIGIT) {
        int64_t counts[DIGITS] = { 0 };
        int digit = DIGITS - 1;

        for (int64_t i = 0; i < n; i++) {
            const uint64_t bits = magnitude_bits(x[i]);
            if (shift + DIGIT == 64 || bits >> (shift + DIGIT) == prefix)
                counts[bits >> shift & (DIGITS - 1)]++;
        }
        for (; counts[digit] < k; digit--)
            k -= counts[digit];
        prefix = prefix << DIGIT | (uint64_t)digit;
    }
    *equals = k;
    double magnitude;
    memcpy(&magnitude, &prefix, sizeof magnitude);
    return magnitude;
}

/* `whole` is room for one input as a whole. */
static void find_thresholds(merging *m, int64_t rows, double *whole)
{
    const int64_t n = rows * m->cols, kept = (int64_t)(m->rule->density * (double)n);

    for (size_t i = 0; i < m->count; i++) {
        m->threshold[i] = INFINITY;
        if (kept == 0)
            continue;
        for (int64_t r = 0; r < rows; r++)
            make_row(&m->inputs[i], r, m->cols, whole + r * m->cols);
        m->threshold[i] = kth_magnitude(whole, n, kept, &m->equals[i]);
    }
}

/* ---- A row */

static void prune_row(merging *m, size_t i, double *row)
{
    const double density = m->rule->density;

    if (m->rule->prune == PRUNE_RANDOM && density < 1)
        for (int64_t c = 0; c < m->cols; c++)
            row[c] = rng_uniform(&m->inputs[i].dice) < density ? row[c] / density : 0;
    if (m->rule->prune == PRUNE_MAGNITUDE && density < 1)
        for (int64_t c = 0; c < m->cols; c++) {
            const double magnitude = fabs(row[c]);
            const bool stays = magnitude > m->threshold[i] || (magnitude == m->threshold[i] && m->equals[i]-- > 0);
            row[c] = stays ? row[c] : 0;
        }
}

static double sign_of(double x)
{
    return (double)(x > 0) - (double)(x < 0);
}

/* The mean of what has the elected sign. Nobody elects a zero, and a tie elects plus. */
static double elected_mean(const merging *m, int64_t c)
{
    double votes = 0, sum = 0;
    int64_t agreeing = 0;

    for (size_t i = 0; i < m->count; i++) {
        const double x = m->row[(int64_t)i * m->cols + c];
        votes += m->rule->by_frequency ? sign_of(x) : x;
    }
    const double elected = votes >= 0 ? 1 : -1;
    for (size_t i = 0; i < m->count; i++) {
        const double x = m->row[(int64_t)i * m->cols + c];
        if (sign_of(x) != elected)
            continue;
        sum += m->inputs[i].weight * x;
        agreeing++;
    }
    return agreeing > 0 ? sum / (double)agreeing : 0;
}

static double weighted_sum(const merging *m, int64_t c)
{
    double sum = 0;

    for (size_t i = 0; i < m->count; i++)
        sum += m->inputs[i].weight * m->row[(int64_t)i * m->cols + c];
    return sum;
}

int merge_matrices(double *out, merge_input *inputs, size_t count, int64_t rows, int64_t cols, const merge_rule *rule)
{
    merging m = { .inputs = inputs, .count = count, .cols = cols, .rule = rule };
    int status = LORAC_OK;

    m.threshold = mem_new(count, sizeof *m.threshold);
    m.equals = mem_new(count, sizeof *m.equals);
    m.row = mem_new(count * (size_t)cols, sizeof *m.row);
    if (!m.threshold || !m.equals || !m.row) {
        status = fail_memory();
        rows = 0;
    }
    if (rule->prune == PRUNE_MAGNITUDE && rule->density < 1 && rows > 0)
        find_thresholds(&m, rows, out);
    for (int64_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < count; i++) {
            double *row = m.row + (int64_t)i * cols;
            make_row(&inputs[i], r, cols, row);
            prune_row(&m, i, row);
        }
        for (int64_t c = 0; c < cols; c++)
            out[r * cols + c] = rule->elect ? elected_mean(&m, c) : weighted_sum(&m, c);
    }
    mem_free(m.threshold);
    mem_free(m.equals);
    mem_free(m.row);
    return status;
}
