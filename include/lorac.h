/* lorac.h: LoRA fine-tuning of language models, in one C library.
 *
 * This is the only public header. A program that adapts a model and talks to it:
 *
 *     lorac_model *model;
 *     lorac_train_options options;
 *
 *     if (lorac_model_open(&model, "models/SmolLM2-135M-Instruct", NULL) != LORAC_OK)
 *         return fprintf(stderr, "%s\n", lorac_last_error()->message), 1;
 *     lorac_train_options_init(&options);
 *     options.data = "examples/requests";
 *     options.output = "adapters";
 *     if (lorac_train(model, &options, NULL) != LORAC_OK) ...
 *     lorac_train_options_clear(&options);
 *     lorac_model_close(model);
 *
 * examples/finetune.c, examples/generate.c and examples/adapters.c are complete programs.
 *
 * Conventions
 *   Errors    Functions return a lorac_status; LORAC_OK is 0. What went wrong, where, and what to do
 *             is in lorac_last_error() of the calling thread. The library never prints, exits or aborts.
 *   Ownership *_open and *_new give a handle that the matching *_close or *_free ends (NULL is fine).
 *             Strings that come out of a handle live as long as the handle. Memory that a function says
 *             the caller owns is released with lorac_free.
 *   Threads   A lorac_model is immutable after opening and may be shared by any number of threads.
 *             Every other handle belongs to one thread at a time, but for lorac_cancel.
 *   Options   Fill a struct with its *_init function, then set the fields that matter.
 *   Shapes    are written slowest dimension first, as in PyTorch. Linear weights are [out, in].
 *   Text      is UTF-8. Token ids are int32_t.
 */
#ifndef LORAC_H
#define LORAC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LORAC_API __attribute__((visibility("default")))
#else
#define LORAC_API
#endif

#define LORAC_VERSION "0.1.0"

/* ---- Errors ------------------------------------------------------------------------------------ */

/* The values are also the exit codes of the program. */
typedef enum lorac_status {
    LORAC_OK = 0,
    LORAC_ERROR_RUNTIME = 1,  /* disk full, out of memory, a bug reported as such           */
    LORAC_ERROR_USAGE = 2,    /* an option or configuration that makes no sense             */
    LORAC_ERROR_DATA = 3,     /* a model, adapter, template or row file that is not right   */
    LORAC_ERROR_MEMORY = 4,   /* the planned run does not fit this machine                  */
    LORAC_ERROR_DIVERGED = 5, /* the loss or the gradient became NaN or infinite            */
    LORAC_INTERRUPTED = 130   /* cancelled; a checkpoint was written                        */
} lorac_status;

/* Fields that do not apply are NULL or 0. `message` is a whole sentence and names the place already. */
typedef struct lorac_error {
    lorac_status status;
    const char *message;
    const char *file;             /* the file at fault                        */
    long line, column;            /* 1-based place in it                      */
    const char *key;              /* the tensor, JSON key, option or flag     */
    const char *found, *expected; /* what stands there, what should           */
    const char *hint;             /* what to do about it                      */
} lorac_error;

/* The last error of the calling thread. Never NULL; overwritten by the next failing call of the thread. */
LORAC_API const lorac_error *lorac_last_error(void);

/* Releases memory that a function handed to the caller. */
LORAC_API void lorac_free(void *p);

/* ---- The machine -------------------------------------------------------------------------------- */

typedef enum lorac_dtype {
    LORAC_DTYPE_AUTO = 0, /* the fastest the CPU has; for files: as the model is */
    LORAC_DTYPE_F32,
    LORAC_DTYPE_BF16,
    LORAC_DTYPE_F16, /* for files only */
    LORAC_DTYPE_Q8_0 /* for GGUF files only */
} lorac_dtype;

typedef struct lorac_system {
    const char *cpu;                         /* "AMD EPYC 9R14" */
    const char *isa;                         /* the kernel level in use: "avx512-bf16" (LORAC_ISA can lower it) */
    const char *gemm;                        /* "oneDNN 2.6.3" or "built-in" */
    int threads;                             /* processors this process may run on */
    int has_fast_bf16;                       /* AMX or AVX512-BF16 */
    uint64_t memory_total, memory_available; /* bytes */
} lorac_system;

LORAC_API void lorac_system_info(lorac_system *out);
LORAC_API const char *lorac_version(void);

/* ---- Models ------------------------------------------------------------------------------------- */

typedef struct lorac_model lorac_model;

/* What a model is for, which decides its head: CAUSAL predicts the next token, SEQ_CLS gives a text one of some labels
 * (transformers' ...ForSequenceClassification). */
typedef enum lorac_task { LORAC_TASK_AUTO = 0, LORAC_TASK_CAUSAL, LORAC_TASK_SEQ_CLS } lorac_task;

