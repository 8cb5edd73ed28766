/* run_folder.c: the lock is on the folder itself, so it leaves no file. */
#include "run_folder.h"

#include "cpu.h"
#include "err.h"
#include "json.h"
#include "tokenizer_export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { RUN_JSON_BYTES_MOST = 1 << 20 };

/* ---- Who may write --------------------------------------------------------------------------------------------- */

/* Does `path` lie in `folder`, links followed? */
static bool lies_in(const char *path, const char *folder)
{
    char *inner = path ? realpath(path, NULL) : NULL, *outer = realpath(folder, NULL);
    size_t n = outer ? strlen(outer) : 0;
    bool inside = inner && outer && strncmp(inner, outer, n) == 0 && (inner[n] == '/' || inner[n] == '\0');

    free(inner);
    free(outer);
    return inside;
}

static int check_sources(const lorac_train_options *o)
{
    const char *const sources[] = { o->adapter, o->peft_config, o->chat_template };

    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (lies_in(sources[i], o->output))
            return fail_at(LORAC_ERROR_USAGE,
                           (fault){ .file = sources[i], .key = "output", .hint = "Choose another output folder." },
                           "the run would overwrite what it starts from");
    return LORAC_OK;
}

int run_folder_check(const lorac_train_options *o)
{
    fault place = { .file = o->output, .key = "output" };

    if (!o->output || !*o->output)
        return fail_at(LORAC_ERROR_USAGE, place, "no output folder is named");
    if (path_exists(o->output) && !path_is_folder(o->output))
        return fail_at(LORAC_ERROR_USAGE, place, "this is a file, where the output folder should be");
    if (path_is_empty_folder(o->output))
        return LORAC_OK;
    place.hint = "Use --overwrite to replace an earlier run, lorac resume to go on with it, or another folder.";
    if (!o->overwrite)
        return fail_at(LORAC_ERROR_USAGE, place, "the output folder is not empty");
    return check_sources(o);
}

int run_folder_lock(const char *output, int *lock)
{
    int status = LORAC_OK;

    *lock = -1;
    TRY(folder_make(output));
    *lock = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return fail_errno(output, "open the folder");
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return LORAC_OK;
    if (errno == EWOULDBLOCK)
        status = fail_at(LORAC_ERROR_USAGE, (fault){ .file = output }, "another process is training into this folder");
    else if (errno != ENOLCK && errno != EOPNOTSUPP) /* a file system without locks */
        status = fail_errno(output, "lock");
    if (status != LORAC_OK) {
        close(*lock);
        *lock = -1;
    }
    return status;
}

static int remove_file(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT ? LORAC_OK : fail_errno(path, "remove");
}

int run_folder_clear(const char *output)
{
    static const char *const files[] = {
        "run.yaml",      "run.json",  "adapter_model.safetensors", "adapter_config.json",
        "metrics.jsonl", "README.md", "chat_template.jinja"
    };
    static const char *const folders[] = { "best", "best.part", "checkpoints", "additional_chat_templates" };
    buf path = { 0 };
    int status = LORAC_OK;

    for (size_t i = 0; status == LORAC_OK && i < sizeof files / sizeof *files; i++)
        status = path_join(&path, output, files[i]) ? remove_file(path.p) : fail_memory();
    for (size_t i = 0; status == LORAC_OK && i < sizeof folders / sizeof *folders; i++)
        status = path_join(&path, output, folders[i]) ? folder_remove(path.p) : fail_memory();
    buf_free(&path);
    return status;
}

/* ---- run.json ---------------------------------------------------------------------------------------------------- */

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value); /* takes NULL for a failed value; the dump is checked */
}

static json_t *facts_json(const run_facts *facts, const model *m, const lorac_train_options *options)
{
    json_t *object = json_object();
    char fingerprint[17];

    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, facts->fingerprint);
    set(object, "lorac", json_string(LORAC_VERSION));
    set(object, "model", json_string(options->model ? options->model : m->path));
    set(object, "model_type", json_string(m->config.model_type));
    set(object, "model_parameters", json_integer(m->parameters));
    set(object, "data", json_string(options->data));
    set(object, "data_rows", json_integer(facts->rows));
    set(object, "data_tokens", json_integer(facts->tokens));
    set(object, "data_fingerprint", json_string(fingerprint));
    set(object, "dtype", json_string(dtype_name(facts->act)));
    set(object, "tokens_per_pass", json_integer(facts->tokens_per_pass));
    set(object, "seed", json_integer(options->seed));
    set(object, "cpu", json_string(cpu_name()));
    set(object, "isa", json_string(isa_name(cpu_isa())));
    set(object, "gemm", json_string(kernels_gemm_name()));
    set(object, "threads", json_integer(options->threads ? options->threads : cpu_threads()));
    set(object, "finished", json_boolean(facts->finished));
    return object;
}

