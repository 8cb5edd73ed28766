/* flags.c: the flags of all commands but those that the library's option table has already, and how a command's
 * list of names becomes flags. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(arguments, name)
#define COUNT_MOST 1e15

/* clang-format off */
static const flag own[] = {
    {"config", "c", FLAG_TEXT, FIELD(config), NULL, 0, 0, NULL, "Input and output",
     "YAML file of these options; flags win over it", NULL},
    {"log", NULL, FLAG_TEXT, FIELD(log), "auto", 0, 0, "auto,tty,plain,json,quiet", "Reports and checkpoints",
     "progress: a live display, one line a report, or one JSON object an event", NULL},
    {"dry-run", NULL, FLAG_SWITCH, FIELD(dry_run), "false", 0, 0, NULL, "Length of the run",
     "only print what the run would do and need", NULL},
    {"adapter", "adapter-path,lora", FLAG_LIST, FIELD(adapters), NULL, 0, 0, NULL, "Model",
     "adapter to apply, as PATH or PATH:WEIGHT; several add up", NULL},
    {"expand", NULL, FLAG_SWITCH, FIELD(expand), "false", 0, 0, NULL, "Model",
     "decode quantised weights once, when the model is opened: more memory, rarely faster", NULL},
    {"profile", NULL, FLAG_SWITCH, FIELD(profile), "false", 0, 0, NULL, "Reports and checkpoints",
     "where a step's time goes, beside what this machine can do", NULL},
    {"prompt", "p", FLAG_TEXT, FIELD(prompt), NULL, 0, 0, NULL, "Text", "the text; - reads it from stdin", NULL},
    {"ids", NULL, FLAG_TEXT, FIELD(ids), NULL, 0, 0, NULL, "Text", "token ids instead of text, such as 1,2,3", NULL},
    {"system", "system-prompt", FLAG_TEXT, FIELD(system), NULL, 0, 0, NULL, "Text",
     "system message before the prompt", NULL},
    {"template", NULL, FLAG_SWITCH, FIELD(template), "true", 0, 0, NULL, "Text",
     "the model's chat template around the prompt", NULL},
    {"max-tokens", "n,max-new-tokens", FLAG_INT, FIELD(max_tokens), "256", 0, 1e9, NULL, "Sampling",
     "tokens to generate at most", NULL},
    {"temp", "temperature", FLAG_REAL, FIELD(temperature), "0.8", 0, 1e6, NULL, "Sampling", "0: always the likeliest",
     NULL},
    {"top-k", NULL, FLAG_INT, FIELD(top_k), "40", 0, 1e9, NULL, "Sampling", "of the k likeliest tokens; 0: of all",
     NULL},
    {"top-p", NULL, FLAG_REAL, FIELD(top_p), "0.95", 0, 1, NULL, "Sampling",
     "of the likeliest tokens that make up this probability; 1: of all", NULL},
    {"min-p", NULL, FLAG_REAL, FIELD(min_p), "0", 0, 1, NULL, "Sampling",
     "of tokens at least so likely, relative to the likeliest", NULL},
    {"repeat-penalty", "repetition-penalty", FLAG_REAL, FIELD(repetition_penalty), "1", 1e-3, 1e3, NULL, "Sampling",
     "tokens that occurred become less likely; 1: off", NULL},
    {"seed", NULL, FLAG_INT, FIELD(seed), "0", 0, 9007199254740992.0, NULL, "Sampling", "of the random numbers", NULL},
    {"stop", NULL, FLAG_LIST, FIELD(stop), NULL, 0, 0, NULL, "Sampling", "text that ends the answer",
     NULL},
    {"ignore-eos", NULL, FLAG_SWITCH, FIELD(ignore_eos), "false", 0, 0, NULL, "Sampling",
     "go on after the model's end of turn", NULL},
    {"compare", NULL, FLAG_SWITCH, FIELD(compare), "false", 0, 0, NULL, "Sampling",
     "the model without and with the adapter, side by side", NULL},
    {"file", "f", FLAG_TEXT, FIELD(file), NULL, 0, 0, NULL, "Text", "a file as one text; - is stdin", NULL},
    {"pair", "text-pair", FLAG_TEXT, FIELD(pair), NULL, 0, 0, NULL, "Text",
     "a second text, as an encoder takes two; token type ids are printed, too", NULL},
    {"jsonl", NULL, FLAG_TEXT, FIELD(jsonl), NULL, 0, 0, NULL, "Text",
     "rows {\"text\": ...}, each answered with one {\"ids\": [...]}", NULL},
    {"detokenize", NULL, FLAG_TEXT, FIELD(detokenize), NULL, 0, 0, NULL, "Text", "the text of these ids", NULL},
    {"add-special-tokens", "special-tokens", FLAG_SWITCH, FIELD(add_special), "true", 0, 0, NULL, "Text",
     "what the tokenizer adds to a text", NULL},
    {"messages", NULL, FLAG_TEXT, FIELD(messages), NULL, 0, 0, NULL, "Text",
     "JSON file {\"messages\": [...], \"tools\": [...]}; - is stdin", NULL},
    {"add-generation-prompt", NULL, FLAG_SWITCH, FIELD(add_generation_prompt), "false", 0, 0, NULL, "Text",
     "end with the start of the assistant's turn", NULL},
    {"bos", NULL, FLAG_TEXT, FIELD(bos), NULL, 0, 0, NULL, "Text", "bos_token for the template", NULL},
    {"eos", NULL, FLAG_TEXT, FIELD(eos), NULL, 0, 0, NULL, "Text", "eos_token for the template", NULL},
    {"date", NULL, FLAG_TEXT, FIELD(date), NULL, 0, 0, NULL, "Text", "YYYY-MM-DD for the template's strftime_now", NULL},
    {"generate", NULL, FLAG_INT, FIELD(generate), "0", 0, 1e9, NULL, "Text",
     "measure generation instead: tokens for each stream", NULL},
    {"streams", NULL, FLAG_INT, FIELD(streams), "1", 1, 4096, NULL, "Text",
     "texts that are generated side by side; each takes the next --adapter", NULL},
    {"split", NULL, FLAG_TEXT, FIELD(split), NULL, 0, 0, "train,valid,test", "Rows",
     "which file of a data folder", NULL},
    {"batches", "test-batches", FLAG_INT, FIELD(batches), "-1", -1, COUNT_MOST, NULL, "Rows", "batches; -1: all", NULL},
    {"rows", "n", FLAG_INT, FIELD(rows), NULL, 0, COUNT_MOST, NULL, "Rows", "rows to show (default: 3; with --json, all)",
     NULL},
    {"max-seq-length", "max-length,cutoff-len", FLAG_INT, FIELD(limit), "0", 0, 1e9, NULL, "Rows",
     "longer rows keep their start; 0: no limit", NULL},
    {"output", "o", FLAG_TEXT, FIELD(output), NULL, 0, 0, NULL, "Input and output", "what is written", NULL},
    {"outtype", "dtype", FLAG_CHOICE, FIELD(outtype), "auto", 0, 0, "auto,f32,bf16,f16,q8_0", "Input and output",
     "type of the written weights; auto: as the model, f16 for quantised ones (q8_0: GGUF only)", NULL},
    {"to", NULL, FLAG_TEXT, FIELD(to), NULL, 0, 0, "gguf,gguf-adapter,mlx,peft", "Input and output", "what to make", NULL},
    {"verify", NULL, FLAG_SWITCH, FIELD(verify), "true", 0, 0, NULL, NULL, NULL, NULL}, /* may be said: it is always so */
    {"max-shard-size", NULL, FLAG_TEXT, FIELD(max_shard_size), NULL, 0, 0, NULL, "Input and output",
     "weights of a Hugging Face folder in files of at most this, such as 5GB, the default, or 500MB", NULL},
    {"alpha", "lora-alpha", FLAG_REAL, FIELD(alpha), NULL, -1e9, 1e9, NULL, "Input and output",
     "of a loralib file, which does not say it: the lora_alpha of its training", NULL},
    {"enable-lora", NULL, FLAG_TEXT, FIELD(enable_lora), NULL, 0, 0, NULL, "Input and output",
     "of a loralib file: which parts of a fused layer are adapted; two of query, key and value: true,false,true unless said "
     "here", NULL},
    {"method", "combination-type", FLAG_CHOICE, FIELD(method), NULL, 0, 0,
     "linear,cat,svd,ties,ties_svd,dare_linear,dare_ties,dare_linear_svd,dare_ties_svd,magnitude_prune,magnitude_prune_svd",
     "Combining", "write one adapter instead of a model, as PEFT's add_weighted_adapter makes it", NULL},
    {"density", NULL, FLAG_REAL, FIELD(density), NULL, 0, 1, NULL, "Combining",
     "share of the entries that ties, dare and magnitude_prune keep", NULL},
    {"svd-rank", NULL, FLAG_INT, FIELD(svd_rank), NULL, 1, 4096, NULL, "Combining",
     "rank of a decomposed result (default: the largest of the adapters)", NULL},
    {"svd-clamp", NULL, FLAG_REAL, FIELD(svd_clamp), NULL, 0.5, 1, NULL, "Combining",
     "limit the entries of a decomposed result to this quantile of them", NULL},
    {"majority-sign", "majority-sign-method", FLAG_CHOICE, FIELD(majority_sign), NULL, 0, 0, "total,frequency", "Combining",
     "how ties elects a sign: of the sum (the default), or the one that most have", NULL},
    {"tuned", NULL, FLAG_TEXT, FIELD(tuned), NULL, 0, 0, NULL, "Model", "the fine-tuned model", NULL},
    {"energy", NULL, FLAG_REAL, FIELD(energy), NULL, 0, 1, NULL, "Adapter",
     "the smallest rank per module that keeps this share of the squared singular values, instead of --rank", NULL},
    {"list", NULL, FLAG_SWITCH, FIELD(list), "false", 0, 0, NULL, "Input and output", "only say what there is", NULL},
    {"json", NULL, FLAG_SWITCH, FIELD(json), "false", 0, 0, NULL, "General", "one JSON object on stdout", NULL},
};
/* clang-format on */