typedef struct lorac_model_options {
    int expand;          /* decode quantised weights once at opening: more memory, a little faster */
    int task;            /* lorac_task; AUTO: config.json's architectures, then the adapter's task_type, decide */
    int64_t labels;      /* of a new classifier; 0: as the adapter, or else config.json says */
    const char *adapter; /* NULL, or the adapter that the model will be used with. Of a model that has no classifier,
                            SEQ_CLS means a new one, which an adapter trains and brings */
    const char *peft_config; /* NULL, or the adapter_config.json of the adapter to be made */
} lorac_model_options;

typedef struct lorac_model_info {
    const char *path;
    const char *family;  /* "llama" */
    const char *format;  /* "huggingface" or "gguf" */
    const char *weights; /* "Q4_1", "BF16", ...: the type most parameters are stored in */
    int64_t parameters;  /* tied tensors counted once */
    int64_t layers, hidden, heads, kv_heads, vocabulary, context;
    int task;       /* lorac_task: CAUSAL or SEQ_CLS */
    int64_t labels; /* of a classifier; else 0 */
    uint64_t bytes; /* of weights in memory or mapped */
} lorac_model_info;

/* Opens a Hugging Face folder or a GGUF file; files are mapped, not read. `options` may be NULL.
 * LORAC_ERROR_DATA for a file that is not right, LORAC_ERROR_USAGE for a family lorac does not know. */
LORAC_API lorac_status lorac_model_open(lorac_model **out, const char *path, const lorac_model_options *options);
LORAC_API void lorac_model_close(lorac_model *model);
LORAC_API void lorac_model_describe(const lorac_model *model, lorac_model_info *out);

/* ---- Text: tokenizer and chat template ------------------------------------------------------------ */

typedef struct lorac_text lorac_text;

/* Opens the tokenizer and chat template of a model folder, a GGUF file (vocabulary-only too) or a
 * folder that has only tokenizer files. Weights and config.json's architecture are not looked at.
 * `chat_template`: NULL, or what replaces the model's own: a template file, the name of a built-in one ("chatml"), or
 * of another of the model's own ("tool_use", which conversations with tools take by themselves). docs/templates.md. A
 * model folder without a tokenizer opens too; only pre-tokenised rows can be read with it. `path` may be NULL when only
 * templates are to be rendered. */
LORAC_API lorac_status lorac_text_open(lorac_text **out, const char *path, const char *chat_template);
LORAC_API void lorac_text_close(lorac_text *text);

/* What of the files is left out on purpose, in lines; NULL: nothing. Lives as long as `text`. */
LORAC_API const char *lorac_text_notes(const lorac_text *text);

/* Encodes `length` bytes of UTF-8. `add_special`: 1 adds what the tokenizer's post-processor adds
 * (BOS and the like). Special tokens inside the text are recognised. The caller owns *ids. */
LORAC_API lorac_status lorac_text_encode(const lorac_text *text, const char *utf8, size_t length, int add_special,
                                         int32_t **ids, size_t *count);

/* Tokens with their place: token i stands for bytes [begin[i], end[i]) of its text, (0, 0) for those the post-processor
 * added, which are `special`. `types` are an encoder's token type ids. The arrays are the caller's:
 * lorac_tokens_free. */
typedef struct lorac_tokens {
    int32_t *ids;
    uint32_t *begin, *end;
    uint8_t *types, *special;
    size_t count;
} lorac_tokens;

/* One text, or with `pair` (NULL: none) two, as an encoder takes them; offsets are each text's own. */
LORAC_API lorac_status lorac_text_tokens(const lorac_text *text, const char *utf8, size_t length, const char *pair,
                                         size_t pair_length, int add_special, lorac_tokens *out);
LORAC_API void lorac_tokens_free(lorac_tokens *tokens);
/* Ids that the vocabulary lacks have no text. The caller owns *utf8, which is also NUL-terminated. */
LORAC_API lorac_status lorac_text_decode(const lorac_text *text, const int32_t *ids, size_t count, int skip_special,
                                         char **utf8, size_t *length);
/* The vocabulary's own string of an id ("Ġthe"); NULL when there is no such id. */
LORAC_API const char *lorac_text_token(const lorac_text *text, int32_t id);

typedef struct lorac_template_options {
    int add_generation_prompt;
    const char *bos, *eos; /* NULL: the model's own, or undefined */
    const char *date;      /* YYYY-MM-DD for strftime_now; NULL: today */
    const char *file;      /* where the messages come from, for errors; NULL: "messages" */
} lorac_template_options;

/* Renders a conversation. `messages_json` is {"messages": [...], "tools": [...]?, "chat_template_kwargs": {...}?}; the
 * last are further variables of the template ("enable_thinking", "documents"). The caller owns *utf8.
 * raise_exception in a template is LORAC_ERROR_DATA with its message. */
LORAC_API lorac_status lorac_text_render(const lorac_text *text, const char *messages_json,
                                         const lorac_template_options *options, char **utf8, size_t *length);
/* 1 when there is a chat template. */
LORAC_API int lorac_text_has_template(const lorac_text *text);

/* ---- Data: rows to ids and labels ------------------------------------------------------------------ */

typedef struct lorac_data lorac_data;