int run_facts_write(const char *output, const run_facts *facts, const model *m, const lorac_train_options *options)
{
    json_t *object = facts_json(facts, m, options);
    char *text = json_dumps(object, JSON_INDENT(2));
    buf path = { 0 };
    int status = text && path_join(&path, output, "run.json") ? file_write(path.p, text, strlen(text)) : fail_memory();

    free(text);
    json_decref(object);
    buf_free(&path);
    return status;
}

static int take_facts(const json_t *object, const char *file, run_facts *facts)
{
    const char *type = "", *fingerprint = "";

    TRY(json_take_text(object, "dtype", &type, file));
    TRY(json_take_text(object, "data_fingerprint", &fingerprint, file));
    TRY(json_take_int(object, "tokens_per_pass", 1, INT32_MAX, &facts->tokens_per_pass, file));
    TRY(json_take_bool(object, "finished", &facts->finished, file));
    facts->fingerprint = strtoull(fingerprint, NULL, 16);
    facts->act = !strcmp(type, dtype_name(DT_BF16)) ? DT_BF16 : DT_F32;
    if ((facts->act == DT_F32 && strcmp(type, dtype_name(DT_F32)) != 0) || !facts->tokens_per_pass)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "dtype" },
                       "this was not written by a training run");
    return LORAC_OK;
}

int run_facts_read(const char *output, run_facts *facts)
{
    buf path = { 0 };
    json_t *object = NULL;
    int status = path_join(&path, output, "run.json") ? LORAC_OK : fail_memory();

    *facts = (run_facts){ 0 };
    if (status == LORAC_OK)
        status = json_read(&object, path.p, RUN_JSON_BYTES_MOST, 0);
    if (status == LORAC_OK)
        status = take_facts(object, path.p, facts);
    json_decref(object);
    buf_free(&path);
    return status;
}

/* ---- What makes the folder complete ---------------------------------------------------------------------------------
 */

static int write_card(const char *output, const model *m, const lorac_train_options *options, const run_facts *facts,
                      int64_t steps)
{
    const char *base = options->model ? options->model : m->path;
    buf text = { 0 }, path = { 0 };
    int status;

    buf_text(&text, "---\nbase_model: ");
    buf_json(&text, slice_of(base));
    buf_text(&text, "\nlibrary_name: peft\ntags:\n- lora\n- lorac\n---\n\n");
    buf_format(&text, "# LoRA adapter for %s\n\n", base);
    buf_format(&text, "Trained with lorac %s: %" PRId64 " steps, %" PRId64 " rows, %" PRId64 " tokens an epoch.\n",
               LORAC_VERSION, steps, facts->rows, facts->tokens);
    buf_text(&text, "`run.yaml` has every option, `metrics.jsonl` the course of the loss.\n\n"
                    "    lorac generate -m MODEL --adapter DIR -p \"...\"\n\n"
                    "or, in Python, `peft.PeftModel.from_pretrained(model, DIR)`.\n");
    status = buf_status(&text);
    if (status == LORAC_OK)
        status = path_join(&path, output, "README.md") ? file_write(path.p, text.p, text.n) : fail_memory();
    buf_free(&text);
    buf_free(&path);
    return status;
}

/* The only one: a row with tools was rendered with it too. */
static int write_template(const char *output, slice text)
{
    buf path = { 0 };
    const char *target = path_join(&path, output, "chat_template.jinja");
    int status = target ? file_write(target, text.p, text.n) : fail_memory();

    buf_free(&path);
    return status == LORAC_OK ? tokenizer_drop_templates(output) : status;
}

/* One that a folder cannot hold is no loss to an adapter: its base has it. */
static int save_tokenizer(const tokenizer *words, const gguf *vocabulary, const char *output)
{
    int status = tokenizer_save_folder(words, vocabulary, output, NULL);
    if (status != LORAC_ERROR_DATA)
        return status;
    error_clear();
    return LORAC_OK;
}

int run_folder_complete(const char *output, const model *m, const tokenizer *words, const gguf *vocabulary,
                        const lorac_train_options *options, const run_facts *facts, slice chat_template, int64_t steps)
{
    TRY(write_card(output, m, options, facts, steps));
    if (!m->is_gguf)
        TRY(tokenizer_copy_folder(m->path, output));
    else if (words && vocabulary)
        TRY(save_tokenizer(words, vocabulary, output));
    if (chat_template.p)
        TRY(write_template(output, chat_template));
    return LORAC_OK;
}
