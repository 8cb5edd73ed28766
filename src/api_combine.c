/* api_combine.c: lorac_combine, lorac_extract and lorac_reduce: adapters made of adapters and of models. */
#include "api.h"
#include "combine.h"
#include "extract.h"

#include <math.h>

/* Before anything is computed. */
static int begin(const char *output, int overwrite, char **json)
{
    if (json)
        *json = NULL;
    return check_output_free(output, false, overwrite);
}

/* Puts the folder in place, and tells. Takes the set and the reference to `about`. */
static int deliver(factor_set *set, const char *output, json_t *about, char **json)
{
    char *aside;
    int status = about ? folder_begin(&aside, output) : fail_memory();

    if (status == LORAC_OK)
        status = folder_end(aside, output, factor_set_save(set, aside));
    if (status == LORAC_OK && json) {
        json_object_set_new(about, "output", json_string(output));
        status = json_text_of(about, json);
    }
    json_decref(about);
    factor_set_free(set);
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

    lorac_combine_options_init(&standard);
    options = options ? options : &standard;
    TRY(begin(output, options->overwrite, json));
    TRY(combine(&set, handle ? handle->m : NULL, adapters, count, options));
    json_t *about = json_pack("{s:s,s:I,s:I,s:I}", "method", combination_name(options->method), "rank",
                              (json_int_t)factor_set_rank(&set), "modules", (json_int_t)set.count, "parameters",
                              (json_int_t)factor_set_parameters(&set));
    return deliver(&set, output, about, json);
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

    TRY(begin(output, options->overwrite, json));
    TRY(extract(&set, &about, base->m, tuned->m, options));
    return deliver(&set, output, about, json);
}

lorac_status lorac_reduce(const lorac_model *handle, const char *path, const char *output,
                          const lorac_extract_options *options, char **json)
{
    factor_set set;
    json_t *about;

    TRY(begin(output, options->overwrite, json));
    TRY(reduce(&set, &about, path, handle ? handle->m : NULL, options));
    return deliver(&set, output, about, json);
}
