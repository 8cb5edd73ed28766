/* Every kernel but the matrix product and attention, against its formula. */
#include "kernel_test.h"

/* The largest relative error of our exp, tanh and erf, with room for the arithmetic around them. */
static const double FUNCTION = sizeof(real) == 8 ? 8 * 0x1p-53 : 8 * 0x1p-24;

static double act_number(const kernels *k, const void *p, int64_t i)
{
    return number(p, k->act, i);
}

static void *acts(const kernels *k, int64_t n)
{
    return random_numbers(k->act, n);
}

static const int64_t widths[] = { 1, 3, 16, 31, 64, 127, 576, 1000 };

static int64_t any_width(void)
{
    return widths[pick(0, 7)];
}

#define FOR_THREADS for (int threads = 1; threads <= THREADS; threads++)

static void bias(const kernels *k)
{
    const int64_t T = pick(1, 200), C = any_width();
    real *b = random_numbers(DT_REAL, C);
    void *dy = acts(k, T * C);
    output y = output_new(k->act, T * C), db = output_new(DT_REAL, C);
    FOR_THREADS
    {
        k->bias(teams[threads], output_start(&y), b, T, C);
        k->bias_back(teams[threads], output_start(&db), dy, T, C);
        output_end(&y, threads);
        output_end(&db, threads);
    }
    for (int64_t i = 0; i < T * C; i++)
        output_near(&y, i, number(y.before, k->act, i) + b[i % C], 0, "bias", k);
    for (int64_t c = 0; c < C; c++) {
        double sum = number(db.before, DT_REAL, c), size = fabs(sum);
        for (int64_t t = 0; t < T; t++) {
            sum += act_number(k, dy, t * C + c);
            size += fabs(act_number(k, dy, t * C + c));
        }
        output_near(&db, c, sum, size * 16 * EPS, "bias_back", k);
    }
    free(b);
    free(dy);
    output_free(&y);
    output_free(&db);
}

/* Rows of a table and, transposed, columns; written and added; some ids none. And the way back. */
static void embed(const kernels *k)
{
    static const dtype types[] = { DT_F32, DT_F16, DT_BF16, DT_Q8_0, DT_Q4_1, DT_Q6_K };
    const int transposed = (int)pick(0, 1), add = (int)pick(0, 1);
    const dtype type = transposed ? DT_F32 : types[pick(0, 5)];
    const int64_t V = 11, C = 512, T = pick(1, 90);
    const mat table = { random_numbers(type, V * C), type, transposed ? C : V, transposed ? V : C, transposed ? V : C };
    const real alpha = transposed ? (real)0.5 : 1;
    void *dy = acts(k, T * C);
    int32_t *ids = malloc((size_t)T * sizeof *ids);
    assert_non_null(ids);
    for (int64_t t = 0; t < T; t++)
        ids[t] = (int32_t)pick(-1, V - 1);
    output y = output_new(k->act, T * C), dtable = output_new(DT_REAL, V * C);
    FOR_THREADS
    {
        mat to = table;
        k->embed(teams[threads], (grad){ output_start(&y), add }, table, transposed, ids, T, alpha);
        to.p = output_start(&dtable);
        k->embed_back(teams[threads], to, transposed, dy, ids, T, alpha, 3);
        output_end(&y, threads);
        output_end(&dtable, threads);
    }
    for (int64_t i = 0; i < T * C; i++) {
        const int64_t id = ids[i / C], c = i % C;
        const double before = add ? number(y.before, k->act, i) : 0;
        const double value = id < 0 ? 0 : alpha * number(table.p, type, transposed ? c * V + id : id * C + c);
        output_near(&y, i, before + value, 2 * EPS * (fabs(before) + fabs(value)), "embed", k);
    }
    for (int64_t i = 0; i < V * C; i++) {
        const int64_t id = transposed ? i % V : i / C, c = transposed ? i / V : i % C;
        double sum = number(dtable.before, DT_REAL, i), size = fabs(sum);
        for (int64_t t = 0; t < T; t++)
            if (ids[t] == id && id != 3) {
                sum += alpha * act_number(k, dy, t * C + c);
                size += fabs(act_number(k, dy, t * C + c));
            }
        output_near(&dtable, i, sum, size * 32 * EPS, "embed_back", k);
    }
    free(table.p);
    free(dy);
    free(ids);
    output_free(&y);
    output_free(&dtable);
}

