/* adapt_translate.c: the modules of another program's adapter under the model's names. llama.cpp's have names of their
 * own and the rows of q and k in another order: the family's table says both; the loader of GGUF models reads the same
 * one. mlx-lm calls every model's body "model". */
#include "adapt.h"

#include "arch.h"
#include "err.h"

#include <stdio.h>
#include <string.h>

static int check_architecture(const adapter_file *f, const model *m)
{
    slice name = { 0 };
    char found[64];
    TRY(gguf_take_text(&f->gguf, "general.architecture", &name));
    if (slice_is(name, m->family->name))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = f->path,
                            .key = "general.architecture",
                            .found = slice_put(name, found, sizeof found),
                            .expected = m->family->name },
                   "the adapter was made for a model of another architecture");
}

/* "blk.3.attn_q" to its layer and row of the table; NULL for what is no layer's linear. */
static const param *find_param(const model *m, slice stem, int64_t *layer)
{
    if (!slice_starts(stem, "blk."))
        return NULL;
    slice rest = { stem.p + 4, stem.n - 4 }, digits = slice_cut(&rest, '.');
    *layer = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || *layer > m->config.layers)
            return NULL;
        *layer = *layer * 10 + digits.p[i] - '0';
    }
    if (digits.n == 0 || *layer >= m->config.layers)
        return NULL;
    for (const param *q = m->family->layer; q->name; q++)
        if (q->kind == PARAM_LINEAR && slice_is(rest, q->gguf))
            return q;
    return NULL;
}

static int translate_gguf(adapter_file *f, size_t i, const model *m)
{
    slice name = slice_of(f->names[i]);
    bool is_b = slice_ends(name, PEFT_B), embedding = slice_starts(name, PEFT_PREFIX "token_embd.");
    const char *suffix = embedding ? strrchr(f->names[i], '.') : is_b ? PEFT_B : PEFT_A;
    slice stem = { name.p + strlen(PEFT_PREFIX), name.n - strlen(PEFT_PREFIX) - strlen(suffix) };
    int64_t layer;
    const param *q = find_param(m, stem, &layer);
    tensor *t = &f->tensors[i];
    if (q)
        f->names[i] =
            arena_format(&f->memory, PEFT_PREFIX "%s.%lld.%s%s", m->family->layers, (long long)layer, q->name, suffix);
    else if (embedding)
        f->names[i] = arena_format(&f->memory, PEFT_PREFIX "%s%s", m->family->embedding, suffix);
    else if (slice_is(stem, "output"))
        f->names[i] = arena_format(&f->memory, PEFT_PREFIX "lm_head%s", suffix);
    else
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = f->path, .key = f->gguf.names[i], .hint = "the adapter was made for another base model" },
            "the adapter has a tensor for a module that the model does not have");
    if (!f->names[i])
        return fail_memory();
    /* Rows of another number are refused with their shape when the factors are read. */
    if (q && is_b && q->layout == LAYOUT_PAIRED && t->dim[0] == config_size(&m->config, q->out))
        return reorder_rows(&f->memory, t, m->config.head_size);
    return LORAC_OK;
}

/* "model.h.0.attn.c_attn" to "transformer.h.0.attn.c_attn". */
static int translate_mlx(adapter_file *f, size_t i, const model *m)
{
    static const char prefix[] = PEFT_PREFIX "model.";
    if (!slice_starts(slice_of(f->names[i]), prefix))
        return LORAC_OK;
    f->names[i] = arena_format(&f->memory, PEFT_PREFIX "%s%s", m->family->prefix, f->names[i] + strlen(prefix));
    return f->names[i] ? LORAC_OK : fail_memory();
}

int adapter_file_translate(adapter_file *f, const model *m)
{
    bool is_gguf = strcmp(f->format, "gguf") == 0;
    if (!is_gguf && strcmp(f->format, "mlx") != 0)
        return LORAC_OK;
    if (is_gguf)
        TRY(check_architecture(f, m));
    for (size_t i = 0; i < f->count; i++)
        TRY(is_gguf ? translate_gguf(f, i, m) : translate_mlx(f, i, m));
    return adapter_file_renamed(f);
}
