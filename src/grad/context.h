/* context.h: where a forward and backward pass lives: memory, tape, kernels, threads. One context belongs to
 * one thread at a time; models are const and may be shared by many contexts.
 *
 * Memory is one block used from both ends. Forward pushes activations (and the tape's nodes) upward from the
 * bottom; backward pushes gradients downward from the top. A segment (one block of the model) rewinds both
 * when its backward is done, so the top holds the gradients of one block at a time. Invariant: low <= high. If a
 * push would cross, `failed` sticks, ops do nothing from then on, and the step is void. Nothing is allocated
 * after the first step.
 *
 * A measuring context has no memory and kernels that do nothing: a pass through it only counts bytes. That is
 * how memory is planned, with the same code that runs.
 */
#ifndef LORAC_CONTEXT_H
#define LORAC_CONTEXT_H

#include "kernels.h"
#include "lorac.h"

/* A tensor that takes part in the computation. Base weights are vars with needs_grad false. Parameters that are
 * trained have a grad buffer of their own (real), to which backward adds. */
typedef struct var {
    tensor t;
    void *grad;                   /* dL/dt, same shape; NULL until the first writer */
    bool needs_grad;
    bool grad_written;            /* activations: false means `grad` is reserved but holds nothing yet */
} var;

typedef struct node {             /* one recorded operation; ops put their own struct around it */
    void (*back)(struct context *c, struct node *self);
    struct node *previous;
    var *out;
} node;

typedef struct context {
    const kernels *k;
    pool *pool;
    dtype act;                    /* type of activations */
    char *memory;                 /* NULL when measuring */
    size_t size, low, high, peak;
    bool measuring, failed;
    bool recording;               /* false: nothing is kept for a backward pass */
    bool recompute;               /* segments keep their input only and run again in backward */
    bool training;                /* dropout is active */
    uint64_t seed, step;          /* of dropout masks */
    node *last;                   /* the tape's end */
    const struct adapter_use *adapters; /* what linears add to their product; see nn/linear.h */
    int adapter_count;
} context;

typedef struct context_options {
    int threads;                  /* 0: all */
    dtype act;                    /* DT_F32, DT_BF16 (DT_F64 in the double build) */
    isa level;                    /* usually cpu_isa() */
    bool measuring;
} context_options;

int context_new(context **out, const context_options *options);
void context_free(context *c);
/* Sets aside `bytes` of memory for passes; drops what was there. No-op when measuring. */
int context_reserve(context *c, size_t bytes);
/* Forgets the tape and everything in memory. Call before each pass. */
void context_reset(context *c);
/* The failure of the pass since the reset: out of step memory (a bug in planning) or of scratch memory; else LORAC_OK. */
int context_status(const context *c);

/* ---- For ops ---- */

/* Step memory from the bottom; NULL when measuring or failed (then no kernel will touch it either). */
void *context_push(context *c, size_t bytes);
/* Scratch from the top, given back with context_mark/context_rewind. */
void *context_scratch(context *c, size_t bytes);
typedef struct context_marks { size_t low, high; } context_marks;
context_marks context_mark(const context *c);
void context_rewind_scratch(context *c, context_marks m);

var *var_new(context *c, dtype type, int ndim, const int64_t *dim);   /* in step memory; never NULL */
var *var_like(context *c, const var *x);
/* Records an operation when one of its inputs wants a gradient: returns a zeroed struct of `bytes` that starts with a node,
 * or NULL when there is nothing to record. */
void *record(context *c, size_t bytes, void (*back)(context *, node *), var *out, bool wanted);
/* Where dL/dx goes: p NULL when nobody wants it; add tells whether something is there already. Reserves memory at the first call. */
grad grad_of(context *c, const var *x);
/* Runs the tape backwards from the end to `until` (exclusive). */
void backward(context *c, const node *until);

/* fn as one unit of recomputation and of gradient memory. `env` and `self` must live until backward is done. */
typedef var *(*segment_fn)(void *env, const void *self, var *x);
var *segment(context *c, segment_fn fn, void *env, const void *self, var *x);

#endif
