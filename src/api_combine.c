/* api_combine.c: lorac_combine, lorac_extract and lorac_reduce: adapters made of adapters and of models. */
#include "api.h"
#include "combine.h"
#include "extract.h"

#include <math.h>

/* Puts the folder in place, and tells. Takes the reference to `about`. */
static int deliver(const factor_set *set, const char *output, json_t *about, char **json)
{
    char *aside;
    int status;

    json_object_set_new(about, "output", json_string(output));
    status = folder_begin(&aside, output);
    if (status == LORAC_OK) {
        status = factor_set_save(set, aside);
        if (status == LORAC_OK)
            status = folder_commit(aside, output);
        else
            folder_drop(aside);
        mem_free(aside);
    }
    if (status == LORAC_OK && json)
        status = json_text_of(about, json);
    json_decref(about);
    return status;
}

void lorac_combine_options_init(lorac_combine_options *options)
{
    *options = (lorac_combine_options){ .method = LORAC_COMBINE_LINEAR, .density = NAN, .svd_clamp = NAN };
}

lorac_status lorac_combine(const lorac_model *handle, const lorac_adapter_ref *adapters, size_t count,
                           const char *output, const lorac_combine_options *options, char **json)
{
    lorac_combine_options standard;
    factor_set set;
    int status;

    lorac_combine_options_init(&standard);
    options = options ? options : &standard;
    if (json)
        *json = NULL;
    TRY(check_output_free(output, false, options->overwrite));
    TRY(combine(&set, handle ? handle->m : NULL, adapters, count, options));
    json_t *about = json_pack("{s:s,s:I,s:I,s:I}", "method", combination_name(options->method), "rank",
                              (json_int_t)factor_set_rank(&set), "modules", (json_int_t)set.count, "parameters",
                              (json_int_t)factor_set_parameters(&set));
    status = about ? deliver(&set, output, about, json) : fail_memory();
    factor_set_free(&set);
    return status;
}

void lorac_extract_options_init(lorac_extract_options *options)
{
    *options = (lorac_extract_options){ .target_modules = "all-linear" };
}

lorac_status lorac_extract(const lorac_model *base, const lorac_model *tuned, const char *output,
                           const lorac_extract_options *options, char **json)
{
    factor_set set;
    json_t *about;
    int status;

    if (json)
        *json = NULL;
    TRY(check_output_free(output, false, options->overwrite));
    TRY(extract(&set, &about, base->m, tuned->m, options));
    status = deliver(&set, output, about, json);
    factor_set_free(&set);
    return status;
}

lorac_status lorac_reduce(const lorac_model *handle, const char *path, const char *output,
                          const lorac_extract_options *options, char **json)
{
    factor_set set;
    json_t *about;
    int status;

    if (json)
        *json = NULL;
    TRY(check_output_free(output, false, options->overwrite));
    TRY(reduce(&set, &about, path, handle ? handle->m : NULL, options));
    status = deliver(&set, output, about, json);
    factor_set_free(&set);
    return status;
}
