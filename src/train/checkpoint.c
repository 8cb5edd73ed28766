/* checkpoint.c: numbers in state.json are exact: integers, and doubles with 17 digits. */
#include "checkpoint.h"

#include "adapt_first.h"
#include "err.h"
#include "file.h"
#include "hash.h"
#include "json.h"
#include "mem.h"
#include "restore.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_VERSION = 1, STATE_BYTES_MOST = 1 << 20 };

static const char *const payload[] = { "adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors" };
enum { PAYLOADS = sizeof payload / sizeof *payload };

/* ---- state.json ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    size_t offset;
} integers[] = {
    { "step", offsetof(run_state, step) },
    { "tokens", offsetof(run_state, tokens) },
    { "trained_tokens", offsetof(run_state, trained_tokens) },
    { "metrics_bytes", offsetof(run_state, metrics_bytes) },
    { "report_steps", offsetof(run_state, report_steps) },
    { "report_tokens", offsetof(run_state, report_tokens) },
    { "report_trained", offsetof(run_state, report_trained) },
    { "best_step", offsetof(run_state, best_step) },
    { "evals_since_best", offsetof(run_state, evals_since_best) },
};
enum { INTEGERS = sizeof integers / sizeof *integers };

static int checksum(const char *folder, const char *name, uint64_t *bytes, char text[17])
{
    buf path = { 0 };
    mapped file;
    int status = path_join(&path, folder, name) ? file_map(&file, path.p) : fail_memory();

    if (status == LORAC_OK) {
        *bytes = file.n;
        snprintf(text, 17, "%016" PRIx64, hash_add(HASH_START, file.p, file.n));
        file_unmap(&file);
    }
    buf_free(&path);
    return status;
}

static json_t *state_json(const run_state *s)
{
    json_t *object = json_object();

    json_object_set_new(object, "version", json_integer(STATE_VERSION));
    for (size_t i = 0; i < INTEGERS; i++)
        json_object_set_new(object, integers[i].key,
                            json_integer(*(const int64_t *)((const char *)s + integers[i].offset)));
    json_object_set_new(object, "report_loss", json_real(s->report_loss));
    json_object_set_new(object, "best_loss", isnan(s->best_loss) ? json_null() : json_real(s->best_loss));
    json_object_set_new(object, "eval_due", json_boolean(s->eval_due));
    json_object_set_new(object, "stopped", json_boolean(s->stopped));
    return object;
}

static int write_state(const char *folder, const run_state *s)
{
    json_t *object = state_json(s), *files = json_object();
    char *text = NULL;
    buf path = { 0 };
    int status = LORAC_OK;

    for (int i = 0; i < PAYLOADS; i++) {
        uint64_t bytes;
        char sum[17];

        TRY_GOTO(checksum(folder, payload[i], &bytes, sum));
        json_object_set_new(files, payload[i], json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "checksum", sum));
    }
    json_object_set(object, "files", files);
    text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!text || !path_join(&path, folder, "state.json"))
        TRY_GOTO(fail_memory());
    status = file_write(path.p, text, strlen(text));
done:
    free(text);
    buf_free(&path);
    json_decref(files);
    json_decref(object);
    return status;
}

static int check_payload(const char *folder, const json_t *files, const char *file)
{
    for (int i = 0; i < PAYLOADS; i++) {
        const json_t *entry = json_object_get(files, payload[i]);
        int64_t bytes = -1;
        const char *sum = "";
        uint64_t found_bytes;
        char found_sum[17];

        if (!json_is_object(entry))
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = payload[i] },
                           "the checkpoint does not list this file");
        TRY(json_take_int(entry, "bytes", 0, INT64_MAX, &bytes, file));
        TRY(json_take_text(entry, "checksum", &sum, file));
        TRY(checksum(folder, payload[i], &found_bytes, found_sum));
        if ((uint64_t)bytes != found_bytes || strcmp(sum, found_sum) != 0)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = payload[i] }, "the file is damaged");
    }
    return LORAC_OK;
}

static int take_state(const json_t *object, const char *file, run_state *s)
{
    int64_t version = 0;

    TRY(json_take_int(object, "version", 0, INT64_MAX, &version, file));
    if (version != STATE_VERSION)
        return fail_at(LORAC_ERROR_USAGE, (fault){ .file = file, .key = "version" },
                       "a checkpoint of another version of lorac");
    *s = (run_state){ .best_loss = NAN };
    for (size_t i = 0; i < INTEGERS; i++)
        TRY(json_take_int(object, integers[i].key, 0, INT64_MAX, (int64_t *)((char *)s + integers[i].offset), file));
    TRY(json_take_real(object, "report_loss", &s->report_loss, file));
    TRY(json_take_real(object, "best_loss", &s->best_loss, file));
    TRY(json_take_bool(object, "eval_due", &s->eval_due, file));
    return json_take_bool(object, "stopped", &s->stopped, file);
}

static int read_state(const char *folder, run_state *s)
{
    buf path = { 0 };
    json_t *object = NULL;
    int status = path_join(&path, folder, "state.json") ? LORAC_OK : fail_memory();

    if (status == LORAC_OK)
        status = json_read(&object, path.p, STATE_BYTES_MOST, 0);
    if (status == LORAC_OK && !json_is_object(object))
        status = fail_at(LORAC_ERROR_DATA, (fault){ .file = path.p }, "not a JSON object");
    if (status == LORAC_OK)
        status = check_payload(folder, json_object_get(object, "files"), path.p);
    if (status == LORAC_OK)
        status = take_state(object, path.p, s);
    json_decref(object);
    buf_free(&path);
    return status;
}

/* ---- Folders ------------------------------------------------------------------------------------------------------
 */

