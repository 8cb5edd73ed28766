/* Attention and its derivative: packed documents, grouped heads, cached keys, masks, windows, softcap, bias. */
#include "kernel_test.h"

enum { MOST_SPANS = 6 };

typedef struct attention_case {
    attention_shape shape;
    attention_span spans[MOST_SPANS];
    int64_t n_spans, q_rows, kv_rows;
} attention_case;

static double at(const kernels *k, const void *p, int64_t row, int64_t heads, int64_t head, int64_t D, int64_t d)
{
    return number(p, k->act, (row * heads + head) * D + d);
}

/* Score before and after softcap and bias; -infinity where masked. */
static double score(const kernels *k, const attention_case *t, attention_span s, int64_t h, int64_t i, int64_t j,
                    const void *q, const void *kk, double *capped)
{
    const attention_shape *a = &t->shape;
    const int64_t position = s.n_kv - s.n_q + i, g = h / (a->heads / a->kv_heads);
    double sum = 0;
    for (int64_t d = 0; d < a->head_size; d++)
        sum += at(k, q, s.q + i, a->heads, h, a->head_size, d) * at(k, kk, s.kv + j, a->kv_heads, g, a->head_size, d);
    sum *= a->scale;
    *capped = 0;
    if (a->softcap != 0) {
        *capped = tanh(sum / a->softcap);
        sum = a->softcap * *capped;
    }
    if (a->bias)
        sum += a->bias[(h * s.n_q + i) * s.n_kv + j];
    if ((a->causal && j > position) || (a->window > 0 && j <= position - a->window))
        return -INFINITY;
    return sum;
}

typedef struct reference {
    double *out, *lse, *dq, *dk, *dv;
    double *out_size, *dq_size, *dk_size, *dv_size; /* sums of the absolute values of all terms, where terms cancel */
} reference;

static void add_reference(const kernels *k, const attention_case *t, attention_span s, int64_t h, const void *q,
                          const void *kk, const void *v, const void *dout, const void *out, reference *r)
{
    const attention_shape *a = &t->shape;
    const int64_t D = a->head_size, g = h / (a->heads / a->kv_heads);
    double *p = malloc((size_t)s.n_kv * sizeof *p), *capped = malloc((size_t)s.n_kv * sizeof *capped);
    assert_non_null(p);
    assert_non_null(capped);
    for (int64_t i = 0; i < s.n_q; i++) {
        const int64_t row = (s.q + i) * a->heads + h;
        double largest = -INFINITY, total = 0, delta = 0, delta_size = 0;
        for (int64_t j = 0; j < s.n_kv; j++) {
            p[j] = score(k, t, s, h, i, j, q, kk, &capped[j]);
            largest = fmax(largest, p[j]);
        }
        for (int64_t j = 0; j < s.n_kv; j++)
            total += p[j] = exp(p[j] - largest);
        r->lse[row] = largest + log(total);
        for (int64_t d = 0; d < D; d++) {
            const double term = at(k, dout, s.q + i, a->heads, h, D, d) * at(k, out, s.q + i, a->heads, h, D, d);
            delta += term;
            delta_size += fabs(term);
        }
        for (int64_t j = 0; j < s.n_kv; j++) {
            double dp = 0, dp_size = 0;
            p[j] /= total;
            for (int64_t d = 0; d < D; d++) {
                const double vd = at(k, v, s.kv + j, a->kv_heads, g, D, d),
                             od = at(k, dout, s.q + i, a->heads, h, D, d);
                r->out[row * D + d] += p[j] * vd;
                r->out_size[row * D + d] += fabs(p[j] * vd);
                r->dv[((s.kv + j) * a->kv_heads + g) * D + d] += p[j] * od;
                r->dv_size[((s.kv + j) * a->kv_heads + g) * D + d] += fabs(p[j] * od);
                dp += vd * od;
                dp_size += fabs(vd * od);
            }
            const double ds = p[j] * (dp - delta) * a->scale * (a->softcap != 0 ? 1 - capped[j] * capped[j] : 1);
            const double size = p[j] * (dp_size + delta_size) * a->scale;
            for (int64_t d = 0; d < D; d++) {
                const double kd = at(k, kk, s.kv + j, a->kv_heads, g, D, d), qd = at(k, q, s.q + i, a->heads, h, D, d);
                const int64_t kv = ((s.kv + j) * a->kv_heads + g) * D + d;
                r->dq[row * D + d] += ds * kd;
                r->dq_size[row * D + d] += size * fabs(kd);
                r->dk[kv] += ds * qd;
                r->dk_size[kv] += size * fabs(qd);
            }
        }
    }
    free(p);
    free(capped);
}