static flag flag_of(const lorac_option *o)
{
    static const flag_kind kinds[] = { [LORAC_OPTION_INT] = FLAG_INT,
                                       [LORAC_OPTION_REAL] = FLAG_REAL,
                                       [LORAC_OPTION_TEXT] = FLAG_TEXT,
                                       [LORAC_OPTION_FLAG] = FLAG_SWITCH,
                                       [LORAC_OPTION_CHOICE] = FLAG_CHOICE };

    return (flag){ o->name,    o->aliases, kinds[o->type], o->offset, o->standard, o->least, o->most,
                   o->choices, o->group,   o->help,        o };
}

static bool same_name(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length)
        return false;
    for (size_t i = 0; i < a_length; i++)
        if ((a[i] == '_' ? '-' : a[i]) != (b[i] == '_' ? '-' : b[i]))
            return false;
    return true;
}

/* The flag that a command's list means with one word: ours first. */
static bool lookup(const char *word, size_t length, flag *out)
{
    size_t count;
    const lorac_option *table = lorac_train_option_table(&count);

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (same_name(own[i].name, strlen(own[i].name), word, length)) {
            *out = own[i];
            return true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (same_name(table[i].name, strlen(table[i].name), word, length)) {
            *out = flag_of(&table[i]);
            return true;
        }
    }
    return false;
}

