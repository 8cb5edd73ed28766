/* api.h: what stands behind the handles of lorac.h. The api_*.c files only translate between that header and the
 * layers; the work is below. */
#ifndef LORAC_API_H
#define LORAC_API_H

#include "adapter_set.h"
#include "chat_templates.h"
#include "err.h"
#include "json.h"
#include "mem.h"
#include "tokenizer.h"

struct lorac_model {
    model *m;
};

struct lorac_text {
    char *path;      /* as given, or NULL */
    gguf vocabulary; /* open when is_gguf */
    bool is_gguf;
    tokenizer *tokenizer; /* NULL: only templates can be rendered */
    chat_templates templates;
};

/* As lorac_text_open, but a folder without tokenizer files gives *out NULL: pre-tokenised rows need none. */
int text_open_if_any(lorac_text **out, const char *path, const char *chat_template);

/* The kernel type for a lorac_dtype: AUTO is bf16 where the processor multiplies it fast. */
int compute_dtype(int wanted, dtype *out);

/* A path for a result that nothing must stand at yet, unless it may be replaced; an empty folder is nothing. */
int check_output_free(const char *output, bool is_file, bool overwrite);
/* As compact text that lorac_free is right for. */
int json_text_of(const json_t *value, char **text);

/* NULL of NULL. */
const adapter_set *set_of(const lorac_adapters *handle);
/* lorac_merge of adapters that are there already, all rows of a pass. */
int merge_to_file(const model *m, const adapter_use *uses, size_t count, const char *output,
                  const lorac_merge_options *options, lorac_merge_report *report);

/* A context with the given adapters applied to all rows. */
typedef struct runner {
    context *c;
    adapter **adapters;
    adapter_use *uses;
    size_t count;
} runner;
int runner_open(runner *out, const model *m, const lorac_run_options *options);
void runner_close(runner *r);

#endif
