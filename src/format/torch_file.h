/* torch_file.h: a dict of named tensors as torch.save writes it: a zip archive of a pickle and one entry per storage.
 * Reads only; nothing in the file is executed. Knows files, never models. */
#ifndef LORAC_TORCH_FILE_H
#define LORAC_TORCH_FILE_H

#include "arena.h"
#include "file.h"
#include "tensor.h"

typedef struct torch_file {
    const char *path;
    mapped file;
    size_t count;
    const char **names; /* in the dict's order */
    tensor *tensors;    /* dense; data points into the map, or to a copy of a transposed one. May be unaligned */
    arena memory;
} torch_file;

int torch_file_open(torch_file *out, const char *path);
void torch_file_close(torch_file *f);

#endif
