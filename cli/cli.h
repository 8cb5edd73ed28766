/* cli.h: what the commands share. The program sees only lorac.h; everything it knows of models and training it
 * asks the library.
 *
 * A flag is described once, in flags.c or in the library's option table, and a command names the ones it takes.
 * Parsing, --help, completion and the suggestions for mistyped flags all read those tables.
 *
 * Results go to stdout; progress, notes and errors to stderr, but for the error object of --json. A command returns its
 * exit code, which is a lorac_status, after it has reported what went wrong. */
#ifndef LORAC_CLI_H
#define LORAC_CLI_H

#include "lorac.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct text_list {
    const char **items;
    size_t count;
} text_list;

/* Every flag of every command but `train`'s own, which are in `train`. NULL or 0: not given, where flags.c has no
 * default. */
typedef struct arguments {
    lorac_train_options train; /* model, data, dtype, threads ... of the other commands stand here too */
    int json;
    const char *config, *log;
    int dry_run;
    text_list adapters, stop;
    const char *prompt, *ids, *system, *file, *pair, *jsonl, *detokenize, *messages, *bos, *eos, *date, *split, *output,
        *to, *tuned, *max_shard_size, *enable_lora;
    int64_t max_tokens, top_k, seed, batches, rows, limit, generate, streams, svd_rank;
    double alpha, temperature, top_p, min_p, repetition_penalty, density, svd_clamp, energy;
    int ignore_eos, template, compare, add_special, add_generation_prompt, outtype, list, expand, profile, method,
        majority_sign, verify;
    const char *positional[2];
    size_t positional_count;
    text_list given; /* names of the flags on the command line */
} arguments;

typedef struct command {
    const char *name; /* "train", "data check" */
    const char *summary;
    const char *positional; /* "DIR", "[COMMAND]", or NULL */
    const char *flags;      /* names, separated by blanks; "*" is the library's whole table */
    const char *description;
    const char *examples; /* one a line */
    int (*run)(arguments *a);
} command;

extern const command commands[];
extern const size_t command_count;

/* ---- Flags (flags.c, arguments.c, help.c) ---------------------------------------------------- */

typedef enum flag_kind { FLAG_TEXT, FLAG_INT, FLAG_REAL, FLAG_SWITCH, FLAG_CHOICE, FLAG_LIST } flag_kind;

typedef struct flag {
    const char *name, *aliases;
    flag_kind kind;
    size_t offset; /* in arguments; flags of the library's table: in lorac_train_options */
    const char *standard;
    double least, most;
    const char *choices;
    const char *group; /* of --help; NULL: understood, and not shown */
    const char *help;
    const lorac_option *option; /* its row of the library's table; NULL for our own flags */
} flag;

/* Calls `take` for each flag of a command, in the order of --help. Stops at the first true and returns it. */
bool each_flag(const command *c, bool (*take)(void *user, const flag *f), void *user);
/* The flag of a command with this name or alias ('_' equals '-'). */
bool find_flag(const command *c, const char *name, size_t length, flag *out);
/* A switch that is on: what can be said is --no-NAME. */
bool switches_off(const flag *f);
bool given(const arguments *a, const char *name);
/* Fills `a` from the words after the command's name. Reports what is wrong with them. */
int take_arguments(arguments *a, const command *c, int count, char **words);
void free_arguments(arguments *a);
/* The command that the first words name; *used says how many they are. */
const command *find_command(int count, char **words, int *used);
/* Of `names`, the one with the fewest edits to `word`; NULL when all are far. */
const char *nearest(const char *word, const char *const *names, size_t count);
void print_help(const command *c, FILE *out);
void print_overview(FILE *out);
/* The commands of two words that begin with `first`, as `data`; false when there are none. */
bool print_group(const char *first, FILE *out);

/* ---- Words and errors (report.c) ------------------------------------------------------------- */

