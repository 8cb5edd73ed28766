/* options.c: the one table of training options. Flags, aliases, YAML keys, --help, shell completion and run.yaml
 * are read off it, so an option is added here, in the struct of lorac.h, and nowhere else.
 *
 * Invariant: a struct that came through lorac_train_options_set is within the table's limits.
 * It knows nothing of models or data: whether `rank` suits a model is for the trainer to say. */
#include "options.h"

#include "arena.h"
#include "err.h"
#include "mem.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(lorac_train_options, name)
#define TEXT LORAC_OPTION_TEXT
#define INT LORAC_OPTION_INT
#define REAL LORAC_OPTION_REAL
#define FLAG LORAC_OPTION_FLAG
#define CHOICE LORAC_OPTION_CHOICE
#define COUNT_MOST 1e15 /* far beyond any run, exact as a double */

/* clang-format off */
static const lorac_option table[] = {
    {"model", "m", TEXT, FIELD(model), NULL, 0, 0, NULL, "Input and output",
     "model folder, GGUF file or catalogue name"},
    {"data", "d", TEXT, FIELD(data), NULL, 0, 0, NULL, "Input and output",
     "rows: a .jsonl/.csv/.tsv file, or a folder with train/valid/test.jsonl; several: a,b:2 (weights)"},
    {"output", "o,adapter-path,output-dir", TEXT, FIELD(output), "adapters", 0, 0, NULL, "Input and output",
     "folder for the adapter, metrics and checkpoints"},
    {"adapter", "resume-adapter-file", TEXT, FIELD(adapter), NULL, 0, 0, NULL, "Input and output",
     "start from this adapter and its settings"},
    {"peft-config", NULL, TEXT, FIELD(peft_config), NULL, 0, 0, NULL, "Input and output",
     "take rank, alpha, dropout and targets from this adapter_config.json"},
    {"chat-template", NULL, TEXT, FIELD(chat_template), NULL, 0, 0, NULL, "Input and output",
     "instead of the model's own: a file, a built-in name (chatml, llama3, ...) or another of the model's own"},
    {"overwrite", NULL, FLAG, FIELD(overwrite), "false", 0, 0, NULL, "Input and output",
     "replace what is in the output folder"},

    {"task", NULL, CHOICE, FIELD(task), "auto", 0, 0, "auto,causal,seq_cls", "Adapter",
     "causal: the next token, seq_cls: a label for each text; auto follows the model, then the adapter"},
    {"num-labels", NULL, INT, FIELD(num_labels), "0", 0, 65536, "auto", "Adapter",
     "labels of a new classifier; auto: as the adapter or config.json says, else 2"},
    {"rank", "r,lora-r,lora-rank", INT, FIELD(rank), "16", 1, 4096, NULL, "Adapter", "rank of the update B A"},
    {"alpha", "lora-alpha", REAL, FIELD(alpha), NULL, -1e6, 1e6, "auto", "Adapter",
     "the update is scaled by alpha / rank; auto: 2 * rank"},
    {"dropout", "lora-dropout", REAL, FIELD(dropout), "0", 0, 0.999, NULL, "Adapter",
     "dropout on the adapter's input"},
    {"target-modules", "targets,lora-target-modules,keys", TEXT, FIELD(target_modules), "all-linear", 0, 0, NULL,
     "Adapter", "all-linear, names such as q_proj,v_proj, or a regular expression for whole names"},
    {"use-rslora", "rslora", FLAG, FIELD(use_rslora), "false", 0, 0, NULL, "Adapter",
     "scale by alpha / sqrt(rank) instead"},
    {"use-dora", "dora", FLAG, FIELD(use_dora), "false", 0, 0, NULL, "Adapter",
     "DoRA: train a magnitude for each output beside the update"},
    {"init-lora-weights", NULL, TEXT, FIELD(init_lora_weights), NULL, 0, 0, NULL, "Adapter",
     "first values: true, false, gaussian, orthogonal, olora, pissa, pissa_niter_N, eva or corda"},

    {"steps", "iters,max-steps", INT, FIELD(steps), "-1", -1, COUNT_MOST, NULL, "Length of the run",
     "optimiser steps; 0 writes the initial adapter, -1: from --epochs"},
    {"epochs", "num-train-epochs", REAL, FIELD(epochs), "1", 0, 1e9, NULL, "Length of the run",
     "passes over the data, when --steps is not given"},
    {"batch-size", "per-device-train-batch-size", INT, FIELD(batch_size), "4", 1, 1e9, NULL, "Length of the run",
     "rows a batch"},
    {"grad-accumulation-steps", "gradient-accumulation-steps", INT, FIELD(grad_accumulation_steps), "1", 1, 1e9, NULL,
     "Length of the run", "batches an optimiser step; 8 of 1 row equal 1 of 8 rows"},
    {"max-seq-length", "max-length,cutoff-len", INT, FIELD(max_seq_length), "0", 0, 1e9, "auto", "Length of the run",
     "longer rows keep their start; auto: 2048 or the model's context, the lesser"},
    {"tokens-per-pass", NULL, INT, FIELD(tokens_per_pass), "0", 0, 1e9, "auto", "Length of the run",
     "tokens run at once: memory and speed only, never the numbers' meaning"},

    {"learning-rate", "lr", REAL, FIELD(learning_rate), "2e-4", 0, 1e6, NULL, "Optimiser", "peak learning rate"},
    {"lr-schedule", "lr-scheduler-type", CHOICE, FIELD(lr_schedule), "cosine", 0, 0, "constant,linear,cosine",
     "Optimiser", "how the learning rate falls after the warm-up, as in transformers"},
    {"warmup-steps", "warmup", INT, FIELD(warmup_steps), "0", 0, COUNT_MOST, NULL, "Optimiser",
     "steps over which the learning rate rises from 0"},
    {"weight-decay", NULL, REAL, FIELD(weight_decay), "0", 0, 1e6, NULL, "Optimiser", "decoupled weight decay"},
    {"max-grad-norm", NULL, REAL, FIELD(max_grad_norm), "1", 0, 1e12, NULL, "Optimiser",
     "the global gradient norm is clipped to this; 0: never"},
    {"beta1", "adam-beta1", REAL, FIELD(beta1), "0.9", 0, 0.999999999, NULL, "Optimiser", "decay of the first moment"},
    {"beta2", "adam-beta2", REAL, FIELD(beta2), "0.999", 0, 0.999999999, NULL, "Optimiser",
     "decay of the second moment"},
    {"epsilon", "eps,adam-epsilon", REAL, FIELD(epsilon), "1e-8", 0, 1, NULL, "Optimiser",
     "added to the root of the second moment"},
    {"optimizer", "optim", TEXT, FIELD(optimizer), "adamw", 0, 0, "adamw,lora-fa", "Optimiser", "update rule"},
    {"loraplus-lr-ratio", NULL, REAL, FIELD(loraplus_lr_ratio), "0", 0, 1e6, NULL, "Optimiser",
     "LoRA+: B's learning rate over A's; 0: the same"},
    {"loraplus-lr-embedding", NULL, REAL, FIELD(loraplus_lr_embedding), "1e-6", 0, 1, NULL, "Optimiser",
     "LoRA+: learning rate of the factors of embeddings"},

    {"loss-on", NULL, CHOICE, FIELD(loss_on), "auto", 0, 0, "auto,all,completion,assistant,last", "Rows",
     "trained text; auto: assistant turns of messages, completions, all of plain text"},
    {"shuffle", NULL, FLAG, FIELD(shuffle), "true", 0, 0, NULL, "Rows", "a new order of the rows in every epoch"},

    {"steps-per-report", "logging-steps", INT, FIELD(steps_per_report), "10", 1, COUNT_MOST, NULL,
     "Reports and checkpoints", "steps between two lines of metrics.jsonl"},
    {"steps-per-eval", "eval-steps", INT, FIELD(steps_per_eval), "200", 0, COUNT_MOST, NULL,
     "Reports and checkpoints", "steps between two validations; 0: never"},
    {"val-batches", NULL, INT, FIELD(val_batches), "25", -1, COUNT_MOST, NULL, "Reports and checkpoints",
     "batches a validation; -1: all"},
    {"save-every", "save-steps", INT, FIELD(save_every), "100", 0, COUNT_MOST, NULL, "Reports and checkpoints",
     "steps between two checkpoints; 0: none"},
    {"keep", "save-total-limit", INT, FIELD(keep), "3", 1, COUNT_MOST, NULL, "Reports and checkpoints",
     "checkpoints kept, the latest ones"},
    {"patience", NULL, INT, FIELD(patience), "0", 0, COUNT_MOST, NULL, "Reports and checkpoints",
     "stop after so many validations without a new best; 0: never"},

    {"seed", NULL, INT, FIELD(seed), "0", 0, 9007199254740992.0, NULL, "Machine",
     "initial adapter, order of rows and dropout follow from it"},
    {"dtype", NULL, CHOICE, FIELD(dtype), "auto", 0, 0, "auto,f32,bf16", "Machine",
     "type of the computation; auto: the fastest here, f32: the reference"},
    {"threads", "t", INT, FIELD(threads), "0", 0, 4096, "auto", "Machine", "threads; auto: one a processor"},
};
/* clang-format on */

