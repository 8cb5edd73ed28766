/* chat_templates.c: choosing as transformers does: "tool_use" where there are tools and the model has such a template,
 * "default" otherwise. */
#include "chat_templates.h"

#include "builtin_templates.h"
#include "file.h"
#include "mem.h"

#include <string.h>

enum { TEMPLATE_BYTES_MOST = 4 << 20 };

/* ---- What was asked for ---------------------------------------------------------------------------- */

static bool looks_like_file(const char *asked)
{
    return strchr(asked, '/') || (strlen(asked) > strlen(".jinja") && slice_ends(slice_of(asked), ".jinja")) ||
           path_exists(asked);
}

static void list_own(buf *out, const tokenizer *t)
{
    const char *name;
    for (size_t i = 0; t && (name = tokenizer_chat_template_name(t, i)); i++)
        buf_format(out, "%s%s", i ? ", " : "the model's own ", name);
}

static void list_builtin(buf *out)
{
    const char *name;
    for (size_t i = 0; (name = builtin_template_name(i)); i++)
        buf_format(out, "%s%s", i ? ", " : "the built-in ", name);
}

static int fail_unknown(const tokenizer *t, const char *asked)
{
    buf names = { 0 };
    list_own(&names, t);
    buf_text(&names, names.n ? ", or " : "");
    list_builtin(&names);
    int status = buf_status(&names);
    if (status == LORAC_OK)
        status = fail_at(LORAC_ERROR_USAGE,
                         (fault){ .key = "chat-template",
                                  .found = asked,
                                  .expected = names.p,
                                  .hint = "A file's name ends in .jinja or has a slash" },
                         "there is no such chat template");
    buf_free(&names);
    return status;
}

/* Names come first: the model's own, then the built-in ones. */
static int find_asked(chat_templates *c, const char *asked, const char **file)
{
    *file = asked;
    if (c->tokenizer)
        c->asked = tokenizer_chat_template(c->tokenizer, asked, file);
    if (!c->asked.p)
        c->asked = builtin_template(slice_of(asked));
    if (c->asked.p) {
        *file = *file ? *file : asked;
        return LORAC_OK;
    }
    *file = asked;
    if (!looks_like_file(asked))
        return fail_unknown(c->tokenizer, asked);
    TRY(file_read(&c->file, asked, TEMPLATE_BYTES_MOST));
    c->asked = c->file.p ? buf_slice_of(&c->file) : slice_of("");
    return LORAC_OK;
}

/* ---- Opening and choosing -------------------------------------------------------------------------- */

/* One of the model's own; none is fine. An empty one counts as none. What is wrong with it is kept for the first
 * conversation: texts and ids need no template. */
static int parse_own(const tokenizer *t, const char *name, template **out, char **fault_of)
{
    const char *file;
    slice text = tokenizer_chat_template(t, name, &file);
    int status = text.n ? template_parse(out, text, file) : LORAC_OK;
    if (status != LORAC_ERROR_DATA)
        return status;
    *fault_of = mem_text(lorac_last_error()->message);
    error_clear();
    return *fault_of ? LORAC_OK : fail_memory();
}

int chat_templates_open(chat_templates *out, const tokenizer *t, const char *asked)
{
    const char *file;
    *out = (chat_templates){ .tokenizer = t };
    if (asked) {
        TRY(find_asked(out, asked, &file));
        return template_parse(&out->plain, out->asked, file);
    }
    if (!t)
        return LORAC_OK;
    TRY(parse_own(t, "default", &out->plain, &out->plain_fault));
    return parse_own(t, "tool_use", &out->with_tools, &out->tools_fault);
}

void chat_templates_free(chat_templates *c)
{
    template_free(c->plain);
    template_free(c->with_tools);
    mem_free(c->plain_fault);
    mem_free(c->tools_fault);
    buf_free(&c->file);
    *c = (chat_templates){ 0 };
}

bool chat_templates_any(const chat_templates *c)
{
    return c && (c->plain || c->plain_fault);
}

static int fail_none(const chat_templates *c, fault where)
{
    buf names = { 0 };
    const char *empty = NULL;
    where.hint = "Give one with --chat-template, a file or a name";
    if (!c || !c->tokenizer || !tokenizer_chat_template_name(c->tokenizer, 0))
        return fail_at(LORAC_ERROR_DATA, where, "the model has no chat template for a conversation");
    tokenizer_chat_template(c->tokenizer, "default", &empty);
    if (empty)
        return fail_at(LORAC_ERROR_DATA, where, "the model's chat template in %s is empty", empty);
    list_own(&names, c->tokenizer);
    int status = buf_status(&names);
    where.expected = names.p;
    if (status == LORAC_OK)
        status = fail_at(LORAC_ERROR_DATA, where, "none of the model's chat templates is the default");
    buf_free(&names);
    return status;
}

int chat_templates_choose(const chat_templates *c, const json_t *tools, fault where, const template **out)
{
    const bool own = c && tools && (c->with_tools || c->tools_fault);
    const char *wrong = own ? c->tools_fault : c ? c->plain_fault : NULL;
    *out = own ? c->with_tools : c ? c->plain : NULL;
    if (*out)
        return LORAC_OK;
    where.hint = "Give another with --chat-template, a file or a name";
    return wrong ? fail_at(LORAC_ERROR_DATA, where, "the model's chat template cannot be used: %s", wrong)
                 : fail_none(c, where);
}