/* The step of a checkpoint's folder name; -1 for any other name. */
static int64_t step_of(const char *name)
{
    char *end;
    long long step;

    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9')
        return -1;
    step = strtoll(name + 5, &end, 10);
    return *end ? -1 : step;
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = step_of(*(char *const *)a), y = step_of(*(char *const *)b);

    return (x > y) - (x < y);
}

/* The names in checkpoints/, oldest first; what is no checkpoint comes before (step -1). */
static int list(const char *output, buf *folder, char ***names, size_t *count)
{
    *names = NULL;
    *count = 0;
    if (!path_join(folder, output, "checkpoints"))
        return fail_memory();
    if (!path_is_folder(folder->p))
        return LORAC_OK;
    TRY(folder_list(names, count, folder->p));
    if (*count > 1)
        qsort(*names, *count, sizeof **names, compare_steps);
    return LORAC_OK;
}

static int remove_in(const char *folder, const char *name)
{
    buf path = { 0 };
    int status = path_join(&path, folder, name) ? folder_remove(path.p) : fail_memory();

    buf_free(&path);
    return status;
}

static int prune(const char *output, int64_t keep)
{
    buf folder = { 0 };
    char **names;
    size_t count;
    int status = list(output, &folder, &names, &count);

    for (size_t i = 0; status == LORAC_OK && i + (size_t)keep < count; i++)
        if (step_of(names[i]) >= 0)
            status = remove_in(folder.p, names[i]);
    folder_list_free(names, count);
    buf_free(&folder);
    return status;
}

static int save_optimizer(const char *folder, const optimizer *o)
{
    buf path = { 0 };
    int status = path_join(&path, folder, "optimizer.safetensors") ? optimizer_save(o, path.p) : fail_memory();

    buf_free(&path);
    return status;
}