typedef enum lorac_loss_on {
    LORAC_LOSS_AUTO = 0, /* messages: assistant; prompt/completion: completion; text: all */
    LORAC_LOSS_ALL,
    LORAC_LOSS_COMPLETION,
    LORAC_LOSS_ASSISTANT,
    LORAC_LOSS_LAST /* the last assistant turn only */
} lorac_loss_on;

typedef struct lorac_data_options {
    lorac_loss_on loss_on;
    int64_t max_seq_length; /* longer rows keep their start; 0: no limit */
    int64_t threads;        /* that read rows; 0: all. lorac_eval has its own */
    /* Of lorac_data_open: */
    int task;       /* lorac_task; AUTO: as the config.json beside the tokenizer says */
    int64_t labels; /* of a new classifier; 0: as config.json says */
} lorac_data_options;

/* `labels` are unshifted, -100 = not trained. The pointers live until the next call with this handle. Rows are best
 * read one after the other: those behind are read ahead, by several threads. */
typedef struct lorac_row {
    const int32_t *ids, *labels;
    size_t count;   /* tokens */
    size_t trained; /* tokens with a label, the first apart: nothing predicts it */
    int64_t label;  /* of a classifier's row, whose `labels` have it where the text is classified; -1: none */
    int truncated;  /* 1 when max_seq_length cut it */
    int turn_cut;   /* 1 when it did so within trained tokens: a turn has lost its end */
    size_t whole_count, whole_trained; /* count and trained as they were before */
    const char *endless_template;      /* the chat template, when the last trained token of a conversation is none that
                                          ends a turn: nothing teaches the model to stop; or NULL. Lives as the text does */
    const char *file;
    long line;
} lorac_row;

/* Opens a .jsonl, .csv or .tsv file, or the `split` ("train", "valid", "test"; NULL: train) of a folder.
 * Only the line index is built here; a bad line is reported when its row is read. `text` must outlive it. */
LORAC_API lorac_status lorac_data_open(lorac_data **out, const lorac_text *text, const char *path, const char *split,
                                       const lorac_data_options *options);
LORAC_API void lorac_data_close(lorac_data *data);
/* The file or folder at `index` of a list "a,b:2", without its weight; NULL behind the last one. The caller owns it. */
LORAC_API lorac_status lorac_data_source(const char *list, size_t index, char **path);
LORAC_API size_t lorac_data_count(const lorac_data *data);
LORAC_API lorac_status lorac_data_row(lorac_data *data, size_t index, lorac_row *out);

/* ---- Training ------------------------------------------------------------------------------------- */

typedef enum lorac_schedule {
    LORAC_SCHEDULE_CONSTANT = 0,
    LORAC_SCHEDULE_LINEAR,
    LORAC_SCHEDULE_COSINE
} lorac_schedule;

/* Every field is one row of the option table (lorac_train_option_table): its flag, aliases, YAML key,
 * default and help text stand there. 0 or NULL is never a hidden default: lorac_train_options_init
 * writes the defaults, and 0 then means 0. */
typedef struct lorac_train_options {
    /* what */
    const char *model;       /* as the user named it; written to run.yaml and adapter_config.json */
    const char *data;        /* a file, or a folder with train/valid/test.jsonl; several: a,b:2 (weights) */
    const char *output;      /* folder for the adapter, metrics and checkpoints */
    const char *adapter;     /* start from this adapter and its config */
    const char *peft_config; /* take rank, alpha, targets ... from this adapter_config.json */
    const char *chat_template;
    int task;           /* lorac_task; AUTO: as the model was opened */
    int64_t num_labels; /* of a new classifier; 0: as the model was opened */
    /* adapter */
    int64_t rank;
    double alpha; /* NAN: 2 * rank */
    double dropout;
    int use_rslora, use_dora;
    const char *init_lora_weights; /* true, false, gaussian, orthogonal, olora, pissa, pissa_niter_N, eva, corda; NULL:
                                      as peft_config says, else true */
    const char *target_modules;    /* "all-linear", comma-separated suffixes, or a regular expression */
    /* length of the run */
    int64_t steps; /* -1: from epochs */
    double epochs;
    int64_t batch_size, grad_accumulation_steps;
    int64_t max_seq_length;  /* 0: min(2048, the model's context) */
    int64_t tokens_per_pass; /* 0: auto. Memory and speed only; never changes the numbers' meaning */
    /* optimiser */
    double learning_rate;
    int lr_schedule; /* lorac_schedule */
    int64_t warmup_steps;
    double weight_decay, max_grad_norm /* 0: no clipping */, beta1, beta2, epsilon;
    const char *optimizer;                           /* "adamw", "lora-fa" */
    double loraplus_lr_ratio, loraplus_lr_embedding; /* LoRA+; ratio 0: off */
    /* what is trained */
    int loss_on; /* lorac_loss_on */
    int shuffle;
    /* reports */
    int64_t steps_per_report, steps_per_eval, val_batches, save_every, keep, patience;
    /* machine */
    int64_t seed;
    int dtype;       /* lorac_dtype: AUTO, F32 or BF16 */
    int64_t threads; /* 0: all */
    int overwrite;   /* 1: a non-empty output folder may be replaced */
    void *owned;     /* strings that the library allocated for this struct */
} lorac_train_options;