bool each_flag(const command *c, bool (*take)(void *user, const flag *f), void *user)
{
    size_t count;
    const lorac_option *table = lorac_train_option_table(&count);

    for (const char *at = c->flags; *at;) {
        size_t length = strcspn(at, " ");
        flag f;

        if (length == 1 && *at == '*') {
            for (size_t i = 0; i < count; i++) {
                f = flag_of(&table[i]);
                if (take(user, &f))
                    return true;
            }
        } else if (lookup(at, length, &f) && take(user, &f)) {
            return true;
        }
        at += length;
        at += strspn(at, " ");
    }
    return false;
}

struct search {
    const char *word;
    size_t length;
    flag *out;
};

static bool matches(void *user, const flag *f)
{
    struct search *s = user;
    const char *alias = f->aliases;
    bool found = same_name(f->name, strlen(f->name), s->word, s->length);

    while (!found && alias && *alias) {
        size_t length = strcspn(alias, ",");

        found = same_name(alias, length, s->word, s->length);
        alias += length;
        alias += *alias == ',';
    }
    if (found)
        *s->out = *f;
    return found;
}

bool switches_off(const flag *f)
{
    return f->kind == FLAG_SWITCH && f->standard && !strcmp(f->standard, "true");
}

bool find_flag(const command *c, const char *name, size_t length, flag *out)
{
    return each_flag(c, matches, &(struct search){ name, length, out });
}
