/* api_adapters.c: lorac_adapters: PEFT's adapter management. */
#include "api.h"

struct lorac_adapters {
    adapter_set *s;
};

const adapter_set *set_of(const lorac_adapters *handle)
{
    return handle ? handle->s : NULL;
}

lorac_status lorac_adapters_new(lorac_adapters **out, const lorac_model *base)
{
    *out = NULL;
    lorac_adapters *handle = mem_new(1, sizeof *handle);
    if (!handle)
        return fail_memory();
    int status = adapter_set_new(&handle->s, base->m);
    if (status == LORAC_OK)
        *out = handle;
    else
        mem_free(handle);
    return status;
}

void lorac_adapters_free(lorac_adapters *handle)
{
    if (!handle)
        return;
    adapter_set_free(handle->s);
    mem_free(handle);
}

const char *lorac_adapters_notes(const lorac_adapters *handle)
{
    return handle->s->notes.n ? handle->s->notes.p : "";
}

lorac_status lorac_add_adapter(lorac_adapters *handle, const char *name, const char *config_path, int64_t seed)
{
    return adapter_set_add(handle->s, name, config_path, (uint64_t)seed);
}

lorac_status lorac_load_adapter(lorac_adapters *handle, const char *path, const char *name, int is_trainable)
{
    return adapter_set_load(handle->s, path, name, is_trainable != 0);
}

lorac_status lorac_save_adapter(lorac_adapters *handle, const char *name, const char *folder)
{
    return adapter_set_save(handle->s, name, folder);
}

lorac_status lorac_set_adapter(lorac_adapters *handle, const char *const *names, size_t count)
{
    return adapter_set_activate(handle->s, names, count);
}

lorac_status lorac_set_scale(lorac_adapters *handle, const char *name, double scale)
{
    return adapter_set_scale(handle->s, name, scale);
}

void lorac_disable_adapters(lorac_adapters *handle, int disable)
{
    adapter_set_disable(handle->s, disable != 0);
}

lorac_status lorac_delete_adapter(lorac_adapters *handle, const char *name)
{
    return adapter_set_delete(handle->s, name);
}

lorac_status lorac_hotswap_adapter(lorac_adapters *handle, const char *path, const char *name)
{
    return adapter_set_hotswap(handle->s, path, name);
}

lorac_status lorac_set_requires_grad(lorac_adapters *handle, const char *name, int on)
{
    return adapter_set_require_grad(handle->s, name, on != 0);
}

/* ---- Merging ---- */

lorac_status lorac_merge_adapters(lorac_adapters *handle, const char *const *names, size_t count, int safe)
{
    return adapter_set_merge(handle->s, names, count, safe != 0);
}

void lorac_unmerge_adapters(lorac_adapters *handle)
{
    adapter_set_unmerge(handle->s);
}

void lorac_unload(lorac_adapters *handle)
{
    adapter_set_unload(handle->s);
}

lorac_status lorac_merge_and_unload(lorac_adapters *handle, const char *const *names, size_t count, const char *output,
                                    const lorac_merge_options *options, lorac_merge_report *report)
{
    adapter_list list;
    adapter_use uses[ADAPTERS_MAX];
    TRY(adapter_set_mergeable(handle->s, names, count, &list));
    for (size_t i = 0; i < list.count; i++)
        uses[i] = (adapter_use){ list.of[i]->a, (real)list.of[i]->weight, 0, -1 };
    TRY(merge_to_file(handle->s->m, uses, list.count, output, options, report));
    adapter_set_unload(handle->s);
    return LORAC_OK;
}

/* ---- Reports ---- */

void lorac_trainable_parameters(const lorac_adapters *handle, int64_t *trainable, int64_t *all)
{
    const parameter_counts counts = adapter_set_counts(handle->s);
    *trainable = counts.trainable;
    *all = counts.all;
}

lorac_status lorac_adapter_status(const lorac_adapters *handle, char **json)
{
    json_t *root;
    *json = NULL;
    TRY(adapter_set_status(handle->s, &root));
    int status = json_text_of(root, json);
    json_decref(root);
    return status;
}
