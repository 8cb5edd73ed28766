/* packing.c: buffers grow to the largest pass seen and stay. */
#include "packing.h"

#include "err.h"
#include "mem.h"

#include <string.h>

static bool grow(void **buffer, int64_t count, size_t size)
{
    void *grown = mem_grow(*buffer, (size_t)count, size);

    if (grown)
        *buffer = grown;
    return grown != NULL;
}

static bool reserve(packer *p, int64_t tokens, int64_t spans)
{
    if (tokens > p->token_capacity) {
        if (!grow((void **)&p->ids, tokens, sizeof *p->ids) ||
            !grow((void **)&p->positions, tokens, sizeof *p->positions) ||
            !grow((void **)&p->target_rows, tokens, sizeof *p->target_rows) ||
            !grow((void **)&p->target_labels, tokens, sizeof *p->target_labels))
            return false;
        p->token_capacity = tokens;
    }
    if (spans > p->span_capacity) {
        if (!grow((void **)&p->spans, spans, sizeof *p->spans))
            return false;
        p->span_capacity = spans;
    }
    return true;
}

static void add_document(packer *p, const examples *e, const example *x, packed_pass *out)
{
    const int32_t *labels = e->labels + x->begin;
    int64_t first = out->rows.count;

    memcpy(p->ids + first, e->ids + x->begin, (size_t)x->run * sizeof *p->ids);
    for (int32_t t = 0; t < x->run; t++) {
        p->positions[first + t] = t;
        if (labels[t + e->shift] == LABEL_NONE)
            continue;
        p->target_rows[out->targets.count] = (int32_t)(first + t);
        p->target_labels[out->targets.count++] = labels[t + e->shift];
    }
    p->spans[out->rows.n_spans++] = (attention_span){ first, x->run, first, x->run };
    out->rows.count += x->run;
}

static void point(packer *p, packed_pass *out)
{
    out->rows.ids = p->ids;
    out->rows.positions = p->positions;
    out->rows.spans = p->spans;
    out->targets.row = p->target_rows;
    out->targets.label = p->target_labels;
}

int64_t packer_next(packer *p, const examples *e, const int64_t *rows, int64_t count, int64_t at,
                    int64_t tokens_per_pass, packed_pass *out)
{
    int64_t tokens = 0, end = at;

    *out = (packed_pass){ 0 };
    for (; end < count; end++) {
        int32_t length = e->rows[rows[end]].run;

        if (tokens && tokens + length > tokens_per_pass)
            break;
        tokens += length;
    }
    if (!reserve(p, tokens, end - at))
        return -1;
    for (; at < end; at++)
        if (e->rows[rows[at]].run)
            add_document(p, e, &e->rows[rows[at]], out);
    point(p, out);
    return end;
}

int packer_worst(packer *p, int64_t tokens, packed_pass *out)
{
    *out = (packed_pass){ 0 };
    if (!reserve(p, tokens, 1))
        return fail_memory();
    for (int64_t t = 0; t < tokens; t++) {
        p->ids[t] = p->target_labels[t] = 0;
        p->positions[t] = p->target_rows[t] = (int32_t)t;
    }
    p->spans[0] = (attention_span){ 0, tokens, 0, tokens };
    out->rows.count = out->targets.count = tokens;
    out->rows.n_spans = 1;
    out->targets.grad_scale = 1;
    point(p, out);
    return LORAC_OK;
}

void packer_free(packer *p)
{
    mem_free(p->ids);
    mem_free(p->positions);
    mem_free(p->target_rows);
    mem_free(p->target_labels);
    mem_free(p->spans);
    *p = (packer){ 0 };
}
