/* Any bytes as an adapter_config.json: refused, or a configuration that survives being written and read again, and
 * whose expressions answer, or give up, for some names of modules. */
#include "input.h"
#include "peft.h"

#include "err.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_same(const peft_config *a, const peft_config *b)
{
    ALWAYS(a->r == b->r && a->use_rslora == b->use_rslora);
    bool plain = a->init.kind == INIT_CARELESS || a->init.kind == INIT_GAUSSIAN;

    ALWAYS(b->init.kind == (plain ? a->init.kind : INIT_DEFAULT) && same_text(a->task_type, b->task_type));
    ALWAYS(same_text(a->base_model_name_or_path, b->base_model_name_or_path));
    ALWAYS(same_text(a->target_regex, b->target_regex) && a->target_count == b->target_count);
    ALWAYS(a->exclude_count == b->exclude_count && a->layers_pattern_count == b->layers_pattern_count);
    ALWAYS(a->layer_count == b->layer_count);
    ALWAYS(a->rank_count == b->rank_count && a->alpha_count == b->alpha_count);
    for (size_t i = 0; i < a->layer_count; i++)
        ALWAYS(a->layers[i] == b->layers[i]);
    for (size_t i = 0; i < a->rank_count; i++)
        ALWAYS(same_text(a->rank_keys[i], b->rank_keys[i]) && a->rank_values[i] == b->rank_values[i]);
    for (size_t i = 0; i < a->alpha_count; i++)
        ALWAYS(same_text(a->alpha_keys[i], b->alpha_keys[i]));
}

static void write_and_read(const peft_config *c)
{
    static char path[64];
    peft_config again;

    if (!path[0])
        snprintf(path, sizeof path, "/dev/shm/lorac-fuzz-%ld.json", (long)getpid());
    if (peft_config_write(c, path) != LORAC_OK)
        return; /* no such folder here */
    ALWAYS(peft_config_read(&again, path, NULL) == LORAC_OK);
    check_same(c, &again);
    peft_config_free(&again);
    unlink(path);
}

static void match(const peft_config *c)
{
    static const char *const names[] = { "model.layers.0.self_attn.q_proj", "lm_head", "h.11.mlp.experts.3.c_fc", "" };
    peft_matcher *m;

    if (peft_matcher_new(&m, c) != LORAC_OK)
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t rank;
        double alpha;
        bool matches;

        if (peft_matches(m, names[i], i == 1, &matches, &rank, &alpha) == LORAC_OK)
            ALWAYS(rank >= 1 && rank <= 4096);
    }
    peft_matcher_unused(m);
    peft_matcher_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    buf notes = { 0 };
    peft_config c;

    if (peft_config_read(&c, input_file(data, size), &notes) == LORAC_OK) {
        write_and_read(&c);
        match(&c);
        peft_config_free(&c);
    } else {
        ALWAYS(lorac_last_error()->message[0] != '\0');
    }
    buf_free(&notes);
    return 0;
}
