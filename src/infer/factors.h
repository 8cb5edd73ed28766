/* factors.h: adapters as lists of low-rank pairs by module name, read from any adapter file and written as PEFT's
 * folder, with no model needed. Invariant: a pair's delta is exactly B A; scales are in the factors. Knows what an
 * adapter holds, not how adapters are combined. */
#ifndef LORAC_FACTORS_H
#define LORAC_FACTORS_H

#include "adapt.h"

/* ---- Reading: a file whose modules are decoded one at a time */

typedef struct filed_pair {
    const char *module; /* "model.layers.0.self_attn.q_proj" */
    const char *a_name, *b_name;
    const tensor *a, *b; /* A [rank, in], B [out, rank] */
    double scale;        /* delta = scale · B A */
} filed_pair;

typedef struct factor_source {
    adapter_file file;
    size_t count;
    filed_pair *pairs;
    map index; /* module -> position */
    arena memory;
} factor_source;

/* `m` (may be NULL) gives a llama.cpp adapter its names, and every module must be one of its linears. What is not part
 * of a pair of factors is refused by name. */
int factor_source_open(factor_source *out, const char *path, const model *m);
void factor_source_close(factor_source *f);
const filed_pair *factor_source_find(const factor_source *f, const char *module); /* or NULL */
/* Numbers of the pair's A or B, which must be finite; the caller frees *out with mem_free. */
int filed_values(const factor_source *f, const filed_pair *pair, const tensor *t, double **out);

/* ---- Writing */

typedef struct factor_pair {
    const char *module;
    int64_t rank, in, out;
    float *a, *b;
} factor_pair;

typedef struct factor_set {
    factor_pair *pairs;
    size_t count, capacity;
    const char *base_model, *task_type; /* or NULL */
    const char **targets;               /* names that mean exactly these modules; NULL: the modules' own */
    size_t target_count;
    bool fan_in_fan_out;
    arena memory;
} factor_set; /* {0} is an empty one; the texts are not copied */

/* Room for `capacity` pairs. */
int factor_set_reserve(factor_set *s, size_t capacity);
/* Adds a pair, factors not filled yet. */
int factor_set_add(factor_set *s, const char *module, int64_t rank, int64_t in, int64_t out, factor_pair **pair);
/* Takes base, task and targets from what is combined. The targets are the sources' own where those say the modules
 * exactly: lists of names with nothing to narrow them. `m` may be NULL. */
int factor_set_describe(factor_set *s, const factor_source *sources, size_t count, const model *m);
/* Rounds to a pair's numbers; those beyond float are refused. */
int factors_store(float *out, const double *values, int64_t count, const char *module);
void factor_set_free(factor_set *s);
int64_t factor_set_rank(const factor_set *s); /* the largest */
int64_t factor_set_parameters(const factor_set *s);
/* Writes adapter_model.safetensors and adapter_config.json into an existing folder: r is the largest rank and
 * lora_alpha equals it; modules with another rank stand in both patterns. */
int factor_set_save(const factor_set *s, const char *folder);

#endif
