/* tokenizer_templates.c: the chat templates that a model's files carry, and the variables they find; read, and written
 * again. Hugging Face keeps them in chat_template.jinja and additional_chat_templates/NAME.jinja, or, where there are
 * no such files, in tokenizer_config.json; a GGUF file in tokenizer.chat_template and tokenizer.chat_template.NAME.
 * Only texts here: chat_templates.h says which one is used. */
#include "tokenizer_export.h"
#include "tokenizer_parts.h"

#include "array.h"
#include "file.h"
#include "json.h"

#include <string.h>

#define STANDARD "default"
#define FOLDER "additional_chat_templates"
#define SUFFIX ".jinja"
#define GGUF_KEY "tokenizer.chat_template"
enum { TEMPLATE_BYTES_MOST = 16 << 20, NAMES_MOST = 100 };

static const named_template *find(const tokenizer *t, slice name)
{
    for (size_t i = 0; i < t->template_count; i++)
        if (slice_is(name, t->templates[i].name))
            return &t->templates[i];
    return NULL;
}

/* A copy; the first of a name counts. */
static int add(tokenizer *t, slice name, slice text, const char *file)
{
    fault where = { .file = file };
    if (find(t, name))
        return LORAC_OK;
    if (t->template_count == NAMES_MOST)
        return fail_at(LORAC_ERROR_DATA, where, "there are more than %d chat templates", NAMES_MOST);
    TRY(array_resize(t->templates, t->template_count + 1));
    named_template added = { .name = arena_text(&t->memory, name.p, name.n),
                             .file = file,
                             .text = { arena_text(&t->memory, text.p ? text.p : "", text.n), text.n } };
    if (!added.name || !added.text.p)
        return fail_memory();
    t->templates[t->template_count++] = added;
    return LORAC_OK;
}

/* One that stands in a file under a key; lines and columns of messages are those of the template. */
static int add_from(tokenizer *t, slice name, slice text, const char *file, const char *key)
{
    char *place = arena_format(&t->memory, "%s (%s)", file, key);
    return place ? add(t, name, text, place) : fail_memory();
}

/* ---- Questions ------------------------------------------------------------------------------------- */

slice tokenizer_chat_template(const tokenizer *t, const char *name, const char **file)
{
    const named_template *found = find(t, slice_of(name));
    *file = found ? found->file : NULL;
    return found ? found->text : (slice){ NULL, 0 };
}

const char *tokenizer_chat_template_name(const tokenizer *t, size_t i)
{
    return i < t->template_count ? t->templates[i].name : NULL;
}

const json_t *tokenizer_template_variables(const tokenizer *t)
{
    return t->variables;
}

/* ---- Variables ------------------------------------------------------------------------------------- */

static int add_variable(tokenizer *t, const char *name, const json_t *value)
{
    const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!t->variables)
        t->variables = json_object();
    if (!json_is_string(text) || json_object_get(t->variables, name))
        return LORAC_OK;
    json_t *copy = json_copy((json_t *)text);
    return json_object_set_new(t->variables, name, copy) == 0 ? LORAC_OK : fail_memory();
}

int tokenizer_read_variables(tokenizer *t, const json_t *config)
{
    const char *key, *end = "_token";
    json_t *value;
    json_object_foreach((json_t *)config, key, value)
    {
        if (strlen(key) > strlen(end) && slice_ends(slice_of(key), end))
            TRY(add_variable(t, key, value));
    }
    json_object_foreach(json_object_get(config, "extra_special_tokens"), key, value) TRY(add_variable(t, key, value));
    return LORAC_OK;
}

static int variables_of_roles(tokenizer *t)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        slice token = tokenizer_token(t, t->roles[role]);
        json_t *text = token.p ? json_stringn(token.p, token.n) : NULL; /* NULL also where it is not UTF-8 */
        int status = text ? add_variable(t, tokenizer_role_names[role], text) : LORAC_OK;
        json_decref(text);
        TRY(status);
    }
    return LORAC_OK;
}

/* ---- Reading --------------------------------------------------------------------------------------- */

static int read_file(tokenizer *t, slice name, const char *folder, const char *member)
{
    buf path = { 0 }, text = { 0 };
    int status = path_join(&path, folder, member) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_exists(path.p)) {
        const char *file = arena_text(&t->memory, path.p, path.n);
        status = file ? file_read(&text, file, TEMPLATE_BYTES_MOST) : fail_memory();
        if (status == LORAC_OK)
            status = add(t, name, buf_slice_of(&text), file);
    }
    buf_free(&path);
    buf_free(&text);
    return status;
}

static int read_folder(tokenizer *t, const char *folder)
{
    char **names;
    size_t count;
    int status = LORAC_OK;
    TRY(folder_list(&names, &count, folder));
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        slice name = slice_of(names[i]);
        if (name.n > strlen(SUFFIX) && slice_ends(name, SUFFIX))
            status = read_file(t, (slice){ name.p, name.n - strlen(SUFFIX) }, folder, names[i]);
    }
    folder_list_free(names, count);
    return status;
}

