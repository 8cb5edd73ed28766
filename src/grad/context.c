/* context.c: the two-ended memory and the tape. */
#include "context.h"

#include "err.h"
#include "mem.h"

#include <string.h>

enum { ALIGNMENT = 64, STRUCT_BYTES = 16 << 20 };

/* Vars and nodes: small, and needed while measuring too, so they have a place of their own. Untouched pages of it cost
 * nothing. */
struct stack {
    char *p;
    size_t used;
};

/* What a measuring or failed context hands out: an address that no kernel will touch. */
static char *const nowhere = (char *)ALIGNMENT;

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int context_new(context **out, const context_options *options)
{
    context *c = mem_new(1, sizeof *c);
    if (!c)
        return fail_memory();
    *out = c;
    c->act = options->act;
    c->measuring = options->measuring;
    c->kernels = options->measuring ? kernels_none(c->act) : kernels_for(options->level, c->act);
    c->structs = mem_new(1, sizeof *c->structs);
    if (c->structs)
        c->structs->p = mem_pages(STRUCT_BYTES);
    int status =
        c->structs && c->structs->p ? pool_new(&c->pool, options->measuring ? 1 : options->threads) : fail_memory();
    if (status != LORAC_OK) {
        context_free(c);
        *out = NULL;
        return status;
    }
    context_reset(c);
    return LORAC_OK;
}

void context_free(context *c)
{
    if (!c)
        return;
    if (c->structs && c->structs->p)
        mem_pages_free(c->structs->p, STRUCT_BYTES);
    mem_free(c->structs);
    if (c->memory)
        mem_pages_free(c->memory, c->size);
    pool_free(c->pool);
    mem_free(c);
}

void context_profile(context *c, profile *p, int64_t vocabulary)
{
    profile_attach(p, c->pool, c->kernels, vocabulary);
    c->kernels = kernels_timed(c->act);
    context_reset(c);
}

int context_reserve(context *c, size_t bytes)
{
    assert(!c->measuring);
    if (c->memory)
        mem_pages_free(c->memory, c->size);
    c->size = aligned(bytes);
    c->memory = mem_pages(c->size);
    if (!c->memory) {
        c->size = 0;
        return fail(LORAC_ERROR_MEMORY, "cannot get %zu MiB of memory for activations", bytes >> 20);
    }
    context_reset(c);
    return LORAC_OK;
}

void context_reset(context *c)
{
    c->low = c->high = c->peak = c->structs->used = 0;
    c->last = NULL;
    c->failed = false;
    c->k = c->kernels;
}

int context_status(const context *c)
{
    if (c->failed)
        return fail(LORAC_ERROR_RUNTIME, "a pass needed more than the %zu MiB that were planned for it", c->size >> 20);
    if (pool_failed(c->pool))
        return fail_memory();
    return LORAC_OK;
}

bool context_computes(const context *c)
{
    return !c->measuring && !c->failed;
}

/* Takes `bytes` at one end; true when they are there. */
static bool take(context *c, size_t *end, size_t bytes)
{
    bytes = aligned(bytes);
    if (!c->measuring && bytes > c->size - c->low - c->high) {
        c->failed = true;
        c->k = kernels_none(c->act);
    }
    if (c->failed)
        return false;
    *end += bytes;
    if (c->low + c->high > c->peak)
        c->peak = c->low + c->high;
    return !c->measuring;
}

void *context_push(context *c, size_t bytes)
{
    size_t start = c->low;
    return take(c, &c->low, bytes) ? c->memory + start : nowhere;
}

void *context_scratch(context *c, size_t bytes)
{
    return take(c, &c->high, bytes) ? c->memory + c->size - c->high : nowhere;
}

context_mark context_here(const context *c)
{
    return (context_mark){ c->low, c->high, c->structs->used };
}

void context_rewind_low(context *c, context_mark mark)
{
    c->low = mark.low;
    c->structs->used = mark.structs;
}

void context_rewind_high(context *c, context_mark mark)
{
    c->high = mark.high;
}

/* Structs of one pass are a few hundred bytes per op and layer; the room is for tens of thousands of layers. */
static void *struct_new(context *c, size_t bytes)
{
    bytes = (bytes + 15) / 16 * 16;
    assert(c->structs->used + bytes <= STRUCT_BYTES);
    void *p = c->structs->p + c->structs->used;
    c->structs->used += bytes;
    return memset(p, 0, bytes);
}

