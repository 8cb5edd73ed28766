/* adapt_write.c: an adapter as PEFT's folder. */
#include "adapt_parts.h"

#include "adapt_first.h"
#include "err.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const filed_tensor *)a)->name, ((const filed_tensor *)b)->name);
}

static void refresh_copies(const adapter *a)
{
    for (int i = 0; i < a->alias_count; i++) {
        const struct alias *alias = &a->aliases[i];
        const int64_t rows = tensor_rows(&alias->of->t), cols = tensor_cols(&alias->of->t);
        for (int64_t r = 0; r < rows && alias->transposed; r++)
            for (int64_t c = 0; c < cols; c++)
                ((real *)alias->is->t.data)[c * rows + r] = ((const real *)alias->of->t.data)[r * cols + c];
    }
}

static int save_tensors(const adapter *a, const char *path)
{
    const size_t n = (size_t)a->trainable_count + (size_t)a->kept_count;
    arena memory = { 0 };
    filed_tensor *filed = arena_new(&memory, n, sizeof *filed);
    const char **names = arena_new(&memory, n, sizeof *names);
    tensor *tensors = arena_new(&memory, n, sizeof *tensors);
    refresh_copies(a);
    int status = filed && names && tensors ? adapter_filed(filed, a, &memory) : fail_memory();
    if (status == LORAC_OK) {
        qsort(filed, n, sizeof *filed, by_name);
        for (size_t i = 0; i < n; i++) {
            names[i] = filed[i].name;
            tensors[i] = filed[i].t;
        }
        status = safetensors_save(path, names, tensors, n);
    }
    arena_free(&memory);
    return status;
}

/* all-linear is written as what it came to: the last components of the adapted modules' names. */
static int resolve_all_linear(peft_config *copy, const adapter *a, const model *m, arena *memory)
{
    if (!peft_is_all_linear(copy))
        return LORAC_OK;
    copy->target_regex = NULL;
    copy->targets = arena_new(memory, (size_t)m->module_count, sizeof *copy->targets);
    if (!copy->targets)
        return fail_memory();
    for (int slot = 0; slot < m->module_count; slot++) {
        const char *name = slice_last(slice_of(m->modules[slot]->name), '.').p;
        bool known = !a->modules[slot].a;
        for (size_t i = 0; i < copy->target_count && !known; i++)
            known = strcmp(copy->targets[i], name) == 0;
        if (!known)
            copy->targets[copy->target_count++] = name;
    }
    return LORAC_OK;
}

/* PEFT's word for Conv1D, whose weights it finds turned. */
static bool is_for_conv1d(const adapter *a, const model *m)
{
    for (int slot = 0; slot < m->module_count; slot++)
        if (a->modules[slot].a && m->modules[slot]->kind == MODULE_CONV1D)
            return true;
    return false;
}

int adapter_save(const adapter *a, const model *m, const peft_config *config, const char *folder)
{
    peft_config resolved;
    arena names = { 0 };
    buf path = { 0 };
    const char *joined = path_join(&path, folder, "adapter_model.safetensors");
    int status = joined ? save_tensors(a, joined) : fail_memory();
    if (status == LORAC_OK)
        status = adapter_complete(&resolved, config, m, &names);
    if (status == LORAC_OK && a->takes)
        status = adapter_filed_config(&resolved, &names);
    if (status == LORAC_OK)
        status = resolve_all_linear(&resolved, a, m, &names);
    if (status == LORAC_OK) {
        resolved.fan_in_fan_out = is_for_conv1d(a, m);
        joined = path_join(&path, folder, "adapter_config.json");
        status = joined ? peft_config_write(&resolved, joined) : fail_memory();
    }
    arena_free(&names);
    buf_free(&path);
    return status;
}