int tokenizer_read_template_files(tokenizer *t, const char *folder)
{
    buf path = { 0 };
    TRY(read_file(t, slice_of(STANDARD), folder, "chat_template" SUFFIX));
    int status = path_join(&path, folder, FOLDER) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_is_folder(path.p))
        status = read_folder(t, path.p);
    buf_free(&path);
    return status;
}

int tokenizer_read_templates(tokenizer *t, const json_t *config, const char *file)
{
    const json_t *value = json_object_get(config, "chat_template");
    const char *text = NULL;
    if (t->template_count)
        return LORAC_OK;
    if (!json_is_array(value)) {
        TRY(json_take_text(config, "chat_template", &text, file));
        return text ? add_from(t, slice_of(STANDARD), slice_of(text), file, "chat_template") : LORAC_OK;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = NULL;
        text = NULL;
        TRY(json_take_text(entry, "name", &name, file));
        TRY(json_take_text(entry, "template", &text, file));
        if (!name || !text)
            return fail_at(LORAC_ERROR_DATA, (fault){ .file = file, .key = "chat_template" },
                           "a list of chat templates must have a name and a template in each");
        TRY(add_from(t, slice_of(name), slice_of(text), file, "chat_template"));
    }
    return LORAC_OK;
}

int tokenizer_gguf_templates(tokenizer *t, const gguf *g)
{
    static const char start[] = GGUF_KEY ".";
    slice text = { 0 };
    TRY(variables_of_roles(t));
    TRY(gguf_take_text(g, GGUF_KEY, &text));
    if (text.p)
        TRY(add_from(t, slice_of(STANDARD), text, t->path, GGUF_KEY));
    for (size_t i = 0; i < g->value_count; i++) {
        const char *key = g->values[i].key;
        if (strncmp(key, start, strlen(start)) != 0 || !key[strlen(start)])
            continue;
        TRY(gguf_take_text(g, key, &text));
        TRY(add_from(t, slice_of(key + strlen(start)), text, t->path, key));
    }
    return LORAC_OK;
}

/* ---- Writing --------------------------------------------------------------------------------------- */

/* A name as part of a key or of a file's name: letters and digits. */
static void safe_name(buf *out, const char *name)
{
    for (; *name; name++) {
        bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');
        buf_add(out, plain ? name : "_", 1);
    }
}

static int write_one(const named_template *template, const char *folder)
{
    buf path = { 0 };
    int status = LORAC_OK;
    bool standard = strcmp(template->name, STANDARD) == 0;
    buf_format(&path, standard ? "%s/chat_template" : "%s/" FOLDER, folder);
    status = buf_status(&path);
    if (status == LORAC_OK && !standard) {
        status = folder_make(path.p);
        buf_text(&path, "/");
        safe_name(&path, template->name);
    }
    buf_text(&path, SUFFIX);
    if (status == LORAC_OK)
        status = buf_status(&path);
    if (status == LORAC_OK)
        status = file_write(path.p, template->text.p, template->text.n);
    buf_free(&path);
    return status;
}

int tokenizer_write_templates(const tokenizer *t, const char *folder)
{
    for (size_t i = 0; i < t->template_count; i++)
        TRY(write_one(&t->templates[i], folder));
    return LORAC_OK;
}

int tokenizer_put_templates(const tokenizer *t, gguf_writer *w)
{
    slice names[NAMES_MOST];
    size_t count = 0;
    int status = LORAC_OK;
    for (size_t i = 0; i < t->template_count && status == LORAC_OK; i++) {
        const named_template *template = &t->templates[i];
        buf key = { 0 };
        buf_text(&key, GGUF_KEY);
        if (strcmp(template->name, STANDARD) != 0) {
            buf_text(&key, ".");
            safe_name(&key, template->name);
            names[count++] = slice_of(template->name);
        }
        status = buf_status(&key);
        if (status == LORAC_OK)
            gguf_put_text(w, key.p, template->text);
        buf_free(&key);
    }
    if (count && status == LORAC_OK)
        gguf_put_text_array(w, GGUF_KEY "s", names, count);
    return status;
}

int tokenizer_copy_templates(const char *from, const char *to)
{
    buf source = { 0 }, target = { 0 }, file = { 0 }, copy = { 0 };
    char **names = NULL;
    size_t count = 0;
    int status = path_join(&source, from, FOLDER) && path_join(&target, to, FOLDER) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_is_folder(source.p))
        status = folder_list(&names, &count, source.p);
    if (status == LORAC_OK && count)
        status = folder_make(target.p);
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        bool fine = path_join(&file, source.p, names[i]) && path_join(&copy, target.p, names[i]);
        status = fine ? file_copy(file.p, copy.p, TEMPLATE_BYTES_MOST) : fail_memory();
    }
    folder_list_free(names, count);
    buf_free(&source);
    buf_free(&target);
    buf_free(&file);
    buf_free(&copy);
    return status;
}

int tokenizer_drop_templates(const char *folder)
{
    buf path = { 0 };
    int status = path_join(&path, folder, FOLDER) ? LORAC_OK : fail_memory();
    if (status == LORAC_OK && path_is_folder(path.p))
        status = folder_remove(path.p);
    buf_free(&path);
    return status;
}
