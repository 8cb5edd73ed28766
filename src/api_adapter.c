/* api_adapter.c: lorac_convert_adapter: an adapter of one program as another's. With a model it is loaded as for a run
 * first, so that an adapter which does not fit is refused before anything is written. */
#include "api.h"

#include "adapter_write.h"
#include "arch.h"
#include "export.h"

#include <math.h>
#include <string.h>

enum { PARTS_MOST = 16 };

void lorac_convert_options_init(lorac_convert_options *options)
{
    *options = (lorac_convert_options){ .alpha = NAN };
}

/* "true,false,true", as loralib's enable_lora. */
static int parse_parts(const char *text, bool parts[PARTS_MOST], size_t *count)
{
    slice rest = slice_of(text);
    bool any = false;
    for (*count = 0; rest.n; ++*count) {
        slice word = slice_trim(slice_cut(&rest, ','));
        bool yes = slice_is(word, "true") || slice_is(word, "1");
        if (*count == PARTS_MOST || (!yes && !slice_is(word, "false") && !slice_is(word, "0")))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .key = "enable_lora", .found = text, .expected = "such as true,false,true" },
                           "this does not say which parts of a layer are adapted");
        parts[*count] = yes;
        any |= yes;
    }
    return any || *count == 0
               ? LORAC_OK
               : fail_at(LORAC_ERROR_USAGE, (fault){ .key = "enable_lora", .found = text }, "no part is adapted");
}

static int settle_alpha(adapter_file *f, double alpha)
{
    if (isnan(f->alpha) && isnan(alpha))
        return fail_at(
            LORAC_ERROR_USAGE,
            (fault){ .file = f->path, .key = "alpha", .hint = "give the training's lora_alpha with --alpha" },
            "a file of loralib does not say by what the adapter is multiplied");
    if (isnan(alpha))
        return LORAC_OK;
    if (!isnan(f->alpha))
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = f->path, .key = "alpha" },
                       "the adapter says itself by what it is multiplied; --alpha is for files of loralib");
    if (!isfinite(alpha) || alpha == 0)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "alpha", .expected = "a finite number other than 0" },
                       "this alpha makes no adapter");
    return adapter_file_set_alpha(f, alpha);
}

/* The file in PEFT's terms, complete. */
static int settle(adapter_file *f, const lorac_convert_options *o, buf *notes)
{
    bool parts[PARTS_MOST];
    size_t count;
    TRY(parse_parts(o->enable_lora, parts, &count));
    if (count && strcmp(f->format, "loralib") != 0)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = f->path, .key = "enable_lora" },
                       "only adapters of loralib have parts to enable");
    TRY(settle_alpha(f, o->alpha));
    if (strcmp(f->format, "gguf") == 0 && !o->model)
        return fail_at(LORAC_ERROR_USAGE,
                       (fault){ .file = f->path, .key = "model", .hint = "give the base model with -m" },
                       "a GGUF adapter has names and an order of rows that only its base model explains");
    if (o->model)
        TRY(adapter_file_translate(f, o->model->m));
    TRY(adapter_file_settle(f, parts, count, notes));
    TRY(adapter_file_check(f));
    return adapter_file_name_targets(f);
}

/* ---- Writing ---- */

static int write_mlx(const adapter_file *f, const model *m, const char *folder)
{
    const mlx_names names = { m->family->prefix, m->family->layers, m->config.layers };
    return adapter_write_mlx(f, &names, folder);
}

static int write_folder(const adapter_file *f, const lorac_convert_options *o, const char *output)
{
    char *aside;
    TRY(check_output_free(output, false, o->overwrite));
    TRY(folder_begin(&aside, output));
    return folder_end(aside, output,
                      o->to == LORAC_ADAPTER_MLX ? write_mlx(f, o->model->m, aside) : adapter_write_peft(f, aside));
}

/* mlx-lm knows no head of a model whose head is tied, and lends an adapted embedding to it. */
static int check_tied(const adapter_file *f, const model *m)
{
    const char *heads[] = { "lm_head", m->family->embedding };
    for (size_t i = 0; i < f->count && m->config.tied_head; i++) {
        slice name;
        for (int k = 0; k < 2 && adapter_file_partner(f, i, &name); k++)
            if (slice_is(name, heads[k]))
                return fail_at(LORAC_ERROR_USAGE,
                               (fault){ .file = f->path, .key = heads[k], .hint = "merge the adapter instead" },
                               "mlx-lm cannot apply an adapter to one of a tied embedding and head");
    }
    return LORAC_OK;
}

/* mlx-lm has factors, of linears and embeddings, and DoRA's magnitudes of linears. What else an adapter can have, such
 * as a weight that is not the model's, has no place there. */
static int check_parts(const adapter_file *f, const model *m, const adapter *a)
{
    for (int slot = 0; slot < a->module_count; slot++) {
        const adapted *to = &a->modules[slot];
        const nn_module *x = m->modules[slot];
        const bool more = to->b_bias || to->weight || to->bias || to->rows || to->turned;
        if (more || (to->magnitude && x->kind == MODULE_EMBEDDING))
            return fail_at(
                LORAC_ERROR_USAGE,
                (fault){ .file = f->path, .key = x->name, .hint = "merge the adapter into the model instead" },
                "mlx-lm's adapters have factors and DoRA's magnitudes of linear layers only");
    }
    return LORAC_OK;
}

static int check_route(const adapter_file *f, int to)
{
    return to == LORAC_ADAPTER_PEFT || strcmp(f->format, "loralib") != 0
               ? LORAC_OK
               : fail_at(LORAC_ERROR_USAGE,
                         (fault){ .file = f->path, .hint = "lorac import makes PEFT's folder of it" },
                         "a file of loralib is converted to PEFT's folder first");
}

static int convert(adapter_file *f, const char *path, const char *output, const lorac_convert_options *o, buf *notes)
{
    adapter *a = NULL;
    TRY(check_route(f, o->to));
    TRY(settle(f, o, notes));
    if (o->model && strcmp(f->format, "loralib") != 0)
        TRY(adapter_load(&a, o->model->m, path, NULL, NULL));
    int status = a && o->to == LORAC_ADAPTER_MLX ? check_parts(f, o->model->m, a) : LORAC_OK;
    if (status == LORAC_OK && o->to == LORAC_ADAPTER_MLX)
        status = check_tied(f, o->model->m);
    if (status == LORAC_OK)
        status = o->to == LORAC_ADAPTER_GGUF ? export_adapter_gguf(o->model->m, a, output) : write_folder(f, o, output);
    adapter_free(a);
    return status;
}

static int check_options(const lorac_convert_options *o)
{
    if (o->to < LORAC_ADAPTER_PEFT || o->to > LORAC_ADAPTER_GGUF)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "to" }, "adapters are not written in this format");
    if (o->to != LORAC_ADAPTER_PEFT && !o->model)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "model", .hint = "give the base model with -m" },
                       "this format needs the base model's names");
    return LORAC_OK;
}

lorac_status lorac_convert_adapter(const char *path, const char *output, const lorac_convert_options *options,
                                   char **notes)
{
    lorac_convert_options standard;
    adapter_file file;
    buf told = { 0 };
    lorac_convert_options_init(&standard);
    options = options ? options : &standard;
    if (notes)
        *notes = NULL;
    TRY(check_options(options));
    int status = adapter_file_open(&file, path, &told);
    if (status == LORAC_OK) {
        status = convert(&file, path, output, options, &told);
        adapter_file_close(&file);
    }
    if (status == LORAC_OK && notes && told.n && !(*notes = mem_text(told.p)))
        status = fail_memory();
    buf_free(&told);
    return status;
}