var *var_new(context *c, dtype type, int ndim, const int64_t *dim)
{
    var *v = struct_new(c, sizeof *v);
    v->t.type = type;
    v->t.ndim = ndim;
    if (ndim > 0)
        memcpy(v->t.dim, dim, (size_t)ndim * sizeof *dim);
    v->t.data = context_push(c, (size_t)tensor_bytes(&v->t));
    return v;
}

var *var_matrix(context *c, int64_t rows, int64_t cols)
{
    return var_new(c, c->act, 2, (int64_t[]){ rows, cols });
}

void *record(context *c, op_kind op, size_t bytes, var *out, bool wanted)
{
    if (!c->recording || !wanted)
        return NULL;
    node *n = struct_new(c, bytes);
    n->op = op;
    n->previous = c->last;
    n->out = out;
    out->needs_grad = true;
    return c->last = n;
}

grad grad_of(context *c, const var *x)
{
    if (!x->needs_grad)
        return (grad){ NULL, 0 };
    var *v = (var *)x; /* weights are const for everyone; those that want a gradient are parameters */
    if (!v->grad)
        v->grad = context_scratch(c, (size_t)tensor_bytes(&v->t));
    grad g = { v->grad, v->grad_written };
    v->grad_written = true;
    return g;
}

static void (*const backs[OP_KINDS])(context *, node *) = {
#define OP(name) [OP_##name] = op_##name##_back,
#include "ops.def"
#undef OP
};

void backward(context *c)
{
    while (c->last) {
        node *n = c->last;
        c->last = n->previous;
        if (n->out->grad_written)
            backs[n->op](c, n);
    }
}

/* ---- Segments ---- */

typedef struct segment_node {
    node base;
    node *inner; /* the end of the segment's own tape; NULL: run fn again */
    segment_fn fn;
    void *env;
    const void *self;
    var *x;
} segment_node;

/* fn's result in memory below its temporaries, which are given back. */
static var *run_and_keep_output(context *c, segment_fn fn, void *env, const void *self, var *x, bool *recorded)
{
    var *y = var_new(c, x->t.type, x->t.ndim, x->t.dim);
    context_mark mark = context_here(c);
    node *before = c->last;
    c->last = NULL;
    var *result = fn(env, self, x);
    *recorded = c->last != NULL;
    c->last = before;
    c->k->accumulate(c->pool, (grad){ y->t.data, 0 }, result->t.data, tensor_count(&y->t));
    context_rewind_low(c, mark);
    return y;
}

var *segment(context *c, segment_fn fn, void *env, const void *self, var *x)
{
    node *before = c->last, *inner = NULL;
    bool recorded;
    var *y;
    if (c->recording && !c->recompute) {
        c->last = NULL;
        y = fn(env, self, x);
        inner = c->last;
        c->last = before;
        recorded = inner != NULL;
    } else {
        y = run_and_keep_output(c, fn, env, self, x, &recorded);
    }
    segment_node *n = record(c, OP_segment, sizeof *n, y, recorded);
    if (n) {
        n->inner = inner;
        n->fn = fn;
        n->env = env;
        n->self = self;
        n->x = x;
    }
    return y;
}

/* dy stands at the top's edge. The inner tape leaves dx somewhere behind it; dx moves to where dy was, and everything
 * else of the segment is given back. */
void op_segment_back(context *c, node *self)
{
    segment_node *s = (segment_node *)self;
    var *y = s->base.out;
    size_t bytes = aligned((size_t)tensor_bytes(&y->t));
    bool movable = !s->x->grad;
    assert(!context_computes(c) || (char *)y->grad == c->memory + c->size - c->high);
    context_mark start = context_here(c);
    node *before = c->last;
    c->last = s->inner;
    if (!s->inner) {
        var *again = s->fn(s->env, s->self, s->x);
        again->grad = y->grad;
        again->grad_written = true;
    }
    backward(c);
    c->last = before;
    if (!s->inner)
        context_rewind_low(c, start);
    if (!movable)
        return;
    if (!s->x->grad_written) {
        start.high -= bytes;
    } else {
        assert(s->x->grad);
        if (context_computes(c))
            memcpy(y->grad, s->x->grad, (size_t)tensor_bytes(&s->x->t));
        s->x->grad = y->grad;
    }
    context_rewind_high(c, start);
}
