/* api_inspect.c: lorac_inspect: the description as JSON text. */
#include "api.h"
#include "inspect.h"

#include <stdlib.h>

lorac_status lorac_inspect(const char *path, const char *config_path, char **json)
{
    json_t *root = NULL;
    *json = NULL;
    TRY(is_adapter_file(path) ? inspect_adapter(path, &root) : inspect_model(path, config_path, &root));
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(root);
    *json = text ? mem_text(text) : NULL; /* so that lorac_free is right for it */
    free(text);
    return *json ? LORAC_OK : fail_memory();
}
