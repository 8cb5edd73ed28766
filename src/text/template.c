/* template.c: the face of the template engine: parsing once, and rendering with what transformers gives a template. */
#include "template.h"

#include "jinja/jinja_parser.h"
#include "mem.h"

#include <string.h>

/* \r\n and \r become \n, and one newline at the end is dropped. */
static int copy_source(template *t, slice source)
{
    char *p = arena_new(&t->arena, source.n + 1, 1);
    size_t n = 0;
    if (!p)
        return fail_memory();
    for (size_t i = 0; i < source.n; i++) {
        bool carriage = source.p[i] == '\r';
        p[n++] = carriage ? '\n' : source.p[i];
        i += carriage && i + 1 < source.n && source.p[i + 1] == '\n';
    }
    n -= n && p[n - 1] == '\n';
    t->source = (slice){ p, n };
    return LORAC_OK;
}

/* The names a rendering binds itself. */
enum {
    NAME_LOOP,
    NAME_CALLER,
    NAME_KWARGS,
    NAME_VARARGS,
    NAME_MESSAGES,
    NAME_TOOLS,
    NAME_DOCUMENTS,
    NAME_GENERATION_PROMPT,
    NAME_BOS,
    NAME_EOS,
    NAME_SELF,
    FIRST_FUNCTION
};

static int intern_names(template *t)
{
    static const char *const names[] = { "loop",      "caller",    "kwargs",    "varargs",
                                         "messages",  "tools",     "documents", "add_generation_prompt",
                                         "bos_token", "eos_token", "self" };
    size_t count;
    uint32_t id;
    const function *functions = function_list(&count);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(name_intern(t, slice_of(names[i]), &id));
    for (size_t i = 0; i < count; i++)
        TRY(name_intern(t, slice_of(functions[i].name), &id));
    return LORAC_OK;
}

static int parse(template *t, slice source, const char *file)
{
    token_list tokens = { 0 };
    int status;
    t->file = file ? arena_text(&t->arena, file, strlen(file)) : NULL;
    if (file && !t->file)
        return fail_memory();
    fault where = { .file = t->file };
    if (source.n > JINJA_SOURCE_LIMIT)
        return fail_at(LORAC_ERROR_DATA, where, "the template is larger than %d MiB", JINJA_SOURCE_LIMIT >> 20);
    size_t valid = utf8_valid(source);
    if (valid != source.n)
        return fail_at(LORAC_ERROR_DATA, where, "the template is not UTF-8: invalid byte at offset %zu", valid);
    TRY(copy_source(t, source));
    TRY(intern_names(t));
    status = jinja_lex(t, &tokens);
    if (status == LORAC_OK)
        status = jinja_parse(t, &tokens);
    if (status == LORAC_OK)
        status = jinja_find_hidden(t);
    mem_free(tokens.items);
    return status;
}

int template_parse(template **out, slice source, const char *file)
{
    template *t = mem_new(1, sizeof *t);
    *out = NULL;
    if (!t)
        return fail_memory();
    int status = parse(t, source, file);
    if (status != LORAC_OK) {
        template_free(t);
        return status;
    }
    *out = t;
    return LORAC_OK;
}

void template_free(template *t)
{
    if (!t)
        return;
    map_free(&t->names);
    arena_free(&t->arena);
    mem_free(t);
}

const char *template_file(const template *t)
{
    return t->file;
}

bool template_has_generation(const template *t)
{
    return t->generation;
}

/* ---- What a template sees ---------------------------------------------------------------------------- */

static bool find_reasoning(value message, value *out)
{
    static const char *const fields[] = { "reasoning_content", "thinking", "reasoning" };
    for (size_t i = 0; message.kind == VALUE_DICT && i < sizeof fields / sizeof *fields; i++)
        if (dict_get_text(message, slice_of(fields[i]), out) && out->kind != VALUE_NONE)
            return true;
    return false;
}

/* {"thinking": reasoning, **message, "reasoning_content": reasoning} */
static int alias_message(machine *m, value message, value reasoning, value *out)
{
    value key, item;
    void *state = NULL;
    TRY(value_new_dict(m, out));
    TRY(dict_set(m, *out, value_of_text("thinking"), reasoning));
    for (size_t i = 0; dict_step(message, &state, &i, &key, &item);)
        TRY(dict_set(m, *out, key, item));
    return dict_set(m, *out, value_of_text("reasoning_content"), reasoning);
}