/* Prints the library's last error in the form the user asked for; returns `status`. */
int report(const arguments *a, int status);
/* The same for an error found here. Fields that do not apply are NULL or 0. */
int report_error(const arguments *a, const lorac_error *error);
/* Shorthand for a mistake in the command line: exit code 2. */
int usage(const arguments *a, const char *key, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Same for any status. */
int problem(const arguments *a, int status, const char *file, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
json_t *error_json(const lorac_error *error);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note_lines(const char *lines); /* what the library has to say, a note a line; may be NULL */

/* ---- The terminal (terminal.c) --------------------------------------------------------------- */

bool is_terminal(FILE *stream); /* and not a dumb one */
bool has_colour(FILE *stream);  /* a terminal, and NO_COLOR not set */
bool has_utf8(void);
int terminal_width(void); /* of stderr or stdout; 80 when neither is one */
/* Prints text that somebody else wrote: on a terminal, control characters and bytes that are not UTF-8 are shown
 * escaped. */
void print_text(FILE *stream, const char *text, size_t length);
/* The cells a character takes: 0, 1 or 2. */
int codepoint_width(uint32_t codepoint);
/* The next character of text; advances *at. Invalid bytes give UINT32_MAX, one at a time. */
uint32_t next_codepoint(const char *text, size_t length, size_t *at);

/* ---- Small helpers (values.c) ---------------------------------------------------------------- */

/* Both end the program with code 1 when there is no memory. */
void *allocate(size_t count, size_t size);
void *grow(void *p, size_t count, size_t size);
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the caller frees */
void add_text(text_list *list, const char *text);
/* "1,2, 3" to ids; the caller frees. */
int parse_ids(const arguments *a, const char *key, const char *text, int32_t **ids, size_t *count);
bool ends_with(const char *text, const char *ending);
/* "5GB" to bytes, in Hugging Face's spelling; NULL leaves *bytes as it is. */
int parse_size(const arguments *a, const char *key, const char *text, uint64_t *bytes);
/* --adapter PATH[:WEIGHT] */
int parse_adapters(const arguments *a, lorac_adapter_ref **refs, size_t *count);
void free_adapters(lorac_adapter_ref *refs, size_t count);
/* A whole file, or stdin for "-"; NUL-terminated, the caller frees. */
int read_file(const arguments *a, const char *path, char **text, size_t *length);
json_t *json_text(const char *text, size_t length); /* bytes that are not UTF-8 become U+FFFD */
json_t *json_number(double value);                  /* null for NaN and infinity */
json_t *json_ids(const int32_t *ids, size_t count);
void print_json(json_t *value);                     /* one line on stdout; takes the reference */
const char *grouped(int64_t value, char out[32]);   /* 4,884,480 */
const char *bytes_text(double bytes, char out[32]); /* 1.4 GB */
double peak_memory_gb(void);
double seconds_now(void);
/* "trainable params: X || all params: Y || trainable%: Z", as PEFT prints it; the caller frees. */
char *trainable_line(int64_t trainable, int64_t all);
bool path_is_directory(const char *path);
void remove_tree(const char *path); /* what cannot be removed stays */

/* ---- Models (catalogue.c) -------------------------------------------------------------------- */

typedef struct catalogue_entry {
    const char *name, *file, *summary;
    const char *package, *version, *wheel, *sha256, *member; /* NULL package: comes with lorac */
} catalogue_entry;

extern const catalogue_entry catalogue[];
extern const size_t catalogue_count;

/* The path behind a model's name; the caller frees. */
int resolve_model(const arguments *a, char **path);
int open_model(const arguments *a, lorac_model **model);
int open_text(const arguments *a, lorac_text **text);
char *cache_folder(void); /* the caller frees */

/* ---- Interruption (interrupt.c) -------------------------------------------------------------- */

/* From here on Ctrl-C asks the call that watches `watch` to stop, and a second one ends the program at once. NULL: as
 * before. */
void interrupt_cancels(lorac_watch *watch);

/* ---- Commands -------------------------------------------------------------------------------- */

int command_train(arguments *a);
int command_plan(arguments *a);
int command_resume(arguments *a);
int command_eval(arguments *a);
int command_generate(arguments *a);
int command_chat(arguments *a);
int command_logits(arguments *a);
int command_tokenize(arguments *a);
int command_template(arguments *a);
int command_data_check(arguments *a);
int command_data_show(arguments *a);
int command_data_stats(arguments *a);
int command_merge(arguments *a);
int command_combine(arguments *a); /* lorac merge --method */
int command_extract(arguments *a);
int command_import(arguments *a);
int command_export(arguments *a);
int command_inspect(arguments *a);
int command_doctor(arguments *a);
int command_pull(arguments *a);
int command_bench(arguments *a);
int command_completion(arguments *a);
int command_help(arguments *a);

#endif