typedef enum lorac_option_type {
    LORAC_OPTION_INT,
    LORAC_OPTION_REAL,
    LORAC_OPTION_TEXT,
    LORAC_OPTION_FLAG,
    LORAC_OPTION_CHOICE
} lorac_option_type;

/* One row of the option table; flags, YAML keys, --help, shell completion and run.yaml all come from it. */
typedef struct lorac_option {
    const char *name;    /* "learning-rate": --learning-rate, YAML key learning_rate or learning-rate */
    const char *aliases; /* "lr,..." or NULL */
    lorac_option_type type;
    size_t offset;        /* of the field in the struct */
    const char *standard; /* the default, as text; NULL: none */
    double least, most;   /* for numbers */
    const char *choices;  /* CHOICE: "constant,linear,cosine", the field being the index; TEXT: the texts
                             allowed; numbers: "auto" when that word stands for the default */
    const char *group;    /* heading in --help */
    const char *help;     /* one line */
} lorac_option;

LORAC_API const lorac_option *lorac_train_option_table(size_t *count);
LORAC_API void lorac_train_options_init(lorac_train_options *options);
LORAC_API void lorac_train_options_clear(lorac_train_options *options);
/* Sets one option from text by name or alias ('_' equals '-'). An unknown name is LORAC_ERROR_USAGE with
 * the nearest name as hint. */
LORAC_API lorac_status lorac_train_options_set(lorac_train_options *options, const char *name, const char *value);
/* Reads a YAML mapping of such names, mlx-lm's nested lora_parameters included. */
LORAC_API lorac_status lorac_train_options_load(lorac_train_options *options, const char *yaml_path);

/* What the run will do and need, known before it starts. Bytes. */
typedef struct lorac_plan {
    int64_t trainable_parameters, all_parameters; /* PEFT's counts: the second includes the first */
    int64_t rows, steps, steps_per_epoch, tokens_per_epoch, longest_row;
    int64_t truncated_rows;     /* cut at max_seq_length; of these: */
    int64_t cut_turn_rows;      /* within a trained turn, which loses its end */
    int64_t dropped_rows;       /* with nothing left to train */
    int64_t endless_rows;       /* whose last trained token ends no turn, as in lorac_row */
    char endless_template[256]; /* of one of them */
    int64_t tokens_per_pass;
    uint64_t weights, adapter, optimizer, activations, other, peak, available;
    int64_t step_tokens; /* of the first step; with the next two only from lorac_train_plan */
    double step_seconds; /* predicted from a short measurement of this machine */
    double step_flops;
    const char *dtype; /* "bf16" */
    const char *isa;
} lorac_plan;

typedef enum lorac_event_kind {
    LORAC_EVENT_PLAN,   /* once, before the first step: `plan` and `example` are set  */
    LORAC_EVENT_STEP,   /* after every optimiser step                                 */
    LORAC_EVENT_REPORT, /* every steps_per_report steps, with means since the last    */
    LORAC_EVENT_EVAL,   /* after a validation pass                                    */
    LORAC_EVENT_SAVE,   /* a checkpoint or the adapter was written: `path`            */
    LORAC_EVENT_NOTE    /* something the user should know: `text`                     */
} lorac_event_kind;

typedef struct lorac_event {
    lorac_event_kind kind;
    int64_t step, steps;
    double epoch;
    double loss, eval_loss, eval_seconds, learning_rate, grad_norm;
    int64_t tokens, trained_tokens; /* since the start of the run */
    double tokens_per_second, steps_per_second, seconds_left;
    uint64_t peak_memory; /* bytes, of the process */
    int best;             /* EVAL: 1 when it is the lowest so far */
    const char *path, *text;
    const lorac_plan *plan;
    const lorac_row *example;    /* PLAN: the first training row */
    const lorac_text *tokenizer; /* PLAN: to decode it with; may be NULL */
} lorac_event;

/* Where the time of a run's steps went; the first step, which sets things up, is left out when there are others.
 * `flops` are operations that the result needs, `bytes` what has to be moved at the least. */
enum { LORAC_PROFILE_PARTS = 7 };
typedef struct lorac_profile_part {
    const char *name; /* "products of the layers" */
    double seconds, flops, bytes;
} lorac_profile_part;
typedef struct lorac_profile {
    lorac_profile_part parts[LORAC_PROFILE_PARTS];
    double seconds; /* of the steps; what is not in the parts is between them */
    int64_t steps, tokens;
} lorac_profile;

/* Called in the thread that runs; must not call back into the library with the same handles. */
typedef struct lorac_watch {
    void (*on_event)(void *user, const lorac_event *event);
    void *user;
    volatile int cancel;    /* set with lorac_cancel */
    lorac_profile *profile; /* NULL, or filled by lorac_train; keeping account costs a step about a millisecond */
} lorac_watch;

/* Asks a running call to stop at the next step; safe from any thread and from signal handlers. */
LORAC_API void lorac_cancel(lorac_watch *watch);

