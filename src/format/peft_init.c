/* peft_init.c: the names stand in one table; what PEFT has beyond it is refused by name. */
#include "peft_init.h"

#include "err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS "true, false, gaussian, orthogonal, olora, pissa, pissa_niter_N, eva or corda"

enum { ITERATIONS_MOST = 1000 };

static const struct {
    const char *name;
    peft_init_kind kind;
} kinds[] = {
    { "true", INIT_DEFAULT },      { "false", INIT_CARELESS },
    { "gaussian", INIT_GAUSSIAN }, { "orthogonal", INIT_ORTHOGONAL },
    { "olora", INIT_OLORA },       { "pissa", INIT_PISSA },
    { "eva", INIT_EVA },           { "corda", INIT_CORDA },
};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static const char pissa_fast[] = "pissa_niter_";

void peft_init_start(peft_init *init)
{
    *init = (peft_init){
        .kind = INIT_DEFAULT,
        .eva = { .rho = 2, .labelled_only = true, .masked_label = -100, .adjust_scaling = true },
    };
}

bool peft_init_changes_weight(const peft_init *init)
{
    return init->kind == INIT_OLORA || init->kind == INIT_PISSA || init->kind == INIT_PISSA_FAST ||
           init->kind == INIT_CORDA;
}

bool peft_init_wants_inputs(const peft_init *init)
{
    return init->kind == INIT_EVA || init->kind == INIT_CORDA;
}

const char *peft_init_name(const peft_init *init, char text[PEFT_INIT_NAME])
{
    if (init->kind == INIT_PISSA_FAST)
        snprintf(text, PEFT_INIT_NAME, "%s%lld", pissa_fast, (long long)init->iterations);
    for (int i = 0; i < KIND_COUNT; i++)
        if (kinds[i].kind == init->kind)
            snprintf(text, PEFT_INIT_NAME, "%s", kinds[i].name);
    return text;
}

/* The N of "pissa_niter_N"; -1 when there is no such number. */
static int64_t iterations_of(const char *name)
{
    const char *digits = name + sizeof pissa_fast - 1;
    char *end;

    if (strncmp(name, pissa_fast, sizeof pissa_fast - 1) != 0 || *digits < '0' || *digits > '9')
        return -1;
    long long n = strtoll(digits, &end, 10);
    return *end || n > ITERATIONS_MOST ? -1 : n;
}

int peft_init_parse(peft_init *init, const char *name, const char *path)
{
    init->iterations = iterations_of(name);
    if (init->iterations >= 0) {
        init->kind = INIT_PISSA_FAST;
        return LORAC_OK;
    }
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcasecmp(name, kinds[i].name) == 0) {
            init->kind = kinds[i].kind;
            return LORAC_OK;
        }
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = path, .key = "init_lora_weights", .found = name, .expected = KINDS },
                   "this way to initialise an adapter is not supported");
}

/* *found is NULL where the key is missing or null. */
static int take_object(const json_t *object, const char *key, const json_t **found, const char *path)
{
    *found = json_object_get(object, key);
    if (json_is_null(*found))
        *found = NULL;
    if (!*found || json_is_object(*found))
        return LORAC_OK;
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = path, .key = key, .found = json_kind(*found), .expected = "an object" },
                   "the key's value has the wrong kind");
}

/* tau, the threshold at which PEFT's incremental search ends, has no meaning where the result is exact. */
static int read_eva(peft_init *init, const json_t *object, const char *path)
{
    const json_t *eva;

    TRY(take_object(object, "eva_config", &eva, path));
    if (!eva || init->kind != INIT_EVA)
        return LORAC_OK;
    TRY(json_take_real(eva, "rho", &init->eva.rho, path));
    TRY(json_take_bool(eva, "use_label_mask", &init->eva.labelled_only, path));
    TRY(json_take_int(eva, "label_mask_value", INT32_MIN, INT32_MAX, &init->eva.masked_label, path));
    TRY(json_take_bool(eva, "whiten", &init->eva.whiten, path));
    TRY(json_take_bool(eva, "adjust_scaling_factors", &init->eva.adjust_scaling, path));
    if (init->eva.rho >= 1 && init->eva.rho <= 4096)
        return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE, (fault){ .file = path, .key = "eva_config.rho", .expected = "from 1 to 4096" },
                   "no rank can grow by a factor of %g", init->eva.rho);
}

/* PEFT's caches are files of torch; here the covariances are made again. */
static int read_corda(peft_init *init, const json_t *object, const char *path)
{
    static const char *const caches[] = { "cache_file", "covariance_file" };
    const json_t *corda;
    const char *method = "ipm";

    TRY(take_object(object, "corda_config", &corda, path));
    if (!corda || init->kind != INIT_CORDA)
        return LORAC_OK;
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        const json_t *value = json_object_get(corda, caches[i]);
        if (value && !json_is_null(value))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .file = path,
                                    .key = caches[i],
                                    .hint = "Leave it out: the covariances are made from the training rows." },
                           "CorDA's cache files are not supported");
    }
    TRY(json_take_text(corda, "corda_method", &method, path));
    init->corda_keeps = strcmp(method, "kpm") == 0;
    if (init->corda_keeps || strcmp(method, "ipm") == 0)
        return LORAC_OK;
    return fail_at(
        LORAC_ERROR_USAGE,
        (fault){ .file = path, .key = "corda_config.corda_method", .found = method, .expected = "ipm or kpm" },
        "there is no such way of CorDA");
}

int peft_init_read(peft_init *init, const json_t *object, const char *path)
{
    const json_t *value = json_object_get(object, "init_lora_weights");

    if (json_is_false(value))
        init->kind = INIT_CARELESS;
    else if (json_is_string(value))
        TRY(peft_init_parse(init, json_string_value(value), path));
    else if (value && !json_is_null(value) && !json_is_true(value))
        return fail_at(
            LORAC_ERROR_DATA,
            (fault){ .file = path, .key = "init_lora_weights", .found = json_kind(value), .expected = KINDS },
            "the key's value has the wrong kind");
    TRY(read_eva(init, object, path));
    return read_corda(init, object, path);
}
