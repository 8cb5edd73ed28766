/* api_inspect.c: lorac_inspect: the description as JSON text. */
#include "api.h"
#include "inspect.h"

#include <stdlib.h>

int json_text_of(const json_t *value, char **text)
{
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
    *text = dumped ? mem_text(dumped) : NULL;
    free(dumped);
    return *text ? LORAC_OK : fail_memory();
}

lorac_status lorac_inspect(const char *path, const char *config_path, char **json)
{
    json_t *root = NULL;
    *json = NULL;
    TRY(is_adapter_file(path) ? inspect_adapter(path, &root) : inspect_model(path, config_path, &root));
    int status = json_text_of(root, json);
    json_decref(root);
    return status;
}
