/* adapter_parts.h: what the readers of adapter_file.c share. Each fills format, path and the tensors, and alpha or
 * factor where there is no PEFT configuration. */
#ifndef LORAC_ADAPTER_PARTS_H
#define LORAC_ADAPTER_PARTS_H

#include "adapter_file.h"

/* Finds tensors by the names they have now. */
int adapter_file_index(adapter_file *f);
/* Is this the name of a pair's A or B? */
bool adapter_is_half(slice name);
/* Room for `count` tensors. */
int adapter_file_reserve(adapter_file *f, size_t count);
/* Adds a tensor of a module as its A or B. */
int adapter_file_add(adapter_file *f, slice module, const char *suffix, const tensor *t);
/* A pair must be matrices that fit each other: `inner` dimensions of A and of B are both the rank. */
int adapter_pair_check(const adapter_file *f, const char *a_name, const tensor *a, int a_inner, const char *b_name,
                       const tensor *b, int b_inner);

/* A matrix [rows, columns] as [columns, rows]; of a type whose numbers stand alone. */
int adapter_transpose(arena *memory, const tensor *from, tensor *to);

int adapter_mlx_open(adapter_file *f, const char *folder, buf *notes);
int adapter_gguf_open(adapter_file *f, const char *path);
int adapter_loralib_open(adapter_file *f, const char *path);

#endif
