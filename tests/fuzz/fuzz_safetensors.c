/* Any bytes as a safetensors file: refused, or every tensor inside the file, found by its name, and together all of the
 * data. */
#include "input.h"
#include "safetensors.h"

#include "err.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t header, total = 0;
    safetensors s;

    if (safetensors_open(&s, input_file(data, size)) != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0] != '\0' && lorac_last_error()->file);
        return 0;
    }
    memcpy(&header, s.file.p, sizeof header);
    for (size_t i = 0; i < s.count; i++) {
        const tensor *t = &s.tensors[i];
        const uint8_t *p = t->data;

        ALWAYS(safetensors_find(&s, s.names[i]) == t);
        ALWAYS(p == s.file.p + 8 + header + total);
        total += (uint64_t)tensor_bytes(t);
        ALWAYS(tensor_bytes(t) == 0 || p[tensor_bytes(t) - 1] == data[8 + header + total - 1]);
        ALWAYS(tensor_rows(t) * tensor_cols(t) == tensor_count(t));
    }
    ALWAYS(8 + header + total == size);
    ALWAYS(s.metadata.n == 0 || s.metadata.p[0] == '{');
    safetensors_close(&s);
    return 0;
}