enum { OPTIONS = sizeof table / sizeof *table };

const lorac_option *lorac_train_option_table(size_t *count)
{
    if (count)
        *count = OPTIONS;
    return table;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool same_name(slice name, const char *word)
{
    if (name.n != strlen(word))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if ((name.p[i] == '_' ? '-' : name.p[i]) != (word[i] == '_' ? '-' : word[i]))
            return false;
    return true;
}

const lorac_option *train_option_find(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        slice aliases = slice_of(table[i].aliases);

        if (same_name(slice_of(table[i].name), name))
            return &table[i];
        while (aliases.n)
            if (same_name(slice_cut(&aliases, ','), name))
                return &table[i];
    }
    return NULL;
}

static int fail_unknown(const char *name, const fault *where)
{
    const char *names[OPTIONS];
    const char *nearest;
    fault place = *where;
    buf hint = { 0 };
    int status;

    for (size_t i = 0; i < OPTIONS; i++)
        names[i] = table[i].name;
    nearest = nearest_name(name, names, OPTIONS);
    if (nearest)
        buf_format(&hint, "Did you mean %s?", nearest);
    else
        buf_text(&hint, "See lorac train --help for all of them.");
    place.key = name;
    place.hint = hint.p;
    status = fail_at(LORAC_ERROR_USAGE, place, "there is no option of that name");
    buf_free(&hint);
    return status;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int fail_value(const lorac_option *option, const char *found, const char *expected, const fault *where)
{
    fault place = *where;

    place.key = option->name;
    place.found = found;
    place.expected = expected;
    return fail_at(LORAC_ERROR_USAGE, place, "the option cannot have this value");
}

static int fail_range(const lorac_option *option, const char *found, const fault *where)
{
    buf expected = { 0 };
    int status;

    buf_format(&expected, "%s of %.9g to %.9g", option->type == INT ? "a whole number" : "a number", option->least,
               option->most);
    status = fail_value(option, found, expected.p, where);
    buf_free(&expected);
    return status;
}

/* Numbers in text are written in the C locale, whatever the program around us has set. */
static int parse_real(const char *text, double *out)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char *end;

    double number;

    *out = NAN;
    if (!c)
        return fail_memory();
    number = strtod_l(text, &end, c);
    freelocale(c);
    if (end != text && !*end)
        *out = number;
    return LORAC_OK;
}

