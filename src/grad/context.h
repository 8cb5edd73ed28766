/* context.h: where a forward and backward pass lives: memory, tape, kernels, threads. One context belongs to
 * one thread at a time; models are const and may be shared by many contexts.
 *
 * Memory is one block used from both ends. Forward pushes activations upward from the bottom; backward pushes
 * gradients downward from the top. A segment (one block of the model) rewinds the top when its backward is
 * done, so the top holds the gradients of one block at a time. Invariant: low + high <= size. If a push would
 * cross, `failed` sticks, the kernels are replaced by ones that do nothing, and the pass is void; nobody has to
 * check before the end (context_status). Nothing is allocated during a pass.
 *
 * A measuring context has no memory and kernels that do nothing: a pass through it only counts bytes. That is
 * how memory is planned, with the same code that runs.
 */
#ifndef LORAC_CONTEXT_H
#define LORAC_CONTEXT_H

#include "kernels.h"
#include "lorac.h"
#include "timed.h"

/* A tensor that takes part in the computation. Base weights are vars that want no gradient. A parameter that is
 * trained has a gradient buffer of its own (real), to which backward adds: grad set, grad_written true. */
typedef struct var {
    tensor t;
    void *grad; /* dL/dt, same shape; of the type `act` for activations */
    bool needs_grad;
    bool grad_written; /* false: `grad` holds nothing yet */
    bool turned;       /* a matrix that lies in memory as its transpose, [in, out] (OpenAI's Conv1D) */
} var;

typedef enum op_kind {
#define OP(name) OP_##name,
#include "ops.def"
#undef OP
    OP_KINDS
} op_kind;

typedef struct node { /* one recorded operation; each op puts its own struct around it */
    op_kind op;
    struct node *previous;
    var *out;
} node;

typedef struct context {
    const kernels *k;
    pool *pool;
    dtype act; /* type of activations */
    char *memory;
    size_t size, low, high, peak; /* bytes: of the block, used below, used above, most ever used at once */
    struct stack *structs;        /* vars and nodes */
    bool measuring, failed;
    bool recording;                     /* false: nothing is kept for a backward pass */
    bool recompute;                     /* segments keep only their input and run again in backward */
    bool training;                      /* dropout is active */
    uint64_t seed, step;                /* of dropout masks */
    node *last;                         /* the tape's end */
    const struct adapter_use *adapters; /* what linears add to their product; see nn/module.h */
    int adapter_count;
    struct linear_observer *observer; /* sees what goes into linears; NULL: nobody looks; see nn/module.h */
    const kernels *kernels;           /* the table to come back to after a failure */
} context;

typedef struct context_options {
    int threads; /* 0: all */
    dtype act;   /* DT_F32, DT_BF16 (DT_F64 in the double build) */
    isa level;   /* usually cpu_isa() */
    bool measuring;
} context_options;

int context_new(context **out, const context_options *options);
void context_free(context *c);
/* Counts from now on where time goes, in *p, which must live as long as the context. */
void context_profile(context *c, profile *p, int64_t vocabulary);
/* Sets aside `bytes` of memory for passes; drops what was there. */
int context_reserve(context *c, size_t bytes);
/* Forgets the tape and everything in memory. Call before each pass. */
void context_reset(context *c);
/* The failure of the pass since the reset: out of step or scratch memory; else LORAC_OK. */
int context_status(const context *c);

/* ---- For ops ---- */

/* True when kernels really run: only then may memory of the context be touched outside a kernel. */
bool context_computes(const context *c);
/* Memory from the bottom (kept) and from the top (scratch and gradients). Never NULL. */
void *context_push(context *c, size_t bytes);
void *context_scratch(context *c, size_t bytes);

/* A point to come back to. Rewinding gives back everything taken since. */
typedef struct context_mark {
    size_t low, high, structs;
} context_mark;
context_mark context_here(const context *c);
void context_rewind_low(context *c, context_mark mark); /* activations, vars and nodes */
void context_rewind_high(context *c, context_mark mark);

var *var_new(context *c, dtype type, int ndim, const int64_t *dim);
var *var_matrix(context *c, int64_t rows, int64_t cols); /* of the type `act` */
/* Records an operation when `wanted` (one of its inputs wants a gradient) and the context records: returns a zeroed
 * struct of `bytes` that starts with a node, and marks `out` as wanting a gradient; else NULL. */
void *record(context *c, op_kind op, size_t bytes, var *out, bool wanted);
/* Where dL/dx goes: p NULL when nobody wants it. Takes memory at the first call. */
grad grad_of(context *c, const var *x);
/* Runs the tape backwards from its end. */
void backward(context *c);
/* Each op's own part of that; only backward() calls them. */
#define OP(name) void op_##name##_back(context *c, node *self);
#include "ops.def"
#undef OP

/* fn as one unit of recomputation and of gradient memory. `env` and `self` must live until backward is done.
 * Its output has the shape of its input. */
typedef var *(*segment_fn)(void *env, const void *self, var *x);
var *segment(context *c, segment_fn fn, void *env, const void *self, var *x);

#endif
