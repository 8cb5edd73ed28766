/* chat_templates.h: which chat template a conversation is rendered with: the model's own, its other one for
 * conversations with tools, or the one that was asked for in their place: a file, a built-in one, or another of the
 * model's own. Knows no rows and no messages. */
#ifndef LORAC_CHAT_TEMPLATES_H
#define LORAC_CHAT_TEMPLATES_H

#include "err.h"
#include "template.h"
#include "tokenizer.h"

/* Parsed once; start with {0}. */
typedef struct chat_templates {
    template *plain;      /* NULL: there is none */
    template *with_tools; /* for conversations with tools, where it is not `plain` */
    char *plain_fault,
        *tools_fault; /* why one of the model's own cannot be used, which matters to conversations alone */
    slice asked;      /* the text that replaces the model's own; p NULL when nothing does */
    buf file;         /* what it was read into */
    const tokenizer *tokenizer;
} chat_templates;

/* `asked`: a file or a name, or NULL for the model's own; a name that nobody knows is LORAC_ERROR_USAGE. `t` may be
 * NULL; it must outlive *out. Free *out in any case. */
int chat_templates_open(chat_templates *out, const tokenizer *t, const char *asked);
void chat_templates_free(chat_templates *c);
bool chat_templates_any(const chat_templates *c); /* for conversations without tools; `c` may be NULL */
/* The one for a conversation with these tools (or NULL: none). Where there is none, or it is not right:
 * LORAC_ERROR_DATA, at `where`. */
int chat_templates_choose(const chat_templates *c, const json_t *tools, fault where, const template **out);

#endif