/* Factors of columns, of activations and of real numbers. */
static void columns(const kernels *k)
{
    const dtype type = pick(0, 1) ? k->act : DT_REAL;
    const int add = (int)pick(0, 1);
    const int64_t T_ = pick(1, 200), C = any_width();
    real *g = random_numbers(DT_REAL, C);
    const mat x = { random_numbers(type, T_ * C), type, T_, C, C },
              z = { random_numbers(type, T_ * C), type, T_, C, C };
    output y = output_new(type, T_ * C), sums = output_new(DT_REAL, C);
    FOR_THREADS
    {
        mat to = x;
        to.p = output_start(&y);
        k->scale_columns(teams[threads], to, x, g, add);
        k->dot_columns(teams[threads], output_start(&sums), g, x, z);
        output_end(&y, threads);
        output_end(&sums, threads);
    }
    for (int64_t i = 0; i < T_ * C; i++) {
        const double before = add ? number(y.before, type, i) : 0, value = g[i % C] * number(x.p, type, i);
        output_near(&y, i, before + value, 2 * EPS * (fabs(before) + fabs(value)), "scale_columns", k);
    }
    for (int64_t c = 0; c < C; c++) {
        double sum = number(sums.before, DT_REAL, c), size = fabs(sum);
        for (int64_t t = 0; t < T_; t++) {
            const double product = g[c] * number(x.p, type, t * C + c) * number(z.p, type, t * C + c);
            sum += product;
            size += fabs(product);
        }
        output_near(&sums, c, sum, size * 32 * EPS, "dot_columns", k);
    }
    free(g);
    free(x.p);
    free(z.p);
    output_free(&y);
    output_free(&sums);
}

