/* template.h: chat templates: the part of Jinja they use, with jinja2's semantics under transformers' settings
 * (trim_blocks, lstrip_blocks, loop controls, generation blocks, a sandbox). Parsed once, rendered many times; a parsed
 * template is immutable. Anything unknown is an error that names file, line, column and construct. Knows nothing of
 * tokenizers. */
#ifndef LORAC_TEMPLATE_H
#define LORAC_TEMPLATE_H

#include "str.h"

#include <jansson.h>

typedef struct template template;

/* `file` is for messages. */
int template_parse(template **out, slice source, const char *file);
void template_free(template *t);
const char *template_file(const template *t); /* as it was given; may be NULL */
/* 1 when the template has {% generation %} blocks. */
bool template_has_generation(const template *t);

/* Bytes [begin, end) of the rendered text that stand in a {% generation %} block. */
typedef struct text_region {
    size_t begin, end;
} text_region;

typedef struct template_input {
    const json_t *messages; /* an array */
    const json_t *tools;    /* an array, or NULL: None */
    /* Objects of further variables, or NULL: the model's own ("bos_token"), and above them those of a conversation. */
    const json_t *model, *extra;
    bool add_generation_prompt;
    slice bos, eos;   /* in the place of the model's own; p NULL: those */
    const char *date; /* YYYY-MM-DD for strftime_now; NULL: today. Anything else: LORAC_ERROR_USAGE */
} template_input;

/* Appends the text to `out`. *regions (may be NULL) is the caller's, freed with mem_free.
 * raise_exception: LORAC_ERROR_DATA with its message. Steps, depth and output are limited. */
int template_render(const template *t, const template_input *input, buf *out, text_region **regions,
                    size_t *region_count);

#endif
