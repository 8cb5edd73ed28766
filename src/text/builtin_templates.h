/* builtin_templates.h: chat templates by the names that llama.cpp's users know, for models that come without one. */
#ifndef LORAC_BUILTIN_TEMPLATES_H
#define LORAC_BUILTIN_TEMPLATES_H

#include "str.h"

/* The template of that name; p NULL when there is none. */
slice builtin_template(slice name);
/* Their names in order, by number from 0; NULL after the last. */
const char *builtin_template_name(size_t i);

#endif
