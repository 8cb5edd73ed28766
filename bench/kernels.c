/* kernels.c: the speed of each kernel at the shapes of SmolLM2-135M with 1024 tokens, for every table this processor
 * can run. GFLOP/s for products and attention, GB/s (every operand counted once) for the rest.
 *     LEVEL=avx2 bench_kernels [threads] [word in the name of a line]
 * LEVEL=amx shows oneDNN's products. */
#include "kernels.h"
#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    T = 1024,
    WIDTH = 576,
    HIDDEN = 1536,
    HEADS = 9,
    KV_HEADS = 3,
    D = 64,
    VOCABULARY = 49152,
    LOSS_ROWS = 384,
    RANK = 16
};

static pool *team;
static const char *wanted = "";
static const kernels *table;

/* The table for AMX, whose products are oneDNN's on any processor. */
extern const kernels kernels_amx_bf16 __attribute__((weak));

/* One thread is measured by its processor time, so that neighbours on the machine disturb less. */
static double now(void)
{
    struct timespec t;
    clock_gettime(pool_size(team) == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *numbers(dtype type, int64_t n)
{
    const size_t bytes = (size_t)(n / dtype_block(type) * dtype_block_bytes(type));
    uint8_t *p = mem_pages(bytes);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n && type == DT_F32; i++)
        ((float *)p)[i] = sinf((float)(i % 1013));
    for (int64_t i = 0; i < n && type == DT_BF16; i++)
        ((uint16_t *)p)[i] = f32_to_bf16(sinf((float)(i % 1013)));
    return p;
}

static void give_back(void *p, dtype type, int64_t n)
{
    mem_pages_free(p, (size_t)(n / dtype_block(type) * dtype_block_bytes(type)));
}

/* Runs `work` for about 0.2 s and prints the best of it; `amount` is flops or bytes. */
static void measure(const char *name, double amount, const char *unit, void (*work)(void *), void *arg)
{
    double best = 1e9, begin = now();
    work(arg);
    for (int i = 0; i < 3 || now() - begin < 0.2; i++) {
        const double start = now();
        work(arg);
        const double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    printf("%-12s %-4s  %-44s %9.1f %s  %9.3f ms\n", table->name, dtype_name(table->act), name, amount / best * 1e-9,
           unit, best * 1e3);
    fflush(stdout);
}

typedef struct product {
    mat c, a, b;
    int transpose_a, transpose_b;
} product;

static void multiply(void *arg)
{
    product *p = arg;
    table->gemm(team, p->c, p->a, p->transpose_a, p->b, p->transpose_b, 1, 0);
}

static mat matrix(dtype type, int64_t rows, int64_t cols)
{
    return (mat){ numbers(type, rows * cols), type, rows, cols, cols };
}

static void bench_product(const char *what, int64_t M, int64_t N, int64_t K, dtype c, dtype a, dtype b, int transpose_a,
                          int transpose_b)
{
    char name[100];
    snprintf(name, sizeof name, "gemm %s %lldx%lldx%lld %s%s %s%s", what, (long long)M, (long long)N, (long long)K,
             dtype_name(a), transpose_a ? "'" : "", dtype_name(b), transpose_b ? "'" : "");
    if (!strstr(name, wanted))
        return;
    product p = { matrix(c, M, N), transpose_a ? matrix(a, K, M) : matrix(a, M, K),
                  transpose_b ? matrix(b, N, K) : matrix(b, K, N), transpose_a, transpose_b };
    measure(name, 2.0 * (double)M * (double)N * (double)K, "GFLOP/s", multiply, &p);
    give_back(p.c.p, c, M * N);
    give_back(p.a.p, a, M * K);
    give_back(p.b.p, b, N * K);
}

static void bench_products(void)
{
    const dtype act = table->act;
    static const dtype weights[] = { DT_F32, DT_BF16, DT_Q8_0, DT_Q4_1 };
    for (int i = 0; i < 4; i++) {
        const dtype w = weights[i];
        bench_product("q", T, WIDTH, WIDTH, act, act, w, 0, 1);
        bench_product("k", T, KV_HEADS * D, WIDTH, act, act, w, 0, 1);
        bench_product("up", T, HIDDEN, WIDTH, act, act, w, 0, 1);
        bench_product("down", T, WIDTH, HIDDEN, act, act, w, 0, 1);
        bench_product("dX of down", T, HIDDEN, WIDTH, act, act, w, 0, 0);
        bench_product("dX of up", T, WIDTH, HIDDEN, act, act, w, 0, 0);
        bench_product("head", LOSS_ROWS, VOCABULARY, WIDTH, DT_F32, act, w, 0, 1);
        bench_product("dX of head", LOSS_ROWS, WIDTH, VOCABULARY, act, DT_F32, w, 0, 0);
    }
    bench_product("H = X A'", T, RANK, HIDDEN, DT_F32, act, DT_F32, 0, 1);
    bench_product("dH = dY B", T, RANK, HIDDEN, DT_F32, act, DT_F32, 0, 0);
    bench_product("dA = dH' X", RANK, HIDDEN, T, DT_F32, DT_F32, act, 1, 0);
    bench_product("dB = dY' H", HIDDEN, RANK, T, DT_F32, act, DT_F32, 1, 0);
    bench_product("H = X A' of q", T, RANK, WIDTH, DT_F32, act, DT_F32, 0, 1);
    bench_product("dH = dY B of q", T, RANK, WIDTH, DT_F32, act, DT_F32, 0, 0);
    bench_product("dA = dH' X of q", RANK, WIDTH, T, DT_F32, DT_F32, act, 1, 0);
    bench_product("dB = dY' H of q", WIDTH, RANK, T, DT_F32, act, DT_F32, 1, 0);
    for (int i = 0; i < 4; i++) {
        bench_product("1 token", 1, HIDDEN, WIDTH, act, act, weights[i], 0, 1);
        bench_product("1 token head", 1, VOCABULARY, WIDTH, DT_F32, act, weights[i], 0, 1);
    }
}

typedef struct buffers {
    void *a, *b, *c, *d, *e;
    real *r, *w, *cosine, *sine;
    int32_t *ids;
    attention_span spans[8];
    int64_t n_spans;
} buffers;

static void run_rmsnorm(void *p)
{
    buffers *b = p;
    table->rmsnorm(team, b->a, b->r, b->b, b->w, T, WIDTH, 1e-5f);
}

static void run_rmsnorm_back(void *p)
{
    buffers *b = p;
    table->rmsnorm_back(team, (grad){ b->a, 1 }, (grad){ NULL, 0 }, b->c, b->b, b->w, b->r, T, WIDTH);
}

static void run_rope(void *p)
{
    buffers *b = p;
    table->rope(team, b->a, b->b, b->cosine, b->sine, T, HEADS, D, D, 0);
}

static void run_glu(void *p)
{
    buffers *b = p;
    table->glu(team, b->a, b->b, b->c, (int64_t)T * HIDDEN, GLU_SILU);
}

static void run_glu_back(void *p)
{
    buffers *b = p;
    table->glu_back(team, (grad){ b->a, 0 }, (grad){ b->d, 0 }, b->e, b->b, b->c, (int64_t)T * HIDDEN, GLU_SILU);
}

static void run_accumulate(void *p)
{
    buffers *b = p;
    table->accumulate(team, (grad){ b->a, 1 }, b->b, (int64_t)T * WIDTH);
}

static void run_dropout(void *p)
{
    buffers *b = p;
    table->dropout(team, b->a, b->b, (int64_t)T * WIDTH, 0.05f, 1, 2);
}

static void run_loss(void *p)
{
    buffers *b = p;
    table->cross_entropy(team, b->r, NULL, b->d, b->ids, NULL, LOSS_ROWS, VOCABULARY, 1);
}

static const attention_shape llama = { HEADS, KV_HEADS, D, 0.125f, 0, 0, 1, NULL };

static void run_attention(void *p)
{
    buffers *b = p;
    table->attention(team, b->a, b->r, b->b, b->c, b->d, b->spans, b->n_spans, &llama);
}

static void run_attention_back(void *p)
{
    buffers *b = p;
    char *grads = b->e;
    const size_t bytes = (size_t)T * WIDTH * 4;
    table->attention_back(team, grads, grads + bytes, grads + 2 * bytes, b->b, b->a, b->r, b->b, b->c, b->d, b->spans,
                          b->n_spans, &llama);
}

static void bench_rest(void)
{
    const dtype act = table->act;
    const int64_t n = (int64_t)LOSS_ROWS * VOCABULARY;
    const double size = (double)dtype_block_bytes(act);
    buffers b = { numbers(act, n),    numbers(act, n),    numbers(act, n),    numbers(DT_F32, n),
                  numbers(act, n),    numbers(DT_F32, n), numbers(DT_F32, n), numbers(DT_F32, n),
                  numbers(DT_F32, n), numbers(DT_I32, n), { { 0, 0, 0, 0 } }, 0 };
    const struct {
        const char *name;
        double bytes;
        void (*run)(void *);
    } lines[] = {
        { "rmsnorm", 2 * size * T * WIDTH, run_rmsnorm },    { "rmsnorm_back", 4 * size * T * WIDTH, run_rmsnorm_back },
        { "rope", 2 * size * T * WIDTH, run_rope },          { "glu", 3 * size * T * HIDDEN, run_glu },
        { "glu_back", 5 * size * T * HIDDEN, run_glu_back }, { "accumulate", 3 * size * T * WIDTH, run_accumulate },
        { "dropout", 2 * size * T * WIDTH, run_dropout },    { "cross_entropy", 2 * 4.0 * (double)n, run_loss },
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(lines[i].name, wanted))
            measure(lines[i].name, lines[i].bytes, "GB/s   ", lines[i].run, &b);
    static const int64_t lengths[] = { 128, 205, 1024 };
    for (int i = 0; i < 3 && strstr("attention_back", wanted); i++) {
        char name[60];
        b.n_spans = T / lengths[i];
        for (int64_t s = 0; s < b.n_spans; s++)
            b.spans[s] = (attention_span){ s * lengths[i], lengths[i], s * lengths[i], lengths[i] };
        const double flops = 2.0 * (double)(b.n_spans * lengths[i]) * (double)(lengths[i] + 1) * HEADS * D;
        snprintf(name, sizeof name, "attention, %lld documents of %lld", (long long)b.n_spans, (long long)lengths[i]);
        measure(name, flops, "GFLOP/s", run_attention, &b);
        snprintf(name, sizeof name, "attention_back, %lld documents of %lld", (long long)b.n_spans,
                 (long long)lengths[i]);
        measure(name, 2.5 * flops, "GFLOP/s", run_attention_back, &b);
    }
    void *acts[] = { b.a, b.b, b.c, b.e }, *reals[] = { b.d, b.r, b.w, b.cosine, b.sine };
    for (int i = 0; i < 4; i++)
        give_back(acts[i], act, n);
    for (int i = 0; i < 5; i++)
        give_back(reals[i], DT_F32, n);
    give_back(b.ids, DT_I32, n);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 0;
    wanted = argc > 2 ? argv[2] : "";
    if (pool_new(&team, threads) != 0)
        return 1;
    printf("%s, %d threads, products by %s\n", cpu_name(), pool_size(team), kernels_gemm_name());
    const char *only = getenv("LEVEL");
    if (&kernels_amx_bf16 && cpu_isa() == ISA_AVX512_BF16 && (!only || strcmp(only, "amx") == 0)) {
        table = &kernels_amx_bf16;
        bench_products();
    }
    for (int level = (int)cpu_isa(); level >= 0; level--)
        for (int act = 0; act < 2; act++) {
            table = kernels_for((isa)level, act ? DT_F32 : DT_BF16);
            if (only && strcmp(only, table->name) != 0)
                continue;
            bench_products();
            bench_rest();
        }
    pool_free(team);
    return 0;
}
