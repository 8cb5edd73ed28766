/* adapt_first.h: the first values of an adapter, and what follows from those that take a part of the base.
 *
 * PiSSA, OLoRA and CorDA go on from W - s A0 B0, a base that nobody else has. Here W stays as it is: the taken factors
 * are a second, frozen term beside the trained one. In files both stand together as one ordinary adapter of twice the
 * rank for W itself, [A; A0] and [B, -B0], as PEFT's path_initial_model_for_weight_conversion writes it. */
#ifndef LORAC_ADAPT_FIRST_H
#define LORAC_ADAPT_FIRST_H

#include "adapt.h"
#include "first_values.h"

/* Fills a new adapter; not for kinds that want to know the layers' inputs. */
int adapter_first_values(const adapter *a, const model *m, const peft_init *init, uint64_t seed, pool *team);
/* The module's pair, for those kinds; adapter_start is due when all are filled. */
first_pair adapter_first_pair(const adapter *a, const model *m, const peft_init *init, int slot, uint64_t seed);
/* What is left once the factors have their values: what they took of the base, DoRA's magnitudes, a new head. */
int adapter_start(const adapter *a, const model *m, uint64_t seed);

/* A tensor as it stands in the file. */
typedef struct filed_tensor {
    const char *name;
    tensor t;
} filed_tensor;
/* All of them: those that are trained, then those that are kept. What is joined for the file lies in `memory`. */
int adapter_filed(filed_tensor *out, const adapter *a, arena *memory);
/* Brings joined tensors that were read since back to their places. */
void adapter_unfile(const adapter *a, const filed_tensor *filed);
/* Makes a configuration that of the joined factors. */
int adapter_filed_config(peft_config *config, arena *memory);

/* For an adapter that was filed unconverted, for the changed base: what it took is taken from the model again, and it
 * becomes an ordinary one, config included. */
int adapter_convert(adapter *a, const model *m, peft_config *config, const char *path);

#endif