static int set_int(int64_t *field, const lorac_option *option, const char *value, const fault *where)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (end == value || *end || errno || (double)number < option->least || (double)number > option->most)
        return fail_range(option, value, where);
    *field = number;
    return LORAC_OK;
}

static int set_real(double *field, const lorac_option *option, const char *value, const fault *where)
{
    double number;

    TRY(parse_real(value, &number));
    if (!(number >= option->least && number <= option->most))
        return fail_range(option, value, where);
    *field = number;
    return LORAC_OK;
}

static int set_flag(int *field, const lorac_option *option, const char *value, const fault *where)
{
    static const char *const words[2][4] = { { "false", "no", "off", "0" }, { "true", "yes", "on", "1" } };

    for (int truth = 0; truth < 2; truth++) {
        for (int i = 0; i < 4; i++) {
            if (!strcmp(value, words[truth][i])) {
                *field = truth;
                return LORAC_OK;
            }
        }
    }
    return fail_value(option, value, "true or false", where);
}

/* The index of `value` among the choices, or -1. */
static int choice_index(const lorac_option *option, const char *value)
{
    slice rest = slice_of(option->choices);

    for (int index = 0; rest.n; index++)
        if (slice_is(slice_cut(&rest, ','), value))
            return index;
    return -1;
}

