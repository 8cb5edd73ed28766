/* optimizer.c: the norm is summed tensor after tensor in double, so that it does not depend on threads. */
#include "optimizer.h"

#include "err.h"
#include "mem.h"
#include "restore.h"

#include <math.h>

int optimizer_init(optimizer *o, const adapter *a, const lorac_train_options *options)
{
    *o = (optimizer){ .adapter = a,
                      .beta1 = options->beta1,
                      .beta2 = options->beta2,
                      .epsilon = options->epsilon,
                      .weight_decay = options->weight_decay,
                      .max_grad_norm = options->max_grad_norm };
    o->state = arena_new(&o->memory, (size_t)a->trainable_count, sizeof *o->state);
    for (int i = 0; o->state && i < a->trainable_count; i++) {
        o->state[i].first = arena_new(&o->memory, (size_t)a->trainables[i].count, sizeof(real));
        o->state[i].second = arena_new(&o->memory, (size_t)a->trainables[i].count, sizeof(real));
        if (!o->state[i].first || !o->state[i].second)
            o->state = NULL;
    }
    if (o->state)
        return LORAC_OK;
    optimizer_free(o);
    return fail_memory();
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

void optimizer_step(optimizer *o, const kernels *k, pool *p, double learning_rate, double grad_norm)
{
    double clip = o->max_grad_norm > 0 ? fmin(1, o->max_grad_norm / (grad_norm + 1e-6)) : 1;
    adamw_step step = { .learning_rate = (real)learning_rate,
                        .beta1 = (real)o->beta1,
                        .beta2 = (real)o->beta2,
                        .epsilon = (real)o->epsilon,
                        .weight_decay = (real)o->weight_decay,
                        .scale = (real)clip };

    o->updates++;
    /* From the betas as rounded: 1 - beta2 is small, and the mean it makes must be divided by its own weights' sum. */
    step.correction1 = (real)(1 - pow((double)step.beta1, (double)o->updates));
    step.correction2 = (real)(1 - pow((double)step.beta2, (double)o->updates));
    for (int i = 0; i < o->adapter->trainable_count; i++) {
        const named_var *t = &o->adapter->trainables[i];

        k->adamw(p, t->value->t.data, o->state[i].first, o->state[i].second, t->value->grad, t->count, &step);
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
