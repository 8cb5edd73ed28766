/* adapter.c: gradient buffers of an adapter. */
#include "adapter.h"

#include "err.h"

#include <string.h>

void adapter_freeze_a(adapter *a)
{
    int left = 0;
    for (int i = 0; i < a->trainable_count; i++) {
        if (a->trainables[i].role != ROLE_A) {
            a->trainables[left++] = a->trainables[i];
            continue;
        }
        a->parameters -= a->trainables[i].count;
        a->kept[a->kept_count++] = a->trainables[i];
    }
    a->trainable_count = left;
}

int adapter_make_trainable(adapter *a)
{
    for (int i = 0; i < a->trainable_count; i++) {
        var *v = a->trainables[i].value;
        v->grad = arena_new(&a->memory, (size_t)a->trainables[i].count, sizeof(real));
        if (!v->grad)
            return fail_memory();
        v->needs_grad = v->grad_written = true;
    }
    for (int i = 0; i < a->alias_count; i++) {
        var *is = a->aliases[i].is;
        const var *of = a->aliases[i].of;
        if (a->aliases[i].transposed)
            continue;
        is->grad = of->grad;
        is->needs_grad = of->needs_grad;
        is->grad_written = of->grad_written;
    }
    return LORAC_OK;
}

void adapter_zero_grad(adapter *a)
{
    for (int i = 0; i < a->trainable_count; i++)
        memset(a->trainables[i].value->grad, 0, (size_t)a->trainables[i].count * sizeof(real));
}