static int choice_count(const lorac_option *option)
{
    int count = 1;

    for (const char *p = option->choices; *p; p++)
        count += *p == ',';
    return count;
}

static int fail_choice(const lorac_option *option, const char *value, const fault *where)
{
    buf expected = { 0 };
    int status;

    buf_format(&expected, "one of %s", option->choices);
    status = fail_value(option, value, expected.p, where);
    buf_free(&expected);
    return status;
}

static int set_text(lorac_train_options *options, const char **field, const char *value)
{
    char *copy;

    if (!options->owned)
        options->owned = mem_new(1, sizeof(arena));
    copy = options->owned ? arena_text(options->owned, value, strlen(value)) : NULL;
    if (!copy)
        return fail_memory();
    *field = copy;
    return LORAC_OK;
}

static int set_value(lorac_train_options *options, const lorac_option *option, const char *value, const fault *where)
{
    void *field = (char *)options + option->offset;
    int index;

    if ((option->type == INT || option->type == REAL) && option->choices && !strcmp(value, option->choices)) {
        if (option->standard)
            return set_value(options, option, option->standard, where);
        *(double *)field = NAN;
        return LORAC_OK;
    }
    switch (option->type) {
    case LORAC_OPTION_INT:
        return set_int(field, option, value, where);
    case LORAC_OPTION_REAL:
        return set_real(field, option, value, where);
    case LORAC_OPTION_FLAG:
        return set_flag(field, option, value, where);
    case LORAC_OPTION_CHOICE:
        index = choice_index(option, value);
        if (index < 0)
            return fail_choice(option, value, where);
        *(int *)field = index;
        return LORAC_OK;
    case LORAC_OPTION_TEXT:
        if (option->choices && choice_index(option, value) < 0)
            return fail_choice(option, value, where);
        if (!*value)
            return fail_value(option, "nothing", "some text", where);
        return set_text(options, field, value);
    }
    assert(!"option type");
    return LORAC_ERROR_RUNTIME;
}

/* ---- Other tools' names for what we do anyway ------------------------------------------------ */

/* mlx-lm's and TRL's settings that say, with this value, what one of our options says, or what lorac does
 * without being asked (`option` NULL). With any other value they ask for what lorac does not do. */
/* clang-format off */
static const struct {
    const char *name, *value; /* NULL: any */
    const char *option, *option_value;
} translations[] = {
    {"mask-prompt", "true", "loss-on", "completion"},
    {"mask-prompt", "false", NULL, NULL},
    {"completion-only-loss", "true", "loss-on", "completion"},
    {"assistant-only-loss", "true", "loss-on", "assistant"},
    {"train", "true", NULL, NULL},
    {"test", "false", NULL, NULL},
    {"test-batches", NULL, NULL, NULL},
    {"fine-tune-type", "lora", NULL, NULL},
    {"fine-tune-type", "dora", "use-dora", "true"},
    {"num-layers", "-1", NULL, NULL},
    {"grad-checkpoint", NULL, NULL, NULL},
    {"optimizer", "adam", "optimizer", "adamw"}, /* mlx-lm's adam has no weight decay: adamw with 0 is the same */
    {"optim", "adamw_torch", "optimizer", "adamw"},
    {"lr-schedule", "cosine_decay", "lr-schedule", "cosine"},
};
/* clang-format on */

