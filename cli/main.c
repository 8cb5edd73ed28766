/* main.c: the table of commands, and finding the one that is meant. */
#include "cli.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_FLAGS "model adapter task dtype threads expand "
#define ROW_FLAGS "loss-on max-seq-length chat-template "
#define SAMPLING_FLAGS "max-tokens temp top-k top-p min-p repeat-penalty seed stop ignore-eos "

/* clang-format off */
const command commands[] = {
    {"train", "fine-tune a model on your rows", NULL, "* config dry-run log expand json",
     "Writes a PEFT adapter, metrics.jsonl, run.yaml and checkpoints into the output folder. Ctrl-C writes a checkpoint; "
     "lorac resume goes on from it.",
     "lorac train -m smollm2-135m --data examples/requests -o adapters\n"
     "lorac train -m models/mine --data rows.jsonl --steps 200 --rank 8 --target-modules q_proj,v_proj\n"
     "lorac train -c adapters/run.yaml -o again --seed 1",
     command_train},
    {"plan", "say what a training run would do and need", NULL, "* config expand json",
     "The same as lorac train --dry-run. Exit code 4 when the run does not fit this machine.",
     "lorac plan -m smollm2-135m --data examples/requests --batch-size 8", command_plan},
    {"resume", "go on with an interrupted run", "DIR", "model log expand json",
     "DIR is the output folder of lorac train. The result is that of the uninterrupted run, byte for byte.",
     "lorac resume adapters", command_resume},
    {"eval", "loss, perplexity and accuracy on rows", NULL, MODEL_FLAGS "data split batches " ROW_FLAGS "json",
     "Of a data folder, the test rows, or what --split says.",
     "lorac eval -m smollm2-135m --data examples/requests\n"
     "lorac eval -m smollm2-135m --adapter adapters --data examples/requests --split valid --json",
     command_eval},
    {"generate", "answer one prompt", NULL,
     MODEL_FLAGS "chat-template prompt ids system template " SAMPLING_FLAGS "compare json",
     "The prompt goes through the model's chat template where it has one.",
     "lorac generate -m smollm2-135m -p \"Why is the sky blue?\"\n"
     "lorac generate -m smollm2-135m --adapter adapters --compare --temp 0 -p \"My sink leaks.\"\n"
     "lorac generate -m models/mine --ids 1,2,3 -n 20 --temp 0 --json",
     command_generate},
    {"chat", "talk with a model", NULL, MODEL_FLAGS "chat-template system " SAMPLING_FLAGS,
     "/reset forgets the conversation, /help explains, /exit leaves. Ctrl-C stops an answer.",
     "lorac chat -m smollm2-135m --adapter adapters", command_chat},
    {"logits", "write the logits of every position, or a classifier's", NULL, MODEL_FLAGS "ids output json",
     "A safetensors file with the tensor logits, f32 [positions, vocabulary]; of a classifier [labels], read at the last id "
     "that is not padding.",
     "lorac logits -m models/mine --ids 1,2,3 -o logits.safetensors --dtype f32", command_logits},
    {"tokenize", "text to token ids and back", NULL, "model prompt file pair jsonl detokenize add-special-tokens json", NULL,
     "lorac tokenize -m smollm2-135m -p \"Hello there\" --json\n"
     "lorac tokenize -m smollm2-135m --detokenize 9690,665",
     command_tokenize},
    {"template", "render a conversation", NULL,
     "model chat-template messages add-generation-prompt bos eos date json", "Prints exactly the rendered text.",
     "lorac template -m smollm2-135m --messages conversation.json --add-generation-prompt", command_template},
    {"data check", "look for rows that cannot be trained on", NULL, "model data task num-labels " ROW_FLAGS "threads json",
     "Names file, line and column of every bad row, and every row without a trained token. Exit code 3 when there is one.",
     "lorac data check -m smollm2-135m --data examples/requests", command_data_check},
    {"data show", "rows as the model sees them", NULL, "model data task num-labels split rows " ROW_FLAGS "threads json",
     "Trained text is marked. With --json, one {\"input_ids\", \"labels\"} a row; -100 is not trained. A classifier's "
     "rows have one label instead.",
     "lorac data show -m smollm2-135m --data examples/requests --rows 5", command_data_show},
    {"data stats", "lengths of the rows", NULL, "model data task num-labels split " ROW_FLAGS "threads json",
     "--max-seq-length says at which length rows count as too long (2048 when not given).",
     "lorac data stats -m smollm2-135m --data examples/requests", command_data_stats},
    {"merge", "write base and adapters as one model, or adapters as one adapter", NULL,
     "model adapter task output outtype max-shard-size verify overwrite threads method density svd-rank svd-clamp majority-sign seed json",
     "A Hugging Face folder, or a GGUF file when the output ends in .gguf. The result is compared with base and adapters "
     "before it is kept. With --method, one PEFT adapter that equals the adapters together: cat and svd are exact up to the "
     "rank, linear and the others work on A and B apart, or, as *_svd, on their products. No model is needed for that; with "
     "-m it is checked that the adapters fit.",
     "lorac merge -m smollm2-135m --adapter adapters -o merged\n"
     "lorac merge -m smollm2-135m --adapter a:0.7 --adapter b:0.3 -o merged.gguf --outtype q8_0\n"
     "lorac merge --adapter a:0.7 --adapter b:0.3 --method cat -o both\n"
     "lorac merge --adapter a --adapter b:-0.5 --method ties_svd --density 0.3 --svd-rank 16 -o both",
     command_merge},
    {"extract", "an adapter from a fine-tuned model, or from an adapter of higher rank", NULL,
     "model tuned adapter rank energy target-modules output overwrite json",
     "The best approximation of what was learned, by singular values: tuned minus base per linear layer, or what an adapter "
     "adds. Needs --rank or --energy; neither has a default here. What differs and does not fit an adapter is listed.",
     "lorac extract -m models/base --tuned models/tuned --rank 16 -o adapters\n"
     "lorac extract -m models/base --tuned models/tuned --energy 0.9 --target-modules q_proj,v_proj -o adapters --json\n"
     "lorac extract --adapter adapters --rank 4 -o smaller",
     command_extract},
    {"import", "make a PEFT adapter of another tool's", "PATH", "model output alpha enable-lora overwrite json",
     "PATH is an adapter of PEFT (adapter_model.bin too), a folder of mlx-lm, a GGUF adapter of llama.cpp, or a state dict of "
     "loralib in a file of torch.save. The folder -o gets adapter_config.json and adapter_model.safetensors; the tensors keep "
     "their bytes. A GGUF adapter needs -m for names and the order of rows; with -m, any adapter is checked against the model. "
     "A loralib file needs --alpha; its trained heads become modules_to_save.",
     "lorac import roberta_base_lora_mnli.bin --alpha 16 -o mnli\n"
     "lorac import adapters-of-mlx -o adapters\n"
     "lorac import adapter.gguf -m smollm2-135m -o adapters",
     command_import},
    {"export", "write a model or an adapter for other tools", NULL,
     "model adapter task to output outtype verify overwrite threads json",
     "gguf is a whole model; gguf-adapter one adapter for llama.cpp (--lora); mlx a folder for mlx-lm (--adapter-path); peft "
     "PEFT's folder. The adapter may come in any format that lorac import reads.",
     "lorac export -m smollm2-135m --adapter adapters --to gguf-adapter -o adapter.gguf\n"
     "lorac export -m smollm2-135m --adapter adapters --to mlx -o adapters-of-mlx\n"
     "lorac export -m models/mine --to gguf -o mine.gguf --outtype f16",
     command_export},
    {"inspect", "what stands in a model or an adapter", "PATH", "peft-config json", NULL,
     "lorac inspect smollm2-135m\nlorac inspect adapters --json\nlorac inspect models/mine --peft-config adapter_config.json",
     command_inspect},
    {"bench", "training or generation speed on this machine", NULL,
     "model steps batch-size max-seq-length rank target-modules grad-accumulation-steps tokens-per-pass dtype threads expand "
     "profile generate streams adapter json",
     "Trains --steps steps (5 when not given) on made-up rows of --max-seq-length tokens (256), and writes nothing. With "
     "--generate, answers made-up prompts of --max-seq-length tokens (128).",
     "lorac bench -m smollm2-135m --batch-size 8 --steps 3\nlorac bench -m smollm2-135m --profile\n"
     "lorac bench -m smollm2-135m --generate 64 --streams 8", command_bench},
    {"doctor", "this machine, and whether a model works here", NULL, "model dtype threads json", NULL,
     "lorac doctor\nlorac doctor -m smollm2-135m", command_doctor},
    {"pull", "fetch a model of the catalogue", "[NAME]", "list json",
     "The file goes to ${XDG_CACHE_HOME:-~/.cache}/lorac and is checked.", "lorac pull --list\nlorac pull smollm2-135m",
     command_pull},
    {"completion", "shell completion", "bash", "", NULL, "source <(lorac completion bash)", command_completion},
    {"help", "explain a command", "[COMMAND]", "", NULL, "lorac help train", command_help},
};
/* clang-format on */
const size_t command_count = sizeof commands / sizeof *commands;

