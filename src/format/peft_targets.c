/* peft_targets.c: what is known of targets by names alone: targets as a text, which modules PEFT adapts when a
 * configuration does not say, by config.json's model_type, and what models call their embeddings.
 * Source: PEFT 0.21, TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING. */
#include "peft.h"

#include "err.h"

#include <string.h>

static const struct {
    const char *model_type, *targets;
} defaults[] = {
    { "bart", "q_proj,v_proj" },
    { "bert", "query,value" },
    { "blip-2", "q,v,q_proj,v_proj" },
    { "bloom", "query_key_value" },
    { "btlm", "c_proj,c_attn" },
    { "chatglm", "query_key_value" },
    { "codegen", "qkv_proj" },
    { "deberta", "in_proj" },
    { "deberta-v2", "query_proj,value_proj" },
    { "electra", "query,value" },
    { "falcon", "query_key_value" },
    { "gemma", "q_proj,v_proj" },
    { "gemma2", "q_proj,v_proj" },
    { "gemma3_text", "q_proj,v_proj" },
    { "gemma4", ".*language_model\\..*\\.(q_proj|v_proj)" },
    { "gpt2", "c_attn" },
    { "gpt_bigcode", "c_attn" },
    { "gpt_neo", "q_proj,v_proj" },
    { "gpt_neox", "query_key_value" },
    { "gptj", "q_proj,v_proj" },
    { "layoutlm", "query,value" },
    { "llama", "q_proj,v_proj" },
    { "llama4", "q_proj,v_proj" },
    { "mistral", "q_proj,v_proj" },
    { "mixtral", "q_proj,v_proj" },
    { "mpt", "Wqkv" },
    { "mt5", "q,v" },
    { "nemotron_h", "q_proj,k_proj,v_proj,o_proj" },
    { "opt", "q_proj,v_proj" },
    { "phi", "q_proj,v_proj,fc1,fc2" },
    { "qwen2", "q_proj,v_proj" },
    { "qwen3", "q_proj,v_proj" },
    { "RefinedWeb", "query_key_value" },
    { "RefinedWebModel", "query_key_value" },
    { "roberta", "query,value" },
    { "rwkv", "key,value,receptance,output" },
    { "rwkv7", "r_proj,k_proj,v_proj,o_proj,key,value" },
    { "stablelm", "q_proj,v_proj" },
    { "t5", "q,v" },
    { "xlm-roberta", "query,value" },
};

const char *peft_default_targets(const char *model_type)
{
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (strcmp(model_type, defaults[i].model_type) == 0)
            return defaults[i].targets;
    }
    return NULL;
}

/* "all-linear", a regular expression, or names with commas. */
static int set_targets(peft_config *c, const char *text, arena *memory)
{
    slice rest = slice_of(text);

    if (strcmp(text, "all-linear") == 0 || strpbrk(text, "*+?()[]{}|\\^$")) {
        c->target_regex = arena_text(memory, rest.p, rest.n);
        return c->target_regex ? LORAC_OK : fail_memory();
    }
    c->targets = arena_new(memory, rest.n + 1, sizeof *c->targets);
    while (c->targets && rest.n) {
        slice name = slice_trim(slice_cut(&rest, ','));
        char *copy = name.n ? arena_text(memory, name.p, name.n) : NULL;

        if (name.n && !copy)
            return fail_memory();
        if (name.n)
            c->targets[c->target_count++] = copy;
    }
    return c->targets ? LORAC_OK : fail_memory();
}

int peft_config_set_targets(peft_config *c, const char *text)
{
    TRY(set_targets(c, text, &c->memory));
    if (!c->target_regex && !c->target_count)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target-modules", .found = text }, "no module is named");
    return LORAC_OK;
}

int peft_with_default_targets(peft_config *copy, const peft_config *config, const char *model_type, arena *memory)
{
    const char *names = peft_default_targets(model_type);

    *copy = *config;
    if (config->target_count || config->target_regex)
        return LORAC_OK;
    if (!names)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .key = "target_modules", .hint = "name the modules to adapt" },
                       "there are no default targets for models of type %s", model_type);
    return set_targets(copy, names, memory);
}

bool peft_is_embedding(slice module)
{
    static const char *const names[] = {
        "embed_tokens",
        "embed_positions",
        "wte",
        "wpe",
        "word_embeddings",
        "position_embeddings",
        "token_type_embeddings",
        "embed_in",
        "tok_embeddings",
        "shared",
        "relative_attention_bias",
    };
    const slice last = slice_last(module, '.');

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_is(last, names[i]))
            return true;
    }
    return false;
}
