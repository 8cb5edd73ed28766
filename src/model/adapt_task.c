/* adapt_task.c: what an adapter says of the model that it is for, before that is opened. */
#include "adapt.h"

#include "arch.h"
#include "err.h"
#include "file.h"

#include <stdio.h>
#include <string.h>

const char *task_type_name(lorac_task task)
{
    return task == LORAC_TASK_SEQ_CLS ? "SEQ_CLS" : "CAUSAL_LM";
}

bool is_for_classifier(const peft_config *config)
{
    return config->task_type && strcmp(config->task_type, task_type_name(LORAC_TASK_SEQ_CLS)) == 0;
}

int peft_config_expects(const char *path, model_options *options)
{
    peft_config config;
    peft_config_init(&config);
    int status = peft_config_read(&config, path, NULL);
    if (status == LORAC_OK && is_for_classifier(&config))
        options->otherwise = LORAC_TASK_SEQ_CLS;
    peft_config_free(&config);
    return status;
}

int adapter_expects(const char *path, model_options *options)
{
    adapter_file file;
    char name[64];
    snprintf(name, sizeof name, PEFT_PREFIX "%s.weight", head_name(LORAC_TASK_SEQ_CLS));
    TRY(adapter_file_open(&file, path, NULL));
    const tensor *head = adapter_file_find(&file, name);
    if (is_for_classifier(&file.config))
        options->otherwise = LORAC_TASK_SEQ_CLS;
    if (head && head->ndim == 2)
        options->labels = head->dim[0];
    adapter_file_close(&file);
    return LORAC_OK;
}

int adapters_bring_head(const adapter_use *uses, size_t count, const model *m)
{
    if (!m->head_is_new)
        return LORAC_OK;
    for (size_t i = 0; i < count; i++)
        if (uses[i].adapter->modules[m->head.slot].weight)
            return LORAC_OK;
    return fail_at(LORAC_ERROR_USAGE,
                   (fault){ .file = m->path, .hint = "Give the adapter that brings one with --adapter." },
                   "the model has no classifier, and no adapter brings one");
}