const command *find_command(int count, char **words, int *used)
{
    for (size_t i = 0; i < command_count; i++) {
        const char *name = commands[i].name, *blank = strchr(name, ' ');
        size_t first = blank ? (size_t)(blank - name) : strlen(name);

        if (count < 1 || strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
            continue;
        if (blank && (count < 2 || strcmp(words[1], blank + 1) != 0))
            continue;
        *used = blank ? 2 : 1;
        return &commands[i];
    }
    return NULL;
}

static int unknown_command(int count, char **words)
{
    const char *names[sizeof commands / sizeof *commands];
    arguments a = { 0 };
    bool second = count > 1 && !strcmp(words[0], "data") && words[1][0] != '-';
    char *word = second ? format_text("data %s", words[1]) : format_text("%s", words[0]);
    const char *guess;
    char *hint;
    int status;

    for (int i = 0; i < count; i++)
        a.json |= !strcmp(words[i], "--json");
    for (size_t i = 0; i < command_count; i++)
        names[i] = commands[i].name;
    guess = nearest(word, names, command_count);
    hint = guess ? format_text("Did you mean lorac %s?", guess) : format_text("lorac help lists the commands.");
    status = usage(&a, word, hint, "there is no command \"%s\"", word);
    free(hint);
    free(word);
    return status;
}

static bool wants_help(int count, char **words)
{
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++)
        if (!strcmp(words[i], "--help") || !strcmp(words[i], "-h"))
            return true;
    return false;
}