/* transformers gives a message's reasoning under every name that templates read it by. */
static int alias_reasoning(machine *m, value messages, value *out)
{
    value reasoning;
    size_t count = sequence_count(messages), with = 0;
    *out = messages;
    for (size_t i = 0; i < count; i++)
        with += find_reasoning(sequence_at(messages, i), &reasoning);
    if (!with)
        return LORAC_OK;
    TRY(value_new_sequence(m, VALUE_LIST, count, out));
    for (size_t i = 0; i < count; i++) {
        value message = sequence_at(messages, i);
        out->sequence->items[i] = message;
        if (find_reasoning(message, &reasoning))
            TRY(alias_message(m, message, reasoning, &out->sequence->items[i]));
    }
    return LORAC_OK;
}

static value json_or_none(const json_t *json)
{
    return json ? value_of_json(json) : value_none();
}

static void bind_object(machine *m, const json_t *object)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)object, key, item)
    {
        int64_t id = map_find(&m->t->names, slice_of(key));
        if (id >= 0)
            m->globals[id] = value_of_json(item);
    }
}

static int bind_input(machine *m, const template_input *input)
{
    size_t count;
    const function *functions = function_list(&count);
    m->globals = work_new(m, m->t->names.count, sizeof *m->globals);
    if (!m->globals)
        return work_status();
    memset(m->globals, 0, m->t->names.count * sizeof *m->globals);
    for (size_t i = 0; i < count; i++)
        m->globals[FIRST_FUNCTION + i] = (value){ .kind = VALUE_FUNCTION, .function = &functions[i] };
    bind_object(m, input->model);
    if (input->bos.p)
        m->globals[NAME_BOS] = value_of_slice(input->bos);
    if (input->eos.p)
        m->globals[NAME_EOS] = value_of_slice(input->eos);
    bind_object(m, input->extra);
    m->globals[NAME_SELF] = (value){ .kind = VALUE_SELF, .identity = m->t };
    m->globals[NAME_TOOLS] = json_or_none(input->tools);
    if (m->globals[NAME_DOCUMENTS].kind == VALUE_ABSENT)
        m->globals[NAME_DOCUMENTS] = value_none();
    m->globals[NAME_GENERATION_PROMPT] = value_of_bool(input->add_generation_prompt);
    if (!input->messages)
        return LORAC_OK;
    m->globals[NAME_MESSAGES] = value_of_json(input->messages);
    return json_is_array(input->messages) ? alias_reasoning(m, m->globals[NAME_MESSAGES], &m->globals[NAME_MESSAGES])
                                          : LORAC_OK;
}

/* What was written inside a macro or a captured block may not stand where it was counted. */
static int check_marked(machine *m)
{
    for (size_t i = 0; i < m->marked_count; i++) {
        size_t begin = m->marked[i].begin;
        slice text = m->marked[i].text;
        if (begin + text.n > m->whole.n || (text.n && memcmp(m->whole.p + begin, text.p, text.n) != 0)) {
            m->at = NULL;
            return machine_fail(
                m, "a {%% generation %%} block stands inside a macro, set or filter block that changes its place");
        }
    }
    return LORAC_OK;
}

static int render(machine *m, const template_input *input, buf *out)
{
    TRY(bind_input(m, input));
    for (size_t i = 0; i < m->t->hidden.count; i++)
        m->globals[m->t->hidden.ids[i]] = (value){ .kind = VALUE_ABSENT };
    TRY(exec(m, NULL, &m->t->body));
    buf_add(out, m->whole.p ? m->whole.p : "", m->whole.n);
    return buf_status(out);
}

static int take_regions(machine *m, text_region **regions, size_t *count)
{
    TRY(check_marked(m));
    *count = m->marked_count;
    *regions = mem_new(*count, sizeof **regions);
    for (size_t i = 0; *regions && i < *count; i++)
        (*regions)[i] = (text_region){ m->marked[i].begin, m->marked[i].begin + m->marked[i].text.n };
    return *regions ? LORAC_OK : fail_memory();
}

int template_render(const template *t, const template_input *input, buf *out, text_region **regions,
                    size_t *region_count)
{
    struct tm date;
    if (input->date)
        TRY(date_read(input->date, &date));
    machine m = { .t = t, .date = input->date ? &date : NULL };
    m.out = &m.whole;
    int status = render(&m, input, out);
    if (status == LORAC_OK && regions)
        status = take_regions(&m, regions, region_count);
    machine_free(&m);
    return status;
}