/* Fine-tunes. Writes a PEFT adapter, metrics.jsonl, run.yaml and checkpoints into options->output.
 * LORAC_INTERRUPTED after lorac_cancel (a checkpoint is written), LORAC_ERROR_DIVERGED on NaN. `watch` may be NULL. */
LORAC_API lorac_status lorac_train(const lorac_model *model, const lorac_train_options *options, lorac_watch *watch);
/* Continues the run in a folder that lorac_train wrote. The result equals the uninterrupted run byte for byte.
 * `model` is opened by the caller from run.yaml's model, with its task, labels and adapter (lorac_train_options_load
 * reads it). */
LORAC_API lorac_status lorac_resume(const lorac_model *model, const char *output, lorac_watch *watch);
/* Fills `out` without training; LORAC_ERROR_MEMORY when the run would not fit (out is filled all the same). */
LORAC_API lorac_status lorac_train_plan(const lorac_model *model, const lorac_train_options *options, lorac_plan *out);

/* What this machine can do, measured in about a second: products of matrices as large as a layer's, by the kernels that
 * a run of this dtype uses (operations a second), and streaming through memory (bytes a second). */
typedef struct lorac_speed {
    double product_flops, bandwidth;
} lorac_speed;
LORAC_API lorac_status lorac_measure_speed(int dtype, int64_t threads, lorac_speed *out);

/* ---- Adapters in use ------------------------------------------------------------------------------- */

/* An adapter to apply, and how strongly: its deltas are multiplied by `weight`. Several add up. */
typedef struct lorac_adapter_ref {
    const char *path;
    double weight;
} lorac_adapter_ref;

typedef struct lorac_eval_result {
    double loss, perplexity, accuracy;
    int64_t tokens; /* labels: of tokens, or of a classifier's rows; loss is their mean */
    int64_t rows;
    int64_t truncated_rows, cut_turn_rows, dropped_rows; /* as in lorac_plan */
    double seconds, tokens_per_second;
} lorac_eval_result;

typedef struct lorac_run_options {
    int dtype;       /* lorac_dtype */
    int64_t threads; /* 0: all */
    const lorac_adapter_ref *adapters;
    size_t adapter_count;
} lorac_run_options;

/* Loss over a row file, or the `split` (NULL: test) of a folder. `batches` of four rows each; -1: all. */
LORAC_API lorac_status lorac_eval(const lorac_model *model, const lorac_run_options *run, const char *data,
                                  const char *split, const char *chat_template, const lorac_data_options *options,
                                  int64_t batches, lorac_watch *watch, lorac_eval_result *out);

/* ---- Sessions: generation and logits ---------------------------------------------------------------- */

typedef struct lorac_session lorac_session;
typedef struct lorac_sequence lorac_sequence;

/* A session runs a batch of sequences over one model. `run` may be NULL; its adapters are those a new
 * sequence starts with. */
LORAC_API lorac_status lorac_session_new(lorac_session **out, const lorac_model *model, const lorac_run_options *run);
LORAC_API void lorac_session_free(lorac_session *session);

typedef struct lorac_sampling {
    double temperature;        /* 0: greedy */
    int64_t top_k;             /* 0: off */
    double top_p, min_p;       /* 1 and 0: off */
    double repetition_penalty; /* 1: off */
    int64_t seed;
    int ignore_eos;
    const char *const *stop; /* strings that end the text; not part of it */
    size_t stop_count;
} lorac_sampling;

LORAC_API void lorac_sampling_init(lorac_sampling *sampling);

/* A sequence has its own cache, adapters, sampler and set of end tokens (the model's, from
 * generation_config.json or GGUF). The session frees what is left of them. */
LORAC_API lorac_status lorac_sequence_new(lorac_sequence **out, lorac_session *session, const lorac_sampling *sampling);
LORAC_API void lorac_sequence_free(lorac_sequence *sequence);
/* Replaces the adapters of this sequence; none when count is 0. Its cache is dropped. (lorac_sequence_use gives it one
 * that is loaded already.) */
LORAC_API lorac_status lorac_sequence_adapters(lorac_sequence *sequence, const lorac_adapter_ref *adapters,
                                               size_t count);
/* Appends prompt tokens; they are run by the next step. */
LORAC_API lorac_status lorac_sequence_append(lorac_sequence *sequence, const int32_t *ids, size_t count);
/* One forward pass over everything appended and not yet run, for all sequences of the session together;
 * each sequence that had such tokens then samples its next token (see lorac_sequence_last). */
LORAC_API lorac_status lorac_session_step(lorac_session *session);
/* The token sampled last; -1 when it was an end token (and ignore_eos is off), before the first step, and once the
 * sequence is as long as the model's context: steps leave it out then. */
LORAC_API int32_t lorac_sequence_last(const lorac_sequence *sequence);

typedef struct lorac_generation {
    int32_t *ids; /* generated ids only; the caller owns them */
    size_t count;
    const char *finish_reason; /* "stop" or "length" */
    double prompt_tokens_per_second, generation_tokens_per_second;
    char *utf8; /* the text, NULL without a tokenizer; the caller owns it */
} lorac_generation;