int main(int count, char **words)
{
    const command *c;
    arguments a;
    int used, status;

    setlocale(LC_CTYPE, "");
    if (count < 2) {
        print_overview(stderr);
        return LORAC_ERROR_USAGE;
    }
    if (!strcmp(words[1], "--version") || !strcmp(words[1], "-V")) {
        printf("lorac %s\n", lorac_version());
        return LORAC_OK;
    }
    if (!strcmp(words[1], "--help") || !strcmp(words[1], "-h")) {
        print_overview(stdout);
        return LORAC_OK;
    }
    c = find_command(count - 1, words + 1, &used);
    if (!c && wants_help(count - 2, words + 2) && print_group(words[1], stdout))
        return LORAC_OK;
    if (!c)
        return unknown_command(count - 1, words + 1);
    if (wants_help(count - 1 - used, words + 1 + used)) {
        print_help(c, stdout);
        return LORAC_OK;
    }
    status = take_arguments(&a, c, count - 1 - used, words + 1 + used);
    if (status == LORAC_OK)
        status = c->run(&a);
    free_arguments(&a);
    if (fflush(stdout) != 0 && status == LORAC_OK)
        status = problem(&a, LORAC_ERROR_RUNTIME, NULL, NULL, "the output could not be written");
    return status;
}