static double *zeros(int64_t n)
{
    double *p = calloc((size_t)n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* Probabilities and their gradients are rounded to the stored type on the way; the scores that they are the
 * exponentials of carry the error of a sum. */
static void compare(const kernels *k, output *o, const double *want, const double *size, const char *what)
{
    for (int64_t i = 0; i < o->n; i++)
        output_near(o, i, want[i], size[i] * (k->act == DT_BF16 ? 0x1p-8 : 64 * EPS), what, k);
}

static void check_attention(const kernels *k, attention_case t)
{
    const attention_shape *a = &t.shape;
    const int64_t n_q = t.q_rows * a->heads * a->head_size, n_kv = t.kv_rows * a->kv_heads * a->head_size;
    void *q = random_numbers(k->act, n_q), *kk = random_numbers(k->act, n_kv), *v = random_numbers(k->act, n_kv);
    void *dout = random_numbers(k->act, n_q);
    output out = output_new(k->act, n_q), lse = output_new(DT_REAL, t.q_rows * a->heads);
    output dq = output_new(k->act, n_q), dk = output_new(k->act, n_kv), dv = output_new(k->act, n_kv);
    memset(out.before, 0, out.bytes);
    memset(lse.before, 0, lse.bytes);
    memset(dq.before, 0, dq.bytes);
    memset(dk.before, 0, dk.bytes);
    memset(dv.before, 0, dv.bytes);
    for (int threads = 1; threads <= THREADS; threads++) {
        void *o = output_start(&out);
        real *l = output_start(&lse);
        k->attention(teams[threads], o, l, q, kk, v, t.spans, t.n_spans, a);
        k->attention_back(teams[threads], output_start(&dq), output_start(&dk), output_start(&dv), dout, o, l, q, kk, v,
                          t.spans, t.n_spans, a);
        output_end(&lse, threads);
        output_end(&dq, threads);
        output_end(&dk, threads);
        output_end(&dv, threads);
        output_end(&out, threads);
        k->attention(teams[threads], output_start(&out), NULL, q, kk, v, t.spans, t.n_spans, a);
        output_end(&out, threads + 1);
    }
    reference r = { zeros(n_q), zeros(lse.n), zeros(n_q),  zeros(n_kv), zeros(n_kv),
                    zeros(n_q), zeros(n_q),   zeros(n_kv), zeros(n_kv) };
    for (int64_t s = 0; s < t.n_spans; s++)
        for (int64_t h = 0; h < a->heads; h++)
            add_reference(k, &t, t.spans[s], h, q, kk, v, dout, out.first, &r);
    compare(k, &out, r.out, r.out_size, "attention");
    compare(k, &dq, r.dq, r.dq_size, "attention_back dq");
    compare(k, &dk, r.dk, r.dk_size, "attention_back dk");
    compare(k, &dv, r.dv, r.dv_size, "attention_back dv");
    for (int64_t i = 0; i < lse.n; i++)
        output_near(&lse, i, r.lse[i], (fabs(r.lse[i]) + 8) * 8 * EPS, "attention lse", k);
    free(r.out);
    free(r.lse);
    free(r.dq);
    free(r.dk);
    free(r.dv);
    free(r.out_size);
    free(r.dv_size);
    free(r.dq_size);
    free(r.dk_size);
    free(q);
    free(kk);
    free(v);
    free(dout);
    output_free(&out);
    output_free(&lse);
    output_free(&dq);
    output_free(&dk);
    output_free(&dv);
}

static attention_case new_case(int64_t heads, int64_t kv_heads, int64_t D)
{
    attention_case t = { .shape = { heads, kv_heads, D, (real)(1 / sqrt((double)D)), 0, 0, 1, NULL } };
    return t;
}

/* Between spans there may be rows of nobody, which stay as they are. */
static void add_span(attention_case *t, int64_t n_q, int64_t n_kv)
{
    const int64_t gap_q = pick(0, 2), gap_kv = pick(0, 2);
    t->spans[t->n_spans++] = (attention_span){ t->q_rows + gap_q, n_q, t->kv_rows + gap_kv, n_kv };
    t->q_rows += gap_q + n_q;
    t->kv_rows += gap_kv + n_kv;
}

static void documents(const kernels *k)
{
    attention_case t = new_case(6, 2, 16);
    add_span(&t, 1, 1);
    add_span(&t, 37, 37);
    add_span(&t, 70, 70);
    add_span(&t, 9, 9);
    check_attention(k, t);
}

/* Across blocks of keys and pieces of queries. */
static void long_document(const kernels *k)
{
    attention_case t = new_case(2, 1, 24);
    add_span(&t, 421, 421);
    check_attention(k, t);
}

static void cached_keys(const kernels *k)
{
    attention_case t = new_case(4, 4, 7);
    add_span(&t, 1, 300);
    add_span(&t, 3, 50);
    add_span(&t, 20, 201);
    add_span(&t, 1, 1);
    check_attention(k, t);
}

/* As in generation, where heads are usually whole vectors wide. */
static void one_query(const kernels *k)
{
    static const int64_t widths[] = { 16, 32, 64, 80, 128, 24 };
    for (int64_t group = 1; group <= 6; group++) {
        attention_case t = new_case(2 * group, 2, widths[group - 1]);
        t.shape.window = group == 4 ? 200 : 0;
        t.shape.softcap = group == 5 ? 3 : 0;
        t.shape.causal = group != 6;
        for (int64_t keys = 1; keys < 700; keys = keys * 5 - 2 * (keys > 1))
            add_span(&t, 1, keys);
        add_span(&t, 1, 192);
        check_attention(k, t);
    }
}

static void window(const kernels *k)
{
    for (int64_t width = 1; width < 300; width = width * 3 + 2) {
        attention_case t = new_case(2, 2, 8);
        t.shape.window = width;
        add_span(&t, 230, 230);
        add_span(&t, 5, 260);
        check_attention(k, t);
    }
}

static void both_directions(const kernels *k)
{
    attention_case t = new_case(3, 1, 64);
    t.shape.causal = 0;
    add_span(&t, 33, 33);
    add_span(&t, 65, 65);
    add_span(&t, 3, 200);
    check_attention(k, t);
}

static void softcap(const kernels *k)
{
    attention_case t = new_case(2, 1, 32);
    t.shape.softcap = 1.5f;
    add_span(&t, 60, 60);
    add_span(&t, 17, 100);
    check_attention(k, t);
}

/* With keys that the bias forbids, softcap or not. */
static void bias(const kernels *k)
{
    for (int capped = 0; capped < 2; capped++)
        for (int causal = 0; causal < 2; causal++) {
            attention_case t = new_case(2, 2, 12);
            add_span(&t, 50, 210);
            t.shape.causal = causal;
            t.shape.softcap = capped ? 2 : 0;
            const int64_t n = 2 * 50 * 210;
            real *b = random_numbers(DT_REAL, n);
            for (int64_t i = 0; i < n; i++)
                b[i] = i % 11 == 3 && i % 210 != 0 ? -(real)INFINITY : b[i];
            t.shape.bias = b;
            check_attention(k, t);
            free(b);
        }
}

static void random_shapes(const kernels *k)
{
    for (int round = 0; round < 10; round++) {
        const int64_t kv_heads = pick(1, 3);
        attention_case t = new_case(kv_heads * pick(1, 3), kv_heads, pick(1, 70));
        const int64_t n_spans = pick(1, MOST_SPANS);
        t.shape.causal = (int)pick(0, 1);
        t.shape.window = pick(0, 3) ? 0 : pick(1, 40);
        t.shape.softcap = pick(0, 3) ? 0 : 3;
        for (int64_t s = 0; s < n_spans; s++) {
            const int64_t n_q = pick(1, 30);
            add_span(&t, n_q, n_q + (pick(0, 1) ? pick(0, 40) : 0));
        }
        check_attention(k, t);
    }
}

#define TEST(kind)                        \
    static void test_##kind(void **state) \
    {                                     \
        (void)state;                      \
        with_all_tables(kind);            \
    }

TEST(documents)
TEST(long_document)
TEST(cached_keys)
TEST(one_query)
TEST(window)
TEST(both_directions)
TEST(softcap)
TEST(bias)
TEST(random_shapes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents), cmocka_unit_test(test_long_document),   cmocka_unit_test(test_cached_keys),
        cmocka_unit_test(test_window),    cmocka_unit_test(test_both_directions), cmocka_unit_test(test_softcap),
        cmocka_unit_test(test_bias),      cmocka_unit_test(test_random_shapes),   cmocka_unit_test(test_one_query),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