/* Called with each piece of text as it is certain (whole UTF-8 characters; never part of a stop string).
 * A non-zero return ends the generation. */
typedef int (*lorac_on_text)(void *user, const char *utf8, size_t length);

/* Appends `ids` to the sequence and generates up to `limit` tokens; calling again continues the same
 * conversation. `text` (may be NULL) decodes and finds stop strings. */
LORAC_API lorac_status lorac_generate(lorac_sequence *sequence, const lorac_text *text, const int32_t *ids,
                                      size_t count, int64_t limit, lorac_on_text on_text, void *user,
                                      lorac_watch *watch, lorac_generation *out);

/* Logits of every position: out is f32 [count, vocabulary], given by the caller; a classifier's are [labels], of the
 * last id that is not padding. Leaves no trace in the session. */
LORAC_API lorac_status lorac_logits(lorac_session *session, const int32_t *ids, size_t count, float *out);
/* Writes them as a safetensors file with the tensor `logits`. */
LORAC_API lorac_status lorac_logits_save(lorac_session *session, const int32_t *ids, size_t count, const char *path);

/* ---- Conversions ------------------------------------------------------------------------------------ */

/* What merging cost: merged against base + adapters on the verification prompts. */
typedef struct lorac_merge_report {
    double max_logit_difference, kl_divergence, top1_agreement; /* last: 0..1 */
    double delta_lost; /* share of the delta's norm that rounding to the output type lost */
    int64_t tokens;    /* positions compared */
    char *notes;       /* NULL, or lines on what of the tokenizer the output says in another way; for lorac_free */
} lorac_merge_report;

typedef struct lorac_merge_options {
    int dtype; /* lorac_dtype; AUTO: as the model, F16 for quantised ones */
    int64_t threads;
    int overwrite;
    uint64_t
        max_shard_size; /* bytes of weights in one file of a Hugging Face folder; 0: 5 GB, as Hugging Face has it */
} lorac_merge_options;

/* Writes base + adapters: a Hugging Face folder, or a GGUF file when `output` ends in .gguf. With no adapter
 * it converts. The result is opened again and compared before it is kept. */
LORAC_API lorac_status lorac_merge(const lorac_model *model, const lorac_adapter_ref *adapters, size_t count,
                                   const char *output, const lorac_merge_options *options, lorac_merge_report *report);
/* Whose files: PEFT's folder, mlx-lm's folder, or llama.cpp's GGUF file (F32). */
typedef enum lorac_adapter_format {
    LORAC_ADAPTER_PEFT = 0,
    LORAC_ADAPTER_MLX,
    LORAC_ADAPTER_GGUF
} lorac_adapter_format;

typedef struct lorac_convert_options {
    int to;                   /* lorac_adapter_format */
    const lorac_model *model; /* the base, or NULL. Needed to write MLX and GGUF and to read GGUF; the adapter is
                                 checked against it */
    double alpha;             /* NAN, but of a loralib file, which lacks it: its lora_alpha */
    const char *enable_lora;  /* of the same: which parts of a fused layer are adapted, such as "true,false,true"; NULL:
                                 query and value of a fused query, key and value that has two, and else all */
    int overwrite;
} lorac_convert_options;
LORAC_API void lorac_convert_options_init(lorac_convert_options *options);

/* Writes an adapter of PEFT, mlx-lm, llama.cpp or loralib in one of these formats. Tensors keep their bytes, unless the
 * format cannot say something that then goes into them (docs/formats.md). *notes (may be NULL) becomes NULL, or lines
 * about what was left out or assumed, which the caller owns. */
LORAC_API lorac_status lorac_convert_adapter(const char *adapter, const char *output,
                                             const lorac_convert_options *options, char **notes);

/* ---- Adapters by name: PEFT's verbs ------------------------------------------------------------------- */

/* Named adapters on one model, and which of them are in force. A session that uses the set (lorac_session_use) follows
 * it: every change below takes effect with its next pass, and what sequences had in their caches is computed anew. The
 * model itself never changes; merged weights live in the set. A function that fails has changed nothing.
 * Ownership: the model must outlive the set, and the set the sessions that use it (or give those NULL first).
 * Threads: a set and the sessions that use it belong to one thread at a time; several sets may share a model.
 * Names: any text but "" and "__base__". An unknown one is LORAC_ERROR_USAGE; the message lists those there are. */
typedef struct lorac_adapters lorac_adapters;

LORAC_API lorac_status lorac_adapters_new(lorac_adapters **out, const lorac_model *model);
LORAC_API void lorac_adapters_free(lorac_adapters *adapters);
/* What the last of the calls below had to say without failing (PEFT warns): lines of text, "" when nothing. Lives
 * until the next call. */
LORAC_API const char *lorac_adapters_notes(const lorac_adapters *adapters);

