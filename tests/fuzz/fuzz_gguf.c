/* Any bytes as a GGUF file: refused, or every value and tensor inside the file and readable by the getters of its type.
 */
#include "gguf.h"
#include "input.h"

#include "err.h"

#include <string.h>

static void check_inside(const gguf *g, const void *p, uint64_t bytes)
{
    const uint8_t *start = p;

    ALWAYS(start >= g->file.p && start <= g->file.p + g->file.n);
    ALWAYS(bytes <= (uint64_t)(g->file.p + g->file.n - start));
}

static void read_value(const gguf *g, const gguf_value *v)
{
    int64_t number = 0;
    double fraction = 0;
    bool truth = false;
    slice text = { 0 };

    ALWAYS(gguf_find(g, v->key) == v);
    check_inside(g, v->p, gguf_value_bytes(v));
    gguf_take_int(g, v->key, -1000, 1000, &number);
    gguf_take_real(g, v->key, &fraction);
    gguf_take_bool(g, v->key, &truth);
    gguf_take_text(g, v->key, &text);
    ALWAYS(number >= -1000 && number <= 1000);
    for (uint64_t i = 0; i < v->count; i++) {
        if (v->element == GGUF_STRING)
            check_inside(g, gguf_string(v, i).p, gguf_string(v, i).n);
        else if (v->element == GGUF_F32 || v->element == GGUF_F64)
            fraction += gguf_real(v, i);
        else
            number ^= gguf_int(v, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf g;

    if (gguf_open(&g, input_file(data, size)) != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0] != '\0' && lorac_last_error()->file);
        return 0;
    }
    for (size_t i = 0; i < g.value_count; i++)
        read_value(&g, &g.values[i]);
    for (size_t i = 0; i < g.tensor_count; i++) {
        const tensor *t = &g.tensors[i];

        ALWAYS(gguf_tensor(&g, g.names[i]) == t);
        ALWAYS(tensor_bytes(t) > 0 && (uintptr_t)t->data % 8 == 0);
        check_inside(&g, t->data, (uint64_t)tensor_bytes(t));
    }
    gguf_close(&g);
    return 0;
}