enum { TRANSLATIONS = sizeof translations / sizeof *translations };

/* Sets *done when `name` was dealt with here. */
static int set_translated(lorac_train_options *options, const char *name, const char *value, const fault *where,
                          bool *done)
{
    fault place = *where;
    const char *known = NULL;

    for (size_t i = 0; i < TRANSLATIONS; i++) {
        if (!same_name(slice_of(translations[i].name), name))
            continue;
        known = translations[i].value;
        if (known && strcmp(known, value) != 0)
            continue;
        *done = true;
        if (!translations[i].option)
            return LORAC_OK;
        return set_value(options, train_option_find(translations[i].option), translations[i].option_value, where);
    }
    if (!known || train_option_find(name))
        return LORAC_OK;
    *done = true;
    place.key = name;
    place.found = value;
    place.expected = known;
    return fail_at(LORAC_ERROR_USAGE, place, "lorac does not have this setting of another tool");
}

int train_option_set_at(lorac_train_options *options, const char *name, const char *value, const fault *where)
{
    const lorac_option *option;
    bool done = false;

    TRY(set_translated(options, name, value, where, &done));
    if (done)
        return LORAC_OK;
    option = train_option_find(name);
    if (option)
        return set_value(options, option, value, where);
    if (!strncmp(name, "no-", 3) || !strncmp(name, "no_", 3)) {
        option = train_option_find(name + 3);
        if (option && option->type == LORAC_OPTION_FLAG) {
            int *field = (int *)((char *)options + option->offset);

            TRY(set_flag(field, option, value, where));
            *field = !*field;
            return LORAC_OK;
        }
    }
    return fail_unknown(name, where);
}

/* ---- Checking a struct that a program filled by hand ----------------------------------------- */

int train_options_check(const lorac_train_options *options)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const lorac_option *option = &table[i];
        const void *field = (const char *)options + option->offset;
        const char *text;
        buf value = { 0 };
        double number;
        int status = LORAC_OK;
        int index;

        switch (option->type) {
        case LORAC_OPTION_INT:
        case LORAC_OPTION_REAL:
            number = option->type == INT ? (double)*(const int64_t *)field : *(const double *)field;
            if (isnan(number) && option->type == REAL && !option->standard)
                break;
            buf_format(&value, "%.9g", number);
            if (!(number >= option->least && number <= option->most))
                status = fail_range(option, value.p, &(fault){ 0 });
            break;
        case LORAC_OPTION_FLAG:
            break;
        case LORAC_OPTION_CHOICE:
            index = *(const int *)field;
            buf_format(&value, "%d", index);
            if (index < 0 || index >= choice_count(option))
                status = fail_choice(option, value.p, &(fault){ 0 });
            break;
        case LORAC_OPTION_TEXT:
            text = *(const char *const *)field;
            if (option->choices && (!text || choice_index(option, text) < 0))
                status = fail_choice(option, text, &(fault){ 0 });
            break;
        }
        buf_free(&value);
        TRY(status);
    }
    return LORAC_OK;
}

/* ---- The public functions -------------------------------------------------------------------- */

lorac_status lorac_train_options_set(lorac_train_options *options, const char *name, const char *value)
{
    return train_option_set_at(options, name, value, &(fault){ 0 });
}

/* The texts of the defaults are constants of this file, so that a struct that was only initialised owns nothing. */
void lorac_train_options_init(lorac_train_options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < OPTIONS; i++) {
        void *field = (char *)options + table[i].offset;
        int status = LORAC_OK;

        if (table[i].type == LORAC_OPTION_TEXT)
            *(const char **)field = table[i].standard;
        else if (table[i].standard)
            status = set_value(options, &table[i], table[i].standard, &(fault){ 0 });
        else
            *(double *)field = NAN;
        assert(status == LORAC_OK);
        (void)status;
    }
}

void lorac_train_options_clear(lorac_train_options *options)
{
    if (options->owned)
        arena_free(options->owned);
    mem_free(options->owned);
    lorac_train_options_init(options);
}
