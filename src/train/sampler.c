/* sampler.c: an epoch's takes are numbered 0..per_epoch-1, file after file. A keyed permutation of the numbers shuffles
 * them; a take is then a row. With a weight that is no whole number, successive epochs go on where the last one stopped
 * in the file, so that every row comes up in time. */
#include "sampler.h"

#include "err.h"
#include "rng.h"

#include <math.h>

/* How many rows of a part an epoch takes: weight · count, at least one. */
static int64_t takes_of(const example_part *part)
{
    double takes = nearbyint(part->weight * (double)part->count);

    return part->count == 0 ? 0 : takes < 1 ? 1 : (int64_t)takes;
}

int sampler_init(sampler *s, const examples *e, int64_t rows_per_step, bool shuffle, uint64_t seed)
{
    *s = (sampler){
        .parts = e->parts, .part_count = e->part_count, .per_step = rows_per_step, .shuffle = shuffle, .seed = seed
    };
    for (int64_t i = 0; i < e->part_count; i++)
        if (__builtin_add_overflow(s->per_epoch, takes_of(&e->parts[i]), &s->per_epoch))
            return fail(LORAC_ERROR_USAGE, "the weights of --data make an epoch that is too long");
    s->steps_per_epoch = s->per_epoch / rows_per_step + (s->per_epoch % rows_per_step != 0);
    return LORAC_OK;
}

static int64_t row_of(const sampler *s, int64_t epoch, int64_t take)
{
    for (int64_t i = 0; i < s->part_count; i++) {
        const example_part *part = &s->parts[i];
        int64_t takes = takes_of(part);

        if (take < takes) {
            uint64_t before = (uint64_t)(epoch % part->count) * (uint64_t)(takes % part->count);

            return part->first + (int64_t)((before + (uint64_t)take) % (uint64_t)part->count);
        }
        take -= takes;
    }
    assert(!"take beyond the epoch");
    return 0;
}

int64_t sampler_rows(const sampler *s, int64_t step, int64_t *rows)
{
    int64_t epoch = step / s->steps_per_epoch, begin = step % s->steps_per_epoch * s->per_step;
    int64_t count = s->per_epoch - begin < s->per_step ? s->per_epoch - begin : s->per_step;
    uint64_t stream = rng_stream("shuffle") + (uint64_t)epoch;

    for (int64_t i = 0; i < count; i++) {
        int64_t take = begin + i;

        if (s->shuffle)
            take = (int64_t)rng_permute(s->seed, stream, (uint64_t)take, (uint64_t)s->per_epoch);
        rows[i] = row_of(s, epoch, take);
    }
    return count;
}

int64_t sampler_steps(const sampler *s, double epochs)
{
    double steps = ceil(epochs * (double)s->steps_per_epoch);

    return steps < 1e15 ? (int64_t)steps : -1;
}