/* add_adapter: a new one from an adapter_config.json, with the first values that its init_lora_weights asks for, made
 * from `seed`; kinds that look at training rows (eva, corda) are LORAC_ERROR_USAGE. Not active, and its gradients are
 * not required, until lorac_set_adapter. LORAC_ERROR_USAGE when the name is taken. */
LORAC_API lorac_status lorac_add_adapter(lorac_adapters *adapters, const char *name, const char *peft_config,
                                         int64_t seed);
/* load_adapter: from any format that --adapter takes. Not active afterwards (nor is the first one, unlike
 * from_pretrained); `is_trainable` sets requires_grad. Values that are not finite are LORAC_ERROR_DATA. */
LORAC_API lorac_status lorac_load_adapter(lorac_adapters *adapters, const char *path, const char *name,
                                          int is_trainable);
/* save_pretrained: adapter_model.safetensors and adapter_config.json into a folder, which is made where it is missing;
 * files of those names are replaced. The scale of lorac_set_scale is not part of it. */
LORAC_API lorac_status lorac_save_adapter(lorac_adapters *adapters, const char *name, const char *folder);
/* set_adapter: these are active now, in this order, and no others (count 0: none); their updates add up. They require
 * gradients and the others do not. What is merged is unmerged first, with a note. At most 63; LORAC_ERROR_USAGE for two
 * that bring their own weights of one module (modules_to_save, bias, token rows). */
LORAC_API lorac_status lorac_set_adapter(lorac_adapters *adapters, const char *const *names, size_t count);
/* set_scale: the adapter's updates are multiplied by `scale` on top of alpha / r; 1 is as it was loaded. Weights that
 * stand in for the model's are not scaled. LORAC_ERROR_USAGE while it is merged. */
LORAC_API lorac_status lorac_set_scale(lorac_adapters *adapters, const char *name, double scale);
/* disable_adapter: while disabled, all passes are the base's and nothing requires gradients; afterwards the active
 * adapters do. What is merged is unmerged, with a note. */
LORAC_API void lorac_disable_adapters(lorac_adapters *adapters, int disable);
/* delete_adapter: LORAC_ERROR_USAGE while it is merged. When the only active one goes, the first of the others by name
 * becomes active, with a note. */
LORAC_API lorac_status lorac_delete_adapter(lorac_adapters *adapters, const char *name);
/* hotswap_adapter: the named adapter gets the numbers of another file, of any rank, and scale 1. The two must agree in
 * use_rslora, use_dora, lora_dropout and alpha_pattern; modules that the file leaves out have no update; modules that
 * the name did not have are LORAC_ERROR_USAGE, and so is a merged adapter. */
LORAC_API lorac_status lorac_hotswap_adapter(lorac_adapters *adapters, const char *path, const char *name);

/* merge_adapter: folds adapters (names NULL: the active ones) into weights of their own, f32, 4 bytes for each number
 * of the modules they change, so that they cost no time any more. Those that are merged already stay, in their order,
 * and are not merged twice (a note says so when there is nothing else). Active ones that are not merged still add to
 * it. `safe`: a result with NaN or infinity is LORAC_ERROR_DATA. */
LORAC_API lorac_status lorac_merge_adapters(lorac_adapters *adapters, const char *const *names, size_t count, int safe);
/* unmerge_adapter: the base's own bits are in force again, and the active adapters beside them. */
LORAC_API void lorac_unmerge_adapters(lorac_adapters *adapters);
/* unload: all adapters are gone, merged or not; the bare base remains. */
LORAC_API void lorac_unload(lorac_adapters *adapters);
/* merge_and_unload: writes base + what is merged + `names` (NULL: the active ones), as lorac_merge does with all its
 * checks, then unloads. A failure leaves the set as it was. */
LORAC_API lorac_status lorac_merge_and_unload(lorac_adapters *adapters, const char *const *names, size_t count,
                                              const char *output, const lorac_merge_options *options,
                                              lorac_merge_report *report);

/* set_requires_grad: counts and status say so; training itself is lorac_train. */
LORAC_API lorac_status lorac_set_requires_grad(lorac_adapters *adapters, const char *name, int on);
/* get_nb_trainable_parameters: of the adapters that require gradients, and of the model with all its adapters. */
LORAC_API void lorac_trainable_parameters(const lorac_adapters *adapters, int64_t *trainable, int64_t *all);
/* get_model_status and, under "layers", get_layer_status, with PEFT's keys; layers have Hugging Face's names. JSON
 * text, which the caller owns. */
LORAC_API lorac_status lorac_adapter_status(const lorac_adapters *adapters, char **json);

/* Sequences without adapters of their own, and lorac_logits, get what is in force in the set; NULL: the adapters that
 * the session was made with again. LORAC_ERROR_USAGE for a set of another model. */
LORAC_API lorac_status lorac_session_use(lorac_session *session, const lorac_adapters *adapters);
/* One sequence of a mixed batch (PEFT's adapter_names): the adapter `name` alone, active or not; "__base__": none;
 * NULL: what is in force in the set. `adapters` NULL: as the session again. Its passes fail with LORAC_ERROR_USAGE
 * while adapters are merged, or when the name was deleted. */