/* Layer normalisation; without a mean it is RMS normalisation. */
static void norm(const kernels *k, bool centred)
{
    const int64_t T = pick(1, 150), C = any_width();
    const real epsilon = 1e-5f;
    void *x = acts(k, T * C), *dy = acts(k, T * C);
    real *w = random_numbers(DT_REAL, C), *b = random_numbers(DT_REAL, C);
    const int add = (int)pick(0, 1);
    const double sum_error = (16 + sqrt((double)C)) * EPS; /* of C terms, added in any order */
    output y = output_new(k->act, T * C), rstd = output_new(DT_REAL, T), mean = output_new(DT_REAL, T);
    output dx = output_new(k->act, T * C), dw = output_new(DT_REAL, C);
    FOR_THREADS
    {
        pool *team = teams[threads];
        real *s = output_start(&rstd), *m = output_start(&mean);
        const grad to_x = { output_start(&dx), add }, to_w = { output_start(&dw), 1 }, nowhere = { NULL, 0 };
        if (centred) {
            k->layernorm(team, output_start(&y), m, s, x, w, b, T, C, epsilon);
            k->layernorm_back(team, to_x, to_w, dy, x, w, m, s, T, C);
            k->layernorm_back(team, nowhere, nowhere, dy, x, w, m, s, T, C);
        } else {
            k->rmsnorm(team, output_start(&y), s, x, w, T, C, epsilon);
            k->rmsnorm_back(team, to_x, to_w, dy, x, w, s, T, C);
            k->rmsnorm_back(team, nowhere, nowhere, dy, x, w, s, T, C);
        }
        output_end(&y, threads);
        output_end(&rstd, threads);
        output_end(&mean, threads);
        output_end(&dx, threads);
        output_end(&dw, threads);
    }
    double *sum_w = calloc((size_t)C, sizeof *sum_w), *size_w = calloc((size_t)C, sizeof *size_w);
    assert_non_null(sum_w);
    assert_non_null(size_w);
    for (int64_t t = 0; t < T; t++) {
        double shift = 0, size = 0, squares = 0, level = 0, level_size = 0, pull = 0, pull_size = 0;
        for (int64_t c = 0; c < C && centred; c++) {
            shift += act_number(k, x, t * C + c) / (double)C;
            size += fabs(act_number(k, x, t * C + c)) / (double)C;
        }
        for (int64_t c = 0; c < C; c++)
            squares += pow(act_number(k, x, t * C + c) - shift, 2);
        const double s = 1 / sqrt(squares / (double)C + (double)epsilon);
        /* What the mean loses is lost from every z, and z is what everything else is made of. */
        const double z_error = size * sum_error;
        const double s_error = s * sum_error * (1 + s * size);
        if (centred)
            output_near(&mean, t, shift, z_error, "layernorm mean", k);
        output_near(&rstd, t, s, s_error, "norm rstd", k);
        for (int64_t c = 0; c < C; c++) {
            const double g = w[c] * act_number(k, dy, t * C + c), term = g * (act_number(k, x, t * C + c) - shift);
            level += centred ? g / (double)C : 0;
            level_size += centred ? fabs(g) / (double)C : 0;
            pull += term / (double)C;
            pull_size += fabs(term) / (double)C + fabs(g) / (double)C * size;
        }
        for (int64_t c = 0; c < C; c++) {
            const int64_t i = t * C + c;
            const double z = act_number(k, x, i) - shift, g = w[c] * act_number(k, dy, i);
            const double bias = centred ? b[c] : 0;
            output_near(&y, i, w[c] * z * s + bias,
                        fabs(w[c]) * (fabs(z) * s_error + z_error * s) + (fabs(w[c] * z * s) + fabs(bias)) * sum_error,
                        "norm", k);
            const double before = add ? act_number(k, dx.before, i) : 0;
            output_near(&dx, i, before + s * (g - level - z * pull * s * s),
                        (fabs(s * g) + s * level_size + (fabs(z) + size) * pow(s, 3) * pull_size + fabs(before)) * 2 *
                            sum_error * (1 + s * size),
                        "norm back dx", k);
            sum_w[c] += act_number(k, dy, i) * z * s;
            size_w[c] += fabs(act_number(k, dy, i)) * (fabs(z * s) + z_error * s / EPS / 32);
        }
    }
    for (int64_t c = 0; c < C; c++) {
        const double before = number(dw.before, DT_REAL, c);
        output_near(&dw, c, before + sum_w[c], (size_w[c] + fabs(before)) * 32 * EPS, "norm back dw", k);
    }
    free(sum_w);
    free(size_w);
    free(x);
    free(dy);
    free(w);
    free(b);
    output_free(&y);
    output_free(&rstd);
    output_free(&mean);
    output_free(&dx);
    output_free(&dw);
}

static void rmsnorm(const kernels *k)
{
    norm(k, false);
}

static void layernorm(const kernels *k)
{
    norm(k, true);
}