int checkpoint_save(const char *output, const run_parts *parts, const run_state *state, int64_t keep, buf *path)
{
    buf target = { 0 }, name = { 0 };
    char *temporary = NULL;
    int status;

    buf_format(&name, "checkpoints/step-%07" PRId64, state->step);
    TRY_GOTO(buf_status(&name));
    TRY_GOTO(path_join(&target, output, name.p) ? LORAC_OK : fail_memory());
    TRY_GOTO(folder_begin(&temporary, target.p));
    TRY_GOTO(adapter_save(parts->adapter, parts->model, parts->config, temporary));
    TRY_GOTO(save_optimizer(temporary, parts->optimizer));
    TRY_GOTO(write_state(temporary, state));
    TRY_GOTO(folder_commit(temporary, target.p));
    mem_free(temporary);
    temporary = NULL;
    TRY_GOTO(prune(output, keep));
    if (path) {
        buf_clear(path);
        buf_slice(path, buf_slice_of(&target));
        status = buf_status(path);
    }
done:
    if (temporary)
        folder_drop(temporary);
    mem_free(temporary);
    buf_free(&target);
    buf_free(&name);
    return status;
}

/* ---- Restoring ------------------------------------------------------------------------------------------------------
 */

static int restore_adapter(const char *folder, adapter *a)
{
    const size_t count = (size_t)a->trainable_count + (size_t)a->kept_count;
    arena memory = { 0 };
    buf path = { 0 };
    filed_tensor *filed = arena_new(&memory, count, sizeof *filed);
    const char **names = arena_new(&memory, count, sizeof *names);
    tensor *tensors = arena_new(&memory, count, sizeof *tensors);
    int status = filed && names && tensors && path_join(&path, folder, payload[0]) ? LORAC_OK : fail_memory();

    if (status == LORAC_OK)
        status = adapter_filed(filed, a, &memory);
    for (size_t i = 0; status == LORAC_OK && i < count; i++) {
        names[i] = filed[i].name;
        tensors[i] = filed[i].t;
    }
    if (status == LORAC_OK)
        status = restore_tensors(path.p, names, tensors, count);
    if (status == LORAC_OK)
        adapter_unfile(a, filed);
    buf_free(&path);
    arena_free(&memory);
    return status;
}

static int restore(const char *folder, const run_parts *parts, int64_t updates)
{
    buf path = { 0 };
    int status;

    TRY(restore_adapter(folder, parts->adapter));
    status = path_join(&path, folder, "optimizer.safetensors") ? optimizer_load(parts->optimizer, path.p, updates)
                                                               : fail_memory();
    buf_free(&path);
    return status;
}

/* Restores a checkpoint; a damaged one is noted and removed, so that it does not count among those kept. */
static int try_checkpoint(const char *folder, const run_parts *parts, run_state *state, bool *found, buf *notes)
{
    run_state read;
    int status = read_state(folder, &read);

    if (status == LORAC_ERROR_DATA) {
        buf_format(notes, "removed a damaged checkpoint: %s\n", lorac_last_error()->message);
        TRY(buf_status(notes));
        return folder_remove(folder);
    }
    TRY(status);
    TRY(restore(folder, parts, read.step));
    *state = read;
    *found = true;
    return LORAC_OK;
}

int checkpoint_load(const char *output, const run_parts *parts, run_state *state, bool *found, buf *notes)
{
    buf folder = { 0 }, path = { 0 };
    char **names;
    size_t count;
    int status = list(output, &folder, &names, &count);

    *found = false;
    for (size_t i = count; status == LORAC_OK && i-- > 0;) {
        if (step_of(names[i]) < 0)
            status = remove_in(folder.p, names[i]);
        else if (!*found)
            status = path_join(&path, folder.p, names[i]) ? try_checkpoint(path.p, parts, state, found, notes)
                                                          : fail_memory();
    }
    folder_list_free(names, count);
    buf_free(&folder);
    buf_free(&path);
    return status;
}

int checkpoint_newest(const char *output, buf *path)
{
    buf folder = { 0 };
    char **names;
    size_t count;
    int status = list(output, &folder, &names, &count);

    buf_clear(path);
    if (status == LORAC_OK && count && step_of(names[count - 1]) >= 0 && !path_join(path, folder.p, names[count - 1]))
        status = fail_memory();
    folder_list_free(names, count);
    buf_free(&folder);
    return status;
}