LORAC_API lorac_status lorac_sequence_use(lorac_sequence *sequence, const lorac_adapters *adapters, const char *name);

/* ---- Adapters made of others ------------------------------------------------------------------------- */

/* The methods of PEFT's add_weighted_adapter. With d_i = weight_i · scale_i · B_i A_i:
 *   CAT      A of all below each other, B side by side: exactly the sum of the d_i; the ranks add up
 *   SVD      the same sum, cut to svd_rank
 *   LINEAR   A and B summed apart, each with √|weight · scale|: cheap, and not the sum of the d_i (A of one meets B of
 *            another). Needs equal ranks
 * and, on A and B apart (equal ranks) or, as _SVD, on the deltas with a decomposition after it:
 *   TIES             the entries largest by magnitude stay, a sign is elected for each place, those that agree count
 *   DARE_LINEAR      entries are dropped at random, the others divided by density, and summed
 *   DARE_TIES        the same with elected signs
 *   MAGNITUDE_PRUNE  the entries largest by magnitude stay, and are summed */
typedef enum lorac_combination {
    LORAC_COMBINE_LINEAR = 0,
    LORAC_COMBINE_CAT,
    LORAC_COMBINE_SVD,
    LORAC_COMBINE_TIES,
    LORAC_COMBINE_TIES_SVD,
    LORAC_COMBINE_DARE_LINEAR,
    LORAC_COMBINE_DARE_TIES,
    LORAC_COMBINE_DARE_LINEAR_SVD,
    LORAC_COMBINE_DARE_TIES_SVD,
    LORAC_COMBINE_MAGNITUDE_PRUNE,
    LORAC_COMBINE_MAGNITUDE_PRUNE_SVD
} lorac_combination;

typedef enum lorac_majority { LORAC_MAJORITY_TOTAL = 0, LORAC_MAJORITY_FREQUENCY } lorac_majority;

typedef struct lorac_combine_options {
    int method;        /* lorac_combination; LINEAR */
    double density;    /* share of the entries that pruning keeps, 0 < density <= 1; NAN: not given. Pruning needs it */
    int64_t svd_rank;  /* 0: the largest rank of the adapters */
    double svd_clamp;  /* entries of both factors are limited to this quantile of them, 0.5 < q <= 1; NAN: not */
    int majority_sign; /* lorac_majority: the sign of the sum, or the sign that most have */
    int64_t seed;      /* of DARE */
    int overwrite;
} lorac_combine_options;

LORAC_API void lorac_combine_options_init(lorac_combine_options *options);
/* Writes one PEFT adapter folder that equals the adapters together; weights may be negative. It has scale 1 (lora_alpha
 * = r); modules with another rank than the largest stand in rank_pattern and alpha_pattern. `model` may be NULL; where
 * it is given, the adapters must fit it, and llama.cpp's need it. One adapter alone is summed linearly, whatever the
 * method. `options` may be NULL. *json (may be NULL) receives {"output", "method", "rank", "modules", "parameters"},
 * which the caller owns. LORAC_ERROR_USAGE for an option that the method does not use, for ranks it cannot mix, and for
 * adapters with DoRA, biases, embeddings or whole modules. */
LORAC_API lorac_status lorac_combine(const lorac_model *model, const lorac_adapter_ref *adapters, size_t count,
                                     const char *output, const lorac_combine_options *options, char **json);

typedef struct lorac_extract_options {
    int64_t rank;               /* of every module; 0: by energy */
    double energy;              /* the smallest rank whose singular values' squares make up this share, 0 < energy <= 1;
                                   0: by rank. One of the two must be given */
    const char *target_modules; /* of lorac_extract: as for training; NULL: all-linear */
    int overwrite;
} lorac_extract_options;

LORAC_API void lorac_extract_options_init(lorac_extract_options *options);
/* Writes a PEFT adapter (scale 1) with the best approximation of tuned - base for each targeted linear: a truncated
 * singular value decomposition, B = U S, A = Vt. Linears that do not differ are left out. *json (may be NULL) receives
 * {"output", "modules": [{"module", "rank", "norm", "norm_kept"}], "other_tensors": [{"tensor", "norm", "relative"}],
 * ...}, which the caller owns: norm is that of the difference, norm_kept the share of it in the adapter; other_tensors
 * differ too, but an adapter cannot hold them, or the targets do not name them. */
LORAC_API lorac_status lorac_extract(const lorac_model *base, const lorac_model *tuned, const char *output,
                                     const lorac_extract_options *options, char **json);
/* The same for what an adapter adds: a lower rank. `model` as in lorac_combine. */
LORAC_API lorac_status lorac_reduce(const lorac_model *model, const char *adapter, const char *output,
                                    const lorac_extract_options *options, char **json);

/* What stands in a path: a model or an adapter. JSON text, which the caller owns. `peft_config` (or NULL)
 * adds PEFT's trainable-parameters figures for a model. */
LORAC_API lorac_status lorac_inspect(const char *path, const char *peft_config, char **json);

#ifdef __cplusplus
}
#endif
#endif
