/* decoder.c: the loop every decoder shares: embedding, blocks, last norm, head; and attention with or without a cache.
 */
#include "arch.h"
#include "err.h"
#include "mem.h"
#include "source.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

static real attention_scale(const model_config *g, size_t layer)
{
    double scale = g->attention_scaled ? 1 / sqrt((double)g->head_size) : 1;
    return (real)(g->attention_by_layer ? scale / (double)(layer + 1) : scale);
}

var *attend(pass *p, const void *block, var *q, var *k, var *v)
{
    const model_config *g = &p->m->config;
    const batch *b = p->b;
    size_t layer = (size_t)((const char *)block - p->m->blocks) / p->m->family->block_size;
    attention_shape shape = {
        .heads = g->heads,
        .kv_heads = g->kv_heads,
        .head_size = g->head_size,
        .scale = attention_scale(g, layer),
        .causal = 1,
    };
    if (!b->cache)
        return op_attention(p->c, q, k, v, b->spans, b->n_spans, &shape);
    int64_t cols = g->kv_heads * g->head_size;
    p->c->k->scatter_rows(p->c->pool, (grad){ b->cache->k[layer], 0 }, k->t.data, b->cache_row, b->count, cols);
    p->c->k->scatter_rows(p->c->pool, (grad){ b->cache->v[layer], 0 }, v->t.data, b->cache_row, b->count, cols);
    var keys = { .t = { .type = p->c->act, .ndim = 2, .dim = { b->cache->rows, cols }, .data = b->cache->k[layer] } };
    var values = keys;
    values.t.data = b->cache->v[layer];
    return op_attention(p->c, q, &keys, &values, b->spans, b->n_spans, &shape);
}

/* The hidden states before the last norm, [T, hidden]. */
static var *run_blocks(pass *p)
{
    const model *m = p->m;
    context *c = p->c;
    var *x = embedding_fwd(c, &m->embedding, p->b->ids, p->b->count, m->family->pads ? m->config.pad : -1);
    if (m->positions.weight.t.data)
        x = op_add(c, x, embedding_fwd(c, &m->positions, p->b->positions, p->b->count, -1));
    if (m->family->rotary)
        p->rope = rope_angles(c, p->b->positions, p->b->count, m->config.rope_frequency, m->config.rotated,
                              (real)m->config.rope_scale);
    for (int64_t layer = 0; layer < m->config.layers; layer++) {
        x = segment(c, m->family->block, p, m->blocks + (size_t)layer * m->family->block_size, x);
        if (p->b->once)
            source_let_go(m->source);
    }
    return x;
}

static var *last_norm(const pass *p, var *x)
{
    return norm_fwd(p->c, &p->m->final_norm, x, (real)p->m->config.norm_epsilon);
}

/* Learned positions end where their table does. */
static int check_positions(const model *m, const context *c, const batch *b)
{
    if (!m->positions.weight.t.data || c->measuring)
        return LORAC_OK;
    for (int64_t i = 0; i < b->count; i++)
        if (b->positions[i] >= m->config.context) {
            char expected[48];
            snprintf(expected, sizeof expected, "at most %lld tokens", (long long)m->config.context);
            return fail_at(
                LORAC_ERROR_USAGE,
                (fault){ .file = m->path, .expected = expected, .hint = "shorten it, or lower --max-seq-length" },
                "a text is longer than the model's learned positions");
        }
    return LORAC_OK;
}

int model_loss(const model *m, context *c, const batch *b, const loss_targets *targets, loss_result *result)
{
    TRY(check_positions(m, c, b));
    context_reset(c);
    pass p = { .m = m, .c = c, .b = b };
    head_parts head;
    var *x = last_norm(&p, run_blocks(&p));
    head_collect(c, &m->head, NULL, 0, &head);
    op_head_loss(c, x, &head.weights, targets, result);
    backward(c);
    return context_status(c);
}

static void logits_pass(const model *m, context *c, const batch *b, const int32_t *rows, int64_t n_rows, float *logits)
{
    context_reset(c);
    pass p = { .m = m, .c = c, .b = b };
    head_parts head;
    var *x = run_blocks(&p);
    if (c->observer)
        c->observer->see(c->observer, c, &m->head, last_norm(&p, x));
    if (rows) {
        var *chosen = var_matrix(c, n_rows, m->config.hidden);
        c->k->gather_rows(c->pool, chosen->t.data, x->t.data, rows, n_rows, m->config.hidden);
        x = chosen;
    }
    x = last_norm(&p, x);
    head_collect(c, &m->head, rows, n_rows, &head);
    op_logits(c, logits, x, &head.weights);
}

int model_logits(const model *m, context *c, const batch *b, const int32_t *rows, int64_t n_rows, float *logits)
{
    assert(!c->recording);
    TRY(check_positions(m, c, b));
    logits_pass(m, c, b, rows, n_rows, logits);
    return context_status(c);
}

/* The same pass through a context that only counts. */
static int measuring_context(context **out, const context *like)
{
    context_options options = { .act = like->act, .measuring = true };
    TRY(context_new(out, &options));
    (*out)->recording = like->recording;
    (*out)->recompute = like->recompute;
    (*out)->training = like->training;
    (*out)->adapters = like->adapters;
    (*out)->adapter_count = like->adapter_count;
    (*out)->observer = like->observer;
    return LORAC_OK;
}

int model_measure_loss(const model *m, const context *like, const batch *b, const loss_targets *targets, size_t *bytes,
                       profile *counted)
{
    context *c;
    loss_result ignored = { 0 };
    TRY(measuring_context(&c, like));
    if (counted)
        context_profile(c, counted, model_outputs(m));
    int status = model_loss(m, c, b, targets, &ignored);
    *bytes = c->peak;
    context_free(c);
    return status;
}

int model_measure_logits(const model *m, const context *like, const batch *b, int64_t n_rows, size_t *bytes)
{
    context *c;
    TRY(measuring_context(&c, like));
    int32_t one_row = 0;
    logits_pass(m, c, b, n_rows < b->count ? &one_row : NULL, n_rows, NULL);
    *bytes = c->peak;
    context_free(c);
    return LORAC_OK;
}

int kv_cache_new(kv_cache **out, const model *m, int64_t rows, dtype type)
{
    size_t layers = (size_t)m->config.layers;
    size_t bytes = (size_t)(rows * m->config.kv_heads * m->config.head_size * dtype_block_bytes(type));
    kv_cache *cache = mem_new(1, sizeof *cache);
    if (!cache)
        return fail_memory();
    *out = cache;
    cache->rows = rows;
    cache->type = type;
    cache->layer_bytes = bytes;
    cache->layers = m->config.layers;
    cache->k = mem_new(layers, sizeof *cache->k);
    cache->v = mem_new(layers, sizeof *cache->v);
    bool complete = cache->k && cache->v;
    for (size_t i = 0; i < layers && complete; i++) {
        cache->k[i] = mem_pages(bytes);
        cache->v[i] = mem_pages(bytes);
        complete = cache->k[i] && cache->v[i];
    }
    if (complete)
        return LORAC_OK;
    kv_cache_free(cache);
    *out = NULL;
    return fail_memory();
}

void kv_cache_free(kv_cache *cache)
{
    if (!cache)
        return;
    for (int64_t i = 0; i < cache->layers; i++) {
        if (cache->k && cache->k[i])
            mem_pages_free(cache->k[i], cache->layer_bytes);
        if (cache->v && cache->v[i])
            mem_pages_free(cache->v[i], cache->layer_bytes);
    }
    mem_free(cache->k);
    mem_free(cache->v);
    mem_free(cache);
}
