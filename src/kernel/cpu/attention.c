/* attention.c: naive */
#include "functions.h"

typedef struct job {
    act *out; real *lse;
    const act *q, *k, *v;
    const attention_span *spans;
    const attention_shape *shape;
    pool *team; act *dq, *dk, *dv; const act *dout, *o; const real *lse_in;
} job;

static void scores(const job *j, attention_span s, int64_t h, int64_t i, real *score, int64_t *from, int64_t *to)
{
    const attention_shape *a = j->shape;
    const int64_t D = a->head_size, g = h / (a->heads / a->kv_heads), pos = s.n_kv - s.n_q + i;
    *to = a->causal ? pos + 1 : s.n_kv;
    *from = a->window > 0 && pos + 1 - a->window > 0 ? pos + 1 - a->window : 0;
    const act *q = j->q + ((s.q + i) * a->heads + h) * D;
    for (int64_t t = *from; t < *to; t++) {
        const act *k = j->k + ((s.kv + t) * a->kv_heads + g) * D;
        real sum = 0;
        for (int64_t d = 0; d < D; d++)
            sum += widen(q[d]) * widen(k[d]);
        sum *= a->scale;
        if (a->softcap != 0)
            sum = a->softcap * tanh_real(sum / a->softcap);
        if (a->bias)
            sum += a->bias[(h * s.n_q + i) * s.n_kv + t];
        score[t] = sum;
    }
}



static void forward(void *arg, int64_t piece, int thread)
{
    const job *j = arg;
    const attention_shape *a = j->shape;
    const attention_span s = j->spans[piece / a->heads];
    const int64_t h = piece % a->heads, D = a->head_size, g = h / (a->heads / a->kv_heads);
    real *score = pool_scratch(j->team, thread, 0, (size_t)(s.n_kv + D) * sizeof(real)), *sum = score + s.n_kv;
    if (!score)
        return;
    for (int64_t i = 0; i < s.n_q; i++) {
        int64_t from, to;
        scores(j, s, h, i, score, &from, &to);
        real top = -INFINITY, total = 0;
        for (int64_t t = from; t < to; t++)
            top = score[t] > top ? score[t] : top;
        for (int64_t d = 0; d < D; d++)
            sum[d] = 0;
        for (int64_t t = from; t < to; t++) {
            const real e = exp_real(score[t] - top);
            const act *v = j->v + ((s.kv + t) * a->kv_heads + g) * D;
            total += e;
            for (int64_t d = 0; d < D; d++)
                sum[d] += e * widen(v[d]);
        }
        for (int64_t d = 0; d < D; d++)
            j->out[((s.q + i) * a->heads + h) * D + d] = narrow(sum[d] / total);
        if (j->lse)
            j->lse[(s.q + i) * a->heads + h] = top + (real)log((double)total);
    }
}

void NAME(attention)(pool *p, void *out, real *lse, const void *q, const void *k, const void *v,
                     const attention_span *spans, int64_t n_spans, const attention_shape *shape)
{
    job j = { .out = out, .lse = lse, .q = q, .k = k, .v = v, .spans = spans, .shape = shape };
    j.team = p;
    pool_run(p, n_spans * shape->heads, forward, &j);
}

static void backward(void *arg, int64_t piece, int thread)
{
    const job *j = arg;
    const attention_shape *a = j->shape;
    const attention_span s = j->spans[piece / a->kv_heads];
    const int64_t g = piece % a->kv_heads, D = a->head_size, group = a->heads / a->kv_heads;
    real *score = pool_scratch(j->team, thread, 0, (size_t)(s.n_kv * (1 + 2 * D) + D) * sizeof(real));
    if (!score)
        return;
    real *dk = score + s.n_kv, *dv = dk + s.n_kv * D, *dq = dv + s.n_kv * D;
    memset(dk, 0, (size_t)(s.n_kv * D) * 2 * sizeof(real));
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t i = 0; i < s.n_q; i++) {
            int64_t from, to;
            scores(j, s, h, i, score, &from, &to);
            const int64_t row = ((s.q + i) * a->heads + h) * D;
            real delta = 0;
            for (int64_t d = 0; d < D; d++) {
                delta += widen(j->dout[row + d]) * widen(j->o[row + d]);
                dq[d] = 0;
            }
            for (int64_t t = from; t < to; t++) {
                const int64_t kv = ((s.kv + t) * a->kv_heads + g) * D;
                const real e = exp_real(score[t] - j->lse_in[(s.q + i) * a->heads + h]);
                real dp = 0;
                for (int64_t d = 0; d < D; d++) {
                    dp += widen(j->dout[row + d]) * widen(j->v[kv + d]);
                    dv[t * D + d] += e * widen(j->dout[row + d]);
                }
                real ds = e * (dp - delta) * a->scale;
                if (a->softcap != 0) {
                    real th = (score[t] - (a->bias ? a->bias[(h * s.n_q + i) * s.n_kv + t] : 0)) / a->softcap;
                    ds *= 1 - th * th;
                }
                for (int64_t d = 0; d < D; d++) {
                    dq[d] += ds * widen(j->k[kv + d]);
                    dk[t * D + d] += ds * widen(j->q[row + d]);
                }
            }
            for (int64_t d = 0; d < D; d++)
                j->dq[row + d] = narrow(dq[d]);
        }
    for (int64_t t = 0; t < s.n_kv; t++)
        for (int64_t d = 0; d < D; d++) {
            const int64_t kv = ((s.kv + t) * a->kv_heads + g) * D + d;
            j->dk[kv] = narrow(dk[t * D + d]);
            j->dv[kv] = narrow(dv[t * D + d]);
        }
}

void NAME(attention_back)(pool *p, void *dq, void *dk, void *dv, const void *dout, const void *out, const real *lse,
                          const void *q, const void *k, const void *v, const attention_span *spans, int64_t n_spans,
                          const attention_shape *shape)
{
    job j = { .q = q, .k = k, .v = v, .spans = spans, .shape = shape, .dq = dq, .dk = dk, .dv = dv, .dout = dout, .o = out, .lse_in = lse };
    j.team = p;
    pool_run(p, n_spans * shape->kv_heads, backward, &j);
}
