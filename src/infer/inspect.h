/* inspect.h: what stands in a path, as JSON: a model, or an adapter on its own (no base needed). */
#ifndef LORAC_INSPECT_H
#define LORAC_INSPECT_H

#include "adapt.h"

#include <jansson.h>

/* Kind, base, rank, alpha, targets, parameters, and per module the norm of BA and whether it is zero or not finite. */
int inspect_adapter(const char *path, json_t **out);
/* Sizes, types, modules; with a PEFT configuration also what it would train. */
int inspect_model(const char *path, const char *peft_config_path, json_t **out);

#endif
