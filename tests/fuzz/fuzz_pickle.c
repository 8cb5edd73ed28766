/* Any bytes as a pickle: refused, or a tree whose texts lie in the bytes and whose names are the allowed ones. */
#include "input.h"
#include "pickle.h"

#include "err.h"

#include <string.h>

/* Values may be shared and may contain themselves: the walk has a depth and a number of steps. */
static void walk(const pickle_value *v, slice bytes, int depth, int *steps)
{
    ALWAYS(v->kind != PICKLE_MARK);
    if (v->kind == PICKLE_TEXT)
        ALWAYS(v->text.p >= bytes.p && v->text.n <= (size_t)(bytes.p + bytes.n - v->text.p));
    if (v->kind == PICKLE_GLOBAL)
        ALWAYS(slice_is(v->text, "torch.FloatStorage") || slice_is(v->text, "collections.OrderedDict"));
    if (v->kind == PICKLE_CALL)
        ALWAYS(v->count == 2 && v->items[0]->kind == PICKLE_GLOBAL && v->items[1]->kind == PICKLE_TUPLE);
    if (v->kind == PICKLE_DICT)
        ALWAYS(v->count % 2 == 0);
    if (v->kind < PICKLE_TUPLE || v->kind == PICKLE_GLOBAL || depth == 0)
        return;
    for (size_t i = 0; i < v->count && --*steps > 0; i++)
        walk(v->items[i], bytes, depth - 1, steps);
}

static bool is_allowed(slice name)
{
    return slice_is(name, "torch.FloatStorage");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const slice all = { (const char *)data, size };
    slice rest = all;
    arena memory = { 0 };
    pickle_value *root;
    int steps = 100000;

    if (pickle_read(&root, &rest, is_allowed, "input", &memory) == LORAC_OK) {
        ALWAYS(rest.p > all.p && rest.p + rest.n == all.p + all.n);
        walk(root, all, 30, &steps);
    } else {
        ALWAYS(lorac_last_error()->message[0] != '\0' && strcmp(lorac_last_error()->file, "input") == 0);
    }
    arena_free(&memory);
    return 0;
}
