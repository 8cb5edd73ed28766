/* adapter_gguf.c: llama.cpp's adapter file: general.type "adapter", adapter.type "lora", adapter.lora.alpha, and per
 * module STEM.weight.lora_a [r, in] and STEM.weight.lora_b [out, r]. The factor is alpha / r with each module's own r,
 * and 1 where alpha is 0 (llama-adapter.h). Of the embedding, token_embd, A is filed as [V, r]. Stems ("blk.0.attn_q")
 * and the order of rows stay as they are filed. */
#include "adapter_parts.h"

#include "err.h"

#include <stdio.h>
#include <string.h>

static const char a_suffix[] = ".weight.lora_a", b_suffix[] = ".weight.lora_b";

static int expect_text(const gguf *g, const char *key, const char *expected, int status)
{
    slice found = { 0 };
    char text[64];

    TRY(gguf_take_text(g, key, &found));
    if (slice_is(found, expected))
        return LORAC_OK;
    slice_put(found, text, sizeof text);
    return fail_at(status, (fault){ .file = g->path, .key = key, .found = found.n ? text : NULL, .expected = expected },
                   "the GGUF file is not an adapter that can be used");
}

static int read_alpha(adapter_file *f)
{
    TRY(gguf_take_real(&f->gguf, "adapter.lora.alpha", &f->alpha));
    f->factor = f->alpha == 0 ? 1 : 0;
    return LORAC_OK;
}

static int add_tensor(adapter_file *f, size_t i)
{
    const tensor *t = &f->gguf.tensors[i], *other;
    const char *name = f->gguf.names[i];
    bool is_a = slice_ends(slice_of(name), a_suffix);
    slice stem = { name, strlen(name) - strlen(a_suffix) };
    bool embedding = slice_is(stem, "token_embd");
    tensor turned;
    char other_name[128]; /* a GGUF name has at most 63 bytes */

    if (!is_a && !slice_ends(slice_of(name), b_suffix))
        return fail_at(LORAC_ERROR_DATA,
                       (fault){ .file = f->path, .key = name, .expected = "NAME.weight.lora_a or NAME.weight.lora_b" },
                       "the adapter has a tensor that is not part of a LoRA pair");
    snprintf(other_name, sizeof other_name, "%.*s%s", (int)stem.n, stem.p, is_a ? b_suffix : a_suffix);
    other = gguf_tensor(&f->gguf, other_name);
    if (!other)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = f->path, .key = other_name },
                       "half of a LoRA pair is missing");
    TRY(adapter_pair_check(f, name, t, is_a && !embedding ? 0 : 1, other_name, other, is_a || embedding ? 1 : 0));
    if (embedding && is_a && dtype_is_quantised(t->type))
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = f->path, .key = name, .found = dtype_name(t->type), .expected = "F32, F16 or BF16" },
            "a quantised adapter of an embedding is not supported");
    if (embedding && is_a) {
        TRY(adapter_transpose(&f->memory, t, &turned));
        t = &turned;
    }
    return adapter_file_add(f, stem, adapter_suffix(is_a, embedding), t);
}

int adapter_gguf_open(adapter_file *f, const char *path)
{
    f->format = "gguf";
    f->path = arena_text(&f->memory, path, strlen(path));
    if (!f->path)
        return fail_memory();
    TRY(gguf_open(&f->gguf, f->path));
    TRY(expect_text(&f->gguf, "general.type", "adapter", LORAC_ERROR_DATA));
    TRY(expect_text(&f->gguf, "adapter.type", "lora", LORAC_ERROR_USAGE));
    TRY(read_alpha(f));
    TRY(adapter_file_reserve(f, f->gguf.tensor_count));
    for (size_t i = 0; i < f->gguf.tensor_count; i++)
        TRY(add_tensor(f, i));
    return LORAC_OK;
}
