/* pieces.h: every tensor of a model in order, under the name the output gives it, and its rows as they will stand
 * there. The writers of both formats walk this list. */
#ifndef LORAC_PIECES_H
#define LORAC_PIECES_H

#include "arch.h"
#include "export.h"

typedef struct piece {
    const char *name;
    var source; /* as the model has it */
    dtype type; /* as it is to be written, with these dimensions */
    int ndim;
    int64_t dim[2];
    bool turned;      /* a matrix that is to be written as [in, out] */
    bool is_bias;     /* of its module; else the weight */
    int slot;         /* of the module, for adapters */
    bool paired_rows; /* llama.cpp's order of rotary rows is wanted */
} piece;

typedef struct pieces {
    const export_plan *plan;
    piece *list;
    size_t count;
    arena memory;
} pieces;

/* True when the head has to be written apart although the model ties it: an adapter changes one of the two. */
bool head_is_untied(const export_plan *plan);
int pieces_new(pieces *out, const export_plan *plan, bool for_gguf);
void pieces_free(pieces *p);

/* Takes the bytes of all tensors in order, in parts of any size; called by the caller's thread alone. */
typedef int (*piece_sink)(void *to, const void *bytes, size_t count);
int pieces_write(const pieces *p, piece_sink sink, void *to, export_loss *loss);
/* The row of a rotary weight that stands at `row` in llama.cpp's order. */
int64_t paired_row(int64_t row, int64_t head_size);

#endif
