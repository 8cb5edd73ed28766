/* restore.c: everything is checked before the first byte is copied, so a failure changes nothing. */
#include "restore.h"

#include "err.h"

#include <string.h>

static int check_tensor(const char *path, const char *name, const tensor *found, const tensor *wanted)
{
    char found_shape[64], wanted_shape[64];

    if (!found)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .key = name }, "a tensor of the run is missing");
    if (found->type == wanted->type && found->ndim == wanted->ndim &&
        !memcmp(found->dim, wanted->dim, (size_t)wanted->ndim * sizeof *wanted->dim))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = path,
                            .key = name,
                            .found = tensor_shape(found, found_shape),
                            .expected = tensor_shape(wanted, wanted_shape) },
                   "a tensor does not have the type and shape that the run has");
}

int restore_tensors(const char *path, const char *const *names, const tensor *tensors, size_t count)
{
    safetensors file;
    int status = LORAC_OK;

    TRY(safetensors_open(&file, path));
    if (file.count != count)
        status =
            fail_at(LORAC_ERROR_DATA, (fault){ .file = path }, "%zu tensors, where the run has %zu", file.count, count);
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        status = check_tensor(path, names[i], safetensors_find(&file, names[i]), &tensors[i]);
    for (size_t i = 0; i < count && status == LORAC_OK; i++)
        memcpy(tensors[i].data, safetensors_find(&file, names[i])->data, (size_t)tensor_bytes(&tensors[i]));
    safetensors_close(&file);
    return status;
}
