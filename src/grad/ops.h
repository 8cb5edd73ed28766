/* ops.h: the operations a model is made of. Each has a forward and a hand-derived backward in its op_*.c, and a
 * derivative check in tests/grad. Ops never write their inputs. Shapes: activations are [T, ...] with T rows (tokens).
 * No op returns NULL.
 *
 * Base weights are const vars that want no gradient; for them the weight gradient (a third of full training) is never
 * computed. */
#ifndef LORAC_OPS_H
#define LORAC_OPS_H

#include "context.h"

/* A low-rank addition to a product: y[rows] += scale · (drop(x[rows]) Aᵀ) Bᵀ with A [r, in], B [out, r] (LoRA, Hu et
 * al. 2021). A NULL: 1 stands in the place of x Aᵀ, so that B is a bias. */
typedef struct lowrank {
    const var *a, *b;
    bool turned; /* the factors lie as A [in, r] and B [r, out] */
    real scale;
    real dropout;         /* on x, only while c->training */
    uint64_t site;        /* tells the dropout streams of different modules apart */
    int64_t first, count; /* rows; count -1: all */
} lowrank;

enum { LOWRANK_MAX = 256 }; /* on one module in one pass */

/* Rows and columns of the matrix that w means, however it lies in memory. */
int64_t outputs_of(const var *w);
int64_t inputs_of(const var *w);

/* y = onto + x Wᵀ + b + low-rank terms; w [out, in] (or turned), bias [out] or NULL; onto [T, out], the residual stream
 * as a rule, or NULL. The terms are copied. */
var *op_linear(context *c, var *onto, var *x, const var *w, const var *bias, const lowrank *terms, int n_terms);
/* y = onto + scale · what the table has for the ids: rows of a turned one, [V, C], else columns of [C, V]; nothing for
 * negative ids. Rows of the gradient whose id is `padding` are dropped, as torch does (-1: none). onto may be NULL; ids
 * must live until backward is done. */
typedef struct lookup {
    const int32_t *ids;
    int64_t count;
    int32_t padding;
    real scale;
} lookup;
var *op_embed(context *c, var *onto, const var *table, const lookup *at);

/* Columns of some rows that are multiplied by m / |column| (DoRA, Liu et al. 2024); the norms are constants. */
typedef struct magnitude {
    const var *m;         /* [out] */
    const real *inverse;  /* 1 / norm, [out] */
    const real *factor;   /* m / norm, times what else the columns are multiplied by */
    int64_t first, count; /* rows; count -1: all */
} magnitude;
/* y = onto + bias + factor ∘ z. Rows that no magnitude is for keep z. onto and bias may be NULL. */
var *op_magnitude(context *c, var *onto, var *z, const var *bias, const magnitude *list, int count);
var *op_rmsnorm(context *c, var *x, const var *w, real epsilon);
var *op_layernorm(context *c, var *x, const var *w, const var *b, real epsilon);
var *op_glu(context *c, var *gate, var *up, glu_kind kind);
var *op_activation(context *c, var *x, glu_kind kind);
/* x + y, of the same shape. */
var *op_add(context *c, var *x, var *y);
/* The which-th of `parts` equal ranges of x's columns: x [T, parts * C] gives [T, C]. */
var *op_part(context *c, var *x, int64_t which, int64_t parts);
/* Cosine and sine of every row's angles, shared by all layers. */
typedef struct rope_table {
    real *cosine, *sine;
    int64_t rotated;
} rope_table;
rope_table rope_angles(context *c, const int32_t *positions, int64_t count, const real *frequency, int64_t rotated,
                       real scale);
/* x [T, H * D]; the first table->rotated of each head's D are turned. */
var *op_rope(context *c, var *x, const rope_table *table, int64_t heads);
/* q [T, H * D], k and v [., KV * D]; spans say which rows see which. The spans must live until backward is done. */
var *op_attention(context *c, var *q, var *k, var *v, const attention_span *spans, int64_t n_spans,
                  const attention_shape *shape);

/* The output embedding: a product whose columns may have magnitudes. Terms and magnitudes are copied. */
typedef struct head_weights {
    const var *w;
    const lowrank *terms;
    int n_terms;
    const magnitude *magnitudes;
    int n_magnitudes;
} head_weights;
/* Logits of every row of x into `out`, [T, V], given by the caller. Nothing is recorded. */
void op_logits(context *c, real *out, var *x, const head_weights *head);

/* The head and the cross-entropy in one, over labelled rows only, in chunks: logits are never whole. */
typedef struct loss_targets {
    const int32_t *row, *label; /* row of x, and the id to predict there */
    int64_t count;
    real grad_scale; /* dL/d(sum of losses): 1 / labelled tokens of the whole batch */
} loss_targets;
typedef struct loss_result {
    double sum;
    int64_t count, hits;
} loss_result;
/* Adds to *result. Backward starts here. */
void op_head_loss(context *c, var *x, const head_weights *head, const loss_targets *targets, loss_result *result);

#endif
