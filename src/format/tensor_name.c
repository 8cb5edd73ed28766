/* tensor_name.c: the one rule for names that every format shares. */
#include "tensor_name.h"

#include "err.h"

enum { NAME_LIMIT = 4096 };

int tensor_name_check(const char *path, slice name)
{
    if (name.n > NAME_LIMIT)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .expected = "at most 4096" },
                       "a tensor's name has %zu bytes", name.n);
    for (size_t at = 0; at < name.n;) {
        size_t start = at;
        uint32_t codepoint = utf8_next(name, &at);

        if (codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = path, .expected = "printable characters" },
                           "a tensor's name holds the control character U+%04X at its byte %zu", codepoint, start);
    }
    return LORAC_OK;
}
