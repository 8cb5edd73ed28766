/* Any bytes as a file of torch.save: refused, or every tensor readable to its last byte under a printable name, and no
 * larger than the file. */
#include "input.h"
#include "torch_file.h"

#include "err.h"

#include <string.h>

static volatile uint8_t last_byte; /* so that the reads stay */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    torch_file f;

    if (torch_file_open(&f, input_file(data, size)) != LORAC_OK) {
        ALWAYS(lorac_last_error()->message[0] != '\0' && lorac_last_error()->file);
        return 0;
    }
    for (size_t i = 0; i < f.count; i++) {
        const tensor *t = &f.tensors[i];
        const uint8_t *p = t->data;
        int64_t bytes = tensor_bytes(t);

        ALWAYS(bytes >= 0 && (size_t)bytes <= size);
        for (int64_t at = 0; at < bytes; at++)
            last_byte = p[at];
        for (const char *c = f.names[i]; *c; c++)
            ALWAYS((unsigned char)*c >= 0x20);
    }
    torch_file_close(&f);
    return 0;
}