static void rope(const kernels *k)
{
    const int64_t T = pick(1, 60), H = pick(1, 5), D = 2 * pick(1, 40), half = pick(1, D / 2), R = 2 * half;
    const int back = (int)pick(0, 1), add = (int)pick(0, 1);
    int32_t *position = malloc((size_t)T * sizeof *position);
    real *frequency = malloc((size_t)half * sizeof *frequency);
    assert_non_null(position);
    assert_non_null(frequency);
    for (int64_t t = 0; t < T; t++)
        position[t] = (int32_t)pick(0, 3000);
    for (int64_t i = 0; i < half; i++)
        frequency[i] = (real)pow(10000, -(double)i / (double)half);
    void *x = acts(k, T * H * D);
    output cosine = output_new(DT_REAL, T * half), sine = output_new(DT_REAL, T * half);
    output y = output_new(k->act, T * H * D), dx = output_new(k->act, T * H * D), same = output_new(k->act, T * H * D);
    memcpy(same.before, x, same.bytes);
    FOR_THREADS
    {
        real *c = output_start(&cosine), *s = output_start(&sine);
        k->rope_angles(teams[threads], c, s, position, frequency, T, half, 1.25f);
        k->rope(teams[threads], output_start(&y), x, c, s, T, H, D, R, back);
        k->rope_back(teams[threads], (grad){ output_start(&dx), add }, x, c, s, T, H, D, R);
        void *p = output_start(&same);
        k->rope(teams[threads], p, p, c, s, T, H, D, R, back);
        output_end(&cosine, threads);
        output_end(&sine, threads);
        output_end(&y, threads);
        output_end(&dx, threads);
        output_end(&same, threads);
    }
    assert_memory_equal(y.first, same.first, y.bytes);
    for (int64_t i = 0; i < T * half; i++) {
        const double angle = (double)((real)position[i / half] * frequency[i % half]);
        output_near(&cosine, i, cos(angle) * 1.25, 4 * EPS, "rope_angles cosine", k);
        output_near(&sine, i, sin(angle) * 1.25, 4 * EPS, "rope_angles sine", k);
    }
    for (int64_t i = 0; i < T * H * D; i++) {
        const int64_t d = i % D, t = i / (H * D), pair = d < half ? i + half : i - half;
        const double before = add ? act_number(k, dx.before, i) : 0;
        if (d >= R) {
            output_near(&y, i, act_number(k, x, i), 0, "rope", k);
            output_near(&dx, i, act_number(k, x, i) + before, 0, "rope_back", k);
            continue;
        }
        const double c = number(cosine.first, DT_REAL, t * half + d % half);
        const double s = number(sine.first, DT_REAL, t * half + d % half) * (d < half ? -1 : 1);
        const double straight = act_number(k, x, i) * c, crossed = act_number(k, x, pair) * s;
        const double size = (fabs(straight) + fabs(crossed) + fabs(before)) * 3 * EPS;
        output_near(&y, i, straight + (back ? -crossed : crossed), size, "rope", k);
        output_near(&dx, i, straight - crossed + before, size, "rope_back", k);
    }
    free(position);
    free(frequency);
    free(x);
    output_free(&cosine);
    output_free(&sine);
    output_free(&y);
    output_free(&dx);
    output_free(&same);
}

