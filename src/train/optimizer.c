/* optimizer.c: the norm is summed tensor after tensor in double, so that it does not depend on threads. */
#include "optimizer.h"

#include "decompose.h"
#include "err.h"
#include "mem.h"
#include "op_linear.h"
#include "restore.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* (A Aᵀ + δ)⁻¹ / s², without directions that are nothing in f32: torch.linalg.pinv's cut. PEFT's LoraFAOptimizer. */
static int invert(optimizer *o, moments *m, const adapted *of)
{
    static const double delta = 1e-8;
    const int64_t r = of->rank, in = tensor_cols(&of->a->t);
    const real *a = of->a->t.data;
    double *square = mem_new((size_t)(r * r), sizeof *square), *vectors = mem_new((size_t)(r * r), sizeof *vectors);
    double *values = mem_new((size_t)r, sizeof *values);
    int status = square && vectors && values ? LORAC_OK : fail_memory();

    m->inverse = arena_new(&o->memory, (size_t)(r * r), sizeof *m->inverse);
    if (!m->inverse)
        status = fail_memory();
    for (int64_t i = 0; status == LORAC_OK && i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            double sum = i == j ? delta : 0;

            for (int64_t k = 0; k < in; k++)
                sum += (double)a[i * in + k] * (double)a[j * in + k];
            square[i * r + j] = sum;
        }
    if (status == LORAC_OK)
        status = decompose_symmetric(square, r, values, vectors);
    for (int64_t k = 0; status == LORAC_OK && k < r && values[k] > values[0] * (double)r * FLT_EPSILON; k++)
        for (int64_t i = 0; i < r * r; i++)
            m->inverse[i] += (real)(vectors[k * r + i / r] * vectors[k * r + i % r] / values[k] /
                                    ((double)of->scale * (double)of->scale));
    mem_free(square);
    mem_free(vectors);
    mem_free(values);
    return status;
}

/* LoRA+: B, and what is a vector, learn faster than A; the factors of embeddings have a rate of their own. As PEFT
 * groups them, biases do not decay. */
static void choose_rate(moments *m, const named_var *t, const lorac_train_options *options)
{
    m->rate = 1;
    m->decays = options->loraplus_lr_ratio == 0 || !slice_ends(slice_of(t->name), "bias");
    if (options->loraplus_lr_ratio == 0)
        return;
    if (t->role == ROLE_EMBEDDING && options->learning_rate > 0)
        m->rate = options->loraplus_lr_embedding / options->learning_rate;
    else if (t->role == ROLE_B || t->value->t.ndim == 1)
        m->rate = options->loraplus_lr_ratio;
}

static int add_state(optimizer *o, int i, const lorac_train_options *options)
{
    const named_var *t = &o->adapter->trainables[i];
    moments *m = &o->state[i];

    m->first = arena_new(&o->memory, (size_t)t->count, sizeof *m->first);
    m->second = arena_new(&o->memory, (size_t)t->count, sizeof *m->second);
    if (!m->first || !m->second)
        return fail_memory();
    choose_rate(m, t, options);
    return o->is_fa && t->role == ROLE_B && !t->of->turned ? invert(o, m, t->of) : LORAC_OK;
}

int optimizer_init(optimizer *o, const adapter *a, const lorac_train_options *options)
{
    static const double fa_epsilon = 1e-6; /* PEFT's, beside second moments that are not corrected */
    int64_t largest = 0;
    int status = LORAC_OK;

    *o = (optimizer){ .adapter = a,
                      .beta1 = options->beta1,
                      .beta2 = options->beta2,
                      .epsilon = options->epsilon,
                      .weight_decay = options->weight_decay,
                      .max_grad_norm = options->max_grad_norm,
                      .is_fa = options->optimizer && strcmp(options->optimizer, "lora-fa") == 0 };
    if (o->is_fa)
        o->epsilon = fa_epsilon;
    o->state = arena_new(&o->memory, (size_t)a->trainable_count, sizeof *o->state);
    for (int i = 0; o->state && i < a->trainable_count && status == LORAC_OK; i++) {
        largest = a->trainables[i].count > largest ? a->trainables[i].count : largest;
        status = add_state(o, i, options);
    }
    if (o->is_fa)
        o->turned = arena_new(&o->memory, (size_t)largest, sizeof *o->turned);
    if (status == LORAC_OK && (!o->state || (o->is_fa && !o->turned)))
        status = fail_memory();
    if (status != LORAC_OK)
        optimizer_free(o);
    return status;
}

