/* peft_write.c: adapter_config.json as PEFT writes it: sorted keys, indent 2. Only keys that PEFT 0.10 knew, which
 * refuses others; a newer key is written only where it says something. */
#include "peft.h"

#include "err.h"
#include "json.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void key(buf *b, const char *name)
{
    buf_text(b, b->n > 2 ? ",\n  \"" : "  \"");
    buf_text(b, name);
    buf_text(b, "\": ");
}

static void literal(buf *b, const char *name, const char *json)
{
    key(b, name);
    buf_text(b, json);
}

static void text_or_null(buf *b, const char *name, const char *text)
{
    key(b, name);
    if (text)
        buf_json(b, slice_of(text));
    else
        buf_text(b, "null");
}

/* Whole numbers without a point: PEFT's lora_alpha is an int. */
static void number(buf *b, double value)
{
    if (value == floor(value) && fabs(value) < 0x1p53)
        buf_format(b, "%lld", (long long)value);
    else
        buf_real(b, value);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* PEFT keeps a set, whose order means nothing: sorted, equal adapters have equal files. */
static int sorted_list(buf *b, const char *const *texts, size_t count)
{
    const char **sorted = mem_new(count, sizeof *sorted);

    if (!sorted)
        return fail_memory();
    for (size_t i = 0; i < count; i++)
        sorted[i] = texts[i];
    qsort(sorted, count, sizeof *sorted, by_text);
    buf_text(b, "[");
    for (size_t i = 0; i < count; i++) {
        buf_text(b, i ? ",\n    " : "\n    ");
        buf_json(b, slice_of(sorted[i]));
    }
    buf_text(b, "\n  ]");
    mem_free(sorted);
    return LORAC_OK;
}

static int names(buf *b, const char *name, const char *const *list, size_t count, const char *text)
{
    if (count == 0) {
        text_or_null(b, name, text);
        return LORAC_OK;
    }
    key(b, name);
    return sorted_list(b, list, count);
}

static void layers(buf *b, const peft_config *c)
{
    key(b, "layers_to_transform");
    if (!c->layers) {
        buf_text(b, "null");
        return;
    }
    buf_text(b, "[");
    for (size_t i = 0; i < c->layer_count; i++)
        buf_format(b, "%s\n    %lld", i ? "," : "", (long long)c->layers[i]);
    buf_text(b, c->layer_count > 0 ? "\n  ]" : "]");
}

/* Patterns stand in the order given, which is the order in which PEFT tries them. */
static void pattern(buf *b, size_t i, const char *name, double value)
{
    buf_text(b, i ? ",\n    " : "\n    ");
    buf_json(b, slice_of(name));
    buf_text(b, ": ");
    number(b, value);
}

static void rank_pattern(buf *b, const peft_config *c)
{
    key(b, "rank_pattern");
    buf_text(b, "{");
    for (size_t i = 0; i < c->rank_count; i++)
        pattern(b, i, c->rank_keys[i], (double)c->rank_values[i]);
    buf_text(b, c->rank_count > 0 ? "\n  }" : "}");
}

static void alpha_pattern(buf *b, const peft_config *c)
{
    key(b, "alpha_pattern");
    buf_text(b, "{");
    for (size_t i = 0; i < c->alpha_count; i++)
        pattern(b, i, c->alpha_keys[i], c->alpha_values[i]);
    buf_text(b, c->alpha_count > 0 ? "\n  }" : "}");
}

static void token_list(buf *b, const peft_tokens *t, const char *indent)
{
    buf_char(b, '[');
    for (size_t i = 0; i < t->count; i++)
        buf_format(b, "%s\n%s  %d", i ? "," : "", indent, t->ids[i]);
    buf_format(b, "\n%s]", indent);
}

static void tokens(buf *b, const peft_config *c)
{
    key(b, "trainable_token_indices");
    if (!c->tokens[0].module) {
        token_list(b, &c->tokens[0], "  ");
        return;
    }
    for (size_t i = 0; i < c->token_lists; i++) {
        buf_text(b, i ? ",\n    " : "{\n    ");
        buf_json(b, slice_of(c->tokens[i].module));
        buf_text(b, ": ");
        token_list(b, &c->tokens[i], "    ");
    }
    buf_text(b, "\n  }");
}

/* What is written is whole as it stands, so how it began matters no more: names that PEFT 0.10 does not know would only
 * keep it from reading the file. */
static void init(buf *b, peft_init_kind kind)
{
    if (kind == INIT_GAUSSIAN)
        text_or_null(b, "init_lora_weights", "gaussian");
    else
        literal(b, "init_lora_weights", kind == INIT_CARELESS ? "false" : "true");
}

static int config_text(buf *b, const peft_config *c)
{
    buf_text(b, "{\n");
    alpha_pattern(b, c);
    literal(b, "auto_mapping", "null");
    text_or_null(b, "base_model_name_or_path", c->base_model_name_or_path);
    text_or_null(b, "bias", c->bias);
    if (c->ensure_weight_tying)
        literal(b, "ensure_weight_tying", "true");
    if (c->exclude_count > 0 || c->exclude_regex)
        TRY(names(b, "exclude_modules", c->excludes, c->exclude_count, c->exclude_regex));
    literal(b, "fan_in_fan_out", c->fan_in_fan_out ? "true" : "false");
    literal(b, "inference_mode", "true");
    init(b, c->init.kind);
    TRY(names(b, "layers_pattern", c->layers_pattern, c->layers_pattern_count, NULL));
    layers(b, c);
    literal(b, "loftq_config", "{}");
    key(b, "lora_alpha");
    number(b, c->lora_alpha);
    key(b, "lora_dropout");
    number(b, c->lora_dropout);
    if (c->lora_bias)
        literal(b, "lora_bias", "true");
    literal(b, "megatron_config", "null");
    literal(b, "megatron_core", "\"megatron.core\"");
    TRY(names(b, "modules_to_save", c->saved, c->saved_count, NULL));
    literal(b, "peft_type", "\"LORA\"");
    key(b, "r");
    buf_format(b, "%lld", (long long)c->r);
    rank_pattern(b, c);
    literal(b, "revision", "null");
    TRY(names(b, "target_modules", c->targets, c->target_count, c->target_regex));
    text_or_null(b, "task_type", c->task_type);
    if (c->token_lists > 0)
        tokens(b, c);
    literal(b, "use_dora", c->use_dora ? "true" : "false");
    literal(b, "use_rslora", c->use_rslora ? "true" : "false");
    buf_text(b, "\n}\n");
    return buf_status(b);
}

int peft_config_write(const peft_config *c, const char *path)
{
    buf text = { 0 };
    int status = config_text(&text, c);

    if (status == LORAC_OK)
        status = file_write(path, text.p, text.n);
    buf_free(&text);
    return status;
}