static double gate_value(double x, glu_kind kind)
{
    if (kind == GLU_SILU)
        return x / (1 + exp(-x));
    if (kind == GLU_GELU)
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gate_slope(double x, glu_kind kind)
{
    if (kind == GLU_SILU)
        return (1 + exp(-x) + x * exp(-x)) / pow(1 + exp(-x), 2);
    if (kind == GLU_GELU)
        return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    const double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static void glu(const kernels *k)
{
    for (int round = 0; round < 12; round++) {
        const glu_kind kind = (glu_kind)(round % 3);
        const int64_t N = round < 3 ? 40000 : pick(1, 300);
        void *gate = acts(k, N), *up = acts(k, N), *dy = acts(k, N);
        for (int64_t i = 0; i < N; i++)
            put(gate, k->act, i, number(gate, k->act, i) * (double)pick(1, 30));
        const int add_gate = (int)pick(0, 1), add_up = (int)pick(0, 1);
        const int want_gate = round % 4 != 1, want_up = round % 4 != 2;
        output y = output_new(k->act, N), dgate = output_new(k->act, N), dup = output_new(k->act, N);
        FOR_THREADS
        {
            void *dg = output_start(&dgate), *du = output_start(&dup);
            k->glu(teams[threads], output_start(&y), gate, up, N, kind);
            k->glu_back(teams[threads], (grad){ want_gate ? dg : NULL, add_gate },
                        (grad){ want_up ? du : NULL, add_up }, dy, gate, up, N, kind);
            output_end(&y, threads);
            output_end(&dgate, threads);
            output_end(&dup, threads);
        }
        for (int64_t i = 0; i < N; i++) {
            const double x = act_number(k, gate, i), u = act_number(k, up, i), d = act_number(k, dy, i);
            const double f = gate_value(x, kind), slope = gate_slope(x, kind);
            const double f_error = (fabs(x) + 1) * FUNCTION, slope_error = (x * x * 4 + 4) * FUNCTION;
            output_near(&y, i, f * u, fabs(u) * f_error, "glu", k);
            const double g0 = act_number(k, dgate.before, i), u0 = act_number(k, dup.before, i);
            if (want_gate)
                output_near(&dgate, i, d * u * slope + (add_gate ? g0 : 0), fabs(d * u) * slope_error + fabs(g0) * EPS,
                            "glu_back gate", k);
            else
                output_near(&dgate, i, g0, 0, "glu_back gate left alone", k);
            if (want_up)
                output_near(&dup, i, d * f + (add_up ? u0 : 0), fabs(d) * f_error + fabs(u0) * EPS, "glu_back up", k);
            else
                output_near(&dup, i, u0, 0, "glu_back up left alone", k);
        }
        free(gate);
        free(up);
        free(dy);
        output_free(&y);
        output_free(&dgate);
        output_free(&dup);
    }
}

static void activation(const kernels *k)
{
    for (int round = 0; round < 9; round++) {
        const glu_kind kind = (glu_kind)(round % 3);
        const int64_t N = round < 3 ? 40000 : pick(1, 300);
        void *x = acts(k, N), *dy = acts(k, N);
        for (int64_t i = 0; i < N; i++)
            put(x, k->act, i, number(x, k->act, i) * (double)pick(1, 30));
        const int add = round / 3 % 2;
        output y = output_new(k->act, N), dx = output_new(k->act, N);
        FOR_THREADS
        {
            k->activation(teams[threads], output_start(&y), x, N, kind);
            k->activation_back(teams[threads], (grad){ output_start(&dx), add }, dy, x, N, kind);
            k->activation_back(teams[threads], (grad){ NULL, 0 }, dy, x, N, kind);
            output_end(&y, threads);
            output_end(&dx, threads);
        }
        for (int64_t i = 0; i < N; i++) {
            const double at = act_number(k, x, i), d = act_number(k, dy, i), before = act_number(k, dx.before, i);
            output_near(&y, i, gate_value(at, kind), (fabs(at) + 1) * FUNCTION, "activation", k);
            output_near(&dx, i, d * gate_slope(at, kind) + (add ? before : 0),
                        fabs(d) * (at * at * 4 + 4) * FUNCTION + fabs(before) * EPS, "activation_back", k);
        }
        free(x);
        free(dy);
        output_free(&y);
        output_free(&dx);
    }
}

/* silu(x) · 1 at the ends of the range: exact zeros, infinities and NaN as the formula has them. */
static void glu_extremes(const kernels *k)
{
    static const double inputs[] = { 0, -0.0, 1e-30, -88, -100, -110, -1e30, 88, 100, 1e30, NAN };
    enum { N = sizeof inputs / sizeof *inputs };
    output y = output_new(k->act, N);
    uint8_t gate[N * 8], up[N * 8];
    for (int i = 0; i < N; i++) {
        put(gate, k->act, i, inputs[i]);
        put(up, k->act, i, 1);
    }
    k->glu(teams[1], output_start(&y), gate, up, N, GLU_SILU);
    output_end(&y, 1);
    for (int i = 0; i < N; i++) {
        const double x = number(gate, k->act, i), want = x / (1 + exp(-x));
        output_near(&y, i, want, fabs(want) * FUNCTION * 2, "silu at an extreme", k);
    }
    output_free(&y);
}

static void elementwise(const kernels *k)
{
    const int64_t N = pick(0, 1) ? 70000 : pick(1, 100);
    void *a = acts(k, N);
    output added = output_new(k->act, N), written = output_new(k->act, N);
    FOR_THREADS
    {
        k->accumulate(teams[threads], (grad){ output_start(&added), 1 }, a, N);
        k->accumulate(teams[threads], (grad){ output_start(&written), 0 }, a, N);
        k->accumulate(teams[threads], (grad){ NULL, 0 }, a, N);
        output_end(&added, threads);
        output_end(&written, threads);
    }
    for (int64_t i = 0; i < N; i++) {
        output_near(&added, i, act_number(k, a, i) + act_number(k, added.before, i), 0, "accumulate, adding", k);
        output_near(&written, i, act_number(k, a, i), 0, "accumulate, writing", k);
    }
    free(a);
    output_free(&added);
    output_free(&written);
}

static void dropout(const kernels *k)
{
    const int64_t N = pick(0, 1) ? 50000 : pick(1, 200);
    const uint64_t seed = rng_next(&dice), site = rng_next(&dice);
    const double p = 0.3;
    void *x = acts(k, N);
    output y = output_new(k->act, N);
    FOR_THREADS
    {
        k->dropout(teams[threads], output_start(&y), x, N, (real)p, seed, site);
        output_end(&y, threads);
    }
    for (int64_t i = 0; i < N; i++) {
        uint32_t word[4];
        philox(word, seed, site, (uint64_t)i / 4);
        const int kept = word[i % 4] >= (uint64_t)((double)(real)p * 4294967296.0);
        const double want = kept ? act_number(k, x, i) / (1 - (double)(real)p) : 0;
        output_near(&y, i, want, fabs(want) * 4 * EPS, "dropout", k);
    }
    free(x);
    output_free(&y);
}

static void cross_entropy(const kernels *k)
{
    const int64_t N = pick(1, 40), V = pick(0, 1) ? pick(1, 40) : 5003;
    const int back = (int)pick(0, 1), weighted = (int)pick(0, 1);
    real *weight = random_numbers(DT_REAL, N);
    int32_t *labels = malloc((size_t)N * sizeof *labels);
    assert_non_null(labels);
    for (int64_t n = 0; n < N; n++)
        labels[n] = (int32_t)pick(0, V - 1);
    output logits = output_new(DT_REAL, N * V), loss = output_new(DT_REAL, N), hit = output_new(DT_BF16, (N + 1) / 2);
    for (int64_t i = 0; i < N * V; i++)
        put(logits.before, DT_REAL, i, number(logits.before, DT_REAL, i) * (i % 7 == 0 ? 40 : 3));
    FOR_THREADS
    {
        uint8_t *hits = output_start(&hit);
        k->cross_entropy(teams[threads], output_start(&loss), threads == 2 && N % 2 ? NULL : hits,
                         output_start(&logits), labels, weighted ? weight : NULL, N, V, back);
        if (threads == 2 && N % 2)
            memcpy(hits, hit.first, hit.bytes);
        output_end(&logits, threads);
        output_end(&loss, threads);
        output_end(&hit, threads);
    }
    for (int64_t n = 0; n < N; n++) {
        double largest = -INFINITY, sum = 0;
        for (int64_t v = 0; v < V; v++)
            largest = fmax(largest, number(logits.before, DT_REAL, n * V + v));
        for (int64_t v = 0; v < V; v++)
            sum += exp(number(logits.before, DT_REAL, n * V + v) - largest);
        const double at = number(logits.before, DT_REAL, n * V + labels[n]), w = weighted ? weight[n] : 1;
        output_near(&loss, n, w * (log(sum) + largest - at), fabs(w) * (fabs(largest) + fabs(at) + 32) * 4 * EPS,
                    "cross_entropy", k);
        assert_int_equal(hit.first[n], at == largest);
        for (int64_t v = 0; v < V; v++) {
            const double logit = number(logits.before, DT_REAL, n * V + v), probability = exp(logit - largest) / sum;
            const double want = back ? w * (probability - (v == labels[n])) : logit;
            output_near(&logits, n * V + v, want, back ? fabs(w) * probability * 64 * EPS + fabs(w) * EPS : 0,
                        "cross_entropy gradient", k);
        }
    }
    free(weight);
    free(labels);
    output_free(&logits);
    output_free(&loss);
    output_free(&hit);
}

static void rows(const kernels *k)
{
    const int64_t N = pick(1, 70), C = any_width(), M = N + pick(0, 9);
    int32_t *row = malloc((size_t)N * sizeof *row);
    int32_t *last = malloc((size_t)M * sizeof *last);
    assert_non_null(row);
    assert_non_null(last);
    for (int64_t m = 0; m < M; m++)
        last[m] = -1;
    for (int64_t i = 0; i < N; i++)
        last[row[i] = (int32_t)pick(0, M - 1)] = (int32_t)i;
    void *x = acts(k, M * C);
    output gathered = output_new(k->act, N * C), added = output_new(k->act, M * C), written = output_new(k->act, M * C);
    FOR_THREADS
    {
        k->gather_rows(teams[threads], output_start(&gathered), x, row, N, C);
        k->scatter_rows(teams[threads], (grad){ output_start(&added), 1 }, x, row, N, C);
        k->scatter_rows(teams[threads], (grad){ output_start(&written), 0 }, x, row, N, C);
        output_end(&gathered, threads);
        output_end(&added, threads);
        output_end(&written, threads);
    }
    for (int64_t i = 0; i < N * C; i++)
        output_near(&gathered, i, act_number(k, x, row[i / C] * C + i % C), 0, "gather_rows", k);
    for (int64_t i = 0; i < M * C; i++) {
        double sum = act_number(k, added.before, i), size = 0;
        for (int64_t n = 0; n < N; n++)
            if (row[n] == i / C) {
                sum += act_number(k, x, n * C + i % C);
                size += fabs(sum); /* every addition is rounded to the stored type */
            }
        output_near(&added, i, sum, size * (k->act == DT_BF16 ? 0x1p-7 : 4 * EPS), "scatter_rows, adding", k);
        const int32_t from = last[i / C];
        output_near(&written, i, from < 0 ? act_number(k, written.before, i) : act_number(k, x, from * C + i % C), 0,
                    "scatter_rows, writing", k);
    }
    free(row);
    free(last);
    free(x);
    output_free(&gathered);
    output_free(&added);
    output_free(&written);
}

static void convert(const kernels *k)
{
    static const dtype from[] = { DT_F32,  DT_BF16, DT_F16,  DT_F64,  DT_Q8_0, DT_Q4_0, DT_Q4_1,
                                  DT_Q5_0, DT_Q5_1, DT_Q2_K, DT_Q3_K, DT_Q4_K, DT_Q5_K, DT_Q6_K };
    static const dtype to[] = { DT_F32, DT_BF16, DT_F16, DT_F64 };
    for (size_t f = 0; f < sizeof from / sizeof *from; f++)
        for (size_t t = 0; t < sizeof to / sizeof *to; t++) {
            const int64_t N = dtype_is_quantised(from[f]) ? 256 * pick(1, 5) : pick(1, 1300);
            void *x = random_numbers(from[f], N);
            output y = output_new(to[t], N);
            FOR_THREADS
            {
                k->convert(teams[threads], output_start(&y), to[t], x, from[f], N);
                output_end(&y, threads);
            }
            for (int64_t i = 0; i < N; i++)
                output_near(&y, i, number(x, from[f], i), 0, dtype_name(from[f]), k);
            free(x);
            output_free(&y);
        }
}

/* To half precision bit for bit: a float of every exponent and sign, with every pattern of the bits around the last
 * that stays. */
static void convert_halves(const kernels *k)
{
    enum { N = 1 << 18 };
    float *x = malloc(N * sizeof *x);
    output y = output_new(DT_F16, N);
    assert_non_null(x);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = (i >> 9) << 23 | (i >> 5 & 15) << 19 | (i >> 2 & 7) << 11 | (i & 3 ? 1u << (i & 3) * 3 : 0);
        memcpy(&x[i], &bits, sizeof bits);
    }
    FOR_THREADS
    {
        k->convert(teams[threads], output_start(&y), DT_F16, x, DT_F32, N);
        output_end(&y, threads);
    }
    for (uint32_t i = 0; i < N; i++)
        if (((const uint16_t *)(const void *)y.first)[i] != f32_to_f16(x[i]))
            fail_msg("%s: %g becomes 0x%04x, expected 0x%04x", k->name, (double)x[i],
                     ((const uint16_t *)(const void *)y.first)[i], f32_to_f16(x[i]));
    free(x);
    output_free(&y);
}

static void optimiser(const kernels *k)
{
    const int64_t N = pick(0, 1) ? 40000 : pick(1, 100);
    real *g = random_numbers(DT_REAL, N);
    output w = output_new(DT_REAL, N), m = output_new(DT_REAL, N), v = output_new(DT_REAL, N);
    for (int64_t i = 0; i < N; i++)
        put(v.before, DT_REAL, i, fabs(number(v.before, DT_REAL, i)));
    const adamw_step s = { 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.271f, 0.002997f, 0.5f };
    double squares = 0, got = 0;
    for (int64_t i = 0; i < N; i++)
        squares += (double)g[i] * (double)g[i];
    FOR_THREADS
    {
        k->adamw(teams[threads], output_start(&w), output_start(&m), output_start(&v), g, N, &s);
        output_end(&w, threads);
        output_end(&m, threads);
        output_end(&v, threads);
        const double sum = k->sum_squares(teams[threads], g, N);
        assert_true(threads == 1 || sum == got);
        got = sum;
    }
    assert_true(fabs(got - squares) <= 1e-12 * squares);
    for (int64_t i = 0; i < N; i++) {
        const double gi = (double)g[i] * s.scale, m0 = number(m.before, DT_REAL, i), v0 = number(v.before, DT_REAL, i);
        const double m1 = s.beta1 * m0 + (1 - (double)s.beta1) * gi,
                     v1 = s.beta2 * v0 + (1 - (double)s.beta2) * gi * gi;
        const double w0 = number(w.before, DT_REAL, i),
                     step = s.learning_rate / s.correction1 * m1 / (sqrt(v1 / s.correction2) + s.epsilon);
        output_near(&m, i, m1, (fabs(m0) + fabs(gi)) * 4 * EPS, "adamw m", k);
        output_near(&v, i, v1, v1 * 4 * EPS, "adamw v", k);
        const double root_error =
            (fabs(m0) + fabs(gi)) / (sqrt(v1 / s.correction2) + s.epsilon) * s.learning_rate / s.correction1;
        output_near(&w, i, w0 * (1 - s.learning_rate * s.weight_decay) - step, (fabs(w0) + root_error * 32) * EPS,
                    "adamw w", k);
    }
    free(g);
    output_free(&w);
    output_free(&m);
    output_free(&v);
}

/* Each as a test of its own, several random shapes with every table. */
#define TEST(kernel)                            \
    static void test_##kernel(void **state)     \
    {                                           \
        (void)state;                            \
        for (int round = 0; round < 4; round++) \
            with_all_tables(kernel);            \
    }

TEST(bias)
TEST(embed)
TEST(columns)
TEST(rmsnorm)
TEST(layernorm)
TEST(rope)
TEST(glu)
TEST(activation)
TEST(glu_extremes)
TEST(elementwise)
TEST(dropout)
TEST(cross_entropy)
TEST(rows)
TEST(convert)
TEST(convert_halves)
TEST(optimiser)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bias),           cmocka_unit_test(test_columns),   cmocka_unit_test(test_embed),
        cmocka_unit_test(test_rmsnorm),        cmocka_unit_test(test_layernorm), cmocka_unit_test(test_activation),
        cmocka_unit_test(test_rope),           cmocka_unit_test(test_glu),       cmocka_unit_test(test_glu_extremes),
        cmocka_unit_test(test_elementwise),    cmocka_unit_test(test_dropout),   cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_convert),   cmocka_unit_test(test_optimiser),
        cmocka_unit_test(test_convert_halves),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
