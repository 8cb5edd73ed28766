/* evaluate.c */
#include "evaluate.h"

#include "err.h"
#include "mem.h"

static int run_passes(loss_result *out, const model *m, context *c, packer *p, const examples *e, const int64_t *rows,
                      int64_t count, int64_t tokens_per_pass, const volatile int *cancel)
{
    for (int64_t at = 0; at < count;) {
        packed_pass packed;

        if (cancel && *cancel)
            return fail(LORAC_INTERRUPTED, "cancelled");
        at = packer_next(p, e, rows, count, at, tokens_per_pass, &packed);
        if (at < 0)
            return fail_memory();
        if (packed.rows.count)
            TRY(model_loss(m, c, &packed.rows, &packed.targets, out));
    }
    return LORAC_OK;
}

int evaluate(loss_result *out, const model *m, context *c, packer *p, const examples *e, int64_t count,
             int64_t tokens_per_pass, const volatile int *cancel)
{
    bool recording = c->recording, training = c->training;
    int64_t *rows = mem_new((size_t)count, sizeof *rows);
    int status;

    *out = (loss_result){ 0 };
    if (!rows)
        return fail_memory();
    for (int64_t i = 0; i < count; i++)
        rows[i] = i;
    c->recording = c->training = false;
    status = run_passes(out, m, c, p, e, rows, count, tokens_per_pass, cancel);
    c->recording = recording;
    c->training = training;
    mem_free(rows);
    return status;
}