void optimizer_free(optimizer *o)
{
    arena_free(&o->memory);
    *o = (optimizer){ 0 };
}

double optimizer_grad_norm(const optimizer *o, const kernels *k, pool *p)
{
    double sum = 0;

    for (int i = 0; i < o->adapter->trainable_count; i++) {
        const named_var *t = &o->adapter->trainables[i];

        sum += k->sum_squares(p, t->value->grad, t->count);
    }
    return sqrt(sum);
}

/* LoRA-FA decays what an update made, not what it found: (w - u)(1 - d) is w (1 - d) less a smaller u. */
static void set_rate(adamw_step *step, const optimizer *o, const moments *m, double learning_rate)
{
    const double rate = learning_rate * m->rate, decay = m->decays ? rate * o->weight_decay : 0;
    const double taken = o->is_fa ? rate * (1 - decay) : rate;

    step->learning_rate = (real)taken;
    step->weight_decay = taken > 0 ? (real)(decay / taken) : 0;
}

void optimizer_step(optimizer *o, const kernels *k, pool *p, double learning_rate, double grad_norm)
{
    double clip = o->max_grad_norm > 0 ? fmin(1, o->max_grad_norm / (grad_norm + 1e-6)) : 1;
    adamw_step step = {
        .beta1 = (real)o->beta1, .beta2 = (real)o->beta2, .epsilon = (real)o->epsilon, .scale = (real)clip
    };

    o->updates++;
    /* From the betas as rounded: 1 - beta2 is small, and the mean it makes must be divided by its own weights' sum. */
    step.correction1 = (real)(1 - pow((double)step.beta1, (double)o->updates));
    step.correction2 = (real)(1 - pow((double)step.beta2, (double)o->updates));
    if (o->is_fa)
        step.epsilon /= (real)sqrt((double)step.correction2);
    for (int i = 0; i < o->adapter->trainable_count; i++) {
        const named_var *t = &o->adapter->trainables[i];
        const moments *m = &o->state[i];
        const real *g = t->value->grad;

        set_rate(&step, o, m, learning_rate);
        if (m->inverse) {
            const int64_t r = t->of->rank, rows = t->count / r;

            k->gemm(p, real_matrix(o->turned, rows, r), real_matrix(g, rows, r), 0, real_matrix(m->inverse, r, r), 0, 1,
                    0);
            g = o->turned;
        }
        k->adamw(p, t->value->t.data, m->first, m->second, g, t->count, &step);
    }
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

/* The state as tensors with names: pairs, in the order of the trainables. */
static int list_state(const optimizer *o, arena *memory, const char ***names, tensor **tensors)
{
    int count = o->adapter->trainable_count;

    *names = arena_new(memory, (size_t)count * 2, sizeof **names);
    *tensors = arena_new(memory, (size_t)count * 2, sizeof **tensors);
    for (int i = 0; *names && *tensors && i < count; i++) {
        const named_var *t = &o->adapter->trainables[i];

        for (int second = 0; second < 2; second++) {
            tensor *out = &(*tensors)[2 * i + second];

            *out = t->value->t;
            out->data = second ? o->state[i].second : o->state[i].first;
            (*names)[2 * i + second] = arena_format(memory, "%s.%s", t->name, second ? "second" : "first");
            if (!(*names)[2 * i + second])
                return fail_memory();
        }
    }
    return *names && *tensors ? LORAC_OK : fail_memory();
}

int optimizer_save(const optimizer *o, const char *path)
{
    arena memory = { 0 };
    const char **names;
    tensor *tensors;
    int status = list_state(o, &memory, &names, &tensors);

    if (status == LORAC_OK)
        status = safetensors_save(path, names, tensors, (size_t)o->adapter->trainable_count * 2);
    arena_free(&memory);
    return status;
}

int optimizer_load(optimizer *o, const char *path, int64_t updates)
{
    arena memory = { 0 };
    const char **names;
    tensor *tensors;
    int status = list_state(o, &memory, &names, &tensors);

    if (status == LORAC_OK)
        status = restore_tensors(path, names, tensors, (size_t)o->adapter->trainable_count * 2);
    if (status == LORAC_OK)
        o->updates = updates;
    arena_free(&memory);
    return status;
}
