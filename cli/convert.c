/* convert.c: lorac import and lorac export: adapters and models of other tools, in and out. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int convert(const arguments *a, const char *adapter, const lorac_convert_options *options)
{
    char *notes = NULL;
    int status = lorac_convert_adapter(adapter, a->output, options, &notes);

    if (status != LORAC_OK)
        return report(a, status);
    note_lines(notes);
    lorac_free(notes);
    if (a->json)
        print_json(json_pack("{s:o}", "output", json_text(a->output, strlen(a->output))));
    else
        note("%s is written.", a->output);
    return LORAC_OK;
}

static int convert_with_model(arguments *a, const char *adapter, lorac_convert_options *options)
{
    lorac_model *model = NULL;
    int status = a->train.model ? open_model(a, &model) : LORAC_OK;

    options->model = model;
    options->overwrite = a->train.overwrite;
    if (status == LORAC_OK)
        status = convert(a, adapter, options);
    lorac_model_close(model);
    return status;
}

int command_import(arguments *a)
{
    lorac_convert_options options;

    if (!a->positional_count || !a->output)
        return usage(a, a->positional_count ? "output" : NULL, NULL,
                     "import needs an adapter and -o: lorac import PATH -o DIR");
    lorac_convert_options_init(&options);
    if (given(a, "alpha"))
        options.alpha = a->alpha;
    options.enable_lora = a->enable_lora;
    return convert_with_model(a, a->positional[0], &options);
}

static int export_adapter(arguments *a, int format)
{
    lorac_adapter_ref *adapters;
    lorac_convert_options options;
    size_t count;
    int status;

    if (a->adapters.count != 1)
        return usage(a, "adapter", NULL, "export --to %s needs one --adapter", a->to);
    status = parse_adapters(a, &adapters, &count);
    if (status != LORAC_OK)
        return status;
    lorac_convert_options_init(&options);
    options.to = format;
    if (adapters[0].weight != 1)
        status = usage(a, "adapter", NULL, "an adapter is exported as it is, without a weight");
    else
        status = convert_with_model(a, adapters[0].path, &options);
    free_adapters(adapters, count);
    return status;
}

int command_export(arguments *a)
{
    static const struct {
        const char *name;
        int format;
    } formats[] = { { "peft", LORAC_ADAPTER_PEFT },
                    { "mlx", LORAC_ADAPTER_MLX },
                    { "gguf-adapter", LORAC_ADAPTER_GGUF } };

    if (!a->to || !a->output)
        return usage(a, a->to ? "output" : "to", NULL, "export needs --to gguf, gguf-adapter, mlx or peft, and -o");
    if (!strncmp(a->to, "gguf", 4) && !ends_with(a->output, ".gguf"))
        return usage(a, "output", NULL, "the output of export --to %s ends in .gguf", a->to);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(a->to, formats[i].name))
            return export_adapter(a, formats[i].format);
    return command_merge(a);
}
